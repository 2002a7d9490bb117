"""Time as the client sees it, so that a test can turn the hands itself."""

import random
import time
from datetime import UTC, datetime

import anyio


class Clock:
    """The real one."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def now(self) -> datetime:
        """Read the wall clock, for dates that CivitAI names."""
        return datetime.now(UTC)

    def chance(self) -> float:
        """Draw from 0 up to 1, to spread retries of many clients."""
        return random.random()  # noqa: S311 - spreads load, guards nothing

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run for `seconds`."""
        await anyio.sleep(seconds)
