"""What a category may be called, and what is told of a change that was taken back."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from mcp import Client
from mcp.types import TextResourceContents

from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.server import create_server
from tests.catalog_kit import stored
from tests.conftest import Assistant

LORA, CHECKPOINT = world.DEMO_LORA_VERSION, world.DEMO_CHECKPOINT_VERSION


def put(folder: Path, *categories: str) -> None:
    """A models.json with one entry in each category."""
    shelves = [
        {"id": name, "models": [{"name": "n", "file": f"{n}.pt", "dest": "loras"}]}
        for n, name in enumerate(categories)
    ]
    folder.mkdir(exist_ok=True)
    data = {"version": 1, "date": "d", "categories": shelves}
    (folder / "models.json").write_text(json.dumps(data), "utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "a/b", "a\\b", "/", "..", ".", "...", "a\nb", "tab\tin", "a\x00b", "a\x7fb", "bell\x07",
        "turned\u202eround", "half \ud800", "x" * 81, "", "   ", "\u2028",
    ],
)  # fmt: skip
async def test_a_new_category_has_a_name_that_people_can_read_and_addresses_can_hold(
    assistant: Assistant, settings: Settings, name: str
) -> None:
    await assistant.ask("add_to_catalog", version_id=LORA)
    before = (settings.catalog_dir / "models.json").read_bytes()

    said = await assistant.refused("edit_catalog_entry", version_id=LORA, category=name)

    assert said.startswith("[bad_reference]")
    assert "category" in said
    assert said.isprintable()
    assert len(said) < 400
    assert (settings.catalog_dir / "models.json").read_bytes() == before


@pytest.mark.parametrize(
    "name", ["style", "my style: 50%?", "naïve 画風", "v1.5", "x" * 80, "  trimmed  "]
)
async def test_a_new_category_is_read_by_its_address(settings: Settings, name: str) -> None:
    async with Client(create_server(settings)) as client:
        assistant = Assistant(client)
        await assistant.ask("add_to_catalog", version_id=LORA)
        moved = await assistant.ask("edit_catalog_entry", version_id=LORA, category=name)
        found = await client.read_resource(f"catalog://models/{quote(name.strip(), safe='')}")

    assert moved["category"] == name.strip()
    (content,) = found.contents
    assert isinstance(content, TextResourceContents)
    assert json.loads(content.text)["models"][0]["civitai_version_id"] == LORA


@pytest.mark.parametrize(
    "name",
    ["a/b", "a\\b", "..", ".", "/abs", "c:\\d", "../x", "a/../b", "tab\tx", "a\x00b", "x" * 300],
)
async def test_a_category_of_another_program_is_read_and_used_whatever_its_name(
    settings: Settings, name: str
) -> None:
    put(settings.catalog_dir, "plain", name)
    async with Client(create_server(settings)) as client:
        found = await client.read_resource(f"catalog://models/{quote(name, safe='')}")
        assistant = Assistant(client)
        listed = await assistant.ask("list_catalog", category=name)
        moved = await assistant.ask("edit_catalog_entry", file="0.pt", category=name)

    (content,) = found.contents
    assert isinstance(content, TextResourceContents)
    assert [model["file"] for model in json.loads(content.text)["models"]] == ["1.pt"]
    assert [entry["file"] for entry in listed["entries"]] == ["1.pt"]
    assert (moved["status"], moved["category"]) == ("moved", name)
    shelves = stored(settings.catalog_dir, "models")["categories"]
    kept = {shelf["id"]: [model["file"] for model in shelf["models"]] for shelf in shelves}
    assert kept[name] == ["1.pt", "0.pt"]


def _note(answer: dict[str, Any]) -> str:
    (note,) = answer["notes"]
    return str(note)


async def test_taking_back_says_what_was_taken_back_and_what_is_where(
    assistant: Assistant,
) -> None:
    added = await assistant.ask("add_to_catalog", version_id=LORA)
    file, home = added["file"], added["category"]
    await assistant.ask("edit_catalog_entry", version_id=LORA, fields={"notes": "mine"})
    promoted = await assistant.ask("promote_to_lora", version_id=LORA)
    style = promoted["category"]

    demoted = await assistant.ask("undo_catalog_change")
    unsaid = await assistant.ask("undo_catalog_change")
    away = await assistant.ask("undo_catalog_change")

    where = f"models.json, category '{home}'"
    told = f": '{file}' is back in {where} and is out of loras.json, category '{style}'"
    assert _note(demoted).startswith("took back 'promote' of ")
    assert _note(demoted).endswith(told)
    assert (demoted["catalog"], demoted["category"]) == ("models", home)
    assert _note(unsaid).startswith("took back 'edit' of ")
    assert _note(unsaid).endswith(f": '{file}' in {where} has its former 'notes'")
    assert _note(away).startswith("took back 'add' of ")
    assert _note(away).endswith(f": '{file}' is out of {where}")
    for answer in (demoted, unsaid, away):
        assert answer["status"] == "undone"
        assert (answer["file"], answer["name"]) == (file, added["name"])


async def test_taking_back_a_bulk_add_names_the_first_entries_and_counts_the_rest(
    assistant: Assistant,
) -> None:
    await assistant.ask("add_to_catalog", version_ids=list(world.TEN_LORAS_VERSIONS[:7]))
    back = await assistant.ask("undo_catalog_change")

    assert _note(back).count(" is out of models.json") == 5
    assert _note(back).endswith("; and so 2 entries more")
    assert "file" not in back


async def test_a_lock_file_has_civitais_ids_as_numbers_and_other_ids_as_they_are(
    assistant: Assistant, settings: Settings, tmp_path: Path
) -> None:
    await assistant.ask("add_to_catalog", version_id=LORA)
    models = [
        {"name": "n", "file": "a.pt", "dest": "loras", "civitai_version_id": "0017"},
        {"name": "n", "file": "b.pt", "dest": "loras", "civitai_version_id": "hf-3"},
        {"name": "n", "file": "c.pt", "dest": "loras", "civitai_version_id": "9" * 30},
        {"name": "n", "file": "d.pt", "dest": "loras", "civitai_version_id": "52"},
    ]
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"categories": [{"id": "loras", "models": models}]}), "utf-8")
    await assistant.ask("exchange_catalog", action="import", path=str(other))
    target = tmp_path / "lock.json"
    await assistant.ask("exchange_catalog", action="export", format="lock", path=str(target))

    rows = json.loads(target.read_text("utf-8"))["models"]
    first, *rest = (row["civitai_version_id"] for row in rows)
    assert first == LORA
    assert rest == ["0017", "hf-3", "9" * 30, 52]
    assert rows[0]["civitai_model_id"] == world.DEMO_LORA_MODEL
    assert isinstance(rows[0]["civitai_file_id"], int)


async def test_a_cursor_of_another_tool_opens_no_page_of_the_catalog(
    assistant: Assistant,
) -> None:
    await assistant.ask("add_to_catalog", version_ids=[LORA, CHECKPOINT])
    images = await assistant.ask("search_models", query="", limit=1)
    mine = await assistant.ask("list_catalog", limit=1)
    said = await assistant.refused("list_catalog", cursor=images["next_cursor"])
    rest = await assistant.ask("list_catalog", limit=1, cursor=mine["next_cursor"])

    assert "list_catalog" in said
    assert rest["entries"][0]["file"] != mine["entries"][0]["file"]
