"""Keeps answers through a question to a person, however long CivitAI lets them be kept.

Whoever brings a key is told to ask anew each time. But a question about an answer, and what is
then done with the person's choice, are one piece of work, even if they come as two requests: it
is held for as long as CivitAI lets anybody else keep it, and seen by such work alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

#: seconds for which a held answer is good; after that the person has thought for too long
HOLD: Final = 300.0
#: bytes of all held answers of one caller
MOST_HELD: Final = 8 * 1024 * 1024

_HOLDING: ContextVar[bool] = ContextVar("answers_held", default=False)


@contextmanager
def answers_held() -> Iterator[None]:
    """Hold the answers that work inside the block gets, and use those that are held."""
    token = _HOLDING.set(True)
    try:
        yield
    finally:
        _HOLDING.reset(token)


def holding() -> bool:
    """Whether the work under way is part of a question."""
    return _HOLDING.get()
