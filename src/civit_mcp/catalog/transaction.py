"""Reads and writes both catalog files as one thing.

A write: lock, finish what a killed writer left, read both files, decide, stage the new
contents, write the journal, replace each file, remember the change, drop the journal. Killed
before the journal stands, nothing happened; killed after, the next one finishes it.

A read takes no lock. It checks that both files stayed as they were while it read them and
that no change is on its way between them; one that is, is finished if its writer is dead and
reckoned in if its writer lives.

Programs that do not know the lock may write the files too. Just before a file is replaced it
is looked at again; if it changed, the decision is made anew on what it says now.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from civit_mcp import files
from civit_mcp.catalog.backups import Backups
from civit_mcp.catalog.change import NAMES, Change, apply, carry_out
from civit_mcp.catalog.document import Document
from civit_mcp.catalog.journal import FOLDER, Entry, Private, digest
from civit_mcp.catalog.reader import Reader, Seen, Stamp
from civit_mcp.errors import CatalogLocked, CatalogUnreadable, Conflict
from civit_mcp.models.catalogued import CatalogName

T = TypeVar("T")
Documents = Mapping[CatalogName, Document]
#: how often a decision is made anew because another program keeps writing
_TRIES: Final = 25


@dataclass(frozen=True, slots=True)
class State:
    """Both files at one moment."""

    seen: Mapping[CatalogName, Seen]
    documents: Documents


@dataclass(frozen=True, slots=True)
class Decision(Generic[T]):
    """What a verb makes of a state: its answer, and the change if there is one."""

    answer: T
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """A verb's answer, and what went wrong beside the change itself."""

    answer: T
    trouble: tuple[str, ...] = ()


class Store:
    """The two files of one folder. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        *,
        lock_timeout: float,
        now: Callable[[], datetime],
        disk: files.Disk | None = None,
    ) -> None:
        """Take the folder; nothing is read or made before it is needed."""
        self.folder = folder
        self.private = Private(folder / FOLDER, disk or files.Disk())
        self._disk = self.private.disk
        self._timeout = lock_timeout
        self._now = now
        self._files = Reader(folder, self._disk)
        self._backups = Backups(self.private.folder, self._disk)

    def path(self, name: CatalogName) -> Path:
        """Where a catalog file stands."""
        return self._files.path(name)

    def date(self) -> str:
        """Now, as the files spell it."""
        return aware(self._now()).astimezone(_ZONE).strftime("%Y-%m-%d %H:%M")

    def read(self, *, recover: bool = True) -> State:
        """Read both files as of one moment; `recover=False` touches nothing on the way."""
        for _ in range(_TRIES):
            pending = self.private.pending()
            if pending is not None and recover and self._recovered():
                continue
            before = self._files.stamps()
            seen = {name: self._files.see(name) for name in NAMES}
            # the journal is looked at between two equal looks at the files: had a change
            # been half made in that time, its journal would have stood
            if self.private.pending() == pending and self._files.stamps() == before:
                return _reckoned(seen, self._entry(pending))
        with self._locked():
            self._finish_pending()
            return _plain({name: self._files.see(name) for name in NAMES})

    def text(self, name: CatalogName) -> str | None:
        """One file's text as it stands, valid or not; None when there is no file."""
        if self.private.pending() is not None:
            self._recovered()
        path = self.path(name)
        with files.explained(path, "read"):
            data = files.read(self._disk, path)
        if data is None:
            return None
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise CatalogUnreadable(
                f"'{path}' is not UTF-8 text (byte {error.start})",
                "repair or restore the file by hand",
            ) from error

    def stamps(self) -> tuple[Stamp | None, ...]:
        """Look at both files without reading them."""
        return self._files.stamps()

    def write(self, decide: Callable[[State], Decision[T]]) -> Written[T]:
        """Read, decide and make the change; `decide` is pure and may be asked again."""
        first = decide(self.read())
        if first.change is None:
            return Written(first.answer)
        with files.explained(self.private.folder, "make"):
            self._disk.make_folder(self.private.folder)
        with self._locked():
            self._finish_pending()
            for _ in range(_TRIES):
                state = _plain({name: self._files.see(name) for name in NAMES})
                decision = decide(state)
                trouble: list[str] = []
                if decision.change is None or self._commit(state, decision.change, trouble):
                    return Written(decision.answer, tuple(trouble))
        raise Conflict(
            f"another program keeps rewriting the catalog in '{self.folder}'",
            "let that program finish, then call again",
        )

    def _entry(self, pending: bytes | None) -> Entry | None:
        return None if pending is None else Entry.from_bytes(pending, self.private.journal)

    # -- writing

    def _locked(self) -> AbstractContextManager[None]:
        return files.locked(self.private.lock, timeout=self._timeout)

    def _commit(self, state: State, change: Change, trouble: list[str]) -> bool:
        """Make a change durable; False when a file is no longer what was decided on."""
        date = self.date()
        change, fresh = carry_out(state.documents, change, date=date)
        contents = {name: document.render() for name, document in fresh.items()}
        if not contents:
            return True
        self._clean()
        kept = [self._backups.keep(name, self.path(name), date[:10]) for name in contents]
        trouble += [said for said in kept if said is not None]
        try:
            self.private.turn_over()
        except CatalogUnreadable as error:  # a history that grows on is no reason to refuse
            trouble.append(error.what)
        staged: dict[CatalogName, Path] = {}
        try:
            for name, content in contents.items():
                staged[name] = self._stage(name, content)
            if not all(self._files.unchanged(name, state.seen[name]) for name in NAMES):
                return False
            entry = Entry(
                change=change,
                date=date,
                before={name: state.seen[name].digest for name in contents},
                after={name: digest(content) for name, content in contents.items()},
                history_size=self.private.history_size(),
            )
            self._make(entry, staged, state.seen)
        finally:
            for path in staged.values():
                files.discard(self._disk, path)
        for name, document in fresh.items():
            self._files.expect(name, entry.after[name], document)
        return True

    def _make(
        self,
        entry: Entry,
        staged: dict[CatalogName, Path],
        seen: Mapping[CatalogName, Seen],
    ) -> None:
        """Write the journal and carry it out; a failure before the first replacement undoes it."""
        journal = self.private.journal
        replaced: list[CatalogName] = []
        try:
            with files.explained(journal, "write"):
                files.write(self._disk, journal, entry.to_bytes())
            for name in entry.after:
                self._replace(name, entry, staged, replaced, seen=seen[name])
        except (CatalogUnreadable, Conflict) as error:
            if not replaced:
                with suppress(OSError):
                    files.remove(self._disk, journal)
                raise
            raise Conflict(
                f"change '{entry.change.id}' is half made: {error.what}",
                f"{error.next_step}; the next call finishes it",
            ) from error
        # The change is made. If its record cannot be written now (a full disk), the journal
        # stays and the next writer does it.
        with suppress(CatalogUnreadable):
            self._settle(entry)

    def _settle(self, entry: Entry) -> None:
        with files.explained(self.private.history, "write"):
            self.private.remember(entry)
        with files.explained(self.private.journal, "remove"):
            files.remove(self._disk, self.private.journal)

    def _replace(
        self,
        name: CatalogName,
        entry: Entry,
        staged: dict[CatalogName, Path],
        replaced: list[CatalogName],
        *,
        seen: Seen | None = None,
    ) -> None:
        """Bring one file to where the journal wants it, from wherever it is now."""
        path = self.path(name)
        for _ in range(_TRIES):
            known = seen is not None and seen.settled and self._files.stamp(path) == seen.stamp
            data = None if known else self._files.bytes_of(path)
            now = entry.before[name] if known else digest(data)
            if now == entry.after[name]:
                return
            foreign = now != entry.before[name]
            if foreign or name not in staged:
                old = Document.empty(path) if data is None else Document.parse(data, path)
                new = apply(old, entry.change.of(name), date=entry.date, again=foreign)
                if new is old:
                    return
                if name in staged:
                    files.discard(self._disk, staged.pop(name))
                staged[name] = self._stage(name, new.render())
            stamp = seen.stamp if seen is not None and known else None
            done, late = self._exchange(path, staged.pop(name), now, settled=stamp)
            if not done:
                continue  # it is another content now, so what was staged no longer fits
            replaced.append(name)
            self._sync(path)
            if late is None or self._taken_in(name, entry, late):
                return
        raise Conflict(
            f"another program keeps rewriting '{path}'",
            "let that program finish, then call again",
        )

    def _exchange(
        self, path: Path, staged: Path, expected: str | None, *, settled: Stamp | None = None
    ) -> tuple[bool, Document | None]:
        """Replace a file that still has the expected content.

        Says whether it did, and what another program wrote into the old file meanwhile. A file
        that has lain still under its `settled` stamp has the content that was read under it.
        """
        with files.explained(path, "replace"):
            target = files.real(path)
            stamp = self._files.stamp(path)
            with files.held(self._disk, target) as old:
                same = stamp == settled if settled else digest(old.read()) == expected
                if not same or self._files.stamp(path) != stamp:
                    files.discard(self._disk, staged)
                    return False, None
                try:
                    self._disk.replace(staged, target)
                except OSError:
                    files.discard(self._disk, staged)
                    raise
                if settled and old.written_ns() == settled.modified_ns:
                    return True, None
                return True, self._files.late_write(path, old.read, expected)

    def _taken_in(self, name: CatalogName, entry: Entry, late: Document) -> bool:
        """Make the change on what another program wrote into the old file."""
        new = apply(late, entry.change.of(name), date=entry.date, again=True)
        staged = self._stage(name, new.render())
        done, later = self._exchange(self.path(name), staged, entry.after[name])
        self._sync(self.path(name))
        return done and later is None

    def _sync(self, path: Path) -> None:
        with files.explained(path, "replace"):
            self._disk.sync_folder(files.real(path).parent)

    def _stage(self, name: CatalogName, content: bytes) -> Path:
        path = self.path(name)
        with files.explained(path, "write"):
            target = files.real(path)
            files.require_writable(self._disk, target)
            return files.stage(self._disk, target, content)

    def _clean(self) -> None:
        for path in (*map(self.path, NAMES), self.private.journal):
            with files.explained(path, "read"):
                files.clean(self._disk, files.real(path))

    # -- recovery

    def _recovered(self) -> bool:
        """Finish a dead writer's change; False when its writer lives or the disk refuses."""
        try:
            with files.locked(self.private.lock, timeout=0.0):
                self._finish_pending()
        except (CatalogLocked, CatalogUnreadable):
            return False
        return True

    def _finish_pending(self) -> None:
        pending = self.private.pending()
        if pending is None:
            return
        entry = self._entry(pending)
        if entry is None:  # torn: never decided
            with files.explained(self.private.journal, "remove"):
                files.remove(self._disk, self.private.journal)
        else:
            for name in entry.after:
                self._replace(name, entry, {}, [])
            self._settle(entry)
        self._clean()


def aware(moment: datetime) -> datetime:
    """A time without a zone is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _plain(seen: dict[CatalogName, Seen]) -> State:
    return State(seen, {name: one.document for name, one in seen.items()})


def _reckoned(seen: dict[CatalogName, Seen], entry: Entry | None) -> State:
    """Reckon in a change that is decided but perhaps not in the files yet."""
    documents = {name: one.document for name, one in seen.items()}
    for name in entry.after if entry else ():
        assert entry is not None
        if seen[name].digest != entry.after[name]:
            again = seen[name].digest != entry.before[name]
            documents[name] = apply(
                documents[name], entry.change.of(name), date=entry.date, again=again
            )
    return State(seen, documents)


def _rome() -> tzinfo:
    try:
        return ZoneInfo("Europe/Rome")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC  # a system without time zones


_ZONE: Final = _rome()
