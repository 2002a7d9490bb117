"""What an answer rests on, so that it can be given again while none of that has changed.

Whoever works out an answer collects its grounds with `grounds_collected`; the rooms below add
what they looked at, as they look: which of CivitAI's answers they used, which state of the
catalog, which files were there. Asked the same again, it is enough to see that each of these
still holds. That is quicker than working it out anew, and just as true.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

Check = Callable[[], bool]
#: an answer with more looks at the disk than this is not worth holding
_MOST_LOOKS: Final = 256


class Grounds:
    """The checks that together say that an answer is still the answer."""

    __slots__ = ("_facts", "_firm", "_looks")

    def __init__(self) -> None:
        """Begin with nothing, which holds for ever."""
        self._facts: list[Check] = []
        self._looks: list[Check] = []
        self._firm = True

    @property
    def firm(self) -> bool:
        """Whether the checks tell everything that the answer depends on."""
        return self._firm and len(self._looks) <= _MOST_LOOKS

    @property
    def checks(self) -> int:
        """How many there are; each is held as long as the answer."""
        return len(self._facts) + len(self._looks)

    @property
    def look(self) -> Check | None:
        """Whether the disk is as it was seen; blocks. None when nothing was looked at."""
        return self._look_again if self._looks else None

    def hold(self) -> bool:
        """Whether everything that was used, but for the disk, is what it was."""
        return all(check() for check in self._facts)

    def add(self, check: Check, *, on_disk: bool = False) -> None:
        """Take one more check."""
        (self._looks if on_disk else self._facts).append(check)

    def give_up(self) -> None:
        """Say that the answer depends on something that cannot be checked."""
        self._firm = False

    def _look_again(self) -> bool:
        return all(look() for look in self._looks)


_COLLECTOR: ContextVar[Grounds | None] = ContextVar("grounds", default=None)


@contextmanager
def grounds_collected() -> Iterator[Grounds]:
    """Collect what the work inside the block looks at, in its own tasks and threads too."""
    grounds = Grounds()
    token = _COLLECTOR.set(grounds)
    try:
        yield grounds
    finally:
        _COLLECTOR.reset(token)


def current_grounds() -> Grounds | None:
    """Where to add what is being looked at; None when nobody collects."""
    return _COLLECTOR.get()
