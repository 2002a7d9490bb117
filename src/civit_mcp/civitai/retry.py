"""When to ask again, and after how long: a pure decision, acted on by the transport.

Only named situations are worth a second try. Everything else is an answer, even when it
is not the one that was hoped for.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal, assert_never

#: network: no answer; busy: the edge or a pool is overloaded; fault: status 500;
#: limited: status 429; garbled: status 200 around something that is no JSON
Kind = Literal["network", "busy", "fault", "limited", "garbled"]

_BUSY: Final = frozenset({502, 503, 504, *range(520, 525)})
#: waiting does not cure this one: the page number itself is too high
_PAGE_CAP: Final = (b"too many pages", b"use cursors")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a try did not succeed, if another one might."""

    kind: Kind
    #: seconds that CivitAI asked to wait; None when it did not say
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How many more tries each situation gets, and how long to wait before them (seconds)."""

    busy_retries: int = 3
    fault_retries: int = 1
    limited_retries: int = 2
    garbled_retries: int = 1
    #: first wait; doubles with each further one
    first_wait: float = 0.5
    longest_wait: float = 8.0
    #: first wait after a 429 that does not say how long
    limited_wait: float = 5.0
    #: CivitAI may ask for a longer wait, but then the caller has to decide
    longest_asked_wait: float = 30.0
    #: a call with all its tries and waits ends within this
    total: float = 60.0

    def wait(
        self, trouble: Trouble, *, count: int, elapsed: float, chance: float = 0.0
    ) -> float | None:
        """Say how long to wait before the next try; None: there is none.

        `count` is how often this kind of trouble has been met in this call (1 the first
        time), `elapsed` the seconds since its start, `chance` a number from 0 up to 1.
        """
        if count > self._retries(trouble.kind):
            return None
        asked = trouble.retry_after
        if asked is not None and asked > self.longest_asked_wait:
            return None
        limited = trouble.kind == "limited"
        pause = (self.limited_wait if limited else self.first_wait) * 2 ** (count - 1)
        if not limited:
            pause = min(pause, self.longest_wait)
        if asked is not None:
            # never earlier than asked; the spread comes on top
            pause = asked + chance * min(self.first_wait, 1.0)
        else:
            pause *= 0.75 + chance / 2
        return pause if elapsed + pause < self.total else None

    def _retries(self, kind: Kind) -> int:
        match kind:
            case "network" | "busy":
                return self.busy_retries
            case "fault":
                return self.fault_retries
            case "limited":
                return self.limited_retries
            case "garbled":
                return self.garbled_retries
            case _:
                assert_never(kind)


def trouble_of(status: int, body: bytes, *, retry_after: float | None) -> Trouble | None:
    """Judge a status; None: this is final, good or bad."""
    if status in _BUSY:
        return Trouble("busy", retry_after)
    if status == 500:
        return Trouble("fault", retry_after)
    if status == 429 and not is_page_cap(body):
        return Trouble("limited", retry_after)
    return None


def is_page_cap(body: bytes) -> bool:
    """Whether a 429 is about page numbers, not about speed."""
    text = body[:4096].lower()
    return any(words in text for words in _PAGE_CAP)


def read_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds to wait, from a number of seconds or an HTTP date; None when it says neither."""
    if not text:
        return None
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
