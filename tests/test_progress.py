"""How far a long call is, told while it runs: more each time, in words too."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from tests.client_kit import WIRES, at_address, over
from tests.conftest import Assistant

VERSIONS = [world.DEMO_LORA_VERSION, world.DEMO_CHECKPOINT_VERSION, *world.TEN_LORAS_VERSIONS[:2]]
MANY = 4
#: more than is read between two reports
LARGE = 150 * 1024 * 1024

Told = list[tuple[float, float | None, str | None]]


@pytest.fixture(params=WIRES)
async def assistant(
    request: pytest.FixtureRequest, settings: Settings, era: str
) -> AsyncIterator[Assistant]:
    with at_address(settings) as base:
        async with over(str(request.param), base, era) as assistant:
            yield assistant


async def heard(assistant: Assistant, tool: str, **arguments: Any) -> Told:
    """What is told during a call; the number grows, and the end is the whole."""
    told: Told = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    result = await assistant.client.call_tool(tool, arguments, progress_callback=hear)
    assert not result.is_error, result.content
    numbers = [number for number, _, _ in told]
    assert numbers == sorted(set(numbers))
    assert all(message for _, _, message in told)
    assert told[-1][0] == told[-1][1]
    return told


async def test_adding_many_tells_how_many_were_read(assistant: Assistant) -> None:
    told = await heard(assistant, "add_to_catalog", version_ids=VERSIONS)

    assert told == [(n, MANY, f"read {n} of {MANY} versions") for n in range(1, MANY + 1)]


async def test_verifying_tells_how_many_entries_are_done(
    assistant: Assistant, settings: Settings
) -> None:
    await assistant.ask("add_to_catalog", version_ids=VERSIONS)

    upstream = await heard(assistant, "verify_catalog", upstream=True)
    hashes = await heard(assistant, "verify_catalog", hashes=True)

    numbers = range(1, MANY + 1)
    assert upstream == [(n, MANY, f"asked about {n} of {MANY} entries") for n in numbers]
    assert hashes == [(n, MANY, f"looked at {n} of {MANY} entries") for n in numbers]


async def test_a_large_file_is_told_of_while_it_is_hashed(
    assistant: Assistant, settings: Settings
) -> None:
    added = await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)
    root = settings.models_root
    assert root is not None
    hollow(root / added["dest"] / added["file"])

    identified = await heard(assistant, "identify_files", paths=[added["dest"]])
    verified = await heard(assistant, "verify_catalog", hashes=True)

    words = [message or "" for _, _, message in identified]
    assert [word.split()[0] for word in words] == ["hashing", "hashing", "hashed"]
    assert [message for _, _, message in verified] == [
        "hashing for entry 1 of 1", "hashing for entry 1 of 1", "looked at 1 of 1 entries",
    ]  # fmt: skip


def hollow(path: Path) -> None:
    """A large file that takes no room."""
    path.parent.mkdir(parents=True)
    with path.open("wb") as stream:
        stream.truncate(LARGE)
