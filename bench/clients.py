"""Raw clients of every transport: bytes and nothing else, so that only the server is measured.

Each opens, shakes hands where its era does, and then answers `call` with the result's bytes.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

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

    @classmethod
    async def to(cls, address: str) -> "_Wire":
        wire = cls(address)
        await wire._open()
        return wire

    async def _open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(*self._place, limit=_LIMIT)

    def close(self) -> None:
        self._writer.close()

    async def send(self, verb: str, path: str, headers: str, body: bytes = b"") -> dict[str, str]:
        """Send a request; gives the head of its answer, the status under an empty name."""
        if self._reader.at_eof():
            # servers hang up on who has been silent for long, as a bench is during others' turns
            self._writer.close()
            await self._open()
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
            return await self._reader.readexactly(int(head.get("content-length", "0")))
        return b"".join([part async for part in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read a chunked body, part by part."""
        while size := int(await self._reader.readline(), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()


def _events(body: bytes) -> list[bytes]:
    """The data of a finished event stream."""
    return [line[6:] for line in body.splitlines() if line.startswith(b"data: {")]


@asynccontextmanager
async def modern(base: str, token: str) -> AsyncIterator[Call]:
    """Streamable HTTP of 2026-07-28: no session, one answer a request."""
    wire = await _Wire.to(base)
    shared = (
        f"Authorization: Bearer {token}\r\nMCP-Protocol-Version: {_MODERN}\r\n"
        "Accept: application/json, text/event-stream\r\nMcp-Method: tools/call\r\n"
    )

    async def call(tool: str, arguments: Mapping[str, Any]) -> bytes:
        params = {"name": tool, "arguments": arguments, "_meta": _META}
        head = await wire.send(
            "POST", "/mcp", f"{shared}Mcp-Name: {tool}\r\n", _message(1, "tools/call", params)
        )
        body = await wire.body(head)
        return body if head["content-type"] == "application/json" else _events(body)[-1]

    yield call
    wire.close()


@asynccontextmanager
async def legacy(base: str, token: str) -> AsyncIterator[Call]:
    """Streamable HTTP of the revisions before: a session, each answer a short event stream."""
    wire = await _Wire.to(base)
    shared = (
        f"Authorization: Bearer {token}\r\nMCP-Protocol-Version: {_LEGACY}\r\n"
        "Accept: application/json, text/event-stream\r\n"
    )
    head = await wire.send("POST", "/mcp", shared, _message(0, "initialize", _GREETING))
    await wire.body(head)
    shared += f"Mcp-Session-Id: {head['mcp-session-id']}\r\n"
    await wire.body(
        await wire.send("POST", "/mcp", shared, _message(None, "notifications/initialized"))
    )

    async def call(tool: str, arguments: Mapping[str, Any]) -> bytes:
        params = {"name": tool, "arguments": arguments}
        head = await wire.send("POST", "/mcp", shared, _message(1, "tools/call", params))
        return _events(await wire.body(head))[-1]

    yield call
    await wire.body(await wire.send("DELETE", "/mcp", shared))
    wire.close()


@asynccontextmanager
async def sse(base: str, token: str) -> AsyncIterator[Call]:
    """HTTP+SSE, the oldest: questions by POST, answers on one long stream."""
    stream, wire = await _Wire.to(base), await _Wire.to(base)
    bearer = f"Authorization: Bearer {token}\r\n"
    await stream.send("GET", "/sse", f"{bearer}Accept: text/event-stream\r\n")
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
        await wire.body(await wire.send("POST", address, bearer, message))

    async def ask(method: str, params: Mapping[str, Any]) -> bytes:
        number, answer = answers.expect()
        await post(_message(number, method, params))
        return await answer

    async def call(tool: str, arguments: Mapping[str, Any]) -> bytes:
        return await ask("tools/call", {"name": tool, "arguments": arguments})

    reading = asyncio.create_task(read())
    await ask("initialize", _GREETING)
    await post(_message(None, "notifications/initialized"))
    yield call
    reading.cancel()
    stream.close()
    wire.close()


Opened = AbstractAsyncContextManager[Call]
#: the transports over HTTP, by the name under which they are reported
OVER_HTTP: Final[dict[str, Callable[[str, str], Opened]]] = {
    "HTTP, 2026-07-28": modern,
    "HTTP, sessions": legacy,
    "HTTP+SSE": sse,
}
