"""What an answer leaves out of CivitAI's facts is told, and there is a way to have it."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from civit_mcp.config import Settings
from tests.conftest import Assistant
from tests.door import MOST_BYTES
from tests.traps.kit import (
    GENERATION,
    IMAGE_GET,
    IMAGES,
    MODELS,
    SHA256,
    VERSIONS,
    OddSite,
    at_civitai,
    envelope,
    generation,
    image_facts,
    model_row,
    odd_site,
    resource,
    serving,
    version_body,
    version_row,
)

WORDS = [f"word {number}" for number in range(60)]


@pytest.fixture
def site() -> Iterator[OddSite]:
    with odd_site() as site:
        yield site


@pytest.fixture
def everything_on(settings: Settings) -> Settings:
    return at_civitai(settings.model_copy(update={"toolsets": ("all",)}))


@pytest.fixture
async def reader(everything_on: Settings, site: OddSite) -> AsyncIterator[Assistant]:
    async with serving(everything_on) as who:
        yield who


def model(site: OddSite, words: list[str], **changes: Any) -> None:
    row = model_row(modelVersions=[version_row(trainedWords=words)], **changes)
    site.answers |= {
        MODELS: {"items": [row], "metadata": {}},
        f"{MODELS}/801": row,
        f"{VERSIONS}/8001": version_body(trainedWords=words),
    }


async def pages(reader: Assistant, tool: str, **asked: Any) -> list[dict[str, Any]]:
    """Every page of a listing, each one small enough to be read."""
    found = [await reader.ask(tool, **asked)]
    while cursor := found[-1].get("next_cursor"):
        found.append(await reader.ask(tool, **asked, cursor=cursor))
        assert len(found) < 100
    assert all(len(json.dumps(page, ensure_ascii=False).encode()) <= MOST_BYTES for page in found)
    return found


async def resource_of(reader: Assistant, uri: str) -> dict[str, Any]:
    (content,) = (await reader.client.read_resource(uri)).contents
    return dict(json.loads(content.text))  # type: ignore[union-attr]  # ours are text


async def test_rows_count_the_trigger_words_they_leave_out_and_a_version_has_them_all(
    reader: Assistant, site: OddSite
) -> None:
    model(site, WORDS)
    found = await reader.ask("search_models", query="harbor")
    exact = await reader.ask("search_models", query="https://civitai.com/models/801")
    facts = await reader.ask("get_model", model_id=801)

    for answer, row in (
        (found, found["items"][0]),
        (exact, exact["items"][0]),
        (facts, facts["versions"][0]),
    ):
        assert row["trigger_words"] == WORDS[:8]
        assert row["more_words"] == len(WORDS) - 8
        assert any("get_model_version has them all" in note for note in answer["notes"])
    version = await reader.ask("get_model_version", version_id=8001)
    assert version["trigger_words"] == WORDS
    assert "notes" not in version


async def test_rows_that_leave_out_no_trigger_word_say_nothing_of_it(
    reader: Assistant, site: OddSite
) -> None:
    model(site, WORDS[:8])
    found = await reader.ask("search_models", query="harbor")

    assert found["items"][0]["trigger_words"] == WORDS[:8]
    assert "more_words" not in found["items"][0]
    assert found["notes"] == []


async def test_a_version_of_endless_trigger_words_says_how_many_are_left_out_and_where_they_are(
    reader: Assistant, site: OddSite
) -> None:
    words = [f"one word of many, number {number}" for number in range(500)]
    model(site, words)
    version = await reader.ask("get_model_version", version_id=8001)
    whole = await resource_of(reader, "civitai://model-versions/8001")
    briefly = await resource_of(reader, "civitai://models/801")

    more = len(words) - len(version["trigger_words"])
    assert version["notes"] == [f"{more} more trigger words are in civitai://model-versions/8001"]
    assert whole["trigger_words"] == briefly["versions"][0]["trigger_words"] == words
    assert "notes" not in whole
    assert "notes" not in briefly


async def test_everything_about_a_model_is_in_its_resource(
    reader: Assistant, site: OddSite
) -> None:
    tags = [f"tag {number}" for number in range(30)]
    versions = [version_row(id=8001 + number) for number in range(300)]
    about = "<p>" + "Harbors at dawn. " * 500 + "</p>"
    site.answers[f"{MODELS}/801"] = model_row(tags=tags, modelVersions=versions, description=about)
    facts = await reader.ask("get_model", model_id=801)
    whole = await resource_of(reader, "civitai://models/801")

    left_out = 300 - len(facts["versions"]) - len(facts["more_versions"])
    assert (
        f"{left_out} more versions and 10 more tags are in civitai://models/801" in facts["notes"]
    )
    assert len(whole["versions"]) == 300
    assert whole["tags"] == tags
    assert len(whole["description"]) > 8_000
    assert "description_next" not in whole


@pytest.mark.parametrize(("owners", "left_out"), [(120, 0), (1_201, 200)])
async def test_all_owners_of_a_file_are_named_or_counted(
    reader: Assistant, site: OddSite, owners: int, left_out: int
) -> None:
    site.answers[f"{VERSIONS}/by-hash/ids"] = [
        {"modelVersionId": 8001 + each, "modelId": 801, "hash": SHA256} for each in range(owners)
    ]
    site.answers[f"{VERSIONS}/by-hash"] = [version_body()]
    (row,) = (await reader.ask("identify_files", hashes=[SHA256]))["items"]

    assert len(row["also"]) == owners - 1 - left_out
    assert (f"{left_out} more versions own it" in row.get("note", "")) is (left_out > 0)


async def test_an_image_of_many_versions_counts_those_left_out(
    reader: Assistant, site: OddSite
) -> None:
    ids = list(range(1, 26))
    image = {"id": 700, "url": "x", "nsfwLevel": 1, "type": "image", "postId": 900}
    site.answers |= {
        IMAGES: {"items": [{**image, "modelVersionIds": ids}], "metadata": {}},
        "/api/trpc/image.getInfinite": envelope(
            {"items": [{**image, "modelVersionIds": ids}], "nextCursor": None}
        ),
        "/api/trpc/post.get": envelope(
            {"id": 900, "title": "t", "tags": [{"id": n, "name": f"t{n}"} for n in ids]}
        ),
    }
    for tool, asked, rows in (
        ("search_images", {"post_id": 900}, "items"),
        ("get_collection", {"collection_id": 5}, "items"),
        ("get_post", {"post_id": 900}, "images"),
    ):
        answer = await reader.ask(tool, **asked)
        (row,) = answer[rows]
        assert len(row["version_ids"]) + row["more_versions"] == len(ids)
        assert any("get_generation_data" in note for note in answer["notes"])
    assert "5 more tags are at url" in answer["notes"]


async def test_the_tags_of_an_image_are_read_page_by_page(reader: Assistant, site: OddSite) -> None:
    tags = [
        {"id": n, "name": f"tag {n} " + "x" * 60, "type": "Label", "score": n}
        for n in range(1, 251)
    ]
    site.answers["/api/trpc/tag.getVotableTags"] = envelope(tags)
    for limit in (60, 200):
        found = await pages(reader, "get_image_tags", image_id=700, limit=limit)
        assert [row["id"] for page in found for row in page["items"]] == [*range(250, 0, -1)]
        assert f"{250 - len(found[0]['items'])} more" in found[0]["notes"][0]
        assert found[-1]["notes"] == []
    beyond = await reader.refused("get_image_tags", image_id=700, cursor="WyJ4Il0")
    assert beyond.startswith("[bad_reference] ")


async def test_techniques_and_tools_beyond_a_few_dozen_are_counted(
    reader: Assistant, site: OddSite
) -> None:
    names = [{"name": f"thing {number}"} for number in range(45)]
    site.answers |= {
        GENERATION: envelope(generation(tools=names, techniques=names[:41])),
        IMAGE_GET: envelope(image_facts()),
    }
    answer = await reader.ask("get_generation_data", image_id=700)

    assert (len(answer["tools"]), len(answer["techniques"])) == (40, 40)
    assert "5 more tools are in the raw resource" in answer["notes"]
    assert "1 more techniques are in the raw resource" in answer["notes"]


async def test_notes_of_a_cut_answer_are_kept_or_counted(reader: Assistant, site: OddSite) -> None:
    for many in (20, 400):
        twice = [
            resource(modelVersionId=n, versionId=n, modelName="Harbor " * 20, strength=strength)
            for n in range(1, many + 1)
            for strength in (0.5, 0.7)
        ]
        site.answers |= {
            GENERATION: envelope(generation(resources=twice, meta={"prompt": "p " * 9_000})),
            IMAGE_GET: envelope(image_facts(id=700 + many)),
        }
        answer = await reader.ask("get_generation_data", image_id=700 + many)

        said = [note for note in answer["notes"] if "twice, with strengths" in note]
        (cut,) = (note for note in answer["notes"] if note.startswith("Cut to stay readable"))
        assert len(said) > 12
        assert (f"{many - len(said)} of the notes" in cut) is (len(said) < many)
        assert len(json.dumps(answer, ensure_ascii=False).encode()) <= MOST_BYTES


async def test_filter_words_that_have_no_room_are_counted_and_all_in_the_resource(
    reader: Assistant, site: OddSite, everything_on: Settings
) -> None:
    words = {"ModelType": [f"Type{n}" for n in range(450)], "BaseModel": ["SDXL 1.0"]}
    site.answers["/api/v1/enums"] = words
    answer = await reader.ask("list_enums", kind="types")
    assert set(words["ModelType"]) <= set(answer["types"])
    assert "notes" not in answer

    words["BaseModel"] = [f"Base model {n} " + "x" * 50 for n in range(500)]
    site.answers["/api/v1/enums"] = words
    async with serving(everything_on) as fresh:
        (every,) = await pages(fresh, "list_enums")
        (alone,) = await pages(fresh, "list_enums", kind="base_models")
        whole = await resource_of(fresh, "civitai://enums/base_models")
        assert await resource_of(fresh, "civitai://enums")

    assert every["types"]
    assert any('list_enums(kind="base_models")' in note for note in every["notes"])
    more = len(whole["base_models"]) - len(alone["base_models"])
    assert more > 0
    assert alone["notes"] == [f"{more} more base_models: civitai://enums/base_models has them"]


async def test_availability_is_told_page_by_page_when_one_has_no_room(
    reader: Assistant, site: OddSite
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.path.rpartition("/")[2])
        if number % 5 == 0:
            return httpx.Response(404, json={"error": "gone"})
        name = f"{number} " + "name " * 40
        body = version_body(
            id=number, name=name, usageControl="Generation", model={"name": name, "type": "LORA"}
        )
        return httpx.Response(200, json=body)

    ids = [*range(8001, 8100), "two words"]
    site.answers = {f"{VERSIONS}/{number}": answer for number in ids}
    found = await pages(reader, "check_availability", version_ids=ids)

    assert len(found) > 1
    rows = [row["version_id"] for page in found for row in page["items"]]
    assert rows == ids[:-1]
    assert [row["reference"] for page in found for row in page["failed"]] == ["two words"]
    left = len(ids) - len(found[0]["items"])
    assert f"{left} more; pass the same version_ids with next_cursor" in found[0]["notes"]
    assert not any("more;" in note for note in found[-1]["notes"])
    beyond = await reader.refused("check_availability", version_ids=ids, cursor="WyJ4Il0")
    assert beyond.startswith("[bad_reference] ")


async def test_versions_for_which_an_answer_has_no_room_are_named_one_by_one(
    reader: Assistant, site: OddSite
) -> None:
    files = version_row()["files"] * 20
    refs: list[Any] = []
    for number in range(8001, 8011):
        site.answers[f"{VERSIONS}/{number}"] = version_body(id=number, files=files)
        refs += [number, f"no version at all: {number} " + "x" * 90]
    answer = await reader.ask("get_model_version", version_ids=refs)

    assert len(json.dumps(answer, ensure_ascii=False).encode()) <= MOST_BYTES
    full = [row["reference"] for row in answer["failed"] if "ask for it by itself" in row["error"]]
    shown = [str(row["id"]) for row in answer["items"]]
    assert shown
    assert full
    assert sorted([*full, *shown]) == [str(ref) for ref in refs if isinstance(ref, int)]
