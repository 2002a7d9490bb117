"""Telling subscribers that the catalog changed, whoever changed it.

Two kinds of subscribers: clients of the modern era hold a listen stream open, clients of the
older revisions subscribe to single resources. The files are looked at only while somebody
listens: two `stat` calls every `INTERVAL` seconds.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import anyio
import anyio.lowlevel
import anyio.to_thread
from mcp import MCPError
from mcp.server.connection import Connection
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated
from mcp.types import INVALID_PARAMS

from civit_mcp.errors import CivitError

logger = logging.getLogger(__name__)

#: seconds between two looks; a change by another program is told within twice this
INTERVAL: Final = 0.4
_SCHEME: Final = "catalog://"
#: seconds that one subscriber may take to read what it is told
TELL_TIMEOUT: Final = 5.0
#: subscriptions that one connection or stream may hold
MAX_URIS: Final = 256
#: characters of one of them
LONGEST_URI: Final = 1000
#: what all values of a listen request may take: they live as long as the stream
LARGEST_REQUEST: Final = MAX_URIS * (LONGEST_URI + 200)
#: roughly what one value takes besides its text
_SIZE_OF_ONE: Final = 64


class LiveCatalog:
    """Who listens to which catalog resource, and what they were told last."""

    def __init__(
        self, fingerprint: Callable[[], object], must_allow: Callable[[str], None]
    ) -> None:
        """Take what tells one state of the files from another, and what guards a resource.

        The first may block; the second raises if the caller may not read what a URI names.
        """
        self.bus = InMemorySubscriptionBus()
        self._fingerprint = fingerprint
        self._must_allow = must_allow
        self._known: object = None
        self._streams: dict[object, frozenset[str]] = {}
        #: one entry per connection of an older revision, gone when the connection is
        self._subscribers: dict[Connection, _Subscriber] = {}
        self._somebody = anyio.Event()
        self._poked = anyio.Event()

    async def during_stream(self, ctx: Any, serve: Callable[[Any], Awaitable[Any]]) -> Any:
        """Know of one listen stream for as long as it is served."""
        wanted = _subscriptions_of(ctx.params)
        # the whole list, news of it or not, and whatever else came along
        _must_fit(wanted)
        _must_be_small(ctx.params)
        self._check(wanted)
        uris = _catalog_uris(wanted)
        told_of = replace(ctx, params=_with_subscriptions(ctx.params, uris)) if wanted else ctx
        await self._begin()
        # nothing waits before the `try`, so that whoever leaves is taken off again
        token = object()
        self._streams[token] = frozenset(uris)
        try:
            return await serve(told_of)
        finally:
            del self._streams[token]

    async def subscribe(self, session: ServerSession, uri: str) -> None:
        """Subscribe a client of an older revision; doing it again changes nothing."""
        self._check([uri])
        await self._begin()
        # nothing below waits, so that whoever is taken down goes with the connection
        connection = connection_of(session)
        subscriber = self._subscribers.get(connection)
        uris = {*_catalog_uris([uri]), *(subscriber.uris if subscriber is not None else ())}
        _must_fit(uris)
        if subscriber is None:
            subscriber = self._subscribers[connection] = _Subscriber(session)
            connection.exit_stack.callback(self._subscribers.pop, connection, None)
        subscriber.uris.update(uris)

    def unsubscribe(self, session: ServerSession, uri: str) -> None:
        """Take one subscription back; one that never was is no error."""
        subscriber = self._subscribers.get(connection_of(session))
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
        if self._somebody.is_set():
            return
        seen = await anyio.to_thread.run_sync(self._look)
        # a look is not broken off; who left during it begins nothing
        await anyio.lowlevel.checkpoint_if_cancelled()
        # who began during this look is still to be told what changed since theirs
        if not self._somebody.is_set():
            self._known = seen
            self._somebody.set()

    def _check(self, uris: Iterable[str]) -> None:
        """Refuse news of what the caller may not read."""
        try:
            for uri in uris:
                self._must_allow(uri)
        except CivitError as error:
            raise MCPError(code=INVALID_PARAMS, message=str(error)) from error

    def _listened_to(self) -> bool:
        return bool(self._streams) or any(s.uris for s in self._subscribers.values())


@dataclass(slots=True)
class _Subscriber:
    session: ServerSession
    uris: set[str] = field(default_factory=set)


def connection_of(session: ServerSession) -> Connection:
    """The SDK makes a session per request; what lives on is the connection behind it."""
    return session._connection  # noqa: SLF001 - it has no public name


def _subscriptions_of(params: Mapping[str, Any] | None) -> list[Any]:
    """What a listener wants to hear of; nobody has looked at the form of it yet."""
    notifications = (params or {}).get("notifications")
    wanted = notifications.get("resourceSubscriptions") if isinstance(notifications, dict) else ()
    return wanted if isinstance(wanted, list) else []


def _with_subscriptions(params: Mapping[str, Any], uris: list[str]) -> Mapping[str, Any]:
    """The same request for these URIs alone; the SDK acknowledges them as what will be told."""
    notifications = {**params["notifications"], "resourceSubscriptions": uris}
    return {**params, "notifications": notifications}


def _must_fit(uris: Collection[Any]) -> None:
    if len(uris) > MAX_URIS or any(
        not isinstance(uri, str) or len(uri) > LONGEST_URI for uri in uris
    ):
        raise MCPError(
            code=INVALID_PARAMS,
            message=f"subscribe to at most {MAX_URIS} resources with at most {LONGEST_URI}"
            " characters each; catalog://models.json and catalog://loras.json cover the rest",
        )


def _must_be_small(params: Mapping[str, Any] | None) -> None:
    """Refuse what came along with the subscriptions; a list in it can hold what theirs may not."""
    left: list[Any] = [params]
    size = 0
    while left:
        value = left.pop()
        size += _SIZE_OF_ONE + (len(value) if isinstance(value, str) else 0)
        if size > LARGEST_REQUEST:
            raise MCPError(
                code=INVALID_PARAMS,
                message="this is too much for a request to listen;"
                " send nothing but what to listen to",
            )
        if isinstance(value, Mapping):
            left += [*value, *value.values()]
        elif isinstance(value, list):
            left += value


def _catalog_uris(uris: Iterable[str]) -> list[str]:
    """The ones that there is news of, each once."""
    return [uri for uri in dict.fromkeys(uris) if uri.startswith(_SCHEME)]
