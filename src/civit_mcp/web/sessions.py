"""Whose session is whose, and how many of them and of open streams one token may hold.

The transports keep the sessions and also tell whose they are; here is who opened how many, so
that one token cannot use up the room of the others.
"""

import contextlib
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civit_mcp.app import CALLER_KEY
from civit_mcp.web.calls import one_more
from civit_mcp.web.endings import UnderWay

HEADER: Final = "mcp-session-id"
#: seconds without a request after which the transport forgets a session
IDLE: Final = 1800.0
#: sessions of all tokens together, and of one of them: one cannot lock the others out
MOST: Final = 1000
MOST_OF_ONE: Final = 250
#: open streams of all tokens together, and of one of them
MOST_STREAMS: Final = 1000
MOST_STREAMS_OF_ONE: Final = 250
_Opened = Literal["session", "stream"]


@dataclass(slots=True)
class _Session:
    owner: object
    seen: float = field(default_factory=time.monotonic)
    #: requests that are being answered, streams among them
    busy: int = 0


class Held:
    """The sessions and streams that are open, by who opened them."""

    def __init__(self) -> None:
        self.known: OrderedDict[str, _Session] = OrderedDict()
        #: sessions that are being opened, by owner
        self.opening: Counter[object] = Counter()
        self.streams: Counter[object] = Counter()
        self.streaming = UnderWay()

    def sessions(self) -> int:
        """How many sessions are open."""
        self._drop_idle()
        return len(self.known)

    def sessions_of(self, owner: object) -> int:
        """How many a caller holds or is about to hold."""
        self._drop_idle()
        held = sum(session.owner == owner for session in self.known.values())
        return held + self.opening[owner]

    def _drop_idle(self) -> None:
        """Forget those that the transport has forgotten."""
        now = time.monotonic()
        for name, session in list(self.known.items()):
            if not session.busy and now - session.seen > IDLE:
                del self.known[name]


class Sessions:
    """ASGI middleware behind the gate."""

    def __init__(self, app: ASGIApp, *, held: Held, path: str, stream_path: str) -> None:
        """Take the app behind it, the address that has sessions, and the one of old streams."""
        self._app = app
        self._held = held
        self._path = path
        self._stream_path = stream_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for a foreign session or one too many; else watch what is opened and closed."""
        if scope["type"] != "http" or scope["path"] not in (self._path, self._stream_path):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        owner = scope.get("state", {}).get(CALLER_KEY)
        known = self._held.known.get(headers.get(HEADER, ""))
        opens = self._opened_by(scope, headers)
        refusal = self._refuse(scope, opens, owner, known)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        with contextlib.ExitStack() as counted:
            if known is not None:
                counted.enter_context(_in_use(known))
            opening = contextlib.ExitStack()
            counted.enter_context(opening)
            if opens == "session":
                opening.enter_context(one_more(self._held.opening, owner))
            watched = self._watched(scope, headers, owner, send, opening)
            if opens == "stream":
                counted.enter_context(one_more(self._held.streams, owner))
                await self._held.streaming.serve(self._app(_anew(scope), receive, watched))
            else:
                await self._app(scope, receive, watched)

    def _refuse(
        self, scope: Scope, opens: _Opened | None, owner: object, known: _Session | None
    ) -> JSONResponse | None:
        if scope["method"] == "HEAD":
            # a stream has no head without a body, though routes for GET take HEAD as well
            allowed = "GET, POST, DELETE" if scope["path"] == self._path else "GET"
            return JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": allowed})
        if known is not None and known.owner != owner:
            # not 403: whether another token has such a session is nobody's business
            return JSONResponse({"detail": "Session not found"}, 404)
        if opens == "stream":
            if self._held.streams[owner] >= MOST_STREAMS_OF_ONE:
                return JSONResponse({"detail": "This token has too many open streams"}, 429)
            if self._held.streams.total() >= MOST_STREAMS:
                return JSONResponse({"detail": "Too many open streams"}, 503)
        if opens == "session":
            if self._held.sessions_of(owner) >= MOST_OF_ONE:
                return JSONResponse({"detail": "This token has too many open sessions"}, 429)
            # the transport would refuse too, with a line in the log for each
            if self._held.sessions() + self._held.opening.total() >= MOST:
                return JSONResponse({"detail": "Too many open sessions"}, 503)
        return None

    def _opened_by(self, scope: Scope, headers: Headers) -> _Opened | None:
        """What the transport makes of a request, if it makes something that stays."""
        if scope["method"] == "GET":
            return "stream"
        if scope["path"] != self._path:
            return None
        if _is_older(headers):
            # what else the headers say, the older eras do not look at
            return "session" if headers.get(HEADER) is None else None
        # of the modern era, in which a request whose header names another method is refused
        return "stream" if headers.get("mcp-method") == "subscriptions/listen" else None

    def _watched(
        self,
        scope: Scope,
        headers: Headers,
        owner: object,
        send: Send,
        opening: contextlib.ExitStack,
    ) -> Send:
        asked, known = headers.get(HEADER), self._held.known

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"] == self._path:
                opened = MutableHeaders(scope=message).get(HEADER)
                # from here on it is open or refused, so it is not counted twice
                opening.close()
                if message["status"] == 404 and asked is not None and _is_older(headers):
                    # the transport knows it no more, whatever became of it
                    known.pop(asked, None)
                elif message["status"] >= 400:
                    # refused, so nothing was opened, and what was to be ended goes on
                    pass
                elif scope["method"] == "DELETE" and asked is not None:
                    known.pop(asked, None)
                elif opened is not None and opened not in known:
                    known[opened] = _Session(owner)
            await send(message)

        return watched


def _is_older(headers: Headers) -> bool:
    """Whether a request is of the eras that have sessions."""
    return headers.get("mcp-protocol-version") in (None, *HANDSHAKE_PROTOCOL_VERSIONS)


def _anew(scope: Scope) -> Scope:
    """A stream that begins anew: nothing is kept that one could go on with.

    The transport would look for what is kept, and find nowhere to look.
    """
    kept = [(name, value) for name, value in scope["headers"] if name != b"last-event-id"]
    return {**scope, "headers": kept}


@contextlib.contextmanager
def _in_use(session: _Session) -> Iterator[None]:
    session.busy += 1
    try:
        yield
    finally:
        session.busy -= 1
        session.seen = time.monotonic()
