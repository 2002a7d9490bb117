"""The two ports as ASGI apps: recording, latency, faults of the connection itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qs

from civit_mcp.errors import BadReference
from civit_mcp.sandbox.call import Call, Reply, VaultState
from civit_mcp.sandbox.faults import encode, instead
from civit_mcp.sandbox.routes import answer
from civit_mcp.sandbox.scenarios import Switchboard
from civit_mcp.sandbox.storage import chunks, serve
from civit_mcp.sandbox.store import Store

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
HostRole = Literal["api", "storage"]

_SLOW_SECONDS: Final = 30.0
_LARGEST_BODY: Final = 16 * 2**20
_HUGE_PIECES: Final = 65


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    #: lower-case names
    headers: dict[str, str]
    body: bytes
    host_role: HostRole


@dataclass(kw_only=True)
class Desk:
    """What both ports share."""

    store: Store
    switchboard: Switchboard
    api_key: str | None
    latency: float
    base_url: str = ""
    storage_url: str = ""
    seen: list[SeenRequest] = field(default_factory=list)
    in_flight: int = 0
    max_in_flight: int = 0
    vault: VaultState = field(default_factory=VaultState)
    #: set when the servers end; whoever waits then stops waiting
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    #: closes the connection of a request; `True` lets what was written go out first
    hang_up: Callable[[Scope, bool], None] = lambda _scope, _flush: None

    def clear(self) -> None:
        """Forget the requests seen and what they changed, and start counting anew."""
        self.seen.clear()
        self.vault = VaultState()
        self.max_in_flight = self.in_flight


class Port:
    """ASGI app of one port."""

    def __init__(self, desk: Desk, role: HostRole) -> None:
        self._desk = desk
        self._role: HostRole = role

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = await _read(receive)
        request = SeenRequest(
            method=scope["method"],
            path=scope["path"],
            query=parse_qs(_ascii(scope["query_string"]), keep_blank_values=True),
            headers={_ascii(name).lower(): _ascii(value) for name, value in scope["headers"]},
            body=body,
            host_role=self._role,
        )
        if request.path.startswith("/__sandbox/") and self._role == "api":
            await _send_whole(send, self._control(request), None)
            return
        desk = self._desk
        desk.seen.append(request)
        if self._role == "storage":
            await self._storage(request, scope, receive, send)
            return
        desk.in_flight += 1
        desk.max_in_flight = max(desk.max_in_flight, desk.in_flight)
        try:
            await self._api(request, scope, receive, send)
        finally:
            desk.in_flight -= 1

    async def _api(self, request: SeenRequest, scope: Scope, receive: Receive, send: Send) -> None:
        desk = self._desk
        if desk.latency:
            await self._pause(desk.latency)
        call = self._call(request, desk.switchboard.holding(request.path, self._role))
        reply = instead(call) or answer(call, _ascii(scope.get("raw_path") or b"/"))
        await self._deliver(
            call.scenarios,
            (reply.status, _head(reply), encode(call, reply)),
            scope,
            receive,
            send,
        )

    async def _storage(
        self, request: SeenRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        query = _ascii(scope["query_string"])
        holding = self._desk.switchboard.holding(request.path, self._role)
        stored = serve(self._desk.store, request.path, query, request.headers, holding)
        fault = None
        if holding:
            fault = instead(self._call(request, holding))
        if fault is None:
            whole = (stored.status, stored.headers, stored.body)
        else:
            whole = (fault.status, _head(fault), (fault.text or json.dumps(fault.payload)).encode())
        await self._deliver(holding, whole, scope, receive, send)

    def _call(self, request: SeenRequest, holding: frozenset[str]) -> Call:
        return Call(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=request.body,
            store=self._desk.store,
            base_url=self._desk.base_url,
            storage_url=self._desk.storage_url,
            api_key=self._desk.api_key,
            scenarios=holding,
            vault=self._desk.vault,
        )

    async def _deliver(
        self,
        holding: frozenset[str],
        whole: tuple[int, dict[str, str], bytes],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Send an answer, or do to the connection what a scenario wants."""
        status, headers, body = whole
        if "slow" in holding and not await self._linger(_SLOW_SECONDS, receive):
            return
        if "drop" in holding:
            await self._hang_up(scope, receive, flush=False)
        elif "huge" in holding:
            await _send_huge(send)
        elif "drop-mid-body" in holding:
            await _send_part(send, status, headers, body[: len(body) // 2], len(body))
            await self._hang_up(scope, receive, flush=True)
        elif "truncated" in holding:
            # the whole body, but more was promised
            await _send_part(send, status, headers, body, len(body) + 512)
            await self._hang_up(scope, receive, flush=True)
        elif "slow-body" in holding:
            await self._send_slowly(send, receive, whole)
        else:
            await _send_whole(send, (status, headers, body), None)

    async def _hang_up(self, scope: Scope, receive: Receive, *, flush: bool) -> None:
        self._desk.hang_up(scope, flush)
        # the server is content with an unfinished answer once it knows that the peer is gone
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _send_slowly(
        self, send: Send, receive: Receive, whole: tuple[int, dict[str, str], bytes]
    ) -> None:
        status, headers, body = whole
        pieces = list(chunks(body, max(len(body) // 60, 1)))
        await _send_part(send, status, headers, b"", len(body))
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if not await self._linger(_SLOW_SECONDS / len(pieces), receive):
                return
        await send({"type": "http.response.body", "body": b""})

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than the server lives."""
        try:
            await asyncio.wait_for(self._desk.closing.wait(), seconds)
        except TimeoutError:
            return

    async def _linger(self, seconds: float, receive: Receive) -> bool:
        """Wait; False when the peer left or the server ends before the time is over."""
        async with _gone(receive) as gone:
            closing = asyncio.create_task(self._desk.closing.wait())
            try:
                waiting = {gone, closing}
                done, _ = await asyncio.wait(
                    waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                await _end(closing)
        return not done

    def _control(self, request: SeenRequest) -> tuple[int, dict[str, str], bytes]:
        """The stand-in's own addresses."""
        desk, what = self._desk, (request.method, request.path.removeprefix("/__sandbox/"))
        json_type = {"content-type": "application/json"}
        match what:
            case "PUT", "scenarios":
                try:
                    names = json.loads(request.body)
                    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
                        raise BadReference("the body is not a JSON list of scenario names")
                    desk.switchboard.use(names)
                except (ValueError, RecursionError) as error:
                    return 400, json_type, json.dumps({"error": str(error)}).encode()
                return 200, json_type, json.dumps(desk.switchboard.names).encode()
            case "GET", "scenarios":
                return 200, json_type, json.dumps(desk.switchboard.names).encode()
            case "GET", "seen":
                shown = [
                    {
                        "method": each.method,
                        "path": each.path,
                        "query": each.query,
                        "headers": each.headers,
                        "body": each.body.decode("utf-8", errors="replace"),
                        "host_role": each.host_role,
                    }
                    for each in desk.seen
                ]
                return 200, json_type, json.dumps(shown).encode()
            case "DELETE", "seen":
                desk.clear()
                return 204, {}, b""
            case _:
                return 404, json_type, b'{"error": "no such control address"}'


@asynccontextmanager
async def _gone(receive: Receive) -> AsyncIterator[asyncio.Task[None]]:
    """A task that ends when the peer closes the connection."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    task = asyncio.create_task(watch())
    try:
        yield task
    finally:
        await _end(task)


async def _end(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        if len(body) < _LARGEST_BODY:
            body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def _head(reply: Reply) -> dict[str, str]:
    kind = reply.media_type
    charset = "; charset=utf-8" if kind == "application/json" else ""
    return {"content-type": kind + charset, **reply.headers}


def _raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


async def _send_whole(
    send: Send, whole: tuple[int, dict[str, str], bytes], length: int | None
) -> None:
    status, headers, body = whole
    await _send_part(send, status, headers, b"", len(body) if length is None else length)
    for piece in chunks(body):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _send_part(
    send: Send, status: int, headers: dict[str, str], body: bytes, length: int
) -> None:
    """Send the head, which promises `length` bytes, and the first of them."""
    head = [*headers.items(), ("content-length", str(length))]
    await send({"type": "http.response.start", "status": status, "headers": _raw(head)})
    if body:
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _send_huge(send: Send) -> None:
    """More than 64 MiB of valid JSON, never held at once."""
    kind = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": kind})
    piece = b"x" * 2**20
    parts = [b'{"items": [], "metadata": {}, "padding": "', *[piece] * _HUGE_PIECES, b'"}']
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _ascii(text: bytes) -> str:
    return text.decode("latin-1")
