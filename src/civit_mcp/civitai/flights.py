"""Single flight: callers who ask the same thing at the same time share one call."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from civit_mcp.civitai.turns import Askers, asking_for
from civit_mcp.errors import UpstreamUnavailable

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    askers: Askers


class Flights(Generic[T]):
    """Owns the tasks of calls under way, so that none outlives its callers."""

    def __init__(self) -> None:
        self._open: dict[str, _Flight[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()

    async def join(self, key: str, call: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, bool]:
        """Wait for the call under `key`, starting it when there is none.

        Gives the result and whether this caller started the call, which waits in the line of
        every caller. One that is cancelled leaves the others alone; when the last one leaves,
        the call is cancelled.
        """
        flight = self._open.get(key)
        first = flight is None
        if flight is None:
            askers = Askers()
            with asking_for(askers):
                flight = self._open[key] = _Flight(asyncio.create_task(call()), askers)
            self._tasks.add(flight.task)
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        try:
            with flight.askers.joined():
                return await asyncio.shield(flight.task), first
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if flight.task.cancelled() and me is not None and not me.cancelling():
                raise UpstreamUnavailable(
                    "the connection to CivitAI was closed while it was in use",
                    "restart civit-mcp",
                ) from None
            raise
        finally:
            if not flight.askers and not flight.task.done():
                self._forget(key, flight.task)
                flight.task.cancel()

    def _landed(self, key: str, task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        self._forget(key, task)
        if not task.cancelled():
            task.exception()  # somebody has looked, even when every caller has left

    def _forget(self, key: str, task: asyncio.Task[T]) -> None:
        flight = self._open.get(key)
        if flight is not None and flight.task is task:
            del self._open[key]

    async def aclose(self) -> None:
        """Cancel every call and wait until they have let go."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
