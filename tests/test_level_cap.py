"""The operator's cap holds on every door."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from mcp import Client, MCPError

from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.server import create_server
from tests.conftest import Assistant


@pytest.fixture
async def capped(settings: Settings) -> AsyncIterator[Assistant]:
    narrow = settings.model_copy(update={"max_level": "pg13", "toolsets": ("all",)})
    async with Client(create_server(narrow)) as client:
        yield Assistant(client)


async def version_above(assistant: Assistant) -> int:
    facts = await assistant.ask("get_model", model_id=world.R_MODEL)
    return int(facts["versions"][0]["id"])


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_model", {"model_id": world.R_MODEL}),
        ("get_generation_data", {"image_id": world.R_IMAGE}),
        ("search_models", {"query": f"https://civitai.com/models/{world.R_MODEL}"}),
    ],
)
async def test_a_thing_above_the_cap_is_refused(
    capped: Assistant, tool: str, arguments: dict[str, Any]
) -> None:
    sentence = await capped.refused(tool, **arguments)

    assert sentence.startswith("[above_level] ")


@pytest.mark.parametrize("tool", ["get_model_version", "add_to_catalog"])
async def test_a_version_above_the_cap_is_refused(
    assistant: Assistant, capped: Assistant, settings: Settings, tool: str
) -> None:
    sentence = await capped.refused(tool, version_id=await version_above(assistant))

    assert sentence.startswith("[above_level] ")
    assert not (settings.catalog_dir / "models.json").exists()


@pytest.mark.parametrize(
    "uri",
    [
        f"civitai://models/{world.R_MODEL}",
        f"civitai://images/{world.R_IMAGE}/generation-data",
    ],
)
async def test_a_resource_above_the_cap_is_refused(capped: Assistant, uri: str) -> None:
    with pytest.raises(MCPError, match="above_level"):
        await capped.client.read_resource(uri)


async def test_an_image_that_does_not_exist_is_not_found_under_a_cap(capped: Assistant) -> None:
    sentence = await capped.refused("get_generation_data", image_id=world.NO_SUCH_IMAGE)

    assert sentence.startswith("[not_found] ")


async def test_a_batch_hides_only_what_is_above(capped: Assistant) -> None:
    answer = await capped.ask("get_model", model_ids=[world.R_MODEL, world.DEMO_LORA_MODEL])

    assert [model["id"] for model in answer["items"]] == [world.DEMO_LORA_MODEL]
    assert "[above_level]" in answer["failed"][0]["error"]


async def test_no_listing_shows_what_is_above(capped: Assistant) -> None:
    for tool, arguments in (
        ("search_models", {"limit": 100, "max_level": "xxx"}),
        ("search_images", {"limit": 100, "max_level": "xxx"}),
    ):
        answer = await capped.ask(tool, **arguments)
        assert answer["items"]
        assert {row.get("level") for row in answer["items"]} <= {"pg", "pg13", None}
        assert str(world.R_IMAGE) not in json.dumps(answer)
        assert answer["filters_applied"]["max_level"] == "pg13"
