"""From a question to parsed JSON: cache, single flight, retries and errors in one place."""

import asyncio
import contextlib
import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio
import tenacity

from civit_mcp import __version__
from civit_mcp.civitai.cache import AnswerCache
from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.faults import error_for
from civit_mcp.civitai.flights import Flights
from civit_mcp.civitai.jsontext import NotJson, parse
from civit_mcp.civitai.queries import Params
from civit_mcp.civitai.redaction import Redactor
from civit_mcp.civitai.retry import Kind, RetryPolicy, Trouble, read_retry_after, trouble_of
from civit_mcp.civitai.seam import Reply, Timeouts, Unanswered
from civit_mcp.config import Settings
from civit_mcp.errors import (
    CivitError,
    NotConfigured,
    Offline,
    UpstreamChanged,
    UpstreamUnavailable,
)

if TYPE_CHECKING:
    from civit_mcp.civitai.network import Network

#: a product name: CivitAI treats what looks like a browser differently
USER_AGENT: Final = f"civit-mcp/{__version__}"
#: tRPC answers nobody who does not seem to come from the site, with or without a key
REFERER: Final = "https://civitai.com/"
SESSION_COOKIE: Final = "__Secure-civ-token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One question to CivitAI. `about` names its subject in errors: "model '123'"."""

    about: str
    path: str
    params: Params = ()
    #: JSON to send; makes it a POST. All POSTs here are look-ups, safe to repeat
    body: bytes | None = None
    trpc: bool = False
    #: whether a 404 is an answer worth keeping
    keep_absence: bool = False


@dataclass(frozen=True, slots=True)
class _Fetched:
    reply: Reply
    payload: Any = None


@dataclass(frozen=True, slots=True)
class _Tried:
    outcome: _Fetched | CivitError
    #: seconds until the next try; None when this was the last
    pause: float | None = None


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
    ) -> None:
        """Read the settings. Raises `NotConfigured` for a key that no header can carry."""
        self._redactor = Redactor(settings.secrets())
        self._offline = settings.offline
        self._retry = retry
        self._clock = clock
        headers = _credentials(settings)
        self.keyed: Final = bool(headers)
        self._headers = {"User-Agent": USER_AGENT, "Accept": "application/json", **headers}
        self._base = settings.civitai_url
        self.host: Final = urlsplit(self._base).netloc
        self._timeouts = timeouts
        self._max_concurrency = max_concurrency
        self._opening: asyncio.Task[Network] | None = None
        self._cache = AnswerCache(clock)
        self._flights: Flights[_Fetched] = Flights()

    def clean(self, text: str) -> str:
        """Take secrets out of a text that came from upstream."""
        return self._redactor.text(text)

    async def ask(self, call: Call) -> Any:
        """Give the parsed JSON of a successful answer. The value is the caller's own.

        Raises a `CivitError` for every other outcome.
        """
        key = self._key(call)
        kept = self._cache.get(key)
        if kept is not None:
            fetched, fresh = _Fetched(kept), False
        elif self._offline:
            raise Offline(f"the answer about {call.about} is not in the cache")
        else:
            fetched, fresh = await self._flights.join(key, lambda: self._fetch(call, key))
        reply = fetched.reply
        if not 200 <= reply.status < 300:
            raise self._error(call, reply)
        # callers who shared the flight, or came later, parse anew: none sees another's changes
        return fetched.payload if fresh else parse(reply.body)

    async def prepare(self) -> None:
        """Load the HTTP library and the certificates before the first question needs them."""
        if self._offline:
            return
        # what stands in the way is told to whoever asks a question
        with contextlib.suppress(Unanswered):
            await self._open()

    async def aclose(self) -> None:
        """End calls under way, close connections, forget answers."""
        await self._flights.aclose()
        opening, self._opening = self._opening, None
        if opening is not None:
            await asyncio.wait([opening])
            if not opening.cancelled() and opening.exception() is None:
                await opening.result().aclose()
        self._cache.clear()

    async def _open(self) -> "Network":
        """Give the network, made on first use; a failure to make it is not kept."""
        if self._opening is None or (
            self._opening.done() and (self._opening.cancelled() or self._opening.exception())
        ):
            # a task, so that a caller who is cancelled meanwhile leaves nothing half made
            self._opening = asyncio.create_task(asyncio.to_thread(self._connect))
        return await asyncio.shield(self._opening)

    def _connect(self) -> "Network":
        # importing the HTTP library and reading certificates takes longer than the rest of the
        # start, and a server that is only asked about its catalog needs neither
        from civit_mcp.civitai.network import Network  # noqa: PLC0415 - see above

        return Network(
            self._base,
            headers=self._headers,
            timeouts=self._timeouts,
            max_concurrency=self._max_concurrency,
            redactor=self._redactor,
        )

    def _key(self, call: Call) -> str:
        # one transport has one base address and one identity, so neither is part of the key
        parts = (call.path, call.params, call.body)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    async def _fetch(self, call: Call, key: str) -> _Fetched:
        with anyio.move_on_after(self._retry.total):
            fetched = await self._persist(call)
            self._cache.keep(key, fetched.reply, absence_too=call.keep_absence)
            return fetched
        raise UpstreamUnavailable(
            f"'{self.host}' did not finish the answer about {call.about}"
            f" within {self._retry.total:g} seconds"
        )

    async def _persist(self, call: Call) -> _Fetched:
        """Try as often as the policy wants; it decides, tenacity repeats."""
        started = self._clock.monotonic()
        met: Counter[Kind] = Counter()

        async def attempt() -> _Tried:
            outcome, trouble = await self._try(call)
            if trouble is None:
                return _Tried(outcome)
            met[trouble.kind] += 1
            pause = self._retry.wait(
                trouble,
                count=met[trouble.kind],
                elapsed=self._clock.monotonic() - started,
                chance=self._clock.chance(),
            )
            return _Tried(outcome, pause)

        repeat = tenacity.AsyncRetrying(
            sleep=self._clock.sleep,
            retry=tenacity.retry_if_result(lambda tried: tried.pause is not None),
            wait=lambda state: state.outcome.result().pause if state.outcome else 0.0,
        )
        tried: _Tried = await repeat(attempt)
        if isinstance(tried.outcome, CivitError):
            raise tried.outcome
        return tried.outcome

    async def _try(self, call: Call) -> tuple[_Fetched | CivitError, Trouble | None]:
        headers = {"Content-Type": "application/json"} if call.body is not None else {}
        if call.trpc:
            headers["Referer"] = REFERER
        try:
            network = await self._open()
            reply = await network.send(
                call.path, about=call.about, params=call.params, body=call.body, headers=headers
            )
        except Unanswered as silence:
            kind: Kind = "garbled" if silence.garbled else "network"
            return silence.error, Trouble(kind) if silence.retryable else None
        if not 200 <= reply.status < 300:
            wait = self._retry_after(reply)
            return _Fetched(reply), trouble_of(reply.status, reply.body, retry_after=wait)
        try:
            return _Fetched(reply, parse(reply.body)), None
        except NotJson as error:
            what = f"'{self.host}' answered {error} where data about {call.about} was expected"
            return UpstreamChanged(what), Trouble("garbled")

    def _retry_after(self, reply: Reply) -> float | None:
        return read_retry_after(reply.headers.get("retry-after"), self._clock.now())

    def _error(self, call: Call, reply: Reply) -> CivitError:
        return error_for(
            reply,
            about=call.about,
            host=self.host,
            keyed=self.keyed,
            redactor=self._redactor,
            retry_after=self._retry_after(reply),
        )


def _credentials(settings: Settings) -> dict[str, str]:
    """Give the headers that say who asks. A key wins: CivitAI ignores cookies beside one."""
    key = settings.civitai_api_key
    token = settings.civitai_session_token
    if key is not None and key.get_secret_value().strip():
        return {"Authorization": f"Bearer {_portable(key.get_secret_value(), 'CIVITAI_API_KEY')}"}
    if token is not None and token.get_secret_value().strip():
        value = _portable(token.get_secret_value(), "CIVITAI_SESSION_TOKEN", forbidden='";,')
        return {"Cookie": f"{SESSION_COOKIE}={value}"}
    return {}


def _portable(secret: str, name: str, *, forbidden: str = "") -> str:
    """Check what the HTTP library would refuse with an error that quotes the secret."""
    value = secret.strip()
    if not all("!" <= char <= "~" and char not in forbidden for char in value):
        raise NotConfigured(
            f"the value of '{name}' holds a blank or a character that no header can carry",
            f"copy it again, without quotes or line breaks, set '{name}' and restart civit-mcp",
        )
    return value
