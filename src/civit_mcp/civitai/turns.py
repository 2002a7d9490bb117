"""Whose question leaves next: every caller has a line of their own, and the lines take turns.

Whoever asks for much stands behind themselves. Another caller's question waits until a place is
free, and then for one question of each of the others at most. A question of several callers
stands in the line of each of them, and leaves with the first turn that any of them has.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Final

_ASKER: ContextVar[Hashable] = ContextVar("asker", default=None)

#: by asker, the next line first; in each, the first first. None is empty, and values are of no use
_Lines = OrderedDict[Hashable, OrderedDict["Askers", None]]


@contextmanager
def asking_for(asker: Hashable) -> Iterator[None]:
    """Put the questions that work inside the block asks in the line of `asker`."""
    token = _ASKER.set(asker)
    try:
        yield
    finally:
        _ASKER.reset(token)


class Askers:
    """Those whom one question is for, which waits in the line of each of them.

    Given to `asking_for`, it holds for work that waits for one turn at a time.
    """

    #: done when it is the turn of one of its lines
    given: asyncio.Future[None]

    def __init__(self, *askers: Hashable) -> None:
        """Begin with these, who stay."""
        self._counts: Counter[Hashable] = Counter(askers)
        #: the lines it stands in, while it does
        self._lines: _Lines | None = None

    def __bool__(self) -> bool:
        """Whether anybody is left."""
        return bool(self._counts)

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Let the caller be one of them inside the block, even if it waits already."""
        asker = _ASKER.get()
        self._counts[asker] += 1
        self._stand(asker)
        try:
            yield
        finally:
            self._counts[asker] -= 1
            if not self._counts[asker]:
                self._leave(asker)
                del self._counts[asker]

    def line_up(self, lines: _Lines) -> asyncio.Future[None]:
        """Stand in the line of each."""
        self._lines = lines
        self.given = asyncio.get_running_loop().create_future()
        for asker in self._counts:
            self._stand(asker)
        return self.given

    def leave(self) -> None:
        """Leave all lines."""
        for asker in self._counts:
            self._leave(asker)
        self._lines = None

    def _stand(self, asker: Hashable) -> None:
        if self._lines is not None:
            self._lines.setdefault(asker, OrderedDict())[self] = None

    def _leave(self, asker: Hashable) -> None:
        if self._lines is not None:
            line = self._lines[asker]
            del line[self]
            if not line:
                del self._lines[asker]


class Turns:
    """A number of places, given to the lines in turn."""

    def __init__(self, places: int) -> None:
        """Begin with every place free."""
        self._free = max(1, places)
        self._lines: Final[_Lines] = OrderedDict()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a place, once it is the turn of a caller whom the work is for."""
        asker = _ASKER.get()
        await self._take(asker if isinstance(asker, Askers) else Askers(asker))
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, askers: Askers) -> None:
        if self._free:
            self._free -= 1
            return
        given = askers.line_up(self._lines)
        try:
            await given
        except asyncio.CancelledError:
            askers.leave()
            if not given.cancelled():
                # it was given in the moment that the caller left
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give a place to the next in turn; it is free when nobody waits."""
        while self._lines:
            asker, line = next(iter(self._lines.items()))
            askers = next(iter(line))
            self._lines.move_to_end(asker)
            askers.leave()
            # one who is leaving just now has not left the line yet
            if not askers.given.done():
                askers.given.set_result(None)
                return
        self._free += 1
