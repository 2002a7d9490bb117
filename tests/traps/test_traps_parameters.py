"""Traps 83 to 90: what CivitAI makes of what it is asked."""

import httpx
import pytest

from civit_mcp.civitai import CivitaiClient, ImageQuery, ModelQuery
from civit_mcp.config import Settings
from civit_mcp.errors import BadReference, UpstreamUnavailable
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from tests.civitai_support import HandClock
from tests.conftest import Assistant
from tests.traps.kit import IMAGES, MODELS, OddWorld, asking, code_of, model_row, version_row

#: read as true whatever they say
COERCED = (
    "supportsGeneration", "fromPlatform", "earlyAccess", "archived", "followed", "needsReview",
)  # fmt: skip
#: refused whatever they say
STRICT = ("allowNoCredit", "allowDerivatives", "disablePoi", "disableMinor", "browsingLevel")


async def search_all_ways(assistant: Assistant) -> None:
    """Search with every argument that there is, one at a time and together."""
    for arguments in (
        {},
        {"query": "mist"},
        {"types": ["LORA", "LoCon"]},
        {"base_models": ["SDXL 1.0", "Flux.1 D"]},
        {"tag": "landscape"},
        {"creator": "mosswright"},
        {"sort": "Newest", "period": "Year"},
        {"max_level": "xxx"},
        {"types": ["LORA"], "tag": "landscape", "query": "mist", "max_level": "pg"},
    ):
        await assistant.ask("search_models", **arguments)


async def test_trap_83_rows_without_the_tag_are_dropped_and_the_unknown_tag_is_named(
    assistant: Assistant, http: httpx.AsyncClient
) -> None:
    everything = (await http.get(MODELS, params={"tag": "no such tag anywhere"})).json()["items"]

    unknown = await assistant.ask("search_models", tag="no such tag anywhere")
    known = await assistant.ask("search_models", tag="landscape", limit=5)

    assert len(everything) > 5
    assert unknown["items"] == []
    assert unknown["hidden"]["tag"] > 5
    assert "tag" in unknown["why_empty"]
    assert known["items"]


async def test_trap_84_what_counts_as_true_whatever_it_says_is_never_sent(
    sandbox: Sandbox, assistant: Assistant, odd: OddWorld
) -> None:
    odd.model(id=801, supportsGeneration=True)
    odd.model(id=802, supportsGeneration=False, modelVersions=[version_row(id=8002)])
    with odd.running() as other:
        async with httpx.AsyncClient(base_url=other.base_url) as http:
            answer = await http.get(MODELS, params={"supportsGeneration": "false"})

    await search_all_ways(assistant)

    assert [row["id"] for row in answer.json()["items"]] == [801]
    assert len(sandbox.seen) >= 8
    for seen in sandbox.seen:
        assert not seen.query.keys() & {*COERCED, *STRICT}


async def test_trap_85_several_types_and_base_models_are_sent_one_by_one(
    sandbox: Sandbox, assistant: Assistant, http: httpx.AsyncClient
) -> None:
    comma = await http.get(MODELS, params={"types": "LORA,LoCon"})
    odd_name = await http.get(MODELS, params={"baseModels": "SDXL 1.0,Flux.1 D"})
    sandbox.clear()

    answer = await assistant.ask(
        "search_models",
        types=["LORA", "Checkpoint"],
        base_models=["SDXL 1.0", "Flux.1 D"],
        limit=50,
    )

    assert comma.status_code == 400
    assert odd_name.json()["items"] == []
    (seen, *_) = sandbox.seen
    assert seen.query["types"] == ["LORA", "Checkpoint"]
    assert seen.query["baseModels"] == ["SDXL 1.0", "Flux.1 D"]
    assert {row["base_model"] for row in answer["items"]} == {"SDXL 1.0", "Flux.1 D"}
    assert {row["type"] for row in answer["items"]} == {"LORA", "Checkpoint"}


async def test_trap_85_several_base_models_of_images_are_sent_in_one_list(
    sandbox: Sandbox, client: CivitaiClient
) -> None:
    page = await client.images(
        ImageQuery(base_models=("SDXL 1.0", "Flux.1 D"), browsing_level=31, limit=200)
    )

    assert sandbox.seen[0].query["baseModels"] == ["SDXL 1.0,Flux.1 D"]
    assert {image.base_model for image in page.items} == {"SDXL 1.0", "Flux.1 D"}


async def test_trap_85_an_unknown_base_model_of_images_is_refused_with_the_reason(
    client: CivitaiClient,
) -> None:
    with pytest.raises(BadReference, match="baseModels"):
        await client.images(ImageQuery(base_models=("Zeta 9",)))


async def test_trap_86_what_needs_a_key_by_its_mere_presence_is_never_sent(
    sandbox: Sandbox, assistant: Assistant, http: httpx.AsyncClient
) -> None:
    refused = [await http.get(MODELS, params={name: "false"}) for name in ("favorites", "hidden")]
    sandbox.clear()

    await search_all_ways(assistant)

    assert [answer.status_code for answer in refused] == [401, 401]
    assert sandbox.seen
    for seen in sandbox.seen:
        assert not {"favorites", "hidden"} & seen.query.keys()


@pytest.mark.parametrize("limit", [0, 101, -1, 10**9])
async def test_trap_87_a_limit_that_civitai_would_refuse_is_refused_before_it_is_sent(
    sandbox: Sandbox, assistant: Assistant, limit: int
) -> None:
    sentence = await assistant.refused("search_models", limit=limit)

    assert code_of(sentence) == "bad_reference"
    assert "'limit'" in sentence
    assert sandbox.seen == []


async def test_trap_87_limits_of_the_client_stay_within_what_civitai_takes(
    sandbox: Sandbox, client: CivitaiClient, http: httpx.AsyncClient
) -> None:
    assert (await http.get(MODELS, params={"limit": 101})).status_code == 400
    assert (await http.get(IMAGES, params={"limit": 201})).status_code == 400
    assert (await http.get(MODELS, params={"limit": 0})).json()["items"] == []

    models = await client.search_models(ModelQuery(limit=101))
    images = await client.images(ImageQuery(limit=201))
    one = await client.search_models(ModelQuery(limit=0))

    assert models.items
    assert images.items
    assert len(one.items) == 1


async def test_trap_88_a_creator_with_blanks_and_dots_is_found_as_civitai_spells_them(
    odd: OddWorld, settings: Settings
) -> None:
    odd.model(creator={"username": "Harbor_LanternCo"})
    odd.model(id=802, creator={"username": "other"}, modelVersions=[version_row(id=8002)])
    async with asking(odd, settings) as assistant:
        for spelling in ("Harbor_LanternCo", "harbor lantern.co", "@Harbor_LanternCo"):
            answer = await assistant.ask("search_models", creator=spelling)
            assert [row["id"] for row in answer["items"]] == [801], spelling


async def test_trap_88_an_unknown_creator_is_told_apart_from_one_without_models(
    assistant: Assistant,
) -> None:
    answer = await assistant.ask("search_models", creator="nobody of that name")

    assert answer["items"] == []
    assert "no creator 'nobody of that name'" in answer["why_empty"]


async def test_trap_88_a_user_name_that_the_image_list_does_not_take_is_refused_with_the_reason(
    client: CivitaiClient,
) -> None:
    with pytest.raises(BadReference, match="username"):
        await client.images(ImageQuery(username="harbor lantern.co"))


async def test_trap_89_empty_pages_on_the_way_are_passed_and_nothing_is_lost(
    sandbox: Sandbox, assistant: Assistant
) -> None:
    async def walk(limit: int) -> list[int]:
        found: list[int] = []
        cursor = None
        for _ in range(60):
            page = await assistant.ask("search_models", limit=limit, cursor=cursor)
            found += [row["id"] for row in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                return found
        pytest.fail("the pages do not end")

    sandbox.use("empty-pages")
    with_gaps = await walk(7)
    first = await assistant.ask("search_models", limit=9)
    sandbox.use()
    whole = await walk(100)

    assert len(with_gaps) == len(set(with_gaps))
    assert sorted(with_gaps) == sorted(whole)
    assert len(first["items"]) == 9


async def test_trap_89_an_empty_page_with_a_cursor_is_not_the_end_of_a_search(
    odd: OddWorld, settings: Settings
) -> None:
    for number in range(1, 8):
        odd.model(**model_row(id=800 + number, modelVersions=[version_row(id=8000 + number)]))
    async with asking(odd, settings, ["empty-pages"]) as assistant:
        answer = await assistant.ask("search_models", query="quiet", limit=7)

    assert len(answer["items"]) == 7
    assert answer["why_empty"] is None


async def test_trap_90_the_vaults_switch_is_sent_once_even_when_the_answer_is_lost(
    sandbox: Sandbox, settings: Settings
) -> None:
    keyed = Settings(**(settings.model_dump() | {"civitai_api_key": SANDBOX_KEY}))
    version_id = world.DEMO_LORA_VERSION
    async with CivitaiClient(keyed, clock=HandClock()) as client:
        before = (await client.vault_has([version_id]))[version_id]
        sandbox.use("drop-mid-body:toggle-version")
        sandbox.clear()
        with pytest.raises(UpstreamUnavailable):
            await client.toggle_vault(version_id)
        sent = [seen for seen in sandbox.seen if "toggle" in seen.path]
        sandbox.use()
        after = (await client.vault_has([version_id]))[version_id]
        # the stand-in is shared, so the switch goes back to where it was
        if (after is None) is not (before is None):
            await client.toggle_vault(version_id)

    assert len(sent) == 1
    assert sent[0].method == "POST"


async def test_trap_90_switching_twice_is_back_where_it_began(
    sandbox: Sandbox, settings: Settings
) -> None:
    keyed = Settings(**(settings.model_dump() | {"civitai_api_key": SANDBOX_KEY}))
    version_id = world.DEMO_CHECKPOINT_VERSION
    async with CivitaiClient(keyed, clock=HandClock()) as client:
        states = []
        for _ in range(2):
            states.append((await client.vault_has([version_id]))[version_id] is not None)
            await client.toggle_vault(version_id)
        states.append((await client.vault_has([version_id]))[version_id] is not None)

    first, second, third = states
    assert first == third
    assert first != second
