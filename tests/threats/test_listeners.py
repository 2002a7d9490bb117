"""What a listener may do to a server and to other listeners: be deaf, ask for too much, lie."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ResourceUpdatedNotification

from civit_mcp import live
from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.server import create_server
from tests.civitai_support import until
from tests.client_kit import listen_once
from tests.conftest import ERAS
from tests.http_kit import (
    BEARER,
    OTHER,
    TOKEN,
    bearer,
    call_over,
    connected,
    head,
    initialize,
    modern,
    served,
)

MODELS = "catalog://models.json"
# the older revisions' subscriptions are deprecated in the client, and served all the same
pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")


@contextmanager
def deaf_subscriber(base: str) -> Iterator[None]:
    """One who asks for as much as it may, and then reads nothing any more."""
    with connected(base) as wire, httpx.Client(base_url=base, headers=BEARER) as http:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.sendall(head("GET", "/sse"))
        heard = b""
        while not (found := re.search(rb"/messages/\?session_id=\w+", heard)):
            heard += wire.recv(1000)
        place = found.group().decode()
        http.post(place, json=initialize())
        http.post(place, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        for number in range(live.MAX_URIS):
            uri = f"catalog://models/{number}".ljust(live.LONGEST_URI, "x")
            subscribe = {"jsonrpc": "2.0", "id": number + 2, "method": "resources/subscribe"}
            http.post(place, json={**subscribe, "params": {"uri": uri}})
        while b'"id":257' not in heard:
            heard = heard[-100:] + wire.recv(65536)
        yield


async def test_who_never_reads_is_forgotten_and_the_others_are_told(
    guarded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "TELL_TIMEOUT", 0.3)
    server = create_server(guarded)
    told: list[str] = []

    async def listener(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            told.append(str(message.params.uri))

    with served(guarded, server=server) as base, deaf_subscriber(base):
        stream = sse_client(f"{base}/sse", headers=BEARER)
        async with Client(stream, mode="legacy", message_handler=listener) as client:
            await client.subscribe_resource(MODELS)
            assert len(server.live._subscribers) == 2
            for number in range(200):
                # megabytes have to pile up in the network before nothing more goes out
                call = "remove_from_catalog" if number % 2 else "add_to_catalog"
                await client.call_tool(call, {"version_id": world.DEMO_LORA_VERSION})
                await until(lambda count=number: len(told) > count)  # type: ignore[misc]  # a default of its own
                if len(server.live._subscribers) == 1:
                    break

    assert len(server.live._subscribers) <= 1
    assert number < 199


async def test_one_connection_holds_so_many_subscriptions_and_no_more(settings: Settings) -> None:
    async with Client(create_server(settings), mode="legacy") as client:
        for number in range(live.MAX_URIS):
            await client.subscribe_resource(f"catalog://models/{number}")
        # asking again for what is held is no further one
        await client.subscribe_resource("catalog://models/0")
        with pytest.raises(MCPError, match="at most 256 resources"):
            await client.subscribe_resource(MODELS)
        await client.unsubscribe_resource("catalog://models/0")
        await client.subscribe_resource(MODELS)


async def test_a_subscription_to_a_novel_is_refused(settings: Settings) -> None:
    async with Client(create_server(settings), mode="legacy") as client:
        with pytest.raises(MCPError, match="1000 characters"):
            await client.subscribe_resource("catalog://" + "x" * live.LONGEST_URI)


@pytest.mark.parametrize(
    "uris",
    [
        [f"catalog://models/{n}" for n in range(300)],
        ["catalog://" + "x" * 2000],
        # of these there is no news, and they would be kept all the same
        [f"x://{n}" for n in range(300)],
        ["x://" + "x" * 2000],
        [MODELS] * 300,
        [MODELS, [[]]],
    ],
    ids=["many", "long", "many elsewhere", "long elsewhere", "one many times", "no text"],
)
async def test_a_stream_that_wants_to_hear_of_everything_is_refused(
    base: str, uris: list[str]
) -> None:
    headers, body = modern("subscriptions/listen", notifications={"resourceSubscriptions": uris})
    async with httpx.AsyncClient(headers={**BEARER, **headers}) as http:
        with anyio.fail_after(5):
            answer = await http.post(f"{base}/mcp", json=body)

    assert "at most 256 resources" in answer.text
    assert "result" not in answer.text


@pytest.mark.parametrize("place", ["params", "notifications", "_meta"])
@pytest.mark.parametrize(
    "much", [["x"] * 10_000, [{"x": []}] * 5_000, "x" * 400_000], ids=["many", "nested", "long"]
)
async def test_a_stream_that_brings_much_else_along_is_refused(
    base: str, place: str, much: Any
) -> None:
    headers, body = modern(
        "subscriptions/listen", notifications={"resourceSubscriptions": [MODELS]}
    )
    (body["params"] if place == "params" else body["params"][place])["more"] = much
    async with httpx.AsyncClient(headers={**BEARER, **headers}) as http:
        with anyio.fail_after(5):
            answer = await http.post(f"{base}/mcp", json=body)

    assert answer.json()["error"]["code"] == -32602
    assert "too much for a request to listen" in answer.text


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("moment", ["before the look", "during the look"])
async def test_who_leaves_while_it_begins_to_listen_is_not_listened_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, era: str, moment: str
) -> None:
    # without a pause between two looks, every answer below would leave room for many
    monkeypatch.setattr(live, "INTERVAL", 0)
    server = create_server(settings)
    looks, go_on = 0, threading.Event()

    def look() -> int:
        nonlocal looks
        looks += 1
        assert go_on.wait(10)
        return 0

    monkeypatch.setattr(server.live, "_fingerprint", look)
    threads, others = anyio.to_thread.current_default_thread_limiter(), object()
    async with Client(server, mode=era) as client:
        await client.call_tool("list_catalog", {})
        if moment == "before the look":
            # as on a server that has its hands full
            monkeypatch.setattr(threads, "total_tokens", threads.borrowed_tokens + 1)
            await threads.acquire_on_behalf_of(others)
        async with anyio.create_task_group() as leaving:
            leaving.start_soon(listen_once, client, era)
            await until(lambda: looks == 1 or threads.statistics().tasks_waiting == 1)
            leaving.cancel_scope.cancel()
        # whatever is answered after this was asked after the server heard of it
        await client.list_tools()
        go_on.set()
        if moment == "before the look":
            threads.release_on_behalf_of(others)

        await listen_once(client, era, "catalog://loras.json")
        await client.list_tools()
        listened = looks
        for _ in range(20):
            await client.call_tool("list_catalog", {})

    assert listened >= 1
    assert looks <= listened + 1


@pytest.mark.parametrize("era", ERAS)
async def test_who_may_not_read_the_catalog_may_not_hear_of_its_changes(
    settings: Settings, tmp_path: Path, era: str
) -> None:
    async def listen(client: Client) -> None:
        await listen_once(client, era)

    async def read(client: Client) -> None:
        await client.read_resource(MODELS)

    async def refusal_of(token: str, do: Any) -> str | None:
        async with httpx2.AsyncClient(headers=bearer(token), timeout=30) as http:
            wire = streamable_http_client(f"{base}/mcp", http_client=http)
            async with Client(wire, mode=era) as client:
                try:
                    await do(client)
                except MCPError as error:
                    return error.error.message
        return None

    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n{OTHER} name=looker toolsets=browse\n", "utf-8")
    update = {"token_file": tokens, "toolsets": ("all",)}
    with served(settings.model_copy(update=update)) as base:
        refused = await refusal_of(OTHER, listen)
        assert refused is not None
        assert refused.startswith("[forbidden] ")
        assert refused == await refusal_of(OTHER, read)
        assert await refusal_of(TOKEN, listen) is None


@pytest.mark.parametrize(
    "notifications", [None, [], "x", 7, {"resourceSubscriptions": 5}, {"resourceSubscriptions": {}}]
)
async def test_a_stream_that_asks_for_nonsense_is_a_client_error_and_no_crash(
    base: str, notifications: Any, caplog: pytest.LogCaptureFixture
) -> None:
    headers, body = modern("subscriptions/listen", notifications=notifications)
    async with httpx.AsyncClient(headers={**BEARER, **headers}) as http:
        with anyio.fail_after(5):
            answer = await http.post(f"{base}/mcp", json=body)
    alive = await call_over(base, "http", "auto", "list_catalog", {})

    assert '"code":-32602' in answer.text
    assert not alive.is_error
    assert not [record for record in caplog.records if record.exc_info]
