"""The line to CivitAI: gets one question answered, with tries, manners and a way out.

A question waits until its lane is open, for its caller's turn at a connection, and for its
share of the budget; it is tried as often as the policy wants; the breaker hears how it went.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio
import tenacity

from civit_mcp.civitai.breaker import Passage
from civit_mcp.civitai.jsontext import NotJson, parse
from civit_mcp.civitai.pace import lane_of
from civit_mcp.civitai.redaction import Redactor
from civit_mcp.civitai.retry import Kind, RetryPolicy, Trouble, read_retry_after, trouble_of
from civit_mcp.civitai.seam import Call, Reply, Timeouts, Unanswered
from civit_mcp.civitai.shared import Shared
from civit_mcp.errors import CivitError, RateLimited, UpstreamChanged, UpstreamUnavailable

if TYPE_CHECKING:
    from civit_mcp.civitai.network import Network

#: tRPC answers nobody who does not seem to come from the site, with or without a key
REFERER: Final = "https://civitai.com/"
#: troubles that are the host's own
_OUTAGES: Final[frozenset[Kind]] = frozenset({"network", "busy", "fault"})


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply; of a success its JSON too."""

    reply: Reply
    payload: Any = None


@dataclass(frozen=True, slots=True)
class _Tried:
    outcome: Answered | CivitError
    #: seconds until the next try; None when this was the last
    pause: float | None = None


class Line:
    """One host as one account sees it; the limits are shared with the lines of others."""

    def __init__(
        self,
        base: str,
        *,
        headers: Mapping[str, str],
        redactor: Redactor,
        timeouts: Timeouts,
        retry: RetryPolicy,
        shared: Shared,
    ) -> None:
        """Connect to nothing yet."""
        self.host: Final = urlsplit(base).netloc
        self._base = base
        self._headers = headers
        self._redactor = redactor
        self._timeouts = timeouts
        self._retry = retry
        self._shared = shared
        self._clock = shared.clock
        self._pace = shared.pace
        self._opening: asyncio.Task[Network] | None = None

    async def ask(self, call: Call) -> Answered:
        """Give CivitAI's final reply, good or bad.

        Raises a `CivitError` when there is none, or a success holds no JSON.
        """
        with self._shared.breaker.passing() as passage:
            with anyio.move_on_after(self._retry.total):
                return await self._persist(call, passage)
            raise self._out_of_time(call, passage)

    def _out_of_time(self, call: Call, passage: Passage) -> CivitError:
        """Say whose fault it is: the host's if it was given its time, else that of our line."""
        total = self._retry.total
        late = f"'{self.host}' did not finish the answer about {call.about}"
        if passage.sent and total - passage.waited >= min(self._timeouts.read, total / 2):
            passage.failed(late)
            return UpstreamUnavailable(f"{late} within {total:g} seconds")
        if passage.trouble_stands:
            passage.failed(f"{late}, and nobody was answered since it was asked for")
        crowd = (
            "this server has more to ask CivitAI than it may at once: the question about"
            f" {call.about} waited its turn for {passage.waited:.3g} of its {total:g} seconds"
        )
        step = f"ask for less at once, or call again in {total:g} seconds"
        if not passage.sent:
            return RateLimited(f"{crowd} and was not sent", step)
        if call.repeatable:
            return RateLimited(f"{crowd}, and the rest was too short for an answer", step)
        # it may have happened, and whoever asked has to look
        return UpstreamUnavailable(f"{crowd}; it was sent, and no answer came in the rest")

    async def prepare(self) -> None:
        """Load the HTTP library and the certificates before the first question needs them."""
        # what stands in the way is told to whoever asks a question
        with contextlib.suppress(Unanswered):
            await self._open()

    async def aclose(self) -> None:
        """Close connections. Nobody may be asking; the next question opens them anew."""
        opening, self._opening = self._opening, None
        if opening is not None:
            await asyncio.wait([opening])
            if not opening.cancelled() and opening.exception() is None:
                await opening.result().aclose()

    def retry_after(self, reply: Reply) -> float | None:
        """Seconds that a reply asks to wait; None when it does not say."""
        return read_retry_after(reply.headers.get("retry-after"), self._clock.now())

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
            max_connections=self._shared.most,
            redactor=self._redactor,
        )

    async def _persist(self, call: Call, passage: Passage) -> Answered:
        """Try as often as the policy wants; it decides, tenacity repeats."""
        started = self._clock.monotonic()
        met: Counter[Kind] = Counter()

        async def attempt() -> _Tried:
            outcome, trouble = await self._try(call, passage)
            if trouble is None:
                return _Tried(outcome)
            met[trouble.kind] += 1
            pause = self._retry.wait(
                trouble,
                count=met[trouble.kind],
                elapsed=self._clock.monotonic() - started,
                chance=self._clock.chance(),
            )
            return _Tried(outcome, pause if self._again(call, passage, trouble) else None)

        repeat = tenacity.AsyncRetrying(
            sleep=self._clock.sleep,
            retry=tenacity.retry_if_result(lambda tried: tried.pause is not None),
            wait=lambda state: state.outcome.result().pause if state.outcome else 0.0,
        )
        tried: _Tried = await repeat(attempt)
        outcome = tried.outcome
        if isinstance(outcome, CivitError):
            if met["network"]:
                passage.failed(outcome.what)
            raise outcome
        if outcome.reply.status >= 500:
            passage.failed(f"status {outcome.reply.status}")
        return outcome

    @staticmethod
    def _again(call: Call, passage: Passage, trouble: Trouble) -> bool:
        """Whether another try is allowed at all; a trial of a dead host has to be quick."""
        return call.repeatable and not (passage.trial and trouble.kind in _OUTAGES)

    async def _try(
        self, call: Call, passage: Passage
    ) -> tuple[Answered | CivitError, Trouble | None]:
        try:
            network = await self._open()
            async with self._admitted(call, passage):
                passage.sent = True
                reply = await self._send(network, call)
        except Unanswered as silence:
            self._tell("silence")
            if not silence.retryable:
                return silence.error, None
            if silence.garbled:
                passage.worked()
            else:
                passage.troubled()
            return silence.error, Trouble("garbled" if silence.garbled else "network")
        self._tell(f"{reply.status // 100}xx")
        if reply.status < 500:
            passage.worked()
        else:
            passage.troubled()
        if not 200 <= reply.status < 300:
            wait = self.retry_after(reply)
            trouble = trouble_of(reply.status, reply.body, retry_after=wait)
            if trouble is not None and trouble.kind == "limited" and wait is not None:
                self._pace.close(lane_of(call.path), wait)
            return Answered(reply), trouble
        try:
            return Answered(reply, parse(reply.body)), None
        except NotJson as error:
            what = f"'{self.host}' answered {error} where data about {call.about} was expected"
            return UpstreamChanged(what), Trouble("garbled")

    def _tell(self, outcome: str) -> None:
        if self._shared.listener is not None:
            self._shared.listener.asked(outcome)

    async def _send(self, network: "Network", call: Call) -> Reply:
        headers = {"Content-Type": "application/json"} if call.body is not None else {}
        if call.trpc:
            headers["Referer"] = REFERER
        return await network.send(
            call.path, about=call.about, params=call.params, body=call.body, headers=headers
        )

    @asynccontextmanager
    async def _admitted(self, call: Call, passage: Passage) -> AsyncIterator[None]:
        """Hold a connection's place, and send when everything else allows it too.

        The budget is asked last, by who has a place: it has one line for all, which is then
        short. Whatever changed while this question stood in line counts: hence the second look.
        """
        lane = lane_of(call.path)
        has_token = False
        with ExitStack() as waiting:
            waiting.enter_context(passage.waiting())
            while True:
                await self._pace.opened(lane, call.about)
                async with self._shared.turns.turn():
                    passage.check()
                    if self._pace.closed_for(lane):
                        continue
                    if not has_token:
                        await self._pace.token()
                        has_token = True
                        passage.check()
                    if self._pace.closed_for(lane):
                        continue
                    waiting.close()
                    yield
                    return
