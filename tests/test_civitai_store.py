"""Answers on disk: they outlive a restart, and no state of the disk does harm."""

import os
import sqlite3
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from civit_mcp.civitai.cache import LONGEST, Kept
from civit_mcp.civitai.store import FILE_NAME, AnswerStore, Holdings, Unusable, holdings_of

NOW = 1_800_000_000.0


def kept(body: bytes = b"{}", *, at: float = NOW, lasts: float = 300, status: int = 200) -> Kept:
    return Kept(status=status, body=body, fetched_at=at, fresh_until=at + lasts)


def opened(folder: Path, *, max_bytes: int = 1 << 28) -> AnswerStore:
    store = AnswerStore(folder, max_bytes=max_bytes)
    store.open()
    return store


def size_on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    store = opened(tmp_path / "new" / "folder")
    store.put({"a": kept(b'{"a": "\xc3\xa4"}'), "b": kept(b"gone", status=404)})
    store.put({"a": kept(b"newer", at=NOW + 5)})
    store.close()
    again = opened(tmp_path / "new" / "folder")
    assert again.get("a") == kept(b"newer", at=NOW + 5)
    assert again.get("b") == kept(b"gone", status=404)
    assert again.get("c") is None
    assert again.holdings() == Holdings(answers=2, oldest=NOW, newest=NOW + 5)
    again.close()


def test_only_what_is_fresh_is_named_fresh(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.put({"new": kept(), "old": kept(at=NOW - 400), "never": kept(lasts=0)})
    assert store.fresh(NOW + 1) == {"new": NOW + 300}
    assert kept().is_fresh(NOW + 299)
    assert not kept().is_fresh(NOW + 300)
    # a clock that was set back makes nothing fresh for years
    assert not kept().is_fresh(NOW - LONGEST)
    store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are of another kind")
def test_other_users_of_the_machine_see_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path / "cache")
    store.put({"a": kept()})
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "cache").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    store.close()


def test_the_file_stays_within_its_bound_and_the_oldest_go_first(tmp_path: Path) -> None:
    bound = 1 << 20
    store = opened(tmp_path, max_bytes=bound)
    for number in range(200):
        store.put({f"key {number}": kept(os.urandom(30_000), at=NOW + number)})
    assert store.get("key 199") is not None
    assert store.get("key 0") is None
    left = [n for n in range(200) if store.get(f"key {n}") is not None]
    assert left == list(range(left[0], 200))
    assert len(left) > 20
    store.close()
    assert size_on_disk(tmp_path) < bound * 1.3


def test_an_answer_too_large_for_the_file_is_not_kept(tmp_path: Path) -> None:
    store = opened(tmp_path, max_bytes=1 << 20)
    store.put({"small": kept(b"x"), "large": kept(os.urandom(1 << 18))})
    assert store.get("large") is None
    assert store.get("small") == kept(b"x")
    store.close()


@pytest.mark.parametrize(
    "content",
    [b"nonsense" * 1000, b"SQLite format 3\x00" + b"\xff" * 5000, b"\x00" * 4096],
)
def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    store = opened(tmp_path)
    store.put({"a": kept()})
    assert store.get("a") == kept()
    assert (tmp_path / f"{FILE_NAME}.broken").read_bytes() == content
    store.close()


def test_a_file_cut_in_the_middle_is_set_aside(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.put({str(n): kept(os.urandom(5000)) for n in range(50)})
    store.close()
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole[: len(whole) // 3] + b"\x07" * 9000)
    store = opened(tmp_path)
    found = [store.get(str(n)) for n in range(50)]
    store.put({"a": kept()})
    assert store.get("a") == kept()
    assert None in found
    store.close()


def test_a_file_that_breaks_while_it_is_open_is_set_aside(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.put({str(n): kept(os.urandom(5000)) for n in range(50)})
    store.close()
    store = opened(tmp_path)
    with (tmp_path / FILE_NAME).open("r+b") as file:
        file.seek(4096)
        file.write(b"\x07" * 200_000)
    for number in range(50):
        store.get(str(number))
    store.put({"a": kept()})
    assert store.get("a") == kept()
    store.close()


@pytest.mark.parametrize("version", [0, 2, 99])
def test_a_file_of_another_version_is_emptied(tmp_path: Path, version: int) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("CREATE TABLE answers (other TEXT)")
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    store = opened(tmp_path)
    store.put({"a": kept()})
    assert store.get("a") == kept()
    store.close()


def test_somebody_elses_tables_under_our_name_are_set_aside(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("CREATE TABLE answers (other TEXT)")
        db.execute("PRAGMA user_version = 1")
    db.close()
    store = opened(tmp_path)
    store.put({"a": kept()})
    assert store.get("a") == kept()
    assert (tmp_path / f"{FILE_NAME}.broken").is_file()
    store.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", b"not packed"),
        ("body", "text"),
        ("status", "x"),
        ("fetched_at", "soon"),
        ("fetched_at", float("inf")),
        ("fresh_until", "soon"),
        ("fresh_until", -1.0),
    ],
)
def test_damage_inside_a_row_costs_that_row(tmp_path: Path, column: str, value: object) -> None:
    store = opened(tmp_path)
    store.put({"a": kept(), "b": kept()})
    store.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute(f"UPDATE answers SET {column} = ? WHERE key = 'a'", (value,))
    db.close()
    store = opened(tmp_path)
    assert store.get("a") is None
    assert store.get("b") == kept()
    assert set(store.fresh(NOW)) <= {"a", "b"}
    store.holdings()
    store.close()


@given(content=st.binary(max_size=3000), at=st.integers(0, 20_000))
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_anywhere_in_the_file_are_survived(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, at: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    store = opened(folder)
    store.put({str(n): kept(os.urandom(900)) for n in range(20)})
    store.close()
    with (folder / FILE_NAME).open("r+b") as file:
        file.seek(at)
        file.write(content)
    store = opened(folder)
    for number in range(20):
        store.get(str(number))
    store.fresh(NOW)
    store.holdings()
    store.put({"a": kept()})
    store.close()


def test_two_servers_share_the_file(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    one.put({"a": kept(b"one")})
    other.put({"b": kept(b"other")})
    assert (one.get("b"), other.get("a")) == (kept(b"other"), kept(b"one"))
    one.close()
    other.put({"c": kept()})
    assert other.holdings().answers == 3
    other.close()


def test_servers_that_start_at_the_same_moment_all_get_the_file(tmp_path: Path) -> None:
    together = threading.Barrier(6)

    def serve(folder: Path, name: str) -> None:
        store = AnswerStore(folder)
        together.wait()
        store.open()
        store.put({name: kept()})
        store.close()

    with ThreadPoolExecutor(6) as pool:
        for attempt in range(10):
            folder = tmp_path / str(attempt)
            list(pool.map(serve, [folder] * 6, "abcdef"))
            assert holdings_of(folder) == Holdings(answers=6, oldest=NOW, newest=NOW)


def test_a_folder_that_is_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    store = opened(folder)
    store.put({"a": kept()})
    store.close()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    store.put({"b": kept()})
    assert store.get("b") == kept()
    store.close()


def test_a_place_where_no_file_can_be_is_unusable_and_harmless(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "taken" / FILE_NAME).mkdir(parents=True)
    for folder in (tmp_path / "file" / "cache", tmp_path / "taken", Path("nul\0l")):
        store = AnswerStore(folder)
        with pytest.raises(Unusable):
            store.open()
        store.put({"a": kept()})
        assert store.get("a") is None
        assert store.fresh(NOW) == {}
        assert store.holdings() == Holdings()
        assert holdings_of(folder) is None
        store.close()


def test_holdings_are_counted_for_a_report(tmp_path: Path) -> None:
    assert holdings_of(tmp_path / "new") == Holdings()
    store = opened(tmp_path)
    store.put({"a": kept(), "b": kept(at=NOW - 10)})
    assert holdings_of(tmp_path) == Holdings(answers=2, oldest=NOW - 10, newest=NOW)
    store.close()
