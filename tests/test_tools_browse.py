"""Browsing: images, posts, collections, people, tags and filter words, as a client sees them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import ResourceTemplateReference
from pydantic import SecretStr

from civit_mcp.config import Settings
from civit_mcp.models.base_models import look_up
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from civit_mcp.server import create_server
from tests.conftest import Assistant


@pytest.fixture
def browsing(settings: Settings) -> Settings:
    return settings.model_copy(update={"toolsets": ("default", "browse")})


@pytest.fixture
async def visitor(browsing: Settings) -> AsyncIterator[Assistant]:
    """A client of a server without a key; the token that opens the server is none."""
    opened = browsing.model_copy(update={"token": SecretStr("opens-this-server-only")})
    async with Client(create_server(opened)) as client:
        yield Assistant(client)


@pytest.fixture
async def member(browsing: Settings) -> AsyncIterator[Assistant]:
    """A client of a server with a good key."""
    keyed = browsing.model_copy(update={"civitai_api_key": SecretStr(SANDBOX_KEY)})
    async with Client(create_server(keyed)) as client:
        yield Assistant(client)


async def walked(
    who: Assistant, tool: str, rows: str = "items", **arguments: Any
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await who.ask(tool, cursor=cursor, **arguments)
        found += page[rows]
        cursor = page.get("next_cursor")
        if cursor is None:
            return found


async def test_images_of_a_model_have_what_leads_further(visitor: Assistant) -> None:
    answer = await visitor.ask("search_images", model_id=world.DEMO_LORA_MODEL, limit=5)

    row = answer["items"][0]
    assert row.keys() >= {
        "id", "url", "page", "type", "level", "size", "created", "creator", "post_id",
        "version_ids",
    }  # fmt: skip
    assert row["page"] == f"https://civitai.com/images/{row['id']}"
    assert answer["filters_applied"]["model_id"] == world.DEMO_LORA_MODEL
    made = await visitor.ask("get_generation_data", image_id=row["id"])
    assert made["image_id"] == row["id"]


@pytest.mark.parametrize(
    ("arguments", "holds"),
    [
        (
            {"version_id": world.DEMO_LORA_VERSION},
            lambda row: world.DEMO_LORA_VERSION in row["version_ids"],
        ),
        (
            {
                "version_id": f"https://civitai.com/models/1?modelVersionId={world.DEMO_LORA_VERSION}"
            },
            lambda row: world.DEMO_LORA_VERSION in row["version_ids"],
        ),
        ({"username": "@harbor_lantern"}, lambda row: row["creator"] == "harbor_lantern"),
        ({"post_id": world.DEMO_POST}, lambda row: row["post_id"] == world.DEMO_POST),
        ({"types": ["video"]}, lambda row: row["type"] == "video"),
        ({"types": ["video", "audio"]}, lambda row: row["type"] in ("video", "audio")),
        ({"base_models": ["sdxl"]}, lambda row: row["base_model"] == "SDXL 1.0"),
        ({}, lambda row: row["level"] in ("pg", "pg13")),
        ({"max_level": "pg"}, lambda row: row["level"] == "pg"),
    ],
    # a function's own name has its address in it
    ids=lambda value: str(value) if isinstance(value, dict) else "holds",
)
async def test_every_image_passes_every_filter(
    visitor: Assistant, arguments: dict[str, Any], holds: Any
) -> None:
    rows = await walked(visitor, "search_images", limit=7, **arguments)

    assert rows
    assert all(holds(row) for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)


async def test_images_above_the_level_are_counted_and_a_call_that_shows_them_is_named(
    visitor: Assistant,
) -> None:
    image = (await visitor.ask("get_generation_data", image_id=world.R_IMAGE))["image_id"]
    wide = await walked(visitor, "search_images", max_level="xxx", limit=100)
    post = next(row["post_id"] for row in wide if row["id"] == image)

    answer = await visitor.ask("search_images", post_id=post)

    assert answer["items"] == []
    assert answer["hidden"] == {"level": 1}
    assert answer["why_empty"].endswith(f'search_images(post_id={post}, max_level="r")')
    shown = await visitor.ask("search_images", post_id=post, max_level="r")
    assert [row["id"] for row in shown["items"]] == [image]


async def test_the_operators_cap_holds_for_browsing(browsing: Settings) -> None:
    capped = browsing.model_copy(update={"max_level": "pg"})
    async with Client(create_server(capped)) as client:
        who = Assistant(client)
        rows = await walked(who, "search_images", max_level="xxx", limit=100)
        tags = await who.refused("get_image_tags", image_id=world.R_IMAGE)
        post = await who.ask("search_images", max_level="xxx", username="nobody_at_all")

    assert {row["level"] for row in rows} == {"pg"}
    assert tags.startswith("[above_level] ")
    assert post["filters_applied"]["max_level"] == "pg"


@pytest.mark.parametrize("scenario", ["empty-pages", "repeat-cursor"])
async def test_odd_pages_lose_and_repeat_no_image(
    visitor: Assistant, browsing: Settings, sandbox: Sandbox, scenario: str, tmp_path: Path
) -> None:
    usual = {row["id"] for row in await walked(visitor, "search_images", limit=9)}
    sandbox.use(scenario)
    fresh = browsing.model_copy(update={"cache_dir": tmp_path / "other"})

    async with Client(create_server(fresh)) as client:
        rows = await walked(Assistant(client), "search_images", limit=9)

    assert len({row["id"] for row in rows}) == len(rows)
    if scenario == "empty-pages":
        assert {row["id"] for row in rows} == usual


async def test_a_post_has_its_facts_and_its_images(visitor: Assistant) -> None:
    answer = await visitor.ask("get_post", post_id=world.DEMO_POST)

    assert answer["id"] == world.DEMO_POST
    assert answer["creator"] == "harbor_lantern"
    assert answer["url"] == f"https://civitai.com/posts/{world.DEMO_POST}"
    assert world.DEMO_IMAGE in [row["id"] for row in answer["images"]]
    assert {row["post_id"] for row in answer["images"]} == {world.DEMO_POST}
    paged = await walked(visitor, "get_post", rows="images", post_id=world.DEMO_POST, limit=1)
    assert [row["id"] for row in paged] == [row["id"] for row in answer["images"]]
    assert len(paged) > 1


@pytest.mark.parametrize(
    "spelling",
    [
        str(world.DEMO_POST),
        f"https://civitai.com/posts/{world.DEMO_POST}",
        f"look at https://civitai.red/posts/{world.DEMO_POST} please",
        f"https://civitai.com/images/{world.DEMO_IMAGE}",
    ],
)
async def test_a_post_is_found_by_any_spelling(visitor: Assistant, spelling: str) -> None:
    assert (await visitor.ask("get_post", post_id=spelling))["id"] == world.DEMO_POST


async def test_a_post_that_does_not_exist_is_not_found(visitor: Assistant) -> None:
    assert (await visitor.refused("get_post", post_id=1)).startswith("[not_found] ")
    sentence = await visitor.refused("get_post", post_id="https://civitai.com/models/5")
    assert sentence.startswith("[bad_reference] ")


async def test_a_post_above_the_operators_cap_is_refused_whole(
    visitor: Assistant, browsing: Settings
) -> None:
    rows = await walked(visitor, "search_images", max_level="xxx", limit=100)
    post = next(row["post_id"] for row in rows if row["id"] == world.R_IMAGE)
    assert (await visitor.ask("get_post", post_id=post))["level"] == "r"
    capped = browsing.model_copy(update={"max_level": "pg13"})

    async with Client(create_server(capped)) as client:
        sentence = await Assistant(client).refused("get_post", post_id=post)

    assert sentence.startswith("[above_level] ")
    assert f"post '{post}'" in sentence


async def test_a_collection_is_read_to_its_end(member: Assistant) -> None:
    rows = await walked(
        member,
        "get_collection",
        collection_id=f"https://civitai.com/collections/{world.LANDSCAPE_COLLECTION}",
        max_level="xxx",
        limit=3,
    )
    once = await member.ask(
        "get_collection", collection_id=world.LANDSCAPE_COLLECTION, max_level="xxx", limit=100
    )

    assert [row["id"] for row in rows] == [row["id"] for row in once["items"]]
    assert len({row["id"] for row in rows}) == len(rows) > 3
    assert world.R_IMAGE in {row["id"] for row in rows}
    hidden = await member.ask("get_collection", collection_id=world.LANDSCAPE_COLLECTION)
    assert hidden["hidden"]["level"] >= 1
    assert world.R_IMAGE not in {row["id"] for row in hidden["items"]}


async def test_an_empty_collection_may_be_one_that_cannot_be_read(
    visitor: Assistant, member: Assistant
) -> None:
    for who, key in ((visitor, True), (member, False)):
        answer = await who.ask("get_collection", collection_id=world.PRIVATE_COLLECTION)

        assert answer["items"] == []
        assert "private" in answer["why_empty"]
        assert f"/collections/{world.PRIVATE_COLLECTION}" in answer["why_empty"]
        assert ("CIVITAI_API_KEY" in answer["why_empty"]) is key


async def test_without_a_key_a_collection_says_what_it_does_not_show(visitor: Assistant) -> None:
    answer = await visitor.ask("get_collection", collection_id=world.LANDSCAPE_COLLECTION)

    assert {row["level"] for row in answer["items"]} == {"pg"}
    assert any("CIVITAI_API_KEY" in note for note in answer["notes"])


async def test_the_tags_of_an_image_come_with_their_votes(visitor: Assistant) -> None:
    answer = await visitor.ask("get_image_tags", image_id=world.DEMO_IMAGE)
    none = await visitor.ask("get_image_tags", image_id=world.NO_SUCH_IMAGE)

    assert world.DEMO_TAG in [tag["id"] for tag in answer["items"]]
    assert all("score" in tag and "name" in tag for tag in answer["items"])
    scores = [tag["score"] for tag in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    assert none["items"] == []
    assert "does not exist" in none["why_empty"]


async def test_creators_are_found_by_a_part_of_their_name_over_all_pages(
    visitor: Assistant,
) -> None:
    rows = await walked(visitor, "search_creators", query="a", limit=1)

    assert len(rows) > 1
    assert len({row["username"] for row in rows}) == len(rows)
    assert all("a" in row["username"] for row in rows)
    assert all(row["url"].startswith("https://civitai.com/user/") for row in rows)


async def test_a_user_without_models_is_found_all_the_same(visitor: Assistant) -> None:
    answer = await visitor.ask("search_creators", query="sandbox_user")
    nobody = await visitor.ask("search_creators", query="no one is called so")

    assert [row["username"] for row in answer["items"]] == ["sandbox_user"]
    assert answer["notes"]
    assert nobody["items"] == []
    assert "search_creators(" in nobody["why_empty"]


async def test_tags_are_found_by_how_they_begin_and_by_id(visitor: Assistant) -> None:
    known = await visitor.ask("search_tags", query="", limit=100)
    beginning = known["items"][0]["name"][:3]
    found = await visitor.ask("search_tags", query=beginning.upper())
    by_id = await visitor.ask("search_tags", query=str(world.DEMO_TAG))

    assert found["items"]
    assert all(tag["name"].casefold().startswith(beginning) for tag in found["items"])
    assert [tag["id"] for tag in by_id["items"]] == [world.DEMO_TAG]
    rows = await walked(visitor, "search_tags", query="", limit=3)
    assert len({tag["name"] for tag in rows}) == len(rows) > 1


async def test_filter_words_are_civitais_and_ours_with_family_and_ecosystem(
    visitor: Assistant,
) -> None:
    answer = await visitor.ask("list_enums")

    rows = {row["name"]: row for row in answer["base_models"]}
    assert rows["Pony"]["family"] == look_up("Pony").family
    assert rows["Pony"]["ecosystem"] == "sdxl"
    assert {"LORA", "Checkpoint"} <= set(answer["types"])
    assert "Most Downloaded" in answer["model_sorts"]
    assert "Most Reactions" in answer["image_sorts"]
    assert answer["levels"] == ["pg", "pg13", "r", "x", "xxx"]
    assert "CivitAI" in answer["sources"]["types"]
    only = await visitor.ask("list_enums", kind="periods")
    assert only.keys() == {"periods", "sources"}


async def test_filter_words_are_there_when_civitai_is_not(
    visitor: Assistant, sandbox: Sandbox
) -> None:
    sandbox.use("unauthorized:/enums")

    answer = await visitor.ask("list_enums")

    assert "LORA" in answer["types"]
    assert answer["sources"]["types"] == "civit-mcp's table"
    assert answer["notes"]


async def test_filter_words_are_a_resource_and_completions(visitor: Assistant) -> None:
    read = await visitor.client.read_resource("civitai://enums")
    one = await visitor.client.read_resource("civitai://enums/levels")
    completed = await visitor.client.complete(
        ref=ResourceTemplateReference(type="ref/resource", uri="civitai://enums/{kind}"),
        argument={"name": "kind", "value": "base"},
    )

    assert "LORA" in json.loads(getattr(read.contents[0], "text", ""))["types"]
    assert json.loads(getattr(one.contents[0], "text", ""))["levels"][0] == "pg"
    assert completed.completion.values == ["base_models"]


@pytest.mark.parametrize(
    ("tool", "arguments", "hint"),
    [
        ("search_images", {"types": ["gif"]}, "types"),
        ("search_images", {"sort": "Random"}, "sort"),
        ("search_images", {"cursor": "made up"}, "cursor"),
        ("search_images", {"model_id": "https://example.com/5"}, "example.com"),
        ("search_images", {"limit": 0}, "limit"),
        ("search_creators", {}, "query"),
        ("search_creators", {"query": "a", "cursor": "cDA"}, "cursor"),
        ("search_tags", {"query": "a", "cursor": "%%%"}, "cursor"),
        ("list_enums", {"kind": "colours"}, "kind"),
        ("get_collection", {"collection_id": "not a collection"}, "collection"),
        ("get_post", {"post_id": True}, "post_id"),
        ("get_image_tags", {"image_id": "https://civitai.com/models/5"}, "get_model"),
    ],
)
async def test_bad_arguments_are_named(
    visitor: Assistant, tool: str, arguments: dict[str, Any], hint: str
) -> None:
    sentence = await visitor.refused(tool, **arguments)

    assert sentence.startswith("[bad_reference] ")
    assert hint in sentence


async def test_no_answer_is_longer_than_6000_tokens(visitor: Assistant) -> None:
    for tool, arguments in (
        ("search_images", {"limit": 100, "max_level": "xxx"}),
        ("search_models", {"limit": 100, "max_level": "xxx"}),
        ("list_enums", {}),
        ("search_tags", {"query": "", "limit": 100}),
    ):
        answer = await visitor.ask(tool, **arguments)
        assert len(json.dumps(answer, ensure_ascii=False).encode()) / 4 <= 6000


async def test_the_set_is_off_unless_it_is_chosen(assistant: Assistant) -> None:
    sentence = await assistant.refused("search_images")

    assert sentence.startswith("[not_configured] ")
    assert "--toolsets default,browse" in sentence
