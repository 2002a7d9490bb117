"""What a running server holds."""

import asyncio
import contextlib
import functools
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mcp.server.mcpserver import Context
from pydantic import SecretStr

from civit_mcp.app.callers import KEY_HEADER, key_of
from civit_mcp.config import Settings
from civit_mcp.errors import RateLimited

if TYPE_CHECKING:
    from civit_mcp.civitai import Listener
    from civit_mcp.usecases.desk import Desk


#: callers with keys of their own that are remembered at once
MOST_KEYS: Final = 64


_current_desk: "ContextVar[Desk | None]" = ContextVar("current_desk", default=None)


@dataclass
class _Held:
    """A desk of a caller with a key, and how many of their requests are being served."""

    desk: "Desk"
    users: int = 0


@dataclass
class App:
    """What lives as long as the server, whatever the number of connections.

    The rooms behind the desk (client, catalog, readers) are loaded by the first request that
    needs them, or by `load_rooms` once a client has been greeted: a server that is asked
    nothing costs little, and one that is asked something is up sooner.
    """

    settings: Settings
    #: hears what becomes of questions to CivitAI; None: nobody counts
    listener: "Listener | None" = field(default=None, repr=False)
    _users: int = field(default=0, repr=False)
    #: desks of callers who bring a key of their own, the latest used last
    _keyed: "OrderedDict[str, _Held]" = field(default_factory=OrderedDict, repr=False)
    _closing: set[asyncio.Future[None]] = field(default_factory=set, repr=False)

    @functools.cached_property
    def desk(self) -> "Desk":
        """What use cases work with; made once, by the event loop's thread; connects to nothing."""
        from civit_mcp.usecases.desk import Desk

        desk = Desk.open(self.settings)
        if self.listener is not None:
            desk.client.report_to(self.listener)
        return desk

    @contextlib.contextmanager
    def serving(self, request: Any) -> Iterator[None]:
        """Serve one request; a caller who brings a CivitAI key gets a desk of their own.

        That desk has another client, so neither key nor cached answers are shared with anybody
        else; the catalog and the limits towards CivitAI are the same.

        Raises:
            BadReference: what the request brings cannot be a key.
            RateLimited: more callers with keys of their own are being served than may be.
        """
        key = key_of(request)
        if key is None:
            yield
            return
        held = self._hold(key)
        serving = _current_desk.set(held.desk)
        try:
            yield
        finally:
            _current_desk.reset(serving)
            held.users -= 1

    def _hold(self, key: str) -> "_Held":
        held = self._keyed.pop(key, None)
        if held is None:
            self._make_room()
            from civit_mcp.civitai import CivitaiClient
            from civit_mcp.usecases.desk import Desk

            settings = self.settings.model_copy(
                update={"civitai_api_key": SecretStr(key), "civitai_session_token": None}
            )
            client = CivitaiClient(settings, beside=self.desk.client, key_name=KEY_HEADER)
            held = _Held(Desk(settings, client, self.desk.catalog))
        held.users += 1
        self._keyed[key] = held
        return held

    def _make_room(self) -> None:
        """Let go of the desk that was idle for longest; nobody's call is cut off."""
        if len(self._keyed) < MOST_KEYS:
            return
        idle = next((key for key, held in self._keyed.items() if held.users == 0), None)
        if idle is None:
            raise RateLimited(
                f"{MOST_KEYS} callers with keys of their own are being served already"
            )
        closing = asyncio.ensure_future(self._keyed.pop(idle).desk.client.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def desk_now(self) -> "Desk":
        """The desk of the request that is being served."""
        return _current_desk.get() or self.desk

    @staticmethod
    def load_rooms() -> None:
        """Import every room, in whatever thread calls."""
        from civit_mcp.usecases import generation, lookup, search, shelving

        # naming them keeps them: an import that nothing uses looks like a mistake
        assert all((generation, lookup, search, shelving))

    @contextlib.asynccontextmanager
    async def in_use(self) -> AsyncIterator["App"]:
        """Hold the app open; the last holder to leave closes its connections.

        A legacy SSE server runs its lifespan once per connection, so holders are counted.
        """
        self._users += 1
        try:
            yield self
        finally:
            self._users -= 1
            if self._users == 0:
                opened = [held.desk for held in self._keyed.values()]
                self._keyed.clear()
                if "desk" in self.__dict__:
                    opened.append(self.desk)
                for desk in opened:
                    await desk.client.aclose()
                await asyncio.gather(*self._closing)


Ctx = Context[App]


def desk_of(ctx: Ctx) -> "Desk":
    """What use cases work with; with the caller's own CivitAI key if the request has one."""
    return ctx.request_context.lifespan_context.desk_now()
