"""Clients for several accounts in one server: one visitor to CivitAI, strangers to each other."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import anyio.lowlevel
import httpx
import pytest
import respx

from civit_mcp.civitai import CivitaiClient
from civit_mcp.errors import RateLimited, Unauthorized, UpstreamUnavailable
from tests.civitai_support import BASE, HandClock, TurnedClock, client, settings, settle, until

MODELS = f"{BASE}/api/v1/models/"
FRESH = {"Cache-Control": "public, s-maxage=300"}


def of(main: CivitaiClient, key: str, **values: Any) -> CivitaiClient:
    """A client for another account."""
    return CivitaiClient(
        settings(civitai_api_key=key, **values), beside=main, key_name="X-Civitai-Api-Key"
    )


def answer(request: httpx.Request) -> httpx.Response:
    number = int(request.url.path.rpartition("/")[2])
    # a whole key would be taken out of the answer
    name = request.headers.get("authorization", "nobody")[-2:]
    return httpx.Response(200, json={"id": number, "name": name}, headers=FRESH)


async def test_the_budget_is_one_for_all_keys(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(url__startswith=MODELS).mock(side_effect=answer)
    clock = TurnedClock()
    async with client(clock, max_concurrency=200) as main:
        others = [of(main, f"key-of-caller-{n}") for n in range(100)]
        asking = asyncio.gather(*(other.model(n + 1) for n, other in enumerate(others)))
        while len(respx_mock.calls) < 64:
            await settle()
        await settle()
        sent_at_once = len(respx_mock.calls)
        while not asking.done():
            await clock.turn(1)
    assert sent_at_once == 64
    assert clock.seconds >= 1


async def test_the_requests_of_all_keys_together_stay_within_the_bound(
    respx_mock: respx.MockRouter,
) -> None:
    now = most = 0

    async def slowly(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        # the first ones wait for each other: 30 networks are not made in one moment
        await until(lambda: most == 3)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        now -= 1
        return answer(request)

    respx_mock.get(url__startswith=MODELS).mock(side_effect=slowly)
    async with client(max_concurrency=3) as main:
        await asyncio.gather(*(of(main, f"key-of-caller-{n}").model(n + 1) for n in range(30)))
    assert most == 3


async def test_a_client_that_closes_while_others_wait_lets_no_more_of_them_through(
    respx_mock: respx.MockRouter,
) -> None:
    now = most = 0
    answering = asyncio.Event()

    async def held_back(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await answering.wait()
        now -= 1
        return answer(request)

    respx_mock.get(url__startswith=MODELS).mock(side_effect=held_back)
    async with client(max_concurrency=2) as main:
        first = asyncio.gather(*(main.model(n) for n in range(1, 5)))
        while now < 2:
            await settle()
        await of(main, "key-of-caller-1").aclose()
        others = asyncio.gather(*(main.model(n) for n in range(5, 9)))
        await settle()
        answering.set()
        await asyncio.gather(first, others)
    assert most == 2


async def test_a_client_keeps_no_larger_answers_in_memory_than_it_is_told(
    respx_mock: respx.MockRouter,
) -> None:
    route = respx_mock.get(url__startswith=MODELS).mock(side_effect=answer)
    async with client() as main:
        small = CivitaiClient(settings(), clock=HandClock(), beside=main, cache_bytes=10)
        for _ in range(2):
            await small.model(7)
        assert route.call_count == 2


async def test_a_pause_that_civitai_asks_one_key_for_holds_for_all(
    respx_mock: respx.MockRouter,
) -> None:
    route = respx_mock.get(url__startswith=MODELS)
    route.mock(return_value=httpx.Response(429, headers={"Retry-After": "600"}))
    async with client() as main:
        for asking in (of(main, "key-of-caller-1"), of(main, "key-of-caller-2"), main):
            with pytest.raises(RateLimited):
                await asking.model(7)
    assert route.call_count == 1


async def test_a_host_that_is_down_for_one_key_is_down_for_all(
    respx_mock: respx.MockRouter,
) -> None:
    route = respx_mock.get(url__startswith=MODELS).mock(side_effect=httpx.ConnectError("no"))
    async with client() as main:
        first = of(main, "key-of-caller-1")
        for number in range(1, 6):
            with pytest.raises(UpstreamUnavailable):
                await first.model(number)
        asked = route.call_count
        with pytest.raises(UpstreamUnavailable, match="was not asked"):
            await of(main, "key-of-caller-2").model(7)
    assert route.call_count == asked


async def test_what_one_key_is_told_no_other_hears_from_memory_or_from_the_file(
    respx_mock: respx.MockRouter, tmp_path: Path
) -> None:
    respx_mock.get(url__startswith=MODELS).mock(side_effect=answer)
    place: dict[str, Any] = {"cache_dir": tmp_path}
    # as a caller comes back later: what memory held is gone, and the file is not
    for _ in range(2):
        async with client(HandClock(), **place) as main:
            clients = [
                main,
                of(main, "key-of-caller-1", **place),
                of(main, "key-of-caller-2", **place),
            ]
            for asking in clients:
                names = [(await asking.model(7)).name for _ in range(2)]
                assert len(set(names)) == 1
            found = {(await asking.model(7)).name for asking in clients}
            assert found == {"dy", "-1", "-2"}


async def test_one_file_is_opened_by_one_thread_for_all(
    respx_mock: respx.MockRouter, tmp_path: Path
) -> None:
    respx_mock.get(url__startswith=MODELS).mock(side_effect=answer)
    async with client(cache_dir=tmp_path) as main:
        for number in range(10):
            await of(main, f"key-of-caller-{number}", cache_dir=tmp_path).model(7)
        writers = [t.name for t in threading.enumerate() if t.name.startswith("civit-mcp-answers")]
    assert len(writers) == 1


async def test_a_client_that_closes_leaves_those_beside_it_at_work(
    respx_mock: respx.MockRouter, tmp_path: Path
) -> None:
    respx_mock.get(url__startswith=MODELS).mock(side_effect=answer)
    clock = TurnedClock()
    async with client(clock, max_concurrency=200, cache_dir=tmp_path) as main:
        other = of(main, "key-of-caller-1", cache_dir=tmp_path)
        asking = asyncio.gather(*(main.model(n) for n in range(1, 81)))
        while len(respx_mock.calls) < 64:
            await settle()
        # some stand in line for the budget now
        await other.aclose()
        while not asking.done():
            await clock.turn(1)
        assert len(await asking) == 80


async def test_a_refused_key_is_named_by_where_it_came_from(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(url__startswith=MODELS).mock(return_value=httpx.Response(401, json={}))
    async with client(civitai_api_key="key-of-the-operator") as main:
        with pytest.raises(Unauthorized, match=r"set CIVITAI_API_KEY to it and restart"):
            await main.model(7)
        with pytest.raises(Unauthorized, match=r"send it in X-Civitai-Api-Key\."):
            await of(main, "key-of-caller-1").model(7)
