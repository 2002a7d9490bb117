"""How fast questions leave, and whom a pause holds back."""

import asyncio
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.civitai import CivitaiClient, ModelQuery, RetryPolicy
from civit_mcp.civitai.pace import Lane, Pace, PacePolicy, lane_of
from civit_mcp.civitai.seam import Timeouts
from civit_mcp.civitai.transport import Call, Transport
from civit_mcp.errors import RateLimited
from tests.civitai_support import BASE, HandClock, TurnedClock, client, settings, settle, until

SEARCH = f"{BASE}/api/v1/models"
MODEL = f"{BASE}/api/v1/models/7"
IMAGE = f"{BASE}/api/trpc/image.get"
FOUND = httpx.Response(200, json={"items": [], "metadata": {}})


def pace(clock: HandClock, **values: Any) -> Pace:
    return Pace(PacePolicy(**values), longest_wait=30.0, clock=clock)


def limited(seconds: str | None) -> httpx.Response:
    headers = {"Retry-After": seconds} if seconds else {}
    return httpx.Response(429, headers=headers, json={"error": "slow down"})


def others(router: respx.MockRouter) -> None:
    router.get(MODEL).mock(return_value=httpx.Response(200, json={"id": 7}))
    image = {"result": {"data": {"json": {"id": 7, "url": "x"}}}}
    router.get(IMAGE).mock(return_value=httpx.Response(200, json=image))


async def search(civitai: CivitaiClient, words: str) -> None:
    await civitai.search_models(ModelQuery(query=words))


@pytest.mark.parametrize(
    ("path", "lane"),
    [
        ("/api/v1/models", "search"),
        ("/api/v1/images", "search"),
        ("/api/v1/models/7", "REST"),
        ("/api/v1/model-versions/by-hash", "REST"),
        ("/api/trpc/image.get", "tRPC"),
    ],
)
def test_each_pool_of_civitai_is_a_lane(path: str, lane: Lane) -> None:
    assert lane_of(path) == lane


async def test_a_burst_passes_at_once_and_then_a_rate_holds(
    respx_mock: respx.MockRouter,
) -> None:
    route = respx_mock.get(url__startswith=f"{BASE}/api/v1/models/").mock(
        side_effect=lambda request: httpx.Response(
            200, json={"id": int(request.url.path.rsplit("/", 1)[-1])}
        )
    )
    clock = TurnedClock()
    policy = PacePolicy()
    async with client(clock, max_concurrency=500) as civitai:
        await civitai.prepare()
        asking = [asyncio.create_task(civitai.model(n)) for n in range(1, policy.burst + 61)]
        await until(lambda: route.call_count == policy.burst)
        await settle()
        assert route.call_count == policy.burst
        await clock.turn(1.0)
        assert policy.rate - 2 <= route.call_count - policy.burst <= policy.rate
        await clock.turn(60.0)
        assert {(await task).id for task in asking} == set(range(1, policy.burst + 61))


@given(
    rate=st.floats(0.5, 100),
    burst=st.integers(1, 50),
    idle=st.lists(st.floats(0, 10), min_size=1, max_size=60),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_no_stretch_of_time_sees_more_than_the_budget(
    rate: float, burst: int, idle: list[float], chance: float
) -> None:
    clock = HandClock()
    clock.chance = lambda: chance  # type: ignore[method-assign]
    budget = pace(clock, rate=rate, burst=burst)
    left: list[float] = []

    async def leave() -> None:
        for seconds in idle:
            clock.seconds += seconds
            await budget.token()
            left.append(clock.seconds)

    asyncio.run(leave())
    for first, start in enumerate(left):
        for last in range(first, len(left)):
            allowed = burst + rate * (left[last] - start)
            assert last - first + 1 <= allowed + 0.01


async def test_those_who_leave_the_line_cost_the_others_nothing() -> None:
    clock = TurnedClock()
    budget = pace(clock, rate=10, burst=1)
    await budget.token()
    waiting = [asyncio.create_task(budget.token()) for _ in range(200)]
    await settle()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    late = asyncio.create_task(budget.token())
    await settle()
    await clock.turn(0.2)
    assert late.done()


async def test_a_429_with_retry_after_delays_exactly_the_callers_it_must(
    respx_mock: respx.MockRouter,
) -> None:
    others(respx_mock)
    route = respx_mock.get(SEARCH).mock(side_effect=[limited("10"), FOUND, FOUND, FOUND])
    clock = TurnedClock()
    async with client(clock) as civitai:
        first = asyncio.create_task(search(civitai, "a"))
        await until(lambda: len(clock.sleepers) == 1)
        more = [asyncio.create_task(search(civitai, words)) for words in ("b", "c")]
        await until(lambda: len(clock.sleepers) == 3)
        assert (await civitai.model(7)).id == 7
        assert (await civitai.image(7)).id == 7
        await clock.turn(9.99)
        assert route.call_count == 1
        assert not any(task.done() for task in (first, *more))
        await clock.turn(1.01)
        await asyncio.wait_for(asyncio.gather(first, *more), 5)
        assert route.call_count == 4
        assert clock.seconds == 11


async def test_who_waits_for_a_connection_hears_of_the_pause_too(
    respx_mock: respx.MockRouter,
) -> None:
    others(respx_mock)
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def answer(_: httpx.Request) -> httpx.Response:
        arrived.set()
        if not gate.is_set():
            await gate.wait()
            return limited("10")
        return FOUND

    route = respx_mock.get(SEARCH).mock(side_effect=answer)
    clock = TurnedClock()
    async with client(clock, max_concurrency=1) as civitai:
        asking = [asyncio.create_task(search(civitai, words)) for words in "abc"]
        await until(arrived.is_set)
        await settle()
        gate.set()
        await until(lambda: len(clock.sleepers) == 3)
        assert route.call_count == 1
        assert (await civitai.model(7)).id == 7
        await clock.turn(11)
        await asyncio.wait_for(asyncio.gather(*asking), 5)


async def test_who_waits_for_the_budget_hears_of_the_pause_too_and_pays_once(
    respx_mock: respx.MockRouter,
) -> None:
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/models":
            arrived.set()
            await gate.wait()
            return limited("25")
        return FOUND

    asked = respx_mock.route().mock(side_effect=answer)
    clock = TurnedClock()
    line = Transport(
        settings(),
        max_concurrency=16,
        timeouts=Timeouts(),
        retry=RetryPolicy(limited_retries=0),
        clock=clock,
        # a share takes 20 seconds, which this clock's chance makes 30
        pace=PacePolicy(rate=0.05, burst=1),
    )
    await line.prepare()
    first = asyncio.create_task(line.ask(Call(about="models", path="/api/v1/models")))
    await until(arrived.is_set)
    second = asyncio.create_task(line.ask(Call(about="tags", path="/api/v1/tags")))
    await until(lambda: len(clock.sleepers) == 1)
    await clock.turn(20)
    gate.set()
    with pytest.raises(RateLimited):
        await first
    # its share comes at 30, and the lane is closed until 45
    await clock.turn(24.9)
    assert (asked.call_count, second.done()) == (1, False)
    await clock.turn(0.6)
    await asyncio.wait_for(second, 5)
    assert asked.call_count == 2
    await line.aclose()


def test_a_client_that_was_closed_while_some_waited_may_be_used_by_another_loop(
    respx_mock: respx.MockRouter,
) -> None:
    respx_mock.route().mock(return_value=httpx.Response(200, json={}))
    clock = TurnedClock()
    line = Transport(
        settings(),
        max_concurrency=16,
        timeouts=Timeouts(),
        retry=RetryPolicy(),
        clock=clock,
        pace=PacePolicy(rate=1, burst=1),
    )

    async def ask_three(kind: str) -> None:
        asking = [
            asyncio.create_task(line.ask(Call(about="tags", path=f"/api/v1/{kind}/{n}")))
            for n in range(3)
        ]
        await until(lambda: len(clock.sleepers) == 1)
        # the third stands behind the one who waits for a share
        await settle()
        await clock.turn(10)
        await asyncio.wait_for(asyncio.gather(*asking), 5)
        await line.aclose()

    asyncio.run(ask_three("tags"))
    clock.seconds = 0
    asyncio.run(ask_three("models"))


async def test_a_pause_that_is_too_long_is_told_instead_of_waited_for(
    respx_mock: respx.MockRouter,
) -> None:
    others(respx_mock)
    route = respx_mock.get(SEARCH).mock(side_effect=[limited("120"), FOUND])
    clock = HandClock()
    async with client(clock) as civitai:
        with pytest.raises(RateLimited, match="wait 120 seconds"):
            await search(civitai, "a")
        clock.seconds += 20
        with pytest.raises(RateLimited, match=r"search.*wait 100 seconds and call again"):
            await search(civitai, "b")
        assert route.call_count == 1
        assert (await civitai.model(7)).id == 7
        assert clock.sleeps == []
        clock.seconds += 101
        await search(civitai, "b")
    assert route.call_count == 2


@pytest.mark.parametrize(
    "answer",
    [
        limited(None),
        httpx.Response(503, headers={"Retry-After": "20"}, json={"error": "busy"}),
        httpx.Response(429, headers={"Retry-After": "20"}, json={"error": "too many pages"}),
    ],
    ids=["a 429 without a time", "a busy pool", "the page cap"],
)
async def test_other_refusals_hold_nobody_else_back(
    respx_mock: respx.MockRouter, answer: httpx.Response
) -> None:
    respx_mock.get(SEARCH, params__contains={"query": "a"}).mock(return_value=answer)
    respx_mock.get(SEARCH, params__contains={"query": "b"}).mock(return_value=FOUND)
    clock = TurnedClock()
    async with client(clock) as civitai:
        first = asyncio.create_task(search(civitai, "a"))
        await until(lambda: bool(clock.sleepers) or first.done())
        await asyncio.wait_for(search(civitai, "b"), 5)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_no_header_closes_a_lane_for_good() -> None:
    clock = HandClock()
    guard = pace(clock)
    guard.close("REST", 1e12)
    guard.close("REST", 1)
    assert guard.closed_for("REST") == 3600
    assert guard.closed_for("search") == 0
    clock.seconds += 3601
    assert guard.closed_for("REST") == 0


async def test_who_waits_too_long_for_a_turn_hears_that_nothing_was_sent(
    respx_mock: respx.MockRouter,
) -> None:
    route = respx_mock.get(SEARCH).mock(return_value=limited("10"))
    retry = RetryPolicy(limited_retries=0, total=2.0)
    async with client(TurnedClock(), retry=retry) as civitai:
        with pytest.raises(RateLimited):
            await search(civitai, "a")
        with pytest.raises(RateLimited, match=r"waited its turn .* and was not sent") as caught:
            await search(civitai, "b")

    assert route.call_count == 1
    assert caught.value.next_step == "ask for less at once, or call again in 2 seconds"
