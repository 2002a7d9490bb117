"""Daily copies of the catalog files: `.civit-mcp/backups/<name>-<date>.json`.

A copy is what the file was before the first change of a day. There are at most `KEPT` of each
file and together at most `ROOM` bytes, two of each excepted. A copy that cannot be made is
said and stops nobody.
"""

import re
from pathlib import Path
from typing import Final

from civit_mcp import files
from civit_mcp.errors import CivitError
from civit_mcp.models.catalogued import CatalogName

FOLDER: Final = "backups"
KEPT: Final = 14
ROOM: Final = 512_000_000
_NAME: Final = re.compile(r"(models|loras)-\d{4}-\d{2}-\d{2}\.json")
_STAGED: Final = re.compile(r"\.(models|loras)-[\d-]+\.json\.[0-9a-f]{12}\.cmtmp")


class Backups:
    """The copies of one catalog. Only the lock's holder may call."""

    def __init__(self, private: Path, disk: files.Disk) -> None:
        """Take the private folder; nothing is made before the first copy."""
        self.folder = private / FOLDER
        self._disk = disk
        self._made: set[Path] = set()

    def keep(self, name: CatalogName, file: Path, day: str) -> str | None:
        """Copy a file unless today's copy is there; a sentence when that failed."""
        copy = self.folder / f"{name}-{day}.json"
        if copy in self._made:
            return None
        try:
            if self._is_there(copy):
                self._made.add(copy)
                return None
            data = files.read(self._disk, file)
            if data is None:
                return None
            self._disk.make_folder(self.folder)
            self._prune(len(data))
            files.write(self._disk, copy, data)
        except (OSError, ValueError, CivitError) as error:
            return f"today's backup '{copy}' could not be made: {error}"
        self._made.add(copy)
        return None

    def _is_there(self, copy: Path) -> bool:
        try:
            self._disk.stat(copy)
        except FileNotFoundError:
            return False
        return True

    def _prune(self, coming: int) -> None:
        """Make room for one more copy; drop what a killed writer left staged."""
        kept: dict[str, list[tuple[str, int]]] = {"models": [], "loras": []}
        for name in sorted(self._disk.names(self.folder), reverse=True):
            if _STAGED.fullmatch(name):
                files.discard(self._disk, self.folder / name)
            elif found := _NAME.fullmatch(name):
                size = self._disk.stat(self.folder / name).st_size
                kept[found.group(1)].append((name, size))
        total = coming
        ranked = sorted(
            (rank, name, size) for copies in kept.values() for rank, (name, size) in
            enumerate(copies)
        )  # fmt: skip
        for rank, name, size in ranked:
            total += size
            if rank >= KEPT - 1 or (rank >= 2 and total > ROOM):
                files.discard(self._disk, self.folder / name)
                total -= size
