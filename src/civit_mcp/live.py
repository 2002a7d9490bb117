"""Telling subscribers that the catalog changed, whoever changed it.

Two kinds of subscribers: clients of the modern era hold a listen stream open, clients of the
older revisions subscribe to single resources. The files are looked at only while somebody
listens: two `stat` calls every `INTERVAL` seconds.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import anyio.to_thread
from mcp.server.connection import Connection
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated

from civit_mcp.errors import CivitError

logger = logging.getLogger(__name__)

#: seconds between two looks; a change by another program is told within twice this
INTERVAL: Final = 0.4
_SCHEME: Final = "catalog://"
#: seconds that one subscriber may take to read what it is told
TELL_TIMEOUT: Final = 5.0
#: subscriptions that one connection may hold; a client that loops asks for the same ones
MAX_URIS: Final = 256


class LiveCatalog:
    """Who listens to which catalog resource, and what they were told last."""

    def __init__(self, fingerprint: Callable[[], object]) -> None:
        """Take what tells one state of the files from another; it may block."""
        self.bus = InMemorySubscriptionBus()
        self._fingerprint = fingerprint
        self._known: object = None
        self._streams: dict[object, frozenset[str]] = {}
        #: one entry per connection of an older revision, gone when the connection is
        self._subscribers: dict[Connection, _Subscriber] = {}
        self._somebody = anyio.Event()
        self._poked = anyio.Event()

    async def during_stream(
        self, params: Mapping[str, Any] | None, serve: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Know of one listen stream for as long as it is served."""
        wanted = ((params or {}).get("notifications") or {}).get("resourceSubscriptions") or ()
        token = object()
        self._streams[token] = _catalog_uris(wanted)
        await self._begin()
        try:
            return await serve()
        finally:
            del self._streams[token]

    async def subscribe(self, session: ServerSession, uri: str) -> None:
        """Subscribe a client of an older revision; doing it again changes nothing."""
        connection = _connection_of(session)
        subscriber = self._subscribers.get(connection)
        if subscriber is None:
            subscriber = self._subscribers[connection] = _Subscriber(session)
            connection.exit_stack.callback(self._subscribers.pop, connection, None)
        if len(subscriber.uris) < MAX_URIS:
            subscriber.uris.update(_catalog_uris([uri]))
        await self._begin()

    def unsubscribe(self, session: ServerSession, uri: str) -> None:
        """Take one subscription back; one that never was is no error."""
        subscriber = self._subscribers.get(_connection_of(session))
        if subscriber is not None:
            subscriber.uris.discard(uri)

    def changed(self) -> None:
        """Say that the catalog was just written; whoever listens is told at once."""
        self._poked.set()

    async def watch(self) -> None:
        """Look at the files for as long as the server runs and somebody listens."""
        while True:
            await self._somebody.wait()
            while self._listened_to():
                with anyio.move_on_after(INTERVAL):
                    await self._poked.wait()
                self._poked = anyio.Event()
                seen = await anyio.to_thread.run_sync(self._look)
                if seen != self._known:
                    self._known = seen
                    await self._tell_all()
            self._somebody = anyio.Event()

    async def _tell_all(self) -> None:
        asked_for = {uri for uris in self._streams.values() for uri in uris}
        for uri in sorted(asked_for):
            await self.bus.publish(ResourceUpdated(uri=uri))
        async with anyio.create_task_group() as group:
            for connection, subscriber in list(self._subscribers.items()):
                group.start_soon(self._tell, connection, subscriber)

    async def _tell(self, connection: Connection, subscriber: "_Subscriber") -> None:
        try:
            with anyio.fail_after(TELL_TIMEOUT):
                for uri in sorted(subscriber.uris):
                    await subscriber.session.send_resource_updated(uri)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError):
            # gone, or no longer reading; nobody is left to tell
            self._subscribers.pop(connection, None)
        except Exception:
            # one listener's fault must not end the watch for the others
            logger.exception("a subscriber could not be told")
            self._subscribers.pop(connection, None)

    def _look(self) -> object:
        """The state of the files; one that cannot be looked at is a state as well."""
        try:
            return self._fingerprint()
        except (CivitError, OSError) as error:
            return str(error)

    async def _begin(self) -> None:
        """Take the state that a new listener starts from, unless others listen already."""
        if not self._somebody.is_set():
            self._known = await anyio.to_thread.run_sync(self._look)
            self._somebody.set()

    def _listened_to(self) -> bool:
        return bool(self._streams) or any(s.uris for s in self._subscribers.values())


@dataclass(slots=True)
class _Subscriber:
    session: ServerSession
    uris: set[str] = field(default_factory=set)


def _connection_of(session: ServerSession) -> Connection:
    """The SDK makes a session per request; what lives on is the connection behind it."""
    return session._connection  # noqa: SLF001 - it has no public name


def _catalog_uris(uris: Iterable[Any]) -> frozenset[str]:
    return frozenset(str(uri) for uri in uris if str(uri).startswith(_SCHEME))
