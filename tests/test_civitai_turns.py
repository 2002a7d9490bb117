"""Callers take turns: one who asks for much keeps nobody else from asking."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import respx
from hypothesis import example, given
from hypothesis import strategies as st

from civit_mcp.app import App
from civit_mcp.catalog import Catalog
from civit_mcp.civitai import CivitaiClient, RetryPolicy, asking_for
from civit_mcp.civitai.flights import Flights
from civit_mcp.civitai.turns import Turns
from civit_mcp.config import Settings
from civit_mcp.errors import RateLimited, UpstreamUnavailable
from civit_mcp.server import create_server
from civit_mcp.usecases.desk import Desk
from tests.civitai_support import BASE, HandClock, TurnedClock, client, settle, until
from tests.http_kit import OTHER, TOKEN, bearer, modern, served
from tests.traps.kit import VERSIONS, at_civitai, version_body

MODELS = f"{BASE}/api/v1/models/"
COMES, JOINS, ENDS, LEAVES = "comes", "joins", "ends", "leaves"
#: rounds of the event loop after which nothing is under way
SETTLED = 8
STEPS = st.lists(
    st.tuples(
        st.sampled_from([COMES, COMES, ENDS, LEAVES]),
        st.integers(0, 3),
        st.sampled_from([1, 2, SETTLED]),
    ),
    max_size=60,
)


class Crowd:
    """Askers of several lines at some places, and who got a place in which order."""

    def __init__(self, places: int) -> None:
        self.turns = Turns(places)
        self.places = places
        self.waiting: list[tuple[int, int]] = []
        self.holding: dict[tuple[int, int], asyncio.Event] = {}
        self.tasks: dict[tuple[int, int], asyncio.Task[None]] = {}
        #: who got a place while whom else waited
        self.given: list[tuple[tuple[int, int], list[tuple[int, int]]]] = []

    def comes(self, line: int) -> None:
        who = (line, len(self.tasks))
        self.tasks[who] = asyncio.create_task(self._ask(who))

    def ends(self, number: int) -> None:
        for who in list(self.holding)[number : number + 1]:
            self.holding[who].set()

    def leaves(self, number: int) -> None:
        for who in self.waiting[number : number + 1]:
            self.tasks[who].cancel()

    async def _ask(self, who: tuple[int, int]) -> None:
        over = asyncio.Event()
        self.waiting.append(who)
        try:
            with asking_for(who[0]):
                async with self.turns.turn():
                    self.waiting.remove(who)
                    self.given.append((who, list(self.waiting)))
                    self.holding[who] = over
                    await over.wait()
        finally:
            self.holding.pop(who, None)
            if who in self.waiting:
                self.waiting.remove(who)

    async def is_over(self) -> None:
        for _ in range(len(self.tasks) + 1):
            for over in self.holding.values():
                over.set()
            await moment()
        assert all(task.done() for task in self.tasks.values())


async def moment(rounds: int = SETTLED) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)


def standing(turns: Turns) -> int:
    """How many stand in lines; a question of several callers counts in each of theirs."""
    assert all(turns._lines.values())
    return sum(len(line) for line in turns._lines.values())


async def played(places: int, steps: list[tuple[str, int, int]]) -> Crowd:
    crowd = Crowd(places)
    for what, number, rounds in steps:
        # some leave in the very moment in which a place is given to them
        settled = what == COMES or rounds == SETTLED
        await moment(SETTLED if settled else rounds)
        assert len(crowd.holding) <= places
        assert not settled or len(crowd.holding) == places or not crowd.waiting
        assert not settled or standing(crowd.turns) == len(crowd.waiting)
        getattr(crowd, what)(number)
    await crowd.is_over()
    assert not crowd.waiting
    return crowd


@given(places=st.integers(1, 3), steps=STEPS)
@example(
    places=1,
    steps=[
        (COMES, 0, SETTLED),
        (COMES, 0, SETTLED),
        (ENDS, 0, SETTLED),
        # the place is given to the one who leaves before they notice
        (LEAVES, 0, 1),
        (COMES, 0, SETTLED),
        (ENDS, 0, SETTLED),
    ],
)
def test_whoever_comes_and_goes_no_line_is_passed_twice_by_another(
    places: int, steps: list[tuple[str, int, int]]
) -> None:
    crowd = asyncio.run(played(places, steps))

    passed: Counter[tuple[int, int]] = Counter()
    for (line, number), waiting in crowd.given:
        # within a line the first goes first
        assert all(later > number for other, later in waiting if other == line)
        firsts = {other: min(n for o, n in waiting if o == other) for other, _ in waiting}
        for other, first in firsts.items():
            if other != line:
                passed[(first, line)] += 1
    assert not passed or max(passed.values()) == 1


class Sharing:
    """Askers of several lines who ask questions together, at one place."""

    def __init__(self) -> None:
        self.turns, self.flights = Turns(1), Flights[None]()
        #: by question, who waits for it
        self.waiting: dict[int, Counter[int]] = {}
        self.tasks: list[tuple[int, int, asyncio.Task[Any]]] = []
        self.holding: list[asyncio.Event] = []
        #: which lines got a place while which others waited, and for what they waited
        self.given: list[tuple[set[int], dict[int, set[int]]]] = []
        self.asked = 0

    def comes(self, line: int) -> None:
        self.asked += 1
        self._ask(line, self.asked)

    def joins(self, line: int) -> None:
        for question in list(self.waiting)[-1:]:
            self._ask(line, question)

    def ends(self, _: int) -> None:
        for over in self.holding[:1]:
            over.set()

    def leaves(self, number: int) -> None:
        for _, _, task in [entry for entry in self.tasks if entry[1] in self.waiting][number:][:1]:
            task.cancel()

    def _ask(self, line: int, question: int) -> None:
        self.waiting.setdefault(question, Counter())[line] += 1
        with asking_for(line):
            join = self.flights.join(str(question), lambda: self._call(question))
            task = asyncio.create_task(join)
        self.tasks.append((line, question, task))
        task.add_done_callback(lambda _: self._left(line, question))

    def _left(self, line: int, question: int) -> None:
        if question in self.waiting:
            self.waiting[question] -= Counter([line])
            if not self.waiting[question]:
                del self.waiting[question]

    async def _call(self, question: int) -> None:
        async with self.turns.turn():
            lines = set(self.waiting.pop(question))
            others: dict[int, set[int]] = {}
            for other, askers in self.waiting.items():
                for asker in askers:
                    others.setdefault(asker, set()).add(other)
            self.given.append((lines, others))
            over = asyncio.Event()
            self.holding.append(over)
            try:
                await over.wait()
            finally:
                self.holding.remove(over)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([COMES, COMES, JOINS, ENDS, LEAVES]), st.integers(0, 3)),
        max_size=60,
    )
)
def test_whoever_joins_whom_a_line_that_waits_has_a_turn_in_every_round(
    steps: list[tuple[str, int]],
) -> None:
    async def play() -> Sharing:
        sharing = Sharing()
        for what, number in steps:
            getattr(sharing, what)(number)
            await moment()
            assert sharing.holding or not sharing.waiting
            assert standing(sharing.turns) == sum(map(len, sharing.waiting.values()))
        for _ in steps:
            sharing.ends(0)
            await moment()
        assert all(task.done() for _, _, task in sharing.tasks)
        return sharing

    passed: Counter[int] = Counter()
    for lines, waiting in asyncio.run(play()).given:
        for line in range(4):
            passed[line] = passed[line] + 1 if line in waiting and line not in lines else 0
        # the three others, each of them once
        assert max(passed.values()) <= 3


def found(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"id": int(request.url.path.rpartition("/")[2])})


class Door:
    """A host that answers a question when the test says so; it may live in another thread."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self._answer = answer
        self._held: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._lock = threading.Lock()
        self._open = False
        self.seen: list[str] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        let_through = asyncio.Event()
        with self._lock:
            self.seen.append(request.url.path.rpartition("/")[2])
            if self._open:
                let_through.set()
            self._held.append((asyncio.get_running_loop(), let_through))
        await let_through.wait()
        return self._answer(request)

    def let_through(self) -> None:
        with self._lock:
            loop, event = self._held.pop(0)
        loop.call_soon_threadsafe(event.set)

    def open(self) -> None:
        with self._lock:
            self._open = True
        while self._held:
            self.let_through()

    async def until_asked_for(self, what: str) -> int:
        """Let questions through one by one until this one comes; how many came before it."""
        while what not in self.seen:
            asked = len(self.seen)
            self.let_through()
            await until(lambda asked=asked: len(self.seen) > asked)  # type: ignore[misc] # bound now
        return self.seen.index(what)


async def test_one_question_of_another_caller_passes_hundreds_of_one(
    respx_mock: respx.MockRouter,
) -> None:
    door = Door(found)
    respx_mock.get(url__startswith=MODELS).mock(side_effect=door)
    async with client() as civitai:
        with asking_for("who asks for much"):
            flood = [asyncio.create_task(civitai.model(n)) for n in range(1, 201)]
        await until(lambda: len(door.seen) == 16)
        await settle()
        with asking_for("who asks once"):
            once = asyncio.create_task(civitai.model(999))
        await settle()
        # the line of the other was first, so one of theirs goes before
        assert await door.until_asked_for("999") == 17
        door.open()
        assert (await once).id == 999
        assert len(await asyncio.gather(*flood)) == 200


def asks(civitai: CivitaiClient, who: str, *numbers: int) -> list[asyncio.Task[Any]]:
    with asking_for(who):
        return [asyncio.create_task(civitai.model(number)) for number in numbers]


async def test_a_question_that_another_asks_too_comes_in_the_turn_of_either(
    respx_mock: respx.MockRouter,
) -> None:
    door = Door(found)
    respx_mock.get(url__startswith=MODELS).mock(side_effect=door)
    async with client(max_concurrency=1) as civitai:
        asking = asks(civitai, "who asks for much", *range(1, 101))
        await until(lambda: door.seen == ["1"])
        await settle()
        # one that waits already, and one that has not come to its line yet
        asking += asks(civitai, "who asks for two", 100)
        asking += asks(civitai, "who asks for much", 101)
        asking += asks(civitai, "who asks for two", 101)
        await settle()
        door.open()
        await asyncio.wait_for(asyncio.gather(*asking), 10)
    assert door.seen[:5] == ["1", "2", "100", "3", "101"]
    assert sorted(map(int, door.seen)) == list(range(1, 102))


async def test_a_question_leaves_every_line_with_its_first_turn(
    respx_mock: respx.MockRouter,
) -> None:
    door = Door(found)
    respx_mock.get(url__startswith=MODELS).mock(side_effect=door)
    async with client(max_concurrency=1) as civitai:
        asking = asks(civitai, "a", 1, 2, 3, 4)
        await until(lambda: door.seen == ["1"])
        await settle()
        asking += asks(civitai, "b", 3, 5, 6)
        await settle()
        door.open()
        await asyncio.wait_for(asyncio.gather(*asking), 10)
    # the third is the turn of b, and costs a none
    assert door.seen == ["1", "2", "3", "4", "5", "6"]


async def test_who_leaves_a_question_to_others_has_it_in_their_line_no_more(
    respx_mock: respx.MockRouter,
) -> None:
    door = Door(found)
    respx_mock.get(url__startswith=MODELS).mock(side_effect=door)
    async with client(max_concurrency=1) as civitai:
        first, leaving, *asking = asks(civitai, "a", 1, 3, 2)
        await until(lambda: door.seen == ["1"])
        await settle()
        asking += asks(civitai, "b", 4)
        await settle()
        asking += asks(civitai, "b", 3)
        await settle()
        leaving.cancel()
        await settle()
        door.open()
        await asyncio.wait_for(asyncio.gather(first, *asking), 10)
    assert leaving.cancelled()
    assert door.seen == ["1", "2", "4", "3"]


async def test_who_asks_twice_and_leaves_once_still_asks(respx_mock: respx.MockRouter) -> None:
    door = Door(found)
    respx_mock.get(url__startswith=MODELS).mock(side_effect=door)
    async with client(max_concurrency=1) as civitai:
        first, leaving, *asking = asks(civitai, "a", 1, 2, 2, 3)
        await until(lambda: door.seen == ["1"])
        await settle()
        asking += asks(civitai, "b", 4, 2)
        await settle()
        leaving.cancel()
        await settle()
        door.open()
        await asyncio.wait_for(asyncio.gather(first, *asking), 10)
    assert door.seen == ["1", "2", "4", "3"]


# whose fault it is when time runs out

#: real seconds: long enough to bring a question to its line, on a busy machine too
SHORT = RetryPolicy(total=2.0)


async def test_a_backlog_of_our_own_is_not_held_against_the_host(
    respx_mock: respx.MockRouter,
) -> None:
    door, clock = Door(found), HandClock()
    respx_mock.get(url__startswith=MODELS).mock(side_effect=door)
    async with client(clock, retry=SHORT, max_concurrency=8) as civitai:
        await civitai.prepare()
        asking = [asyncio.create_task(civitai.model(n)) for n in range(1, 41)]
        await until(lambda: len(door.seen) == 8)
        await settle()
        # the first eight are answered late, and the next eight leave a moment before the end
        clock.seconds += 59
        for _ in range(8):
            door.let_through()
        await until(lambda: len(door.seen) == 16)
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        door.open()
        assert (await civitai.model(999)).id == 999

    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert [type(outcome) for outcome in refused] == [RateLimited] * 32
    assert all("this server has more to ask CivitAI than it may at once" in str(e) for e in refused)
    assert sum("the rest was too short" in str(outcome) for outcome in refused) >= 8
    assert any("was not sent" in str(outcome) for outcome in refused)


async def test_a_host_that_had_its_time_and_is_silent_is_left_alone(
    respx_mock: respx.MockRouter,
) -> None:
    door = Door(found)
    respx_mock.get(url__startswith=MODELS).mock(side_effect=door)
    async with client(retry=SHORT, max_concurrency=8) as civitai:
        await civitai.prepare()
        asking = (civitai.model(n) for n in range(1, 9))
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        with pytest.raises(UpstreamUnavailable, match="was not asked"):
            await civitai.model(999)

    assert all("did not finish the answer" in str(outcome) for outcome in outcomes)


@pytest.mark.parametrize("alive", [True, False])
async def test_a_try_that_failed_counts_unless_somebody_was_answered_since(
    respx_mock: respx.MockRouter, alive: bool
) -> None:
    taken, clock = asyncio.Event(), TurnedClock()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/50"):
            taken.set()
            await asyncio.Event().wait()
        if request.url.path.endswith(("/60", "/61")):
            return found(request)
        raise httpx.ConnectError("refused")

    route = respx_mock.get(url__startswith=MODELS).mock(side_effect=answer)
    retry = replace(SHORT, first_wait=0.01)
    async with client(clock, retry=retry, max_concurrency=1) as civitai:
        await civitai.prepare()
        failed = [asyncio.create_task(civitai.model(n)) for n in range(1, 6)]
        await until(lambda: len(clock.sleepers) == 5)
        if alive:
            await civitai.model(60)
        # the only place is taken when they come for their second try
        blocking = asyncio.create_task(civitai.model(50))
        await taken.wait()
        await clock.turn(1)
        clock.seconds += 59
        outcomes = await asyncio.gather(*failed, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {RateLimited}
        blocking.cancel()
        await asyncio.gather(blocking, return_exceptions=True)
        asked = route.call_count
        with nullcontext() if alive else pytest.raises(UpstreamUnavailable, match="was not asked"):
            await civitai.model(61)
    assert route.call_count == asked + alive


# over HTTP


@pytest.fixture
def door() -> Iterator[Door]:
    """CivitAI, holding every question about a version back."""

    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.path.rpartition("/")[2])
        return httpx.Response(200, json=version_body(id=number))

    with respx.mock(assert_all_called=False) as router:
        door = Door(answer)
        router.get(url__startswith=f"{BASE}{VERSIONS}/").mock(side_effect=door)
        router.route().mock(return_value=httpx.Response(404, json={"error": "not here"}))
        yield door


async def test_a_token_that_asks_for_much_does_not_keep_another_waiting(
    settings: Settings, tmp_path: Path, door: Door
) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"{TOKEN}\n{OTHER}\n", "utf-8")
    chosen = at_civitai(settings).model_copy(update={"token_file": path})
    app = App(chosen)
    # waits for the budget pass in no time
    civitai = CivitaiClient(chosen, clock=HandClock())
    app.__dict__["desk"] = Desk(chosen, civitai, Catalog(chosen.catalog_dir, chosen.models_root))
    server = create_server(chosen, app=app)
    begun: list[object] = []

    async def counted(ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        begun.append(ctx.method)
        return await call_next(ctx)

    server.middleware.append(counted)

    async def ask(token: str, version_id: int) -> bool:
        arguments = {"version_id": version_id}
        headers, body = modern("tools/call", name="get_model_version", arguments=arguments)
        answer = await http.post(f"{base}/mcp", json=body, headers={**headers, **bearer(token)})
        return answer.json()["result"]["isError"] is False

    limits = httpx2.Limits(max_connections=300)
    with served(chosen, server=server) as base:
        async with httpx2.AsyncClient(timeout=60, limits=limits) as http:
            flood = [asyncio.create_task(ask(TOKEN, 60_000 + n)) for n in range(200)]
            await until(lambda: len(begun) == 200 and len(door.seen) == 16)
            once = asyncio.create_task(ask(OTHER, 999))
            await until(lambda: len(begun) == 201)
            # it begins, and comes to its line some moments later
            before = await door.until_asked_for("999")
            door.open()
            assert await once
            assert all(await asyncio.gather(*flood))

    assert before < 16 + 30
