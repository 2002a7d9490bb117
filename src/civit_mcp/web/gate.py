"""What every request passes, whatever its route or transport.

In this order: the Host must be one of ours and the Origin, if there is one, too (that stops a
web page that has its name resolve to this machine); then a token; then the size of the body,
how much the token has under way, and the time the body may take to arrive. A new route cannot be
forgotten, because the gate is around all of them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import MutableHeaders, QueryParams
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civit_mcp.app import CALLER_KEY, Caller
from civit_mcp.config import is_loopback
from civit_mcp.web import calls
from civit_mcp.web.access import Access
from civit_mcp.web.calls import one_more

#: bytes of a request body
LARGEST_BODY: Final = 4 * 1024 * 1024
#: bytes of a body that need not be read for the connection to go on
LONG_BODY: Final = 64 * 1024
#: seconds for a body to arrive
BODY_TIMEOUT: Final = 30.0
#: bytes of all bodies under way, and of those of one token: they are in memory until they are
#: answered
MOST_BYTES: Final = 64 * 1024 * 1024
MOST_BYTES_OF_ONE: Final = 16 * 1024 * 1024
_PORT: Final = re.compile(r":\d{1,5}$")
_IPV6: Final = re.compile(r"\[([0-9a-f:.]+)\]")
_NAME: Final = re.compile(r"[^\[\]:@/%\s]+")
_Headers = dict[bytes, bytes]
#: a request without any of them has no body
_BODY_FIELDS: Final = frozenset({b"content-length", b"transfer-encoding"})
#: what people also write for an address that clients are given
_SPELLINGS: Final = {"/mcp/": "/mcp", "/sse/": "/sse"}
_SECRET_WORDS: Final = frozenset({"token", "api_key", "apikey", "access_token", "key"})


@dataclass(frozen=True, slots=True)
class Places:
    """The names that this server goes by."""

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    #: bound on loopback: this machine's own names are right
    local: bool = True

    def knows_host(self, host: str | None, *, from_here: bool = False) -> bool:
        """Whether a Host header names this server; the port does not matter.

        A peer on this machine (`from_here`), such as a health check, may use its own names.
        """
        name = _PORT.sub("", host or "").casefold()
        address = _IPV6.fullmatch(name)
        if address is not None:
            name = address[1]
        elif not _NAME.fullmatch(name):
            return False
        if (self.local or from_here) and is_loopback(name):
            return True
        return name in {known.casefold() for known in self.hosts}

    def knows_origin(self, origin: str, *, host: str) -> bool:
        """Whether a page of this origin may call: one that is listed, or that came from `host`.

        Other ports of this machine are other programs, whose pages may be anybody's.
        """
        if origin in self.origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or parts.netloc.casefold() != host.casefold():
            return False
        return self.knows_host(host)


class Doorplate:
    """ASGI middleware: a request must call this server by its name, and not from a strange page.

    Whoever spells an address with a slash at its end means the one without.
    """

    def __init__(self, app: ASGIApp, *, places: Places) -> None:
        """Take the app behind it."""
        self._app = app
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here. There are no WebSockets."""
        if scope["type"] == "websocket":
            return
        if scope["type"] == "http" and scope["path"] in _SPELLINGS:
            scope = {**scope, "path": _SPELLINGS[scope["path"]]}
        refusal = self._refuse(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refuse(self, scope: Scope) -> JSONResponse | None:
        peer = scope.get("client")
        # on loopback nobody needs to ask
        from_here = not self._places.local and peer is not None and is_loopback(peer[0])
        hosts = _every(b"host", scope["headers"])
        if len(hosts) != 1 or not self._places.knows_host(hosts[0], from_here=from_here):
            return _answer(421, "This server does not go by that host name")
        origins = _every(b"origin", scope["headers"])
        if not all(self._places.knows_origin(origin, host=hosts[0]) for origin in origins):
            return _answer(403, "Pages of that origin may not call this server")
        return None


class Gate:
    """ASGI middleware: a request must bring a token, and a body of sensible size and pace."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        """Take the app behind it."""
        self._app = app
        self._access = access
        self._under_way: Counter[object] = Counter()
        #: bytes of bodies
        self._bytes: Counter[object] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # of each header the first
        headers: _Headers = dict(reversed(list(scope["headers"])))
        caller = self._caller(scope["query_string"], headers)
        if isinstance(caller, JSONResponse):
            await caller(scope, receive, send)
            return
        refusal = self._refuse(caller, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope.setdefault("state", {})[CALLER_KEY] = caller
        scope["user"] = _principal(caller)
        with one_more(self._under_way, caller.digest):
            if _BODY_FIELDS.isdisjoint(headers):
                await self._app(scope, receive, send)
            else:
                body = _Body(self._bytes, caller.digest)
                await body.taken_by(self._app, scope, receive, _not_for_ever(headers, send))

    def _caller(self, query: bytes, headers: _Headers) -> Caller | JSONResponse:
        if query and _SECRET_WORDS & {name.casefold() for name in QueryParams(query)}:
            return _answer(401, "Invalid API key", "tokens are read from headers only")
        return self._access.caller(_token(headers)) or _answer(401, "Invalid API key")

    def _refuse(self, caller: Caller, headers: _Headers) -> JSONResponse | None:
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            return _answer(413, f"The body exceeds {LARGEST_BODY} bytes")
        if self._under_way[caller.digest] >= calls.MOST_OF_ONE:
            return _answer(429, f"This token has {calls.MOST_OF_ONE} requests under way already")
        return None


@lru_cache(maxsize=1024)
def _principal(caller: Caller) -> AuthenticatedUser:
    """The caller as the transports know one: what they open answers to nobody else."""
    name = caller.digest.hex() or caller.name
    return AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[]))


def _every(name: bytes, headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _token(headers: _Headers) -> str | None:
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.casefold() == "bearer" and token.strip():
        return token.strip()
    other = headers.get(b"x-api-key")
    return other.decode("latin-1") if other is not None else None


def _answer(status: int, detail: str, hint: str = "") -> JSONResponse:
    # who has no token has no use for the connection either
    headers = {"WWW-Authenticate": "Bearer", "Connection": "close"} if status == 401 else {}
    body = {"detail": detail, **({"hint": hint} if hint else {})}
    return JSONResponse(body, status, headers)


class _Body:
    """A body on its way: not waited for for ever, not read without an end, gone when answered."""

    def __init__(self, held: Counter[object], owner: object) -> None:
        self._held = held
        self._owner = owner
        self._size = 0
        self._deadline = 0.0
        self._whole = self._answering = False
        self._refusal: JSONResponse | None = None
        self._given_up = anyio.CancelScope()

    async def taken_by(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered; refuse it here when the body is not as it should be."""

        async def read() -> Message:
            return await self._read(receive)

        async def write(message: Message) -> None:
            self._answering = True
            await send(message)

        try:
            with self._given_up:
                await app(scope, read, write)
        finally:
            self._held[self._owner] -= self._size
            if not self._held[self._owner]:
                del self._held[self._owner]
        if self._refusal is not None and not self._answering:
            self._refusal.headers["Connection"] = "close"
            await self._refusal(scope, receive, send)

    async def _read(self, receive: Receive) -> Message:
        if self._whole:
            # waiting for the client to leave has no limit
            return await receive()
        if not self._deadline:
            self._deadline = anyio.current_time() + BODY_TIMEOUT
        message: Message = {"type": "http.disconnect"}
        with anyio.CancelScope(deadline=self._deadline) as reading:
            message = await receive()
        arrived = len(message.get("body", b""))
        self._size += arrived
        self._held[self._owner] += arrived
        self._whole = not message.get("more_body", False)
        self._refusal = self._refuse(late=reading.cancelled_caught)
        if self._refusal is None and message["type"] != "http.disconnect":
            return message
        if not self._answering:
            # a transport that is told of a sender who left takes it for a fault, and logs one
            self._given_up.cancel()
            await anyio.lowlevel.checkpoint()
        self._whole = True
        return {"type": "http.disconnect"}

    def _refuse(self, *, late: bool) -> JSONResponse | None:
        if late:
            return _answer(408, f"The body did not arrive within {BODY_TIMEOUT:g} seconds")
        if self._size > LARGEST_BODY:
            return _answer(413, f"The body exceeds {LARGEST_BODY} bytes")
        if self._held[self._owner] > MOST_BYTES_OF_ONE:
            return _answer(429, "This token has too many bytes of requests under way already")
        if self._held.total() > MOST_BYTES:
            return _answer(503, "Too many bytes of requests are under way")
        return None


def _not_for_ever(headers: _Headers, send: Send) -> Send:
    """Do not take the rest of a long body after the answer: the connection ends with it."""
    length = int(headers.get(b"content-length", b"0"))
    if b"transfer-encoding" not in headers and length <= LONG_BODY:
        return send

    async def close_after(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Connection"] = "close"
        await send(message)

    return close_after


def origins_of(words: Sequence[str]) -> tuple[str, ...]:
    """Origins as browsers send them: without a slash at the end."""
    return tuple(word.strip().rstrip("/") for word in words if word.strip())
