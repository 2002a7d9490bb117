"""Remembers answers for as long as CivitAI allows, within bounds."""

import re
from dataclasses import dataclass
from typing import Final

from cachetools import TLRUCache

from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.seam import Reply

LONGEST: Final = 3600.0
#: an absence heals when somebody uploads the thing, so it is believed for less long
LONGEST_ABSENCE: Final = 300.0


@dataclass(frozen=True, slots=True)
class _Kept:
    reply: Reply
    seconds: float


class AnswerCache:
    """Replies by key, each with its own time to live; the least used goes first."""

    def __init__(
        self, clock: Clock, *, max_bytes: int = 32 * 1024 * 1024, max_entries: int = 512
    ) -> None:
        """Bound by bytes and entries at once: a small reply is charged an entry's share."""
        self._share = max(1, max_bytes // max_entries)
        self._kept: TLRUCache[str, _Kept] = TLRUCache(
            maxsize=max_bytes,
            ttu=lambda _key, kept, now: now + kept.seconds,
            timer=clock.monotonic,
            getsizeof=self._charge,
        )

    def _charge(self, kept: _Kept) -> int:
        return max(self._share, len(kept.reply.body))

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> Reply | None:
        """Give the reply kept under `key`, unless its time is over."""
        kept = self._kept.get(key)
        return kept.reply if kept is not None else None

    def keep(self, key: str, reply: Reply, *, absence_too: bool) -> None:
        """Keep a reply for as long as it says; errors are not kept, bar a welcome 404."""
        seconds = lifetime(reply.headers)
        if reply.status == 404 and absence_too:
            seconds = min(seconds, LONGEST_ABSENCE)
        elif reply.status != 200:
            return
        kept = _Kept(reply, seconds)
        if seconds > 0 and self._charge(kept) <= self._kept.maxsize:
            self._kept[key] = kept

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


def lifetime(headers: dict[str, str]) -> float:
    """Seconds for which an answer may be reused; 0: not at all.

    `s-maxage` counts before `max-age`, as on CivitAI it is the one that tells how fresh the
    data has to be. What a shared cache already used up (`Age`) is gone.
    """
    fields = {}
    for part in headers.get("cache-control", "").lower().split(","):
        name, _, value = part.strip().partition("=")
        fields[name.strip()] = value.strip().strip('"')
    if fields.keys() & {"no-store", "no-cache", "private"}:
        return 0.0
    allowed = _seconds(fields.get("s-maxage"))
    if allowed is None:
        allowed = _seconds(fields.get("max-age")) or 0.0
    return max(0.0, min(allowed, LONGEST) - (_seconds(headers.get("age")) or 0.0))


def _seconds(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"[0-9]{1,12}", text.strip()) else None
