"""Told to stop, a server does so in silence within three seconds, whatever it is busy with."""

import signal
from contextlib import suppress
from typing import Any

import anyio
import httpx
import pytest
from filelock import FileLock
from mcp import MCPError

from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, world
from civit_mcp.web.endings import Endings, UnderWay
from tests.civitai_support import until
from tests.client_kit import over
from tests.http_kit import BEARER, TOKEN, post, start_process
from tests.test_letting_go import in_flight

IMAGE = {"image_id": world.DEMO_IMAGE}
ADD = {"version_id": world.DEMO_LORA_VERSION}
CALLS = [("http", "auto"), ("http", "legacy"), ("sse", "auto"), ("sse", "legacy")]


@pytest.fixture
def with_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVIT_MCP_TOKEN", TOKEN)


@pytest.mark.usefixtures("with_token")
@pytest.mark.parametrize(("wire", "era"), CALLS)
async def test_calls_under_way_do_not_hold_it_up(
    sandbox: Sandbox, settings: Settings, wire: str, era: str
) -> None:
    with start_process(settings) as process:
        assert process.stderr is not None
        base = process.stderr.readline().split()[2].removesuffix("/mcp")

        async def call() -> None:
            # a client may hear of the end in any way but an answer
            with suppress(MCPError, httpx.HTTPError, BaseExceptionGroup):
                async with over(wire, base, era) as assistant:
                    await assistant.client.call_tool("get_generation_data", IMAGE)
                    pytest.fail("the call was answered")

        async with anyio.create_task_group() as group:
            sandbox.use("slow")
            group.start_soon(call)
            await until(lambda: in_flight(sandbox) == 3)
            process.send_signal(signal.SIGTERM)
            await anyio.to_thread.run_sync(lambda: process.wait(timeout=3))
            group.cancel_scope.cancel()
        rest = process.stderr.read()

    assert rest == ""


@pytest.mark.usefixtures("with_token")
async def test_a_request_over_rest_is_told_that_the_server_stops(
    sandbox: Sandbox, settings: Settings
) -> None:
    answers: list[httpx.Response] = []
    with start_process(settings) as process:
        assert process.stderr is not None
        base = process.stderr.readline().split()[2].removesuffix("/mcp")

        async def read() -> None:
            async with httpx.AsyncClient(headers=BEARER, timeout=30) as http:
                path = f"/api/admin/civitai/image/{world.DEMO_IMAGE}"
                answers.append(await http.get(f"{base}{path}"))

        async with anyio.create_task_group() as group:
            sandbox.use("slow")
            group.start_soon(read)
            await until(lambda: in_flight(sandbox) == 3)
            process.send_signal(signal.SIGTERM)
            await anyio.to_thread.run_sync(lambda: process.wait(timeout=3))
        rest = process.stderr.read()

    assert rest == ""
    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (503, {"detail": "The server is stopping"})
    ]


@pytest.mark.usefixtures("with_token")
@pytest.mark.parametrize(("wire", "era"), [("rest", ""), *CALLS])
async def test_a_write_that_waits_for_the_lock_does_not_hold_it_up_and_is_not_done(
    sandbox: Sandbox, settings: Settings, wire: str, era: str
) -> None:
    lock = settings.catalog_dir / ".civit-mcp" / "lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock), start_process(settings) as process:
        assert process.stderr is not None
        base = process.stderr.readline().split()[2].removesuffix("/mcp")

        async def add() -> None:
            with suppress(MCPError, httpx.HTTPError, BaseExceptionGroup):
                if wire == "rest":
                    path = f"{base}/api/admin/civitai/add/{world.DEMO_LORA_VERSION}"
                    assert (await post(path, BEARER)).status_code == 503
                else:
                    async with over(wire, base, era) as assistant:
                        await assistant.client.call_tool("add_to_catalog", ADD)

        async with anyio.create_task_group() as group:
            group.start_soon(add)
            await until(lambda: bool(sandbox.seen) and in_flight(sandbox) == 0)
            process.send_signal(signal.SIGTERM)
            await anyio.to_thread.run_sync(lambda: process.wait(timeout=3))
            if wire != "rest":
                group.cancel_scope.cancel()
        rest = process.stderr.read()

    assert rest == ""
    assert not (settings.catalog_dir / "models.json").exists()


@pytest.mark.usefixtures("with_token")
async def test_an_idle_session_of_an_older_client_ends_with_it(settings: Settings) -> None:
    with start_process(settings) as process:
        assert process.stderr is not None
        base = process.stderr.readline().split()[2].removesuffix("/mcp")
        with suppress(MCPError, httpx.HTTPError, BaseExceptionGroup):
            async with over("http", base, "legacy") as assistant:
                await assistant.ask("list_catalog")
                process.send_signal(signal.SIGTERM)
                await anyio.to_thread.run_sync(lambda: process.wait(timeout=3))
        rest = process.stderr.read()

    assert rest == ""


async def test_an_answer_inside_an_answer_ends_the_first() -> None:
    sent: list[Any] = []

    async def answering_twice(_scope: Any, _receive: Any, send: Any) -> None:
        for status in (200, 500):
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b"event", "more_body": True})

    async def nothing() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append((message.get("status"), message.get("body"), message.get("more_body")))

    await Endings(answering_twice, under_way=UnderWay())({"type": "http"}, nothing, send)

    assert sent == [(200, None, None), (None, b"event", True), (None, b"", False)]
