"""The catalog's verbs as an assistant calls them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, world
from civit_mcp.server import create_server
from tests.conftest import Assistant

LORA, CHECKPOINT = world.DEMO_LORA_VERSION, world.DEMO_CHECKPOINT_VERSION


def catalog_file(settings: Settings, name: str = "models") -> dict[str, Any]:
    text = (settings.catalog_dir / f"{name}.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


async def test_a_removal_is_shown_made_listed_and_taken_back(
    assistant: Assistant, settings: Settings
) -> None:
    await assistant.ask("add_to_catalog", version_id=LORA)
    shown = await assistant.ask("remove_from_catalog", version_id=LORA, dry_run=True)
    assert shown["dry_run"] is True
    assert re.search(rf"^-.*{LORA}", shown["diff"], re.MULTILINE)
    gone = await assistant.ask("remove_from_catalog", version_id=LORA)
    assert gone["status"] == "removed"
    assert (await assistant.ask("list_catalog"))["total"] == 0

    history = await assistant.ask("catalog_history")
    assert [change["verb"] for change in history["changes"]] == ["remove", "add"]
    assert history["changes"][0]["change_id"] == gone["change_id"]
    back = await assistant.ask("undo_catalog_change")
    assert back["undoes"] == gone["change_id"]
    assert (await assistant.ask("list_catalog"))["total"] == 1
    newest = (await assistant.ask("catalog_history", limit=2))["changes"]
    assert newest[1]["undone_by"] == newest[0]["change_id"]


async def test_history_is_read_page_by_page(assistant: Assistant) -> None:
    await assistant.ask("add_to_catalog", version_id=LORA)
    for word in "abc":
        await assistant.ask("edit_catalog_entry", version_id=LORA, fields={"notes": word})
    first = await assistant.ask("catalog_history", limit=3)
    rest = await assistant.ask("catalog_history", limit=3, cursor=first["next_cursor"])
    ids = [row["change_id"] for page in (first, rest) for row in page["changes"]]
    assert len(set(ids)) == first["total"] == 4
    assert "next_cursor" not in rest
    assert "catalog_history" in await assistant.refused("catalog_history", cursor="zzz")


async def test_an_entry_is_edited_moved_and_demoted(
    assistant: Assistant, settings: Settings
) -> None:
    await assistant.ask("add_to_catalog", version_id=LORA)
    edited = await assistant.ask(
        "edit_catalog_entry", version_id=LORA, fields={"strength": {"default": 0.7}, "tags": ["x"]}
    )
    assert edited["status"] == "edited"
    await assistant.ask("promote_to_lora", version_id=LORA)
    await assistant.ask("edit_catalog_entry", version_id=LORA, dest="loras/mine")
    demoted = await assistant.ask("edit_catalog_entry", file=edited["file"], demote=True)
    assert (demoted["status"], demoted["catalog"], demoted["dest"]) == (
        "demoted", "models", "loras/mine",
    )  # fmt: skip
    (entry,) = catalog_file(settings)["categories"][0]["models"]
    assert entry["strength"] == {"default": 0.7}
    for strange in (
        {},
        {"demote": True, "category": "x"},
        {"dest": "a", "fields": {"notes": "b"}},
        {"fields": {"file": "other"}},
    ):
        said = await assistant.refused("edit_catalog_entry", version_id=LORA, **strange)
        assert said.startswith("[bad_reference]")


async def test_undo_that_is_unsafe_is_refused_with_the_change_between(
    assistant: Assistant,
) -> None:
    added = await assistant.ask("add_to_catalog", version_id=LORA)
    promoted = await assistant.ask("promote_to_lora", version_id=LORA)
    said = await assistant.refused("undo_catalog_change", change_id=added["change_id"])
    assert said.startswith("[conflict]")
    assert promoted["change_id"] in said
    assert "[not_found]" in await assistant.refused("undo_catalog_change", change_id="nothing")


async def test_a_bulk_add_reports_each_reference_and_its_progress(settings: Settings) -> None:
    told: list[tuple[float, float | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total))

    async with Client(create_server(settings)) as client:
        result = await client.call_tool(
            "add_to_catalog",
            {"version_ids": [LORA, str(CHECKPOINT), LORA, 999_999_999, "not a reference"]},
            progress_callback=hear,
        )
    answer = result.structured_content
    assert answer is not None
    assert answer["status"] == "done"
    assert answer["counts"] == {"added": 2, "already_exists": 1, "failed": 2}
    assert [row["status"] for row in answer["items"]] == [
        "added", "added", "already_exists", "failed", "failed",
    ]  # fmt: skip
    assert "[not_found]" in answer["items"][3]["reason"]
    assert answer["change_id"]
    assert (5, 5) in told


async def test_more_references_than_a_call_takes_are_refused(assistant: Assistant) -> None:
    said = await assistant.refused("add_to_catalog", version_ids=list(range(1, 202)))
    assert said.startswith("[too_large]")
    assert "[bad_reference]" in await assistant.refused("add_to_catalog")
    assert "[bad_reference]" in await assistant.refused(
        "add_to_catalog", version_ids=[1], file_id=3
    )


async def test_the_catalog_is_verified_against_disk_and_itself(
    assistant: Assistant, settings: Settings
) -> None:
    added = await assistant.ask("add_to_catalog", version_id=LORA)
    found = await assistant.ask("verify_catalog")
    assert found["by_problem"] == {"missing": 1}
    assert settings.models_root is not None
    place = settings.models_root / added["dest"] / added["file"]
    place.parent.mkdir(parents=True)
    place.write_bytes(b"not the model")
    found = await assistant.ask("verify_catalog", hashes=True)
    kinds = {row["problem"] for row in found["problems"]}
    assert "missing" not in kinds
    assert kinds <= {"wrong_size", "wrong_hash"}
    assert found["checked"] == 1


async def test_verify_upstream_tells_gone_from_unknown(
    assistant: Assistant, settings: Settings, sandbox: Sandbox
) -> None:
    await assistant.ask("add_to_catalog", version_id=LORA)
    path = settings.catalog_dir / "models.json"
    data = json.loads(path.read_text("utf-8"))
    gone = {"file": "gone.pt", "dest": "loras", "civitai_version_id": 999_999_999}
    data["categories"][0]["models"] += [gone, {"file": "mine.pt", "dest": "loras"}]
    path.write_text(json.dumps(data), "utf-8")
    found = await assistant.ask("verify_catalog", upstream=True)
    rows = {row["file"]: row["problem"] for row in found["problems"]}
    assert rows["gone.pt"] == "gone_upstream"
    assert "mine.pt" not in rows
    assert found["checked"] == 2
    assert any("1 entries have no CivitAI id" in note for note in found["notes"])


async def test_a_page_of_problems_says_how_to_get_the_rest(
    assistant: Assistant, settings: Settings
) -> None:
    settings.catalog_dir.mkdir(parents=True)
    entries = [{"file": f"{n}.pt", "dest": "loras"} for n in range(45)]
    text = json.dumps({"version": 1, "categories": [{"id": "loras", "models": entries}]})
    (settings.catalog_dir / "models.json").write_text(text, "utf-8")
    first = await assistant.ask("verify_catalog", limit=30)
    rest = await assistant.ask("verify_catalog", limit=30, cursor=first["next_cursor"])
    assert first["total"] == 45
    assert len({row["file"] for page in (first, rest) for row in page["problems"]}) == 45
    assert "next_cursor" not in rest


async def test_export_and_import_go_by_files(
    assistant: Assistant, settings: Settings, tmp_path: Path
) -> None:
    await assistant.ask("add_to_catalog", version_id=LORA)
    target = tmp_path / "mine.json"
    out = await assistant.ask("exchange_catalog", action="export", path=str(target))
    assert out["entries"] == 1
    assert "[conflict]" in await assistant.refused(
        "exchange_catalog", action="export", path=str(target)
    )
    default = await assistant.ask("exchange_catalog", action="export", format="csv")
    assert Path(default["path"]).is_relative_to(settings.catalog_dir)
    await assistant.ask("remove_from_catalog", version_id=LORA)
    dry = await assistant.ask("exchange_catalog", action="import", path=str(target), dry_run=True)
    assert dry["diff"]
    back = await assistant.ask("exchange_catalog", action="import", path=str(target))
    assert (back["status"], back["entries"]) == ("imported", 1)
    for path in (
        None,
        "relative.json",
        str(tmp_path / "none.json"),
        str(tmp_path),
        "\0",
        "/dev/zero",
        "~no-such-user/x",
    ):
        arguments = {} if path is None else {"path": path}
        said = await assistant.refused("exchange_catalog", action="import", **arguments)
        assert "Next:" in said
    for path in ("relative.json", str(tmp_path / "x.safetensors"), str(tmp_path / "no/x.json")):
        await assistant.refused("exchange_catalog", action="export", path=path)


async def test_a_model_address_means_the_version_that_is_in_the_catalog(
    assistant: Assistant, settings: Settings
) -> None:
    await assistant.ask("add_to_catalog", version_id=LORA)
    (entry,) = catalog_file(settings)["categories"][0]["models"]
    page = f"https://civitai.com/models/{entry['civitai_model_id']}"
    answer = await assistant.ask("remove_from_catalog", version_id=page)
    assert answer["file"] == entry["file"]


async def test_a_read_only_server_has_no_writing_verb(settings: Settings) -> None:
    sealed = settings.model_copy(update={"read_only": True})
    async with Client(create_server(sealed)) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"catalog_history", "verify_catalog"} <= names
        for name in ("remove_from_catalog", "edit_catalog_entry", "undo_catalog_change"):
            assert name not in names
            result = await client.call_tool(name, {})
            assert result.is_error


@pytest.mark.parametrize("size", [1, 150])
async def test_a_long_diff_is_cut_and_says_so(
    assistant: Assistant, settings: Settings, size: int
) -> None:
    settings.catalog_dir.mkdir(parents=True)
    path = settings.catalog_dir / "other.json"
    entries = [{"file": f"{n}.pt", "dest": "loras", "name": "n" * 50} for n in range(size)]
    path.write_text(json.dumps({"categories": [{"id": "loras", "models": entries}]}), "utf-8")
    answer = await assistant.ask("exchange_catalog", action="import", path=str(path), dry_run=True)
    assert len(answer["diff"]) <= 6000
    assert bool(answer.get("notes")) is (size > 1)
