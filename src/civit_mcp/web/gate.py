"""What every request passes, whatever its route or transport.

In this order: the Host must be one of ours and the Origin, if there is one, too (that stops a
web page that has its name resolve to this machine); then a token; then the size of the body
and the time it may take to arrive. A new route cannot be forgotten, because the gate is
around all of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civit_mcp.app import CALLER_KEY, Caller
from civit_mcp.config import is_loopback
from civit_mcp.web.access import Access

#: bytes of a request body
LARGEST_BODY: Final = 4 * 1024 * 1024
#: bytes of a body that need not be read for the connection to go on
LONG_BODY: Final = 64 * 1024
#: seconds for a body to arrive
BODY_TIMEOUT: Final = 30.0
_PORT: Final = re.compile(r":\d{1,5}$")
_IPV6: Final = re.compile(r"\[([0-9a-f:.]+)\]")
_NAME: Final = re.compile(r"[^\[\]:@/%\s]+")
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

    def knows_origin(self, origin: str) -> bool:
        """Whether a page of this origin may call."""
        if origin in self.origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and self.knows_host(parts.netloc)


class Doorplate:
    """ASGI middleware: a request must call this server by its name, and not from a strange page."""

    def __init__(self, app: ASGIApp, *, places: Places) -> None:
        """Take the app behind it."""
        self._app = app
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here. There are no WebSockets."""
        if scope["type"] == "websocket":
            return
        refusal = self._refuse(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refuse(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        peer = scope.get("client")
        from_here = peer is not None and is_loopback(peer[0])
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._places.knows_host(hosts[0], from_here=from_here):
            return _answer(421, "This server does not go by that host name")
        origins = headers.getlist("origin")
        if not all(map(self._places.knows_origin, origins)):
            return _answer(403, "Pages of that origin may not call this server")
        return None


class Gate:
    """ASGI middleware: a request must bring a token, and a body of sensible size and pace."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        """Take the app behind it."""
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refuse(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, _patient_for_a_while(receive), _not_for_ever(scope, send))

    def _refuse(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if _SECRET_WORDS & {name.casefold() for name in QueryParams(scope["query_string"])}:
            return _answer(401, "Invalid API key", "tokens are read from headers only")
        caller = self._access.caller(_token(headers))
        if caller is None:
            return _answer(401, "Invalid API key")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            return _answer(413, f"The body exceeds {LARGEST_BODY} bytes")
        scope.setdefault("state", {})[CALLER_KEY] = caller
        scope["user"] = _principal(caller)
        return None


@lru_cache(maxsize=1024)
def _principal(caller: Caller) -> AuthenticatedUser:
    """The caller as the transports know one: what they open answers to nobody else."""
    return AuthenticatedUser(AccessToken(token="", client_id=repr(caller), scopes=[]))


def _token(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.casefold() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key")


def _answer(status: int, detail: str, hint: str = "") -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    body = {"detail": detail, **({"hint": hint} if hint else {})}
    return JSONResponse(body, status, headers)


def _patient_for_a_while(receive: Receive) -> Receive:
    """Do not wait for ever for a sender that drips; how much it sends, the transports count."""
    whole = False
    deadline: float | None = None

    async def read() -> Message:
        nonlocal whole, deadline
        if whole:
            # waiting for the client to leave has no limit
            return await receive()
        if deadline is None:
            deadline = anyio.current_time() + BODY_TIMEOUT
        message: Message = {"type": "http.disconnect"}
        with anyio.CancelScope(deadline=deadline):
            message = await receive()
        whole = not message.get("more_body", False)
        return message

    return read


def _not_for_ever(scope: Scope, send: Send) -> Send:
    """Do not take the rest of a long body after the answer: the connection ends with it."""
    headers = Headers(scope=scope)
    if "transfer-encoding" not in headers and int(headers.get("content-length", "0")) <= LONG_BODY:
        return send

    async def close_after(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Connection"] = "close"
        await send(message)

    return close_after


def origins_of(words: Sequence[str]) -> tuple[str, ...]:
    """Origins as browsers send them: without a slash at the end."""
    return tuple(word.strip().rstrip("/") for word in words if word.strip())
