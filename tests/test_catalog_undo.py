"""What was done can be taken back: the old bytes come again, or a refusal says why not."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civit_mcp.catalog import Address, Catalog
from civit_mcp.catalog import journal as journal_module
from civit_mcp.catalog.document import Document
from civit_mcp.catalog.journal import Private
from civit_mcp.errors import CatalogUnreadable, CivitError, Conflict, NotFound
from civit_mcp.files import Disk
from civit_mcp.models.catalogued import CatalogName
from tests.catalog_kit import Quick, a_version, history, homes, stored
from tests.test_catalog_document import catalogs, layouts, spelled

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
DATE = "2026-11-20 12:00"


def at_noon(folder: Path) -> Catalog:
    return Catalog(folder, disk=Quick(), now=lambda: NOON)


def put(folder: Path, data: bytes, name: CatalogName = "models") -> Path:
    path = folder / f"{name}.json"
    path.write_bytes(data)
    return path


def counted(data: bytes, path: Path, changes: int) -> bytes:
    """The same file after so many changes that left nothing behind but version and date."""
    document = Document.parse(data, path)
    for _ in range(changes):
        document = document.stamped(DATE)
    return document.render()


def fresh(tmp_path: Path) -> Path:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    folder.mkdir()
    return folder


RECORDED = "comfyui-studio_models.json"


def test_add_and_undo_give_every_recorded_catalog_back(recorded: Path, tmp_path: Path) -> None:
    seen = 0
    for source in sorted((recorded / "catalogs").glob("*.json")):
        data = source.read_bytes()
        for number, kind in enumerate(("LORA", "Checkpoint", "VAE", "Upscaler", "MotionModule")):
            folder = fresh(tmp_path)
            path = put(folder, data)
            catalog = at_noon(folder)
            try:
                answer = catalog.add(a_version(900_000_000 + number, model_type=kind))
            except CatalogUnreadable:  # it is no catalog, and is left alone
                assert path.read_bytes() == data
                continue
            assert answer.status == "added"
            assert path.read_bytes() != data
            catalog.undo()
            assert path.read_bytes() == counted(data, path, 2)
            seen += 1
    assert seen >= 5


def test_every_verb_on_a_recorded_catalog_is_taken_back_to_the_byte(
    recorded: Path, tmp_path: Path
) -> None:
    data = (recorded / "catalogs" / RECORDED).read_bytes()
    path = put(tmp_path, data)
    catalog = at_noon(tmp_path)
    entries = catalog.snapshot().entries
    assert len(entries) > 50
    done = 0
    for entry in entries[::7]:
        address = Address(file=entry.file)
        fields = {"tags": ["x", "y"], "notes": "é", "strength": {"min": 0.2, "max": 1}}
        acts: list[Callable[[], Any]] = [
            partial(catalog.remove, address),
            partial(catalog.move, address, category="somewhere_else"),
            partial(catalog.move, address, dest="checkpoints/deep/down"),
            partial(catalog.edit, address, fields),
        ]
        for act in acts:
            before = path.read_bytes()
            act()
            assert path.read_bytes() != before
            catalog.undo()
            assert path.read_bytes() == counted(before, path, 2)
            done += 1
    assert done > 30


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(catalogs, layouts, st.booleans(), st.booleans(), st.sampled_from(["LORA", "VAE"]))
def test_add_and_undo_give_any_readable_catalog_back(
    tmp_path: Path, value: Any, layout: dict[str, Any], crlf: bool, bom: bool, kind: str
) -> None:
    folder = fresh(tmp_path)
    data = spelled(value, layout, crlf=crlf, bom=bom)
    path = put(folder, data)
    catalog = at_noon(folder)
    try:
        answer = catalog.add(a_version(7, model_type=kind))
    except CatalogUnreadable:
        assert path.read_bytes() == data
        return
    if answer.status == "added":
        catalog.undo()
        assert path.read_bytes() == counted(data, path, 2)
        again = catalog.undo(catalog.history()[-1].id)
        assert again.status == "undone"
        assert catalog.snapshot().by_version(7) is not None


ODD = [
    '{"version":1,"categories":[{"id":"loras","models":[ ]}]}',
    '{"version":1,"categories":[{"id":"loras","models":[\n\n]}]}',
    '{"version":1,"categories":[{"id":"loras","models":null}]}',
    '{"version":1,"categories":[{"id":"loras"}]}',
    '{"version":1,"categories":[{"id":"loras","x":1}, {"id":"vae"}]}',
    '{"version":1,"categories":[ ]}',
    '{"version":1,"categories":null}',
    '{"version":1}',
    '{"version":1,"categories":[{"id":"loras","models":[{"a":1},{"a":1} , 5]}]}',
]


@pytest.mark.parametrize("text", ODD)
def test_a_list_that_was_empty_missing_or_null_is_so_again(tmp_path: Path, text: str) -> None:
    path = put(tmp_path, text.encode())
    catalog = at_noon(tmp_path)
    catalog.add(a_version())
    assert catalog.snapshot().by_version(1) is not None
    catalog.undo()
    assert path.read_bytes() == counted(text.encode(), path, 2)


def test_a_file_that_an_add_made_stays_as_an_empty_catalog(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    catalog.add(a_version())
    catalog.undo()
    assert stored(tmp_path, "models") == {"version": 2, "date": DATE, "categories": []}


def test_undo_goes_back_step_by_step_and_an_undo_can_be_undone(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    first = catalog.add(a_version(1)).change_id
    second = catalog.add(a_version(2)).change_id
    assert catalog.undo().undoes == second
    back = catalog.undo()
    assert back.undoes == first
    with pytest.raises(NotFound, match="no change is left"):
        catalog.undo()
    assert catalog.undo(back.change_id).undoes == back.change_id
    assert homes(tmp_path, 1) == ["models/loras"]
    assert homes(tmp_path, 2) == []
    assert catalog.undo().undoes == first  # it is in force again


def test_changes_are_taken_back_in_any_order(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    ids = [catalog.add(a_version(number)).change_id for number in range(1, 6)]
    moved = catalog.promote(3).change_id
    for change_id in (ids[1], ids[4], moved, ids[2], ids[0]):
        catalog.undo(change_id)
    assert [entry.version_id for entry in catalog.snapshot().entries] == ["4"]
    assert homes(tmp_path, 4) == ["models/loras"]


def test_single_fields_are_taken_back_although_others_were_edited_since(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    catalog.add(a_version())
    address = Address(version_id=1)
    tags = catalog.edit(address, {"tags": ["mine"]}).change_id
    catalog.edit(address, {"notes": "mine too"})
    catalog.undo(tags)
    entry = catalog.snapshot().by_version(1)
    assert entry is not None
    assert entry.raw["tags"] == []
    assert entry.raw["notes"] == "mine too"


def test_a_refusal_names_the_change_that_came_between(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    added = catalog.add(a_version()).change_id
    moved = catalog.promote(1).change_id
    with pytest.raises(Conflict) as caught:
        catalog.undo(added)
    assert str(moved) in str(caught.value)
    assert "lora_1.safetensors" in str(caught.value)
    catalog.undo(moved)
    catalog.undo(added)
    with pytest.raises(Conflict, match="was taken back already by"):
        catalog.undo(added)


def test_a_refusal_says_when_another_program_edited_the_entry(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    added = catalog.add(a_version()).change_id
    path = tmp_path / "models.json"
    path.write_text(path.read_text("utf-8").replace("Style 1", "Renamed"), "utf-8")
    before = path.read_bytes()
    with pytest.raises(Conflict, match="another program edited or removed"):
        catalog.undo(added)
    assert path.read_bytes() == before


def test_a_removed_entry_does_not_come_back_beside_its_successor(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    catalog.add(a_version())
    removed = catalog.remove(Address(version_id=1)).change_id
    again = catalog.add(a_version()).change_id
    with pytest.raises(Conflict, match=str(again)):
        catalog.undo(removed)
    assert homes(tmp_path, 1) == ["models/loras"]


def test_a_bulk_add_is_one_change_and_one_undo(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    catalog.add(a_version(1))
    before = (tmp_path / "models.json").read_bytes()
    kinds = ("LORA", "VAE", "Checkpoint")
    answers = catalog.add_many(
        [(a_version(n, model_type=kinds[n % 3]), None) for n in range(1, 31)]
    )
    assert [answer.status for answer in answers] == ["already_exists"] + ["added"] * 29
    assert len({answer.change_id for answer in answers}) == 1
    assert stored(tmp_path, "models")["version"] == 2
    catalog.undo()
    path = tmp_path / "models.json"
    assert path.read_bytes() == counted(before, path, 2)


def test_a_bulk_add_to_a_large_catalog_is_made_and_taken_back_in_seconds(tmp_path: Path) -> None:
    plain = [{"file": f"{n}.pt", "dest": "loras", "hash": f"{n:064X}"} for n in range(30_000)]
    data = {"version": 1, "date": "d", "categories": [{"id": "loras", "models": plain}]}
    path = put(tmp_path, json.dumps(data, indent=2).encode())
    before = path.read_bytes()
    catalog = at_noon(tmp_path)
    began = time.monotonic()
    catalog.add_many([(a_version(number), None) for number in range(1, 151)])
    catalog.undo()
    assert time.monotonic() - began < 10  # to cut the whole list for each takes a minute
    assert path.read_bytes() == counted(before, path, 2)


def test_the_history_is_bounded_and_its_last_hundred_changes_can_be_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "HISTORY_BYTES", 2_000)
    catalog = at_noon(tmp_path)
    for number in range(1, 251):
        catalog.add(a_version(number))
    changes = catalog.history()
    assert 100 <= len(changes) <= 200
    assert changes[-1].version_id == "250"
    assert len(history(tmp_path)) <= 101
    oldest = changes[-100]
    catalog.undo(oldest.id)
    assert homes(tmp_path, int(oldest.version_id or 0)) == []
    assert [change.undoes for change in catalog.history()][-1] == oldest.id


def test_a_history_that_cannot_be_put_aside_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "HISTORY_BYTES", 1)
    monkeypatch.setattr(journal_module, "HISTORY_CHANGES", 1)
    catalog = at_noon(tmp_path)
    catalog.add(a_version(1))
    (tmp_path / ".civit-mcp" / "history.1.jsonl").mkdir()
    answer = catalog.add(a_version(2))
    assert answer.status == "added"
    assert any("put aside" in note for note in answer.notes)


def test_lines_of_the_history_that_nobody_can_read_hide_no_others(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    catalog.add(a_version(1))
    lines = tmp_path / ".civit-mcp" / "history.jsonl"
    good = lines.read_bytes()
    bad = [b"\xff\xfe", b"{", b"null", b'{"change_id": 1}', b'{"change_id":"x","edits":[{}]}', b""]
    lines.write_bytes(b"\n".join([*bad, good]))
    catalog.add(a_version(2))
    assert [change.version_id for change in catalog.history()] == ["1", "2"]
    catalog.undo(catalog.history()[0].id)
    assert homes(tmp_path, 1) == []


def test_each_day_keeps_a_copy_of_what_was_before_its_first_change(tmp_path: Path) -> None:
    day = {"now": NOON}
    catalog = Catalog(tmp_path, disk=Quick(), now=lambda: day["now"])
    catalog.add(a_version(1))
    wanted = {}
    for number in range(2, 22):
        day["now"] = datetime(2026, 12, number, 9, 0, tzinfo=UTC)
        before = (tmp_path / "models.json").read_bytes()
        wanted[f"models-2026-12-{number:02}.json"] = before
        catalog.add(a_version(number))
        catalog.edit(Address(version_id=number), {"notes": "x"})
    kept = {path.name: path.read_bytes() for path in (tmp_path / ".civit-mcp/backups").iterdir()}
    assert len(kept) == 14
    assert kept == {name: wanted[name] for name in sorted(wanted)[-14:]}


def test_a_backup_that_cannot_be_made_is_said_and_stops_nobody(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    catalog.add(a_version(1))
    (tmp_path / ".civit-mcp" / "backups").write_text("in the way")
    answer = catalog.add(a_version(2))
    assert answer.status == "added"
    assert any("backup" in note for note in answer.notes)
    assert homes(tmp_path, 2) == ["models/loras"]


def test_a_hostile_history_is_read_without_harm(tmp_path: Path) -> None:
    private = Private(tmp_path, Disk())
    tmp_path.joinpath("history.jsonl").write_bytes(b"[" * 100_000 + b"\n" + b"0" * 9_000 + b"\n")
    assert private.changes() == []
    assert private.last_change() is None


def test_a_diff_of_an_undo_shows_what_goes(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    catalog.add(a_version(1))
    catalog.add(a_version(2))
    before = (tmp_path / "models.json").read_bytes()
    diff = catalog.undo(dry_run=True).diff
    assert diff is not None
    assert re.search(r'^-\s+"civitai_version_id": 2', diff, re.MULTILINE)
    assert 'civitai_version_id": 1' not in diff
    assert (tmp_path / "models.json").read_bytes() == before
    with pytest.raises(CivitError):
        catalog.undo("nonsense", dry_run=True)


def test_a_dry_bulk_add_shows_every_entry_once(tmp_path: Path) -> None:
    catalog = at_noon(tmp_path)
    catalog.add(a_version(1))
    requests = [(a_version(n, model_type="VAE" if n % 2 else "LORA"), None) for n in range(2, 9)]
    diff = catalog.add_many(requests, dry_run=True)[0].diff
    assert diff is not None
    ids = re.findall(r'^\+.*"civitai_version_id": (\d+)', diff, re.MULTILINE)
    assert sorted(map(int, ids)) == list(range(2, 9))
    assert json.loads((tmp_path / "models.json").read_text("utf-8"))["version"] == 1
