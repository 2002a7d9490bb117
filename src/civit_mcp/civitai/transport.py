"""From a question to parsed JSON: what is known already, what is asked, what stands in."""

import hashlib
import weakref
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import anyio

from civit_mcp import __version__
from civit_mcp.civitai.breaker import BreakerPolicy
from civit_mcp.civitai.cache import CACHE_BYTES, AnswerCache, Kept
from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.credentials import KEY_SETTING, credentials, fingerprint
from civit_mcp.civitai.faults import error_for
from civit_mcp.civitai.flights import Flights
from civit_mcp.civitai.held import HOLD, MOST_HELD, holding
from civit_mcp.civitai.jsontext import NotJson, parse
from civit_mcp.civitai.keeper import may_be_kept
from civit_mcp.civitai.line import Line
from civit_mcp.civitai.observed import Why, age_text, observe
from civit_mcp.civitai.pace import PacePolicy
from civit_mcp.civitai.redaction import Redactor
from civit_mcp.civitai.retry import RetryPolicy
from civit_mcp.civitai.seam import Call, Reply, Timeouts
from civit_mcp.civitai.shared import Shared
from civit_mcp.config import Settings
from civit_mcp.errors import CivitError, Offline, UpstreamUnavailable
from civit_mcp.grounds import Grounds, current_grounds

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
        shared: Shared | None = None,
        key_name: str = KEY_SETTING,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """Read the settings. Raises `NotConfigured` for a key that no header can carry.

        `shared`: limits and file of another transport, which has to outlive this one.
        `key_name`: what the key's owner knows as the place it comes from.
        """
        self._redactor = Redactor(settings.secrets())
        self._offline = settings.offline
        headers = credentials(settings, key_name)
        #: where the key came from; None when CivitAI is not told who asks
        self.key_name: Final = key_name if headers else None
        self._mine = shared is None
        self.shared: Final = shared or Shared(
            urlsplit(settings.civitai_url).netloc,
            settings.cache_dir,
            max_concurrency=max_concurrency,
            longest_wait=retry.longest_asked_wait,
            pace=pace,
            breaker=breaker,
            clock=clock,
        )
        self._line = Line(
            settings.civitai_url,
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", **headers},
            redactor=self._redactor,
            timeouts=timeouts,
            retry=retry,
            shared=self.shared,
        )
        self.host: Final = self._line.host
        #: part of every key: what one account or address was told is not told to another
        self._identity = (settings.civitai_url, fingerprint(headers))
        self._cache = AnswerCache(self.shared.clock, max_bytes=cache_bytes)
        self._held = AnswerCache(self.shared.clock, max_bytes=min(MOST_HELD, cache_bytes))
        self._keeper = self.shared.keeper
        self._flights: Flights[_Found] = Flights()

    def clean(self, text: str) -> str:
        """Take secrets out of a text that came from upstream."""
        return self._redactor.text(text)

    async def ask(self, call: Call) -> Any:
        """Give the parsed JSON of a successful answer. The value is the caller's own.

        Raises a `CivitError` for every other outcome. An answer that is past its time is
        told to `answers_observed`.
        """
        grounds = current_grounds()
        if grounds is None:
            found, mine = await self._find(call)
        else:
            found, mine = await self._find_noting(call, grounds)
        if found.age is not None:
            observe(found.age, found.why)
        if not 200 <= found.reply.status < 300:
            raise self._error(call, found)
        # callers who shared the flight, or came later, parse anew: none sees another's changes
        return found.payload if mine else parse(found.reply.body)

    async def _find_noting(self, call: Call, grounds: Grounds) -> tuple[_Found, bool]:
        """Find an answer, and say what it rests on: that the cache gives the same reply again."""
        used: weakref.ref[Reply] | None = None
        try:
            found, mine = await self._find(call)
            if call.repeatable and found.age is None:
                used = weakref.ref(found.reply)
        finally:
            # whoever makes do without an answer does so this time only
            if used is None:
                grounds.give_up()
        if used is not None:
            grounds.add(partial(self._still_gives, self._key(call), used))
        return found, mine

    def _still_gives(self, key: str, used: "weakref.ref[Reply]") -> bool:
        now = self._cache.get(key)
        return now is not None and now is used()

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
            if self._mine:
                self.shared.forget_waiters()
            await self._line.aclose()
            self._cache.clear()
            self._held.clear()
            if self._mine:
                await self._keeper.aclose()

    async def _find(self, call: Call) -> tuple[_Found, bool]:
        """Give the answer, and whether its payload is this caller's alone."""
        if not call.repeatable:
            if self._offline:
                raise Offline(f"the question about {call.about} is for CivitAI itself")
            answered = await self._line.ask(call)
            return _Found(answered.reply, answered.payload), True
        key = self._key(call)
        reply = self._cache.get(key) or (self._held.get(key) if holding() else None)
        if reply is not None:
            self._tell_known("memory")
            return _Found(reply), False
        find = self._find_kept if self._offline else self._find_anew
        found, mine = await self._flights.join(key, lambda: find(call, key))
        # here and not in the flight, which may be that of somebody who holds nothing
        if holding() and found.age is None and found.reply.status == 200:
            self._held.keep_for(key, found.reply, HOLD)
        return found, mine

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
            self._tell_known("disk")
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
        self._tell_known("disk")
        return replace(found, age=self._keeper.age(kept), why=why)

    def _tell_known(self, where: Literal["memory", "disk"]) -> None:
        if self.shared.listener is not None:
            self.shared.listener.known(where)

    def _key(self, call: Call) -> str:
        method = "GET" if call.body is None else "POST"
        parts = (self._identity, method, call.path, tuple(call.params), call.body)
        return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()

    def _error(self, call: Call, found: _Found) -> CivitError:
        error = error_for(
            found.reply,
            about=call.about,
            host=self.host,
            key_name=self.key_name,
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
