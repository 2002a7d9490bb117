"""Traps 1 to 16: what comes around an answer, or instead of it."""

import base64
import json
from typing import Any

import httpx
import pytest
from mcp.types import TextResourceContents

from civit_mcp.civitai import CivitaiClient
from civit_mcp.config import Settings
from civit_mcp.errors import NotFound
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from civit_mcp.sandbox.devalue import dumps
from tests.civitai_support import BASE, KEY, HandClock
from tests.conftest import Assistant
from tests.traps.kit import (
    GENERATION,
    IMAGE_GET,
    MODELS,
    OddSite,
    OddWorld,
    asking,
    at_civitai,
    code_of,
    envelope,
    generation,
    image_facts,
    model_row,
    serving,
    version_body,
)

MODEL = f"{MODELS}/801"
BY_HASH = "/api/v1/model-versions/by-hash/ABCDEF1234"


async def test_trap_01_a_result_in_devalue_text_reads_like_any_other(
    sandbox: Sandbox, settings: Settings
) -> None:
    async with serving(settings) as assistant:
        plain = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)
    sandbox.use("devalue")
    async with serving(settings) as assistant:
        encoded = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)

    assert encoded == plain
    assert plain["resources"]


@pytest.mark.parametrize("scenario", ["devalue", "bare-trpc"])
async def test_trap_02_an_error_in_devalue_text_or_without_its_level_keeps_its_meaning(
    sandbox: Sandbox, client: CivitaiClient, patient: Assistant, scenario: str
) -> None:
    sandbox.use(scenario)

    with pytest.raises(NotFound, match=f"No image with id {world.NO_SUCH_IMAGE}"):
        await client.image(world.NO_SUCH_IMAGE)
    sentence = await patient.refused("get_generation_data", image_id=world.NO_SUCH_IMAGE)
    assert code_of(sentence) == "not_found"


@pytest.mark.parametrize("wrapped", [dumps, lambda error: error, lambda error: {"json": error}])
async def test_trap_02_an_error_inside_a_successful_answer_is_an_error(
    site: OddSite, site_client: CivitaiClient, wrapped: Any
) -> None:
    data = {"code": "NOT_FOUND", "httpStatus": 404, "path": "image.get"}
    error = {"message": "No image with id 700", "code": -32004, "data": data}
    site.answers[IMAGE_GET] = {"error": wrapped(error)}

    with pytest.raises(NotFound, match="No image with id 700"):
        await site_client.image(700)


async def test_trap_03_a_web_page_with_status_200_is_told_and_not_repeated(
    sandbox: Sandbox, patient: Assistant
) -> None:
    sandbox.use("html-200")

    sentence = await patient.refused("get_model", model_id=world.DEMO_LORA_MODEL)

    assert code_of(sentence) == "upstream_changed"
    assert "<" not in sentence


@pytest.mark.parametrize(
    ("scenario", "code"),
    [
        ("rate-limit-forever", "rate_limited"),
        ("forbidden-html", "forbidden"),
        ("cloudflare-524", "upstream_unavailable"),
    ],
)
async def test_trap_04_an_error_with_a_web_page_has_the_code_of_its_status(
    sandbox: Sandbox, patient: Assistant, scenario: str, code: str
) -> None:
    sandbox.use(scenario)

    sentence = await patient.refused("get_model", model_id=world.DEMO_LORA_MODEL)

    assert code_of(sentence) == code
    assert "<" not in sentence


async def test_trap_05_a_plain_text_500_is_tried_again_and_then_told(
    sandbox: Sandbox, patient: Assistant
) -> None:
    sandbox.use("error-500-once")
    answer = await patient.ask("get_model", model_id=world.DEMO_LORA_MODEL)
    sandbox.use("error-500")
    sentence = await patient.refused("get_model", model_id=world.DEMO_CHECKPOINT_MODEL)

    assert answer["id"] == world.DEMO_LORA_MODEL
    assert code_of(sentence) == "upstream_unavailable"
    assert "500" in sentence


async def test_trap_06_raw_control_characters_in_texts_are_read_and_do_not_reach_names(
    sandbox: Sandbox, settings: Settings
) -> None:
    async with serving(settings) as assistant:
        plain = await assistant.ask("get_model", model_id=world.DEMO_LORA_MODEL)
    sandbox.use("control-chars")
    async with serving(settings) as assistant:
        answer = await assistant.ask("get_model", model_id=world.DEMO_LORA_MODEL)

    assert answer["name"] == plain["name"]
    assert [version["name"] for version in answer["versions"]] == [
        version["name"] for version in plain["versions"]
    ]
    assert answer["description"].split() == plain["description"].split()


async def test_trap_06_raw_control_characters_do_not_reach_the_creators_name(
    odd: OddWorld, settings: Settings
) -> None:
    odd.model(creator={"username": "harbor\x01\n\u202elantern"})
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model", model_id=801)
        row = (await assistant.ask("search_models", query="quiet"))["items"][0]

    assert answer["creator"] == row["creator"] == "harbor lantern"


async def test_trap_07_megabytes_of_graph_and_description_make_a_small_answer(
    odd: OddWorld, settings: Settings
) -> None:
    node = {"class_type": "KSampler", "inputs": {"seed": 1, "note": "x" * 900}}
    graph = {str(number): node for number in range(4000)}
    meta = {"prompt": "a quiet harbor", "comfy": {"prompt": graph}}
    odd.generation(meta=meta)
    odd.model(description="<p>" + "Harbors at dawn. " * 150_000 + "</p>")
    async with asking(odd, settings) as assistant:
        image = await assistant.ask("get_generation_data", image_id=700)
        model = await assistant.ask("get_model", model_id=801)
        raw = (await assistant.client.read_resource(image["raw_uri"])).contents[0]

    assert image["clean_prompt"] == "a quiet harbor"
    assert any("raw resource" in note for note in image["notes"])
    assert len(json.dumps(image)) < 4000
    assert len(json.dumps(model)) < 4000
    assert model["description_next"] > 0
    assert isinstance(raw, TextResourceContents)
    assert len(raw.text) > 3_000_000


async def test_trap_08_the_429_of_deep_pages_is_not_tried_again(
    sandbox: Sandbox, patient: Assistant
) -> None:
    sandbox.use("page-cap")

    sentence = await patient.refused("search_models", query="mist")

    assert code_of(sentence) == "rate_limited"
    assert "cursor" in sentence
    assert len(sandbox.seen) == 1


ISSUES = [{"code": "too_big", "path": ["limit"], "message": "Too big: expected at most 100"}]


@pytest.mark.parametrize(
    "body",
    [
        ISSUES,
        {"error": {"name": "ZodError", "message": json.dumps(ISSUES, indent=2)}},
        {"error": {"name": "ZodError", "issues": ISSUES}},
        {"error": ISSUES},
        {"name": "ZodError", "message": json.dumps(ISSUES)},
        {"error": "✖ Too big: expected at most 100\n  → at limit"},
    ],
)
async def test_trap_09_a_400_of_any_make_becomes_one_readable_line(
    site: OddSite, at_site: Assistant, body: Any
) -> None:
    site.answers[MODELS] = httpx.Response(400, json=body)

    sentence = await at_site.refused("search_models", query="mist")

    assert code_of(sentence) == "bad_reference"
    assert "limit: Too big: expected at most 100" in sentence
    assert not set("\n✖→[]{}") & set(sentence.partition("]")[2])


async def test_trap_10_an_absence_that_may_be_cached_for_an_hour_is_asked_again_sooner(
    site: OddSite, settings: Settings
) -> None:
    clock = HandClock()
    hour = {"cache-control": "public, s-maxage=3600, stale-while-revalidate=1800"}
    absent = httpx.Response(404, json={"error": "Model not found"}, headers=hour)
    site.answers[BY_HASH] = absent
    site.answers["/api/v1/model-versions/8001"] = version_body()
    async with serving(at_civitai(settings), clock) as assistant:
        sentence = await assistant.refused("get_model_version", version_id="ABCDEF1234")
        site.answers[BY_HASH] = version_body()
        clock.seconds += 301
        found = await assistant.ask("get_model_version", version_id="ABCDEF1234")

    assert code_of(sentence) == "not_found"
    assert found["id"] == 8001


async def test_trap_11_the_origin_gate_opens_to_us_without_a_key(
    sandbox: Sandbox, patient: Assistant, http: httpx.AsyncClient
) -> None:
    asked = {"input": json.dumps({"json": {"id": world.DEMO_IMAGE}})}
    stranger = await http.get(GENERATION, params=asked)
    sandbox.clear()

    answer = await patient.ask("get_generation_data", image_id=world.DEMO_IMAGE)

    assert stranger.status_code == 401
    assert answer["resources"]
    trpc = [seen for seen in sandbox.seen if seen.path.startswith("/api/trpc/")]
    assert trpc
    assert all(seen.headers["referer"] == "https://civitai.com/" for seen in trpc)


async def test_trap_12_an_invalid_key_still_gets_public_data_and_is_told_apart_by_me(
    sandbox: Sandbox, settings: Settings
) -> None:
    def keyed(key: str) -> Settings:
        return Settings(
            **(settings.model_dump() | {"civitai_api_key": key}),
        )

    async with serving(keyed("sk-of-nobody")) as assistant:
        answer = await assistant.ask("get_model", model_id=world.DEMO_LORA_MODEL)
    async with CivitaiClient(keyed("sk-of-nobody")) as client:
        stranger = await client.me()
    async with CivitaiClient(keyed(SANDBOX_KEY)) as client:
        owner = await client.me()

    assert answer["id"] == world.DEMO_LORA_MODEL
    assert stranger is None
    assert owner is not None


async def test_trap_13_an_empty_list_for_an_image_means_that_there_is_none(
    client: CivitaiClient, patient: Assistant, http: httpx.AsyncClient
) -> None:
    listed = await http.get("/api/v1/images", params={"imageId": world.NO_SUCH_IMAGE})

    assert (listed.status_code, listed.json()["items"]) == (200, [])
    assert await client.image_from_rest(world.NO_SUCH_IMAGE) is None
    sentence = await patient.refused("get_generation_data", image_id=world.NO_SUCH_IMAGE)
    assert code_of(sentence) == "not_found"
    assert str(world.NO_SUCH_IMAGE) in sentence


async def test_trap_14_a_key_echoed_in_the_next_page_is_neither_shown_nor_followed(
    site: OddSite, at_site: Assistant
) -> None:
    link = f"{BASE}/api/v1/models?limit=1&token={KEY}&cursor=5"
    first = {"items": [model_row()], "metadata": {"nextPage": link}}
    second = {"items": [model_row(id=802)], "metadata": {}}
    site.answers[MODELS] = lambda r: second if "cursor" in r.url.params else first

    page = await at_site.ask("search_models", limit=1)
    after = await at_site.ask("search_models", limit=1, cursor=page["next_cursor"])

    token = page["next_cursor"]
    inside = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    assert KEY not in json.dumps(page) + inside
    assert [row["id"] for row in after["items"]] == [802]
    assert not any(KEY in str(request.url) for request in site.seen)


async def test_trap_15_a_redirect_to_another_host_is_not_followed_and_takes_no_key_along(
    sandbox: Sandbox, settings: Settings
) -> None:
    sandbox.use("redirect-away")
    keyed = Settings(**(settings.model_dump() | {"civitai_api_key": SANDBOX_KEY}))
    async with serving(keyed) as assistant:
        sentence = await assistant.refused("get_model", model_id=world.DEMO_LORA_MODEL)

    assert code_of(sentence) == "upstream_changed"
    assert "localhost" in sentence
    assert "elsewhere" not in [seen.path.strip("/") for seen in sandbox.seen]
    assert SANDBOX_KEY not in sentence


async def test_trap_15_the_stand_ins_storage_refuses_whoever_brings_the_key_along(
    http: httpx.AsyncClient,
) -> None:
    bearer = {"authorization": f"Bearer {SANDBOX_KEY}"}
    path = f"/api/download/models/{world.DEMO_LORA_VERSION}"
    signed = (await http.get(path, headers=bearer)).headers["location"]

    assert SANDBOX_KEY not in signed
    assert (await http.get(signed, headers=bearer)).status_code == 400
    assert (await http.get(signed)).status_code == 200


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (f"{BASE}{MODEL}", "circles"),
        (f"http://civitai.com{MODEL}", "http://civitai.com"),
        ("https://civitai.com.example.org/models", "civitai.com.example.org"),
        ("//example.org/", "example.org"),
        ("file:///etc/hostname", "not followed"),
    ],
)
async def test_trap_16_a_redirect_in_circles_downwards_or_elsewhere_is_refused(
    site: OddSite, at_site: Assistant, target: str, said: str
) -> None:
    site.answers[MODEL] = httpx.Response(302, headers={"location": target})

    sentence = await at_site.refused("get_model", model_id=801)

    assert code_of(sentence) == "upstream_changed"
    assert said in sentence
    assert {request.url.path for request in site.seen} == {MODEL}
    assert {request.url.host for request in site.seen} == {"civitai.com"}
    assert len(site.seen) <= 4


async def test_trap_16_a_redirect_to_what_is_no_address_is_refused(
    site: OddSite, at_site: Assistant
) -> None:
    site.answers[MODEL] = httpx.Response(302, headers={"location": "https://[::bad"})

    sentence = await at_site.refused("get_model", model_id=801)

    assert code_of(sentence) in {"upstream_changed", "upstream_unavailable"}


async def test_trap_16_a_redirect_within_civitai_is_followed(
    site: OddSite, at_site: Assistant
) -> None:
    site.answers[MODEL] = httpx.Response(307, headers={"location": "/moved"})
    site.answers["/moved"] = model_row()

    assert (await at_site.ask("get_model", model_id=801))["id"] == 801


async def test_trap_07_a_body_beyond_all_bounds_is_cut_off_with_a_code(
    sandbox: Sandbox, patient: Assistant
) -> None:
    sandbox.use("huge")

    sentence = await patient.refused("get_model", model_id=world.DEMO_LORA_MODEL)

    assert code_of(sentence) == "too_large"


async def test_trap_01_a_batch_of_one_around_a_result_reads_like_any_other(
    site: OddSite, at_site: Assistant
) -> None:
    site.answers[GENERATION] = [envelope(generation())]
    site.answers[IMAGE_GET] = [envelope(image_facts())]

    answer = await at_site.ask("get_generation_data", image_id=700)

    assert answer["clean_prompt"] == "a quiet harbor"
    assert answer["level"] == "pg"
