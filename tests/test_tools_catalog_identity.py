"""Which version, file or name is meant, where several come near; and that no export is lost."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from civit_mcp.config import Settings
from civit_mcp.errors import Conflict
from civit_mcp.sandbox import world
from civit_mcp.server import create_server
from civit_mcp.usecases.desk import Desk
from civit_mcp.usecases.exchange import export_catalog
from tests.catalog_kit import stored
from tests.conftest import Assistant
from tests.traps.kit import (
    SHA256,
    VERSIONS,
    at_civitai,
    file_row,
    odd_site,
    serving,
    version_body,
)

LORA = world.DEMO_LORA_VERSION


def put(folder: Path, *entries: dict[str, Any]) -> None:
    data = {"version": 1, "date": "d", "categories": [{"id": "loras", "models": list(entries)}]}
    folder.mkdir(exist_ok=True)
    (folder / "models.json").write_text(json.dumps(data), "utf-8")


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


async def test_another_file_of_a_catalogued_version_is_said_not_to_be_added(
    assistant: Assistant, settings: Settings
) -> None:
    added = await assistant.ask("add_to_catalog", version_id=LORA)
    (entry,) = stored(settings.catalog_dir, "models")["categories"][0]["models"]
    own = entry["civitai_file_id"]
    before = (settings.catalog_dir / "models.json").read_bytes()

    other = await assistant.ask("add_to_catalog", version_id=LORA, file_id=987654)
    same = await assistant.ask("add_to_catalog", version_id=LORA, file_id=own)

    assert (other["status"], other["file"]) == ("already_exists", added["file"])
    assert any(f"holds file {own}" in note and "file 987654" in note for note in other["notes"])
    assert same["status"] == "already_exists"
    assert not same.get("notes")
    assert (settings.catalog_dir / "models.json").read_bytes() == before


async def test_a_name_that_only_looks_like_a_catalogued_one_changes_nothing(
    assistant: Assistant, settings: Settings
) -> None:
    put(
        settings.catalog_dir,
        {"file": "style_v1_1.safetensors", "dest": "loras", "civitai_version_id": 5},
    )
    before = (settings.catalog_dir / "models.json").read_bytes()
    for name in ("style-v1.1.safetensors", "style_v1_1.ckpt", "<lora:style_v1_1:1>"):
        for tool, more in (
            ("remove_from_catalog", {}),
            ("promote_to_lora", {}),
            ("edit_catalog_entry", {"fields": {"notes": "x"}}),
        ):
            said = await assistant.refused(tool, version_id=name, **more)
            assert said.startswith("[bad_reference]")
            assert "5 ('style_v1_1.safetensors')" in said
    assert (settings.catalog_dir / "models.json").read_bytes() == before

    gone = await assistant.ask("remove_from_catalog", version_id="loras/Style_V1_1.safetensors")

    assert gone["status"] == "removed"


async def test_exports_at_the_same_moment_to_one_path_leave_one(
    settings: Settings, tmp_path: Path
) -> None:
    desk = Desk.open(settings)
    target = tmp_path / "out.json"
    outcomes: list[str] = []

    async def export() -> None:
        try:
            outcomes.append((await export_catalog(desk, "lock", str(target), dry_run=False)).status)
        except Conflict:
            outcomes.append("conflict")

    async with anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(export)
    assert sorted(outcomes) == ["conflict"] * 11 + ["exported"]
    assert json.loads(target.read_text("utf-8"))["lock_version"] == 1
    assert [name for name in sizes(tmp_path) if "out" in name] == ["out.json"]


async def test_exports_at_the_same_moment_without_a_path_get_a_name_each(
    settings: Settings,
) -> None:
    desk = Desk.open(settings)
    paths: list[str] = []

    async def export() -> None:
        paths.append((await export_catalog(desk, "csv", None, dry_run=False)).path or "")

    async with anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(export)
    folder = settings.catalog_dir / "exports"
    assert sorted(paths) == sorted(str(folder / f"csv-{n}.csv") for n in range(1, 13))
    assert sorted(sizes(folder)) == sorted(Path(path).name for path in paths)
    assert all(sizes(folder).values())


@pytest.mark.parametrize(
    ("form", "name"),
    [("csv", "x.json"), ("lock", "x.csv"), ("comfy-cli", "x.txt"), ("catalog", "x")],
)
async def test_an_export_ends_like_its_format(
    assistant: Assistant, tmp_path: Path, form: str, name: str
) -> None:
    said = await assistant.refused(
        "exchange_catalog", action="export", format=form, path=str(tmp_path / name)
    )
    assert said.startswith("[bad_reference]")
    assert f"'{form}'" in said
    assert not (tmp_path / name).exists()


async def test_an_export_never_writes_through_a_link(assistant: Assistant, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "nothing.json")
    said = await assistant.refused("exchange_catalog", action="export", path=str(link))
    assert said.startswith("[conflict]")
    assert link.is_symlink()
    assert not (tmp_path / "nothing.json").exists()


async def test_twelve_digits_cut_from_a_whole_hash_are_identified(settings: Settings) -> None:
    on = settings.model_copy(update={"toolsets": ("default", "files")})
    async with Client(create_server(on)) as client:
        keeper = Assistant(client)
        facts = await keeper.ask("get_model_version", version_id=LORA)
        sha256 = facts["files"][0]["hashes"]["SHA256"]
        other = sha256[:10] + ("00" if sha256[10:12] != "00" else "11")

        answer = await keeper.ask("identify_files", hashes=[sha256[:12].lower(), other])

    found, not_found = answer["items"]
    assert (found["state"], found["version_id"], found["found_by"]) == (
        "identified",
        LORA,
        "prefix",
    )
    assert not_found["state"] == "not_found"


@pytest.mark.parametrize("order", [(8001, 8002, 8003), (8003, 8001, 8002), (8002, 8003, 8001)])
async def test_of_several_owners_of_a_file_the_earliest_is_the_original(
    settings: Settings, order: tuple[int, ...]
) -> None:
    on = settings.model_copy(update={"toolsets": ("default", "files")})
    with odd_site() as site:
        site.answers[f"{VERSIONS}/by-hash/ids"] = [
            {"modelVersionId": each, "modelId": 801, "hash": SHA256} for each in order
        ]
        site.answers[f"{VERSIONS}/by-hash"] = [
            version_body(id=each, files=[file_row(id=each + 80000)]) for each in order
        ]
        async with serving(at_civitai(on)) as keeper:
            answer = await keeper.ask("identify_files", hashes=[SHA256])

    (row,) = answer["items"]
    assert (row["version_id"], row["also"]) == (8001, [8002, 8003])


@pytest.mark.parametrize("dest", ["/etc", "../up", "loras\\..\\..\\up", "C:/models"])
async def test_an_import_takes_no_entry_that_leaves_the_models_root(
    assistant: Assistant, settings: Settings, tmp_path: Path, dest: str
) -> None:
    entry = {"name": "x", "file": "ok.safetensors", "dest": dest, "source": "elsewhere"}
    category = {"id": "loras", "name": "LoRAs", "models": [entry]}
    source = tmp_path / "other.json"
    source.write_text(json.dumps({"version": 1, "date": "", "categories": [category]}), "utf-8")

    answer = await assistant.ask("exchange_catalog", action="import", path=str(source))

    assert answer["status"] == "unchanged"
    assert any("models root" in note for note in answer["notes"])
    assert not (settings.catalog_dir / "models.json").exists()
