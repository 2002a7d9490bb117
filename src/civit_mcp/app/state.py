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

from civit_mcp.app.callers import KEY_HEADER, Caller, caller_of, key_of
from civit_mcp.config import Settings
from civit_mcp.errors import RateLimited

if TYPE_CHECKING:
    from civit_mcp.civitai import Listener
    from civit_mcp.usecases.desk import Desk


#: keys of callers that are remembered at once, and those that one token brings: a token whose
#: holder makes keys up cannot take the places of the others
MOST_KEYS: Final = 64
MOST_KEYS_OF_ONE: Final = 32
#: bytes of CivitAI's answers, and of ours, that each of them keeps in memory
_KEPT_FOR_A_KEY: Final = 1024 * 1024


#: who brings it, and the key
_Owned = tuple[Caller | None, str]

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
    #: desks of callers who bring a key of their own, by caller and key; the latest used last
    _keyed: "OrderedDict[_Owned, _Held]" = field(default_factory=OrderedDict, repr=False)
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
        """Serve one request, in the turn of its caller.

        A caller who brings a CivitAI key gets a desk of their own.

        That desk has another client, so neither key nor cached answers are shared with anybody
        else; the catalog and the limits towards CivitAI and the disk are the same.

        Raises:
            BadReference: what the request brings cannot be a key.
            RateLimited: more keys, of the caller or of all, are in use than may be.
        """
        from civit_mcp.civitai import asking_for

        key = key_of(request)
        caller = caller_of(request)
        with asking_for(caller):
            if key is None:
                yield
                return
            held = self._hold((caller, key))
            serving = _current_desk.set(held.desk)
            try:
                yield
            finally:
                _current_desk.reset(serving)
                held.users -= 1

    def _hold(self, owned: _Owned) -> "_Held":
        held = self._keyed.pop(owned, None)
        if held is None:
            owner, key = owned
            self._make_room(owner)
            from civit_mcp.civitai import CivitaiClient
            from civit_mcp.usecases.answered import Answered
            from civit_mcp.usecases.desk import Desk

            settings = self.settings.model_copy(update={"civitai_api_key": SecretStr(key)})
            client = CivitaiClient(
                settings,
                beside=self.desk.client,
                key_name=KEY_HEADER,
                cache_bytes=_KEPT_FOR_A_KEY,
            )
            answered = Answered(most_bytes=_KEPT_FOR_A_KEY)
            first = self.desk
            held = _Held(
                Desk(settings, client, first.catalog, answered=answered, readers=first.readers)
            )
        held.users += 1
        self._keyed[owned] = held
        return held

    def _make_room(self, owner: Caller | None) -> None:
        """Let go of the desk that was idle for longest; nobody's call is cut off.

        The caller's own go first. Those of others go only while the caller has few.
        """
        own = [owned for owned in self._keyed if owned[0] == owner]
        if len(own) >= MOST_KEYS_OF_ONE:
            may_go, whose = own, "this token"
        elif len(self._keyed) >= MOST_KEYS:
            may_go, whose = sorted(self._keyed, key=lambda owned: owned[0] != owner), "this server"
        else:
            return
        idle = next((owned for owned in may_go if self._keyed[owned].users == 0), None)
        if idle is None:
            raise RateLimited(
                f"{whose} has {len(may_go)} CivitAI keys in use already",
                "wait for some of the requests to end",
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
