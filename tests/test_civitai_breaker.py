"""A host that is down is left alone, and noticed when it is back."""

import asyncio
import contextlib

import httpx
import pytest
import respx

from civit_mcp.civitai import CivitaiClient
from civit_mcp.civitai.breaker import Breaker, BreakerPolicy
from civit_mcp.errors import CivitError, NotFound, UpstreamUnavailable
from tests.civitai_support import BASE, HandClock, TurnedClock, client, settle, until

MODELS = f"{BASE}/api/v1/models/"
DOWN = httpx.ConnectError("refused")
BUSY = httpx.Response(503, json={"error": "busy"})


def found(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"id": int(request.url.path.rsplit("/", 1)[-1])})


async def fail(civitai: CivitaiClient, times: int) -> None:
    for number in range(1, times + 1):
        with pytest.raises(CivitError):
            await civitai.model(number)


@pytest.mark.parametrize(
    "trouble",
    [DOWN, httpx.ReadTimeout("x"), BUSY, httpx.Response(500), httpx.Response(501)],
    ids=["nobody there", "silence", "503", "500", "501"],
)
async def test_a_dead_host_is_left_alone_after_a_few_questions(
    respx_mock: respx.MockRouter, trouble: httpx.Response | Exception
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        if isinstance(trouble, Exception):
            raise trouble
        return trouble

    route = respx_mock.get(url__startswith=MODELS).mock(side_effect=answer)
    clock = HandClock()
    async with client(clock) as civitai:
        await fail(civitai, 5)
        asked, slept = route.call_count, len(clock.sleeps)
        with pytest.raises(UpstreamUnavailable) as caught:
            await civitai.model(9)
    assert route.call_count == asked
    assert len(clock.sleeps) == slept
    assert "'civitai.com' was not asked: it has not answered since 12:00:" in caught.value.what
    assert "5 questions in a row failed" in caught.value.what
    assert "the next try is at 12:00:" in caught.value.what
    assert caught.value.next_step == "try again in 15 seconds"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429])
async def test_a_refusal_is_a_sign_of_life(respx_mock: respx.MockRouter, status: int) -> None:
    route = respx_mock.get(url__startswith=MODELS).mock(return_value=httpx.Response(status))
    async with client() as civitai:
        await fail(civitai, 12)
        asked = route.call_count
        await fail(civitai, 1)
    assert route.call_count > asked


@pytest.mark.parametrize("status", [200, 404])
async def test_one_answer_among_failures_starts_the_count_anew(
    respx_mock: respx.MockRouter, status: int
) -> None:
    alive = respx_mock.get(f"{MODELS}77").mock(
        return_value=httpx.Response(status, json={"id": 77, "error": "x"})
    )
    respx_mock.get(url__startswith=MODELS).mock(side_effect=DOWN)
    async with client() as civitai:
        for count in (1, 2, 3):
            await fail(civitai, 4)
            with contextlib.suppress(NotFound):
                await civitai.model(77)
            assert alive.call_count == count


async def test_a_hiccup_that_every_question_meets_once_opens_nothing(
    respx_mock: respx.MockRouter,
) -> None:
    met: set[str] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path in met:
            return found(request)
        met.add(request.url.path)
        return BUSY

    respx_mock.get(url__startswith=MODELS).mock(side_effect=answer)
    async with client() as civitai:
        models = await asyncio.gather(*(civitai.model(n) for n in range(1, 31)))
    assert [model.id for model in models] == list(range(1, 31))


async def test_after_the_pause_one_question_tries_the_host_once(
    respx_mock: respx.MockRouter,
) -> None:
    route = respx_mock.get(url__startswith=MODELS).mock(side_effect=DOWN)
    clock = HandClock()
    async with client(clock) as civitai:
        await fail(civitai, 5)
        for pause in (15, 30, 60, 120, 120):
            asked = route.call_count
            clock.seconds += pause - 1
            await fail(civitai, 1)
            assert route.call_count == asked
            clock.seconds += 1
            await fail(civitai, 3)
            assert route.call_count == asked + 1
        clock.seconds += 120
        route.mock(side_effect=found)
        assert (await civitai.model(7)).id == 7
        # and everything is as before
        route.mock(side_effect=DOWN)
        await fail(civitai, 4)
        asked = route.call_count
        await fail(civitai, 1)
        assert route.call_count == asked + 4


async def test_while_one_question_tries_the_host_the_others_are_refused(
    respx_mock: respx.MockRouter,
) -> None:
    route = respx_mock.get(url__startswith=MODELS).mock(side_effect=DOWN)
    clock = HandClock()
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        arrived.set()
        await gate.wait()
        return found(request)

    async with client(clock) as civitai:
        await fail(civitai, 5)
        clock.seconds += 16
        route.mock(side_effect=answer)
        trial = asyncio.create_task(civitai.model(7))
        await until(arrived.is_set)
        with pytest.raises(UpstreamUnavailable, match="another question is finding") as caught:
            await civitai.model(8)
        assert not caught.value.sent
        gate.set()
        assert (await trial).id == 7
        assert (await civitai.model(8)).id == 8


async def test_a_trial_that_is_given_up_makes_room_for_the_next(
    respx_mock: respx.MockRouter,
) -> None:
    route = respx_mock.get(url__startswith=MODELS).mock(side_effect=DOWN)
    clock = HandClock()
    arrived = asyncio.Event()

    async def never(_: httpx.Request) -> httpx.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with client(clock) as civitai:
        await fail(civitai, 5)
        clock.seconds += 16
        route.mock(side_effect=never)
        trial = asyncio.create_task(civitai.model(7))
        await until(arrived.is_set)
        trial.cancel()
        await asyncio.gather(trial, return_exceptions=True)
        await settle()
        route.mock(side_effect=found)
        assert (await civitai.model(7)).id == 7


async def test_those_who_wait_in_line_hear_that_the_host_is_down(
    respx_mock: respx.MockRouter,
) -> None:
    route = respx_mock.get(url__startswith=MODELS).mock(side_effect=DOWN)
    async with client(max_concurrency=1) as civitai:
        outcomes = await asyncio.gather(
            *(civitai.model(n) for n in range(1, 101)), return_exceptions=True
        )
    assert {type(outcome) for outcome in outcomes} == {UpstreamUnavailable}
    assert route.call_count < 100


async def test_those_who_fail_late_do_not_make_the_pause_longer() -> None:
    clock = TurnedClock()
    breaker = Breaker("h", BreakerPolicy(failures=2), clock)
    with breaker.passing() as a, breaker.passing() as b, breaker.passing() as c:
        a.failed("x")
        b.failed("x")
        clock.seconds = 10
        c.failed("x")
    with pytest.raises(UpstreamUnavailable, match="try again in 5 seconds"), breaker.passing():
        raise AssertionError
    clock.seconds = 15
    with breaker.passing() as trial:
        assert trial.trial
        trial.check()


def test_a_question_that_waited_is_told_when_the_breaker_opens_meanwhile() -> None:
    breaker = Breaker("h", BreakerPolicy(failures=1), HandClock())
    with breaker.passing() as waiting, breaker.passing() as other:
        waiting.check()
        other.failed("x")
        with pytest.raises(UpstreamUnavailable):
            waiting.check()
