"""Readers from CivitAI's JSON to records: every spelling in, facts out, no crash."""

import contextlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.civitai.envelope import Opened, unwrap
from civit_mcp.civitai.jsontext import parse
from civit_mcp.civitai.queries import ImageQuery, ModelQuery
from civit_mcp.civitai.wire import fields, generation, images, listings, models
from civit_mcp.civitai.wire.files import read_file, read_hash, read_hashes
from civit_mcp.errors import CivitError, UpstreamChanged
from civit_mcp.models.levels import NSFW_BITS
from civit_mcp.models.records import EMPTY_HASHES

UUID = "4278af43-a356-4bd1-81aa-dea1c75ae335"
CDN = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA"
SHA = "0123456789ABCDEF" * 4

#: names that CivitAI uses, so that random JSON reaches the readers' branches
NAMES = """
id items metadata nextCursor nextPage modelVersions modelId model files images hashes name type
creator username tags stats downloadCount trainedWords allowCommercialUse nsfw nsfwLevel
browsingLevel paidAccess permanent endsAt timeframeDays earlyAccessDeadline publishedAt
createdAt earlyAccessTimeFrame earlyAccessConfig meta url resources strength versionId
modelVersionId modelVersionIds hash SHA256 AutoV3 tools techniques sizeKB user tier
subscriptions ModelType json result data error
"""
KEYS = st.sampled_from(NAMES.split())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["NaN", "7", "0x" + SHA, UUID, "2026-01-01T00:00:00Z", "9999-12-31", "{A,B}"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(KEYS | st.text(max_size=3), inner),
    max_leaves=40,
)
OBJECTS = st.dictionaries(KEYS, JSON)


@given(JSON | OBJECTS | st.lists(OBJECTS))
def test_any_json_is_read_or_refused_with_one_of_our_errors(value: Any) -> None:
    readers = (
        models.model_from,
        models.version_from,
        listings.versions_from,
        listings.owners_from,
        listings.enums_from,
        listings.account_from,
        lambda value: generation.generation_from(value, raw={}, about="x"),
        lambda value: images.read_image(fields.expect(value, about="x")),
        lambda value: read_file(fields.expect(value, about="x")),
        lambda value: listings.page_from(
            value,
            models.read_model,
            identity=lambda model: model.id,
            asked_cursor=None,
            about="models",
        ),
        lambda value: listings.page_from(
            value,
            images.read_listed_image,
            identity=lambda image: image.id,
            asked_cursor="7",
            about="images",
        ),
    )
    for read in readers:
        with contextlib.suppress(CivitError):
            read(value)


@given(OBJECTS, st.integers(1, 2**31 - 1))
def test_an_object_with_an_id_is_a_record_with_that_id(source: dict[str, Any], number: int) -> None:
    assert models.model_from({**source, "id": number}).id == number
    assert models.version_from({**source, "id": str(number)}).id == number
    listed = images.read_listed_image({**source, "id": float(number)})
    assert listed is not None
    assert listed.id == number


@pytest.mark.parametrize("value", [None, [], "text", 7, True, {}, {"id": 0}, {"error": "x"}])
def test_an_answer_of_the_wrong_kind_names_what_was_expected(value: Any) -> None:
    with pytest.raises(UpstreamChanged, match="a model was expected"):
        models.model_from(value)
    with pytest.raises(UpstreamChanged, match="a version was expected"):
        models.version_from(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        ("7", 7),
        (" 7 ", 7),
        (7.0, 7),
        (2**31 - 1, 2**31 - 1),
        (2**31, None),
        (10**400, None),
        (0, None),
        (-1, None),
        (True, None),
        (7.5, None),
        (float("inf"), None),
        ("7x", None),
        ("٧", None),
        ("9" * 5000, None),
        (None, None),
        ([7], None),
    ],
)
def test_an_id_is_a_positive_32_bit_number(value: Any, expected: int | None) -> None:
    assert fields.ident(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        ("0.8", 0.8),
        (".8", 0.8),
        ("-1", -1.0),
        ("1e2", 100.0),
        ("1e999", None),
        ("NaN", None),
        ("1_0", None),
        (True, None),
        (10**400, None),
        (float("nan"), None),
        (None, None),
    ],
)
def test_a_real_number_is_finite(value: Any, expected: float | None) -> None:
    assert fields.real(value) == expected


@pytest.mark.parametrize(
    ("source", "bits"),
    [
        ({"nsfwLevel": 31}, 31),
        ({"nsfwLevel": "4"}, 4),
        ({"nsfwLevel": 0}, 0),
        ({"nsfwLevel": "X", "browsingLevel": 16, "nsfw": True}, 16),
        ({"nsfwLevel": "Soft", "nsfw": False}, 2),
        ({"nsfw": "None"}, 1),
        ({"nsfw": "Mature"}, 4),
        ({"nsfw": True}, NSFW_BITS),
        ({"nsfw": "true"}, NSFW_BITS),
        ({"nsfw": False}, 1),
        ({"nsfwLevel": 4096, "nsfw": False}, 1),
        ({"nsfwLevel": True}, None),
        ({"nsfw": "Whatever"}, None),
        ({}, None),
    ],
)
def test_the_level_is_found_in_every_generation_of_fields(
    source: dict[str, Any], bits: int | None
) -> None:
    assert fields.level_bits(source) == bits


@pytest.mark.parametrize(
    ("value", "uses"),
    [
        ("{Image,RentCivit}", {"Image", "RentCivit"}),
        ('{"Image", "Sell"}', {"Image", "Sell"}),
        ("{}", set()),
        ("{None}", set()),
        ("None", set()),
        ("Rent", {"Rent"}),
        (["Image", "None", 7, None], {"Image"}),
        ([], set()),
        ("", None),
        (None, None),
        (True, None),
        ({}, None),
    ],
)
def test_commercial_use_is_read_in_every_spelling(value: Any, uses: set[str] | None) -> None:
    assert models.commercial_use(value) == uses


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["a", " b ", "", None, "a", "b,", 1950, {}], ("a", "b", "1950")),
        (["red hair, blue eyes, ohwx"], ("red hair", "blue eyes", "ohwx")),
        (["red hair,"], ("red hair",)),
        ("one, two", ("one", "two")),
        (["a portrait of a woman, soft light"], ("a portrait of a woman, soft light",)),
        (["(red hair:1.2), blue"], ("(red hair:1.2), blue",)),
        (["<lora:x:1>, y"], ("<lora:x:1>, y",)),
        (["a, b", "c"], ("a, b", "c")),
        ([", ,"], ()),
        (["w" * 60 + ", x"], ("w" * 60 + ", x",)),
        ([", ".join("abcdefghijklmnop")], (", ".join("abcdefghijklmnop"),)),
        (None, ()),
        (7, ()),
        ({}, ()),
    ],
)
def test_trigger_words_are_cleaned_and_prompts_stay_whole(
    value: Any, words: tuple[str, ...]
) -> None:
    assert models.trigger_words(value) == words


@pytest.mark.parametrize(
    ("source", "until", "permanent"),
    [
        ({}, None, False),
        ({"paidAccess": None}, None, False),
        ({"paidAccess": {}}, None, False),
        ({"paidAccess": {"permanent": True, "endsAt": None}}, None, True),
        ({"paidAccess": {"permanent": False, "endsAt": None}}, None, True),
        (
            {"paidAccess": {"permanent": False, "endsAt": "2026-12-01T00:00:00Z"}},
            "2026-12-01T00:00:00Z",
            False,
        ),
        ({"paidAccess": {"endsAt": "never"}}, None, False),
        (
            {
                "paidAccess": {"endsAt": None, "timeframeDays": 2},
                "publishedAt": "2026-01-01T00:00:00Z",
            },
            "2026-01-03T00:00:00+00:00",
            False,
        ),
        ({"earlyAccessDeadline": "2026-12-01T00:00:00Z"}, "2026-12-01T00:00:00Z", False),
        (
            {"earlyAccessDeadline": None, "earlyAccessEndsAt": "2026-12-02T00:00:00"},
            "2026-12-02T00:00:00",
            False,
        ),
        (
            {"earlyAccessTimeFrame": 7, "publishedAt": "2026-01-01T00:00:00.000Z"},
            "2026-01-08T00:00:00+00:00",
            False,
        ),
        (
            {"earlyAccessTimeFrame": "7", "publishedAt": None, "createdAt": "2026-01-01"},
            "2026-01-08T00:00:00+00:00",
            False,
        ),
        (
            {"earlyAccessConfig": {"timeframe": 1}, "publishedAt": "2026-01-01T00:00:00Z"},
            "2026-01-02T00:00:00+00:00",
            False,
        ),
        ({"earlyAccessTimeFrame": 0, "publishedAt": "2026-01-01T00:00:00Z"}, None, False),
        ({"earlyAccessTimeFrame": 10**9, "publishedAt": "2026-01-01T00:00:00Z"}, None, False),
        ({"earlyAccessTimeFrame": 3000, "publishedAt": "9999-01-01T00:00:00Z"}, None, False),
        ({"earlyAccessTimeFrame": 7}, None, False),
        ({"paidAccess": "yes", "earlyAccessConfig": []}, None, False),
    ],
)
def test_early_access_is_read_from_all_three_generations(
    source: dict[str, Any], until: str | None, *, permanent: bool
) -> None:
    assert models.early_access(source) == (until, permanent)


def test_hashes_are_canonical_and_the_hash_of_nothing_is_none() -> None:
    raw = {
        "sha256": SHA.lower(),
        "Blake3": "0x" + SHA,
        "autoV2": " 9ef9f138aa ",
        "AutoV3": "E3B0C44298FC",
        "CRC32": "not hex!",
        "MD5": SHA,
        "AutoV1": None,
    }
    expected = {"SHA256": SHA, "BLAKE3": SHA, "AutoV2": "9EF9F138AA"}
    assert read_hashes(raw) == expected
    assert read_hashes([{"type": key, "hash": value} for key, value in raw.items()]) == expected
    assert read_hashes(None) == {}
    for nothing in (*EMPTY_HASHES, "", "0x", "123", "g" * 10, SHA + "0", 7):
        assert read_hash(nothing) is None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"sizeKB": 1.5}, {"size_kb": 1.5}),
        ({"sizeKb": "2048"}, {"size_kb": 2048.0}),
        ({"sizeKB": 0}, {"size_kb": 0.0}),
        ({"sizeKB": -1}, {"size_kb": None}),
        (
            {"metadata": {"format": "GGUF", "fp": None, "quantType": "Q8_0", "size": "full"}},
            {"format": "GGUF", "fp": None, "quant": "Q8_0", "size": "full"},
        ),
        ({"metadata": None, "format": "Other", "fp": "fp8_e4m3fn"}, {"format": "Other"}),
        ({"name": "a.b.SafeTensors"}, {"format": "SafeTensor", "name": "a.b.SafeTensors"}),
        ({"name": "../../x/y.ckpt"}, {"format": "PickleTensor", "name": "../../x/y.ckpt"}),
        ({"name": None, "overrideName": "o.zip"}, {"format": None, "name": "o.zip"}),
        ({"primary": True}, {"primary": True}),
        ({"primary": None}, {"primary": False}),
        ({"id": "12", "type": "VAE"}, {"id": 12, "type": "VAE"}),
        ({"id": "img"}, {"id": None}),
    ],
)
def test_a_file_is_read_in_every_spelling(source: Any, expected: dict[str, Any]) -> None:
    record = read_file(source)
    assert {key: getattr(record, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ({"id": 5, "url": UUID}, f"{CDN}/{UUID}/original=true/5.jpeg"),
        ({"id": 5, "url": UUID, "type": "video"}, f"{CDN}/{UUID}/original=true/5.mp4"),
        ({"id": 5, "url": UUID, "type": "audio"}, f"{CDN}/{UUID}/original=true/5.mp3"),
        ({"url": UUID}, f"{CDN}/{UUID}/original=true/{UUID}.jpeg"),
        ({"url": f"{CDN}/{UUID}/width=450/9.jpeg?token=x#y"}, f"{CDN}/{UUID}/width=450/9.jpeg"),
        ({"url": "javascript:alert(1)"}, None),
        ({"url": "file:///etc/passwd"}, None),
        ({"url": "https://user:word@host/x.png"}, None),
        ({"url": "https://[broken/x.png"}, None),
        ({"url": 7}, None),
        ({}, None),
    ],
)
def test_an_image_address_is_absolute_and_without_query(source: Any, url: str | None) -> None:
    assert images.read_image(source).url == url


def test_an_image_is_read_in_every_spelling() -> None:
    image = images.read_image(
        {
            "id": "img123",
            "url": f"{CDN}/{UUID}/width=450/123.jpeg",
            "username": 123,
            "meta": {"id": 9, "meta": {"prompt": "p"}},
            "modelVersionIds": [2, "3", None, 2],
            "modelVersionId": 4,
            "width": None,
            "hideMeta": False,
        }
    )
    assert (image.id, image.username, image.meta) == (123, "123", {"prompt": "p"})
    assert (image.version_ids, image.width, image.hide_meta) == ((2, 3, 4), None, False)
    assert images.read_image({"user": {"username": None}}).username is None
    assert images.read_image({"user": {"username": "u"}}).username == "u"


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        (None, None),
        ({}, {}),
        ({"id": 1, "meta": None}, None),
        ({"meta": {"seed": 1}}, {"seed": 1}),
        ({"meta": "odd", "prompt": "p"}, {"meta": "odd", "prompt": "p"}),
        ("text", None),
        ([], None),
    ],
)
def test_metadata_is_unwrapped(meta: Any, expected: Any) -> None:
    assert images.unwrap_meta(meta) == expected


def test_a_version_in_a_list_knows_its_model() -> None:
    model = models.model_from(
        {
            "id": 1,
            "name": "  Name / with | all\u202e sorts  ",
            "type": "NewType",
            "mode": "Archived",
            "nsfw": False,
            "creator": {"username": 42, "image": None},
            "tags": ["a", {"name": "b"}, {"id": 3}, None, "a"],
            "stats": {"downloadCount": None, "thumbsUpCount": 5},
            "modelVersions": [
                {"id": 2},
                {"id": "x"},
                None,
                "odd",
                {"id": 3, "modelId": 9},
                {"id": 4, "model": {}},
            ],
        }
    )
    assert model.name == "  Name / with | all\u202e sorts  "
    assert (model.creator, model.tags) == ("42", ("a", "b"))
    assert (model.downloads, model.thumbs_up) == (None, 5)
    assert [(version.id, version.model_id) for version in model.versions] == [
        (2, 1),
        (3, 9),
        (4, 1),
    ]
    first = model.versions[0]
    assert (first.model_name, first.model_type, first.model_mode, first.model_nsfw) == (
        model.name,
        "NewType",
        "Archived",
        False,
    )


@pytest.mark.parametrize("creator", [None, {}, {"username": None}, [], "absent"])
def test_a_model_without_a_creator_has_none(creator: Any) -> None:
    source = {"id": 1} if creator == "absent" else {"id": 1, "creator": creator}
    assert models.model_from(source).creator is None


def test_a_version_tells_what_its_own_model_object_says() -> None:
    version = models.version_from(
        {
            "id": 2,
            "model": {"id": 8, "name": "M", "type": "LORA", "nsfw": True, "mode": "TakenDown"},
            "usageControl": "SomethingNew",
        }
    )
    assert (version.model_id, version.model_name, version.model_type) == (8, "M", "LORA")
    assert (version.model_mode, version.model_nsfw) == ("TakenDown", True)
    assert version.usage_control == "SomethingNew"
    assert models.version_from({"id": 2, "model": None}).model_name is None


def page(value: Any, asked: str | None = None) -> Any:
    return listings.page_from(
        value,
        models.read_model,
        identity=lambda model: model.id,
        asked_cursor=asked,
        about="models",
    )


@pytest.mark.parametrize(
    ("answer", "cursor"),
    [
        ({"metadata": {"nextCursor": "75363|932023|257749"}}, "75363|932023|257749"),
        ({"metadata": {"nextCursor": 101}}, "101"),
        ({"metadata": {"nextCursor": 101.0}}, "101"),
        ({"nextCursor": "1|1744925337225"}, "1|1744925337225"),
        ({"metadata": {"nextPage": "https://x/api?page=2&cursor=a%7Cb&token=t"}}, "a|b"),
        ({"metadata": {"nextPage": "https://x/api?page=2"}}, None),
        ({"metadata": {"nextPage": "https://[x"}}, None),
        ({"metadata": {"nextCursor": None}}, None),
        ({"metadata": {"nextCursor": ""}}, None),
        ({"metadata": {"nextCursor": True}}, None),
        ({"metadata": None}, None),
        ({}, None),
    ],
)
def test_the_cursor_is_echoed_as_text(answer: Any, cursor: str | None) -> None:
    assert page({"items": [], **answer}).next_cursor == cursor


def test_a_repeated_cursor_is_the_end() -> None:
    assert page({"items": [], "metadata": {"nextCursor": 7}}, "7").next_cursor is None


def test_rows_come_once_and_odd_rows_hide_no_other() -> None:
    rows = [{"id": 1}, None, {"id": -1}, {"name": "no id"}, {"id": 1}, "text", {"id": "2"}]
    assert [model.id for model in page({"items": rows}).items] == [1, 2]
    assert [model.id for model in page(rows).items] == [1, 2]


@pytest.mark.parametrize("value", [None, {}, {"items": None}, {"items": {}}, "x"])
def test_a_page_without_rows_to_read_is_refused(value: Any) -> None:
    with pytest.raises(UpstreamChanged, match="models"):
        page(value)


def test_a_batch_of_versions_comes_as_list_or_map_without_gaps_and_repeats() -> None:
    rows = [{"id": 5}, None, {"id": 5}, {"id": 3}]
    assert [version.id for version in listings.versions_from(rows)] == [5, 3]
    assert [version.id for version in listings.versions_from({"A": {"id": 5}})] == [5]
    with pytest.raises(UpstreamChanged):
        listings.versions_from("x")


def test_owners_of_hashes_come_as_list_or_map() -> None:
    other = "F" * 64
    rows = [
        {"modelVersionId": 1, "modelId": 2, "hash": SHA.lower()},
        {"modelVersionId": "1", "modelId": 2, "hash": SHA},
        {"modelVersionId": 3, "hash": SHA},
        {"modelVersionId": None, "hash": other},
        None,
    ]
    found = [(o.hash, o.version_id, o.model_id) for o in listings.owners_from(rows)]
    assert found == [(SHA, 1, 2), (SHA, 3, None)]
    mapped = {SHA: 1, other: {"modelVersionId": 4, "modelId": 5}, "odd": 6}
    found = [(o.hash, o.version_id, o.model_id) for o in listings.owners_from(mapped)]
    assert found == [(SHA, 1, None), (other, 4, 5)]


def test_generation_data_is_read_without_metadata_and_in_old_spellings() -> None:
    record = generation.generation_from(
        {
            "type": "video",
            "generationProcess": "img2img + ControlNet",
            "meta": None,
            "resources": [
                {"modelVersionId": 4, "modelType": "lora", "strength": "0.8", "modelName": None},
                {"versionId": "5", "modelVersionId": 4, "strength": None},
                {"modelName": "deleted"},
                {"strength": 1},
                None,
            ],
            "tools": None,
            "techniques": ["txt2img", {"id": 1, "name": "workflow", "notes": None}, {}, None],
            "external": {"details": {"a": True}},
        },
        raw={"r": 1},
        about="x",
    )
    assert (record.type, record.process, record.meta) == ("video", "img2img + ControlNet", None)
    assert [(r.version_id, r.strength) for r in record.resources] == [
        (4, 0.8),
        (5, None),
        (None, None),
    ]
    assert record.resources[0].model_type == "lora"
    assert (record.tools, record.techniques) == ((), ("txt2img", "workflow"))
    assert record.external == {"details": {"a": True}}
    assert record.raw == {"r": 1}


def test_metadata_of_generation_data_is_as_sent() -> None:
    meta = {"seed": 2**60 + 1, "cfgScale": "7", "hashes": {"lora:a:b": ""}, "x": [None]}
    assert generation.generation_from({"meta": meta}, raw={}, about="x").meta == meta


def test_model_filters_are_repeated_keys_and_ids_have_commas() -> None:
    query = ModelQuery(
        query="a b",
        types=("LORA", "", "LoCon"),
        base_models=("SDXL 1.0", "Pony"),
        ids=(1, 2),
        nsfw=True,
        limit=500,
        cursor="1|2",
    )
    assert sorted(query.params()) == sorted(
        [
            ("limit", "100"),
            ("query", "a b"),
            ("ids", "1,2"),
            ("nsfw", "true"),
            ("cursor", "1|2"),
            ("types", "LORA"),
            ("types", "LoCon"),
            ("baseModels", "SDXL 1.0"),
            ("baseModels", "Pony"),
        ]
    )
    assert ModelQuery(limit=0).params() == (("limit", "1"),)


def test_image_filters_have_commas_and_metadata_is_flat() -> None:
    query = ImageQuery(
        post_id=3,
        types=("video",),
        base_models=("Pony", "SDXL 1.0"),
        tags=(4, 5),
        with_meta=True,
        browsing_level=3,
        limit=999,
    )
    assert dict(query.params()) == {
        "limit": "200",
        "postId": "3",
        "type": "video",
        "baseModels": "Pony,SDXL 1.0",
        "tags": "4,5",
        "withMeta": "true",
        "flatMeta": "true",
        "browsingLevel": "3",
    }
    assert "type" not in dict(ImageQuery(types=("image", "video")).params())


# recorded answers


def answers(folder: Path) -> list[Any]:
    found = [parse(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    assert found, f"no answers in {folder}"
    return found


def check_version(version: Any, source: dict[str, Any], model_id: int | None = None) -> None:
    assert version.id == source["id"]
    assert version.name == source["name"]
    assert version.base_model == source["baseModel"]
    assert version.model_id == source.get("modelId", model_id)
    assert version.downloads == source["stats"]["downloadCount"]
    assert [file.id for file in version.files] == [file.get("id") for file in source["files"]]
    for file, sent in zip(version.files, source["files"], strict=True):
        assert (file.name, file.type, file.size_kb) == (sent["name"], sent["type"], sent["sizeKB"])
        assert file.primary is bool(sent.get("primary"))
        assert file.fp == sent["metadata"].get("fp")
        for key, digest in sent["hashes"].items():
            assert file.hashes.get("BLAKE3" if key == "Blake3" else key) in (digest.upper(), None)
        assert set(sent["hashes"].values()) - set(file.hashes.values()) <= EMPTY_HASHES
    assert [image.width for image in version.images] == [i["width"] for i in source["images"]]
    assert all(image.id and image.url for image in version.images if "civitai.com" in image.url)
    for word in version.trigger_words:
        assert any(word in sent for sent in source["trainedWords"])
    if version.early_access_until is not None:
        datetime.fromisoformat(version.early_access_until)


def check_model(model: Any, source: dict[str, Any]) -> None:
    assert (model.id, model.name, model.type) == (source["id"], source["name"], source["type"])
    assert model.creator == source["creator"]["username"]
    assert model.downloads == source["stats"]["downloadCount"]
    assert model.allow_commercial_use is not None
    assert len(model.tags) == len(source["tags"])
    assert model.level_bits is not None
    for version, sent in zip(model.versions, source["modelVersions"], strict=True):
        check_version(version, sent, model.id)


def test_every_recorded_model_is_read_without_loss(recorded: Path) -> None:
    for source in answers(recorded / "rest" / "models"):
        check_model(models.model_from(source), source)


def test_every_recorded_version_is_read_without_loss(recorded: Path) -> None:
    folders = ("model_versions", "model_versions_entries", "by_hash")
    for source in [one for folder in folders for one in answers(recorded / "rest" / folder)]:
        source.setdefault("trainedWords", [])
        check_version(models.version_from(source), source)


def test_every_recorded_page_is_read_without_loss(recorded: Path) -> None:
    for source in answers(recorded / "rest" / "models_pages"):
        found = page(source)
        assert found.next_cursor == source["metadata"].get("nextCursor")
        for model, sent in zip(found.items, source["items"], strict=True):
            check_model(model, sent)


def test_recorded_enums_are_read(recorded: Path) -> None:
    for source in answers(recorded / "rest" / "enums"):
        enums = listings.enums_from(source)
        assert enums.model_types == tuple(source["ModelType"])
        assert enums.base_models == tuple(source["BaseModel"])


def test_every_recorded_generation_is_read_without_loss(recorded: Path) -> None:
    for envelope in answers(recorded / "trpc" / "image.getGenerationData"):
        opened = unwrap(envelope)
        assert isinstance(opened, Opened)
        assert opened.raw == envelope
        source = envelope["result"]["data"]["json"]
        record = generation.generation_from(opened.value, raw=opened.raw, about="x")
        assert (record.type, record.process) == (source["type"], source["process"])
        assert record.meta == source["meta"]
        assert json.dumps(record.meta) == json.dumps(source["meta"])
        for resource, sent in zip(record.resources, source["resources"], strict=True):
            assert (resource.version_id, resource.model_id, resource.strength) == (
                sent["modelVersionId"],
                sent["modelId"],
                sent.get("strength"),
            )
            assert resource.model_name == sent["modelName"]


def test_recorded_feed_images_are_read(recorded: Path) -> None:
    for source in answers(recorded / "trpc" / "image.getInfinite"):
        image = images.read_image(source)
        assert image.id == source["id"]
        assert image.level_bits == source["nsfwLevel"]
        assert image.url is not None
        assert image.url.endswith(f"{source['url']}/original=true/{source['id']}.jpeg")
        assert set(source["modelVersionIds"]) <= set(image.version_ids)
