"""Answers on disk, in one SQLite file that may be deleted at any time.

    <cache folder>/answers.sqlite3           answers by key; -wal and -shm beside it while open
    <cache folder>/answers.sqlite3.broken    the last file that could not be read, set aside

Blocking, for one thread. No trouble with the file is worth an answer: what cannot be read
counts as not kept, what cannot be written is not kept.
"""

import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from civit_mcp.civitai.cache import LONGEST, Kept

logger = logging.getLogger(__name__)
T = TypeVar("T")

FILE_NAME: Final = "answers.sqlite3"
MAX_BYTES: Final = 256 * 1024 * 1024
#: goes up when the table changes; a file with another one is emptied
SCHEMA: Final = 1
#: result codes of a file that will not heal: an error in a statement of ours means that
#: somebody else's tables are in it
_BEYOND_REPAIR: Final = frozenset({
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT,
})  # fmt: skip
#: ones that pass; with any other the file is opened anew
_PASSING: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
#: what the database library raises about a file
_TROUBLE: Final = (sqlite3.Error, UnicodeDecodeError)
_BUSY_SECONDS: Final = 2.0
_BUSY_PAUSE: Final = 0.02
#: later than any moment that is no damage
_END_OF_TIME: Final = 1e11
_TABLE: Final = (
    "DROP TABLE IF EXISTS answers",
    """CREATE TABLE answers (
        key TEXT PRIMARY KEY,
        status INTEGER NOT NULL,
        fetched_at REAL NOT NULL,
        fresh_until REAL NOT NULL,
        body BLOB NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX by_age ON answers (fetched_at)",
    f"PRAGMA user_version = {SCHEMA}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What the file holds. Times are seconds since 1970, None when it is empty."""

    answers: int = 0
    oldest: float | None = None
    newest: float | None = None


class Unusable(Exception):
    """No file can be kept there. Says why."""


class AnswerStore:
    """The file. Every method but `open` works without it too, and then does nothing."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        """Touch nothing yet. `max_bytes` bounds what the file uses, within a tenth or so."""
        self.path: Final = folder / FILE_NAME
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open or make the file; one that cannot be read is set aside. Raises `Unusable`."""
        if self._connection is not None:
            return
        try:
            self._connection = self._connect_patiently()
        except (OSError, sqlite3.Error, ValueError) as error:
            raise Unusable(str(error)) from error

    def fresh(self, now: float) -> dict[str, float]:
        """Until when each answer that is still fresh may be used, by key."""
        found = self._attempt(
            lambda db: db.execute(
                "SELECT key, fresh_until FROM answers WHERE fetched_at > ? AND fresh_until > ?",
                (now - 2 * LONGEST, now),
            ).fetchall()
        )
        return {key: until for key, until in found or () if isinstance(until, float)}

    def get(self, key: str) -> Kept | None:
        """Read one answer, however old."""
        row = self._attempt(
            lambda db: db.execute(
                "SELECT status, body, fetched_at, fresh_until FROM answers WHERE key = ?", (key,)
            ).fetchone()
        )
        if row is None:
            return None
        status, packed, fetched_at, fresh_until = row
        # damage inside a row is not for the database to notice
        if status not in (200, 404) or not _is_moment(fetched_at) or not _is_moment(fresh_until):
            return None
        try:
            body = zlib.decompress(packed)
        except (zlib.error, TypeError):
            return None
        return Kept(status=status, body=body, fetched_at=fetched_at, fresh_until=fresh_until)

    def put(self, answers: Mapping[str, Kept]) -> None:
        """Keep answers; the ones fetched longest ago go when there is no room."""
        rows = [
            (key, kept.status, kept.fetched_at, kept.fresh_until, zlib.compress(kept.body, 1))
            for key, kept in answers.items()
        ]
        rows = [row for row in rows if len(row[-1]) <= self._max_bytes // 8]

        def write(db: sqlite3.Connection) -> None:
            with db:
                db.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", rows)
            self._make_room(db)

        self._attempt(write)

    def holdings(self) -> Holdings:
        """Count what is there."""
        row = self._attempt(
            lambda db: db.execute(
                "SELECT count(*), min(fetched_at), max(fetched_at) FROM answers"
            ).fetchone()
        )
        if row is None or not _is_moment(row[1]) or not _is_moment(row[2]):
            return Holdings()
        return Holdings(answers=row[0], oldest=row[1], newest=row[2])

    def close(self) -> None:
        """Close the file; `open` opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _connect_patiently(self) -> sqlite3.Connection:
        """Connect; once more after setting a broken file aside, and while others make theirs."""
        patience = time.monotonic() + _BUSY_SECONDS
        repaired = False
        while True:
            try:
                return self._connect()
            except _TROUBLE as error:
                if _is_broken(error) and not repaired:
                    self._set_aside()
                    repaired = True
                elif _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > patience:
                    raise
                else:
                    # two that begin at the same moment are not made to wait by SQLite itself
                    time.sleep(_BUSY_PAUSE)

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # prompts are nobody else's business; SQLite gives its other files the same mode
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(self.path, timeout=_BUSY_SECONDS)
        try:
            # losing the last answers to a power cut is cheaper than waiting for the platter
            db.execute("PRAGMA synchronous = OFF")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA journal_size_limit = 4194304")
            if _version(db) != SCHEMA:
                _make_table(db)
            # an answer is looked for now, so that damage shows before it is needed
            db.execute("SELECT key, body FROM answers ORDER BY fetched_at LIMIT 1").fetchall()
        except BaseException:
            db.close()
            raise
        return db

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do some work, on a new file if the old one turns out broken; None: it did not work."""
        for _ in range(2):
            try:
                self.open()
                assert self._connection is not None
                return work(self._connection)
            except Unusable as error:
                logger.debug("the answer cache cannot be opened: %s", error)
                return None
            except _TROUBLE as error:
                if _is_broken(error):
                    logger.debug("the answer cache is damaged and starts anew: %s", error)
                    self.close()
                    try:
                        self._set_aside()
                    except OSError:
                        return None
                    continue
                logger.debug("the answer cache is out of order: %s", error)
                if _code(error) not in _PASSING:
                    self.close()
                return None
        return None

    def _set_aside(self) -> None:
        """Rename what cannot be read, so that somebody may look at it; only the last is kept."""
        with suppress(FileNotFoundError):
            self.path.replace(self.path.with_name(f"{FILE_NAME}.broken"))
        for ending in ("-wal", "-shm"):
            self.path.with_name(FILE_NAME + ending).unlink(missing_ok=True)

    def _make_room(self, db: sqlite3.Connection) -> None:
        """Delete the oldest tenth again and again until there is room."""
        if _used(db) <= self._max_bytes:
            return
        while _used(db) > self._max_bytes * 9 // 10:
            count = db.execute("SELECT count(*) FROM answers").fetchone()[0]
            if not count:
                return
            with db:
                db.execute(
                    "DELETE FROM answers WHERE key IN"
                    " (SELECT key FROM answers ORDER BY fetched_at LIMIT ?)",
                    (max(1, count // 10),),
                )


def holdings_of(folder: Path) -> Holdings | None:
    """Look at what a folder holds, for a report; None when no cache can be kept there."""
    with closing(AnswerStore(folder)) as store:
        try:
            store.open()
        except Unusable:
            return None
        return store.holdings()


def _is_moment(value: object) -> bool:
    return isinstance(value, float) and 0 <= value < _END_OF_TIME


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _make_table(db: sqlite3.Connection) -> None:
    """Make the table, unless another process does it first."""
    db.execute("BEGIN IMMEDIATE")
    with db:
        if _version(db) != SCHEMA:
            for statement in _TABLE:
                db.execute(statement)


def _used(db: sqlite3.Connection) -> int:
    """Bytes in use, as all processes that share the file see them."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _code(error: Exception) -> int | None:
    """The plain result code; the extended one has more in its upper bits."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _is_broken(error: Exception) -> bool:
    # names inside a damaged file may not even be text
    return isinstance(error, UnicodeDecodeError) or _code(error) in _BEYOND_REPAIR
