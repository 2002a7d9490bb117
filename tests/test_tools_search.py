"""Search and facts through an MCP client."""

import pytest
from mcp import Client

from civit_mcp.config import Settings
from civit_mcp.models.levels import LEVELS
from civit_mcp.sandbox import Sandbox, world
from civit_mcp.server import create_server
from tests.conftest import Assistant


async def test_rows_carry_what_is_needed_to_choose(assistant: Assistant) -> None:
    answer = await assistant.ask("search_models", query=world.DEMO_QUERY)

    row = next(r for r in answer["items"] if r["id"] == world.DEMO_TAG_LORA_MODEL)
    assert row.keys() >= {
        "id", "name", "type", "creator", "level", "version_id", "version_name", "base_model",
        "trigger_words", "file", "downloads", "thumbs_up", "catalog_status", "url",
    }  # fmt: skip
    assert row["version_id"] == world.DEMO_TAG_LORA_VERSION
    assert row["catalog_status"] == "not_found"
    assert row["file"].keys() >= {"id", "name", "size_mb"}


async def test_every_row_passes_every_filter(assistant: Assistant) -> None:
    answer = await assistant.ask(
        "search_models", types=["lora", "Checkpoint"], base_models=["sdxl"], limit=50
    )

    assert answer["items"]
    assert {row["type"] for row in answer["items"]} <= {"LORA", "Checkpoint"}
    assert {row["base_model"] for row in answer["items"]} == {"SDXL 1.0"}
    assert answer["filters_applied"]["base_models"] == ["SDXL 1.0"]


async def test_pages_give_every_model_once(assistant: Assistant) -> None:
    async def collect(limit: int) -> list[int]:
        found: list[int] = []
        cursor = None
        while True:
            page = await assistant.ask("search_models", limit=limit, cursor=cursor)
            found += [row["id"] for row in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    small, large = await collect(7), await collect(100)

    assert len(small) == len(set(small))
    assert set(small) == set(large)
    assert len(large) > 30


async def test_pages_of_a_filtered_text_search_lose_and_repeat_nothing(
    assistant: Assistant,
) -> None:
    everything = await assistant.ask("search_models", query="e", types=["LORA"], limit=100)
    found: list[int] = []
    cursor = None
    while True:
        page = await assistant.ask(
            "search_models", query="e", types=["LORA"], limit=2, cursor=cursor
        )
        assert len(page["items"]) <= 2
        found += [row["id"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert len(found) == len(set(found))
    assert set(found) == {row["id"] for row in everything["items"]}


async def test_what_the_level_hides_is_counted(assistant: Assistant) -> None:
    strict = await assistant.ask("search_models", limit=100, max_level="pg13")
    wide = await assistant.ask("search_models", limit=100, max_level="xxx")

    assert world.R_MODEL not in {row["id"] for row in strict["items"]}
    assert world.R_MODEL in {row["id"] for row in wide["items"]}
    assert strict["hidden"]["level"] >= 1


async def test_the_operators_cap_lowers_what_is_asked(settings: Settings) -> None:
    capped = settings.model_copy(update={"max_level": "pg"})
    async with Client(create_server(capped)) as client:
        answer = await Assistant(client).ask("search_models", limit=100, max_level="xxx")
        refused = await Assistant(client).refused("get_model", model_id=world.R_MODEL)

    assert answer["filters_applied"]["max_level"] == "pg"
    assert refused.startswith("[above_level] ")


@pytest.mark.parametrize(
    "query",
    [
        str(world.DEMO_LORA_MODEL),
        f"https://civitai.com/models/{world.DEMO_LORA_MODEL}/golden-hour",
        f"{world.DEMO_LORA_MODEL}@{world.DEMO_LORA_VERSION}",
        f"urn:air:sdxl:lora:civitai:{world.DEMO_LORA_MODEL}@{world.DEMO_LORA_VERSION}",
    ],
)
async def test_a_query_that_is_a_reference_finds_that_model(
    assistant: Assistant, query: str
) -> None:
    answer = await assistant.ask("search_models", query=query)

    assert [row["id"] for row in answer["items"]] == [world.DEMO_LORA_MODEL]


async def test_an_unknown_tag_is_empty_with_a_reason(assistant: Assistant) -> None:
    answer = await assistant.ask("search_models", tag="no such tag anywhere")

    assert answer["items"] == []
    assert answer["hidden"]["tag"] > 0
    assert "tag" in answer["why_empty"]


async def test_an_unknown_creator_is_empty_with_a_reason(assistant: Assistant) -> None:
    answer = await assistant.ask("search_models", creator="nobody-of-that-name")

    assert answer["items"] == []
    assert "nobody-of-that-name" in answer["why_empty"]


async def test_words_that_fit_nothing_are_empty_with_a_reason(assistant: Assistant) -> None:
    answer = await assistant.ask("search_models", query="zzqx unheard of")

    assert answer["items"] == []
    assert answer["why_empty"]


async def test_a_gate_is_on_the_row(assistant: Assistant) -> None:
    facts = await assistant.ask("get_model_version", version_id=world.EARLY_ACCESS_VERSION)
    answer = await assistant.ask("search_models", query=str(facts["model_id"]))

    assert facts["gate"]["kind"] == "early_access"
    assert facts["gate"]["until"].startswith("2099")
    assert answer["items"][0]["gate"]["kind"] == "early_access"


async def test_a_model_tells_versions_licence_and_clean_text(assistant: Assistant) -> None:
    answer = await assistant.ask("get_model", model_id=world.DEMO_CHECKPOINT_MODEL)

    assert answer["id"] == world.DEMO_CHECKPOINT_MODEL
    assert answer["type"] == "Checkpoint"
    assert next(v["id"] for v in answer["versions"]) == world.DEMO_CHECKPOINT_VERSION
    assert answer["licence"]
    assert "<" not in answer.get("description", "")


async def test_a_long_description_is_read_on_to_its_end(assistant: Assistant) -> None:
    pieces: list[str] = []
    start = 0
    while True:
        answer = await assistant.ask(
            "get_model", model_id=world.LONG_DESCRIPTION_MODEL, description_from=start
        )
        pieces.append(answer["description"])
        if "description_next" not in answer:
            break
        assert answer["description_next"] > start
        start = answer["description_next"]
        if len(pieces) > 3:
            break

    assert len(pieces) > 3
    assert all(len(piece) <= 1300 for piece in pieces)
    assert not any("<script" in piece for piece in pieces)


async def test_a_version_tells_air_and_every_file(assistant: Assistant) -> None:
    answer = await assistant.ask("get_model_version", version_id=world.SAME_NAME_VERSION)

    assert answer["air"].startswith("urn:air:")
    ids = [file["id"] for file in answer["files"]]
    assert len(ids) == len(set(ids)) > 1
    assert all(f"fileId={file['id']}" in file["download_url"] for file in answer["files"])
    assert all("token" not in file["download_url"] for file in answer["files"])


async def test_a_batch_reports_failures_and_hides_no_other(assistant: Assistant) -> None:
    answer = await assistant.ask(
        "get_model", model_ids=[world.DEMO_LORA_MODEL, 1999999999, world.DEMO_CHECKPOINT_MODEL]
    )

    assert [m["id"] for m in answer["items"]] == [
        world.DEMO_LORA_MODEL,
        world.DEMO_CHECKPOINT_MODEL,
    ]
    assert [f["reference"] for f in answer["failed"]] == ["1999999999"]
    assert answer["failed"][0]["error"].startswith("[not_found] ")


async def test_a_hash_leads_to_its_version(assistant: Assistant) -> None:
    facts = await assistant.ask("get_model_version", version_id=world.DEMO_LORA_VERSION)
    sha256 = facts["files"][0]["hashes"]["SHA256"]

    for spelling in (sha256, sha256.lower(), sha256[:10]):
        found = await assistant.ask("get_model_version", version_id=spelling)
        assert found["id"] == world.DEMO_LORA_VERSION


async def test_a_name_alone_is_no_identification(assistant: Assistant) -> None:
    sentence = await assistant.refused("get_model_version", version_id="PastelMistXL.safetensors")

    assert sentence.startswith("[bad_reference] ")
    assert "search_models" in sentence


async def test_a_version_without_its_model_is_answered_or_refused_with_a_code(
    assistant: Assistant,
) -> None:
    sentence = await assistant.refused("get_model_version", version_id=world.ORPHAN_VERSION)

    assert sentence.startswith("[upstream_unavailable] ")


async def test_repeated_questions_are_answered_from_the_cache(
    assistant: Assistant, sandbox: Sandbox
) -> None:
    for _ in range(3):
        await assistant.ask("get_model", model_id=world.DEMO_LORA_MODEL)

    assert len([s for s in sandbox.seen if s.path.endswith(str(world.DEMO_LORA_MODEL))]) == 1


async def test_levels_have_one_order() -> None:
    assert LEVELS == ("pg", "pg13", "r", "x", "xxx")
