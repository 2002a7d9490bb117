"""What all clients of one server share, whoever's key they carry: limits, and the file.

CivitAI sees one visitor, however many callers with keys of their own stand behind it. What an
account was told is not in here: the file's keys tell accounts apart, and all else stays with
its client.
"""

from pathlib import Path
from typing import Final, Literal, Protocol

from civit_mcp.civitai.breaker import Breaker, BreakerPolicy
from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.keeper import Keeper
from civit_mcp.civitai.pace import Pace, PacePolicy
from civit_mcp.civitai.turns import Turns


class Listener(Protocol):
    """Hears what becomes of questions, for figures. Must be quick and must not raise."""

    def asked(self, outcome: str) -> None:
        """A question went out: `2xx` to `5xx`, or `silence`."""

    def known(self, where: Literal["memory", "disk"]) -> None:
        """An answer was there already."""


class Shared:
    """Made by the first client; the others get it from there."""

    def __init__(
        self,
        host: str,
        cache_dir: Path,
        *,
        max_concurrency: int,
        longest_wait: float,
        pace: PacePolicy,
        breaker: BreakerPolicy,
        clock: Clock,
    ) -> None:
        """Connect to nothing, open nothing. `longest_wait` bounds a pause (seconds)."""
        self.clock: Final = clock
        self.most: Final = max(1, max_concurrency)
        self.pace: Final = Pace(pace, longest_wait=longest_wait, clock=clock)
        self.breaker: Final = Breaker(host, breaker, clock)
        self.keeper: Final = Keeper(cache_dir, clock)
        self.turns: Final = Turns(self.most)
        self.listener: Listener | None = None

    def forget_waiters(self) -> None:
        """Let the next caller use another event loop. Nobody may be waiting."""
        self.pace.forget_waiters()
