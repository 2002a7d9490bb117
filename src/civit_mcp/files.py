"""The only module that writes to disk.

A file is replaced, never rewritten: the new content is staged beside the target, brought to
the platter, and renamed over it, so that a reader or a power cut meets the old content or
the new one. `Disk` holds the system calls; a test stands in to fail or die at any of them.
"""

import errno
import os
import re
import secrets
import stat
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import anyio.from_thread
from filelock import FileLock, Timeout

from civit_mcp.errors import CatalogLocked, CatalogUnreadable, CivitError

#: room that a staged name needs beyond its target's: a dot, a random part and the suffix
STAGE_ROOM: Final = 24
_STAGE_SUFFIX: Final = ".cmtmp"
#: seconds between two looks at a lock, and at whether anybody still wants it
_POLL: Final = 0.004
_SLICE: Final = 0.05


class Disk:
    """The system calls that safety rests on, one to a method. They raise plain `OSError`."""

    def read(self, path: Path) -> bytes:
        """Read a whole file."""
        return path.read_bytes()

    def stat(self, path: Path) -> os.stat_result:
        """Stat a path, following links."""
        return path.stat()

    def names(self, folder: Path) -> list[str]:
        """List a folder."""
        return os.listdir(folder)  # noqa: PTH208 - names are what the caller compares

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it; one that exists is fine."""
        path.mkdir(parents=True, exist_ok=True)

    def open_new(self, path: Path, mode: int) -> int:
        """Create a file that must not exist yet; `mode` is cut by the umask."""
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), mode)

    def open_tail(self, path: Path) -> int:
        """Open a file, made if absent, for writing at a place that the caller seeks."""
        flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0)
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)

    def open_old(self, path: Path) -> int:
        """Open a file for reading."""
        return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))

    def read_at(self, handle: int, start: int) -> bytes:
        """Read from `start` to the end."""
        os.lseek(handle, start, os.SEEK_SET)
        with os.fdopen(os.dup(handle), "rb") as stream:
            return stream.read()

    def stat_open(self, handle: int) -> os.stat_result:
        """Stat an open file."""
        return os.fstat(handle)

    def truncate(self, handle: int, size: int) -> None:
        """Cut a file and stand at its end."""
        os.ftruncate(handle, size)
        os.lseek(handle, size, os.SEEK_SET)

    def write(self, handle: int, data: memoryview) -> int:
        """Write some of `data`; returns how many bytes."""
        return os.write(handle, data)

    def like(self, handle: int, model: os.stat_result) -> None:
        """Give a staged file the mode, and where allowed the owner, of what it replaces."""
        if os.name == "posix":
            own = os.fstat(handle)
            if (own.st_uid, own.st_gid) != (model.st_uid, model.st_gid):
                with suppress(PermissionError):
                    os.fchown(handle, model.st_uid, model.st_gid)
            os.fchmod(handle, stat.S_IMODE(model.st_mode))

    def sync(self, handle: int) -> None:
        """Bring a file to the platter."""
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """Close a handle."""
        os.close(handle)

    def replace(self, source: Path, target: Path) -> None:
        """Rename over the target in one step."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def sync_folder(self, folder: Path) -> None:
        """Bring a folder's names to the platter, where the system can."""
        if os.name != "posix":
            return
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        except OSError as error:  # some network and FUSE folders know no fsync
            if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
                raise
        finally:
            os.close(handle)


@contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turn the system's refusal into `CatalogUnreadable`, naming `path` and what was tried."""
    try:
        yield
    except CivitError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path that no system call takes
        raise refusal(path, doing, error) from error


def refusal(path: Path, doing: str, error: OSError | ValueError) -> CatalogUnreadable:
    """Say which path the system refused, why, and what helps."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    number = error.errno if isinstance(error, OSError) else None
    return CatalogUnreadable(
        f"cannot {doing} '{path}': {reason}",
        _HELP.get(number or 0, "check the path and the disk it is on, then call again"),
    )


_HELP: Final = {
    errno.EACCES: "give this user the right to read and write there, then call again",
    errno.EPERM: "give this user the right to read and write there, then call again",
    errno.EROFS: "mount the disk writable or choose another catalog folder",
    errno.ENOSPC: "free some space on that disk, then call again",
    errno.EDQUOT: "free some space within your quota, then call again",
    errno.EISDIR: "a folder stands where a file belongs; move it away, then call again",
    errno.ENOTDIR: "a file stands where a folder belongs; move it away, then call again",
    errno.EEXIST: "a file stands where a folder belongs; move it away, then call again",
    errno.ENOENT: "the folder is gone; restore it, then call again",
    errno.ELOOP: "the link leads back to itself; repair it, then call again",
}


def real(path: Path) -> Path:
    """Find where a link leads, so that a replacement keeps the link and changes the file."""
    if not path.is_symlink():
        return path
    try:
        return path.resolve()
    except RuntimeError as error:  # what older Pythons say of a loop
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error


def read(disk: Disk, path: Path) -> bytes | None:
    """Read a file; None when there is none."""
    try:
        return disk.read(path)
    except FileNotFoundError:
        return None


class Held:
    """A file that was opened before it was replaced."""

    def __init__(self, disk: Disk, handle: int | None, data: bytes | None) -> None:
        """Take an open handle, or what was read where none may stay open."""
        self._disk = disk
        self._handle = handle
        self._data = data

    def read(self) -> bytes | None:
        """Read it as it is by now; None when there was no file."""
        return self._data if self._handle is None else self._disk.read_at(self._handle, 0)

    def written_ns(self) -> int | None:
        """When it was last written to; None where nobody can tell."""
        return None if self._handle is None else self._disk.stat_open(self._handle).st_mtime_ns


@contextmanager
def held(disk: Disk, path: Path) -> Iterator[Held]:
    """Hold on to the file that stands at `path` now.

    After a replacement it is still the old file, so that what a program wrote into that one
    in the meantime is seen.
    """
    try:
        handle = disk.open_old(path)
    except FileNotFoundError:
        yield Held(disk, None, None)
        return
    try:
        if os.name == "posix":
            yield Held(disk, handle, None)
            return
        data = disk.read_at(handle, 0)
    finally:
        disk.close(handle)
    yield Held(disk, None, data)  # other systems refuse to replace a file that is open


def stage(disk: Disk, target: Path, data: bytes) -> Path:
    """Write `data`, synced, to a new name beside `target`; nobody sees it under its own name."""
    staged = target.with_name(f".{target.name}.{secrets.token_hex(6)}{_STAGE_SUFFIX}")
    try:
        model = disk.stat(target)
    except FileNotFoundError:
        model = None
    handle = disk.open_new(staged, 0o666)
    try:
        try:
            if model is not None:
                disk.like(handle, model)
            _write_all(disk, handle, data)
            disk.sync(handle)
        finally:
            disk.close(handle)
    except BaseException:
        discard(disk, staged)
        raise
    return staged


def _write_all(disk: Disk, handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[disk.write(handle, rest) :]


def require_writable(disk: Disk, target: Path) -> None:
    """Refuse a file that its owner write-protected; a rename would not ask."""
    with suppress(FileNotFoundError):
        if not disk.stat(target).st_mode & 0o222:
            raise PermissionError(errno.EACCES, "the file is write-protected", str(target))


def write(disk: Disk, target: Path, data: bytes) -> None:
    """Replace or create `target` in one step, durably."""
    target = real(target)
    staged = stage(disk, target, data)
    try:
        disk.replace(staged, target)
        disk.sync_folder(target.parent)
    except BaseException:
        discard(disk, staged)
        raise


def remove(disk: Disk, path: Path) -> None:
    """Remove a file durably; an absent one is fine."""
    with suppress(FileNotFoundError):
        disk.remove(path)
        disk.sync_folder(path.parent)


def discard(disk: Disk, path: Path) -> None:
    """Drop a file that nobody needs any more, if the system lets us."""
    with suppress(OSError):
        disk.remove(path)


def clean(disk: Disk, target: Path) -> None:
    """Drop what a killed writer left staged for `target`. Only its lock's holder may call."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{12}}{re.escape(_STAGE_SUFFIX)}")
    with suppress(FileNotFoundError):
        for name in disk.names(target.parent):
            if pattern.fullmatch(name):
                discard(disk, target.parent / name)


def append_line(disk: Disk, path: Path, line: bytes, *, start: int, mark: bytes) -> None:
    """Append `line` durably unless a whole line with `mark` stands at or after `start`.

    A line without an end is what a killed writer left of its own; it is cut off first.
    """
    handle = disk.open_tail(path)
    try:
        size = os.fstat(handle).st_size
        start = min(start, size)
        before = disk.read_at(handle, max(start - 1, 0))
        seam, tail = (before[:1], before[1:]) if start else (b"\n", before)
        whole = tail[: tail.rfind(b"\n") + 1]
        if any(mark in old for old in whole.splitlines()):
            return
        end = start + len(whole)
        if end < size:
            disk.truncate(handle, end)
        os.lseek(handle, end, os.SEEK_SET)
        # somebody's torn line before ours stays theirs
        opening = b"\n" if not whole and seam != b"\n" else b""
        _write_all(disk, handle, opening + line + b"\n")
        disk.sync(handle)
    finally:
        disk.close(handle)
    disk.sync_folder(path.parent)


class _Queue:
    """First come, first served among the threads of this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._busy = False

    def enter(self, deadline: float) -> bool:
        with self._guard:
            if not self._busy:
                self._busy = True
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            while (left := deadline - time.monotonic()) > 0:
                if turn.acquire(timeout=min(left, _SLICE)):
                    return True
                _go_on()
        except BaseException:  # who leaves must not leave a turn that nobody takes
            if not self._give_up(turn):
                self.leave()
            raise
        return not self._give_up(turn)

    def _give_up(self, turn: threading.Lock) -> bool:
        """Leave the queue; False when the turn came in this very moment."""
        with self._guard, suppress(ValueError):
            self._waiting.remove(turn)
            return True
        return False

    def leave(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._busy = False


_QUEUES: Final[dict[str, _Queue]] = {}
if hasattr(os, "register_at_fork"):
    # a fork copies the queue in whatever state another thread had it
    os.register_at_fork(after_in_child=_QUEUES.clear)


@contextmanager
def locked(path: Path, *, timeout: float) -> Iterator[None]:
    """Hold the lock file at `path` against every thread and process.

    The system frees the lock of a killed holder. The thread of a cancelled call waits no longer.
    Raises `CatalogLocked` after `timeout` seconds, `CatalogUnreadable` without a lock file.
    """
    deadline = time.monotonic() + timeout
    queue = _QUEUES.setdefault(os.path.realpath(path), _Queue())
    if not queue.enter(deadline):
        raise _still_locked(path, timeout)
    try:
        # nobody would free the soft lock of a killed holder
        lock = FileLock(path, poll_interval=_POLL, fallback_to_soft=False)
        with explained(path, "lock"):
            try:
                lock.acquire(timeout=max(deadline - time.monotonic(), 0.0), cancel_check=_go_on)
            except Timeout:
                raise _still_locked(path, timeout) from None
        try:
            yield
        finally:
            lock.release()
    finally:
        queue.leave()


def _go_on() -> bool:
    """Raise in the thread of a call that was cancelled."""
    with suppress(anyio.NoEventLoopError):
        anyio.from_thread.check_cancelled()
    return False


def _still_locked(path: Path, timeout: float) -> CatalogLocked:
    return CatalogLocked(
        f"the lock '{path}' was held by another writer for {timeout:g} seconds",
        "call again; if it stays, end the program that holds it (the file itself does no harm)",
    )
