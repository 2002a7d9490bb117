"""How an image was made: one round of questions, one bounded round of look-ups."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from civit_mcp.catalog import Entry, Snapshot
from civit_mcp.civitai import ModelQuery
from civit_mcp.errors import CivitError, NotFound
from civit_mcp.generation import gather, normalise_name
from civit_mcp.generation.merge import Dependency, Found, LookUps, plan, settle
from civit_mcp.models.delivery import gate_of
from civit_mcp.models.facts import CatalogStatus
from civit_mcp.models.generated import DepKind, DepRow, GenerationAnswer, MissingRow, ResourceRow
from civit_mcp.models.levels import label
from civit_mcp.models.records import (
    GenerationRecord,
    ImageRecord,
    ModelRecord,
    ResourceRecord,
    VersionRecord,
)
from civit_mcp.text import one_line
from civit_mcp.usecases.desk import NO_ROOT_NOTE, Desk
from civit_mcp.usecases.resolve import RefArgument, image_id_of
from civit_mcp.usecases.rows import SITE, place_of, status_of

_SEARCH_TYPES: Final[dict[DepKind, tuple[str, ...]]] = {
    "lora": ("LORA", "LoCon", "DoRA"),
    "lyco": ("LORA", "LoCon", "DoRA"),
    "hypernet": ("Hypernetwork",),
    "embedding": ("TextualInversion",),
    "checkpoint": ("Checkpoint",),
    "vae": ("VAE",),
}


@dataclass(slots=True)
class _Asked:
    """The three sources about an image; an error stands where an answer failed."""

    generation: GenerationRecord | CivitError | None = None
    listing: ImageRecord | CivitError | None = None
    image: ImageRecord | CivitError | None = None
    notes: list[str] = field(default_factory=list)

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
    asked = await _ask(desk, image_id)
    desk.forbid_above_cap(asked.first("level_bits"), f"image '{image_id}'")
    record = _usable(asked, image_id)
    snapshot = await desk.snapshot()
    gathered = gather(
        record,
        stored_meta=_stored_meta(asked),
        known_embeddings=snapshot.embedding_names,
    )
    look_ups = plan(record, gathered)
    found = await _look_up(desk, look_ups)
    settled = settle(record, gathered, found)
    resources = [_resource_row(resource, snapshot) for resource in settled.resources]
    deps = [_dep_row(dep, snapshot) for dep in settled.dependencies]
    notes = [*asked.notes, *gathered.notes, *settled.notes, *_look_up_notes(look_ups, found)]
    missing = _missing(resources, deps, found, snapshot)
    if desk.settings.models_root is None and any(m.catalog_status == "missing" for m in missing):
        notes.append(NO_ROOT_NOTE)
    return GenerationAnswer(
        image_id=image_id,
        url=asked.first("url") or f"{SITE}/images/{image_id}",
        type=record.type or asked.first("type"),
        process=record.process,
        detected_type=gathered.detected_type,
        level=label(asked.first("level_bits")),
        resources=resources,
        detected_deps=deps,
        clean_prompt=gathered.clean_prompt,
        negative_prompt=gathered.negative_prompt,
        meta=gathered.meta,
        techniques=list(record.techniques),
        tools=list(record.tools),
        missing=missing,
        notes=notes,
        raw=record.raw if include_raw else None,
        raw_uri=f"civitai://images/{image_id}/generation-data",
    )


async def raw_generation_data(desk: Desk, image_id: str) -> dict[str, Any]:
    """Read the whole decoded envelope of one image.

    Raises:
        NotFound: CivitAI has no such image.
    """
    number = await image_id_of(desk, image_id)
    if desk.settings.max_level is not None:
        image = await desk.client.image(number)
        desk.forbid_above_cap(image.level_bits, f"image '{number}'")
    return (await desk.client.generation_data(number)).raw


async def _ask(desk: Desk, image_id: int) -> _Asked:
    asked = _Asked()

    async def generation() -> None:
        asked.generation = await _outcome(lambda: desk.client.generation_data(image_id))

    async def listing() -> None:
        asked.listing = await _outcome(lambda: desk.client.image_from_rest(image_id))

    async def image() -> None:
        asked.image = await _outcome(lambda: desk.client.image(image_id))

    async with anyio.create_task_group() as group:
        for question in (generation, listing, image):
            group.start_soon(question)
    return asked


async def _outcome(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except CivitError as error:
        return error


def _usable(asked: _Asked, image_id: int) -> GenerationRecord:
    """The generation record; an empty one with a note when only the image is readable."""
    if isinstance(asked.generation, GenerationRecord):
        if not asked.records() and isinstance(asked.image, CivitError):
            asked.notes.append(
                "CivitAI does not show the image itself "
                f"({asked.image.what}), so its address and level are unknown"
            )
        return asked.generation
    error = asked.generation
    assert isinstance(error, CivitError)
    if not asked.records():
        if isinstance(error, NotFound):
            raise NotFound(
                f"CivitAI has no image '{image_id}'",
                "check the id on the image's page; the image may have been deleted",
            )
        raise error
    asked.notes.append(
        f"The generation data could not be read ({error.what}); resources may be incomplete"
    )
    return GenerationRecord(type=asked.first("type"))


def _stored_meta(asked: _Asked) -> dict[str, Any] | None:
    """The listing's metadata, unless the creator hides it."""
    if asked.first("hide_meta") is True or not isinstance(asked.listing, ImageRecord):
        return None
    return asked.listing.meta


async def _look_up(desk: Desk, look_ups: LookUps) -> Found:
    """Ask everything at once; the client bounds how much is on the wire."""
    found = Found()

    async def batch() -> None:
        wanted = set(look_ups.sha256)
        try:
            for version in await desk.client.versions_by_sha256(look_ups.sha256):
                for file in version.files:
                    for value in wanted.intersection(file.hashes.values()):
                        found.by_hash.setdefault(value, version)
        except CivitError as error:
            found.failed.update(dict.fromkeys(look_ups.sha256, error.what))

    async def by_hash(value: str) -> None:
        try:
            found.by_hash[value] = await desk.client.version_by_hash(value)
        except CivitError as error:
            found.failed[value] = error.what

    async def by_version(version_id: int) -> None:
        try:
            found.by_version[version_id] = await desk.client.version(version_id)
        except CivitError as error:
            found.failed[str(version_id)] = error.what

    async def by_name(name: str, kind: DepKind) -> None:
        try:
            page = await desk.client.search_models(
                ModelQuery(query=name, types=_SEARCH_TYPES[kind], nsfw=True, limit=10)
            )
        except CivitError as error:
            found.failed[name] = error.what
            return
        candidate = _same_name(name, page.items)
        if candidate is not None:
            found.by_name[name] = candidate

    async with anyio.create_task_group() as group:
        if look_ups.sha256:
            group.start_soon(batch)
        for value in look_ups.short_hashes:
            group.start_soon(by_hash, value)
        for version_id in look_ups.version_ids:
            group.start_soon(by_version, version_id)
        for name, kind in look_ups.names:
            group.start_soon(by_name, name, kind)
    return found


def _same_name(name: str, models: tuple[ModelRecord, ...]) -> VersionRecord | None:
    """The version with a file of exactly this stem; a title alone proves too little."""
    wanted = normalise_name(name)
    for model in models:
        for version in model.versions:
            if any(normalise_name(file.name) == wanted for file in version.files):
                return version
    return None


def _resource_row(resource: ResourceRecord, snapshot: Snapshot) -> ResourceRow:
    version_id = resource.version_id
    entry = snapshot.by_version(version_id) if version_id is not None else None
    return ResourceRow(
        modelName=_shown(resource.model_name),
        modelType=resource.model_type,
        modelId=resource.model_id,
        versionId=version_id,
        versionName=_shown(resource.version_name),
        baseModel=resource.base_model,
        strength=resource.strength,
        catalog_status=status_of(snapshot, version_id),
        **place_of(entry),
    )


def _shown(name: str | None, limit: int = 160) -> str | None:
    """A stranger's name on one line, without what cannot be seen."""
    return one_line(name or "", limit) or None


def _dep_row(dep: Dependency, snapshot: Snapshot) -> DepRow:
    item, version = dep.evidence, dep.version
    common: dict[str, Any] = {
        "name": _shown(item.name, 255) or f"version {item.version_id}",
        "kind": item.kind,
        "weight": item.weight,
        "source": item.source,
        "hash": item.hash,
        "resolved_by": dep.resolved_by,
    }
    if version is None:
        entry = _own_entry(dep, snapshot)
        status: CatalogStatus = "unknown"
        if entry is not None:
            status = snapshot.status(entry)
        elif item.version_id is not None:
            status = "not_found"
        hints = snapshot.by_stem(item.name) if item.name and entry is None else ()
        return DepRow(
            **common,
            catalog_status=status,
            civitai_version_id=item.version_id,
            civitai_model_id=item.model_id,
            candidate=f"catalog file '{hints[0].file}' has the same name" if hints else None,
            **place_of(entry),
        )
    candidate = None
    entry = snapshot.by_version(version.id)
    status = status_of(snapshot, version.id)
    if dep.resolved_by == "name":
        candidate = "same file name only; compare before adding"
        entry, status = None, "unknown"
    return DepRow(
        **common,
        catalog_status=status,
        civitai_model_id=version.model_id,
        civitai_version_id=version.id,
        civitai_model_name=_shown(version.model_name),
        civitai_version_name=_shown(version.name),
        civitai_base_model=version.base_model or None,
        civitai_type=version.model_type,
        civitai_file=_shown(dep.file, 255),
        candidate=candidate,
        **place_of(entry),
    )


def _own_entry(dep: Dependency, snapshot: Snapshot) -> Entry | None:
    """An entry that the catalog itself identifies, by version id or full hash."""
    item = dep.evidence
    if item.version_id is not None:
        return snapshot.by_version(item.version_id)
    if item.hash is not None and len(item.hash) >= 10:
        return snapshot.by_sha256(item.hash)
    return None


def _missing(
    resources: list[ResourceRow], deps: list[DepRow], found: Found, snapshot: Snapshot
) -> list[MissingRow]:
    """List what the user lacks, with the call that gets it."""
    rows = []
    for resource in resources:
        if resource.catalog_status == "present":
            continue
        rows.append(
            MissingRow(
                name=one_line(resource.modelName or f"version {resource.versionId}", 120),
                kind=(resource.modelType or "unknown").lower(),
                version_id=resource.versionId,
                catalog_status=resource.catalog_status,
                next=_next(resource.versionId, resource.catalog_status, found, snapshot),
            )
        )
    for dep in deps:
        if dep.catalog_status == "present":
            continue
        known = dep.civitai_version_id if dep.resolved_by != "name" else None
        rows.append(
            MissingRow(
                name=one_line(dep.name, 120),
                kind=dep.kind,
                version_id=known,
                catalog_status=dep.catalog_status,
                next=_next(known, dep.catalog_status, found, snapshot),
            )
        )
    return rows


def _next(version_id: int | None, status: str, found: Found, snapshot: Snapshot) -> str:
    if version_id is None:
        return "search_models by name"
    if status == "missing":
        entry = snapshot.by_version(version_id)
        return f"download into {entry.dest}" if entry else "download"
    version = found.by_version.get(version_id)
    gate = gate_of(version) if version is not None else None
    return f"not downloadable: {gate.reason}" if gate else "add_to_catalog"


def _look_up_notes(look_ups: LookUps, found: Found) -> list[str]:
    notes = []
    if found.failed:
        what, why = next(iter(found.failed.items()))
        notes.append(
            f"{len(found.failed)} look-ups failed, so what they would identify is unknown "
            f"('{one_line(what, 60)}': {why}); call again later"
        )
    if look_ups.left_out > 0:
        notes.append(f"{look_ups.left_out} look-ups were left out to stay within bounds")
    return notes
