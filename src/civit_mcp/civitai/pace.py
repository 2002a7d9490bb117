"""How fast questions may leave: one budget for the process, and pauses CivitAI asks for.

The budget is a bucket of tokens: a burst passes at once, after it a steady rate holds. A
pause that a 429 asks for holds back the questions of the same lane and no others.
"""

import asyncio
import math
from dataclasses import dataclass
from typing import Final, Literal

from civit_mcp.civitai.clock import Clock
from civit_mcp.errors import RateLimited

#: CivitAI serves these from pools of their own, and each refuses for itself
Lane = Literal["REST", "tRPC", "search"]

_LISTS: Final = frozenset(f"/api/v1/{name}" for name in ("creators", "images", "models", "tags"))
#: no header may close a lane for longer (seconds)
_LONGEST_PAUSE: Final = 3600.0
#: those who waited for the same moment do not all leave in it (seconds)
_SPREAD: Final = 0.5
#: less than this of a token is a rounding error
_CRUMB: Final = 1e-6


def lane_of(path: str) -> Lane:
    """Which of CivitAI's pools a question goes to."""
    if path.startswith("/api/trpc/"):
        return "tRPC"
    return "search" if path.rstrip("/") in _LISTS else "REST"


@dataclass(frozen=True, slots=True, kw_only=True)
class PacePolicy:
    """The budget. The burst covers four cold look-ups of everything behind an image."""

    #: questions a second, in the long run
    rate: float = 25.0
    #: questions that may leave at once after a rest
    burst: int = 64


class Pace:
    """Shared by all calls of a server, whichever caller's key they carry."""

    def __init__(self, policy: PacePolicy, *, longest_wait: float, clock: Clock) -> None:
        """Start with a full bucket. `longest_wait`: seconds of pause a caller is held for."""
        self._policy = policy
        self._longest_wait = longest_wait
        self._clock = clock
        self._tokens = float(policy.burst)
        self._counted_at = clock.monotonic()
        self._closed_until: dict[Lane, float] = {}
        #: the first in it waits for the next token, the others for their turn
        self._queue = asyncio.Lock()

    def forget_waiters(self) -> None:
        """Let the next caller use another event loop. Nobody may be waiting."""
        self._queue = asyncio.Lock()

    def close(self, lane: Lane, seconds: float) -> None:
        """Hold a lane's questions back from now on; a shorter pause ends no longer one."""
        until = self._clock.monotonic() + min(seconds, _LONGEST_PAUSE)
        self._closed_until[lane] = max(until, self._closed_until.get(lane, until))

    def closed_for(self, lane: Lane) -> float:
        """Seconds until the lane opens; 0: it is open."""
        until = self._closed_until.get(lane)
        return 0.0 if until is None else max(0.0, until - self._clock.monotonic())

    async def opened(self, lane: Lane, about: str) -> None:
        """Wait until the lane is open.

        Raises `RateLimited` when that is further away than a caller should be held for.
        """
        while left := self.closed_for(lane):
            if left > self._longest_wait:
                seconds = math.ceil(left)
                raise RateLimited(
                    f"CivitAI asked for a pause of {lane} questions that still lasts {seconds}"
                    f" seconds, so {about} was not asked for",
                    f"wait {seconds} seconds and call again",
                )
            await self._clock.sleep(left + self._clock.chance() * _SPREAD)

    async def token(self) -> None:
        """Take one question's share of the budget, waiting in line when it is used up."""
        if not self._queue.locked() and self._take():
            return
        async with self._queue:
            while not self._take():
                lack = (1.0 - self._tokens) / self._policy.rate
                await self._clock.sleep(lack * (1.0 + self._clock.chance()))

    def _take(self) -> bool:
        now = self._clock.monotonic()
        earned = (now - self._counted_at) * self._policy.rate
        self._tokens = min(float(self._policy.burst), self._tokens + earned)
        self._counted_at = now
        if self._tokens < 1.0 - _CRUMB:
            return False
        self._tokens -= 1.0
        return True
