"""What a running server holds."""

import asyncio
import contextlib
import functools
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mcp.server.mcpserver import Context
from pydantic import SecretStr

from civit_mcp.app.callers import key_of
from civit_mcp.config import Settings

if TYPE_CHECKING:
    from civit_mcp.usecases.desk import Desk


#: callers with keys of their own that are remembered at once
MOST_KEYS: Final = 64


@dataclass
class App:
    """What lives as long as the server, whatever the number of connections.

    The rooms behind the desk (client, catalog, readers) are loaded by the first request that
    needs them, or by `load_rooms` once a client has been greeted: a server that is asked
    nothing costs little, and one that is asked something is up sooner.
    """

    settings: Settings
    _users: int = field(default=0, repr=False)
    #: desks of callers who bring a key of their own, the latest used last
    _keyed: "OrderedDict[str, Desk]" = field(default_factory=OrderedDict, repr=False)
    _closing: set[asyncio.Future[None]] = field(default_factory=set, repr=False)

    @functools.cached_property
    def desk(self) -> "Desk":
        """What use cases work with; made once, by the event loop's thread; connects to nothing."""
        from civit_mcp.usecases.desk import Desk

        return Desk.open(self.settings)

    def desk_with_key(self, key: str) -> "Desk":
        """A desk that asks CivitAI with the caller's key, apart from every other caller's.

        The client is another one, so neither key nor cached answers are shared; the catalog is
        the same.
        """
        known = self._keyed.pop(key, None)
        if known is None:
            from civit_mcp.usecases.desk import Desk

            settings = self.settings.model_copy(
                update={"civitai_api_key": SecretStr(key), "civitai_session_token": None}
            )
            known = Desk.open(settings, catalog=self.desk.catalog)
        self._keyed[key] = known
        if len(self._keyed) > MOST_KEYS:
            _, oldest = self._keyed.popitem(last=False)
            closing = asyncio.ensure_future(oldest.client.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        return known

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
                opened = [*self._keyed.values()]
                self._keyed.clear()
                if "desk" in self.__dict__:
                    opened.append(self.desk)
                for desk in opened:
                    await desk.client.aclose()
                await asyncio.gather(*self._closing)


Ctx = Context[App]


def desk_of(ctx: Ctx) -> "Desk":
    """What use cases work with; with the caller's own CivitAI key if the request has one."""
    request = ctx.request_context
    return desk_for(request.lifespan_context, request.request)


def desk_for(app: App, request: Any) -> "Desk":
    """The desk for an HTTP request, or for none."""
    key = key_of(request)
    return app.desk if key is None else app.desk_with_key(key)
