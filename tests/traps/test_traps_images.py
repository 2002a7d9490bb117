"""Traps 56 to 82: images and how they were made."""

import json
from typing import Any

import pytest
from mcp.types import TextResourceContents

from civit_mcp.civitai import CivitaiClient, FeedQuery, ImageQuery
from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, world
from tests.conftest import Assistant
from tests.traps.kit import (
    GENERATION,
    IMAGE_GET,
    IMAGES,
    Json,
    OddSite,
    OddWorld,
    asking,
    code_of,
    envelope,
    file_row,
    generation,
    image_facts,
    resource,
    without,
)


async def ask_image(odd: OddWorld, settings: Settings, **changes: Any) -> Json:
    """What `get_generation_data` says of an image with these changes."""
    odd.generation(**changes)
    async with asking(odd, settings) as assistant:
        return await assistant.ask("get_generation_data", image_id=700)


async def ask_meta(odd: OddWorld, settings: Settings, **meta: Any) -> Json:
    """What it says of an image with this metadata."""
    return await ask_image(odd, settings, meta=meta)


@pytest.mark.parametrize("meta", [None, {}, [], "hidden", {"id": 700, "meta": None}])
async def test_trap_56_an_image_without_metadata_is_answered_and_says_so(
    odd: OddWorld, settings: Settings, meta: Any
) -> None:
    odd.version()
    answer = await ask_image(odd, settings, meta=meta, resources=[resource()])

    assert answer["meta"] == {}
    assert answer["clean_prompt"] == ""
    assert [row["versionId"] for row in answer["resources"]] == [8001]
    assert meta == {} or any("metadata" in note for note in answer["notes"])


async def test_trap_56_metadata_in_its_wrapper_is_read_from_either_source(
    site: OddSite, at_site: Assistant, odd: OddWorld, settings: Settings
) -> None:
    wrapped = {"id": 700, "meta": {"prompt": "a wrapped harbor"}}
    site.answers[GENERATION] = envelope(generation(meta=None))
    site.answers[IMAGES] = {"items": [{"id": 700, "meta": wrapped}], "metadata": {}}
    listed = await at_site.ask("get_generation_data", image_id=700)
    site.answers[GENERATION] = envelope(generation(meta={"id": 701, "meta": wrapped["meta"]}))
    site.answers[IMAGES] = {"items": [], "metadata": {}}
    direct = await at_site.ask("get_generation_data", image_id=701)

    assert listed["clean_prompt"] == direct["clean_prompt"] == "a wrapped harbor"


async def test_trap_57_a_creator_who_hides_metadata_hides_no_resources_tools_or_techniques(
    odd: OddWorld, settings: Settings
) -> None:
    odd.image(hideMeta=True)
    answer = await ask_image(
        odd,
        settings,
        meta=None,
        process=None,
        onSite=False,
        resources=[resource()],
        tools=[{"id": 1, "name": "ComfyUI", "icon": None}],
        techniques=[{"id": 2, "name": "img2img", "notes": None}],
    )

    assert answer["meta"] == {}
    assert [row["modelName"] for row in answer["resources"]] == ["Quiet Harbor"]
    assert (answer["tools"], answer["techniques"]) == (["ComfyUI"], ["img2img"])
    assert answer["detected_type"] == "i2i"
    assert any("hid" in note for note in answer["notes"])


async def test_trap_57_what_the_creator_hides_is_not_read_from_elsewhere(
    site: OddSite, at_site: Assistant
) -> None:
    site.answers[GENERATION] = envelope(generation(meta=None))
    site.answers[IMAGE_GET] = envelope(image_facts(hideMeta=True))
    row = {"id": 700, "meta": {"prompt": "a secret harbor"}}
    site.answers[IMAGES] = {"items": [row], "metadata": {}}

    answer = await at_site.ask("get_generation_data", image_id=700)

    assert "secret" not in json.dumps(answer)


async def test_trap_58_metadata_that_one_bad_value_spoiled_comes_from_the_listing_with_a_note(
    assistant: Assistant,
) -> None:
    whole = await assistant.ask(
        "get_generation_data", image_id=world.BAD_META_IMAGE, include_raw=True
    )

    assert whole["raw"]["result"]["data"]["json"]["meta"] is None
    assert whole["clean_prompt"]
    assert whole["resources"]
    assert any("stored metadata is used" in note for note in whole["notes"])
    assert any("No usable hash under" in note for note in whole["notes"])


@pytest.mark.parametrize(
    ("meta", "prompt", "negative"),
    [
        ({"negativePrompt": "text, watermark"}, "", "text, watermark"),
        ({"steps": 20}, "", ""),
        ({"prompt": None, "negativePrompt": None}, "", ""),
        ({"prompt": ["a", "harbor"], "negativePrompt": 7}, "", ""),
        ({"prompt": "a harbor <lora:x:1>,\nat dawn"}, "a harbor,\nat dawn", ""),
    ],
)
async def test_trap_59_either_prompt_may_be_missing(
    odd: OddWorld, settings: Settings, meta: Json, prompt: str, negative: str
) -> None:
    answer = await ask_meta(odd, settings, **meta)

    assert (answer["clean_prompt"], answer["negative_prompt"]) == (prompt, negative)


async def test_trap_59_a_very_long_prompt_is_read_to_its_last_tag(
    odd: OddWorld, settings: Settings
) -> None:
    text = "boats at dawn,\n" * 900 + "<lora:lastOne:0.7>, the end"

    answer = await ask_meta(odd, settings, prompt=text)

    assert [(row["name"], row["weight"]) for row in answer["detected_deps"]] == [("lastOne", 0.7)]
    assert answer["clean_prompt"].endswith("the end")
    assert any("meta.prompt is cut" in note for note in answer["notes"])


@pytest.mark.parametrize(
    "seed",
    [2**53 + 1, 2**64 + 3, "18446744073709551615", 1.5, -1, 0, True, -(2**70), "random"],
)
async def test_trap_60_a_seed_of_any_make_is_passed_on_digit_by_digit(
    odd: OddWorld, settings: Settings, seed: Any
) -> None:
    answer = await ask_meta(odd, settings, prompt="a harbor", seed=seed)

    assert answer["meta"]["seed"] == seed
    assert type(answer["meta"]["seed"]) is type(seed)


async def test_trap_60_a_seed_of_null_is_no_seed(odd: OddWorld, settings: Settings) -> None:
    assert (await ask_meta(odd, settings, prompt="a", seed=None))["meta"].get("seed") is None


async def test_trap_61_settings_as_texts_are_kept_and_still_understood(
    odd: OddWorld, settings: Settings
) -> None:
    texts = {
        "cfgScale": "7",
        "steps": "30",
        "Clip skip": "2",
        "Size": "512x768",
        "Denoising strength": "0.4",
    }

    answer = await ask_image(odd, settings, process=None, meta={"prompt": "a harbor", **texts})

    assert {key: answer["meta"][key] for key in texts} == texts
    assert answer["detected_type"] == "i2i"


@pytest.mark.parametrize("size", ["512 x 768", "512X768", "512x", None, 512, "tall"])
async def test_trap_62_a_size_in_any_spelling_and_none_of_it_elsewhere_is_no_hindrance(
    odd: OddWorld, settings: Settings, size: Any
) -> None:
    odd.image(width=None, height=None)

    answer = await ask_meta(odd, settings, prompt="a harbor", Size=size, width=None, height=None)

    assert answer["meta"].get("Size") == size
    assert answer["url"].startswith("https://image.civitai.com/")
    assert answer["level"] == "pg"


async def test_trap_63_the_hash_map_tells_kinds_and_names_in_any_case_with_colons_and_gaps(
    odd: OddWorld, settings: Settings
) -> None:
    hashes = {
        "lora:a:b": "AAAAAAAA01",
        "LORA:Styles/Harbor Light": "aaaaaaaa02",
        "Embed:soft": "0xAAAAAAAA03",
        "lyco:tide": "",
        "hypernet:fog": "None",
        "lora:of nothing": "e3b0c44298fc",
        "vae": "AAAAAAAA04",
    }

    answer = await ask_meta(odd, settings, prompt="a harbor", hashes=hashes)

    found = {row.get("hash"): (row["kind"], row["name"]) for row in answer["detected_deps"]}
    assert found["AAAAAAAA01"] == ("lora", "a:b")
    assert found["AAAAAAAA02"] == ("lora", "Styles/Harbor Light")
    assert found["AAAAAAAA03"] == ("embedding", "soft")
    assert found["AAAAAAAA04"][0] == "vae"
    assert len(found) == 4
    assert {row["catalog_status"] for row in answer["detected_deps"]} == {"unknown"}


@pytest.mark.parametrize(
    ("fields", "weight"),
    [
        ({"weight": "0.65"}, 0.65),
        ({"weight": 0.65}, 0.65),
        ({"weight": None}, None),
        ({}, None),
        ({"weight": "strong"}, None),
        ({"weight": [1]}, None),
    ],
)
async def test_trap_64_the_weight_of_a_listed_part_may_be_text_null_or_missing(
    odd: OddWorld, settings: Settings, fields: Json, weight: float | None
) -> None:
    parts = [{"type": "LoRA", "name": "harborLight", "hash": "AAAAAAAA02", **fields}]

    answer = await ask_meta(odd, settings, prompt="a harbor", resources=parts)

    (dep,) = answer["detected_deps"]
    assert (dep["kind"], dep["name"], dep.get("weight")) == ("lora", "harborLight", weight)
    assert dep["source"] == "meta_resources"


async def test_trap_65_versions_in_the_metadata_may_be_texts_weightless_or_deleted(
    odd: OddWorld, settings: Settings
) -> None:
    odd.version()
    listed = [
        {"type": "lora", "modelVersionId": "8001", "weight": 0.5},
        {"type": "lora", "modelVersionId": 8888},
        {"type": "lora", "modelVersionId": "none"},
        {"type": "lora"},
        None,
    ]

    answer = await ask_meta(odd, settings, prompt="a harbor", civitaiResources=listed)

    alive, deleted = answer["detected_deps"]
    assert (alive["civitai_version_id"], alive["weight"]) == (8001, 0.5)
    assert alive["resolved_by"] == "version_id"
    assert deleted["civitai_version_id"] == 8888
    assert deleted["catalog_status"] == "not_found"
    assert deleted.get("resolved_by") is None
    assert any("8888" in note for note in answer["notes"])
    (_, missing) = answer["missing"]
    assert "search_models" in missing["next"]


async def test_trap_66_a_resource_that_comes_twice_is_listed_once_with_its_first_strength(
    odd: OddWorld, settings: Settings
) -> None:
    odd.version()
    rows = [
        resource(strength=None),
        resource(strength=0.6),
        resource(strength=0.9),
        resource(versionId=8002, modelVersionId=8002),
    ]

    answer = await ask_image(odd, settings, resources=rows)

    found = [(row["versionId"], row["strength"]) for row in answer["resources"]]
    assert found == [(8001, 0.6), (8002, 0.8)]


async def test_trap_67_a_strength_that_civitai_drops_is_not_made_up(
    odd: OddWorld, settings: Settings
) -> None:
    rows = [
        resource(strength=None),
        without(resource(versionId=8002, modelVersionId=8002, modelType="Checkpoint"), "strength"),
    ]

    answer = await ask_image(odd, settings, resources=rows)

    assert [row.get("strength") for row in answer["resources"]] == [None, None]


async def test_trap_67_a_dropped_zero_is_known_from_the_prompt(
    odd: OddWorld, settings: Settings
) -> None:
    odd.version(files=[file_row(name="quietHarbor.safetensors")])

    answer = await ask_image(
        odd,
        settings,
        meta={"prompt": "a harbor <lora:quietHarbor:0>"},
        resources=[resource(strength=None)],
    )

    assert [(row["versionId"], row["strength"]) for row in answer["resources"]] == [(8001, 0)]
    assert answer["detected_deps"] == []


async def test_trap_68_a_resource_with_half_of_its_fields_is_still_listed(
    odd: OddWorld, settings: Settings
) -> None:
    rows = [
        without(resource(modelName=None, versionName=None, modelType="lora"), "versionId"),
        resource(versionId=8002, modelVersionId=None, baseModel=None, modelId=None),
        {"imageId": 700, "modelName": "Only a name"},
        {"imageId": 700},
    ]

    answer = await ask_image(odd, settings, resources=rows)

    assert [row.get("versionId") for row in answer["resources"]] == [8001, 8002, None]
    assert answer["resources"][0].get("modelName") is None
    assert answer["resources"][0]["strength"] == 0.8
    assert [row["catalog_status"] for row in answer["resources"]] == [
        "not_found",
        "not_found",
        "unknown",
    ]
    assert [row["name"] for row in answer["missing"]] == [
        "version 8001",
        "Quiet Harbor",
        "Only a name",
    ]


async def test_trap_68_a_tag_belongs_to_a_resource_whose_type_is_in_lower_case(
    odd: OddWorld, settings: Settings
) -> None:
    odd.version()

    answer = await ask_image(
        odd,
        settings,
        meta={"prompt": "a harbor <lora:quietHarbor:0.8>"},
        resources=[resource(modelType="lora")],
    )

    assert answer["detected_deps"] == []


@pytest.mark.parametrize(
    ("techniques", "tools", "kind"),
    [
        (None, None, "t2i"),
        (["img2img"], ["Krita"], "i2i"),
        ([{"id": 1, "name": "inpainting"}], [{"id": 5, "name": "Krita", "notes": None}], "inpaint"),
        ([None, 7, {}, {"name": None}], [{}, None], "t2i"),
        ("img2img", {"name": "Krita"}, "t2i"),
    ],
)
async def test_trap_69_techniques_and_tools_may_be_null_texts_or_objects(
    odd: OddWorld, settings: Settings, techniques: Any, tools: Any, kind: str
) -> None:
    answer = await ask_image(odd, settings, techniques=techniques, tools=tools)

    assert answer["detected_type"] == kind
    assert all(isinstance(word, str) for word in answer["techniques"] + answer["tools"])
    if kind != "t2i":
        assert len(answer["techniques"]) == 1
        assert answer["tools"] == ["Krita"]


@pytest.mark.parametrize(
    ("process", "kind"),
    [
        (None, "unknown"),
        ("comfy", "unknown"),
        ("txt2img", "t2i"),
        ("txt2img + Hi-Res", "t2i"),
        ("txt2img + Hi-Res + ControlNet", "t2i"),
        ("img2img + ControlNet", "i2i"),
        ("inpainting", "inpaint"),
        ("a dream", "unknown"),
        (5, "unknown"),
    ],
)
async def test_trap_70_the_process_is_understood_with_and_without_additions(
    odd: OddWorld, settings: Settings, process: Any, kind: str
) -> None:
    answer = await ask_image(odd, settings, process=process)

    assert answer["detected_type"] == kind
    assert answer["process"] == (process if isinstance(process, str) else None)


@pytest.mark.parametrize(
    ("media", "ending"),
    [("video", "mp4"), ("audio", "mp3"), ("image", "jpeg"), ("hologram", "jpeg")],
)
async def test_trap_71_a_medium_of_any_kind_is_told_with_an_address_that_fits(
    odd: OddWorld, settings: Settings, media: str, ending: str
) -> None:
    odd.image(type=media)

    answer = await ask_image(odd, settings, type=media, process=None)

    assert answer["type"] == media
    assert answer["url"].endswith(f"/original=true/700.{ending}")


async def test_trap_71_an_address_that_is_whole_already_is_kept(
    odd: OddWorld, settings: Settings
) -> None:
    whole = "https://image.civitai.com/key/252fe70b/original=true/clip.mp4"
    odd.image(type="video", url=f"{whole}?token=abc")

    assert (await ask_image(odd, settings, type="video"))["url"] == whole


@pytest.mark.parametrize(
    ("sent", "shown"), [(12345, "12345"), (None, None), ("00123", "00123"), ({"a": 1}, None)]
)
async def test_trap_72_a_user_name_that_comes_as_a_number_is_a_name(
    odd: OddWorld, settings: Settings, sent: Any, shown: str | None
) -> None:
    odd.model(creator={"username": sent})
    async with asking(odd, settings) as assistant:
        model = await assistant.ask("get_model", model_id=801)
        if shown:
            row = (await assistant.ask("search_models", creator=shown))["items"][0]
            assert row["creator"] == shown

    assert model.get("creator") == shown


async def test_trap_72_the_image_of_a_user_with_an_all_digit_name_is_read(
    assistant: Assistant, client: CivitaiClient
) -> None:
    answer = await assistant.ask("get_generation_data", image_id=world.NUMBER_NAME_IMAGE)
    listed = await client.image_from_rest(world.NUMBER_NAME_IMAGE)

    assert answer["image_id"] == world.NUMBER_NAME_IMAGE
    assert listed is not None
    assert listed.username is not None
    assert listed.username.isdigit()


@pytest.mark.parametrize(("image", "level"), [(world.R_IMAGE, "r"), (world.PG13_IMAGE, "pg13")])
async def test_trap_73_the_level_is_right_from_a_listing_that_tells_it_as_word_and_number(
    sandbox: Sandbox, assistant: Assistant, image: int, level: str
) -> None:
    sandbox.use("not-found:/image.get?", "not-found:/image.get")

    answer = await assistant.ask("get_generation_data", image_id=image)

    assert answer["level"] == level


async def test_trap_73_the_number_counts_when_the_word_says_something_else(
    site: OddSite, at_site: Assistant
) -> None:
    row = {"id": 700, "nsfwLevel": "X", "nsfw": True, "browsingLevel": 16, "meta": None}
    site.answers[IMAGES] = {"items": [row], "metadata": {}}
    site.answers[GENERATION] = envelope(generation())

    assert (await at_site.ask("get_generation_data", image_id=700))["level"] == "xxx"


async def test_trap_74_images_of_every_level_are_asked_for_by_mask(
    sandbox: Sandbox, assistant: Assistant, client: CivitaiClient
) -> None:
    everything = await client.images(ImageQuery(browsing_level=31, limit=200))
    for image in (world.DEMO_IMAGE, world.PG13_IMAGE, world.R_IMAGE):
        await assistant.ask("get_generation_data", image_id=image)

    asked = [seen.query for seen in sandbox.seen if seen.path == IMAGES]
    assert len(asked) == 4
    assert all(query["browsingLevel"] == ["31"] for query in asked)
    assert not any("nsfw" in query for query in asked)
    assert {1, 2, 4} <= {image.level_bits for image in everything.items}


async def test_trap_75_the_listing_of_another_image_is_not_taken_for_the_one_asked(
    sandbox: Sandbox, assistant: Assistant
) -> None:
    sandbox.use("wrong-image")

    answer = await assistant.ask("get_generation_data", image_id=world.BAD_META_IMAGE)

    assert answer["image_id"] == world.BAD_META_IMAGE
    assert answer["clean_prompt"] == ""
    assert answer["meta"] == {}
    assert any("No metadata" in note for note in answer["notes"])


async def test_trap_75_an_image_that_answers_with_another_id_is_refused(
    site: OddSite, at_site: Assistant
) -> None:
    site.answers[IMAGE_GET] = envelope(image_facts(id=701, nsfwLevel=16))
    site.answers[IMAGES] = {"items": [{"id": 702, "browsingLevel": 8}], "metadata": {}}
    site.answers[GENERATION] = envelope(generation())

    answer = await at_site.ask("get_generation_data", image_id=700)

    assert answer["level"] is None
    assert any("does not show the image" in note for note in answer["notes"])


async def test_trap_76_the_site_feed_is_walked_to_its_end_and_gives_each_image_once(
    sandbox: Sandbox, client: CivitaiClient
) -> None:
    found: list[int | None] = []
    cursor = None
    for _ in range(100):
        page = await client.image_feed(FeedQuery(limit=3, cursor=cursor))
        found += [image.id for image in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    asked = [json.loads(seen.query["input"][0]) for seen in sandbox.seen]
    assert cursor is None
    assert len(found) == len(set(found)) > 6
    assert "cursor" not in asked[0]["json"]
    assert all(question["json"]["cursor"] for question in asked[1:])
    assert not any("cursor" in question.get("meta", {}).get("values", {}) for question in asked)


async def test_trap_76_a_cursor_that_comes_back_again_is_the_end(
    site: OddSite, site_client: CivitaiClient
) -> None:
    page = {"items": [image_facts()], "nextCursor": "1|5"}
    site.answers["/api/trpc/image.getInfinite"] = envelope(page)

    first = await site_client.image_feed(FeedQuery())
    again = await site_client.image_feed(FeedQuery(cursor=first.next_cursor))

    assert first.next_cursor == "1|5"
    assert again.next_cursor is None


async def test_trap_76_a_search_whose_cursor_repeats_ends_and_repeats_no_model(
    sandbox: Sandbox, assistant: Assistant
) -> None:
    sandbox.use("repeat-cursor")
    found: list[int] = []
    cursor = None
    for _ in range(40):
        page = await assistant.ask("search_models", limit=5, cursor=cursor)
        found += [row["id"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert cursor is None
    assert found


@pytest.mark.parametrize("values", [True, False])
async def test_trap_77_undefined_that_comes_as_null_means_absent(
    site: OddSite, at_site: Assistant, values: bool
) -> None:
    gone = ("meta", "process", "external", "remixOfId")
    annotation = {"meta": {"values": {name: ["undefined"] for name in gone}, "v": 1}}
    output = generation(meta=None, process=None, resources=[resource()])
    site.answers[GENERATION] = envelope(output, **(annotation if values else {}))

    answer = await at_site.ask("get_generation_data", image_id=700)

    assert answer["process"] is None
    assert answer["meta"] == {}
    assert [row["versionId"] for row in answer["resources"]] == [8001]


GRAPH = {
    "1": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "urn:air:sdxl:checkpoint:civitai:802@8002"},
    },
    "2": {
        "class_type": "LoraLoader",
        "inputs": {"lora_name": "styles\\harborLight.safetensors", "model": ["1", 0]},
    },
    "3": {"class_type": "KSampler", "inputs": {"model": ["2", 0], "cfg": None}},
    "4": {"class_type": None},
    "5": None,
}


@pytest.mark.parametrize(
    "comfy",
    [
        {"prompt": GRAPH},
        {"prompt": GRAPH, "workflow": {"nodes": [{"id": 1, "type": "Note"}, {}], "links": None}},
        {"prompt": GRAPH, "workflow": {}},
        json.dumps({"prompt": GRAPH, "workflow": {}}).replace('"workflow": {}', '"workflow": null'),
        json.dumps({"prompt": GRAPH}).replace("null", "NaN", 1),
        json.dumps({"prompt": GRAPH})[:-1] + ', "workflow": undefined}',
    ],
)
async def test_trap_78_a_graph_with_gaps_nan_and_undefined_still_tells_its_parts(
    odd: OddWorld, settings: Settings, comfy: Any
) -> None:
    odd.version(id=8002, modelId=802, model={"name": "Base", "type": "Checkpoint"})

    answer = await ask_meta(odd, settings, prompt="a harbor", comfy=comfy)

    found = {row["name"]: row for row in answer["detected_deps"]}
    (lora,) = [row for row in found.values() if row["kind"] == "lora"]
    assert "harborLight" in lora["name"]
    assert lora["source"] == "comfy_graph"
    (checkpoint,) = [row for row in found.values() if row["kind"] == "checkpoint"]
    assert (checkpoint["civitai_version_id"], checkpoint["resolved_by"]) == (8002, "air")


@pytest.mark.parametrize("comfy", ["{", "null", 5, [], {"prompt": 5, "workflow": "x"}])
async def test_trap_78_a_graph_that_cannot_be_read_costs_nothing_else(
    odd: OddWorld, settings: Settings, comfy: Any
) -> None:
    answer = await ask_meta(odd, settings, prompt="a harbor <lora:x:1>", comfy=comfy)

    assert answer["clean_prompt"] == "a harbor"
    assert [row["name"] for row in answer["detected_deps"]] == ["x"]


@pytest.mark.parametrize(
    "air",
    [
        "urn:air:sdxl:lora:civitai:801@8001",
        "urn:air:sdxl:lora:civitai:801@8001+90001",
        "urn:air:sdxl:lora:civitai:801@8001.safetensors",
        "URN:AIR:SDXL:LORA:CIVITAI:801@8001",
        "air:pony:lora:civitai:801@8001",
        "civitai:801@8001",
        "urn:air:sdxl:lora:civitai:801",
        "urn:air:sdxl:lora:civitai:801@latest",
    ],
)
async def test_trap_79_an_air_in_any_spelling_leads_to_its_version(
    odd: OddWorld, settings: Settings, air: str
) -> None:
    odd.model()
    odd.version()
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model_version", version_id=air)

    assert answer["id"] == 8001


@pytest.mark.parametrize(
    "air",
    [
        "urn:air:other:other:civitai-r2:civitai-worker-assets@sam_vit_b_01ec64.pth",
        "urn:air:flux1:checkpoint:huggingface:harbor-lab/quiet@main",
    ],
)
async def test_trap_79_an_air_of_another_source_is_refused_and_its_dots_are_no_format(
    odd: OddWorld, settings: Settings, air: str
) -> None:
    async with asking(odd, settings) as assistant:
        sentence = await assistant.refused("get_model_version", version_id=air)

    assert code_of(sentence) == "bad_reference"
    assert "source" in sentence or "CivitAI" in sentence


async def test_trap_80_where_an_image_was_made_is_in_the_raw_answer_even_without_metadata(
    odd: OddWorld, settings: Settings
) -> None:
    external = {
        "source": {"name": "Harbor Studio", "homepage": "https://harbor.example"},
        "details": {"steps": 30, "tiled": True, "mode": "calm"},
    }
    odd.generation(meta=None, external=external, tools=[{"id": 3, "name": "Harbor Studio"}])
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_generation_data", image_id=700)
        raw = (await assistant.client.read_resource(answer["raw_uri"])).contents[0]

    assert answer["tools"] == ["Harbor Studio"]
    assert isinstance(raw, TextResourceContents)
    assert json.loads(raw.text)["result"]["data"]["json"]["external"] == external


@pytest.mark.parametrize(
    "stats",
    [
        {"cryCount": 1, "likeCount": 2},
        {"likeCountAllTime": 2, "viewCountAllTime": 9, "newCountAllTime": {}},
        {},
        None,
        [1, 2],
    ],
)
async def test_trap_81_counters_that_are_missing_new_or_renamed_do_no_harm(
    odd: OddWorld, settings: Settings, stats: Any
) -> None:
    odd.image(stats=stats)
    odd.model(stats=stats)
    odd.generation()
    async with asking(odd, settings) as assistant:
        image = await assistant.ask("get_generation_data", image_id=700)
        model = await assistant.ask("get_model", model_id=801)

    assert image["level"] == "pg"
    assert image["clean_prompt"] == "a quiet harbor"
    assert model["name"] == "Quiet Harbor"
    assert "downloads" not in model


@pytest.mark.parametrize(
    "user",
    [
        None,
        {"id": -1, "username": None, "image": None, "deletedAt": "2024-01-01T00:00:00.000Z"},
        {},
        "gone",
    ],
)
async def test_trap_82_the_image_of_a_deleted_account_is_answered(
    odd: OddWorld, settings: Settings, user: Any
) -> None:
    odd.image(user=user)

    answer = await ask_image(odd, settings)

    assert answer["level"] == "pg"
    assert "/252fe70b-06bb-f149-4136-85dbd995877d/" in answer["url"]
    assert answer["notes"] == []
