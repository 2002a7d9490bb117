"""Whose session is whose: a session answers only to the token that opened it.

The transports keep the sessions; here is only who opened which, and how many one token holds.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civit_mcp.app import CALLER_KEY

HEADER: Final = "mcp-session-id"
#: seconds without a request after which the transport forgets a session
IDLE: Final = 1800.0
#: sessions of all tokens together, and of one of them: one cannot lock the others out
MOST: Final = 1000
MOST_OF_ONE: Final = 250


@dataclass(slots=True)
class _Session:
    owner: object
    seen: float = field(default_factory=time.monotonic)


class Sessions:
    """ASGI middleware behind the gate."""

    def __init__(self, app: ASGIApp, *, path: str) -> None:
        """Take the app behind it and the address whose sessions are kept apart."""
        self._app = app
        self._path = path
        self._known: OrderedDict[str, _Session] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for a foreign session or one too many; else watch what is opened and closed."""
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        owner = scope.get("state", {}).get(CALLER_KEY)
        asked = Headers(scope=scope).get(HEADER)
        if asked is None and self._count(owner) >= MOST_OF_ONE:
            refusal = JSONResponse({"detail": "This token has too many open sessions"}, 429)
            await refusal(scope, receive, send)
            return
        known = self._known.get(asked) if asked is not None else None
        if known is not None and known.owner != owner:
            # not 403: whether another token has such a session is nobody's business
            await JSONResponse({"detail": "Session not found"}, 404)(scope, receive, send)
            return
        if known is not None:
            known.seen = time.monotonic()

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                opened = MutableHeaders(scope=message).get(HEADER)
                if scope["method"] == "DELETE" and asked is not None:
                    self._known.pop(asked, None)
                elif opened is not None and opened not in self._known:
                    self._known[opened] = _Session(owner)
            await send(message)

        await self._app(scope, receive, watched)

    def _count(self, owner: object) -> int:
        """Sessions that a caller holds; those that the transport has forgotten are dropped."""
        now = time.monotonic()
        for name, session in list(self._known.items()):
            if now - session.seen > IDLE:
                del self._known[name]
        return sum(session.owner == owner for session in self._known.values())
