"""How an image was made: one round of questions, one bounded round of look-ups."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from civit_mcp.catalog import Snapshot
from civit_mcp.errors import CivitError, NotFound
from civit_mcp.generation import gather
from civit_mcp.generation.gather import NO_METADATA
from civit_mcp.generation.merge import plan, settle
from civit_mcp.models.generated import GenerationAnswer
from civit_mcp.models.levels import label
from civit_mcp.models.records import (
    GenerationRecord,
    ImageRecord,
)
from civit_mcp.usecases.bounds import within_bounds
from civit_mcp.usecases.desk import Desk, on_disk
from civit_mcp.usecases.identification import look_up, look_up_notes
from civit_mcp.usecases.parts import dep_row, missing_rows, resource_row
from civit_mcp.usecases.resolve import RefArgument, image_id_of
from civit_mcp.usecases.rows import SITE, word

_MOST_WORDS: Final = 40


@dataclass(slots=True)
class _Asked:
    """The three sources about an image; an error stands where an answer failed."""

    generation: GenerationRecord | CivitError | None = None
    listing: ImageRecord | CivitError | None = None
    image: ImageRecord | CivitError | None = None
    shelf: tuple[Snapshot | None, list[str]] | CivitError | None = None
    notes: list[str] = field(default_factory=list)
    #: the generation data could not be read; the listing stands in for it
    failed: bool = False

    def catalog(self) -> tuple[Snapshot | None, list[str]]:
        """The catalog as it was read, with what is to be said about it."""
        if isinstance(self.shelf, CivitError):
            raise self.shelf
        assert self.shelf is not None
        return self.shelf

    def records(self) -> list[ImageRecord]:
        return [r for r in (self.image, self.listing) if isinstance(r, ImageRecord)]

    def first(self, name: str) -> Any:
        """The first source that knows `name`; the image's own record goes first."""
        for record in self.records():
            value = getattr(record, name)
            if value is not None:
                return value
        return None


async def get_generation_data(
    desk: Desk, ref: RefArgument, *, include_raw: bool = False
) -> GenerationAnswer:
    """Tell how an image was made, what of it is in the catalog and what is missing.

    Raises:
        NotFound: CivitAI has no such image.
        AboveLevel: the operator's cap forbids it.
        CivitError: as CivitAI answered, when no source could be read.
    """
    image_id = await image_id_of(desk, ref)
    asked = await _ask(desk, image_id, with_catalog=True)
    record = _usable(asked, image_id)
    _forbid_above_cap(desk, asked, image_id)
    snapshot, catalog_notes = asked.catalog()
    gathered = gather(
        record,
        stored_meta=_stored_meta(asked),
        known_embeddings=snapshot.embedding_names if snapshot else (),
    )
    look_ups = plan(record, gathered)
    found = await look_up(desk, look_ups)
    settled = settle(record, gathered, found)

    def answer() -> GenerationAnswer:
        # one hop for all rows: a status is a look at the disk
        resources = [resource_row(resource, snapshot) for resource in settled.resources]
        deps = [dep_row(dep, snapshot) for dep in settled.dependencies]
        missing = missing_rows(resources, deps, found, snapshot)
        about = [note for note in gathered.notes if not (asked.failed and note == NO_METADATA)]
        notes = [*asked.notes, *about, *settled.notes, *look_up_notes(look_ups, found)]
        for name, names in (("techniques", record.techniques), ("tools", record.tools)):
            if len(names) > _MOST_WORDS:
                notes.append(f"{len(names) - _MOST_WORDS} more {name} are in the raw resource")
        if any(row.catalog_status == "missing" for row in missing):
            notes += desk.root_notes()
        return GenerationAnswer(
            image_id=image_id,
            url=asked.first("url") or f"{SITE}/images/{image_id}",
            type=word(record.type or asked.first("type")),
            process=word(record.process),
            detected_type=gathered.detected_type,
            level=label(asked.first("level_bits")),
            resources=resources,
            detected_deps=deps,
            clean_prompt=gathered.clean_prompt,
            negative_prompt=gathered.negative_prompt,
            meta=gathered.meta,
            techniques=_words(record.techniques),
            tools=_words(record.tools),
            missing=missing,
            notes=[*notes, *catalog_notes],
            raw=None,
            raw_uri=f"civitai://images/{image_id}/generation-data",
        )

    bounded = within_bounds(await on_disk(answer))
    return bounded.model_copy(update={"raw": record.raw}) if include_raw else bounded


def _words(names: tuple[str, ...]) -> list[str]:
    """Strangers' words on one line each; more than a few dozen are no list of tools."""
    return [shown for name in names[:_MOST_WORDS] if (shown := word(name))]


async def raw_generation_data(desk: Desk, image_id: str) -> dict[str, Any]:
    """Read the whole decoded envelope of one image.

    Raises:
        NotFound: CivitAI has no such image.
        AboveLevel: the operator's cap forbids it.
    """
    number = await image_id_of(desk, image_id)
    if desk.settings.max_level is None:
        return (await desk.client.generation_data(number)).raw
    asked = await _ask(desk, number)
    record = _usable(asked, number)
    _forbid_above_cap(desk, asked, number)
    return record.raw


def _forbid_above_cap(desk: Desk, asked: _Asked, image_id: int) -> None:
    """Apply the operator's cap; a level that could not be read is that look-up's error."""
    bits = asked.first("level_bits")
    if bits is None and desk.settings.max_level is not None:
        for source in (asked.image, asked.listing):
            if isinstance(source, CivitError) and not isinstance(source, NotFound):
                raise source
    desk.forbid_above_cap(bits, f"image '{image_id}'")


async def _ask(desk: Desk, image_id: int, *, with_catalog: bool = False) -> _Asked:
    """Ask all sources at once; the catalog is read while CivitAI thinks."""
    asked = _Asked()

    async def generation() -> None:
        asked.generation = await _outcome(lambda: desk.client.generation_data(image_id))

    async def listing() -> None:
        asked.listing = await _outcome(lambda: desk.client.image_from_rest(image_id))

    async def image() -> None:
        asked.image = await _outcome(lambda: desk.client.image(image_id))

    async def shelf() -> None:
        asked.shelf = await _outcome(desk.snapshot_or_note)

    async with anyio.create_task_group() as group:
        for question in (generation, listing, image, *([shelf] if with_catalog else [])):
            group.start_soon(question)
    return asked


async def _outcome(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except CivitError as error:
        return error


def _usable(asked: _Asked, image_id: int) -> GenerationRecord:
    """The generation record, or an empty one when the listing tells the same another way.

    Raises:
        CivitError: the record could not be read, and nothing else says how the image was made.
    """
    if isinstance(asked.generation, GenerationRecord):
        if not asked.records() and isinstance(asked.image, CivitError):
            asked.notes.append(
                "CivitAI does not show the image itself "
                f"({asked.image.what}), so its address and level are unknown"
            )
        return asked.generation
    error = asked.generation
    assert isinstance(error, CivitError)
    if isinstance(error, NotFound) and not asked.records():
        raise NotFound(
            f"CivitAI has no image '{image_id}'",
            "check the id on the image's page; the image may have been deleted",
        )
    if not _stored_meta(asked):
        raise error
    asked.failed = True
    asked.notes.append(
        f"CivitAI's generation data could not be read ({error.what}), so what it lists as "
        "resources is unknown; the rest comes from the image's stored metadata"
    )
    return GenerationRecord(type=asked.first("type"))


def _stored_meta(asked: _Asked) -> dict[str, Any] | None:
    """The listing's metadata, unless the creator hides it."""
    if asked.first("hide_meta") is True or not isinstance(asked.listing, ImageRecord):
        return None
    return asked.listing.meta
