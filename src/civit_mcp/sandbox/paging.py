"""Pages over a list, with CivitAI's cursors.

A cursor names the position, the sort value and the id of the last row seen, joined with
`|`. Pages asked for by number also get a cursor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from civit_mcp.sandbox.call import Call, Reply, refuse

T = TypeVar("T")
#: marks the cursor of a page that is empty before the list goes on
_PAUSE = "!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(Generic[T]):
    """One page of rows and what its `metadata` says."""

    rows: Sequence[T]
    metadata: dict[str, Any]


class BadCursorError(ValueError):
    """A cursor that this list never gave out."""


def too_deep(page: int | None, limit: int) -> Reply | None:
    """Refuse pages past the thousandth row, for good."""
    if page is not None and page * limit > 1000:
        return refuse(429, "You've requested too many pages, please use cursors instead")
    return None


def cut(
    call: Call,
    rows: Sequence[T],
    *,
    limit: int,
    page: int | None,
    parse: Callable[[str], int],
    name: Callable[[int, T], str],
    page_links: bool = False,
) -> Cut[T]:
    """Cut the asked page; `parse` reads a cursor to a position, `name` makes one."""
    cursor = call.one("cursor")
    if cursor is not None and cursor.startswith(_PAUSE) and "empty-pages" in call.scenarios:
        after = cursor.removeprefix(_PAUSE)
        return Cut(rows=[], metadata=_links(call, after, None))
    start = parse(cursor) if cursor else ((page or 1) - 1) * limit
    found = rows[start : start + limit]
    metadata: dict[str, Any] = {}
    following: str | None = None
    if limit and start + limit < len(rows):
        following = name(start + limit, found[-1])
        if "empty-pages" in call.scenarios:
            following = _PAUSE + following
    if "repeat-cursor" in call.scenarios and rows and limit:
        # the first page's own cursor, again and again
        following = cursor or name(min(limit, len(rows)), rows[min(limit, len(rows)) - 1])
    if following is not None:
        metadata = _links(call, following, page if page_links and not cursor else None)
    if page is not None and not cursor:
        metadata |= {"currentPage": page, "pageSize": limit}
    return Cut(rows=found, metadata=metadata)


def _links(call: Call, cursor: str, page: int | None) -> dict[str, Any]:
    """CivitAI repeats the whole query here, a token too."""
    query = {key: list(values) for key, values in call.query.items()}
    if page is not None:
        query["page"] = [str(page + 1)]
    else:
        query["cursor"] = [cursor]
    link = f"{call.host_url}{call.path}?{urlencode(query, doseq=True)}"
    return {"nextCursor": cursor, "nextPage": link}
