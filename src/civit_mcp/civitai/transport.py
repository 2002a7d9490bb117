"""From a question to parsed JSON: what is known already, what is asked, what stands in."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio

from civit_mcp import __version__
from civit_mcp.civitai.breaker import BreakerPolicy
from civit_mcp.civitai.cache import AnswerCache, Kept
from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.credentials import credentials, fingerprint
from civit_mcp.civitai.faults import error_for
from civit_mcp.civitai.flights import Flights
from civit_mcp.civitai.jsontext import NotJson, parse
from civit_mcp.civitai.keeper import Keeper, may_be_kept
from civit_mcp.civitai.line import Line
from civit_mcp.civitai.observed import Why, age_text, observe
from civit_mcp.civitai.pace import PacePolicy
from civit_mcp.civitai.redaction import Redactor
from civit_mcp.civitai.retry import RetryPolicy
from civit_mcp.civitai.seam import Call, Reply, Timeouts
from civit_mcp.config import Settings
from civit_mcp.errors import CivitError, Offline, UpstreamUnavailable

__all__ = ["USER_AGENT", "Call", "Transport"]

#: a product name: CivitAI treats what looks like a browser differently
USER_AGENT: Final = f"civit-mcp/{__version__}"
#: seconds for a shutdown, whatever disk and network do
_CLOSING: Final = 15.0
_DEFAULT_PACE: Final = PacePolicy()
_DEFAULT_BREAKER: Final = BreakerPolicy()


@dataclass(frozen=True, slots=True)
class _Found:
    """An answer; `age` (seconds) and `why` when its time is over and it stands in."""

    reply: Reply
    payload: Any = None
    age: float | None = None
    why: Why = "offline"


class Transport:
    """Asks CivitAI and gives back JSON, or raises one of our errors."""

    def __init__(
        self,
        settings: Settings,
        *,
        max_concurrency: int,
        timeouts: Timeouts,
        retry: RetryPolicy,
        clock: Clock,
        pace: PacePolicy = _DEFAULT_PACE,
        breaker: BreakerPolicy = _DEFAULT_BREAKER,
    ) -> None:
        """Read the settings. Raises `NotConfigured` for a key that no header can carry."""
        self._redactor = Redactor(settings.secrets())
        self._offline = settings.offline
        headers = credentials(settings)
        self.keyed: Final = bool(headers)
        self._line = Line(
            settings.civitai_url,
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", **headers},
            redactor=self._redactor,
            max_concurrency=max_concurrency,
            timeouts=timeouts,
            retry=retry,
            pace=pace,
            breaker=breaker,
            clock=clock,
        )
        self.host: Final = self._line.host
        #: part of every key: what one account or address was told is not told to another
        self._identity = (settings.civitai_url, fingerprint(headers))
        self._cache = AnswerCache(clock)
        self._keeper = Keeper(settings.cache_dir, clock)
        self._flights: Flights[_Found] = Flights()

    def clean(self, text: str) -> str:
        """Take secrets out of a text that came from upstream."""
        return self._redactor.text(text)

    async def ask(self, call: Call) -> Any:
        """Give the parsed JSON of a successful answer. The value is the caller's own.

        Raises a `CivitError` for every other outcome. An answer that is past its time is
        told to `answers_observed`.
        """
        found, mine = await self._find(call)
        if found.age is not None:
            observe(found.age, found.why)
        if not 200 <= found.reply.status < 300:
            raise self._error(call, found)
        # callers who shared the flight, or came later, parse anew: none sees another's changes
        return found.payload if mine else parse(found.reply.body)

    async def prepare(self) -> None:
        """Open cache and line before the first question needs them. Asks nothing."""
        self._keeper.open_soon()
        if not self._offline:
            await self._line.prepare()

    async def aclose(self) -> None:
        """End calls under way, close connections, write what is to be kept."""
        # a server that is told to stop at once still leaves nothing half done behind
        with anyio.move_on_after(_CLOSING, shield=True):
            await self._flights.aclose()
            await self._line.aclose()
            self._cache.clear()
            await self._keeper.aclose()

    async def _find(self, call: Call) -> tuple[_Found, bool]:
        """Give the answer, and whether its payload is this caller's alone."""
        if not call.repeatable:
            if self._offline:
                raise Offline(f"the question about {call.about} is for CivitAI itself")
            answered = await self._line.ask(call)
            return _Found(answered.reply, answered.payload), True
        key = self._key(call)
        reply = self._cache.get(key)
        if reply is not None:
            return _Found(reply), False
        find = self._find_kept if self._offline else self._find_anew
        return await self._flights.join(key, lambda: find(call, key))

    async def _find_kept(self, call: Call, key: str) -> _Found:
        found = await self._stand_in(key, "offline")
        if found is None:
            raise Offline(f"the answer about {call.about} is not in the cache")
        return found

    async def _find_anew(self, call: Call, key: str) -> _Found:
        kept = await self._keeper.fresh(key)
        found = _read(kept) if kept is not None else None
        if kept is not None and found is not None:
            self._cache.keep_for(key, found.reply, self._keeper.fresh_for(kept))
            return found
        try:
            answered = await self._line.ask(call)
        except UpstreamUnavailable:
            found = await self._stand_in(key, "upstream unavailable")
            if found is None:
                raise
            return found
        reply = answered.reply
        if reply.status >= 500:
            found = await self._stand_in(key, "upstream unavailable")
            return found or _Found(reply)
        self._cache.keep(key, reply, absence_too=call.keep_absence)
        if may_be_kept(call, reply):
            self._keeper.keep(key, reply)
        return _Found(reply, answered.payload)

    async def _stand_in(self, key: str, why: Why) -> _Found | None:
        """Give what is on disk, however old; None when nothing usable is."""
        kept = await self._keeper.any(key)
        found = _read(kept) if kept is not None else None
        if kept is None or found is None:
            return None
        return replace(found, age=self._keeper.age(kept), why=why)

    def _key(self, call: Call) -> str:
        method = "GET" if call.body is None else "POST"
        parts = (self._identity, method, call.path, tuple(call.params), call.body)
        return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()

    def _error(self, call: Call, found: _Found) -> CivitError:
        error = error_for(
            found.reply,
            about=call.about,
            host=self.host,
            keyed=self.keyed,
            redactor=self._redactor,
            retry_after=self._line.retry_after(found.reply),
        )
        if found.age is not None:
            what = f"{error.what}, as of {age_text(found.age)} ago ({found.why})"
            return type(error)(what, error.next_step)
        return error


def _read(kept: Kept) -> _Found | None:
    """Give an answer from the disk the form of one from the line; None when it is no JSON."""
    reply = Reply(status=kept.status, headers={}, body=kept.body)
    if kept.status != 200:
        return _Found(reply)
    try:
        return _Found(reply, parse(kept.body))
    except NotJson:
        return None
