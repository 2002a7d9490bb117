"""Walking CivitAI's pages: nothing lost, nothing repeated, never without end."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from civit_mcp.errors import BadReference, RateLimited
from civit_mcp.models.records import Page
from civit_mcp.usecases.paging import MAX_PAGES, Place, Trails, Walk


class Row(BaseModel):
    id: int
    text: str = ""


class Shelf:
    """A listing as CivitAI gives it: pages by cursor, each as it happens to be."""

    def __init__(self, pages: Sequence[Sequence[int]], *, loops: bool = False) -> None:
        self.pages, self.loops = pages, loops
        self.asked: list[Place] = []
        self.breaks_at: int | None = None

    async def read(self, place: Place) -> Page[int]:
        self.asked.append(place)
        index = int(place.cursor or 0)
        if index == self.breaks_at:
            raise RateLimited("CivitAI asked for fewer requests")
        following = index + 1
        if following == len(self.pages):
            following = (len(self.pages) // 2 or -1) if self.loops else -1
        cursor = None if following < 0 else str(following)
        return Page(items=tuple(self.pages[index]), next_cursor=cursor)

    async def collect(self, limit: int, trails: Trails, keep: int = 1) -> list[int]:
        found: list[int] = []
        place: Place | None = Place(None, 10)
        for _ in range(200):
            assert place is not None
            walked = await self.way(limit, trails, keep).from_place(place)
            assert len(walked.rows) <= limit
            found += [row.id for row in walked.rows]
            if walked.next_cursor is None:
                return found
            place = Place.read(walked.next_cursor, "test")
        raise AssertionError("the listing has no end")

    def way(self, limit: int, trails: Trails, keep: int = 1) -> Walk[int, Row]:
        return Walk(
            read=self.read,
            make=lambda number: Row(id=number) if number % keep == 0 else None,
            identity=lambda number: number,
            listing="numbers",
            trails=trails,
            limit=limit,
            wide=10,
        )


@settings(deadline=None)
@given(
    pages=st.lists(st.lists(st.integers(1, 40), max_size=12), min_size=1, max_size=12),
    limit=st.integers(1, 15),
    keep=st.integers(1, 4),
    loops=st.booleans(),
)
async def test_every_fitting_row_comes_exactly_once_whatever_the_pages(
    pages: list[list[int]], limit: int, keep: int, *, loops: bool
) -> None:
    found = await Shelf(pages, loops=loops).collect(limit, Trails(), keep)

    assert len(found) == len(set(found))
    assert set(found) == {number for page in pages for number in page if number % keep == 0}


async def test_rows_that_civitai_repeats_on_a_later_page_come_once() -> None:
    shelf = Shelf([[1, 2, 3], [3, 4, 5], [5, 1, 6]])

    assert await shelf.collect(2, Trails()) == [1, 2, 3, 4, 5, 6]


async def test_a_forgotten_trail_costs_a_repeated_row_and_loses_none() -> None:
    shelf = Shelf([[1, 2, 3], [3, 4]])
    first = await shelf.way(3, Trails()).from_place(Place(None, 10))
    assert first.following is not None
    second = await shelf.way(3, Trails()).from_place(first.following)

    assert [row.id for row in first.rows + second.rows] == [1, 2, 3, 3, 4]


async def test_the_same_cursor_gives_the_same_page_again() -> None:
    shelf, trails = Shelf([[1, 2, 3, 4], [5, 6]]), Trails()
    first = await shelf.way(3, trails).from_place(Place(None, 10))
    assert first.following is not None
    again = [await shelf.way(2, trails).from_place(first.following) for _ in range(3)]

    assert [[row.id for row in walked.rows] for walked in again] == [[4, 5]] * 3


async def test_one_call_reads_a_bounded_number_of_pages_and_says_where_it_stopped() -> None:
    shelf = Shelf([[number] for number in range(1, 31)])
    walked = await shelf.way(5, Trails(), keep=4).from_place(Place(None, 10))

    assert len(shelf.asked) == MAX_PAGES
    assert [row.id for row in walked.rows] == [4]
    assert walked.following is not None
    assert walked.notes(5) == ["Stopped after looking at 5 rows; next_cursor looks further"]


async def test_a_failure_later_on_keeps_what_was_found_and_the_place() -> None:
    shelf, trails = Shelf([[1, 2], [3, 4]]), Trails()
    shelf.breaks_at = 1
    walked = await shelf.way(4, trails).from_place(Place(None, 10))

    assert [row.id for row in walked.rows] == [1, 2]
    assert "[rate_limited]" in walked.notes(4)[0]
    shelf.breaks_at = None
    assert walked.following is not None
    rest = await shelf.way(4, trails).from_place(walked.following)
    assert [row.id for row in rest.rows] == [3, 4]


async def test_a_failure_at_once_is_raised() -> None:
    shelf = Shelf([[1]])
    shelf.breaks_at = 0

    with pytest.raises(RateLimited):
        await shelf.way(4, Trails()).from_place(Place(None, 10))


async def test_rows_stop_before_the_answer_gets_too_long() -> None:
    shelf = Shelf([list(range(1, 21))])
    way = Walk(
        read=shelf.read,
        make=lambda number: Row(id=number, text="x" * 1000),
        identity=lambda number: number,
        listing="long",
        trails=Trails(),
        limit=20,
        wide=10,
        budget=5_000,
    )
    first = await way.from_place(Place(None, 20))
    assert first.following is not None
    second = await way.from_place(first.following)

    assert [row.id for row in first.rows] == [1, 2, 3, 4]
    assert [row.id for row in second.rows] == [5, 6, 7, 8]
    assert first.notes(20) == ["Cut after 4 rows to stay readable; next_cursor goes on"]


@given(st.text() | st.binary().map(bytes.hex))
def test_a_made_up_cursor_is_refused(text: str) -> None:
    try:
        place = Place.read(text, "search_models")
    except BadReference:
        return
    assert Place.read(place.token(), "x") == place


@given(st.none() | st.text(), st.integers(1, 200), st.integers(0, 200))
def test_a_place_survives_being_written_down(cursor: str | None, size: int, row: int) -> None:
    place = Place(cursor, size, row)

    assert Place.read(place.token(), "search_models") == place
