"""What the catalog has: listed, summed up, one entry, its history."""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from civit_mcp.catalog import Change, Entry, Snapshot, undone
from civit_mcp.errors import BadReference, NotFound
from civit_mcp.models.base_models import look_up
from civit_mcp.models.catalogued import (
    CatalogName,
    EntryRow,
    HistoryAnswer,
    HistoryRow,
    ListAnswer,
    SummaryAnswer,
)
from civit_mcp.models.facts import CatalogStatus
from civit_mcp.text import one_line
from civit_mcp.usecases.bounds import take_within
from civit_mcp.usecases.desk import Desk, on_disk

#: file names shown of one change
_FILES_SHOWN = 5


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
    return await on_disk(
        partial(
            _listed,
            snapshot,
            catalog=catalog,
            category=category,
            query=query,
            base_model=base_model,
            status=status,
            limit=limit,
            start=read_cursor(cursor, "list_catalog"),
            root_notes=desk.root_notes,
        )
    )


def _listed(
    snapshot: Snapshot,
    *,
    catalog: CatalogName | None,
    category: str | None,
    query: str | None,
    base_model: str | None,
    status: CatalogStatus | None,
    limit: int,
    start: int,
    root_notes: Callable[[], list[str]],
) -> ListAnswer:
    if (catalog, category, query, base_model, status) == (None,) * 5:
        total, page = len(snapshot), snapshot.part(start, limit)
    else:
        entries = [
            entry
            for entry in snapshot.entries
            if (catalog is None or entry.catalog == catalog)
            and (category is None or category.casefold() in _category_words(entry))
            and (query is None or _mentions(entry, query))
            and (base_model is None or _same_base_model(entry, base_model))
            and (status is None or snapshot.status(entry) == status)
        ]
        total, page = len(entries), entries[start : start + limit]
    rows = take_within([entry_row(entry, snapshot) for entry in page])
    end = start + len(rows)
    notes = [] if total else _why_none(snapshot, catalog=catalog, category=category)
    if any(row.status == "missing" for row in rows):
        notes += root_notes()
    if len(rows) < len(page):
        notes.append("The page was cut to stay readable; next_cursor goes on where it ends")
    return ListAnswer(
        entries=rows,
        total=total,
        next_cursor=write_cursor(end) if end < total else None,
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
            notes=[
                *desk.root_notes(),
                *snapshot.roots.notes,
            ],
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
    return EntryRow(
        name=one_line(entry.name, 200),
        file=entry.file,
        dest=entry.dest,
        catalog=entry.catalog,
        category=entry.category_id,
        status=snapshot.status(entry),
        base_model=entry.base_model,
        size_gb=entry.size_gb,
        version_id=_as_number(entry.version_id),
        model_id=_as_number(entry.model_id),
        trigger_words=[one_line(word, 80) for word in entry.trigger_words[:8]],
        source=entry.source,
    )


def _as_number(text: str | None) -> int | str | None:
    """An id as a number where it is one; files of other programs hold other texts."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 16 else text


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


def write_cursor(position: int) -> str:
    """Spell a place in a list so that nobody takes it for a number to reckon with."""
    return base64.urlsafe_b64encode(f"e{position}".encode()).decode().rstrip("=")


def read_cursor(token: str | None, tool: str) -> int:
    """Where a cursor points; the beginning without one.

    Raises:
        BadReference: it is none of ours.
    """
    if token is None:
        return 0
    try:
        text = base64.urlsafe_b64decode((token + "=" * (-len(token) % 4)).encode("ascii")).decode()
        if text.startswith("e") and text[1:].isdecimal():
            return int(text[1:])
    except (ValueError, binascii.Error):
        pass
    raise BadReference(f"the cursor is not one that {tool} gave out", "leave it out to start again")


async def catalog_text(desk: Desk, name: CatalogName) -> str:
    """Read one catalog file exactly as it stands; an absent one is an empty catalog."""
    return await on_disk(partial(desk.catalog.raw, name))


async def catalog_history(desk: Desk, *, limit: int, cursor: str | None) -> HistoryAnswer:
    """List the changes that were made through civit-mcp, newest first."""
    start = read_cursor(cursor, "catalog_history")
    changes = await on_disk(desk.catalog.history)
    gone = undone(changes)
    newest = changes[::-1]
    page = newest[start : start + limit]
    end = start + len(page)
    return HistoryAnswer(
        changes=[_history_row(change, gone.get(change.id)) for change in page],
        total=len(changes),
        next_cursor=write_cursor(end) if end < len(changes) else None,
    )


def _history_row(change: Change, undone_by: str | None) -> HistoryRow:
    files = list(dict.fromkeys(change.files))
    return HistoryRow(
        change_id=change.id,
        time=change.time,
        verb=change.verb,
        version_id=change.version_id,
        files=[one_line(file, 120) for file in files[:_FILES_SHOWN]],
        entries=len(files) if len(files) > 1 else None,
        undoes=change.undoes,
        undone_by=undone_by,
    )


async def civitai_map(desk: Desk) -> dict[str, Any]:
    """Map version ids to entries and model ids to versions, as ComfyUI Studio's tools ask."""
    snapshot = await desk.snapshot()

    def build() -> dict[str, Any]:
        by_version: dict[str, Any] = {}
        by_model: dict[str, list[int]] = {}
        for entry in snapshot.entries:
            if entry.version_id is None or entry.version_id in by_version:
                continue
            row = entry_row(entry, snapshot)
            by_version[entry.version_id] = {
                "file": row.file,
                "dest": row.dest,
                "name": row.name,
                "base_model": row.base_model or "",
                "status": row.status,
                "civitai_model_id": row.model_id,
                "catalog": row.catalog,
            }
            if entry.model_id is not None and entry.version_id.isdecimal():
                by_model.setdefault(entry.model_id, []).append(int(entry.version_id))
        return {"by_version": by_version, "by_model": by_model}

    return await on_disk(build)


async def category_text(desk: Desk, name: CatalogName, category: str) -> str:
    """Read one category of a file as JSON; one that stands in two pieces is joined.

    Raises:
        NotFound: the file has no such category.
        CatalogUnreadable: the file is no catalog.
    """
    # the snapshot refuses what is no catalog; the text keeps what a snapshot does not show
    await desk.snapshot()

    def read() -> str | None:
        data = json.loads(desk.catalog.raw(name).removeprefix("\ufeff"), strict=False)
        found = [
            shelf
            for shelf in data.get("categories") or []
            if isinstance(shelf, dict) and str(shelf.get("id")) == category
        ]
        if not found:
            return None
        models = [model for shelf in found for model in shelf.get("models") or []]
        return json.dumps({**found[0], "models": models}, ensure_ascii=False)

    text = await on_disk(read)
    if text is None:
        raise NotFound(
            f"{name}.json has no category '{category[:80]}'", "read catalog://summary for the ids"
        )
    return text
