"""What the catalog has: listed, summed up, one entry."""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from civit_mcp.catalog import Entry, Snapshot
from civit_mcp.errors import NotFound
from civit_mcp.models.base_models import look_up
from civit_mcp.models.catalogued import (
    CatalogName,
    EntryRow,
    ListAnswer,
    SummaryAnswer,
)
from civit_mcp.models.facts import CatalogStatus
from civit_mcp.models.ids import plain_id
from civit_mcp.text import one_line
from civit_mcp.usecases import cursors
from civit_mcp.usecases.bounds import MOST_BYTES, take_within, texts_within
from civit_mcp.usecases.desk import Desk, on_disk
from civit_mcp.usecases.rows import WORD_PIECE, are_cut, short_words, whole_words, words_note

#: categories named where one that was asked for is not there
_CATEGORIES_SHOWN: Final = 40
#: beyond any catalog, and a number that every program can hold
_MOST_ENTRIES: Final = 2**53
#: bytes of trigger words of an entry that is all of a page
WORDS_ALONE: Final = MOST_BYTES - 4_000
_CUT: Final = "The page was cut to stay readable; next_cursor goes on where it ends"


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
    if len(page) == 1:
        rows = [_alone(page[0], snapshot)]
    else:
        rows = take_within([entry_row(entry, snapshot) for entry in page])
    end = start + len(rows)
    notes = [] if total else _why_none(snapshot, catalog=catalog, category=category)
    if any(row.status == "missing" for row in rows):
        notes += root_notes()
    if len(rows) < len(page):
        notes.append(_CUT)
    if are_cut(rows):
        notes.append(words_note(_where_words_are(page)))
    return ListAnswer(
        entries=rows,
        total=total,
        next_cursor=write_cursor(end) if end < total else None,
        notes=notes,
    )


def _alone(entry: Entry, snapshot: Snapshot) -> EntryRow:
    """An entry that is all of a page: with every trigger word for which there is room."""
    row = entry_row(entry, snapshot)
    words = [one_line(word, WORD_PIECE) for word in entry.trigger_words]
    shown = texts_within(words, WORDS_ALONE)
    more = len(words) - len(shown) or None
    return row.model_copy(update={"trigger_words": shown, "more_words": more})


def _where_words_are(page: list[Entry]) -> str:
    if len(page) > 1:
        return "an entry listed alone (query = its file, limit 1)"
    (entry,) = page
    return f"catalog://{entry.catalog}/{entry.category_id}"


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
    row = await on_disk(partial(entry_row, entry, snapshot))
    # a resource is read by whoever wants all of it
    return row.model_copy(update={"more_words": None, **whole_words(entry.trigger_words)})


def entry_row(entry: Entry, snapshot: Snapshot) -> EntryRow:
    """One entry as the tools show it."""
    return EntryRow(
        name=one_line(entry.name, 200),
        file=entry.file,
        dest=entry.dest,
        catalog=entry.catalog,
        category=entry.category_id,
        status=snapshot.status(entry),
        base_model=one_line(entry.base_model, 80) or None,
        # a small file's size is 0.0 in the catalog, which is no size
        size_gb=entry.size_gb or None,
        version_id=plain_id(entry.version_id),
        model_id=plain_id(entry.model_id),
        **short_words(entry.trigger_words),
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
            there = ", ".join(one_line(name, 80) for name in known[:_CATEGORIES_SHOWN])
            if len(known) > _CATEGORIES_SHOWN:
                there += f" and {len(known) - _CATEGORIES_SHOWN} more, see catalog://summary"
            return [f"No entry is in category '{category[:60]}'; there are: {there}"]
    return ["No entry fits all filters; drop one"]


def write_cursor(position: int) -> str:
    """Spell a place in a list of the catalog's."""
    return cursors.write("entry", position)


def read_cursor(token: str | None, tool: str) -> int:
    """Where a cursor points; the beginning without one.

    Raises:
        BadReference: it is none of ours.
    """
    if token is None:
        return 0
    return cursors.number("entry", token, tool, least=0, most=_MOST_ENTRIES)


async def catalog_text(desk: Desk, name: CatalogName) -> str:
    """Read one catalog file exactly as it stands; an absent one is an empty catalog."""
    return await on_disk(partial(desk.catalog.raw, name))


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
