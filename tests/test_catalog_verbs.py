"""Remove, demote, move, edit, bulk add, import and export, one by one."""

import csv
import io
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civit_mcp.catalog import SUFFIXES, Address, Bundle, Catalog, exported
from civit_mcp.catalog.amend import amended
from civit_mcp.catalog.document import Document
from civit_mcp.catalog.table import Table
from civit_mcp.errors import BadReference, CatalogUnreadable, CivitError, NotFound
from civit_mcp.models.catalogued import ExportFormat
from tests.catalog_kit import Quick, a_file, a_version, homes, stored, with_lora
from tests.test_catalog_document import entries

SELF_TRAINED = {"name": "Mine", "file": "mine.safetensors", "dest": "loras", "source": "local"}
FROM_HF = {
    "name": "Theirs [FP16]",
    "file": "theirs.safetensors",
    "dest": "vae",
    "source": "huggingface",
    "hf_repo": "some/repo",
    "hf_file": "sub dir/theirs.safetensors",
    "size_gb": 0.3,
}


def put(folder: Path, *found: Any, name: str = "models", category: str = "loras") -> None:
    data = {"version": 1, "date": "d", "categories": [{"id": category, "models": list(found)}]}
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(data, indent=2), "utf-8")


def test_an_entry_without_an_id_is_addressed_by_its_file(tmp_path: Path) -> None:
    put(tmp_path, SELF_TRAINED, FROM_HF)
    catalog = Catalog(tmp_path)
    answer = catalog.edit(Address(file="mine.safetensors"), {"notes": "trained on my cat"})
    assert answer.status == "edited"
    assert catalog.move(Address(file="theirs.safetensors"), category="vae").status == "moved"
    assert catalog.remove(Address(file="MINE.safetensors")).status == "removed"
    assert [entry.file for entry in catalog.snapshot().entries] == ["theirs.safetensors"]


def test_an_address_that_fits_several_entries_is_refused_with_their_places(tmp_path: Path) -> None:
    put(tmp_path, {"file": "a.pt", "dest": "loras", "civitai_version_id": 1})
    put(tmp_path, {"file": "a.pt", "dest": "loras", "civitai_version_id": 1}, name="loras")
    catalog = Catalog(tmp_path)
    with pytest.raises(BadReference, match=r"models\.json.*loras\.json"):
        catalog.remove(Address(version_id=1))
    catalog.remove(Address(version_id=1, catalog="models"))
    assert homes(tmp_path, 1) == ["loras/loras"]


def test_a_name_that_nobody_has_is_refused_with_those_that_come_near(tmp_path: Path) -> None:
    put(tmp_path, SELF_TRAINED)
    with pytest.raises(NotFound, match=r"'mine\.safetensors'"):
        Catalog(tmp_path).remove(Address(file="Mine"))
    with pytest.raises(BadReference):
        Catalog(tmp_path).remove(Address())
    with pytest.raises(NotFound):
        Catalog(tmp_path).remove(Address(version_id="../x"))


def test_of_two_equal_entries_one_is_removed(tmp_path: Path) -> None:
    put(tmp_path, SELF_TRAINED, SELF_TRAINED)
    answer = Catalog(tmp_path).remove(Address(file="mine.safetensors"))
    assert any("2 times" in note for note in answer.notes)
    assert len(stored(tmp_path, "models")["categories"][0]["models"]) == 1


def test_demote_is_promote_turned_round(tmp_path: Path) -> None:
    catalog = with_lora(tmp_path)
    before = stored(tmp_path, "models")["categories"]
    catalog.promote(1)
    answer = catalog.demote(Address(version_id=1))
    assert (answer.status, answer.catalog, answer.category) == ("demoted", "models", "loras")
    assert stored(tmp_path, "models")["categories"] == before
    with pytest.raises(NotFound):
        catalog.demote(Address(version_id=1))


def test_demote_of_an_entry_that_both_files_have_leaves_one(tmp_path: Path) -> None:
    put(tmp_path, SELF_TRAINED)
    put(tmp_path, SELF_TRAINED, name="loras")
    Catalog(tmp_path).demote(Address(file="mine.safetensors"))
    assert stored(tmp_path, "loras")["categories"][0]["models"] == []
    assert len(stored(tmp_path, "models")["categories"][0]["models"]) == 1


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"hash": "B" * 64}, {"dest": "checkpoints", "civitai_version_id": 11, "hash": "A" * 64}),
        ({"hash": "B" * 64}, {"dest": "loras", "hash": "A" * 64}),
        ({"hash": "B" * 64}, {"dest": "checkpoints", "hash": "B" * 64}),
        ({}, {"dest": "loras", "hash": "A" * 64}),
        ({"civitai_version_id": 5}, {"dest": "loras", "civitai_version_id": 6}),
        ({"civitai_version_id": 5, "hash": "B" * 64}, {"dest": "loras", "hash": "B" * 64}),
    ],
)
def test_demote_loses_no_entry_to_another_model_of_its_file_name(
    tmp_path: Path, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    mine = {"file": "style.safetensors", "dest": "loras", "notes": "mine", **ours}
    other = {"file": "STYLE.safetensors", **theirs}
    put(tmp_path, other, category="checkpoints")
    put(tmp_path, mine, name="loras", category="sdxl_loras")
    address = Address(file="style.safetensors", catalog="loras")
    answer = Catalog(tmp_path).demote(address)
    assert (answer.status, answer.catalog, answer.file) == ("demoted", "models", mine["file"])
    assert any("STYLE.safetensors" in note and "both" in note for note in answer.notes)
    kept = [e for c in stored(tmp_path, "models")["categories"] for e in c["models"]]
    assert kept == [other, mine]
    assert stored(tmp_path, "loras")["categories"][0]["models"] == []


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"civitai_version_id": 5}, {"dest": "loras/mine", "civitai_version_id": "5"}),
        ({"hash": "b" * 64}, {"dest": "Loras\\", "civitai_version_id": 5, "hash": "B" * 64}),
    ],
)
def test_demote_knows_the_same_model_by_version_or_by_place_and_content(
    tmp_path: Path, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    put(tmp_path, {"file": "a.pt", **theirs})
    put(tmp_path, {"file": "a.pt", "dest": "loras", **ours}, name="loras")
    answer = Catalog(tmp_path).demote(Address(file="a.pt", catalog="loras"))
    assert any("models.json has it too" in note for note in answer.notes)
    assert len(Catalog(tmp_path).snapshot()) == 1


def test_of_two_entries_for_one_place_the_first_is_promoted_and_the_order_stays(
    tmp_path: Path,
) -> None:
    same = {"file": "b.pt", "dest": "loras", "civitai_version_id": 1}
    put(
        tmp_path,
        {**same, "notes": "first"},
        {**same, "dest": "Loras/", "file": "B.pt", "notes": "second"},
        {**same, "file": "a.pt"},
    )
    answer = Catalog(tmp_path).promote(1)
    (category,) = stored(tmp_path, "loras")["categories"]
    assert category["models"] == [{**same, "notes": "first"}, {**same, "file": "a.pt"}]
    assert any("3 times" in note for note in answer.notes)
    assert stored(tmp_path, "models")["categories"][0]["models"] == []


def test_a_move_changes_the_folder_and_nothing_else(tmp_path: Path) -> None:
    catalog = with_lora(tmp_path)
    before = (tmp_path / "models.json").read_text("utf-8").splitlines()
    catalog.move(Address(version_id=1), dest="loras/style")
    after = (tmp_path / "models.json").read_text("utf-8").splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) in (2, 3)  # the version, the folder, and the date when the minute is over
    assert changed[-1].strip() == '"dest": "loras/style",'
    assert catalog.move(Address(version_id=1), dest="loras/style").status == "unchanged"


@pytest.mark.parametrize(
    "dest", ["..", "/abs", "C:\\x", "a/../../b", "", " ", "con", "a/nul", "\0"]
)
def test_no_move_leads_out_of_the_models_root(tmp_path: Path, dest: str) -> None:
    catalog = with_lora(tmp_path)
    with pytest.raises(BadReference):
        catalog.move(Address(version_id=1), dest=dest)


def test_an_edit_writes_adds_and_clears_fields_in_place(tmp_path: Path) -> None:
    catalog = with_lora(tmp_path)
    address = Address(version_id=1)
    catalog.edit(address, {"tags": ["a", "a", " b "], "strength": 0.8, "pair_role": "high"})
    (entry,) = stored(tmp_path, "models")["categories"][0]["models"]
    assert (entry["tags"], entry["strength"], entry["pair_role"]) == (["a", "b"], 0.8, "high")
    assert list(entry)[-2:] == ["strength", "pair_role"]
    catalog.edit(address, {"strength": {"max": 1, "min": 0.5}, "pair_role": "", "tags": []})
    (entry,) = stored(tmp_path, "models")["categories"][0]["models"]
    assert entry["strength"] == {"min": 0.5, "max": 1.0}
    assert not {"pair_role", "tags"} & set(entry)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"file": "other.pt"},
        {"civitai_version_id": 3},
        {"tags": "text"},
        {"tags": [1]},
        {"tags": ["x"] * 101},
        {"notes": 5},
        {"notes": "x" * 5001},
        {"strength": True},
        {"strength": float("nan")},
        {"strength": float("-inf")},
        {"strength": 10**400},
        {"strength": -101},
        {"strength": {"max": 10**400}},
        {"strength": {"min": 2, "max": 1}},
        {"strength": {"low": 1}},
        {"pair_role": "middle"},
    ],
)
def test_an_edit_of_another_field_or_with_a_strange_value_is_refused(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    catalog = with_lora(tmp_path)
    before = (tmp_path / "models.json").read_bytes()
    with pytest.raises(BadReference):
        catalog.edit(Address(version_id=1), fields)
    assert (tmp_path / "models.json").read_bytes() == before


@given(
    st.dictionaries(st.text(), entries, max_size=5),
    st.sampled_from([{"indent": 2}, {"indent": "\t"}, {}, {"separators": (",", ":")}]),
    st.sampled_from(["tags", "notes", "x"]),
    st.none() | st.text() | st.lists(st.text(), max_size=3),
)
def test_an_amended_entry_says_what_was_asked_and_keeps_the_rest(
    entry: dict[str, Any], layout: dict[str, Any], key: str, value: Any
) -> None:
    text = json.dumps(entry, ensure_ascii=False, **layout)
    wanted = {k: v for k, v in entry.items() if k != key} if value is None else entry | {key: value}
    made = amended(text, {key: value})
    assert json.loads(made) == json.loads(json.dumps(wanted))
    assert list(json.loads(made)) == list(wanted)
    assert amended(text, {}) == text
    if key in entry:  # as it was, so not a character changes
        assert entry[key] is None or amended(text, {key: entry[key]}) == text


def test_a_bulk_add_gives_each_its_own_outcome(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.add(a_version(1))
    answers = catalog.add_many(
        [
            (a_version(1), None),
            (a_version(2), None),
            (a_version(2), None),
            (a_version(3, usage_control="Generation"), None),
            (a_version(4, files=(a_file(4, name="lora_2.safetensors"),)), None),
            (a_version(5, files=(a_file(2, id=9),)), None),
        ]
    )
    statuses = [answer.status for answer in answers]
    assert statuses == [
        "already_exists", "added", "already_exists", "restricted", "added", "already_exists",
    ]  # fmt: skip
    assert answers[4].file == "lora_2_4.safetensors"
    assert stored(tmp_path, "models")["version"] == 2
    assert len(catalog.history()) == 2


def test_an_empty_bulk_add_changes_nothing(tmp_path: Path) -> None:
    assert Catalog(tmp_path).add_many([]) == []
    assert list(tmp_path.iterdir()) == []


def test_the_fingerprint_changes_with_either_file_and_with_nothing_else(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    seen = [catalog.fingerprint()]
    catalog.add(a_version(1))
    seen.append(catalog.fingerprint())
    catalog.promote(1)
    seen.append(catalog.fingerprint())
    (tmp_path / "loras.json").write_text("{}")
    seen.append(catalog.fingerprint())
    catalog.snapshot()
    assert catalog.fingerprint() == seen[-1]
    assert len(set(seen)) == 4


# -- exchange


def full(folder: Path) -> Catalog:
    put(folder, SELF_TRAINED, FROM_HF, {"file": "=cmd()|x.pt", "dest": "../..", "source": "x"})
    catalog = Catalog(folder)
    catalog.add(a_version(1))
    catalog.add(a_version(2))
    catalog.promote(2)
    return catalog


@pytest.mark.parametrize("form", get_args(ExportFormat))
def test_no_export_holds_a_key_or_a_place_outside(tmp_path: Path, form: ExportFormat) -> None:
    snapshot = full(tmp_path).snapshot()
    text = exported(snapshot, snapshot.entries, form)
    assert "token" not in text
    assert str(tmp_path) not in text
    assert form in SUFFIXES
    assert "lora_2.safetensors" in text


def test_an_export_goes_into_an_empty_catalog_and_is_the_same(tmp_path: Path) -> None:
    catalog = full(tmp_path / "one")
    snapshot = catalog.snapshot()
    bundle = Bundle.parse(exported(snapshot, (), "catalog").encode(), tmp_path / "export.json")
    other = Catalog(tmp_path / "two")
    answer = other.take_in(bundle)
    assert (answer.status, answer.entries, answer.skipped) == ("imported", 4, 1)
    assert homes(tmp_path / "two", 2) == ["loras/sdxl_loras"]
    taken = {e.file: e.raw for e in other.snapshot().entries}
    for entry in snapshot.entries:
        if entry.file in taken:
            assert taken[entry.file] == {**entry.raw, "tags": ["imported"]}
    again = other.take_in(bundle)
    assert (again.status, again.entries, again.change_id) == ("unchanged", 0, None)
    other.undo()
    assert other.snapshot().entries == ()


def test_an_import_takes_no_name_that_another_model_has(tmp_path: Path) -> None:
    catalog = with_lora(tmp_path / "one")
    put(
        tmp_path,
        {"file": "LORA_1.safetensors", "dest": "vae", "civitai_version_id": 77},
        {"file": "../x.pt", "dest": "vae"},
        {"file": "new.pt", "dest": "vae"},
        {"file": "new.pt", "dest": "loras"},
        5,
        None,
    )
    path = tmp_path / "models.json"
    answer = catalog.take_in(Bundle.parse(path.read_bytes(), path))
    assert (answer.entries, answer.skipped) == (1, 3)
    assert any("file name of another model" in note for note in answer.notes)


def test_an_import_of_more_than_one_call_takes_is_finished_by_the_next(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "own", disk=Quick())
    put(tmp_path, *({"file": f"{n}.pt", "dest": "vae"} for n in range(2003)), category="vae")
    path = tmp_path / "models.json"
    bundle = Bundle.parse(path.read_bytes(), path)
    first = catalog.take_in(bundle)
    assert (first.entries, first.skipped) == (2000, 0)
    assert any("3 entries more" in note and "again" in note for note in first.notes)
    second = catalog.take_in(bundle)
    assert (second.entries, second.skipped, second.notes) == (3, 2000, [])
    files = [entry.file for entry in catalog.snapshot().entries]
    assert files == [f"{n}.pt" for n in range(2003)]


def test_a_single_file_of_shelves_goes_into_loras_json(tmp_path: Path) -> None:
    put(tmp_path, SELF_TRAINED, category="wan_loras")
    path = tmp_path / "models.json"
    assert list(Bundle.parse(path.read_bytes(), path).documents) == ["loras"]
    put(tmp_path, SELF_TRAINED)
    assert list(Bundle.parse(path.read_bytes(), path).documents) == ["models"]


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"{", b'{"civit_mcp_catalog":1,"models":{', b"\xff"]
)
def test_what_is_no_catalog_is_not_taken_in(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CatalogUnreadable):
        Bundle.parse(data, tmp_path / "x.json")


def test_the_lock_file_names_hashes_and_addresses(tmp_path: Path) -> None:
    snapshot = full(tmp_path).snapshot()
    locked = json.loads(exported(snapshot, snapshot.entries, "lock"))
    by_file = {model["file"]: model for model in locked["models"]}
    assert by_file["lora_1.safetensors"]["sha256"] == f"{1:064X}"
    assert by_file["lora_1.safetensors"]["url"].endswith("/api/download/models/1")
    assert by_file["theirs.safetensors"]["url"].endswith("/main/sub%20dir/theirs.safetensors")
    assert "url" not in by_file["mine.safetensors"]


def test_the_table_is_read_back_by_any_spreadsheet_and_runs_nothing(tmp_path: Path) -> None:
    snapshot = full(tmp_path).snapshot()
    rows = list(csv.DictReader(io.StringIO(exported(snapshot, snapshot.entries, "csv"))))
    assert [row["version_id"] for row in rows][-2:] == ["1", "2"]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "@"))]


def test_the_commands_are_quoted_and_leave_out_what_nobody_can_fetch(tmp_path: Path) -> None:
    put(tmp_path, SELF_TRAINED, {**FROM_HF, "file": "a; rm -rf x.pt"}, {**FROM_HF, "dest": "../.."})
    snapshot = Catalog(tmp_path).snapshot()
    lines = exported(snapshot, snapshot.entries, "comfy-cli").splitlines()
    runs = [line for line in lines if line.startswith("comfy ")]
    assert len(runs) == 1
    assert "--filename 'a; rm -rf x.pt'" in runs[0]
    assert "--relative-path models/vae" in runs[0]


def test_the_manager_list_has_the_fields_of_the_recorded_one(
    recorded: Path, tmp_path: Path
) -> None:
    theirs = json.loads((recorded / "catalogs/comfyui-manager_model-list.json").read_text("utf-8"))
    snapshot = full(tmp_path).snapshot()
    ours = json.loads(exported(snapshot, snapshot.entries, "comfyui-manager"))
    assert set(ours["models"][0]) == set(theirs["models"][0])
    assert {m["filename"] for m in ours["models"]} == {
        "theirs.safetensors", "lora_1.safetensors", "lora_2.safetensors",
    }  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(entries, max_size=5))
def test_no_entry_however_odd_makes_a_verb_crash(tmp_path: Path, odd: list[Any]) -> None:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    put(folder, *odd, {"file": "x.pt", "civitai_version_id": True, "tags": 5, "hash": 1})
    catalog = Catalog(folder, disk=Quick())
    snapshot = catalog.snapshot()
    for form in get_args(ExportFormat):
        exported(snapshot, snapshot.entries, form)
    for entry in (*snapshot.entries, None):
        address = Address(file=entry.file if entry else "none")
        acts: tuple[Callable[[], object], ...] = (
            partial(catalog.edit, address, {"notes": "x"}),
            partial(catalog.move, address, category="vae"),
            partial(catalog.demote, address),
            partial(catalog.remove, address, dry_run=True),
            catalog.undo,
        )
        for act in acts:
            said = ""
            try:
                act()
            except CivitError as error:
                said = str(error)
            assert not said or re.match(r"\[\w+\] .+\. Next: .+\.$", said, re.DOTALL)
            assert not said.startswith(("[catalog_unreadable]", "[not_a_lora]"))


@given(st.lists(st.lists(st.sampled_from([{"file": "a"}, None, 3]), max_size=4), max_size=4))
def test_a_part_of_the_entries_is_a_slice_of_all(shelves: list[list[Any]]) -> None:
    data = {"categories": [{"id": f"{n}", "models": models} for n, models in enumerate(shelves)]}
    table = Table("models", Document.parse(json.dumps(data).encode(), Path("models.json")))
    assert len(table) == len(table.entries)
    for start in range(6):
        for size in range(6):
            assert table.part(start, size) == list(table.entries[start : start + size])
