"""What the tests of the client share: a clock to turn by hand, and a client on it."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel

from civit_mcp.civitai import CivitaiClient, Clock, RetryPolicy
from civit_mcp.config import Settings

BASE = "https://civitai.com"
KEY = "sk-test-4f1b7c0d9e"
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class HandClock(Clock):
    """Time passes only when somebody sleeps or turns the hands."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def chance(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds


def settings(**values: Any) -> Settings:
    unset: dict[str, Any] = {
        "civitai_api_key": None,
        "civitai_session_token": None,
        "offline": False,
    }
    # no folder can be there, so nothing outlives a client unless a test gives it a place
    unset["cache_dir"] = f"{os.devnull}/cache"
    return Settings(**{"civitai_url": BASE, **unset, **values})


def client(
    clock: Clock | None = None, *, retry: RetryPolicy | None = None, **values: Any
) -> CivitaiClient:
    most = values.pop("max_concurrency", 16)
    return CivitaiClient(
        settings(**values),
        clock=clock or HandClock(),
        retry=retry or RetryPolicy(),
        max_concurrency=most,
    )


class TurnedClock(HandClock):
    """Who sleeps wakes when the hands are turned past the moment, not before."""

    def __init__(self) -> None:
        super().__init__()
        self.sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        sleeper = (self.seconds + seconds, asyncio.Event())
        self.sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self.sleepers.remove(sleeper)

    async def turn(self, seconds: float) -> None:
        """Let time pass; each sleeper acts at its own moment."""
        end = self.seconds + seconds
        while due := [sleeper for sleeper in self.sleepers if sleeper[0] <= end]:
            moment, event = min(due, key=lambda sleeper: sleeper[0])
            self.seconds = max(self.seconds, moment)
            event.set()
            await settle()
        self.seconds = end
        await settle()


async def settle() -> None:
    """Let everything happen that needs neither time nor a thread."""
    for _ in range(60):
        await anyio.lowlevel.checkpoint()


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until something holds; threads and sockets need their time."""
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()
