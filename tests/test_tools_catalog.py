"""Adding, promoting and listing through an MCP client."""

import json
from pathlib import Path

import pytest
from mcp import Client

from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.server import create_server
from tests.conftest import Assistant


def catalog_file(settings: Settings, name: str) -> dict[str, object]:
    path = settings.catalog_dir / f"{name}.json"
    return dict(json.loads(path.read_text("utf-8")))


async def test_a_version_is_added_once_however_it_is_spelled(
    assistant: Assistant, settings: Settings
) -> None:
    first = await assistant.ask("add_to_catalog", version_id=world.DEMO_CHECKPOINT_VERSION)
    url = (
        f"https://civitai.com/models/{world.DEMO_CHECKPOINT_MODEL}"
        f"?modelVersionId={world.DEMO_CHECKPOINT_VERSION}"
    )
    second = await assistant.ask("add_to_catalog", version_id=url)

    assert first["status"] == "added"
    assert first.keys() >= {"file", "name", "category", "dest", "change_id"}
    assert (first["category"], first["dest"]) == ("checkpoints", "checkpoints")
    assert (second["status"], second["file"]) == ("already_exists", first["file"])
    written = catalog_file(settings, "models")
    assert written["version"] == 1


async def test_a_model_reference_adds_its_newest_version(assistant: Assistant) -> None:
    answer = await assistant.ask(
        "add_to_catalog", version_id=f"https://civitai.com/models/{world.DEMO_CHECKPOINT_MODEL}"
    )

    entry = (await assistant.ask("list_catalog"))["entries"][0]
    assert answer["status"] == "added"
    assert entry["version_id"] == world.DEMO_CHECKPOINT_VERSION


async def test_a_dry_run_shows_the_diff_and_writes_nothing(
    assistant: Assistant, settings: Settings
) -> None:
    answer = await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION, dry_run=True)

    assert answer["status"] == "added"
    assert answer["dry_run"] is True
    assert f'+          "civitai_version_id": {world.DEMO_LORA_VERSION},' in answer["diff"]
    assert not settings.catalog_dir.exists()


@pytest.mark.parametrize(
    ("version", "word"),
    [
        (world.GENERATION_ONLY_VERSION, "Generation"),
        (world.INTERNAL_ONLY_VERSION, "InternalGeneration"),
        (world.UNKNOWN_USAGE_VERSION, "only"),
        (world.EARLY_ACCESS_VERSION, "early access until 2099"),
        (world.PERMANENT_PAID_VERSION, "no end"),
        (world.ARCHIVED_VERSION, "archived"),
        (world.TAKEN_DOWN_VERSION, "taken down"),
        (world.NO_FILE_VERSION, "no public"),
    ],
)
async def test_a_gated_version_is_restricted_with_the_reason(
    assistant: Assistant, settings: Settings, version: int, word: str
) -> None:
    answer = await assistant.ask("add_to_catalog", version_id=version)

    assert answer["status"] == "restricted"
    assert word in answer["reason"]
    assert not (settings.catalog_dir / "models.json").exists()


@pytest.mark.parametrize("version", [world.PAST_EARLY_ACCESS_VERSION, world.LOGIN_VERSION])
async def test_a_version_that_is_free_by_now_is_added(assistant: Assistant, version: int) -> None:
    assert (await assistant.ask("add_to_catalog", version_id=version))["status"] == "added"


async def test_the_asked_file_is_catalogued_not_the_first(assistant: Assistant) -> None:
    facts = await assistant.ask("get_model_version", version_id=world.VAE_FIRST_VERSION)
    vae = next(file for file in facts["files"] if file["type"] == "VAE")

    default = await assistant.ask(
        "add_to_catalog", version_id=world.VAE_FIRST_VERSION, dry_run=True
    )
    chosen = await assistant.ask(
        "add_to_catalog", version_id=world.VAE_FIRST_VERSION, file_id=vae["id"], dry_run=True
    )

    assert default["dest"] != "vae"
    assert chosen["dest"] == "vae"


async def test_a_file_that_the_version_lacks_is_refused_with_the_choice(
    assistant: Assistant,
) -> None:
    sentence = await assistant.refused(
        "add_to_catalog", version_id=world.VAE_FIRST_VERSION, file_id=1
    )

    assert sentence.startswith("[bad_reference] ")
    facts = await assistant.ask("get_model_version", version_id=world.VAE_FIRST_VERSION)
    assert all(str(file["id"]) in sentence for file in facts["files"])


async def test_names_never_leave_the_models_root(assistant: Assistant, settings: Settings) -> None:
    model = await assistant.ask("get_model", model_id=world.ODD_NAMES_MODEL)
    versions = [v["id"] for v in model["versions"]] + model.get("more_versions", [])
    for version_id in versions:
        answer = await assistant.ask("add_to_catalog", version_id=version_id)
        if answer["status"] == "restricted":
            continue
        assert answer["status"] in ("added", "already_exists"), answer
        file = answer["file"]
        assert file
        assert Path(file).name == file
        assert not set(file) & set("/\\:\0\n")
        assert len(file.encode()) <= 255
        assert settings.models_root is not None
        place = (settings.models_root / answer.get("dest", "loras") / file).resolve()
        assert place.is_relative_to(settings.models_root.resolve())


async def test_a_promoted_lora_is_in_loras_json_only(
    assistant: Assistant, settings: Settings
) -> None:
    added = await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)
    before = catalog_file(settings, "models")

    preview = await assistant.ask(
        "promote_to_lora", version_id=world.DEMO_LORA_VERSION, dry_run=True
    )
    unchanged = catalog_file(settings, "models")
    answer = await assistant.ask("promote_to_lora", version_id=world.DEMO_LORA_VERSION)
    again = await assistant.ask("promote_to_lora", version_id=world.DEMO_LORA_VERSION)

    assert preview["dry_run"] is True
    assert unchanged == before
    assert (answer["status"], answer["file"]) == ("promoted", added["file"])
    assert answer["category"] == "sdxl_loras"
    assert again["status"] == "already_exists"
    listed = await assistant.ask("list_catalog")
    assert [(e["catalog"], e["category"]) for e in listed["entries"]] == [("loras", "sdxl_loras")]


async def test_what_is_not_catalogued_cannot_be_promoted(assistant: Assistant) -> None:
    sentence = await assistant.refused("promote_to_lora", version_id=world.DEMO_LORA_VERSION)

    assert sentence.startswith("[not_found] ")


async def test_what_is_no_lora_cannot_be_promoted(assistant: Assistant) -> None:
    await assistant.ask("add_to_catalog", version_id=world.DEMO_CHECKPOINT_VERSION)

    sentence = await assistant.refused("promote_to_lora", version_id=world.DEMO_CHECKPOINT_VERSION)

    assert sentence.startswith("[not_a_lora] ")


async def test_a_version_in_either_file_is_already_there(assistant: Assistant) -> None:
    await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)
    await assistant.ask("promote_to_lora", version_id=world.DEMO_LORA_VERSION)

    answer = await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)

    assert answer["status"] == "already_exists"


async def test_listing_pages_give_each_entry_once_and_filters_hold(assistant: Assistant) -> None:
    for version_id in (*world.TEN_LORAS_VERSIONS, world.DEMO_CHECKPOINT_VERSION):
        await assistant.ask("add_to_catalog", version_id=version_id)

    seen: list[int] = []
    cursor = None
    while True:
        page = await assistant.ask("list_catalog", limit=4, cursor=cursor)
        assert page["total"] == 11
        seen += [entry["version_id"] for entry in page["entries"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    loras = await assistant.ask("list_catalog", category="loras", limit=50)
    sdxl = await assistant.ask("list_catalog", base_model="sdxl", limit=50)
    present = await assistant.ask("list_catalog", status="present")
    nothing = await assistant.ask("list_catalog", category="no such shelf")

    assert len(seen) == len(set(seen)) == 11
    assert loras["total"] == 10
    assert sdxl["total"] >= 1
    assert present["entries"] == []
    assert any("no such shelf" in note for note in nothing["notes"])


@pytest.mark.parametrize(
    "content",
    ['{"categories": [', "[]", "", "null", "\udcff", '{"name": "pkg", "version": "1.0.0"}'],
)
async def test_a_file_that_is_no_catalog_is_never_touched(
    assistant: Assistant, settings: Settings, content: str
) -> None:
    settings.catalog_dir.mkdir()
    path = settings.catalog_dir / "models.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    before = path.read_bytes()

    for tool, arguments in (
        ("add_to_catalog", {"version_id": world.DEMO_LORA_VERSION}),
        ("promote_to_lora", {"version_id": world.DEMO_LORA_VERSION}),
        ("list_catalog", {}),
        ("remove_from_catalog", {"version_id": world.DEMO_LORA_VERSION}),
        ("edit_catalog_entry", {"file": "x", "demote": True}),
        ("verify_catalog", {}),
    ):
        sentence = await assistant.refused(tool, **arguments)
        assert sentence.startswith("[catalog_unreadable] ")
        assert str(path) in sentence
    answer = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)
    assert any(str(path) in note for note in answer["notes"])
    assert path.read_bytes() == before


async def test_a_catalog_that_is_a_folder_is_refused(
    assistant: Assistant, settings: Settings
) -> None:
    (settings.catalog_dir / "models.json").mkdir(parents=True)

    sentence = await assistant.refused("add_to_catalog", version_id=world.DEMO_LORA_VERSION)

    assert sentence.startswith("[catalog_unreadable] ")


async def test_a_read_only_server_neither_lists_nor_calls_what_writes(settings: Settings) -> None:
    async with Client(create_server(settings.model_copy(update={"read_only": True}))) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        sentence = await Assistant(client).refused(
            "add_to_catalog", version_id=world.DEMO_LORA_VERSION
        )

    assert not names & {"add_to_catalog", "promote_to_lora"}
    assert "list_catalog" in names
    assert sentence.startswith("[read_only] ")


async def test_the_catalog_is_readable_as_resources(
    assistant: Assistant, settings: Settings
) -> None:
    await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)

    async def read(uri: str) -> str:
        result = await assistant.client.read_resource(uri)
        assert result.contents[0].mime_type == "application/json"
        return str(getattr(result.contents[0], "text", ""))

    on_disk = (settings.catalog_dir / "models.json").read_text("utf-8")
    assert await read("catalog://models.json") == on_disk
    assert json.loads(await read("catalog://loras.json"))["categories"] == []
    summary = json.loads(await read("catalog://summary"))
    assert summary["by_status"] == {"missing": 1}
    assert summary["by_family"] == {"sdxl": 1}
    assert summary["last_change"]["verb"] == "add"
    assert json.loads(await read("catalog://models/loras"))["models"]
    entry = json.loads(await read(f"catalog://entries/{world.DEMO_LORA_VERSION}"))
    assert entry["status"] == "missing"
