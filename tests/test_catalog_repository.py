"""Adding, promoting and reading, as its callers see it."""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civit_mcp.catalog import NO_ROOT, Catalog
from civit_mcp.errors import BadReference, CatalogUnreadable, NotALora, NotFound
from civit_mcp.files import Disk
from tests.catalog_kit import (
    SHA,
    a_file,
    a_version,
    history,
    homes,
    leftovers,
    stored,
    with_lora,
)

NOON = datetime(2026, 7, 1, 10, 0, tzinfo=UTC)


def put(folder: Path, name: str = "models", *entries: Any, category: str = "loras") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    categories = [{"id": category, "name": category, "models": list(entries)}]
    text = json.dumps({"version": 7, "date": "d", "categories": categories}, indent=2)
    (folder / f"{name}.json").write_text(text, "utf-8")


def an_entry(version_id: Any = 5, **fields: Any) -> dict[str, Any]:
    plain = {
        "name": "Five",
        "file": "five.safetensors",
        "dest": "loras",
        "civitai_version_id": version_id,
        "base_model": "SDXL 1.0",
    }
    return {**plain, **fields}


def test_the_first_add_makes_the_file_in_the_shared_format(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "new" / "catalog", tmp_path, now=lambda: NOON)
    version = a_version(
        3,
        model_name="Ünïcode ✨",
        base_model="Flux.1 D",
        files=(a_file(3, size_kb=6_775_430.35, hashes={"SHA256": SHA}, fp="fp8"),),
    )
    answer = catalog.add(version)
    assert answer.model_dump() == {
        "status": "added",
        "file": "lora_3.safetensors",
        "name": "Ünïcode ✨ v1 [Flux.1 D FP8]",
        "category": "loras",
        "dest": "loras",
        "catalog_status": "missing",
        "change_id": answer.change_id,
    }
    text = (catalog.folder / "models.json").read_text("utf-8")
    assert text == catalog.raw("models")
    assert "Ünïcode ✨" in text
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    made = json.loads(text)
    assert (made["version"], made["date"]) == (1, "2026-07-01 12:00")
    (category,) = made["categories"]
    assert (category["id"], category["name"]) == ("loras", "LoRAs")
    assert list(category["models"][0].items()) == [
        ("name", "Ünïcode ✨ v1 [Flux.1 D FP8]"),
        ("file", "lora_3.safetensors"),
        ("dest", "loras"),
        ("source", "civitai"),
        ("civitai_version_id", 3),
        ("civitai_model_id", 503),
        ("civitai_file_id", 1003),
        ("size_gb", 6.938),
        ("base_model", "Flux.1 D"),
        ("tags", []),
        ("trigger_words", ["a style"]),
        ("downloads", 7),
        ("hash", SHA),
    ]
    assert not (catalog.folder / "loras.json").exists()


def test_what_is_unknown_is_left_out_of_an_entry(tmp_path: Path) -> None:
    bare = a_version(
        model_id=None,
        trigger_words=(" ",),
        downloads=None,
        files=(a_file(id=None, size_kb=None, hashes={}),),
    )
    Catalog(tmp_path).add(bare)
    entry = stored(tmp_path, "models")["categories"][0]["models"][0]
    assert list(entry) == [
        "name",
        "file",
        "dest",
        "source",
        "civitai_version_id",
        "size_gb",
        "base_model",
        "tags",
    ]
    assert entry["size_gb"] == 0


@pytest.mark.parametrize("name", ["models", "loras"])
@pytest.mark.parametrize("spelling", [5, "5", 5.0, " 5 "])
def test_a_version_in_either_file_under_any_spelling_is_there_already(
    tmp_path: Path, name: str, spelling: Any
) -> None:
    put(tmp_path, name, an_entry(spelling))
    before = (tmp_path / f"{name}.json").read_bytes()
    answer = Catalog(tmp_path).add(a_version(5, model_mode="Archived"))
    assert (answer.status, answer.file) == ("already_exists", "five.safetensors")
    assert (tmp_path / f"{name}.json").read_bytes() == before
    assert not (tmp_path / ".civit-mcp").exists()


def test_the_same_content_under_the_same_name_and_folder_is_there_already(tmp_path: Path) -> None:
    put(tmp_path, "loras", an_entry(9, file="LORA_1.safetensors", hash=SHA.lower()))
    same = a_version(files=(a_file(hashes={"SHA256": SHA}),))
    answer = Catalog(tmp_path).add(same)
    assert (answer.status, answer.file) == ("already_exists", "LORA_1.safetensors")


def test_another_content_under_the_same_name_gets_a_name_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "loras", an_entry(9, file="Lora_1.safetensors", hash=SHA))
    answer = Catalog(tmp_path).add(a_version(1))
    assert (answer.status, answer.file) == ("added", "lora_1_1.safetensors")
    assert "'lora_1.safetensors'" in answer.notes[0]
    assert homes(tmp_path, 1) == ["models/loras"]


def test_the_same_content_elsewhere_is_said(tmp_path: Path) -> None:
    put(tmp_path, "models", an_entry(9, hash=SHA))
    answer = Catalog(tmp_path, tmp_path).add(a_version(files=(a_file(hashes={"SHA256": SHA}),)))
    assert answer.status == "added"
    assert "five.safetensors" in answer.notes[0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"usage_control": "Generation"}, "Generation"),
        ({"early_access_permanent": True}, "early access"),
        ({"model_mode": "Archived"}, "archived"),
        ({"model_mode": "TakenDown"}, "taken down"),
        ({"status": "Draft"}, "Draft"),
        ({"files": ()}, "no public model file"),
        ({"model_type": "Workflows"}, "not a model file"),
        ({"model_type": None}, "unknown"),
        ({"files": (a_file(type="Never Seen"),)}, "Never Seen"),
        ({"files": (a_file(name=".."),)}, "name"),
        ({"files": (a_file(name=""),)}, "name"),
    ],
)
def test_what_may_not_or_cannot_be_had_is_restricted_with_the_reason(
    tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    answer = Catalog(tmp_path / "c").add(a_version(**fields))
    assert answer.status == "restricted"
    assert words in (answer.reason or "")
    assert not (tmp_path / "c").exists()


def test_a_side_file_that_is_asked_for_goes_to_its_own_place(tmp_path: Path) -> None:
    version = a_version(
        model_type="Checkpoint",
        files=(a_file(1), a_file(2, type="VAE", name="v.safetensors", primary=False)),
    )
    answer = Catalog(tmp_path).add(version, 1002)
    assert (answer.category, answer.dest, answer.file) == ("vae", "vae", "v.safetensors")
    again = Catalog(tmp_path).add(version)
    assert again.status == "already_exists"
    assert "file 1001 was not added" in again.notes[0]


def test_a_file_of_another_version_is_a_bad_reference_that_lists_the_choice(tmp_path: Path) -> None:
    with pytest.raises(BadReference, match=r"'1' has no file '9'.*1001 \('lora_1"):
        Catalog(tmp_path).add(a_version(), 9)


def test_hostile_names_stay_in_their_folder(tmp_path: Path) -> None:
    answer = Catalog(tmp_path, tmp_path).add(
        a_version(
            model_name="a\ud800b\n\u202e",
            base_model="\ud800",
            trigger_words=("x\udfff",),
            files=(a_file(name="../../up/CON.safetensors"),),
        )
    )
    assert answer.file == "_CON.safetensors"
    assert "is not safe" in answer.notes[0]
    json.dumps(answer.model_dump()).encode()
    stored(tmp_path, "models")


def test_presence_is_told_with_a_note_when_no_root_is_set(tmp_path: Path) -> None:
    root = tmp_path / "models"
    (root / "loras").mkdir(parents=True)
    (root / "loras" / "lora_1.safetensors").write_bytes(b"x")
    assert Catalog(tmp_path / "a", root).add(a_version()).catalog_status == "present"
    without = Catalog(tmp_path / "b").add(a_version())
    assert without.catalog_status == "missing"
    assert NO_ROOT in without.notes


def test_a_category_in_the_files_own_spelling_is_used(tmp_path: Path) -> None:
    put(tmp_path, "models", category="sdxl-checkpoints")
    answer = Catalog(tmp_path).add(a_version(model_type="Checkpoint"))
    assert answer.category == "sdxl-checkpoints"
    assert answer.dest == "checkpoints"


def test_promote_moves_the_entry_unchanged(tmp_path: Path) -> None:
    odd = an_entry("5", zeta=1, alpha={"ключ": [1.50, None]}, name_locked=True, base_model="WAN")
    put(tmp_path, "models", an_entry(4), odd, an_entry(6))
    answer = Catalog(tmp_path).promote(5)
    assert (answer.status, answer.file, answer.category) == (
        "promoted",
        "five.safetensors",
        "wan_loras",
    )
    (category,) = stored(tmp_path, "loras")["categories"]
    assert category == {"id": "wan_loras", "name": "WAN LoRAs", "models": [odd]}
    assert list(category["models"][0]) == list(odd)
    left = stored(tmp_path, "models")
    assert [entry["civitai_version_id"] for entry in left["categories"][0]["models"]] == [4, 6]
    assert (left["version"], stored(tmp_path, "loras")["version"]) == (8, 1)
    assert Catalog(tmp_path).promote(5).status == "already_exists"


def test_promote_of_what_is_in_both_files_removes_the_one_in_models(tmp_path: Path) -> None:
    put(tmp_path, "models", an_entry(5, note="mine"))
    put(tmp_path, "loras", an_entry(5), category="wan-loras")
    answer = Catalog(tmp_path).promote(5)
    assert answer.status == "already_exists"
    assert answer.change_id is not None
    assert len(answer.notes) == 2
    assert homes(tmp_path, 5) == ["loras/wan-loras"]
    assert "mine" in history(tmp_path)[0]["edits"][0]["entry"]


def test_promote_of_an_entry_that_stands_twice_moves_it_once(tmp_path: Path) -> None:
    put(tmp_path, "models", an_entry(5), an_entry(5))
    answer = Catalog(tmp_path).promote(5)
    assert answer.status == "promoted"
    assert homes(tmp_path, 5) == ["loras/sdxl_loras"]


def test_promote_refuses_what_is_not_there_or_no_lora(tmp_path: Path) -> None:
    put(tmp_path, "models", an_entry(5, dest="checkpoints"), category="checkpoints")
    with pytest.raises(NotFound, match="'6'"):
        Catalog(tmp_path).promote(6)
    with pytest.raises(NotALora, match=r"five\.safetensors"):
        Catalog(tmp_path).promote(5)


def test_promote_knows_a_lora_by_a_nested_folder(tmp_path: Path) -> None:
    put(tmp_path, "models", an_entry(5, dest="loras/wan", base_model=""), category="mine")
    assert Catalog(tmp_path).promote(5).category == "other_loras"


def test_a_dry_run_tells_the_same_with_a_diff_and_touches_nothing(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    answer = Catalog(fresh).add(a_version(), dry_run=True)
    assert (answer.status, answer.dry_run, answer.change_id) == ("added", True, None)
    assert (answer.diff or "").startswith("--- /dev/null\n+++ models.json\n+{\n")
    assert not fresh.exists()

    put(tmp_path, "models", an_entry(4), an_entry(5))
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.iterdir())
    moved = Catalog(tmp_path).promote(5, dry_run=True)
    assert moved.status == "promoted"
    lines = (moved.diff or "").splitlines()
    assert '-  "version": 7,' in lines
    assert '+  "version": 8,' in lines
    assert '-          "civitai_version_id": 5,' in lines
    assert "+++ loras.json" in lines
    assert not [line for line in lines if "4," in line]
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.iterdir()) == before
    real = Catalog(tmp_path).promote(5)
    assert (real.file, real.category) == (moved.file, moved.category)


def test_a_snapshot_finds_entries_by_version_hash_and_stem(tmp_path: Path) -> None:
    put(tmp_path, "models", an_entry("5", hash=SHA.lower()), an_entry(6, file="Five.pt"))
    put(tmp_path, "loras", an_entry(7, file="sub\\seven_x.safetensors"), category="wan")
    snapshot = Catalog(tmp_path).snapshot()
    five = snapshot.by_version(5)
    assert five is not None
    assert (five.catalog, five.category_id, five.version_id) == ("models", "loras", "5")
    assert snapshot.by_sha256(SHA) == five
    assert [entry.version_id for entry in snapshot.by_stem("FIVE")] == ["5", "6"]
    assert [entry.version_id for entry in snapshot.by_stem("Seven-X")] == ["7"]
    assert snapshot.by_version(99) is None
    assert snapshot.by_version(None) is None
    assert snapshot.by_sha256("") is None
    assert snapshot.status(None) == "not_found"
    assert [(one.catalog, one.id, one.count) for one in snapshot.categories] == [
        ("models", "loras", 2),
        ("loras", "wan", 1),
    ]
    assert snapshot.documents["models"].version == 7
    assert snapshot.last_change is None


def test_a_snapshot_is_kept_until_a_file_changes(tmp_path: Path) -> None:
    catalog = with_lora(tmp_path)
    first = catalog.snapshot()
    assert catalog.snapshot() is first
    Catalog(tmp_path).add(a_version(2))
    second = catalog.snapshot()
    assert second is not first
    assert second.by_version(2) is not None
    assert second.last_change is not None
    assert second.last_change.version_id == "2"


def test_an_edit_of_the_same_size_in_the_same_tick_is_seen(tmp_path: Path) -> None:
    tick = time.time_ns()

    class Coarse(Disk):
        """A file system that counts in seconds: all of this test is one tick."""

        def stat(self, path: Path) -> os.stat_result:
            stamps = {"st_mtime_ns": tick, "st_ctime_ns": tick}
            return os.stat_result(tuple(super().stat(path)), stamps)

    put(tmp_path, "models", an_entry(5))
    young = Catalog(tmp_path, disk=Coarse())
    assert young.snapshot().by_version(5) is not None
    path = tmp_path / "models.json"
    with path.open("r+", encoding="utf-8") as stream:
        stream.write(path.read_text("utf-8").replace('_id": 5', '_id": 6'))
    assert young.snapshot().by_version(6) is not None


def test_an_absent_catalog_is_empty_and_stays_absent(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "none")
    assert catalog.snapshot().entries == ()
    assert json.loads(catalog.raw("loras")) == {"version": 0, "date": "", "categories": []}
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"version": 1, "categories": [',
        b"[]",
        b'{"categories": {"a": 1}}',
        b"\xff\xfe{\x00}\x00",
    ],
)
@pytest.mark.parametrize("name", ["models", "loras"])
def test_an_unreadable_file_is_named_and_never_overwritten(
    tmp_path: Path, name: str, data: bytes
) -> None:
    path = tmp_path / f"{name}.json"
    path.write_bytes(data)
    catalog = Catalog(tmp_path)
    for attempt in (
        lambda: catalog.add(a_version()),
        lambda: catalog.promote(1),
        lambda: catalog.add(a_version(), dry_run=True),
        catalog.snapshot,
    ):
        with pytest.raises(CatalogUnreadable, match=f"{name}.json"):
            attempt()
    assert path.read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.json"]


def test_one_broken_file_does_not_hide_the_text_of_the_other(tmp_path: Path) -> None:
    (tmp_path / "models.json").write_text("{", "utf-8")
    put(tmp_path, "loras", an_entry(5))
    assert "five" in Catalog(tmp_path).raw("loras")
    assert Catalog(tmp_path).raw("models") == "{"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CatalogUnreadable, match="file"):
            Catalog(folder).add(a_version())


def test_a_write_protected_file_is_not_replaced(tmp_path: Path) -> None:
    put(tmp_path, "models", an_entry(5))
    path = tmp_path / "models.json"
    path.chmod(0o444)
    with pytest.raises(CatalogUnreadable, match="write-protected"):
        Catalog(tmp_path).add(a_version())
    assert leftovers(tmp_path) == []
    path.chmod(0o640)
    Catalog(tmp_path).add(a_version())
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_linked_file_stays_a_link_and_its_target_is_written(tmp_path: Path) -> None:
    put(tmp_path / "real", "models", an_entry(5))
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "models.json").symlink_to(tmp_path / "real" / "models.json")
    Catalog(folder).add(a_version(1))
    assert (folder / "models.json").is_symlink()
    assert homes(tmp_path / "real", 1) == ["models/loras"]
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["models.json"]


def test_a_link_to_itself_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "models.json").symlink_to(tmp_path / "models.json")
    with pytest.raises(CatalogUnreadable, match="models"):
        Catalog(tmp_path).add(a_version())


def test_odd_entries_are_kept_and_passed_over(tmp_path: Path) -> None:
    odd: list[Any] = [
        None,
        5,
        "text",
        [],
        {},
        {"civitai_version_id": None, "file": None, "dest": 3, "name": {}},
        {"civitai_version_id": True, "file": "\ud800.pt"},
    ]
    put(tmp_path, "models", *odd)
    catalog = Catalog(tmp_path, tmp_path)
    snapshot = catalog.snapshot()
    assert [snapshot.status(entry) for entry in snapshot.entries] == ["missing"] * 3
    catalog.add(a_version())
    assert stored(tmp_path, "models")["categories"][0]["models"][:-1] == odd


@pytest.mark.parametrize("categories", [None, [], [None, 5, {"models": None}, {"id": "loras"}]])
def test_odd_categories_take_an_entry(tmp_path: Path, categories: Any) -> None:
    (tmp_path / "models.json").write_text(json.dumps({"categories": categories}), "utf-8")
    assert Catalog(tmp_path).add(a_version()).status == "added"
    assert Catalog(tmp_path).snapshot().by_version(1) is not None


def test_a_category_whose_list_is_none_is_refused_and_kept(tmp_path: Path) -> None:
    data = json.dumps({"categories": [{"id": "loras", "models": {"a": 1}}]})
    (tmp_path / "models.json").write_text(data, "utf-8")
    with pytest.raises(CatalogUnreadable, match="'models' is no list"):
        Catalog(tmp_path).add(a_version())
    assert (tmp_path / "models.json").read_text("utf-8") == data
    assert leftovers(tmp_path) == []


def test_every_change_is_remembered_whole(tmp_path: Path) -> None:
    catalog = with_lora(tmp_path)
    promoted = catalog.promote(1)
    added, moved = catalog.history()
    assert (added.verb, added.version_id) == ("add", "1")
    assert [(e.catalog, e.action, e.category, e.position) for e in moved.edits] == [
        ("loras", "insert", "sdxl_loras", 0),
        ("models", "remove", "loras", 0),
    ]
    assert moved.id == promoted.change_id
    assert moved.edits[0].new_category
    assert json.loads(moved.edits[1].entry)["civitai_version_id"] == 1


def test_a_broken_line_of_the_history_hides_no_other(tmp_path: Path) -> None:
    catalog = with_lora(tmp_path)
    path = tmp_path / ".civit-mcp" / "history.jsonl"
    path.write_bytes(b'{"half\n\xff\n[]\n' + path.read_bytes() + b'{"torn')
    catalog.add(a_version(2))
    assert [change.version_id for change in catalog.history()] == ["1", "2"]
    last = Catalog(tmp_path).snapshot().last_change
    assert last is not None
    assert last.version_id == "2"


def test_ten_thousand_entries_are_no_burden(tmp_path: Path) -> None:
    put(tmp_path, "models", *(an_entry(n, file=f"f{n}.pt") for n in range(10, 10_010)))
    catalog = Catalog(tmp_path)
    assert catalog.add(a_version(1)).status == "added"
    assert catalog.promote(9_000).status == "promoted"
    assert len(catalog.snapshot().entries) == 10_001


def test_a_recorded_catalog_gains_an_entry_and_is_otherwise_the_same_bytes(
    tmp_path: Path, recorded: Path
) -> None:
    old = (recorded / "catalogs" / "comfyui-studio_models.json").read_bytes()
    (tmp_path / "models.json").write_bytes(old)
    catalog = Catalog(tmp_path, tmp_path, now=lambda: NOON)
    diff = (catalog.add(a_version(), dry_run=True).diff or "").splitlines()
    assert [line for line in diff if line.startswith("-")] == [
        "--- models.json",
        '-  "version": 24,',
        '-  "date": "2026-03-24 21:30",',
    ]
    catalog.add(a_version())
    new = (tmp_path / "models.json").read_bytes()
    gained = [line[1:] for line in diff[4:] if line.startswith("+")]
    assert len(new.splitlines()) == len(old.splitlines()) + len(gained) - 2
    entry = catalog.snapshot().by_version(1)
    assert entry is not None
    back = new.replace(b",\n        " + entry.text.encode(), b"")
    back = back.replace(b'"version": 25', b'"version": 24')
    back = back.replace(b'"date": "2026-07-01 12:00"', b'"date": "2026-03-24 21:30"')
    assert back == old


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(
        a_file,
        name=st.text(),
        type=st.sampled_from(["Model", "VAE", "", "x"]) | st.text(),
        size_kb=st.none() | st.floats(),
        fp=st.none() | st.text(),
        hashes=st.dictionaries(st.just("SHA256"), st.text()),
    ),
    st.text() | st.none(),
    st.text(),
    st.lists(st.text(st.characters(exclude_categories=[]))),
)
def test_no_version_crashes_add_and_every_entry_stays_readable(
    tmp_path_factory: pytest.TempPathFactory, file: Any, model: str | None, base: str, words: Any
) -> None:
    folder = tmp_path_factory.mktemp("any")
    version = replace(
        a_version(), model_name=model, base_model=base, trigger_words=tuple(words), files=(file,)
    )
    answer = Catalog(folder, folder).add(version)
    assert answer.status in ("added", "restricted")
    json.dumps(answer.model_dump()).encode()
    stored(folder, "models")
    if answer.status == "added":
        assert Catalog(folder).promote(1).status == "promoted" if answer.dest == "loras" else True
