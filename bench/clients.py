"""Raw clients of every transport: bytes and nothing else, so that only the server is measured.

Each opens, shakes hands where its era does, and then answers `call` with the result's bytes. A
call that is cancelled is a client that hangs up on the server in the middle of it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, Protocol, Self
from urllib.parse import urlsplit

#: a tool and its arguments, or a method and its parameters
Call = Callable[[str, Mapping[str, Any]], Any]
_MODERN: Final = "2026-07-28"
_LEGACY: Final = "2025-06-18"
_ME: Final = {"name": "bench", "version": "1"}
_GREETING: Final = {"protocolVersion": _LEGACY, "capabilities": {}, "clientInfo": _ME}
_META: Final = {
    "io.modelcontextprotocol/protocolVersion": _MODERN,
    "io.modelcontextprotocol/clientInfo": _ME,
    "io.modelcontextprotocol/clientCapabilities": {},
}
#: the longest line of an event stream
_LIMIT: Final = 1 << 22


def _message(number: int | None, method: str, params: Mapping[str, Any] | None = None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if number is not None:
        message["id"] = number
    if params is not None:
        message["params"] = params
    return json.dumps(message).encode()


class _Answers:
    """Who waits for which answer on a stream that many share."""

    def __init__(self) -> None:
        self._number = 0
        self._waiting: dict[int, asyncio.Future[bytes]] = {}

    def expect(self) -> tuple[int, asyncio.Future[bytes]]:
        """Number a request, and give what will hold its answer."""
        self._number += 1
        self._waiting[self._number] = asyncio.get_running_loop().create_future()
        return self._number, self._waiting[self._number]

    def take(self, line: bytes) -> None:
        """Hand an answer to who waits for it; notifications are dropped."""
        found = json.loads(line).get("id")
        waiting = self._waiting.pop(found, None) if isinstance(found, int) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(line)


def is_refused(answer: bytes) -> bool:
    """Whether a call was refused, without reading the answer as JSON.

    Within the texts of an answer no quotation mark stands without a backslash before it.
    """
    return b'"result"' not in answer or b'"isError":true' in answer


def checked(answer: bytes) -> bytes:
    """See that a call was answered and not refused."""
    result = json.loads(answer).get("result")
    if result is None or result.get("isError"):
        raise RuntimeError(f"the call failed: {answer[:500]!r}")
    return answer


@asynccontextmanager
async def stdio(command: tuple[str, ...], env: Mapping[str, str]) -> AsyncIterator[Call]:
    """A server process of one's own; many calls may be on the way at once."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(env),
        limit=_LIMIT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout, answers = process.stdin, process.stdout, _Answers()

    async def read() -> None:
        async for line in stdout:
            answers.take(line)

    async def ask(method: str, params: Mapping[str, Any]) -> bytes:
        number, answer = answers.expect()
        stdin.write(_message(number, method, params) + b"\n")
        return await answer

    async def call(tool: str, arguments: Mapping[str, Any]) -> bytes:
        return await ask("tools/call", {"name": tool, "arguments": arguments})

    reading = asyncio.create_task(read())
    await ask("initialize", _GREETING)
    stdin.write(_message(None, "notifications/initialized") + b"\n")
    try:
        yield call
    finally:
        stdin.close()
        await process.wait()
        await reading


class _Wire:
    """One kept-alive HTTP/1.1 connection."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host = parts.netloc
        self._place = (parts.hostname, parts.port)
        #: an answer is on its way, or was when the client lost interest
        self._midway = False

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *failed: object) -> None:
        await self._close()

    async def _open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(*self._place, limit=_LIMIT)
        self._midway = False

    async def _close(self) -> None:
        self._writer.close()
        # what was on its way need not arrive
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def send(self, verb: str, path: str, headers: str, body: bytes = b"") -> dict[str, str]:
        """Send a request; gives the head of its answer, the status under an empty name."""
        if self._midway or self._reader.at_eof():
            # servers hang up on who has been silent for long, as a bench is during others' turns
            await self._close()
            await self._open()
        self._midway = True
        head = f"{verb} {path} HTTP/1.1\r\nHost: {self._host}\r\n{headers}"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + body)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        return {"": lines[0].split(" ")[1], **{k.lower(): v for k, v in fields.items()}}

    async def body(self, head: Mapping[str, str]) -> bytes:
        """Read the whole body."""
        if head.get("transfer-encoding") != "chunked":
            whole = await self._reader.readexactly(int(head.get("content-length", "0")))
        else:
            whole = b"".join([part async for part in self.chunks()])
        self._midway = False
        return whole

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read a chunked body, part by part."""
        while size := int(await self._reader.readline(), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()


def _events(body: bytes) -> list[bytes]:
    """The data of a finished event stream."""
    return [line[6:] for line in body.splitlines() if line.startswith(b"data: {")]


def _who(token: str, key: str) -> str:
    """What a client says of itself with every request: its token, and its CivitAI key if any."""
    return f"Authorization: Bearer {token}\r\n" + (f"X-Civitai-Api-Key: {key}\r\n" if key else "")


def _speaks(revision: str) -> str:
    accepted = "Accept: application/json, text/event-stream"
    return f"MCP-Protocol-Version: {revision}\r\n{accepted}\r\n"


@asynccontextmanager
async def modern(base: str, token: str, key: str = "") -> AsyncIterator[Call]:
    """Streamable HTTP of 2026-07-28: no session, one answer a request."""
    shared = f"{_who(token, key)}{_speaks(_MODERN)}Mcp-Method: tools/call\r\n"
    async with _Wire(base) as wire:

        async def call(tool: str, arguments: Mapping[str, Any]) -> bytes:
            params = {"name": tool, "arguments": arguments, "_meta": _META}
            head = await wire.send(
                "POST", "/mcp", f"{shared}Mcp-Name: {tool}\r\n", _message(1, "tools/call", params)
            )
            body = await wire.body(head)
            return body if head["content-type"] == "application/json" else _events(body)[-1]

        yield call


@asynccontextmanager
async def legacy(base: str, token: str, key: str = "") -> AsyncIterator[Call]:
    """Streamable HTTP of the revisions before: a session, each answer a short event stream."""
    async with _session(base, token, key) as ask:

        async def call(tool: str, arguments: Mapping[str, Any]) -> bytes:
            answer: bytes = await ask("tools/call", {"name": tool, "arguments": arguments})
            return answer

        yield call


@asynccontextmanager
async def _session(base: str, token: str, key: str) -> AsyncIterator[Call]:
    async with _Wire(base) as wire:
        shared = _who(token, key) + _speaks(_LEGACY)
        head = await wire.send("POST", "/mcp", shared, _message(0, "initialize", _GREETING))
        await wire.body(head)
        shared += f"Mcp-Session-Id: {head['mcp-session-id']}\r\n"
        await wire.body(
            await wire.send("POST", "/mcp", shared, _message(None, "notifications/initialized"))
        )

        async def ask(method: str, params: Mapping[str, Any]) -> bytes:
            head = await wire.send("POST", "/mcp", shared, _message(1, method, params))
            return _events(await wire.body(head))[-1]

        yield ask
        await wire.body(await wire.send("DELETE", "/mcp", shared))


@asynccontextmanager
async def sse(base: str, token: str, key: str = "") -> AsyncIterator[Call]:
    """HTTP+SSE, the oldest: questions by POST, answers on one long stream."""
    async with _Wire(base) as stream, _Wire(base) as wire:
        who = _who(token, key)
        await stream.send("GET", "/sse", f"{who}Accept: text/event-stream\r\n")
        parts = stream.chunks()
        address = ""
        while "/messages/" not in address:
            address = (await anext(parts)).decode()
        address = address.split("data: ")[1].split("\r\n")[0]
        answers = _Answers()

        async def read() -> None:
            async for part in parts:
                for line in _events(part):
                    answers.take(line)

        async def post(message: bytes) -> None:
            await wire.body(await wire.send("POST", address, who, message))

        async def ask(method: str, params: Mapping[str, Any]) -> bytes:
            number, answer = answers.expect()
            await post(_message(number, method, params))
            return await answer

        async def call(tool: str, arguments: Mapping[str, Any]) -> bytes:
            return await ask("tools/call", {"name": tool, "arguments": arguments})

        reading = asyncio.create_task(read())
        await ask("initialize", _GREETING)
        await post(_message(None, "notifications/initialized"))
        try:
            yield call
        finally:
            reading.cancel()


async def listen(base: str, token: str, uri: str) -> None:
    """Open a listen stream of 2026-07-28 on a resource, and leave when it stands."""
    async with _Wire(base) as wire:
        params = {"notifications": {"resourceSubscriptions": [uri]}, "_meta": _META}
        head = await wire.send(
            "POST",
            "/mcp",
            f"{_who(token, '')}{_speaks(_MODERN)}Mcp-Method: subscriptions/listen\r\n",
            _message(1, "subscriptions/listen", params),
        )
        if head[""] != "200":
            raise RuntimeError(f"there is no listening: {await wire.body(head)!r}")
        await anext(wire.chunks())


async def subscribe(base: str, token: str, uri: str) -> None:
    """Subscribe to a resource in a session of an older revision, and leave."""
    async with _session(base, token, "") as ask:
        checked(await ask("resources/subscribe", {"uri": uri}))


async def fetch(base: str, token: str, path: str, key: str = "") -> str:
    """Ask one of the routes beside MCP; gives the status of its answer."""
    async with _Wire(base) as wire:
        head = await wire.send("GET", path, _who(token, key))
        await wire.body(head)
        return head[""]


class Open(Protocol):
    """Opens a client over HTTP that brings a token, and perhaps a CivitAI key of its own."""

    def __call__(
        self, base: str, token: str, key: str = ""
    ) -> AbstractAsyncContextManager[Call]: ...


#: the transports over HTTP, by the name under which they are reported
OVER_HTTP: Final[dict[str, Open]] = {
    "HTTP, 2026-07-28": modern,
    "HTTP, sessions": legacy,
    "HTTP+SSE": sse,
}
