"""Remembers answers for as long as CivitAI allows, within bounds."""

import re
from dataclasses import dataclass
from typing import Final

from cachetools import TLRUCache

from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.seam import Reply

LONGEST: Final = 3600.0
#: bytes of answers in memory, for who is told nothing else
CACHE_BYTES: Final = 32 * 1024 * 1024
#: an absence heals when somebody uploads the thing, so it is believed for less long
LONGEST_ABSENCE: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer as it is kept across restarts. Times are seconds since 1970."""

    status: int
    body: bytes
    fetched_at: float
    fresh_until: float

    def is_fresh(self, now: float) -> bool:
        """Whether it may stand for a new answer; never when the clock was set back far."""
        return 0 < self.fresh_until - now <= LONGEST


@dataclass(frozen=True, slots=True)
class _Remembered:
    reply: Reply
    seconds: float


class AnswerCache:
    """Replies by key, each with its own time to live; the least used goes first."""

    def __init__(
        self, clock: Clock, *, max_bytes: int = CACHE_BYTES, max_entries: int = 512
    ) -> None:
        """Bound by bytes and entries at once: a small reply is charged an entry's share."""
        self._share = max(1, max_bytes // max_entries)
        self._kept: TLRUCache[str, _Remembered] = TLRUCache(
            maxsize=max_bytes,
            ttu=lambda _key, kept, now: now + kept.seconds,
            timer=clock.monotonic,
            getsizeof=self._charge,
        )

    def _charge(self, kept: _Remembered) -> int:
        return max(self._share, len(kept.reply.body))

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> Reply | None:
        """Give the reply kept under `key`, unless its time is over."""
        kept = self._kept.get(key)
        return kept.reply if kept is not None else None

    def keep(self, key: str, reply: Reply, *, absence_too: bool) -> None:
        """Keep a reply for as long as it says; errors are not kept, bar a welcome 404."""
        if reply.status == 200 or (reply.status == 404 and absence_too):
            self.keep_for(key, reply, lifetime_of(reply))

    def keep_for(self, key: str, reply: Reply, seconds: float) -> None:
        """Keep a reply for some time, unless it is too large."""
        kept = _Remembered(reply, seconds)
        if seconds > 0 and self._charge(kept) <= self._kept.maxsize:
            self._kept[key] = kept

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


def lifetime_of(reply: Reply) -> float:
    """Seconds for which a reply may be reused; an absence for less long than data."""
    seconds = lifetime(reply.headers)
    return min(seconds, LONGEST_ABSENCE) if reply.status == 404 else seconds


def lifetime(headers: dict[str, str]) -> float:
    """Seconds for which an answer may be reused; 0: not at all.

    `s-maxage` counts before `max-age`, as on CivitAI it is the one that tells how fresh the
    data has to be. What a shared cache already used up (`Age`) is gone.
    """
    fields = _directives(headers)
    if fields.keys() & {"no-store", "no-cache", "private"}:
        return 0.0
    allowed = _seconds(fields.get("s-maxage"))
    if allowed is None:
        allowed = _seconds(fields.get("max-age")) or 0.0
    return max(0.0, min(allowed, LONGEST) - (_seconds(headers.get("age")) or 0.0))


def is_storable(headers: dict[str, str]) -> bool:
    """Whether an answer may be kept at all, if only for a time when nobody answers."""
    return "no-store" not in _directives(headers)


def _directives(headers: dict[str, str]) -> dict[str, str]:
    fields = {}
    for part in headers.get("cache-control", "").lower().split(","):
        name, _, value = part.strip().partition("=")
        fields[name.strip()] = value.strip().strip('"')
    return fields


def _seconds(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"[0-9]{1,12}", text.strip()) else None
