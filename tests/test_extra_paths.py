"""A server that runs for long sees what becomes of ComfyUI's list of further folders."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from civit_mcp.catalog import EXTRA_PATHS, Catalog
from civit_mcp.config import Settings
from civit_mcp.server import create_server
from tests.catalog_kit import a_version
from tests.conftest import Assistant

#: long enough ago that a file system would tell another write from this one
LONG_AGO = 1_700_000_000


@pytest.fixture
def listed(settings: Settings) -> Path:
    """The list, naming a folder without weights; beside that folder is one that has them."""
    root = settings.models_root
    assert root is not None
    Catalog(settings.catalog_dir, root).add(a_version())
    (root.parent / "with").mkdir()
    (root.parent / "with" / "lora_1.safetensors").write_bytes(b"weights")
    path = root / EXTRA_PATHS
    write(path, "void")
    return path


def write(path: Path, folder: str) -> None:
    """Rewrite the list in place: neither its size nor its time tells."""
    path.write_text(f"comfyui:\n  loras: {path.parent.parent.as_posix()}/{folder}\n", "utf-8")
    os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
async def keeper(settings: Settings) -> AsyncIterator[Assistant]:
    async with Client(create_server(settings)) as client:
        yield Assistant(client)


async def status(keeper: Assistant) -> str:
    [entry] = (await keeper.ask("list_catalog"))["entries"]
    return str(entry["status"])


async def test_a_rewrite_that_keeps_size_and_time_is_noticed(
    keeper: Assistant, listed: Path
) -> None:
    before = [await status(keeper) for _ in range(2)]
    write(listed, "with")
    after = [await status(keeper) for _ in range(2)]

    assert (before, after) == (["missing"] * 2, ["present"] * 2)


async def test_a_list_that_could_not_be_opened_is_opened_once_it_can_be(
    keeper: Assistant, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(listed, "with")
    read_text = Path.read_text

    def refused(self: Path, *arguments: Any, **options: Any) -> str:
        if self == listed:
            raise PermissionError(13, "Permission denied", str(self))
        return read_text(self, *arguments, **options)

    with monkeypatch.context() as patch:
        # no mode of a file keeps root out, and tests may be run by root
        patch.setattr(Path, "read_text", refused)
        before = [await status(keeper) for _ in range(2)]
    after = await status(keeper)

    assert (before, after) == (["missing"] * 2, "present")


def test_a_list_that_was_written_just_now_may_be_written_once_more(
    settings: Settings, listed: Path
) -> None:
    catalog = Catalog(settings.catalog_dir, settings.models_root)
    snapshot = catalog.snapshot()
    assert catalog.snapshot() is snapshot
    os.utime(listed)
    assert catalog.snapshot() is not catalog.snapshot()
