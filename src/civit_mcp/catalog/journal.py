"""The private folder: lock, journal and history.

    <catalog folder>/.civit-mcp/
    ├── lock              held by whoever writes
    ├── journal.json      a change that is decided and perhaps not finished
    ├── history.jsonl     the changes made, one line each
    ├── history.1.jsonl   those before, once the other has grown
    └── backups/          see `backups`

The journal is the commit point. While it stands, its change counts as made, and whoever
finds it finishes it. It carries its own checksum: one that does not fit was never decided.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from civit_mcp import files
from civit_mcp.catalog.change import Change
from civit_mcp.errors import Conflict
from civit_mcp.models.catalogued import CatalogName

FOLDER: Final = ".civit-mcp"
_FORMAT: Final = 1
_TAIL: Final = 1 << 16
#: a history of this size is put aside, if it holds this many changes, and a new one begun
HISTORY_BYTES: Final = 4_000_000
HISTORY_CHANGES: Final = 100


def digest(data: bytes | None) -> str | None:
    """Name a content; None for a file that is not there."""
    return None if data is None else hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change on its way into the files."""

    change: Change
    #: the date that the files get
    date: str
    #: per file: content before and after, as digests
    before: dict[CatalogName, str | None]
    after: dict[CatalogName, str | None]
    #: size of the history before the change
    history_size: int

    def to_bytes(self) -> bytes:
        """Spell it with its checksum."""
        body = json.dumps(
            {
                "change": self.change.to_json(),
                "date": self.date,
                "before": self.before,
                "after": self.after,
                "history_size": self.history_size,
            }
        )
        seal = hashlib.sha256(body.encode()).hexdigest()
        return json.dumps({"format": _FORMAT, "sha256": seal, "body": body}).encode()

    @classmethod
    def from_bytes(cls, data: bytes, path: Path) -> "Entry | None":
        """Read it back; None when it is torn, `Conflict` when a newer civit-mcp wrote it."""
        try:
            outer = json.loads(data)
            if outer["format"] != _FORMAT and isinstance(outer["format"], int):
                raise Conflict(
                    f"'{path}' holds an unfinished change of a newer civit-mcp",
                    "start that civit-mcp once so that it finishes, or update this one",
                )
            body: str = outer["body"]
            if hashlib.sha256(body.encode()).hexdigest() != outer["sha256"]:
                return None
            inner: dict[str, Any] = json.loads(body)
            return cls(
                change=Change.from_json(inner["change"]),
                date=str(inner["date"]),
                before=dict(inner["before"]),
                after=dict(inner["after"]),
                history_size=int(inner["history_size"]),
            )
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class Private:
    """The private folder of one catalog."""

    folder: Path
    disk: files.Disk

    @property
    def lock(self) -> Path:
        """The lock's path."""
        return self.folder / "lock"

    @property
    def journal(self) -> Path:
        """The journal's path."""
        return self.folder / "journal.json"

    @property
    def history(self) -> Path:
        """The history's path."""
        return self.folder / "history.jsonl"

    @property
    def older_history(self) -> Path:
        """The path of the changes before those of the history."""
        return self.folder / "history.1.jsonl"

    def pending(self) -> bytes | None:
        """The journal as it stands; None when no change is on its way."""
        with files.explained(self.journal, "read"):
            return files.read(self.disk, self.journal)

    def history_size(self) -> int:
        """Bytes of history."""
        with files.explained(self.history, "read"):
            try:
                return self.disk.stat(self.history).st_size
            except FileNotFoundError:
                return 0

    def remember(self, entry: Entry) -> None:
        """Put the change into the history, once."""
        line = json.dumps(entry.change.to_json()).encode()
        mark = json.dumps(entry.change.id).encode()
        files.append_line(
            self.disk, self.history, line, start=entry.history_size, mark=b'"change_id": ' + mark
        )

    def turn_over(self) -> None:
        """Put a long history aside, so that it and the one before it stay bounded.

        Only the lock's holder may call, and only while no change is on its way. At least the
        last `HISTORY_CHANGES` changes stay readable.
        """
        if self.history_size() < HISTORY_BYTES:
            return
        with files.explained(self.history, "put aside"):
            data = files.read(self.disk, self.history) or b""
            if data.count(b"\n") >= HISTORY_CHANGES:
                self.disk.replace(self.history, self.older_history)
                self.disk.sync_folder(self.folder)

    def changes(self) -> list[Change]:
        """Every remembered change, oldest first; lines that cannot be read are passed over."""
        found = []
        for path in (self.older_history, self.history):
            with files.explained(path, "read"):
                data = files.read(self.disk, path) or b""
            found += [change for line in data.split(b"\n") if (change := _change(line))]
        return found

    def last_change(self) -> Change | None:
        """The newest remembered change."""
        return self._last_of_history() or next(reversed(self.changes()), None)

    def _last_of_history(self) -> Change | None:
        with files.explained(self.history, "read"):
            size = self.history_size()
            tail = b""
            while len(tail) < size:
                tail = self._tail(min(max(_TAIL, 4 * len(tail)), size))
                lines = tail.splitlines()
                whole = lines if len(tail) == size else lines[1:]
                for line in reversed(whole):
                    if (change := _change(line)) is not None:
                        return change
        return None

    def _tail(self, length: int) -> bytes:
        with self.history.open("rb") as stream:
            stream.seek(-length, 2)
            return stream.read()


def _change(line: bytes) -> Change | None:
    try:
        return Change.from_json(json.loads(line))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
