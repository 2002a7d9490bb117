"""What is offered while somebody fills in an argument of a resource or a prompt."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp import Client
from mcp.types import PromptReference, ResourceTemplateReference

from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.server import create_server
from tests.client_kit import at_address, over

ENTRIES = "catalog://entries/{version_id}"
LORA, CHECKPOINT = str(world.DEMO_LORA_VERSION), str(world.DEMO_CHECKPOINT_VERSION)


@pytest.fixture
async def client(settings: Settings, era: str) -> AsyncIterator[Client]:
    """A client whose catalog has a checkpoint, and a LoRA on the shelf of its style."""
    async with Client(create_server(settings), mode=era) as client:
        for version_id in (LORA, CHECKPOINT):
            await client.call_tool("add_to_catalog", {"version_id": version_id})
        await client.call_tool("promote_to_lora", {"version_id": LORA})
        yield client


async def offered(client: Client, of: str, argument: str, typed: str = "") -> list[str]:
    """Suggestions for an argument of a template, or of a prompt where `of` is no address."""
    ref: ResourceTemplateReference | PromptReference
    if "://" in of:
        ref = ResourceTemplateReference(type="ref/resource", uri=of)
    else:
        ref = PromptReference(type="ref/prompt", name=of)
    completed = await client.complete(ref=ref, argument={"name": argument, "value": typed})
    return list(completed.completion.values)


@pytest.mark.parametrize(
    ("of", "argument", "typed", "expected"),
    [
        ("catalog://models/{category}", "category", "", ["checkpoints"]),
        ("catalog://models/{category}", "category", "x", []),
        ("catalog://loras/{category}", "category", "", ["sdxl_loras"]),
        (ENTRIES, "version_id", "", [CHECKPOINT, LORA]),
        ("civitai://model-versions/{version_id}", "version_id", LORA[:-1], [CHECKPOINT, LORA]),
        ("civitai://models/{model_id}", "model_id", "41", ["4101", "4102"]),
        ("civitai://enums/{kind}", "kind", "per", ["periods"]),
        ("civitai://images/{image_id}/generation-data", "image_id", "", []),
        ("build-library", "base_model", "sdxl 1", ["SDXL 1.0", "SDXL 1.0 LCM"]),
        ("find-style-lora", "base_model", "sdxl 1", ["SDXL 1.0", "SDXL 1.0 LCM"]),
        ("audit-catalog", "focus", "", ["checkpoints", "sdxl_loras", "SDXL 1.0"]),
        ("audit-catalog", "focus", "sdxl", ["sdxl_loras", "SDXL 1.0"]),
        ("recreate-image", "image", "7", []),
    ],
)
async def test_each_argument_that_has_words_offers_them(
    client: Client, of: str, argument: str, typed: str, expected: list[str]
) -> None:
    assert await offered(client, of, argument, typed) == expected


async def test_what_is_offered_leads_to_something(client: Client) -> None:
    for template in (await client.list_resource_templates()).resource_templates:
        uri = template.uri_template
        argument = uri.partition("{")[2].partition("}")[0]
        for word in (await offered(client, uri, argument))[:3]:
            read = await client.read_resource(uri.replace(f"{{{argument}}}", word))
            assert read.contents


async def test_a_token_without_the_catalog_is_offered_nothing_of_it(
    settings: Settings, tmp_path: Path, era: str
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("the-token-of-a-guest toolsets=browse\n", encoding="utf-8")
    seen = []
    with at_address(settings, token_file=tokens) as base:
        async with over("http", base, era) as assistant:
            await assistant.ask("add_to_catalog", version_id=LORA)
            seen.append(await offered(assistant.client, ENTRIES, "version_id"))
        guest = {"Authorization": "Bearer the-token-of-a-guest"}
        async with over("http", base, era, headers=guest) as assistant:
            seen.append(await offered(assistant.client, ENTRIES, "version_id"))

    assert seen == [[LORA], []]
