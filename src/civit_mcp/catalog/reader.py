"""Reading the catalog files: what is known of them, and when that still holds."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from civit_mcp import files
from civit_mcp.catalog.change import NAMES
from civit_mcp.catalog.document import Document
from civit_mcp.catalog.journal import digest
from civit_mcp.errors import CatalogUnreadable
from civit_mcp.models.catalogued import CatalogName

#: a stamp this young may stand for two contents, as some file systems count in seconds
YOUNG_NS: Final = 2_500_000_000
#: how long half a file may stand still, and how long it may grow, before it is called broken
_STILL_TRIES, _STILL_WAIT, _GROWING_SECONDS = 6, 0.03, 5.0


class Stamp(NamedTuple):
    """What tells one state of a file from another without reading it."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One file as it was read."""

    stamp: Stamp | None
    digest: str | None
    document: Document
    #: old enough that the same stamp means the same content
    settled: bool


class _Patience:
    """Waits for a program that writes in place and has only half a file there yet."""

    def __init__(self) -> None:
        self._end = time.monotonic() + _GROWING_SECONDS
        self._last: object = None
        self._still = 0

    def is_over(self, state: object) -> bool:
        """Wait a little; True when the file has not moved on for long enough."""
        self._still = self._still + 1 if state == self._last else 0
        self._last = state
        if self._still >= _STILL_TRIES or time.monotonic() > self._end:
            return True
        time.sleep(_STILL_WAIT)
        return False


class Reader:
    """Reads the files of one folder and remembers what it read."""

    def __init__(self, folder: Path, disk: files.Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._cache: dict[CatalogName, Seen] = {}
        self._absent = {name: Document.empty(self.path(name)) for name in NAMES}

    def path(self, name: CatalogName) -> Path:
        """Where a catalog file stands."""
        return self._folder / f"{name}.json"

    def expect(self, name: CatalogName, content: str | None, document: Document) -> None:
        """Know in advance what a content just written will read as."""
        self._cache[name] = Seen(None, content, document, settled=False)

    def stamps(self) -> tuple[Stamp | None, ...]:
        """Look at both files."""
        return tuple(self.stamp(self.path(name)) for name in NAMES)

    def stamp(self, path: Path) -> Stamp | None:
        """Look at a file; None when there is none."""
        with files.explained(path, "read"):
            try:
                found = self._disk.stat(path)
            except FileNotFoundError:
                return None
        return Stamp(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def see(self, name: CatalogName) -> Seen:
        """Read and cut a file, unless it is known; raises `CatalogUnreadable`."""
        path = self.path(name)
        patience = _Patience()
        while True:
            moment = time.time_ns()
            stamp = self.stamp(path)
            known = self._cache.get(name)
            if known is not None and known.settled and known.stamp == stamp:
                return known
            data = self.bytes_of(path)
            if data is None:
                return Seen(None, None, self._absent[name], settled=False)
            settled = stamp is not None and abs(moment - stamp.modified_ns) > YOUNG_NS
            try:
                return self._remember(name, stamp, data, settled=settled)
            except CatalogUnreadable:
                if settled or patience.is_over(stamp):
                    raise

    def _remember(
        self, name: CatalogName, stamp: Stamp | None, data: bytes, *, settled: bool
    ) -> Seen:
        known = self._cache.get(name)
        print_ = digest(data)
        same = known is not None and known.digest == print_
        document = known.document if known and same else Document.parse(data, self.path(name))
        seen = Seen(stamp, print_, document, settled)
        self._cache[name] = seen
        return seen

    def bytes_of(self, path: Path) -> bytes | None:
        """Read a file as it is; None when there is none."""
        with files.explained(path, "read"):
            return files.read(self._disk, path)

    def unchanged(self, name: CatalogName, seen: Seen) -> bool:
        """Whether a file still has the content that was read."""
        path = self.path(name)
        if seen.settled and self.stamp(path) == seen.stamp:
            return True
        return digest(self.bytes_of(path)) == seen.digest

    def late_write(
        self, path: Path, old: Callable[[], bytes | None], expected: str | None
    ) -> Document | None:
        """What was written into a replaced file; half a file gets time to become whole."""
        patience = _Patience()
        while True:
            try:
                data = old()
            except OSError:  # the new file stands; an old one that cannot be read says nothing
                return None
            if data is None or digest(data) == expected:
                return None
            with suppress(CatalogUnreadable):
                return Document.parse(data, path)
            if patience.is_over(len(data)):
                return None
