"""Traps 17 to 38: models and versions in every shape they come in."""

import json
from typing import Any

import pytest

from civit_mcp.civitai import CivitaiClient, ModelQuery
from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, world
from tests.conftest import Assistant
from tests.traps.kit import (
    MODELS,
    SHA256,
    VERSIONS,
    Json,
    OddSite,
    OddWorld,
    asking,
    code_of,
    file_row,
    generation,
    model_row,
    version_body,
    version_row,
    without,
)


async def ask_model(odd: OddWorld, settings: Settings, **changes: Any) -> Json:
    """What `get_model` says of a model with these changes."""
    odd.model(**changes)
    async with asking(odd, settings) as assistant:
        return await assistant.ask("get_model", model_id=changes.get("id", 801))


async def ask_version(odd: OddWorld, settings: Settings, **changes: Any) -> Json:
    """What `get_model_version` says of a version with these changes."""
    odd.version(**changes)
    async with asking(odd, settings) as assistant:
        return await assistant.ask("get_model_version", version_id=changes.get("id", 8001))


@pytest.mark.parametrize(
    ("creator", "shown"),
    [
        ({"username": "harbor_lantern", "image": None}, "harbor_lantern"),
        ({"username": None, "image": None}, None),
        ({}, None),
        (None, None),
    ],
)
async def test_trap_17_a_model_without_creator_is_answered_without_one(
    odd: OddWorld, settings: Settings, creator: Any, shown: str | None
) -> None:
    odd.model(creator=creator)
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model", model_id=801)
        row = (await assistant.ask("search_models", query="quiet"))["items"][0]

    assert answer.get("creator") == row.get("creator") == shown
    assert answer["name"] == row["name"] == "Quiet Harbor"


async def test_trap_17_a_model_whose_creator_is_left_out_altogether_is_answered(
    site: OddSite, at_site: Assistant
) -> None:
    site.answers[f"{MODELS}/801"] = without(model_row(), "creator")

    answer = await at_site.ask("get_model", model_id=801)

    assert "creator" not in answer
    assert answer["name"] == "Quiet Harbor"


async def test_trap_18_hidden_counters_are_left_out_and_are_not_zero(
    odd: OddWorld, settings: Settings
) -> None:
    stats = {"downloadCount": None, "thumbsUpCount": 30, "tippedAmountCount": None}
    version = version_row(stats={"downloadCount": None, "thumbsUpCount": 3})
    odd.model(stats=stats, modelVersions=[version])
    odd.version(stats={"downloadCount": None, "thumbsUpCount": 3})
    async with asking(odd, settings) as assistant:
        model = await assistant.ask("get_model", model_id=801)
        one = await assistant.ask("get_model_version", version_id=8001)
        row = (await assistant.ask("search_models", query="quiet"))["items"][0]

    assert model["thumbs_up"] == row["thumbs_up"] == 30
    assert one["thumbs_up"] == 3
    for answer in (model, one, row, model["versions"][0]):
        assert "downloads" not in answer


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (
            "{Image,RentCivit}",
            "sell images made with it; use on Civitai's paid generator",
        ),
        ("{}", "none"),
        ("{None}", "none"),
        ("Rent", "use on other paid generators"),
        (["Image"], "sell images made with it"),
        ([], "none"),
        (None, None),
        ("{Sell,Barter}", "sell the model or merges; Barter"),
    ],
)
async def test_trap_19_commercial_use_of_any_make_is_told_in_plain_words(
    odd: OddWorld, settings: Settings, sent: Any, words: str | None
) -> None:
    answer = await ask_model(odd, settings, allowCommercialUse=sent, allowNoCredit=False)

    assert answer["licence"]["credit_required"] is True
    assert answer["licence"].get("commercial_use") == words


@pytest.mark.parametrize(
    ("fields", "gate", "note"),
    [
        ({}, None, None),
        ({"mode": None}, None, None),
        ({"mode": "Archived"}, "archived", "archived"),
        ({"mode": "TakenDown"}, "taken_down", "taken down"),
    ],
)
async def test_trap_20_archived_and_taken_down_are_gates_and_no_mode_is_none(
    odd: OddWorld, settings: Settings, fields: Json, gate: str | None, note: str | None
) -> None:
    dropped = {"Archived": ("files",), "TakenDown": ("images",)}.get(fields.get("mode", ""), ())
    answer = await ask_model(
        odd, settings, modelVersions=[without(version_row(), *dropped)], **fields
    )

    assert answer["versions"][0].get("gate", {}).get("kind") == gate
    assert answer.get("mode") == fields.get("mode")
    assert any(note in text for text in answer.get("notes", [])) if note else True


async def test_trap_20_a_gone_model_is_not_catalogued_and_the_reason_is_told(
    assistant: Assistant,
) -> None:
    archived = await assistant.ask("add_to_catalog", version_id=world.ARCHIVED_VERSION)
    taken = await assistant.ask("add_to_catalog", version_id=world.TAKEN_DOWN_VERSION)

    assert (archived["status"], taken["status"]) == ("restricted", "restricted")
    assert "archived" in archived["reason"]
    assert "taken down" in taken["reason"]


async def test_trap_21_a_model_without_versions_is_answered_and_its_version_is_not_guessed(
    odd: OddWorld, settings: Settings
) -> None:
    odd.model(modelVersions=[])
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model", model_id=801)
        sentence = await assistant.refused(
            "add_to_catalog", version_id="https://civitai.com/models/801"
        )

    assert answer["name"] == "Quiet Harbor"
    assert "versions" not in answer
    assert code_of(sentence) == "not_found"


async def test_trap_21_a_version_without_files_images_words_and_description_has_a_gate(
    odd: OddWorld, settings: Settings
) -> None:
    bare = {"id": 8001, "name": "v1", "baseModel": "SDXL 1.0"}
    answer = await ask_model(odd, settings, modelVersions=[bare, version_row(id=8002)])

    first, second = answer["versions"]
    assert first["gate"]["kind"] == "no_public_file"
    assert "file" not in first
    assert "trigger_words" not in first
    assert "gate" not in second


@pytest.mark.parametrize(
    "tags",
    [
        ["landscape", "harbor"],
        [{"name": "landscape"}, {"name": "harbor"}],
        [{"id": 5, "name": "landscape"}, "harbor", None, 7, {"id": 6}],
    ],
)
async def test_trap_22_tags_as_texts_or_objects_are_the_same_tags(
    odd: OddWorld, settings: Settings, tags: list[Any]
) -> None:
    assert (await ask_model(odd, settings, tags=tags))["tags"] == ["landscape", "harbor"]


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ({"nsfwLevel": 5}, "r"),
        ({"nsfwLevel": 60}, "xxx"),
        ({"nsfwLevel": 1}, "pg"),
        ({"nsfwLevel": "None"}, "pg"),
        ({"nsfwLevel": "Soft"}, "pg13"),
        ({"nsfwLevel": "Mature", "nsfw": True}, "r"),
        ({"nsfwLevel": None, "nsfw": "Soft"}, "pg13"),
        ({"nsfwLevel": None, "nsfw": False}, "pg"),
        ({"nsfwLevel": 0}, None),
        ({"nsfwLevel": None, "nsfw": None}, None),
        ({"nsfwLevel": [5], "nsfw": {}}, None),
    ],
)
async def test_trap_23_levels_as_mask_word_or_boolean_get_one_name(
    odd: OddWorld, settings: Settings, fields: Json, level: str | None
) -> None:
    assert (await ask_model(odd, settings, **fields)).get("level") == level


async def test_trap_23_a_model_with_a_mask_is_found_when_one_of_its_levels_is_wanted(
    odd: OddWorld, settings: Settings
) -> None:
    odd.model(nsfwLevel=5)
    odd.model(id=802, nsfwLevel=28, nsfw=True, modelVersions=[version_row(id=8002)])
    async with asking(odd, settings) as assistant:
        default = await assistant.ask("search_models", query="quiet")
        wide = await assistant.ask("search_models", query="quiet", max_level="xxx")

    assert [row["id"] for row in default["items"]] == [801]
    assert default["hidden"] == {"level": 1}
    assert {row["id"] for row in wide["items"]} == {801, 802}


async def test_trap_24_a_version_in_a_list_knows_its_model_though_the_list_does_not_say(
    sandbox: Sandbox, client: CivitaiClient, assistant: Assistant
) -> None:
    page = await client.search_models(ModelQuery(query=world.DEMO_QUERY))
    answer = await assistant.ask("search_models", query=world.DEMO_QUERY)

    assert page.items
    for model in page.items:
        assert {version.model_id for version in model.versions} == {model.id}
        assert {version.model_type for version in model.versions} == {model.type}
    for row in answer["items"]:
        assert row["url"].endswith(f"/models/{row['id']}?modelVersionId={row['version_id']}")


@pytest.mark.parametrize("model", [None, {}, [], "gone"])
async def test_trap_25_a_version_without_its_model_is_answered_and_catalogued_nowhere_odd(
    odd: OddWorld, settings: Settings, model: Any
) -> None:
    odd.version(model=model)
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model_version", version_id=8001)
        added = await assistant.ask("add_to_catalog", version_id=8001, dry_run=True)

    assert answer["id"] == 8001
    assert answer["model_id"] == 801
    assert "model_name" not in answer
    # nothing says what kind of model it is, so it must not land among the checkpoints
    assert added.get("category") != "checkpoints"


async def test_trap_25_an_orphan_version_that_civitai_answers_with_500_is_told_as_such(
    patient: Assistant,
) -> None:
    sentence = await patient.refused("get_model_version", version_id=world.ORPHAN_VERSION)

    assert code_of(sentence) == "upstream_unavailable"
    assert str(world.ORPHAN_VERSION) in sentence


SECOND = "0DDC0FFE" * 8
THIRD = "BADCAB1E" * 8


async def test_trap_26_a_batch_of_hashes_with_gaps_and_repeats_gives_each_its_owner(
    site: OddSite, at_site: Assistant
) -> None:
    first = version_body(files=[file_row(downloadUrl="https://undefined/api/download/models/1")])
    other = version_body(
        id=8002,
        modelId=802,
        model={"name": "Still Pond", "type": "LORA"},
        files=[file_row(id=90002, name="stillPond.safetensors", hashes={"SHA256": SECOND})],
    )
    site.answers[f"{VERSIONS}/by-hash"] = [None, other, first, None, other]
    site.answers[f"{VERSIONS}/8002"] = other
    hashes = {"lora:harbor": SHA256, "lora:pond": SECOND, "lora:nowhere": THIRD}
    meta = {"prompt": "a harbor", "hashes": hashes}
    site.answers["/api/trpc/image.getGenerationData"] = {
        "result": {"data": {"json": generation(meta=meta)}}
    }

    answer = await at_site.ask("get_generation_data", image_id=700)
    page = await at_site.ask("get_model_version", version_id=8002)

    owners = {row["name"]: row.get("civitai_version_id") for row in answer["detected_deps"]}
    assert owners == {"harbor": 8001, "pond": 8002, "nowhere": None}
    asked = [request for request in site.seen if request.method == "POST"]
    assert [sorted(json.loads(request.content)) for request in asked] == [
        sorted([SHA256, SECOND, THIRD])
    ]
    assert "undefined" not in json.dumps([answer, page])


@pytest.mark.parametrize(
    "answer",
    [
        [
            {"modelVersionId": 8002, "modelId": 802, "hash": SHA256},
            {"modelVersionId": 8001, "modelId": 801, "hash": SHA256.lower()},
            {"modelVersionId": 8001, "modelId": 801, "hash": SHA256},
        ],
        {SHA256: [{"modelVersionId": 8001, "modelId": 801}, {"modelVersionId": 8002}]},
        {SHA256.lower(): [8001, 8002, 8001]},
    ],
)
async def test_trap_27_owners_as_list_or_map_are_each_given_once(
    site: OddSite, site_client: CivitaiClient, answer: Any
) -> None:
    site.answers[f"{VERSIONS}/by-hash/ids"] = answer

    owners = await site_client.owners_by_sha256([SHA256])

    assert sorted(owner.version_id for owner in owners) == [8001, 8002]
    assert {owner.hash for owner in owners} == {SHA256}


async def test_trap_27_owners_as_a_map_of_hash_to_one_version_are_read(
    site: OddSite, site_client: CivitaiClient
) -> None:
    site.answers[f"{VERSIONS}/by-hash/ids"] = {SHA256: 8001, SECOND: {"modelVersionId": 8002}}

    owners = await site_client.owners_by_sha256([SHA256, SECOND])

    assert {owner.hash: owner.version_id for owner in owners} == {SHA256: 8001, SECOND: 8002}


async def test_trap_28_a_hash_of_several_models_leads_to_the_earliest_and_the_others_are_findable(
    assistant: Assistant, client: CivitaiClient
) -> None:
    earliest, later = world.SHARED_HASH_VERSIONS
    facts = await assistant.ask("get_model_version", version_id=later)
    sha256 = facts["files"][0]["hashes"]["SHA256"]

    found = await assistant.ask("get_model_version", version_id=sha256)
    owners = await client.owners_by_sha256([sha256])

    assert found["id"] == earliest
    assert found["model_id"] != facts["model_id"]
    assert {owner.version_id for owner in owners} == {earliest, later}


@pytest.mark.parametrize("spelling", ["8002", "801@8002", "/models/801?modelVersionId=8002"])
async def test_trap_29_a_version_that_its_model_does_not_list_yet_is_the_one_that_is_meant(
    odd: OddWorld, settings: Settings, spelling: str
) -> None:
    if spelling.startswith("/"):
        spelling = f"https://civitai.com{spelling}"
    odd.model()
    odd.version(id=8002, name="v2", files=[file_row(id=90002, name="quietHarbor2.safetensors")])
    async with asking(odd, settings) as assistant:
        model = await assistant.ask("get_model", model_id=801)
        version = await assistant.ask("get_model_version", version_id=spelling)
        added = await assistant.ask("add_to_catalog", version_id=spelling)

    assert [row["id"] for row in model["versions"]] == [8001]
    assert (version["id"], version["name"]) == (8002, "v2")
    assert added["file"] == "quietHarbor2.safetensors"


async def test_trap_29_a_search_for_a_version_that_its_model_does_not_list_yet_says_so(
    odd: OddWorld, settings: Settings
) -> None:
    odd.model()
    odd.version(id=8002, name="v2")
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("search_models", query="801@8002")

    row = answer["items"][0]
    assert row["id"] == 801
    told = any("8002" in note for note in answer.get("notes", []))
    assert row.get("version_id") == 8002 or told


@pytest.mark.parametrize(
    ("sent", "shown", "family"),
    [
        ("Zeta 9 Turbo", "Zeta 9 Turbo", "other"),
        ("Other", "Other", "other"),
        ("", None, None),
        (None, None, None),
        (17, None, None),
    ],
)
async def test_trap_30_a_base_model_never_seen_before_is_kept_and_still_has_a_shelf(
    odd: OddWorld, settings: Settings, sent: Any, shown: str | None, family: str | None
) -> None:
    odd.version(baseModel=sent)
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model_version", version_id=8001)
        added = await assistant.ask("add_to_catalog", version_id=8001)
        promoted = await assistant.ask("promote_to_lora", version_id=8001)

    assert (answer.get("base_model"), answer.get("family")) == (shown, family)
    assert (added["category"], added["dest"]) == ("loras", "loras")
    assert promoted["category"] == "other_loras"


async def test_trap_31_unknown_types_are_kept_as_text_and_never_take_another_shelf(
    odd: OddWorld, settings: Settings
) -> None:
    odd.version(
        model={"name": "Quiet Harbor", "type": "HoloLens"},
        files=[file_row(type="Holo Weights", metadata={"format": "HoloTensor"})],
        availability="Moonlit",
    )
    odd.version(id=8002, model={"name": "Quiet Harbor", "type": "HoloLens"})
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model_version", version_id=8001)
        odd_file = await assistant.ask("add_to_catalog", version_id=8001)
        odd_model = await assistant.ask("add_to_catalog", version_id=8002)

    assert answer["model_type"] == "HoloLens"
    assert (answer["files"][0]["type"], answer["files"][0]["format"]) == (
        "Holo Weights",
        "HoloTensor",
    )
    assert "gate" not in answer
    assert (odd_file["status"], odd_model["status"]) == ("restricted", "restricted")
    assert "Holo Weights" in odd_file["reason"]
    assert "HoloLens" in odd_model["reason"]


PROMPT = "masterpiece, a harbor at dawn with long shadows on the water, (soft haze:1.2)"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (None, []),
        ([], []),
        (["", "  ", None, 5], ["5"]),
        (["harbor, dawn, haze,"], ["harbor", "dawn", "haze"]),
        ([PROMPT], [PROMPT]),
        (["harbor", "harbor", "dawn,", " dawn "], ["harbor", "dawn"]),
        ("harbor", ["harbor"]),
    ],
)
async def test_trap_32_trigger_words_of_any_make_are_usable_words(
    odd: OddWorld, settings: Settings, sent: Any, words: list[str]
) -> None:
    answer = await ask_version(odd, settings, trainedWords=sent)

    assert answer.get("trigger_words", []) == words


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (None, None),
        ("", None),
        ("<p></p><p> </p>", None),
        ("<p>Boats &amp; nets &#9875;</p>", "Boats & nets \N{ANCHOR}"),
        ("<script>alert(1)</script><p>Boats</p><style>p{}</style>", "Boats"),
        ("<p>Bo\u202eats\u200b</p>", "Boats"),
        ("<p>a &lt;lora:x:1&gt; tag</p>", "a <lora:x:1> tag"),
    ],
)
async def test_trap_33_descriptions_become_plain_text(
    odd: OddWorld, settings: Settings, sent: Any, shown: str | None
) -> None:
    assert (await ask_model(odd, settings, description=sent)).get("description") == shown


async def test_trap_33_a_description_of_100_kb_is_read_on_piece_by_piece(
    odd: OddWorld, settings: Settings
) -> None:
    odd.model(description="<p>" + "Harbors at dawn, one after the other. " * 2700 + "</p>")
    async with asking(odd, settings) as assistant:
        first = await assistant.ask("get_model", model_id=801)
        second = await assistant.ask(
            "get_model", model_id=801, description_from=first["description_next"]
        )
        past = await assistant.ask("get_model", model_id=801, description_from=10**9)

    assert 500 < len(first["description"]) < 1300
    assert second["description_next"] > first["description_next"]
    assert "description_next" not in past


NAMES = {
    "emoji \N{SAILBOAT} and 港の朝": "emoji \N{SAILBOAT} and 港の朝",
    "a/b\\c|d:e": "a/b\\c|d:e",
    "\"quoted\" 'twice'": "\"quoted\" 'twice'",
    "...dots": "...dots",
    "left\u202eright\u200f": "leftright",
    "two\nlines\tand tab": "two lines and tab",
    "trailing dot. ": "trailing dot.",
}


@pytest.mark.parametrize(("sent", "shown"), NAMES.items(), ids=ascii)
async def test_trap_34_odd_names_are_one_readable_line_and_a_safe_entry(
    odd: OddWorld, settings: Settings, sent: str, shown: str
) -> None:
    odd.model(name=sent)
    odd.version(model={"name": sent, "type": "LORA"}, files=[file_row(name=f"{sent}.safetensors")])
    async with asking(odd, settings) as assistant:
        model = await assistant.ask("get_model", model_id=801)
        added = await assistant.ask("add_to_catalog", version_id=8001)
        entry = (await assistant.ask("list_catalog"))["entries"][0]

    assert model["name"] == shown
    assert added["status"] == "added"
    assert added["dest"] == "loras"
    assert added["name"].startswith(shown)
    file = entry["file"]
    assert file.endswith(".safetensors")
    assert not set('/\\<>:"|?*\n\t\u202e\u200f') & set(file)
    assert not file.startswith(".")


async def test_trap_34_a_name_of_hundreds_of_characters_is_cut_and_its_file_fits_a_disk(
    odd: OddWorld, settings: Settings
) -> None:
    sent = "港" * 400
    odd.model(name=sent)
    odd.version(model={"name": sent, "type": "LORA"}, files=[file_row(name=f"{sent}.safetensors")])
    async with asking(odd, settings) as assistant:
        model = await assistant.ask("get_model", model_id=801)
        added = await assistant.ask("add_to_catalog", version_id=8001)

    assert len(model["name"]) <= 200
    assert len(added["file"].encode()) <= 255
    assert added["file"].endswith(".safetensors")


async def test_trap_35_missing_dates_are_left_out_and_dates_without_zone_are_utc(
    odd: OddWorld, settings: Settings
) -> None:
    odd.version(publishedAt=None)
    odd.version(id=8002, createdAt=None, earlyAccessEndsAt="2099-01-01T12:00:00.000")
    odd.version(id=8003, publishedAt="2025-03-04T09:15:00", earlyAccessEndsAt="2001-01-01T00:00:00")
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model_version", version_ids=[8001, 8002, 8003])

    undated, early, past = answer["items"]
    assert "published_at" not in undated
    assert "gate" not in undated
    assert early["gate"]["until"] == "2099-01-01T12:00:00+00:00"
    assert past["published_at"] == "2025-03-04T09:15:00"
    assert "gate" not in past


@pytest.mark.parametrize(
    ("paid", "gate", "until"),
    [
        ({"permanent": True, "endsAt": None}, "early_access", None),
        ({"permanent": False, "endsAt": "2099-01-01T00:00:00.000Z"}, "early_access", "2099"),
        ({"permanent": False, "endsAt": "2024-01-01T00:00:00.000Z"}, None, None),
        ({"permanent": True, "endsAt": "2024-01-01T00:00:00.000Z"}, "early_access", None),
        (None, None, None),
        ({}, None, None),
        ("yes", None, None),
    ],
)
async def test_trap_36_paid_access_holds_for_ever_or_until_its_end_and_then_not(
    odd: OddWorld, settings: Settings, paid: Any, gate: str | None, until: str | None
) -> None:
    odd.version(paidAccess=paid)
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model_version", version_id=8001)
        added = await assistant.ask("add_to_catalog", version_id=8001)

    assert answer.get("gate", {}).get("kind") == gate
    assert answer.get("gate", {}).get("until", "")[:4] == (until or "")
    assert added["status"] == ("restricted" if gate else "added")


@pytest.mark.parametrize(
    ("usage", "gated"),
    [
        ("Download", False),
        (None, False),
        ("", False),
        ("Generation", True),
        ("InternalGeneration", True),
        ("ExternalGeneration", True),
        ("Telepathy", True),
    ],
)
async def test_trap_37_only_download_and_silence_let_a_version_be_catalogued(
    odd: OddWorld, settings: Settings, usage: str | None, gated: bool
) -> None:
    odd.version(usageControl=usage)
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model_version", version_id=8001)
        added = await assistant.ask("add_to_catalog", version_id=8001)

    assert ("gate" in answer) is gated
    assert added["status"] == ("restricted" if gated else "added")
    if gated:
        assert answer["gate"]["kind"] == "usage_control"
        assert str(usage) in added["reason"]


async def test_trap_38_ids_as_texts_are_the_same_ids(site: OddSite, at_site: Assistant) -> None:
    version = version_row(id="8001", files=[file_row(id="90001")])
    site.answers[f"{MODELS}/801"] = model_row(id="801", modelVersions=[version])
    site.answers[f"{VERSIONS}/8001"] = version_body(id="8001", modelId="801")

    model = await at_site.ask("get_model", model_id="801")
    one = await at_site.ask("get_model_version", version_id="8001")
    added = await at_site.ask("add_to_catalog", version_id=8001)

    assert (model["id"], model["versions"][0]["id"]) == (801, 8001)
    assert model["versions"][0]["file"]["id"] == 90001
    assert (one["id"], one["model_id"]) == (8001, 801)
    assert added["status"] == "added"


async def test_trap_38_a_catalog_with_ids_as_texts_is_recognised(
    assistant: Assistant, settings: Settings
) -> None:
    entry = {
        "name": "An entry of another program",
        "file": "golden.safetensors",
        "dest": "loras",
        "source": "civitai",
        "size_gb": 0.1,
        "base_model": "SDXL 1.0",
        "tags": [],
        "civitai_version_id": str(world.DEMO_LORA_VERSION),
    }
    catalog = {
        "version": 3,
        "date": "2025-01-01 10:00",
        "categories": [{"id": "loras", "name": "LoRAs", "models": [entry]}],
    }
    settings.catalog_dir.mkdir()
    (settings.catalog_dir / "models.json").write_text(json.dumps(catalog), encoding="utf-8")

    added = await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)
    image = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)

    assert added["status"] == "already_exists"
    assert added["file"] == "golden.safetensors"
    row = next(r for r in image["resources"] if r["versionId"] == world.DEMO_LORA_VERSION)
    assert (row["catalog_status"], row["catalog_file"]) == ("missing", "golden.safetensors")
