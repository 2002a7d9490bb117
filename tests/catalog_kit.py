"""What the catalog's tests share: versions to add, disks that fail, a look at the folder."""

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from civit_mcp.catalog import Catalog
from civit_mcp.files import Disk
from civit_mcp.models.records import FileRecord, VersionRecord

SHA = "AB" * 32
#: what a clean folder may hold of backups
BACKUP = re.compile(r"/\.civit-mcp/backups(/(models|loras)-\d{4}-\d\d-\d\d\.json)?$")


def a_file(number: int = 1, **fields: Any) -> FileRecord:
    plain: dict[str, Any] = {
        "id": 1000 + number,
        "name": f"lora_{number}.safetensors",
        "type": "Model",
        "size_kb": 1000.0,
        "hashes": {"SHA256": f"{number:064X}"},
        "primary": True,
    }
    return FileRecord(**{**plain, **fields})


def a_version(number: int = 1, **fields: Any) -> VersionRecord:
    plain: dict[str, Any] = {
        "id": number,
        "model_id": 500 + number,
        "name": "v1",
        "base_model": "SDXL 1.0",
        "model_name": f"Style {number}",
        "model_type": "LORA",
        "trigger_words": ("a style",),
        "downloads": 7,
        "files": (a_file(number),),
    }
    return VersionRecord(**{**plain, **fields})


def stored(folder: Path, name: str) -> dict[str, Any]:
    """A catalog file, read as any other program reads it."""
    path = folder / f"{name}.json"
    if not path.exists():
        return {"version": 0, "categories": []}
    loaded: dict[str, Any] = json.loads(path.read_bytes().decode("utf-8-sig"))
    return loaded


def homes(folder: Path, version_id: int) -> list[str]:
    """Every place that holds a version, as `file/category`."""
    return [
        f"{name}/{category['id']}"
        for name in ("models", "loras")
        for category in stored(folder, name)["categories"] or []
        for entry in category["models"] or []
        if entry and str(entry.get("civitai_version_id")) == str(version_id)
    ]


def leftovers(folder: Path) -> list[str]:
    """What a clean folder does not hold."""
    fine = {"models.json", "loras.json", "lock", "history.jsonl", ".civit-mcp"}
    return sorted(
        path.name
        for path in folder.rglob("*")
        if path.name not in fine and not BACKUP.search(path.as_posix())
    )


def history(folder: Path) -> list[dict[str, Any]]:
    path = folder / ".civit-mcp" / "history.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def with_lora(folder: Path, number: int = 1) -> Catalog:
    Catalog(folder, disk=Quick()).add(a_version(number))
    return Catalog(folder)


class Died(BaseException):
    """The process is gone; nothing that catches errors may catch this."""


class Quick(Disk):
    """A disk that waits for no platter: a killed process does not need it, a power cut would."""

    def sync(self, handle: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


class Counting(Quick):
    """A disk that does something of its own at one call, named by number."""

    def __init__(self) -> None:
        self.calls = 0
        self.log: list[str] = []

    def at(self, name: str, *arguments: Any) -> None:
        """Called before every system call."""

    def _step(self, name: str, *arguments: Any) -> None:
        self.calls += 1
        self.log.append(name)
        self.at(name, *arguments)

    def read(self, path: Path) -> bytes:
        self._step("read", path)
        return super().read(path)

    def stat(self, path: Path) -> os.stat_result:
        self._step("stat", path)
        return super().stat(path)

    def names(self, folder: Path) -> list[str]:
        self._step("names", folder)
        return super().names(folder)

    def make_folder(self, path: Path) -> None:
        self._step("make_folder", path)
        super().make_folder(path)

    def open_new(self, path: Path, mode: int) -> int:
        self._step("open_new", path)
        return super().open_new(path, mode)

    def open_tail(self, path: Path) -> int:
        self._step("open_tail", path)
        return super().open_tail(path)

    def open_old(self, path: Path) -> int:
        self._step("open_old", path)
        return super().open_old(path)

    def read_at(self, handle: int, start: int) -> bytes:
        self._step("read_at")
        return super().read_at(handle, start)

    def stat_open(self, handle: int) -> os.stat_result:
        self._step("stat_open")
        return super().stat_open(handle)

    def truncate(self, handle: int, size: int) -> None:
        self._step("truncate")
        super().truncate(handle, size)

    def write(self, handle: int, data: memoryview) -> int:
        self._step("write", handle, data)
        return super().write(handle, data)

    def like(self, handle: int, model: os.stat_result) -> None:
        self._step("like")
        super().like(handle, model)

    def sync(self, handle: int) -> None:
        self._step("sync")
        super().sync(handle)

    def replace(self, source: Path, target: Path) -> None:
        self._step("replace", target)
        super().replace(source, target)

    def remove(self, path: Path) -> None:
        self._step("remove", path)
        super().remove(path)

    def sync_folder(self, folder: Path) -> None:
        self._step("sync_folder", folder)
        super().sync_folder(folder)


class Dying(Counting):
    """The process dies at call `last`, a write half done; nothing works afterwards."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last

    def at(self, name: str, *arguments: Any) -> None:
        if self.calls == self.last and name == "write":
            handle, data = arguments
            os.write(handle, data[: len(data) // 2])
        if self.calls >= self.last:
            raise Died


class Full(Counting):
    """The disk is full from call `last` on: nothing more can be written to it."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last

    def at(self, name: str, *arguments: Any) -> None:
        if self.calls >= self.last and name in ("write", "sync", "make_folder", "open_new"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Failing(Counting):
    """Call `last` fails with an I/O error, all others work."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last

    def at(self, name: str, *arguments: Any) -> None:
        if self.calls == self.last:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class Shared(Counting):
    """Another program acts just before call `when`."""

    def __init__(self, when: int, act: Callable[[], None]) -> None:
        super().__init__()
        self.when = when
        self.act = act

    def at(self, name: str, *arguments: Any) -> None:
        if self.calls == self.when:
            self.act()
