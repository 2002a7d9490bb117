"""`get_generation_data` through an MCP client, on the stand-in's world."""

import json

import pytest
from mcp import Client

from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, running_sandbox, world
from civit_mcp.server import create_server
from tests.conftest import Assistant

ALWAYS = {
    "image_id", "url", "type", "process", "detected_type", "level", "resources", "detected_deps",
    "clean_prompt", "negative_prompt", "meta", "techniques", "tools", "missing", "notes", "raw",
}  # fmt: skip


async def test_an_image_tells_its_parts_and_what_is_missing(assistant: Assistant) -> None:
    answer = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)

    assert answer.keys() >= ALWAYS
    assert answer["detected_type"] == "t2i"
    assert answer["level"] == "pg"
    listed = {row["versionId"]: row for row in answer["resources"]}
    assert listed.keys() == {world.DEMO_CHECKPOINT_VERSION, world.DEMO_LORA_VERSION}
    assert listed[world.DEMO_LORA_VERSION]["strength"] == pytest.approx(0.8)
    deps = {row["civitai_version_id"]: row for row in answer["detected_deps"]}
    assert deps.keys() == {world.DEMO_TAG_LORA_VERSION, world.DEMO_EMBEDDING_VERSION}
    assert deps[world.DEMO_TAG_LORA_VERSION]["source"] == "prompt"
    assert deps[world.DEMO_TAG_LORA_VERSION]["weight"] == pytest.approx(0.6)
    assert deps[world.DEMO_EMBEDDING_VERSION]["source"] == "negative_prompt"
    assert {row["resolved_by"] for row in deps.values()} == {"hash"}
    assert {row["catalog_status"] for row in answer["missing"]} == {"not_found"}
    assert len(answer["missing"]) == 4
    assert "<lora" not in answer["clean_prompt"]


async def test_an_image_is_understood_in_any_spelling(assistant: Assistant) -> None:
    number = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)
    for spelling in (
        str(world.DEMO_IMAGE),
        f"https://civitai.com/images/{world.DEMO_IMAGE}",
        f"civitai.red/de/images/{world.DEMO_IMAGE}?period=AllTime",
        f"please look at https://civitai.com/images/{world.DEMO_IMAGE}, thanks",
    ):
        assert await assistant.ask("get_generation_data", image_id=spelling) == number


async def test_ten_unlisted_loras_are_looked_up_at_once_and_each_once(settings: Settings) -> None:
    with running_sandbox(latency=0.05) as sandbox:
        slow = settings.model_copy(update={"civitai_url": sandbox.base_url})
        async with Client(create_server(slow)) as client:
            answer = await Assistant(client).ask(
                "get_generation_data", image_id=world.TEN_LORAS_IMAGE
            )
        asked = [seen.path for seen in sandbox.seen if "by-hash" in seen.path]
        together = sandbox.max_in_flight

    found = [row["civitai_version_id"] for row in answer["detected_deps"]]
    assert sorted(found) == sorted(world.TEN_LORAS_VERSIONS)
    assert len(asked) == len(set(asked)) >= 10
    assert together >= 10


async def test_hidden_metadata_is_said_and_resources_still_come(assistant: Assistant) -> None:
    answer = await assistant.ask("get_generation_data", image_id=world.HIDDEN_META_IMAGE)

    assert answer["resources"]
    assert answer["meta"] == {}
    assert answer["clean_prompt"] == ""
    assert any("hid" in note for note in answer["notes"])


async def test_metadata_that_one_bad_value_spoiled_is_read_from_the_listing(
    assistant: Assistant,
) -> None:
    answer = await assistant.ask("get_generation_data", image_id=world.BAD_META_IMAGE)

    assert answer["clean_prompt"]
    assert answer["notes"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (world.VIDEO_IMAGE, "i2v"),
        (world.TEXT_VIDEO_IMAGE, "t2v"),
        (world.INPAINT_IMAGE, "inpaint"),
        (world.IMG2IMG_IMAGE, "i2i"),
        (world.HIRES_IMAGE, "t2i"),
    ],
)
async def test_the_kind_of_generation_is_told(
    assistant: Assistant, image: int, expected: str
) -> None:
    answer = await assistant.ask("get_generation_data", image_id=image)

    assert answer["detected_type"] == expected


async def test_what_the_catalog_has_is_marked_and_no_longer_missing(
    assistant: Assistant, settings: Settings
) -> None:
    added = await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)
    assert settings.models_root is not None
    place = settings.models_root / added["dest"] / added["file"]

    catalogued = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"weights")
    on_disk = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)

    def row(answer: dict[str, list[dict[str, object]]]) -> dict[str, object]:
        return next(r for r in answer["resources"] if r["versionId"] == world.DEMO_LORA_VERSION)

    assert row(catalogued)["catalog_status"] == "missing"
    assert row(on_disk)["catalog_status"] == "present"
    assert row(on_disk)["catalog_file"] == added["file"]
    assert len(on_disk["missing"]) == len(catalogued["missing"]) - 1


async def test_a_hash_that_civitai_does_not_know_identifies_nothing(assistant: Assistant) -> None:
    answer = await assistant.ask("get_generation_data", image_id=world.UNKNOWN_LORA_IMAGE)

    unknown = [row for row in answer["detected_deps"] if row["catalog_status"] == "unknown"]
    assert unknown
    assert not any("civitai_version_id" in row for row in unknown)


async def test_a_seed_beyond_floating_point_is_exact(assistant: Assistant) -> None:
    answer = await assistant.ask(
        "get_generation_data", image_id=world.BIG_SEED_IMAGE, include_raw=True
    )

    sent = answer["raw"]["result"]["data"]["json"]["meta"]["seed"]
    assert int(sent) > 2**53
    assert answer["meta"]["seed"] == sent


async def test_the_raw_envelope_is_a_resource_and_an_option(assistant: Assistant) -> None:
    lean = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)
    whole = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE, include_raw=True)
    resource = await assistant.client.read_resource(lean["raw_uri"])

    assert lean["raw"] is None
    assert json.loads(getattr(resource.contents[0], "text", "")) == whole["raw"]


async def test_an_image_above_the_cap_is_refused(settings: Settings) -> None:
    capped = settings.model_copy(update={"max_level": "pg13"})
    async with Client(create_server(capped)) as client:
        assistant = Assistant(client)

        sentence = await assistant.refused("get_generation_data", image_id=world.R_IMAGE)
        allowed = await assistant.ask("get_generation_data", image_id=world.PG13_IMAGE)

    assert sentence.startswith("[above_level] ")
    assert allowed["level"] == "pg13"


async def test_an_explicit_image_is_answered_whatever_its_level(assistant: Assistant) -> None:
    answer = await assistant.ask("get_generation_data", image_id=world.R_IMAGE)

    assert answer["level"] == "r"


async def test_an_image_that_does_not_exist_is_not_found(assistant: Assistant) -> None:
    sentence = await assistant.refused("get_generation_data", image_id=world.NO_SUCH_IMAGE)

    assert sentence.startswith("[not_found] ")
    assert str(world.NO_SUCH_IMAGE) in sentence
    assert "Next: " in sentence


async def test_failed_look_ups_are_told_apart_from_unknown_things(
    assistant: Assistant, sandbox: Sandbox
) -> None:
    sandbox.use("error-500:/by-hash/")

    answer = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)

    assert {row["catalog_status"] for row in answer["detected_deps"]} == {"unknown"}
    assert any("look-ups failed" in note for note in answer["notes"])


async def test_without_a_models_root_missing_is_explained(settings: Settings) -> None:
    rootless = settings.model_copy(update={"models_root": None})
    async with Client(create_server(rootless)) as client:
        assistant = Assistant(client)
        await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)

        answer = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)

    assert any("models root" in note for note in answer["notes"])
