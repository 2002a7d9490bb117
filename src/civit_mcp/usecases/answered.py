"""What was answered lately, given again while everything that it rests on is unchanged.

Nothing is taken on trust: an answer is given again only after CivitAI's answers, the catalog's
files and the model files behind it were found as they were. What changes with the clock alone
(an early access that ends) is seen when the time of a kept answer is over.
"""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import anyio.to_thread
from cachetools import TTLCache

from civit_mcp.errors import CivitError
from civit_mcp.grounds import Check, Grounds

#: seconds for which an answer is kept
KEPT_FOR: Final = 60.0
#: bytes of memory that all kept answers hold together, unless it is told how many. A process may
#: have 512 MB: 80 when idle, 72 for CivitAI's answers and ours, and three for each of 64 keys
_MOST_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Any
    size: int
    grounds: Grounds


class Answered:
    """Answers of one desk by what was asked; the event loop's own."""

    def __init__(self, *, most_bytes: int = _MOST_BYTES) -> None:
        """Begin empty."""
        self._kept: TTLCache[Hashable, _Kept] = TTLCache(
            most_bytes, KEPT_FOR, getsizeof=lambda kept: kept.size
        )
        self._glances = Glances()

    def __len__(self) -> int:
        return len(self._kept)

    async def again(self, question: Hashable) -> Any | None:
        """Give the answer if it still is the answer."""
        kept = self._kept.get(question)
        if kept is None or not kept.grounds.hold():
            return None
        look = kept.grounds.look
        if look is not None and not await self._glances.take(partial(_holds, look)):
            return None
        return kept.answer

    def keep(self, question: Hashable, answer: Any, *, size: int, grounds: Grounds) -> None:
        """Remember an answer; one whose grounds cannot be checked is not remembered.

        `size`: bytes of memory that it and its grounds hold.
        """
        if grounds.firm and size <= self._kept.maxsize:
            self._kept[question] = _Kept(answer, size, grounds)


class Glances:
    """Short looks at the disk: whoever asks while one is under way shares the next hop.

    A look begins after it was asked for, so it sees whatever was written before that.
    """

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self._asked: list[tuple[Check, asyncio.Future[bool]]] = []
        self._serving: asyncio.Task[None] | None = None

    async def take(self, look: Check) -> bool:
        """Look, off the event loop."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append((look, answer))
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        return await answer

    async def _serve(self) -> None:
        batch: list[tuple[Check, asyncio.Future[bool]]] = []
        try:
            while self._asked:
                batch, self._asked = self._asked, []
                seen = await anyio.to_thread.run_sync(_all_of, [look for look, _ in batch])
                for (_, answer), what in zip(batch, seen, strict=True):
                    if answer.done():  # who asked has left
                        continue
                    if isinstance(what, Exception):
                        answer.set_exception(what)
                    else:
                        answer.set_result(what)
        finally:
            self._serving = None
            for _, answer in (*batch, *self._asked):
                answer.cancel()


def _holds(look: Check) -> bool:
    """A disk that cannot be looked at is not as it was."""
    try:
        return look()
    except (CivitError, OSError):
        return False


def _all_of(looks: list[Check]) -> list[bool | Exception]:
    return [_outcome(look) for look in looks]


def _outcome(look: Check) -> bool | Exception:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - it is raised where the look was asked for
        return error
