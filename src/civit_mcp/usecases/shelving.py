"""The user's catalog: every way to change it."""

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final

import anyio

from civit_mcp.catalog import Address, Catalog
from civit_mcp.errors import BadReference, CivitError, TooLarge
from civit_mcp.models.catalogued import (
    AddAnswer,
    AddRow,
    CatalogName,
    ChangeAnswer,
    PromoteAnswer,
)
from civit_mcp.models.records import FileRecord, VersionRecord
from civit_mcp.references import parse_reference
from civit_mcp.text import one_line
from civit_mcp.usecases.bounds import MOST_BYTES, size_of, take_within, with_short_diff
from civit_mcp.usecases.desk import Desk, on_disk
from civit_mcp.usecases.inventory import catalog_entry, catalog_text, list_catalog, summarise
from civit_mcp.usecases.resolve import RefArgument, version_id_of, version_with_parent

__all__ = [
    "MOST_REFERENCES",
    "Progress",
    "add_many_to_catalog",
    "add_to_catalog",
    "catalog_entry",
    "catalog_text",
    "edit_catalog_entry",
    "known_version",
    "list_catalog",
    "promote_to_lora",
    "remove_from_catalog",
    "summarise",
    "undo_catalog_change",
    "version_to_add",
]

#: references that one bulk add takes
MOST_REFERENCES: Final = 200
#: notes of a bulk add that stand above its rows, as they are about several
_SHARED_NOTES: Final = 8
#: bytes of the other parts of a bulk add's answer
_AROUND_ROWS: Final = 1_500
_AS_IT_STANDS: Final = "catalog://models.json and catalog://loras.json have the entry as it is now"
#: told how much of how much is done, and what; the number only grows
Progress = Callable[[float, float, str], Coroutine[Any, Any, None]]


async def add_to_catalog(
    desk: Desk, ref: RefArgument, file_id: int | None, *, dry_run: bool
) -> AddAnswer:
    """Write one version into models.json, unless a gate or the catalog says otherwise.

    What the catalog has needs no CivitAI to be told: it may be offline, or have lost the version.
    """
    known = await known_version(desk, ref)
    if known is not None:
        # the file is of no use but to be told from the entry's own
        asked = () if file_id is None else (FileRecord(id=file_id),)
        bare = VersionRecord(id=known, files=asked)
        answer = await on_disk(partial(desk.catalog.add, bare, file_id, dry_run=dry_run))
        if answer.status == "already_exists":
            return answer
    version = await version_to_add(desk, ref)
    answer = await on_disk(partial(desk.catalog.add, version, file_id, dry_run=dry_run))
    return with_short_diff(answer, "get_model_version has what the entry is made of")


async def add_many_to_catalog(
    desk: Desk,
    refs: Sequence[RefArgument],
    *,
    dry_run: bool,
    progress: Progress | None = None,
) -> AddAnswer:
    """Write up to two hundred versions as one change; one that fails hides no other.

    Raises:
        TooLarge: there are more references than one call takes.
    """
    if len(refs) > MOST_REFERENCES:
        raise TooLarge(
            f"{len(refs)} references in one call, at most {MOST_REFERENCES} are added",
            f"pass {MOST_REFERENCES} at a time",
        )
    versions: list[VersionRecord | CivitError] = [BadReference("not read")] * len(refs)
    done = 0

    async def read(index: int) -> None:
        nonlocal done
        try:
            versions[index] = await version_to_add(desk, refs[index])
        except CivitError as error:
            versions[index] = error
        done += 1
        if progress is not None:
            await progress(done, len(refs), f"read {done} of {len(refs)} versions")

    async with anyio.create_task_group() as group:
        for index in range(len(refs)):
            group.start_soon(read, index)
    read_ones = [version for version in versions if isinstance(version, VersionRecord)]
    requests = [(version, None) for version in read_ones]
    answers = await on_disk(partial(desk.catalog.add_many, requests, dry_run=dry_run))
    return _joined(refs, versions, answers, dry_run=dry_run)


def _joined(
    refs: Sequence[RefArgument],
    versions: Sequence[VersionRecord | CivitError],
    answers: list[AddAnswer],
    *,
    dry_run: bool,
) -> AddAnswer:
    said = Counter(note for answer in answers for note in dict.fromkeys(answer.notes))
    shared = [note for note, count in said.most_common(_SHARED_NOTES) if count > 1]
    rows: list[AddRow] = []
    following = iter(answers)
    for ref, version in zip(refs, versions, strict=True):
        shown = one_line(str(ref), 120)
        if isinstance(version, CivitError):
            rows.append(AddRow(reference=shown, status="failed", reason=str(version)))
            continue
        answer = next(following)
        rows.append(
            AddRow.model_validate(
                {
                    "reference": shown,
                    "status": answer.status,
                    "version_id": None if shown == str(version.id) else version.id,
                    "file": answer.file,
                    "category": answer.category,
                    "dest": None if answer.dest == answer.category else answer.dest,
                    "reason": answer.reason,
                    "notes": [note for note in answer.notes if note not in shared],
                }
            )
        )
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    first = answers[0] if answers else None
    whole = AddAnswer(
        status="done",
        counts=counts,
        change_id=first.change_id if first else None,
        diff=first.diff if first else None,
        dry_run=True if dry_run else None,
        notes=shared,
    )
    whole = with_short_diff(whole, "fewer version_ids in a call show theirs")
    page = take_within(rows, MOST_BYTES - size_of(whole) - _AROUND_ROWS)
    if len(page) == len(rows):
        return whole.model_copy(update={"items": rows})
    # what is in the catalog stays as it is when it is added again
    note = (
        f"{len(rows) - len(page)} more rows, which counts has too: the same call with the "
        f"references after '{page[-1].reference}' alone shows them, and adds nothing twice"
    )
    return whole.model_copy(update={"items": page, "notes": [*whole.notes, note]})


async def promote_to_lora(desk: Desk, ref: RefArgument, *, dry_run: bool) -> PromoteAnswer:
    """Move a LoRA from models.json into its shelf of loras.json."""
    version_id = await _catalogued_version(desk, ref)
    answer = await on_disk(partial(desk.catalog.promote, version_id, dry_run=dry_run))
    return with_short_diff(answer, _AS_IT_STANDS)


async def remove_from_catalog(
    desk: Desk,
    ref: RefArgument | None,
    file: str | None,
    catalog: CatalogName | None,
    *,
    dry_run: bool,
) -> ChangeAnswer:
    """Take an entry out of its file; the model's own file stays on the disk."""
    address = await _address(desk, ref, file, catalog)
    answer = await on_disk(partial(desk.catalog.remove, address, dry_run=dry_run))
    return with_short_diff(answer, _AS_IT_STANDS)


async def edit_catalog_entry(
    desk: Desk,
    ref: RefArgument | None,
    file: str | None,
    *,
    demote: bool,
    category: str | None,
    dest: str | None,
    fields: Mapping[str, Any],
    dry_run: bool,
) -> ChangeAnswer:
    """Demote an entry, move it, or write its optional fields: one of the three.

    Raises:
        BadReference: none of the three was asked for, or several.
    """
    moving = category is not None or dest is not None
    if demote + moving + bool(fields) != 1:
        raise BadReference(
            "an edit is one of three: demote, move (category, dest), or fields",
            "pass arguments of one kind in a call",
        )
    address = await _address(desk, ref, file, "loras" if demote else None)
    shelf: Catalog = desk.catalog
    if demote:
        work = partial(shelf.demote, address, dry_run=dry_run)
    elif moving:
        work = partial(shelf.move, address, category=category, dest=dest, dry_run=dry_run)
    else:
        work = partial(shelf.edit, address, fields, dry_run=dry_run)
    return with_short_diff(await on_disk(work), _AS_IT_STANDS)


async def undo_catalog_change(desk: Desk, change_id: str | None, *, dry_run: bool) -> ChangeAnswer:
    """Take a change back; without an id the newest that still holds."""
    answer = await on_disk(partial(desk.catalog.undo, change_id, dry_run=dry_run))
    return with_short_diff(answer, f"catalog_history names the files of change '{answer.undoes}'")


async def version_to_add(desk: Desk, ref: RefArgument) -> VersionRecord:
    """Read the version that a reference leads to.

    Raises:
        AboveLevel: the operator's cap forbids it.
        NotFound: CivitAI does not have it.
    """
    version = await version_with_parent(desk, await version_id_of(desk, ref))
    desk.forbid_above_cap(version.level_bits, f"version '{version.id}'")
    return version


async def _address(
    desk: Desk, ref: RefArgument | None, file: str | None, catalog: CatalogName | None
) -> Address:
    version_id = None if ref is None else await _catalogued_version(desk, ref)
    return Address(version_id=version_id, file=file, catalog=catalog)


async def known_version(desk: Desk, ref: RefArgument) -> int | None:
    """The version id of a reference that names a version the catalog has; else None."""
    parsed = parse_reference(ref, "version")
    snapshot = await desk.snapshot()
    entry = snapshot.by_version(parsed.version_id or parsed.id) or snapshot.by_sha256(parsed.hash)
    found = entry.version_id if entry is not None else None
    return int(found) if found is not None and found.isdecimal() else None


async def _catalogued_version(desk: Desk, ref: RefArgument) -> int | str:
    """Find the version that is meant among those of the catalog, before CivitAI is asked."""
    text = str(ref).strip()
    snapshot = await desk.snapshot()
    if text.isdecimal() and snapshot.by_version(text) is not None:
        return text
    parsed = parse_reference(ref, "version")
    if parsed.version_id is None and parsed.model_id is not None:
        wanted = str(parsed.model_id)
        ids = {
            entry.version_id
            for entry in snapshot.entries
            if entry.model_id == wanted and entry.version_id is not None
        }
        if len(ids) == 1:
            return ids.pop()
        if ids:
            raise BadReference(
                f"model '{wanted}' is in the catalog with versions {', '.join(sorted(ids))}",
                "pass the version_id of one",
            )
    entry = snapshot.by_sha256(parsed.hash)
    if entry is not None and entry.version_id is not None:
        return entry.version_id
    return await version_id_of(desk, ref)
