"""Whose question leaves next: every caller has a line of their own, and the lines take turns.

Whoever asks for much stands behind themselves. Another caller's question waits until a place is
free, and then for one question of each of the others at most.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Final

_ASKER: ContextVar[Hashable] = ContextVar("asker", default=None)

#: those who wait, the first first; values are of no use
_Waiting = OrderedDict[asyncio.Future[None], None]


@contextmanager
def asking_for(asker: Hashable) -> Iterator[None]:
    """Put the questions that work inside the block asks in the line of `asker`."""
    token = _ASKER.set(asker)
    try:
        yield
    finally:
        _ASKER.reset(token)


class Turns:
    """A number of places, given to the lines in turn."""

    def __init__(self, places: int) -> None:
        """Begin with every place free."""
        self._free = max(1, places)
        #: the line that is next comes first; none is empty
        self._lines: Final[OrderedDict[Hashable, _Waiting]] = OrderedDict()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a place, once it is the turn of the caller whom the work is for."""
        await self._take(_ASKER.get())
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, asker: Hashable) -> None:
        if self._free:
            self._free -= 1
            return
        given = asyncio.get_running_loop().create_future()
        self._lines.setdefault(asker, OrderedDict())[given] = None
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                # it was given in the moment that the caller left
                self._pass_on()
            else:
                self._leave(asker, given)
            raise

    def _leave(self, asker: Hashable, given: asyncio.Future[None]) -> None:
        line = self._lines.get(asker)
        if line is not None and given in line:
            del line[given]
            if not line:
                del self._lines[asker]

    def _pass_on(self) -> None:
        """Give a place to the next in turn; it is free when nobody waits."""
        while self._lines:
            asker, line = self._lines.popitem(last=False)
            given, _ = line.popitem(last=False)
            if line:
                self._lines[asker] = line
            # one who is leaving just now has not left the line yet
            if not given.done():
                given.set_result(None)
                return
        self._free += 1
