"""Keeps answers across restarts, without anybody waiting for the disk.

One thread owns the file. What is kept is written a moment later, several at once; an answer
is looked for only when it is known to be there and fresh, or when nobody else has it.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from civit_mcp.civitai.cache import Kept, is_storable, lifetime_of
from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.seam import Call, Reply

if TYPE_CHECKING:
    from civit_mcp.civitai.store import AnswerStore

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: who asks CivitAI is not held up by a slow disk for longer than this (seconds)
_PATIENCE: Final = 0.2
#: the disk is all there is, but it may hang (seconds)
_LAST_RESORT: Final = 10.0
#: answers that arrive within this are written together (seconds)
_GATHER: Final = 0.25
#: what may wait for a slow disk; more is not kept
_MOST_HELD: Final = 32 * 1024 * 1024
#: about one account, so not for a file
_PERSONAL: Final = ("/api/v1/me", "/api/v1/vault", "/api/v1/permissions")


def may_be_kept(call: Call, reply: Reply) -> bool:
    """Whether an answer may go into the file: data or a plain absence, about nobody."""
    if not call.repeatable or not is_storable(reply.headers):
        return False
    if any(call.path == path or call.path.startswith(f"{path}/") for path in _PERSONAL):
        return False
    if reply.status == 404:
        # CivitAI's own absences are JSON; a page means that the address is wrong
        return call.keep_absence and reply.body.lstrip()[:1] in (b"{", b"[")
    return reply.status == 200


class Keeper:
    """The asynchronous face of the file. Trouble with the disk costs answers, never calls."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Touch nothing yet."""
        self._folder = folder
        self._clock = clock
        self._thread: ThreadPoolExecutor | None = None
        self._opening: asyncio.Future[None] | None = None
        #: used by the thread alone; None when there is no file to be had
        self._store: AnswerStore | None = None
        #: answers on disk that were fresh when the file was opened: key -> until when
        self._fresh: dict[str, float] = {}
        self._waiting: dict[str, Kept] = {}
        #: size of what waits and of what is being written
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        self._warned = False

    def open_soon(self) -> None:
        """Begin to open the file, unless that has begun."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="civit-mcp-answers")
            self._opening = asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def fresh(self, key: str) -> Kept | None:
        """Give an answer that may stand for a new one."""
        self.open_soon()
        if self._opening is not None and not self._opening.done():
            await asyncio.wait([self._opening], timeout=_PATIENCE)
        now = self._now()
        if self._fresh.get(key, 0.0) <= now:
            return None
        kept = await self._read(key, _PATIENCE)
        return kept if kept is not None and kept.is_fresh(now) else None

    async def any(self, key: str) -> Kept | None:
        """Give an answer however old it is."""
        self.open_soon()
        return await self._read(key, _LAST_RESORT)

    def age(self, kept: Kept) -> float:
        """Seconds since an answer was fetched."""
        return max(0.0, self._now() - kept.fetched_at)

    def fresh_for(self, kept: Kept) -> float:
        """Seconds for which an answer may still stand for a new one."""
        return max(0.0, kept.fresh_until - self._now())

    def keep(self, key: str, reply: Reply) -> None:
        """Have an answer written soon."""
        if self._held + len(reply.body) > _MOST_HELD:
            return
        self.open_soon()
        now = self._now()
        replaced = self._waiting.get(key)
        self._held += len(reply.body) - (len(replaced.body) if replaced is not None else 0)
        self._waiting[key] = Kept(
            status=reply.status,
            body=reply.body,
            fetched_at=now,
            fresh_until=now + lifetime_of(reply),
        )
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER, self._write)

    async def aclose(self) -> None:
        """Write what waits and close the file. The next call opens it anew."""
        if self._thread is None:
            return
        self._write()
        closing = self._in_thread(self._close)
        thread, self._thread, self._opening = self._thread, None, None
        self._fresh = {}
        await asyncio.wait([closing], timeout=_LAST_RESORT)
        thread.shutdown(wait=False)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._waiting = self._waiting, {}
        if not batch:
            return
        size = sum(len(kept.body) for kept in batch.values())

        def written(_: "asyncio.Future[None]") -> None:
            self._held -= size

        self._in_thread(lambda: self._put(batch)).add_done_callback(written)

    async def _read(self, key: str, patience: float) -> Kept | None:
        waiting = self._waiting.get(key)
        if waiting is not None:
            return waiting
        # comes after whatever is being written
        reading = self._in_thread(lambda: self._get(key))
        await asyncio.wait([reading], timeout=patience)
        return reading.result() if reading.done() else None

    def _in_thread(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        assert self._thread is not None
        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    # in the thread

    def _open(self) -> None:
        # the database library takes a while to load, and the start of a server is waited for
        from civit_mcp.civitai.store import AnswerStore, Unusable  # noqa: PLC0415 - see above

        store = AnswerStore(self._folder)
        try:
            store.open()
        except Unusable as error:
            if not self._warned:
                logger.warning(
                    "answers are kept in memory only, as '%s' cannot be used: %s",
                    self._folder,
                    error,
                )
            self._warned = True
            return
        self._store = store
        self._fresh = store.fresh(self._now())

    def _get(self, key: str) -> Kept | None:
        return self._store.get(key) if self._store is not None else None

    def _put(self, batch: dict[str, Kept]) -> None:
        if self._store is not None:
            self._store.put(batch)

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()
