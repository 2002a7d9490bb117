"""A connection whose request never comes is closed.

uvicorn limits how long a connection may be idle between two requests, but not how long a
request's head may take: a peer that sends a header now and then would be waited for for ever.
Nor does it care how many connections wait for nothing: they would fill the house, and nobody
had to show a token for that. So those that wait make room, strangers first.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from civit_mcp.app import CALLER_KEY

#: seconds from the first byte, or from the connection, to the end of the request's head
HEAD_TIMEOUT: Final = 15.0
#: idle connections whose last request brought no token, or that never had one; one more, and
#: the oldest of them goes
MOST_STRANGERS: Final = 500
#: idle connections of everybody, likewise; a client whose connection goes makes a new one
MOST_IDLE: Final = 1000


class PatientProtocol(H11Protocol):
    """h11 with an end to its patience."""

    _overdue: asyncio.TimerHandle | None = None
    #: when the connection was made, by the loop's clock
    came: float = 0.0

    def connection_made(self, transport: Any) -> None:
        """Expect a request from now on."""
        super().connection_made(transport)
        self._expect()
        self.came = self.loop.time()
        if len(self.connections) > MOST_STRANGERS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Expect the rest of a head that has begun; a request that is there is expected no more."""
        if self._overdue is None and not self._serving():
            self._expect()
        super().data_received(data)
        if self._serving():
            self._stop_expecting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing of a connection that is gone."""
        self._stop_expecting()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        idle = [
            connection
            for connection in self.connections
            if isinstance(connection, PatientProtocol)
            and not connection._serving()  # noqa: SLF001 - of another of our own
            and not connection.transport.is_closing()
        ]
        strangers = [connection for connection in idle if not connection.was_let_in()]
        for waiting, most in ((strangers, MOST_STRANGERS), (idle, MOST_IDLE)):
            if len(waiting) > most:
                min(waiting, key=lambda connection: connection.came).transport.close()
                return

    def was_let_in(self) -> bool:
        """Whether the gate knew who sent the last request."""
        # uvicorn sets it with the first request, whatever its annotation says
        scope: Any = self.scope
        return scope is not None and CALLER_KEY in scope["state"]

    def _serving(self) -> bool:
        # set like the scope
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _expect(self) -> None:
        self._overdue = self.loop.call_later(HEAD_TIMEOUT, self._give_up)

    def _stop_expecting(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _give_up(self) -> None:
        self._overdue = None
        if not self._serving() and not self.transport.is_closing():
            self.transport.close()
