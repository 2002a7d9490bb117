"""Facts about models and versions, one or a batch."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
import anyio.to_thread

from civit_mcp.catalog import Snapshot
from civit_mcp.errors import BadReference, CivitError, TooLarge
from civit_mcp.models.facts import (
    Failure,
    ModelAnswer,
    ModelFacts,
    VersionAnswer,
    VersionFacts,
)
from civit_mcp.models.levels import label
from civit_mcp.models.records import ModelRecord
from civit_mcp.text import clean_html, cut, one_line
from civit_mcp.usecases.desk import Desk
from civit_mcp.usecases.resolve import RefArgument, model_id_of, version_id_of
from civit_mcp.usecases.rows import licence_of, model_url, version_brief, version_facts

MAX_BATCH = 20
#: characters of description in one answer
DESCRIPTION_PIECE = 1200
BATCH_DESCRIPTION_PIECE = 200
#: hostile markup of this length takes long enough to parse to hold up other requests
LONG_HTML = 20_000
VERSIONS_SHOWN = 12
BATCH_VERSIONS_SHOWN = 3

F = TypeVar("F")


async def get_model(
    desk: Desk,
    one: RefArgument | None,
    many: Sequence[RefArgument],
    *,
    description_from: int = 0,
) -> ModelAnswer:
    """Answer for one model, or for up to twenty."""
    snapshot = await desk.snapshot()
    if not many:
        facts = await _model(desk, _required(one, "model_id"), snapshot, description_from)
        return ModelAnswer(**dict(facts))

    async def brief(ref: RefArgument) -> ModelFacts:
        return await _model(desk, ref, snapshot, 0, brief=True)

    items, failed = await _batch(_with_first(one, many), brief)
    return ModelAnswer(items=items, failed=failed)


async def get_model_version(
    desk: Desk,
    one: RefArgument | None,
    many: Sequence[RefArgument],
    *,
    description_from: int = 0,
) -> VersionAnswer:
    """Answer for one version, or for up to twenty."""
    snapshot = await desk.snapshot()
    if not many:
        ref = _required(one, "version_id")
        facts = await _version(desk, ref, snapshot, description_from)
        return VersionAnswer(**dict(facts))

    async def brief(ref: RefArgument) -> VersionFacts:
        return await _version(desk, ref, snapshot, 0, brief=True)

    items, failed = await _batch(_with_first(one, many), brief)
    return VersionAnswer(items=items, failed=failed)


async def _model(
    desk: Desk, ref: RefArgument, snapshot: Snapshot, start: int, *, brief: bool = False
) -> ModelFacts:
    model = await desk.client.model(await model_id_of(desk, ref))
    desk.forbid_above_cap(model.level_bits, f"model '{model.id}'")
    shown = BATCH_VERSIONS_SHOWN if brief else VERSIONS_SHOWN
    piece, following = await _description(model.description, start, brief=brief)
    return ModelFacts(
        id=model.id,
        name=one_line(model.name, 200),
        type=model.type,
        creator=model.creator,
        level=label(model.level_bits),
        mode=model.mode,
        tags=[one_line(tag, 60) for tag in model.tags[:20]],
        downloads=model.downloads,
        thumbs_up=model.thumbs_up,
        licence=licence_of(model),
        versions=[version_brief(version, snapshot) for version in model.versions[:shown]],
        more_versions=[version.id for version in model.versions[shown:]],
        description=piece or None,
        description_next=following,
        url=model_url(model.id),
        notes=_model_notes(model),
    )


def _model_notes(model: ModelRecord) -> list[str]:
    notes = []
    if not model.versions:
        notes.append("CivitAI shows no published version of this model")
    if (model.mode or "").casefold() == "archived":
        notes.append("The model is archived: CivitAI keeps the page but serves no files")
    if (model.mode or "").casefold() == "takendown":
        notes.append("The model was taken down")
    return notes


async def _version(
    desk: Desk, ref: RefArgument, snapshot: Snapshot, start: int, *, brief: bool = False
) -> VersionFacts:
    version = await desk.client.version(await version_id_of(desk, ref))
    bits = version.level_bits
    if bits is None and desk.settings.max_level is not None and version.model_id is not None:
        bits = (await desk.client.model(version.model_id)).level_bits
    desk.forbid_above_cap(bits, f"version '{version.id}'")
    facts = version_facts(version, snapshot, desk.settings.civitai_url)
    piece, following = await _description(version.description, start, brief=brief)
    return facts.model_copy(update={"description": piece or None, "description_next": following})


async def _description(html: str | None, start: int, *, brief: bool) -> tuple[str, int | None]:
    limit = BATCH_DESCRIPTION_PIECE if brief else DESCRIPTION_PIECE
    if html is None or len(html) < LONG_HTML:
        return cut(clean_html(html), start, limit)
    text = await anyio.to_thread.run_sync(clean_html, html)
    return cut(text, start, limit)


def _required(one: RefArgument | None, name: str) -> RefArgument:
    if one is None:
        raise BadReference(f"neither '{name}' nor '{name}s' was given", f"pass {name}")
    return one


def _with_first(one: RefArgument | None, many: Sequence[RefArgument]) -> list[RefArgument]:
    refs = [*([one] if one is not None else []), *many]
    if len(refs) > MAX_BATCH:
        raise TooLarge(
            f"{len(refs)} references in one call, at most {MAX_BATCH} are read",
            f"pass {MAX_BATCH} at a time",
        )
    return refs


async def _batch(
    refs: list[RefArgument], read: Callable[[RefArgument], Awaitable[F]]
) -> tuple[list[F], list[Failure]]:
    """Read all at once; one that fails is reported and hides no other."""
    results: list[F | CivitError | None] = [None] * len(refs)

    async def run(index: int) -> None:
        try:
            results[index] = await read(refs[index])
        except CivitError as error:
            results[index] = error

    async with anyio.create_task_group() as group:
        for index in range(len(refs)):
            group.start_soon(run, index)
    items: list[F] = []
    failed: list[Failure] = []
    for ref, result in zip(refs, results, strict=True):
        if isinstance(result, CivitError):
            failed.append(Failure(reference=one_line(str(ref), 120), error=str(result)))
        elif result is not None:
            items.append(result)
    return items, failed
