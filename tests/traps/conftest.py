"""Fixtures of the traps."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from civit_mcp.civitai import CivitaiClient
from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox
from tests.civitai_support import HandClock
from tests.conftest import Assistant
from tests.traps.kit import OddSite, OddWorld, at_civitai, odd_site, serving


@pytest.fixture
def odd(tmp_path: Path) -> OddWorld:
    """An empty world to fill with odd records."""
    return OddWorld(tmp_path / "odd-world")


@pytest.fixture
def site() -> Iterator[OddSite]:
    """CivitAI's address, answered by the test."""
    with odd_site() as site:
        yield site


@pytest.fixture
async def patient(settings: Settings) -> AsyncIterator[Assistant]:
    """A client of a server over the stand-in that waits without time passing."""
    async with serving(settings) as assistant:
        yield assistant


@pytest.fixture
async def at_site(site: OddSite, settings: Settings) -> AsyncIterator[Assistant]:
    """A client of a server over the odd site."""
    async with serving(at_civitai(settings)) as assistant:
        yield assistant


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[CivitaiClient]:
    """The product's client over the stand-in."""
    async with CivitaiClient(settings, clock=HandClock()) as client:
        yield client


@pytest.fixture
async def site_client(site: OddSite, settings: Settings) -> AsyncIterator[CivitaiClient]:
    """The product's client over the odd site."""
    async with CivitaiClient(at_civitai(settings), clock=HandClock()) as client:
        yield client


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """Any other program that talks to the stand-in."""
    agent = {"user-agent": "tests/1"}
    async with httpx.AsyncClient(base_url=sandbox.base_url, headers=agent) as http:
        yield http
