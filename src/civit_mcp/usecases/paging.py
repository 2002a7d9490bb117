"""Filling a page of ours from pages of CivitAI's, so that nothing is lost or repeated.

CivitAI's pages are cut before some filters apply, may be empty in the middle of a listing,
repeat rows of the page before, and now and then give a cursor that was given already. A walk
reads on until its own page is full, remembers the row at which it stopped, and knows which
rows and cursors a listing has had so far.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from cachetools import LRUCache
from pydantic import BaseModel

from civit_mcp.errors import CivitError
from civit_mcp.models.records import Page
from civit_mcp.usecases import cursors
from civit_mcp.usecases.bounds import MOST_BYTES, size_of

R = TypeVar("R")
Row = TypeVar("Row", bound=BaseModel)

#: pages of CivitAI that one call may read while it fills a page of ours
MAX_PAGES: Final = 5
_MOST_ROWS: Final = 200
#: ids and cursors remembered of all listings together
_MOST_REMEMBERED: Final = 100_000
#: what a stretch weighs beside its ids and cursors
_STRETCH_ITSELF: Final = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Where to go on: CivitAI's cursor, its page size, and the row within that page."""

    cursor: str | None
    size: int
    row: int = 0

    def token(self) -> str:
        """Write the place down for `next_cursor`."""
        return cursors.write("place", self.cursor, self.size, self.row)

    @staticmethod
    def read(token: str, tool: str) -> "Place":
        """Read what `token` wrote.

        Raises:
            BadReference: `tool` never gave out such a text.
        """
        match cursors.read("place", token, tool):
            case [(None | str()) as cursor, size, row] if (
                type(size) is int
                and type(row) is int
                and 1 <= size <= _MOST_ROWS
                and 0 <= row <= _MOST_ROWS
            ):
                return Place(cursor, size, row)
        raise cursors.foreign(tool)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one walk had: ids of rows, CivitAI's cursors, and the place where it began."""

    before: Place
    ids: frozenset[int]
    cursors: frozenset[str]

    @property
    def weight(self) -> int:
        """Its share of what is remembered; an empty one counts too."""
        return _STRETCH_ITSELF + len(self.ids) + len(self.cursors)


class Trails:
    """The trails of recent listings: each place leads back to the one before.

    What a listing has had is kept once, however many of its places are known, and all of
    them together are bounded. A forgotten stretch costs a repeated row, nothing worse.
    """

    def __init__(self, most: int = _MOST_REMEMBERED) -> None:
        """Begin with none; `most` bounds ids and cursors of all listings together."""
        self._kept: LRUCache[tuple[Hashable, Place], Stretch] = LRUCache(
            most, getsizeof=lambda stretch: stretch.weight
        )

    @property
    def weight(self) -> int:
        """How much is remembered now."""
        return int(self._kept.currsize)

    def find(self, listing: Hashable, place: Place) -> tuple[set[int], set[str]]:
        """Ids and cursors that `listing` has had before `place`; the sets are the caller's."""
        ids: set[int] = set()
        had: set[str] = set()
        way: dict[Place, None] = {}
        # the same place twice: the way was half forgotten, and walked again in a circle
        while place not in way and (listing, place) in self._kept:
            way[place] = None
            place = self._kept[(listing, place)].before
        # from its beginning, so that the oldest is the first to be forgotten
        for known in reversed(way):
            stretch = self._kept[(listing, known)]
            ids |= stretch.ids
            had |= stretch.cursors
        return ids, had

    def keep(self, listing: Hashable, place: Place, stretch: Stretch) -> None:
        """Remember what `listing` has had since `stretch.before`, on the way to `place`."""
        if stretch.weight <= self._kept.maxsize:
            self._kept[(listing, place)] = stretch


@dataclass(slots=True)
class Walked(Generic[Row]):
    """What a walk came to."""

    #: in order; never more than asked for, never more than an answer holds
    rows: list[Row] = field(default_factory=list)
    #: where the next walk begins; None at the end
    following: Place | None = None
    #: why it ended early; the rows before it are good
    failure: CivitError | None = None
    #: rows of CivitAI's that were looked at
    seen: int = 0
    #: the answer had no room for a row that fits
    full: bool = False

    @property
    def next_cursor(self) -> str | None:
        """The token of the place that follows."""
        return self.following.token() if self.following else None

    def notes(self, limit: int) -> list[str]:
        """What a reader should know about how it ended."""
        if self.failure is not None:
            return [f"{self.failure} The rows are good as far as they go; next_cursor goes on"]
        if self.full:
            return [f"Cut after {len(self.rows)} rows to stay readable; next_cursor goes on"]
        if self.rows and self.following is not None and len(self.rows) < limit:
            return [f"Stopped after looking at {self.seen} rows; next_cursor looks further"]
        return []


@dataclass(frozen=True, kw_only=True)
class Walk(Generic[R, Row]):
    """How one listing is walked."""

    #: asks CivitAI for the page at a place
    read: Callable[[Place], Awaitable[Page[R]]]
    #: makes a row of ours; None for what does not fit
    make: Callable[[R], Row | None]
    identity: Callable[[R], int | None]
    #: what is listed, whatever the page
    listing: Hashable
    trails: Trails
    limit: int
    #: page size after the first page
    wide: int
    #: the order in which one page of CivitAI is walked; always the same for the same page
    order: Callable[[Sequence[R]], Sequence[R]] = lambda rows: rows
    #: bytes of all rows together
    budget: int = MOST_BYTES - 2_000

    async def from_place(self, start: Place) -> Walked[Row]:
        """Collect up to `limit` rows over at most `MAX_PAGES` pages of CivitAI.

        Raises:
            CivitError: CivitAI did not answer, and nothing had been collected by then.
        """
        old_ids, old_cursors = self.trails.find(self.listing, start)
        ids, had = set(old_ids), set(old_cursors)
        walked: Walked[Row] = Walked()
        place = start
        for _ in range(MAX_PAGES):
            try:
                page = await self.read(place)
            except CivitError as error:
                if not walked.rows:
                    raise
                walked.failure = error
                walked.following = place
                break
            if place.cursor is not None:
                had.add(place.cursor)
            stopped = self._take(walked, self.order(page.items), place, ids)
            walked.following = stopped or _after(page, had, self.wide)
            if stopped or walked.following is None or len(walked.rows) >= self.limit:
                break
            place = walked.following
        if walked.following is not None:
            walk = Stretch(start, frozenset(ids - old_ids), frozenset(had - old_cursors))
            self.trails.keep(self.listing, walked.following, walk)
        return walked

    def _take(
        self, walked: Walked[Row], records: Sequence[R], place: Place, ids: set[int]
    ) -> Place | None:
        """Move fitting rows over; the place of the first one for which there is no room."""
        spent = sum(size_of(row) + 1 for row in walked.rows)
        for index in range(place.row, len(records)):
            own = self.identity(records[index])
            if own is not None and own in ids:
                continue
            here = Place(place.cursor, place.size, index)
            if len(walked.rows) == self.limit:
                return here
            row = self.make(records[index])
            if row is not None:
                spent += size_of(row) + 1
                if walked.rows and spent > self.budget:
                    walked.full = True
                    return here
                walked.rows.append(row)
            walked.seen += 1
            if own is not None:
                ids.add(own)
        return None


def _after(page: Page[R], had: set[str], wide: int) -> Place | None:
    """Go to the next page; a cursor that was there before is the end."""
    if page.next_cursor is None or page.next_cursor in had:
        return None
    return Place(page.next_cursor, wide)
