"""What one token does by sheer number: sessions, streams, calls; and that others do not notice.

The numbers are the real ones where that can be done in seconds, and small ones elsewhere.
"""

import asyncio
import json
import logging
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest

from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, world
from civit_mcp.server import create_server
from civit_mcp.web import app as web_app
from civit_mcp.web import calls, gate, sessions
from tests.civitai_support import until
from tests.http_kit import (
    JSON,
    NEW,
    OLD,
    OTHER,
    TOKEN,
    bearer,
    call_over,
    connected,
    everything,
    handshake,
    head,
    heard,
    initialize,
    modern,
    running_process,
    served,
    sse_place,
)

JSON_LINES = [f"{name}: {value}" for name, value in JSON.items()]
#: what a thousand sessions may cost
MOST_MEGABYTES = 128
CROWD = [f"token-of-a-crowd-{number}" for number in range(5)]


def with_tokens(settings: Settings, folder: Path, *tokens: str) -> Settings:
    path = folder / "tokens"
    path.write_text("".join(f"{token}\n" for token in tokens), "utf-8")
    # there is a warning otherwise
    path.chmod(0o600)
    return settings.model_copy(update={"token": None, "token_file": path})


@pytest.fixture
def two(settings: Settings, tmp_path: Path) -> Iterator[str]:
    """A server that two tokens share."""
    with served(with_tokens(settings, tmp_path, TOKEN, OTHER)) as base:
        yield base


async def many_handshakes(base: str, token: str, count: int) -> list[tuple[int, str]]:
    """That many requests for a session, thirty at a time: status, and the session if one opened."""
    host, port = base.removeprefix("http://").split(":")
    body = json.dumps(initialize()).encode()
    lines = [f"{name}: {value}" for name, value in JSON.items()]
    length = f"Content-Length: {len(body)}"
    request = head("POST", "/mcp", *lines, length, "Connection: close", token=token) + body
    places = anyio.CapacityLimiter(30)

    async def one() -> tuple[int, str]:
        async with places:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request)
            answer = (await reader.read()).decode()
            writer.close()
        session = re.search(r"mcp-session-id: (\w+)", answer)
        return int(answer.split()[1]), session[1] if session else ""

    return await asyncio.gather(*(one() for _ in range(count)))


async def modern_call(base: str, token: str) -> int:
    headers, body = modern("tools/call", name="list_catalog", arguments={})
    async with httpx.AsyncClient(headers={**headers, **bearer(token)}, timeout=30) as http:
        return (await http.post(f"{base}/mcp", json=body)).status_code


def megabytes(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        pytest.skip("this system does not tell a process's memory in /proc")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


async def test_three_thousand_requests_for_sessions_open_a_thousand_and_stop_nobody(
    settings: Settings, tmp_path: Path
) -> None:
    crowded = with_tokens(settings, tmp_path, *CROWD)
    with (
        running_process(crowded, "--token-file", str(crowded.token_file)) as (base, pid),
        # many times what it takes; a server that is stuck answers nobody
        anyio.fail_after(60),
    ):
        assert await modern_call(base, CROWD[0]) == 200
        before = megabytes(pid)
        opened: dict[str, list[str]] = {}
        outcomes = {}
        for token in CROWD:
            answers = await many_handshakes(base, token, 600)
            outcomes[token] = Counter(status for status, _ in answers)
            opened[token] = [session for _, session in answers if session]
        grown = megabytes(pid) - before

        *four, last = CROWD
        assert all(outcomes[token] == {200: 250, 429: 350} for token in four)
        # all places together are taken, which is no reason to refuse what needs none
        assert outcomes[last] == {503: 600}
        assert grown < MOST_MEGABYTES
        assert [await modern_call(base, token) for token in CROWD] == [200] * 5

        async with httpx.AsyncClient(headers=bearer(four[0]), timeout=30) as http:
            for session in opened[four[0]]:
                ended = await http.delete(f"{base}/mcp", headers={"Mcp-Session-Id": session})
                assert ended.status_code == 200
        freed = await many_handshakes(base, last, 250)
        assert {status for status, _ in freed} == {200}


def test_one_token_cannot_use_up_the_sessions_of_the_others(
    two: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 3)

    greedy = [handshake(two, OTHER).status_code for _ in range(5)]

    assert greedy == [200, 200, 200, 429, 429]
    assert handshake(two, TOKEN).status_code == 200


def test_a_header_that_only_streams_have_hides_no_session_from_the_count(
    two: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 2)
    sly = {**JSON, **bearer(OTHER), "Mcp-Method": "subscriptions/listen"}

    opened = [httpx.post(f"{two}/mcp", json=initialize(), headers=sly) for _ in range(4)]

    assert [answer.status_code for answer in opened] == [200, 200, 429, 429]
    assert handshake(two, TOKEN).status_code == 200


def test_an_end_of_a_session_that_is_refused_makes_no_room(
    two: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 1)
    own = {**bearer(OTHER), "Mcp-Session-Id": handshake(two, OTHER).headers["mcp-session-id"]}

    refused = httpx.delete(f"{two}/mcp", headers={**own, "MCP-Protocol-Version": NEW})
    still_there = handshake(two, OTHER).status_code
    ended = httpx.delete(f"{two}/mcp", headers=own)

    assert (refused.status_code, still_there) == (405, 429)
    assert (ended.status_code, handshake(two, OTHER).status_code) == (200, 200)


def test_a_refusal_of_another_era_makes_no_room(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 1)
    headers, body = modern("no/such/method")
    with served(with_tokens(settings, tmp_path, OTHER)) as base:
        session = {"Mcp-Session-Id": handshake(base, OTHER).headers["mcp-session-id"]}
        sent = {**headers, **session, **bearer(OTHER)}
        unknown = httpx.post(f"{base}/mcp", headers=sent, json=body)
        one_more = handshake(base, OTHER)

    assert (unknown.status_code, one_more.status_code) == (404, 429)


def test_a_session_that_the_transport_has_lost_makes_room(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 1)
    limited = with_tokens(settings, tmp_path, OTHER)
    server = create_server(limited)
    with served(limited, server=server) as base:
        session = {"Mcp-Session-Id": handshake(base, OTHER).headers["mcp-session-id"]}
        server.session_manager._server_instances.clear()
        gone = httpx.post(f"{base}/mcp", headers={**JSON, **session, **bearer(OTHER)}, json={})
        another = handshake(base, OTHER)

    assert (gone.status_code, another.status_code) == (404, 200)


def test_asking_for_all_sessions_in_the_same_moment_gets_no_more(
    two: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 3)
    body = json.dumps(initialize()).encode()
    lines = [f"{name}: {value}" for name, value in JSON.items()]
    start = head("POST", "/mcp", *lines, f"Content-Length: {len(body)}", token=OTHER)
    with ExitStack() as stack:
        wires = [stack.enter_context(connected(two)) for _ in range(20)]
        for wire in wires:
            wire.sendall(start)
        # every head is there before the first body is
        assert httpx.get(f"{two}/healthz", headers=bearer(TOKEN)).is_success
        for wire in wires:
            wire.sendall(body)
        firsts = Counter(wire.recv(12)[-3:] for wire in wires)
    later = [handshake(two, OTHER).status_code for _ in range(3)]

    assert firsts == {b"200": 3, b"429": 17}
    assert later == [429] * 3


async def test_sessions_that_nobody_uses_make_room(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 2)
    monkeypatch.setattr(sessions, "IDLE", 0.4)
    monkeypatch.setattr(web_app, "IDLE", 0.4)
    with served(with_tokens(settings, tmp_path, TOKEN)) as base:
        first = handshake(base, TOKEN)
        assert [handshake(base, TOKEN).status_code for _ in range(2)] == [200, 429]
        with anyio.fail_after(10):
            while handshake(base, TOKEN).status_code == 429:
                await anyio.lowlevel.checkpoint()
        own = {**bearer(TOKEN), **JSON, "Mcp-Session-Id": first.headers["mcp-session-id"]}
        async with httpx.AsyncClient(headers=own) as http:
            forgotten = await http.post(f"{base}/mcp", json={})

    assert forgotten.status_code == 404


def open_streams(base: str, stack: ExitStack, request: bytes, count: int) -> list[bytes]:
    """Open connections that stay open; how each answered."""
    firsts = []
    for _ in range(count):
        wire = stack.enter_context(connected(base))
        wire.sendall(request)
        firsts.append(wire.recv(12)[-3:])
    return firsts


def listen(token: str) -> bytes:
    headers, body = modern(
        "subscriptions/listen", notifications={"resourceSubscriptions": ["catalog://models.json"]}
    )
    text = httpx.Request("POST", "http://localhost", json=body).content
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return head("POST", "/mcp", *lines, f"Content-Length: {len(text)}", token=token) + text


STREAMS = {"sse": lambda token: head("GET", "/sse", token=token), "listen": listen}


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_token_opens_so_many_streams_and_no_more_and_others_open_theirs(
    two: str, kind: str
) -> None:
    with ExitStack() as stack:
        greedy = open_streams(two, stack, STREAMS[kind](OTHER), 260)
        other = open_streams(two, stack, STREAMS[kind](TOKEN), 1)
        # one who has every stream may still call, and has only itself to thank for the rest
        called = await modern_call(two, OTHER)

    assert Counter(greedy) == {b"200": 250, b"429": 10}
    assert other == [b"200"]
    assert called == 200
    again: list[bytes] = []
    with anyio.fail_after(10):
        # the streams were closed, so there is room again as soon as the server has seen it
        while again != [b"200"]:
            await anyio.lowlevel.checkpoint()
            with ExitStack() as stack:
                again = open_streams(two, stack, STREAMS[kind](OTHER), 1)


def test_all_streams_together_are_bounded_too(two: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_STREAMS", 3)
    with ExitStack() as stack:
        firsts = open_streams(two, stack, head("GET", "/sse", token=OTHER), 3)
        firsts += open_streams(two, stack, head("GET", "/sse"), 1)

    assert firsts == [b"200", b"200", b"200", b"503"]


def dripping(path: str) -> bytes:
    """A request whose body does not come to its end."""
    return head("POST", path, "Content-Length: 1000", *JSON_LINES, token=OTHER) + b"{"


@pytest.mark.parametrize("path", ["/mcp", "/messages/?session_id=0"])
def test_requests_that_never_end_are_counted_and_others_are_served(
    two: str, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(calls, "MOST_OF_ONE", 3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connected(two)).sendall(dripping(path))
        # the one that is served waits for all that came before it
        other = httpx.get(f"{two}/healthz", headers=bearer(TOKEN))
        refused = httpx.get(f"{two}/api/admin/models/civitai-map", headers=bearer(OTHER))
        on_the_whole = httpx.get(f"{two}/healthz", headers=bearer(OTHER))

    assert other.status_code == 200
    assert (refused.status_code, on_the_whole.status_code) == (429, 429)
    assert "3 requests under way" in refused.json()["detail"]


@pytest.mark.parametrize("length", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_bodies_that_never_end_take_so_much_memory_and_no_more(
    two: str, monkeypatch: pytest.MonkeyPatch, length: str
) -> None:
    monkeypatch.setattr(gate, "MOST_BYTES_OF_ONE", 50_000)
    monkeypatch.setattr(gate, "MOST_BYTES", 70_000)
    piece = b"9c40\r\n" * ("chunked" in length) + b" " * 40_000
    with ExitStack() as stack:

        def begin(token: str) -> socket.socket:
            wire = stack.enter_context(connected(two))
            wire.sendall(head("POST", "/mcp", length, *JSON_LINES, token=token) + piece)
            return wire

        first = begin(OTHER)
        one_too_many = everything(begin(OTHER))
        all_too_many = everything(begin(TOKEN))
        first.close()
        # what is given up takes no room
        again, _ = heard(begin(OTHER))

    assert one_too_many.startswith(b"HTTP/1.1 429 ")
    assert all_too_many.startswith(b"HTTP/1.1 503 ")
    assert again == b""


@pytest.mark.parametrize("path", ["/mcp", "/messages/?session_id=0"])
@pytest.mark.parametrize("version", [OLD, NEW])
def test_who_leaves_in_the_middle_of_a_body_leaves_no_trace(
    two: str, caplog: pytest.LogCaptureFixture, path: str, version: str
) -> None:
    begun = head(
        "POST", path, "Content-Length: 100", *JSON_LINES, f"MCP-Protocol-Version: {version}",
        "Mcp-Method: tools/list", token=OTHER,
    )  # fmt: skip
    for _ in range(3):
        with connected(two) as wire:
            wire.sendall(begun + b"{")
            assert httpx.get(f"{two}/healthz", headers=bearer(OTHER)).status_code == 200
    assert httpx.get(f"{two}/healthz", headers=bearer(OTHER)).status_code == 200

    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_calls_of_the_admin_routes_are_counted_as_well(
    two: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MOST_OF_ONE", 3)
    sandbox.use("slow")
    image = f"/api/admin/civitai/image/{world.DEMO_IMAGE}"
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connected(two)).sendall(head("GET", image, token=OTHER))
        await until(lambda: bool(sandbox.seen))
        async with httpx.AsyncClient(base_url=two) as http:
            refused = await http.get(image, headers=bearer(OTHER))
            other = await http.get("/healthz", headers=bearer(TOKEN))

    assert (refused.status_code, other.status_code) == (429, 200)


async def test_calls_that_hold_no_connection_are_bounded_as_well(
    two: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MOST_OF_ONE", 3)
    sandbox.use("slow")
    client = httpx.AsyncClient(base_url=two, headers=bearer(OTHER))
    with connected(two) as wire:
        wire.sendall(head("GET", "/sse", token=OTHER))
        place = sse_place(wire)
        await client.post(place, json=initialize())
        await client.post(place, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        for number in range(2, 8):
            call = {"jsonrpc": "2.0", "id": number, "method": "tools/call"}
            asked = {"name": "get_model", "arguments": {"model_id": world.DEMO_LORA_MODEL}}
            await client.post(place, json={**call, "params": asked})
        heard = everything(wire).decode()
        other = await call_over(two, "sse", "legacy", "list_catalog", {}, **bearer(TOKEN))

    await client.aclose()
    refused = re.findall(r"this token has 3 requests under way already", heard)
    assert len(refused) == 3
    assert "[rate_limited]" in heard
    assert not other.is_error


async def test_a_notification_is_taken_from_who_may_ask_nothing_more(
    two: str,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(calls, "MOST_OF_ONE", 2)
    sandbox.use("slow")
    asked = {"name": "get_model", "arguments": {"model_id": world.DEMO_LORA_MODEL}}
    call = {"jsonrpc": "2.0", "method": "tools/call", "params": asked}
    with connected(two) as wire:
        wire.sendall(head("GET", "/sse", token=OTHER))
        place = sse_place(wire)
        async with httpx.AsyncClient(base_url=two, headers=bearer(OTHER)) as client:
            await client.post(place, json=initialize())
            for number in (2, 3):
                await client.post(place, json={**call, "id": number})
            await until(lambda: bool(sandbox.seen))
            for told in ("initialized", "roots/list_changed"):
                message = {"jsonrpc": "2.0", "method": f"notifications/{told}"}
                await client.post(place, json=message)
            await client.post(place, json={**call, "id": 4})
        heard = everything(wire).decode()

    # the call at the limit is refused; what asks for nothing is not, which the log would tell
    assert heard.count("this token has 2 requests under way already") == 1
    assert not [record for record in caplog.records if record.exc_info]


def test_the_messages_of_a_stream_are_taken_from_its_owner_alone(
    two: str, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(two) as wire:
        wire.sendall(head("GET", "/sse", token=OTHER))
        place = sse_place(wire)
        stolen = httpx.post(f"{two}{place}", headers=bearer(TOKEN), json=initialize())
        own = httpx.post(f"{two}{place}", headers=bearer(OTHER), json=initialize())

    assert stolen.status_code == 404
    assert own.status_code == 202
    # the name of a stream is nothing for the log
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_session_with_an_open_stream_stays_its_owners_however_long_it_is_silent(
    two: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "IDLE", 0.0)
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 1)
    session = handshake(two, OTHER).headers["mcp-session-id"]
    named = f"Mcp-Session-Id: {session}"
    with connected(two) as wire:
        wire.sendall(head("GET", "/mcp", named, "Accept: text/event-stream", token=OTHER))
        assert wire.recv(12)[-3:] == b"200"
        assert handshake(two, OTHER).status_code == 429
        foreign = {**bearer(TOKEN), "Mcp-Session-Id": session}
        stolen = httpx.delete(f"{two}/mcp", headers=foreign)

    assert stolen.status_code == 404
