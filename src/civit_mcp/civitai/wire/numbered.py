"""Listings that are paged by number, whose counts are often not what they seem."""

from collections.abc import Callable
from typing import Any, TypeVar

from civit_mcp.civitai.wire.fields import count, expect, flag, items, obj, records, text
from civit_mcp.errors import UpstreamChanged
from civit_mcp.models.records import Json, PagedList

T = TypeVar("T")


def numbered_from(
    value: Any,
    read: Callable[[Json], T | None],
    *,
    page: int,
    about: str,
    limit: int | None = None,
    uncounted: bool = False,
) -> PagedList[T]:
    """Read page number `page`; a row that comes twice counts once.

    An empty page is the last. Else the end is where `hasMore` says so, then where the counts
    do; a listing without either goes on while its pages are full, and an `uncounted` one, in
    which totals of zero mean nothing, until a page is empty. A bare list is all there is.
    Raises `UpstreamChanged` when the answer holds no list of rows.
    """
    rows = value if isinstance(value, list) else expect(value, about=about).get("items")
    if not isinstance(rows, list):
        raise UpstreamChanged(f"CivitAI answered no list of items where {about} were expected")
    found = tuple(dict.fromkeys(records(rows, read)))
    if isinstance(value, list):
        return PagedList(items=found)
    # the vault counts beside its items, the others in an object of their own
    counts: Json = {**value, **obj(value.get("metadata"))}
    more = bool(rows) and _more(counts, len(rows), page, limit, uncounted=uncounted)
    return PagedList(
        items=found,
        next_page=page + 1 if more else None,
        total=_total(counts, uncounted=uncounted),
    )


def _more(counts: Json, rows: int, page: int, limit: int | None, *, uncounted: bool) -> bool:
    more = flag(counts.get("hasMore"))
    if more is not None:
        return more
    if text(counts.get("nextPage")):
        return True
    total, pages = count(counts.get("totalItems")), count(counts.get("totalPages"))
    if total and pages:
        return page < pages
    if total and limit:
        return page * limit < total
    return uncounted or (limit is not None and rows >= limit)


def _total(counts: Json, *, uncounted: bool) -> int | None:
    total = count(counts.get("totalItems"))
    # beside `hasMore`, the total is only what has been counted so far
    if flag(counts.get("hasMore")) is not None or (uncounted and not total):
        return None
    return total


def rows_of(value: Any, *, about: str) -> list[Any]:
    """Give the rows of a whole list, bare or under `items`. Else `UpstreamChanged`."""
    if isinstance(value, dict) and isinstance(value.get("items"), list):
        value = value["items"]
    if not isinstance(value, list):
        raise UpstreamChanged(f"CivitAI answered no list where {about} were expected")
    return items(value)
