"""The user's catalog: add, promote, list, sum up."""

import base64
import binascii
from collections import Counter
from functools import partial
from typing import Any

from civit_mcp.catalog import Entry, Snapshot
from civit_mcp.errors import BadReference, NotFound
from civit_mcp.models.base_models import look_up
from civit_mcp.models.catalogued import (
    AddAnswer,
    CatalogName,
    EntryRow,
    ListAnswer,
    PromoteAnswer,
    SummaryAnswer,
)
from civit_mcp.models.facts import CatalogStatus
from civit_mcp.text import one_line
from civit_mcp.usecases.desk import NO_ROOT_NOTE, Desk, on_disk
from civit_mcp.usecases.resolve import RefArgument, version_id_of, version_with_parent


async def add_to_catalog(
    desk: Desk, ref: RefArgument, file_id: int | None, *, dry_run: bool
) -> AddAnswer:
    """Write one version into models.json, unless a gate or the catalog says otherwise."""
    version = await version_with_parent(desk, await version_id_of(desk, ref))
    desk.forbid_above_cap(version.level_bits, f"version '{version.id}'")
    return await on_disk(partial(desk.catalog.add, version, file_id, dry_run=dry_run))


async def promote_to_lora(desk: Desk, ref: RefArgument, *, dry_run: bool) -> PromoteAnswer:
    """Move a LoRA from models.json into its shelf of loras.json."""
    version_id = await version_id_of(desk, ref)
    return await on_disk(partial(desk.catalog.promote, version_id, dry_run=dry_run))


async def list_catalog(
    desk: Desk,
    *,
    catalog: CatalogName | None,
    category: str | None,
    query: str | None,
    base_model: str | None,
    status: CatalogStatus | None,
    limit: int,
    cursor: str | None,
) -> ListAnswer:
    """List entries that fit every filter, in the order of the files."""
    snapshot = await desk.snapshot()
    start = _read_cursor(cursor)
    entries = [
        entry
        for entry in snapshot.entries
        if (catalog is None or entry.catalog == catalog)
        and (category is None or category.casefold() in _category_words(entry))
        and (query is None or _mentions(entry, query))
        and (base_model is None or _same_base_model(entry, base_model))
    ]
    if status is not None:
        entries = await on_disk(
            lambda: [entry for entry in entries if snapshot.status(entry) == status]
        )
    page = entries[start : start + limit]
    rows = await on_disk(lambda: [entry_row(entry, snapshot) for entry in page])
    end = start + len(page)
    notes = [] if entries else _why_none(snapshot, catalog=catalog, category=category)
    if any(row.status == "missing" for row in rows) and desk.settings.models_root is None:
        notes.append(NO_ROOT_NOTE)
    return ListAnswer(
        entries=rows,
        total=len(entries),
        next_cursor=_write_cursor(end) if end < len(entries) else None,
        notes=notes,
    )


async def summarise(desk: Desk) -> SummaryAnswer:
    """Count the catalog by category, family and status."""
    snapshot = await desk.snapshot()

    def count() -> SummaryAnswer:
        return SummaryAnswer(
            files={
                name: {
                    "path": str(info.path),
                    "exists": info.exists,
                    "version": info.version,
                    "date": info.date,
                    "categories": {c.id: c.count for c in snapshot.categories if c.catalog == name},
                }
                for name, info in snapshot.documents.items()
            },
            total=len(snapshot.entries),
            by_status=dict(Counter(snapshot.status(entry) for entry in snapshot.entries)),
            by_family=dict(Counter(look_up(e.base_model).family for e in snapshot.entries)),
            last_change=_change_facts(snapshot),
            notes=[] if desk.settings.models_root else [NO_ROOT_NOTE],
        )

    return await on_disk(count)


def _change_facts(snapshot: Snapshot) -> dict[str, Any] | None:
    change = snapshot.last_change
    if change is None:
        return None
    return {
        "change_id": change.id,
        "time": change.time,
        "verb": change.verb,
        "version_id": change.version_id,
    }


async def catalog_entry(desk: Desk, version_id: str) -> EntryRow:
    """Read the entry of one version.

    Raises:
        NotFound: neither file has it.
    """
    snapshot = await desk.snapshot()
    entry = snapshot.by_version(version_id)
    if entry is None:
        raise NotFound(
            f"version '{version_id}' is not in the catalog", "add it with add_to_catalog"
        )
    return await on_disk(partial(entry_row, entry, snapshot))


def entry_row(entry: Entry, snapshot: Snapshot) -> EntryRow:
    """One entry as the tools show it."""
    version_id = entry.version_id
    return EntryRow(
        name=one_line(entry.name, 200),
        file=entry.file,
        dest=entry.dest,
        catalog=entry.catalog,
        category=entry.category_id,
        status=snapshot.status(entry),
        base_model=entry.base_model,
        size_gb=entry.size_gb,
        version_id=int(version_id) if version_id and version_id.isdecimal() else version_id,
        model_id=entry.model_id,
        trigger_words=[one_line(word, 80) for word in entry.trigger_words[:8]],
        source=entry.source,
    )


def _category_words(entry: Entry) -> tuple[str, str]:
    return entry.category_id.casefold(), entry.category_name.casefold()


def _mentions(entry: Entry, query: str) -> bool:
    text = " ".join((entry.name, entry.file, *entry.trigger_words, entry.version_id or ""))
    return all(word in text.casefold() for word in query.casefold().split())


def _same_base_model(entry: Entry, wanted: str) -> bool:
    """A base model by any spelling, or a family by its name."""
    row = look_up(entry.base_model)
    return wanted.casefold() in (
        (entry.base_model or "").casefold(),
        row.name.casefold(),
        row.family,
    ) or (look_up(wanted).name.casefold() == row.name.casefold())


def _why_none(
    snapshot: Snapshot, *, catalog: CatalogName | None, category: str | None
) -> list[str]:
    if not snapshot.entries:
        return ["The catalog is empty; add_to_catalog puts the first entry in"]
    if category is not None:
        known = sorted(
            {e.category_id for e in snapshot.entries if catalog is None or e.catalog == catalog}
        )
        if category.casefold() not in {name.casefold() for name in known}:
            return [f"No entry is in category '{category[:60]}'; there are: {', '.join(known)}"]
    return ["No entry fits all filters; drop one"]


def _write_cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"e{position}".encode()).decode().rstrip("=")


def _read_cursor(token: str | None) -> int:
    if token is None:
        return 0
    try:
        text = base64.urlsafe_b64decode((token + "=" * (-len(token) % 4)).encode("ascii")).decode()
        if text.startswith("e") and text[1:].isdecimal():
            return int(text[1:])
    except (ValueError, binascii.Error):
        pass
    raise BadReference(
        "the cursor is not one that list_catalog gave out", "leave it out to start again"
    )


async def catalog_text(desk: Desk, name: CatalogName) -> str:
    """Read one catalog file exactly as it stands; an absent one is an empty catalog."""
    return await on_disk(partial(desk.catalog.raw, name))
