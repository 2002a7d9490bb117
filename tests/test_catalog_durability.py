"""A kill, a full disk or another program at any moment: the files stay whole, nothing is lost."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from civit_mcp.catalog import Catalog
from civit_mcp.errors import CatalogLocked, CatalogUnreadable, CivitError
from civit_mcp.files import Disk, locked
from civit_mcp.usecases.exchange import create
from tests.catalog_kit import (
    Counting,
    Died,
    Dying,
    Failing,
    Full,
    Quick,
    Shared,
    a_version,
    history,
    homes,
    leftovers,
    stored,
    with_lora,
)

ROOT = Path(__file__).parents[1]


def calls_of(folder: Path, act: Callable[[Catalog], object]) -> list[str]:
    """The system calls of one act, without faults."""
    disk = Counting()
    act(Catalog(folder, disk=disk))
    return disk.log


def add_two(catalog: Catalog) -> object:
    return catalog.add(a_version(2))


def promote_one(catalog: Catalog) -> object:
    return catalog.promote(1)


def test_add_killed_at_any_call_leaves_whole_files_and_can_be_repeated(tmp_path: Path) -> None:
    with_lora(tmp_path / "dry")
    steps = len(calls_of(tmp_path / "dry", add_two))
    assert steps > 20
    for last in range(1, steps + 1):
        folder = tmp_path / str(last)
        with_lora(folder)
        with pytest.raises(Died):
            add_two(Catalog(folder, disk=Dying(last)))
        stored(folder, "models")
        after = Catalog(folder, disk=Quick())
        assert after.snapshot().by_version(1) is not None
        assert after.add(a_version(2)).status in ("added", "already_exists")
        assert homes(folder, 2) == ["models/loras"]
        assert homes(folder, 1) == ["models/loras"]
        assert stored(folder, "models")["version"] == 2
        assert leftovers(folder) == []
        assert [line["version_id"] for line in history(folder)] == ["1", "2"]


def test_promote_killed_at_any_call_leaves_the_entry_in_exactly_one_file(tmp_path: Path) -> None:
    with_lora(tmp_path / "dry")
    steps = len(calls_of(tmp_path / "dry", promote_one))
    for last in range(1, steps + 1):
        folder = tmp_path / str(last)
        with_lora(folder)
        with pytest.raises(Died):
            promote_one(Catalog(folder, disk=Dying(last)))
        found = Catalog(folder).snapshot()
        assert len(found.all_of_version(1)) == 1
        assert len(homes(folder, 1)) == 1, f"killed at call {last}"
        assert Catalog(folder, disk=Quick()).promote(1).status in ("promoted", "already_exists")
        assert homes(folder, 1) == ["loras/sdxl_loras"]
        assert leftovers(folder) == []
        assert [line["verb"] for line in history(folder)] == ["add", "promote"]


def test_recovery_killed_at_any_call_is_taken_up_by_the_next(tmp_path: Path) -> None:
    with_lora(tmp_path / "dry")
    steps = calls_of(tmp_path / "dry", promote_one)
    first_replace = steps.index("replace") + 1
    for last in range(first_replace, len(steps) + 1):
        half_done = tmp_path / f"{last}"
        with_lora(half_done)
        with pytest.raises(Died):
            promote_one(Catalog(half_done, disk=Dying(last)))
        for again in range(1, 60):
            folder = tmp_path / f"{last}-{again}"
            shutil.copytree(half_done, folder)
            disk = Dying(again)
            try:
                Catalog(folder, disk=disk).snapshot()
            except Died:
                finished = False
            else:
                finished = True
            assert len(Catalog(folder, disk=Quick()).snapshot().all_of_version(1)) == 1
            assert len(homes(folder, 1)) == 1
            assert len(history(folder)) == len({line["change_id"] for line in history(folder)})
            if finished:
                break
        else:
            pytest.fail("recovery never came to an end")


@pytest.mark.parametrize("fault", [Full, Failing])
@pytest.mark.parametrize("act", [add_two, promote_one])
def test_a_disk_that_refuses_is_told_and_nothing_is_lost(
    tmp_path: Path, fault: Callable[[int], Disk], act: Callable[[Catalog], object]
) -> None:
    with_lora(tmp_path / "dry")
    steps = len(calls_of(tmp_path / "dry", act))
    refused: list[str] = []
    for last in range(1, steps + 1):
        folder = tmp_path / str(last)
        with_lora(folder)
        before = (folder / "models.json").read_bytes()
        sick = fault(last)
        try:
            act(Catalog(folder, disk=sick))
        except CivitError as error:
            refused.append(f"{error.code}: {error}")
            if error.code == "catalog_unreadable":  # refused means: nothing happened
                assert (folder / "models.json").read_bytes() == before
                assert not (folder / "loras.json").exists()
                assert not (folder / ".civit-mcp" / "journal.json").exists()
            else:  # half made means: a file was replaced
                assert (folder / "loras.json").exists() or (
                    (folder / "models.json").read_bytes() != before
                )
        stored(folder, "models")
        stored(folder, "loras")
        if fault is Full:  # a full disk can still be read
            Catalog(folder, disk=sick).snapshot()
        assert len(Catalog(folder).snapshot().all_of_version(1)) == 1
        act(Catalog(folder, disk=Quick()))
        assert len(homes(folder, 1)) == 1
        assert leftovers(folder) == []
    assert len(refused) > 5
    assert all("cannot" in said for said in refused)
    assert {said.partition(":")[0] for said in refused} <= {"catalog_unreadable", "conflict"}


def foreign_entry(folder: Path) -> None:
    """What ComfyUI Studio does: read, add, write in place."""
    path = folder / "models.json"
    data = json.loads(path.read_text("utf-8"))
    data["categories"][0]["models"].append({"name": "theirs", "civitai_version_id": 77})
    data["note"] = "theirs"
    with path.open("w", encoding="utf-8") as stream:
        json.dump(data, stream, indent=2)


def foreign_replacement(folder: Path) -> None:
    """What a careful program does: write beside and rename."""
    path = folder / "models.json"
    data = json.loads(path.read_text("utf-8"))
    data["categories"][0]["models"].append({"name": "theirs", "civitai_version_id": 77})
    data["note"] = "theirs"
    other = path.with_name("theirs.tmp")
    other.write_text(json.dumps(data), "utf-8")
    other.replace(path)


@pytest.mark.parametrize("act", [add_two, promote_one])
@pytest.mark.parametrize("foreign", [foreign_entry, foreign_replacement])
def test_an_edit_of_another_program_at_any_moment_is_kept(
    tmp_path: Path, act: Callable[[Catalog], object], foreign: Callable[[Path], None]
) -> None:
    with_lora(tmp_path / "dry")
    steps = calls_of(tmp_path / "dry", act)
    # a rename in the very gap between the last look and our own rename cannot be seen
    blind = (
        {n for n, name in enumerate(steps, 1) if name == "replace"}
        if (foreign is foreign_replacement)
        else set()
    )
    for when in sorted(set(range(1, len(steps) + 1)) - blind):
        folder = tmp_path / str(when)
        with_lora(folder)

        def edit(folder: Path = folder) -> None:
            foreign(folder)

        act(Catalog(folder, disk=Shared(when, edit)))
        assert homes(folder, 77) == ["models/loras"], f"lost at call {when} ({steps[when - 1]})"
        assert stored(folder, "models")["note"] == "theirs"
        assert len(homes(folder, 1)) == 1
        if act is add_two:
            assert homes(folder, 2) == ["models/loras"]
        else:
            assert homes(folder, 1) == ["loras/sdxl_loras"]
        assert leftovers(folder) == []


def test_the_same_version_added_by_another_program_meanwhile_is_there_once(tmp_path: Path) -> None:
    with_lora(tmp_path / "dry")
    steps = calls_of(tmp_path / "dry", add_two)
    for when in range(1, len(steps) + 1):
        folder = tmp_path / str(when)
        with_lora(folder)

        def add_it_too(folder: Path = folder) -> None:
            path = folder / "models.json"
            data = json.loads(path.read_text("utf-8"))
            known = {entry["civitai_version_id"] for entry in data["categories"][0]["models"]}
            if 2 not in known:
                entry = {"civitai_version_id": 2, "file": "lora_2.safetensors"}
                data["categories"][0]["models"].append(entry)
            data["note"] = "theirs"
            path.write_text(json.dumps(data), "utf-8")

        add_two(Catalog(folder, disk=Shared(when, add_it_too)))
        assert homes(folder, 2) == ["models/loras"], f"at call {when} ({steps[when - 1]})"
        assert stored(folder, "models")["note"] == "theirs"


def test_half_a_file_is_waited_for_while_another_program_writes_it(tmp_path: Path) -> None:
    with_lora(tmp_path)
    path = tmp_path / "models.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    class Writing(Quick):
        """Stands for the other program: it goes on whenever somebody looks."""

        def read(self, target: Path) -> bytes:
            data = super().read(target)
            if target == path and len(data) < len(whole):
                with path.open("ab") as stream:
                    stream.write(whole[len(data) : len(data) + len(whole) // 40])
            return data

    assert Catalog(tmp_path, disk=Writing()).snapshot().by_version(1) is not None


def test_a_torn_journal_is_dropped_with_what_was_staged(tmp_path: Path) -> None:
    catalog = with_lora(tmp_path)
    before = (tmp_path / "models.json").read_bytes()
    (tmp_path / ".civit-mcp" / "journal.json").write_bytes(b'{"format": 1, "sha256": "0')
    (tmp_path / ".models.json.0123456789ab.cmtmp").write_bytes(b"half")
    assert catalog.snapshot().by_version(1) is not None
    assert (tmp_path / "models.json").read_bytes() == before
    assert leftovers(tmp_path) == []


def test_a_journal_whose_checksum_does_not_fit_is_not_believed(tmp_path: Path) -> None:
    with_lora(tmp_path / "dry")
    steps = calls_of(tmp_path / "dry", promote_one)
    # first comes the day's backup, then the journal
    decided = [n for n, name in enumerate(steps, 1) if name == "replace"][2]
    for tampered in (False, True):
        folder = tmp_path / str(tampered)
        with_lora(folder)
        with pytest.raises(Died):
            promote_one(Catalog(folder, disk=Dying(decided)))
        journal = folder / ".civit-mcp" / "journal.json"
        if tampered:
            journal.write_bytes(journal.read_bytes().replace(b"promote", b"demoted"))
        Catalog(folder).snapshot()
        assert not journal.exists()
        assert homes(folder, 1) == (["models/loras"] if tampered else ["loras/sdxl_loras"])


def test_a_journal_of_a_newer_program_is_left_to_it(tmp_path: Path) -> None:
    catalog = with_lora(tmp_path)
    journal = tmp_path / ".civit-mcp" / "journal.json"
    journal.write_text('{"format": 99}', "utf-8")
    with pytest.raises(CivitError, match="newer civit-mcp"):
        catalog.add(a_version(2))
    assert journal.exists()


def test_a_lock_that_is_held_is_named_after_the_time_out(tmp_path: Path) -> None:
    with_lora(tmp_path)
    lock = tmp_path / ".civit-mcp" / "lock"
    entered, release = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(lock, timeout=1):
            entered.set()
            release.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert entered.wait(5)
        with pytest.raises(CatalogLocked) as caught:
            Catalog(tmp_path, lock_timeout=0.05).add(a_version(2))
    finally:
        release.set()
        holder.join()
    assert str(lock) in str(caught.value)
    assert "0.05 seconds" in str(caught.value)
    assert Catalog(tmp_path, lock_timeout=0.5).add(a_version(2)).status == "added"


def test_a_read_waits_for_no_lock(tmp_path: Path) -> None:
    with_lora(tmp_path)
    with locked(tmp_path / ".civit-mcp" / "lock", timeout=1):
        catalog = Catalog(tmp_path, lock_timeout=0.01)
        assert catalog.snapshot().by_version(1) is not None
        assert "lora_1" in catalog.raw("models")


def test_a_read_while_a_live_writer_is_half_done_sees_the_move_as_made(tmp_path: Path) -> None:
    with_lora(tmp_path)
    seen: list[list[str]] = []

    def look() -> None:
        other = Catalog(tmp_path, lock_timeout=0.01)
        seen.append([entry.catalog for entry in other.snapshot().all_of_version(1)])

    class Looking(Counting):
        def at(self, name: str, *arguments: object) -> None:
            look()

    Catalog(tmp_path, disk=Looking()).promote(1)
    assert [] not in seen
    assert all(len(places) == 1 for places in seen)
    assert seen[0] == ["models"]
    assert seen[-1] == ["loras"]


def test_threads_of_one_process_lose_no_write(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)

    def work(first: int) -> None:
        for number in range(first, first + 10):
            catalog.add(a_version(number))

    threads = [threading.Thread(target=work, args=(n * 10,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(catalog.snapshot().entries) == 80
    assert stored(tmp_path, "models")["version"] == 80


def run_worker(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.catalog_worker", *arguments],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )


def test_eight_processes_adding_at_once_lose_no_write(tmp_path: Path) -> None:
    workers = [run_worker("add", str(tmp_path), str(n * 100), "50") for n in range(1, 9)]
    for worker in workers:
        worker.communicate(timeout=60)
    assert [worker.returncode for worker in workers] == [0] * 8
    assert len(Catalog(tmp_path).snapshot().entries) == 400
    assert stored(tmp_path, "models")["version"] == 400
    assert len({line["change_id"] for line in history(tmp_path)}) == 400
    assert leftovers(tmp_path) == []


def test_readers_in_another_process_never_see_a_moving_entry_nowhere_or_twice(
    tmp_path: Path,
) -> None:
    catalog = Catalog(tmp_path)
    for number in range(1, 41):
        catalog.add(a_version(number))
    readers = [run_worker("watch", str(tmp_path), "1", "40") for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"ready\n"
    for number in range(1, 41):
        catalog.promote(number)
    for reader in readers:
        rest, _ = reader.communicate(timeout=60)
        assert rest == b"", rest
        assert reader.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the worker forks")
def test_two_hundred_kills_at_random_points_cost_nothing(tmp_path: Path) -> None:
    worker = run_worker("kills", str(tmp_path), "200", "20261120")
    out, _ = worker.communicate(timeout=100)
    assert worker.returncode == 0, out.decode()
    verdict = json.loads(out)
    assert verdict["kills"] == 200
    assert verdict["wrong"] == []
    assert verdict["made"] > 50
    Catalog(tmp_path).add(a_version(999_999))
    assert leftovers(tmp_path) == []


def test_every_new_name_is_synced_before_it_counts_and_its_folder_after(tmp_path: Path) -> None:
    with_lora(tmp_path)
    steps: list[tuple[str, str]] = []

    class Noting(Counting):
        def at(self, name: str, *arguments: object) -> None:
            path = arguments[0] if arguments and isinstance(arguments[0], Path) else None
            steps.append((name, path.name if path else ""))

    Catalog(tmp_path, disk=Noting()).promote(1)
    names = [name for name, _ in steps]
    order = [name for step, name in steps if step == "replace"]
    assert order[0].startswith("models-")
    assert order[1:] == ["journal.json", "loras.json", "models.json"]
    assert steps.index(("replace", "journal.json")) > names.index("sync")
    for spot, (step, _) in enumerate(steps):
        if step == "open_new":
            assert "sync" in names[spot : names.index("replace", spot)]
        if step == "replace":
            following = names[spot + 1 :]
            later = following.index("replace") if "replace" in following else len(following)
            assert "sync_folder" in following[:later]
    assert steps.index(("remove", "journal.json")) > steps.index(("open_tail", "history.jsonl"))


def test_files_that_are_no_catalog_are_told_apart_from_a_refusing_disk(tmp_path: Path) -> None:
    (tmp_path / "models.json").mkdir()
    with pytest.raises(CatalogUnreadable, match=r"models\.json': Is a directory"):
        Catalog(tmp_path).add(a_version())


def write_theirs(path: Path) -> None:
    path.write_bytes(b"theirs")


def test_a_new_file_never_takes_the_place_of_one_that_came_meanwhile(tmp_path: Path) -> None:
    dry = Counting()
    create(dry, tmp_path / "dry.csv", b"ours")
    taken = dry.log.index("open_new") + 1
    for when in range(1, taken + 1):
        target = tmp_path / f"{when}.csv"
        disk = Shared(when, partial(write_theirs, target))
        with pytest.raises(FileExistsError):
            create(disk, target, b"ours")
        assert target.read_bytes() == b"theirs"
    assert not list(tmp_path.glob(".*"))


def test_a_new_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    dry = Counting()
    create(dry, tmp_path / "dry.csv", b"ours")
    (tmp_path / "dry.csv").unlink()
    for last in range(1, dry.calls + 1):
        with pytest.raises(OSError, match=r"Input/output"):
            create(Failing(last), tmp_path / "x.csv", b"ours")
        assert list(tmp_path.iterdir()) == []
