"""Walking CivitAI's pages: nothing lost, nothing repeated, never without end."""

import base64
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from civit_mcp.errors import BadReference, RateLimited
from civit_mcp.models.records import Page
from civit_mcp.usecases import cursors
from civit_mcp.usecases.directory import read_page, write_page
from civit_mcp.usecases.paging import MAX_PAGES, Place, Stretch, Trails, Walk


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


async def test_a_long_listing_repeats_nothing_and_is_remembered_once() -> None:
    shelf, trails = Shelf([[*range(n * 10, n * 10 + 10), 0] for n in range(100)]), Trails()
    found = await shelf.collect(5, trails)

    assert found == list(range(1000))
    # the rows and the cursors, and a fixed share for each of the 199 places
    assert trails.weight <= 1000 + 100 + 200 * 50


async def test_what_is_remembered_is_bounded_and_the_latest_goes_last() -> None:
    # each page repeats a row of three pages before
    pages = [[*range(n * 10, n * 10 + 10), max(n * 10 - 25, 0)] for n in range(190)]
    trails = Trails(2_000)
    found = await Shelf(pages).collect(10, trails)

    assert found == list(range(1900))
    assert 1_900 < trails.weight <= 2_000


async def test_a_page_too_long_to_be_remembered_is_read_all_the_same() -> None:
    shelf, trails = Shelf([list(range(300)), [300]]), Trails(100)
    walked = await shelf.way(300, trails).from_place(Place(None, 10))

    assert len(walked.rows) == 300
    assert trails.weight == 0


async def test_two_walks_of_one_listing_do_not_hide_rows_from_each_other() -> None:
    shelf, trails = Shelf([[1, 2, 3, 4], [5, 6, 7, 8]]), Trails()
    await shelf.collect(1, trails)

    assert await shelf.collect(3, trails) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_stretch_without_rows_is_not_free() -> None:
    trails, start = Trails(500), Place(None, 10)
    for number in range(30):
        stretch = Stretch(start, frozenset(), frozenset())
        trails.keep("numbers", Place(str(number), 10), stretch)

    assert 400 < trails.weight <= 500


def test_a_trail_in_a_circle_has_an_end() -> None:
    trails, here, there = Trails(), Place("a", 10), Place("b", 10)
    trails.keep("numbers", here, Stretch(there, frozenset({1}), frozenset()))
    trails.keep("numbers", there, Stretch(here, frozenset({2}), frozenset()))

    assert trails.find("numbers", here) == ({1, 2}, set())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=8,
)


@given(JSON | st.lists(JSON, max_size=4).map(lambda found: ["place", *found]))
def test_a_cursor_that_holds_anything_is_a_place_or_refused(values: object) -> None:
    text = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    try:
        place = Place.read(text, "search_models")
    except BadReference:
        return
    assert 1 <= place.size <= 200
    assert 0 <= place.row <= 200


@given(st.integers(1, 100_000))
def test_a_page_survives_being_written_down_and_is_no_place(page: int) -> None:
    assert read_page(write_page(page), "list_vault") == page
    with pytest.raises(BadReference, match="search_models"):
        Place.read(write_page(page), "search_models")


@pytest.mark.parametrize("page", [-1, 0, 100_001, 10**30])
def test_a_page_that_no_listing_has_is_refused(page: int) -> None:
    with pytest.raises(BadReference, match="list_vault"):
        read_page(write_page(page), "list_vault")


def test_a_cursor_of_one_kind_is_none_of_another() -> None:
    with pytest.raises(BadReference, match="list_vault"):
        read_page(cursors.write("entry", 3), "list_vault")
    with pytest.raises(BadReference, match="search_models"):
        Place.read(cursors.write("entry", None, 10, 0), "search_models")


@pytest.mark.parametrize("values", [[], [True], ["1"], [None], [1, 2]])
def test_a_page_is_a_single_number(values: list[str | int | None]) -> None:
    with pytest.raises(BadReference, match="list_vault"):
        read_page(cursors.write("page", *values), "list_vault")
