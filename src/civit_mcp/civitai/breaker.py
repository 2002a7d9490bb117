"""Stops asking a host that is down, and finds out when it is back.

closed: questions pass. After several failed in a row: open, and questions are refused at
once. When the pause is over one question passes to try the host; it closes the breaker or
opens it again for longer.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from civit_mcp.civitai.clock import Clock
from civit_mcp.errors import UpstreamUnavailable

_LONGEST_REASON: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When to stop asking, and for how long (seconds)."""

    #: questions in a row, each with all its tries, that found nobody
    failures: int = 5
    first_pause: float = 15.0
    #: the pause doubles with each vain trial up to this
    longest_pause: float = 120.0


class Passage:
    """One question's way through the breaker."""

    def __init__(self, breaker: "Breaker", *, trial: bool) -> None:
        self._breaker = breaker
        #: whether this question finds out if the host is back; it gets a single try
        self.trial: Final = trial
        #: whether anything was sent, so that silence is the host's
        self.sent = False
        #: seconds that passed before questions were sent, which say nothing about the host
        self.waited = 0.0
        self._answers_at_trouble: int | None = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside the block as our own, not the host's."""
        since = self._breaker.clock.monotonic()
        try:
            yield
        finally:
            self.waited += self._breaker.clock.monotonic() - since

    def check(self) -> None:
        """Raise `UpstreamUnavailable` when the breaker opened while this question waited."""
        if not self.trial:
            self._breaker.refuse_if_open()

    def troubled(self) -> None:
        """A try was not answered, or only by a fault; others may follow."""
        self._answers_at_trouble = self._breaker.answers

    @property
    def trouble_stands(self) -> bool:
        """Whether a try met trouble, and nobody at all was answered since."""
        return self._answers_at_trouble == self._breaker.answers

    def worked(self) -> None:
        """The host answered, whatever it said."""
        self._breaker.note_success()

    def failed(self, why: str) -> None:
        """The host did not answer, or only to say that it is out of order."""
        self._breaker.note_failure(why, trial=self.trial)


class Breaker:
    """Guards one host."""

    def __init__(self, host: str, policy: BreakerPolicy, clock: Clock) -> None:
        """Begin closed."""
        self._host = host
        self._policy = policy
        self.clock: Final = clock
        #: how often the host answered
        self.answers = 0
        self._failures = 0
        self._since: datetime | None = None
        self._reason = ""
        self._pause = policy.first_pause
        self._open_until: float | None = None
        self._trial_under_way = False

    @contextmanager
    def passing(self) -> Iterator[Passage]:
        """Let one question through, or raise `UpstreamUnavailable`."""
        trial = self._open_until is not None
        if trial:
            self.refuse_if_open()
            self._trial_under_way = True
        try:
            yield Passage(self, trial=trial)
        finally:
            if trial:
                # one that ended without a verdict, such as a cancelled one, makes room
                self._trial_under_way = False

    def refuse_if_open(self) -> None:
        """Raise `UpstreamUnavailable` unless a question may pass now."""
        if self._open_until is None:
            return
        left = self._open_until - self.clock.monotonic()
        if left <= 0 and not self._trial_under_way:
            return
        since = f"{self._since:%H:%M:%S} UTC" if self._since else "some time"
        told = (
            f"'{self._host}' was not asked: it has not answered since {since}"
            f" ({self._failures} questions in a row failed; the last: {self._reason})"
        )
        if left <= 0:
            raise UpstreamUnavailable(
                f"{told}; another question is finding out whether it is back",
                "try again in a few seconds",
                sent=False,
            )
        at = self.clock.now() + timedelta(seconds=left)
        raise UpstreamUnavailable(
            f"{told}; the next try is at {at:%H:%M:%S} UTC",
            f"try again in {math.ceil(left)} seconds",
            sent=False,
        )

    def note_success(self) -> None:
        """Close."""
        self.answers += 1
        self._failures = 0
        self._since = None
        self._pause = self._policy.first_pause
        self._open_until = None

    def note_failure(self, why: str, *, trial: bool) -> None:
        """Count; open when it was one too many."""
        self._failures += 1
        self._since = self._since or self.clock.now()
        self._reason = why[:_LONGEST_REASON]
        if trial:
            self._pause = min(self._pause * 2, self._policy.longest_pause)
        elif self._open_until is not None or self._failures < self._policy.failures:
            # those who were on their way when it opened do not make it longer
            return
        self._open_until = self.clock.monotonic() + self._pause
