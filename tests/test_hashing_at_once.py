"""However many files callers have hashed at once, few threads read, and nobody waits for all."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from civit_mcp.app import App
from civit_mcp.config import Settings
from civit_mcp.server import create_server
from civit_mcp.usecases.desk import READERS
from tests.civitai_support import until
from tests.client_kit import over
from tests.conftest import Assistant
from tests.http_kit import TOKEN, served

#: of each client, one file a call
CALLS = 6
#: without a key of their own, and with three that differ
KEYS = ["", "", "the-key-of-caller-1", "the-key-of-caller-2", "the-key-of-caller-3"]


class SlowDisk:
    """Holds up who opens a model file until it is let go, and notes who came."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.waiting = self.most = 0
        self._let_go = threading.Semaphore(0)
        self._counting = threading.Lock()

    def let_go(self, count: int = 1000) -> None:
        self._let_go.release(count)

    def hold(self, name: str) -> None:
        with self._counting:
            self.opened.append(name)
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self._let_go.acquire(timeout=10)
        with self._counting:
            self.waiting -= 1


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    disk, really = SlowDisk(), Path.open

    def slowly(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        if mode == "rb" and path.suffix == ".safetensors":
            disk.hold(path.name)
        return really(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", slowly)
    yield disk
    disk.let_go()


@pytest.fixture
def app(settings: Settings) -> App:
    chosen = {"token": SecretStr(TOKEN), "toolsets": ("files",)}
    return App(settings.model_copy(update=chosen))


@pytest.fixture
async def clients(app: App, disk: SlowDisk) -> AsyncIterator[list[Assistant]]:
    with served(app.settings, server=create_server(app.settings, app=app)) as base:
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(
                    over("http", base, "auto", headers={"X-Civitai-Api-Key": key} if key else {})
                )
                for key in KEYS
            ]


def shelf(settings: Settings, folder: str, count: int) -> list[str]:
    """Paths of new model files, no two the same."""
    assert settings.models_root is not None
    place = settings.models_root / folder
    place.mkdir()
    for number in range(count):
        (place / f"{folder}-{number}.safetensors").write_bytes(f"{folder} {number}".encode())
    return [f"{folder}/{folder}-{number}.safetensors" for number in range(count)]


async def test_many_calls_hash_in_no_more_threads_than_one(
    clients: list[Assistant], app: App, disk: SlowDisk
) -> None:
    files = shelf(app.settings, "loras", CALLS)

    def settled() -> bool:
        """Every call holds a thread or waits for one."""
        waiting = app.desk.readers.statistics().tasks_waiting
        return disk.waiting + waiting == CALLS * len(KEYS)

    async with anyio.create_task_group() as group:
        for client in clients:
            for path in files:
                group.start_soon(client.client.call_tool, "identify_files", {"paths": [path]})
        await until(settled)
        disk.let_go()

    assert len(app._keyed) == 3
    assert len(disk.opened) == CALLS * len(KEYS)
    assert disk.most == READERS


async def test_a_call_with_one_file_does_not_wait_for_all_of_a_call_with_many(
    clients: list[Assistant], app: App, disk: SlowDisk
) -> None:
    shelf(app.settings, "loras", 20)
    (single,) = shelf(app.settings, "checkpoints", 1)

    async with anyio.create_task_group() as group:
        group.start_soon(clients[0].client.call_tool, "identify_files", {"paths": ["loras"]})
        await until(lambda: disk.waiting == READERS)
        group.start_soon(clients[1].client.call_tool, "identify_files", {"paths": [single]})
        await until(lambda: app.desk.readers.statistics().tasks_waiting > 0)
        disk.let_go(1)
        await until(lambda: len(disk.opened) > READERS)
        disk.let_go()

    # the first place that was free again went to who came later and wants little
    assert disk.opened[READERS] == Path(single).name
