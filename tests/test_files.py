"""Files are replaced in one step, and locks are held by one at a time."""

import os
import stat
import threading
from pathlib import Path

import anyio
import pytest
from filelock import FileLock

from civit_mcp import files
from civit_mcp.errors import CatalogLocked, CatalogUnreadable
from civit_mcp.files import Disk


def test_write_makes_and_replaces_and_keeps_the_mode(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    files.write(Disk(), target, b"one")
    target.chmod(0o604)
    files.write(Disk(), target, b"two")
    assert target.read_bytes() == b"two"
    assert stat.S_IMODE(target.stat().st_mode) == 0o604
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    files.write(Disk(), tmp_path / "ours", b"")
    (tmp_path / "theirs").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_a_write_in_pieces_is_whole(tmp_path: Path) -> None:
    class Slow(Disk):
        def write(self, handle: int, data: memoryview) -> int:
            return super().write(handle, data[:3])

    files.write(Slow(), tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    class Full(Disk):
        def sync(self, handle: int) -> None:
            raise OSError(28, "No space left on device")

    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        files.write(Full(), target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_clean_takes_staged_files_of_its_target_only(tmp_path: Path) -> None:
    target = tmp_path / "models.json"
    mine = files.stage(Disk(), target, b"x")
    others = [
        files.stage(Disk(), tmp_path / "loras.json", b"x"),
        tmp_path / ".models.json.backup",
        tmp_path / "models.json.tmp",
    ]
    for other in others[1:]:
        other.touch()
    files.clean(Disk(), target)
    assert not mine.exists()
    assert all(other.exists() for other in others)
    files.clean(Disk(), tmp_path / "gone" / "models.json")


def test_a_line_is_appended_once_and_a_torn_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "h"
    files.append_line(Disk(), path, b'{"id": 1}', start=0, mark=b'"id": 1}')
    start = path.stat().st_size
    with path.open("ab") as stream:
        stream.write(b'{"id"')
    for _ in range(2):
        files.append_line(Disk(), path, b'{"id": 2}', start=start, mark=b'"id": 2}')
    assert path.read_bytes() == b'{"id": 1}\n{"id": 2}\n'
    files.append_line(Disk(), path, b'{"id": 3}', start=10_000, mark=b'"id": 3}')
    assert path.read_bytes().endswith(b'2}\n{"id": 3}\n')


def test_a_refusal_names_path_reason_and_help(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(CatalogUnreadable) as caught, files.explained(path, "write"):
        raise OSError(28, os.strerror(28))
    assert str(caught.value) == (
        f"[catalog_unreadable] cannot write '{path}': No space left on device. "
        "Next: free some space on that disk, then call again."
    )


def test_errors_that_have_their_words_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(CatalogLocked, match="mine"), files.explained(tmp_path, "read"):
        raise CatalogLocked("mine")


def test_a_lock_lets_one_thread_in_at_a_time_in_the_order_they_came(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    order: list[int] = []
    inside: list[int] = []
    threads = []

    def work(number: int) -> None:
        with files.locked(path, timeout=10):
            inside.append(number)
            assert inside == [number]
            order.append(number)
            inside.clear()

    queue = files._QUEUES.setdefault(os.path.realpath(path), files._Queue())
    with files.locked(path, timeout=1):
        for number in range(8):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            while len(queue._waiting) <= number:
                pass
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_a_thread_that_gives_up_does_not_block_those_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with files.locked(path, timeout=1):
        for timeout in (0.0, 0.01):
            with pytest.raises(CatalogLocked, match="lock"), files.locked(path, timeout=timeout):
                pytest.fail("two at a time")
    with files.locked(path, timeout=0.5):
        pass


def test_a_lock_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(CatalogUnreadable, match="cannot lock"),
        files.locked(tmp_path / "file" / "lock", timeout=0.1),
    ):
        pytest.fail("no lock, no entry")


@pytest.mark.parametrize("holder", ["this process", "another program"])
async def test_a_call_that_is_cancelled_waits_for_the_lock_no_longer(
    tmp_path: Path, holder: str
) -> None:
    path, waiting = tmp_path / "lock", threading.Event()

    def wait() -> None:
        waiting.set()
        with files.locked(path, timeout=30):
            pytest.fail("the lock was free")

    with files.locked(path, timeout=1) if holder == "this process" else FileLock(path):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, wait)
            await anyio.to_thread.run_sync(waiting.wait)
            # one that waited on would be refused in the end, and fail here
            group.cancel_scope.cancel()
    with files.locked(path, timeout=0):
        assert path.exists()
