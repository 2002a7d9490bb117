"""Search and facts through an MCP client."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from civit_mcp.config import Settings
from civit_mcp.models.levels import LEVELS
from civit_mcp.sandbox import Sandbox, running_sandbox, world
from civit_mcp.server import create_server
from tests.conftest import Assistant
from tests.traps.kit import OddWorld, asking


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
    async def collect(limit: int) -> list[int]:
        found: list[int] = []
        cursor = None
        while True:
            page = await assistant.ask(
                "search_models", query="e", types=["LORA"], limit=limit, cursor=cursor
            )
            assert len(page["items"]) <= limit
            found += [row["id"] for row in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    small, large = await collect(2), await collect(100)

    assert len(small) == len(set(small)) > 10
    assert set(small) == set(large)
    assert len(large) == len(set(large))


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


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        ({"tag": "no such tag"}, 'search_models(query="no such tag")'),
        ({"query": "zzqx", "types": ["lora"]}, 'search_models(query="zzqx")'),
        ({"query": "zzqx unheard"}, 'search_models(query="unheard")'),
        ({"creator": "nobody here"}, 'search_creators(query="nobody here")'),
        ({"types": ["VisionLanguage"], "period": "Day"}, "period="),
        ({"base_models": ["Plimsoll"], "query": "zzqx"}, 'search_models(query="zzqx")'),
        ({"query": "zzqx", "base_models": ["AuraFlw"]}, 'base_models=["AuraFlow"]'),
        ({"query": "https://civitai.com/images/5"}, "get_generation_data("),
        ({"query": "https://civitai.com/posts/5"}, "get_post("),
    ],
    ids=str,
)
async def test_an_empty_answer_names_one_call_that_may_find_something(
    assistant: Assistant, arguments: dict[str, Any], call: str
) -> None:
    answer = await assistant.ask("search_models", **arguments)

    assert answer["items"] == []
    assert answer["why_empty"].count("Next: ") == 1
    if call != "period=":
        assert call in answer["why_empty"]


async def test_five_kinds_of_nothing_are_told_apart(
    settings: Settings, assistant: Assistant, sandbox: Sandbox, tmp_path: Path
) -> None:
    name = (await assistant.ask("get_model", model_id=world.R_MODEL))["name"]
    hidden = await assistant.ask("search_models", query=name)
    filtered = await assistant.ask("search_models", query=world.DEMO_QUERY, tag="no such tag")
    gone = await assistant.ask("search_models", query="https://civitai.com/models/999999")
    none = await assistant.ask("search_models", query="zzqx")
    sandbox.use("forbidden-html")
    other = settings.model_copy(update={"cache_dir": tmp_path / "other"})
    async with Client(create_server(other)) as client:
        failed = await Assistant(client).refused("search_models", query="mist")

    assert hidden["hidden"] == {"level": 1}
    assert f'search_models(query="{name}", max_level="r")' in hidden["why_empty"]
    assert filtered["hidden"]["tag"] >= 1
    assert "lack the tag" in filtered["why_empty"]
    assert "deleted, hidden or private" in gone["why_empty"]
    assert none["hidden"] == {}
    assert "CivitAI has nothing for this" in none["why_empty"]
    assert failed.startswith("[forbidden] ")


async def test_the_cap_is_named_when_only_the_operator_can_show_more(settings: Settings) -> None:
    capped = settings.model_copy(update={"max_level": "pg13"})
    async with Client(create_server(settings)) as client:
        name = (await Assistant(client).ask("get_model", model_id=world.R_MODEL))["name"]
    async with Client(create_server(capped)) as client:
        answer = await Assistant(client).ask("search_models", query=name, max_level="xxx")

    assert answer["items"] == []
    assert "CIVIT_MCP_MAX_LEVEL" in answer["why_empty"]
    assert any("cap" in note for note in answer["notes"])


async def test_what_pg_hides_is_counted_too(assistant: Assistant) -> None:
    answer = await assistant.ask("search_models", max_level="pg", limit=100)

    assert answer["hidden"]["level"] >= 2
    assert world.PG13_MODEL not in {row["id"] for row in answer["items"]}


async def test_a_model_stays_although_its_first_preview_is_above_the_level(
    assistant: Assistant,
) -> None:
    found = await assistant.ask("search_models", max_level="pg", query=str(world.R_MODEL))
    facts = await assistant.ask("get_model", model_id=world.MIXED_PREVIEWS_MODEL)
    listed = await assistant.ask("search_models", max_level="pg", query=facts["name"])

    assert world.MIXED_PREVIEWS_MODEL in {row["id"] for row in listed["items"]}
    assert found["items"][0]["level"] == "r"


async def test_only_models_whose_images_may_be_sold_pass_commercial_ok(
    assistant: Assistant,
) -> None:
    answer = await assistant.ask("search_models", commercial_ok=True, limit=20)

    assert answer["items"]
    for row in answer["items"][:10]:
        facts = await assistant.ask("get_model", model_id=row["id"])
        assert "sell images" in facts["licence"]["commercial_use"]
    every: list[int] = []
    cursor = None
    while True:
        page = await assistant.ask("search_models", commercial_ok=True, limit=50, cursor=cursor)
        every += [row["id"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    uses = {
        model: (await assistant.ask("get_model", model_id=model))
        .get("licence", {})
        .get("commercial_use", "")
        for model in world.LICENCE_MODELS
    }
    assert {model for model in uses if model in every} == {
        model for model, words in uses.items() if "sell images" in words
    }


async def test_the_exact_name_comes_first_even_from_far_down_the_page(
    settings: Settings, tmp_path: Path
) -> None:
    odd = OddWorld(tmp_path / "world")
    names = ["Aurora Style", "Big Aurora", "Aurora Two", "aurora", "Auroras"]
    for number, name in enumerate(names):
        odd.model(id=801 + number, name=name)
    async with asking(odd, settings) as who:
        found: list[str] = []
        cursor = None
        for _ in names:
            page = await who.ask("search_models", query="Aurora", limit=1, cursor=cursor)
            found += [row["name"] for row in page["items"]]
            cursor = page["next_cursor"]

    assert found[0] == "aurora"
    assert sorted(found) == sorted(names)
    assert cursor is None


@pytest.mark.parametrize(
    "query",
    ["<lora:PastelMistXL:0.8>", "PastelMistXL.safetensors", "loras/Pastel_Mist_XL.safetensors"],
)
async def test_a_prompt_tag_or_a_file_name_is_searched_by_its_words(
    assistant: Assistant, query: str
) -> None:
    answer = await assistant.ask("search_models", query=query)

    assert answer["items"][0]["id"] == world.DEMO_TAG_LORA_MODEL
    assert answer["filters_applied"]["query"] == "Pastel Mist XL"


async def test_what_does_not_count_beside_a_text_query_is_said(assistant: Assistant) -> None:
    answer = await assistant.ask("search_models", query="mist", sort="Newest", period="Week")

    assert answer["filters_applied"]["sort"] == "relevance"
    assert any("sort and period do not count" in note for note in answer["notes"])


@pytest.mark.parametrize("word", ["embedding", "textual inversion", "TextualInversion"])
async def test_types_may_be_called_what_people_call_them(assistant: Assistant, word: str) -> None:
    answer = await assistant.ask("search_models", types=[word], limit=3)

    assert {row["type"] for row in answer["items"]} == {"TextualInversion"}


@pytest.mark.parametrize("scenario", ["empty-pages", "repeat-cursor"])
async def test_odd_pages_lose_and_repeat_no_model(
    assistant: Assistant, settings: Settings, sandbox: Sandbox, scenario: str, tmp_path: Path
) -> None:
    async def collect(who: Assistant) -> list[int]:
        found: list[int] = []
        cursor = None
        for _ in range(60):
            page = await who.ask("search_models", limit=20, cursor=cursor)
            found += [row["id"] for row in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                return found
        raise AssertionError("the search has no end")

    usual = await collect(assistant)
    sandbox.use(scenario)
    other = settings.model_copy(update={"cache_dir": tmp_path / "other"})
    async with Client(create_server(other)) as client:
        found = await collect(Assistant(client))

    assert len(found) == len(set(found))
    if scenario == "empty-pages":
        assert set(found) == set(usual)


async def test_every_recorded_model_comes_exactly_once(
    recorded: Path, settings: Settings, tmp_path: Path
) -> None:
    with running_sandbox(data=recorded) as stand_in:
        real = settings.model_copy(
            update={"civitai_url": stand_in.base_url, "cache_dir": tmp_path / "real"}
        )
        async with Client(create_server(real)) as client:
            who = Assistant(client)
            by_limit: list[list[int]] = []
            for limit in (9, 100):
                found: list[int] = []
                cursor = None
                while True:
                    page = await who.ask(
                        "search_models", limit=limit, max_level="xxx", cursor=cursor, sort="Newest"
                    )
                    found += [row["id"] for row in page["items"]]
                    cursor = page["next_cursor"]
                    if cursor is None:
                        break
                by_limit.append(found)

    small, large = by_limit
    assert len(small) == len(set(small)) > 20
    assert set(small) == set(large)
    assert len(large) == len(set(large))


async def test_a_deleted_version_is_gone_and_says_where_to_look(assistant: Assistant) -> None:
    sentence = await assistant.refused("get_model_version", version_id=world.DELETED_VERSION)
    batch = await assistant.ask(
        "get_model_version", version_ids=[world.DELETED_VERSION, 59999999, world.DEMO_LORA_VERSION]
    )

    assert sentence.startswith("[gone] ")
    assert "'Deleted'" in sentence
    assert "get_model with model_id" in sentence
    assert [failed["error"].split()[0] for failed in batch["failed"]] == ["[gone]", "[not_found]"]
    assert [item["id"] for item in batch["items"]] == [world.DEMO_LORA_VERSION]


async def test_the_creators_advice_comes_with_a_version_and_is_never_missed(
    assistant: Assistant, settings: Settings, sandbox: Sandbox, tmp_path: Path
) -> None:
    facts = await assistant.ask("get_model_version", version_id=world.DEMO_LORA_VERSION)
    checkpoint = await assistant.ask("get_model_version", version_id=world.DEMO_CHECKPOINT_VERSION)
    sandbox.use("not-found:getResourceDataByIds")
    other = settings.model_copy(update={"cache_dir": tmp_path / "other"})
    async with Client(create_server(other)) as client:
        without = await Assistant(client).ask(
            "get_model_version", version_id=world.DEMO_LORA_VERSION
        )

    assert facts["advice"]["strength"] == 0.8
    assert "strength" not in checkpoint.get("advice", {})
    assert {key: value for key, value in facts.items() if key != "advice"} == without


async def test_a_key_pasted_for_an_id_is_not_repeated(assistant: Assistant) -> None:
    key = "0123456789abcdef0123456789abcdef"
    answer = await assistant.ask("get_model", model_ids=[key, f"{key} x", world.DEMO_LORA_MODEL])

    assert key not in str(answer)
    assert len(answer["failed"]) == 2


@pytest.mark.parametrize("argument", ["query", "tag", "creator"])
async def test_what_looks_like_a_key_is_not_searched_for(
    assistant: Assistant, sandbox: Sandbox, argument: str
) -> None:
    key = "0123456789abcdef0123456789abcdef"
    sentence = await assistant.refused("search_models", **{argument: key})

    assert sentence.startswith("[bad_reference] ")
    assert key not in sentence
    assert not any(key in str(seen.query) for seen in sandbox.seen)
