"""What the tests of the client share: a clock to turn by hand, and a client on it."""

from datetime import UTC, datetime, timedelta
from typing import Any

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
    unset = {"civitai_api_key": None, "civitai_session_token": None, "offline": False}
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
