"""Tells whoever asks how old the answers are that came from the cache in CivitAI's place.

A caller opens `answers_observed` around a piece of work; whatever the work asks, in tasks of
its own too, adds to what the caller then reads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

Why = Literal["offline", "upstream unavailable"]


@dataclass(slots=True)
class Seen:
    """What came from the cache although its time was over; both None when nothing did."""

    #: seconds
    oldest_age: float | None = None
    why: Why | None = None

    def add(self, age: float, why: Why) -> None:
        """Count one more answer."""
        if self.oldest_age is None or age > self.oldest_age:
            self.oldest_age = age
            self.why = why

    def note(self) -> str | None:
        """Word it for a reader; None when there is nothing to say."""
        if self.oldest_age is None:
            return None
        return f"Answered from the cache, up to {age_text(self.oldest_age)} old ({self.why})"


_COLLECTOR: ContextVar[Seen | None] = ContextVar("answers_observed", default=None)


@contextmanager
def answers_observed() -> Iterator[Seen]:
    """Collect the ages of answers that work inside the block gets from the cache."""
    seen = Seen()
    token = _COLLECTOR.set(seen)
    try:
        yield seen
    finally:
        _COLLECTOR.reset(token)


def observe(age: float, why: Why) -> None:
    """Say that an answer of this age was used; heard when somebody collects."""
    seen = _COLLECTOR.get()
    if seen is not None:
        seen.add(age, why)


def age_text(seconds: float) -> str:
    """Word an age in its largest unit, rounded up so that nothing looks newer than it is."""
    for size, one, many in ((86400, "day", "days"), (3600, "h", "h"), (60, "min", "min")):
        if seconds > size:
            count = -int(-seconds // size)
            return f"{count} {one if count == 1 else many}"
    return f"{max(1, -int(-seconds // 1))} s"
