"""The stand-in against CivitAI's contract, over real HTTP."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civit_mcp.models.base_models import BASE_MODELS, look_up
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, running_sandbox, world
from civit_mcp.sandbox.generated import generation_data
from civit_mcp.sandbox.pictures import Picture
from civit_mcp.sandbox.running import BUNDLED
from civit_mcp.sandbox.store import Store
from civit_mcp.sandbox.vocabulary import MODEL_TYPES

KEY = {"authorization": f"Bearer {SANDBOX_KEY}"}
SITE = {"referer": "https://civitai.com/"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.base_url, headers={"user-agent": "tests/1"}) as client:
        yield client


def v1(http: httpx.Client, path: str, **params: Any) -> Any:
    answer = http.get(f"/api/v1/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def trpc(http: httpx.Client, name: str, given: Any, **headers: str) -> httpx.Response:
    text = json.dumps({"json": given})
    return http.get(f"/api/trpc/{name}", params={"input": text}, headers=SITE | headers)


def output(http: httpx.Client, name: str, given: Any) -> Any:
    answer = trpc(http, name, given)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]["data"]["json"]


def all_pages(http: httpx.Client, path: str, **params: Any) -> list[Any]:
    rows: list[Any] = []
    cursors: set[str] = set()
    while True:
        page = v1(http, path, **params)
        rows += page["items"]
        cursor = page["metadata"].get("nextCursor")
        if cursor is None:
            assert "nextPage" not in page["metadata"]
            return rows
        assert cursor not in cursors
        cursors.add(cursor)
        params["cursor"] = str(cursor)


# --- models


def test_a_list_item_lacks_what_only_other_addresses_show(http: httpx.Client) -> None:
    items = v1(http, "models", ids=str(world.DEMO_LORA_MODEL))["items"]
    assert [item["id"] for item in items] == [world.DEMO_LORA_MODEL]
    assert "mode" not in items[0]
    version = items[0]["modelVersions"][0]
    absent = {"modelId", "createdAt", "updatedAt", "status", "usageControl", "air", "covered"}
    assert not absent & set(version)
    assert {"index", "paidAccess", "vaeId", "description", "downloadUrl"} <= set(version)
    assert not {"meta", "nsfw"} & set(version["images"][0])
    assert isinstance(version["images"][0]["id"], int)
    assert version["files"][0]["primary"] is True
    assert "_" not in {key[0] for key in (*items[0], *version, *version["images"][0])}


def test_a_model_at_its_own_address_has_no_empty_keys_in_versions(http: httpx.Client) -> None:
    body = v1(http, f"models/{world.DEMO_LORA_MODEL}")
    version = body["modelVersions"][0]
    assert {"createdAt", "status", "covered"} <= set(version)
    assert not {"modelId", "usageControl", "air", "vaeId", "paidAccess"} & set(version)
    assert "id" not in version["images"][0]
    assert version["status"] == "Published"
    nullish = v1(http, f"models/{world.NULLS_MODEL}")["modelVersions"][0]
    assert not {"description", "trainedWords", "images", "publishedAt"} & set(nullish)


def test_a_version_at_its_own_address_names_its_model_without_an_id(http: httpx.Client) -> None:
    body = v1(http, f"model-versions/{world.DEMO_LORA_VERSION}")
    assert body["modelId"] == world.DEMO_LORA_MODEL
    assert body["model"] == {
        "name": "Golden Hour Grading XL",
        "type": "LORA",
        "nsfw": False,
        "poi": False,
    }
    assert body["air"] == f"urn:air:sdxl:lora:civitai:{world.DEMO_LORA_MODEL}@{body['id']}"
    assert body["usageControl"] == "Download"
    assert "overrideName" not in body["files"][0]
    assert set(body["files"][0]["metadata"]) <= {"format", "size", "fp"}
    same_name = v1(http, f"model-versions/{world.SAME_NAME_VERSION}")["files"]
    assert [file["primary"] for file in same_name] == [True, False, False]
    assert len({file["name"] for file in same_name}) == 1


def test_a_diffusion_model_file_decides_the_type_in_the_air(http: httpx.Client) -> None:
    body = v1(http, f"model-versions/{world.WAN_HIGH_VERSION}")
    assert ":diffusionmodel:civitai:" in body["air"]
    assert body["air"].startswith("urn:air:wanvideo-22-i2v-a14b:")


def test_archived_models_are_missing_from_lists_and_have_no_files(http: httpx.Client) -> None:
    listed = {item["id"] for item in all_pages(http, "models", nsfw="true", limit=100)}
    assert world.ARCHIVED_MODEL not in listed
    assert world.NO_VERSIONS_MODEL in listed
    body = v1(http, f"models/{world.ARCHIVED_MODEL}")
    assert body["mode"] == "Archived"
    assert not {"files", "downloadUrl"} & set(body["modelVersions"][0])
    version = v1(http, f"model-versions/{world.ARCHIVED_VERSION}")
    assert version["files"] == []
    assert "downloadUrl" not in version
    assert version["model"]["mode"] == "Archived"
    again = v1(http, "models", archived="false", ids=str(world.ARCHIVED_MODEL))
    assert len(again["items"]) == 1


def test_taken_down_models_have_files_and_no_images(http: httpx.Client) -> None:
    assert "images" not in v1(http, f"models/{world.TAKEN_DOWN_MODEL}")["modelVersions"][0]
    version = v1(http, f"model-versions/{world.TAKEN_DOWN_VERSION}")
    assert version["images"] == []
    assert version["files"]


def test_links_follow_the_host_that_the_caller_used_except_in_one_place(
    http: httpx.Client, sandbox: Sandbox
) -> None:
    host = {"host": "models.test:81"}
    listed = http.get("/api/v1/models?limit=1", headers=host).json()
    assert listed["items"][0]["modelVersions"][0]["downloadUrl"].startswith("http://models.test:81")
    assert listed["metadata"]["nextPage"].startswith("http://models.test:81/api/v1/models?")
    one = http.get(f"/api/v1/models/{world.DEMO_LORA_MODEL}", headers=host).json()
    assert one["modelVersions"][0]["downloadUrl"].startswith(sandbox.base_url)


def test_without_nsfw_a_list_holds_the_first_level_only(http: httpx.Client) -> None:
    plain = {item["id"] for item in all_pages(http, "models", limit=100)}
    asked = {item["id"] for item in all_pages(http, "models", limit=100, nsfw="true")}
    assert {world.PG13_MODEL, world.R_MODEL} <= asked
    assert not {world.PG13_MODEL, world.R_MODEL} & plain


def test_previews_above_the_asked_levels_are_left_out_of_lists(http: httpx.Client) -> None:
    def levels(**params: str) -> list[int]:
        items = v1(http, "models", ids=str(world.MIXED_PREVIEWS_MODEL), **params)["items"]
        return [image["nsfwLevel"] for image in items[0]["modelVersions"][0]["images"]]

    assert levels() == [1]
    assert levels(nsfw="true") == [2, 1]


@pytest.mark.parametrize(
    ("params", "status", "fragment"),
    [
        ({"types": "LORA,VAE"}, 400, "ZodError"),
        ({"limit": "101"}, 400, "too_big"),
        ({"limit": "many"}, 400, "expected number"),
        ({"page": "0"}, 400, "too_small"),
        ({"sort": "MostDownloaded"}, 400, "invalid_value"),
        ({"allowNoCredit": "true"}, 400, "allowNoCredit"),
        ({"browsingLevel": "1"}, 400, "browsingLevel"),
        ({"nsfw": "maybe"}, 400, "nsfw"),
        ({"favorites": "false"}, 401, "Unauthorized"),
        ({"hidden": "true"}, 401, "Unauthorized"),
        ({"query": "lake", "page": "1"}, 400, "Cannot use page param with query search"),
        ({"page": "11", "limit": "100"}, 429, "please use cursors instead"),
        ({"username": "nobody here"}, 404, "User not found"),
        ({"cursor": "abc"}, 400, "expected 3 value(s) for this sort, received 1"),
        ({"cursor": "a|b|c"}, 400, "unparseable numeric value"),
        ({"favorites": "x", "limit": "101"}, 401, "Unauthorized"),
        ({"limit": "101", "page": "99"}, 400, "ZodError"),
        ({"query": "a", "page": "99"}, 429, "please use cursors"),
    ],
)
def test_the_list_refuses_as_civitai_does(
    http: httpx.Client, params: dict[str, str], status: int, fragment: str
) -> None:
    answer = http.get("/api/v1/models", params=params)
    assert answer.status_code == status
    assert fragment in answer.text
    assert "retry-after" not in answer.headers


def test_a_zod_error_repeats_its_issues_as_text(http: httpx.Client) -> None:
    error = http.get("/api/v1/models", params={"types": "lora"}).json()["error"]
    assert error["name"] == "ZodError"
    assert json.loads(error["message"])[0]["path"] == ["types"]


def test_filters_select_what_they_say(http: httpx.Client) -> None:
    types = http.get("/api/v1/models?types=VAE&types=Upscaler&limit=100").json()["items"]
    assert {item["type"] for item in types} == {"VAE", "Upscaler"}
    bases = v1(http, "models", baseModels="Flux.1 D")["items"]
    assert bases
    assert all("Flux.1 D" in item["baseModels"] for item in bases)
    assert v1(http, "models", baseModels="Flux.1 D,Pony")["items"] == []
    user = v1(http, "models", username="Harbor Lantern")["items"]
    assert {item["creator"]["username"] for item in user} == {"harbor_lantern"}
    tag = v1(http, "models", tag="Mist")["items"]
    assert {item["id"] for item in tag} == {world.DEMO_TAG_LORA_MODEL}
    found = v1(http, "models", query="golden hour")["items"]
    assert [item["id"] for item in found] == [world.DEMO_LORA_MODEL]
    early = v1(http, "models", earlyAccess="false", limit=100)["items"]
    assert world.DEMO_LORA_MODEL not in {item["id"] for item in early}
    assert early


def test_an_unknown_tag_filters_nothing(http: httpx.Client) -> None:
    everything = all_pages(http, "models", limit=100)
    assert len(all_pages(http, "models", limit=100, tag="no such tag")) == len(everything)


def test_primary_file_only_leaves_one_file(http: httpx.Client) -> None:
    items = v1(http, "models", primaryFileOnly="1", query="One Name For All")["items"]
    assert [len(version["files"]) for version in items[0]["modelVersions"]] == [1]


def test_versions_without_a_primary_file_are_not_listed(http: httpx.Client) -> None:
    item = v1(http, "models", query="Nobody Is First")["items"][0]
    assert item["modelVersions"] == []


@pytest.mark.parametrize("sort", ["Highest Rated", "Most Downloaded", "Newest", "Oldest"])
@pytest.mark.parametrize("extra", [{}, {"query": "a"}, {"nsfw": "true"}])
def test_paging_to_the_end_gives_each_model_once(
    http: httpx.Client, sort: str, extra: dict[str, str]
) -> None:
    ids = [item["id"] for item in all_pages(http, "models", limit=7, sort=sort, **extra)]
    assert len(ids) == len(set(ids))
    whole = v1(http, "models", limit=100, sort=sort, **extra)["items"]
    assert ids[:100] == [item["id"] for item in whole]


def test_page_numbers_show_sizes_and_a_cursor_and_repeat_the_token(http: httpx.Client) -> None:
    metadata = v1(http, "models", limit=5, page=2, token="leaky")["metadata"]
    assert (metadata["currentPage"], metadata["pageSize"]) == (2, 5)
    assert "|" in metadata["nextCursor"]
    assert "token=leaky" in metadata["nextPage"]
    assert "page=2" in metadata["nextPage"]
    assert "currentPage" not in v1(http, "models", limit=5)["metadata"]
    assert v1(http, "models", limit=0)["items"] == []
    assert v1(http, "models", limit="")["items"] == []


# --- single models and versions


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("models/999999", 404, {"error": "No model with id 999999"}),
        ("models/4212", 404, {"error": "No model with id 4212"}),
        ("model-versions/999999", 404, {"error": "Model not found"}),
        ("model-versions/51212", 404, {"error": "Model not found"}),
        ("model-versions/51424", 404, {"error": "Model not found"}),
        ("model-versions/0", 400, {"error": "Missing modelVersionId"}),
        ("model-versions/51213", 500, {"error": "Failed to fetch model version details"}),
        ("model-versions/99999999999", 500, {"error": "Failed to fetch model version details"}),
        (
            "models/abc",
            400,
            {"error": "✖ Invalid input: expected number, received NaN\n  → at id"},
        ),
        (
            "models/1_0",
            400,
            {"error": "✖ Invalid input: expected number, received NaN\n  → at id"},
        ),
        ("model-versions/mini/999999", 404, {"error": "Model not found"}),
        ("model-versions/mini/51214", 404, {"error": "Missing model file"}),
        (
            "model-versions/mini/51001?modelFileId=5",
            404,
            {"error": "Model file 5 not found in version 51001"},
        ),
        ("model-versions/by-hash/FFFFFFFFFF", 404, {"error": "Model not found"}),
        ("me", 401, {"error": "Unauthorized"}),
        ("vault/get", 401, {"error": "Unauthorized"}),
    ],
)
def test_what_is_not_there_is_refused_in_civitai_s_words(
    http: httpx.Client, path: str, status: int, body: dict[str, str]
) -> None:
    answer = http.get(f"/api/v1/{path}")
    assert (answer.status_code, answer.json()) == (status, body)


def test_unknown_addresses_get_a_web_page_and_wrong_verbs_405(http: httpx.Client) -> None:
    missing = http.get("/api/v1/nothing")
    assert missing.status_code == 404
    assert missing.headers["content-type"].startswith("text/html")
    for path in ("models", "model-versions/51001", "me"):
        assert http.post(f"/api/v1/{path}").status_code == 405
    assert http.get("/api/v1/model-versions/by-hash").status_code == 400
    assert http.request("OPTIONS", "/api/v1/images").status_code == 200


def test_the_mini_form_has_no_ids_but_an_air(http: httpx.Client) -> None:
    body = v1(http, f"model-versions/mini/{world.SAME_NAME_VERSION}")
    assert not {"id", "modelId", "name", "downloadUrl"} & set(body)
    assert body["versionName"] == "v1"
    exact = v1(http, f"model-versions/mini/{world.SAME_NAME_VERSION}", modelFileId=61465)
    assert exact["air"] == body["air"] + "+61465"
    assert exact["downloadUrls"][0].endswith("?fileId=61465")


@pytest.mark.parametrize("kind", ["AutoV1", "AutoV2", "AutoV3", "SHA256", "CRC32", "BLAKE3"])
def test_any_hash_in_any_case_finds_its_version(http: httpx.Client, kind: str) -> None:
    file = v1(http, f"model-versions/{world.DEMO_CHECKPOINT_VERSION}")["files"][0]
    body = v1(http, f"model-versions/by-hash/{file['hashes'][kind].lower()}")
    assert body["id"] == world.DEMO_CHECKPOINT_VERSION
    assert "overrideName" in body["files"][0]
    assert body["licensingFee"] == 0


def test_the_earliest_owner_of_a_shared_hash_answers(http: httpx.Client) -> None:
    first, second = world.SHARED_HASH_VERSIONS
    shared = v1(http, f"model-versions/{second}")["files"][0]["hashes"]["SHA256"]
    assert v1(http, f"model-versions/by-hash/{shared}")["id"] == first
    rows = http.post("/api/v1/model-versions/by-hash/ids", json=[shared.lower(), "0" * 64]).json()
    assert {row["modelVersionId"] for row in rows} == {first, second}
    assert {row["hash"] for row in rows} == {shared}


def test_the_batch_look_up_drops_misses_and_forgets_its_host(http: httpx.Client) -> None:
    url = "/api/v1/model-versions/by-hash"
    file = v1(http, f"model-versions/{world.DEMO_LORA_VERSION}")["files"][0]
    nobody = v1(http, f"model-versions/{world.NO_PRIMARY_VERSION}")["files"][0]
    wanted = ["0" * 64, file["hashes"]["SHA256"], nobody["hashes"]["SHA256"]]
    found = http.post(url, json=wanted).json()
    assert None in found
    body = next(row for row in found if row)
    assert body["id"] == world.DEMO_LORA_VERSION
    assert body["downloadUrl"].startswith("https://undefined/")
    assert http.post(url, json=[]).json() == []
    for bad, fragment in (
        (["abc"], "Invalid hash"),
        (["0" * 64] * 101, "Too many hashes"),
        ({"hashes": []}, "SHA256 Hashes"),
    ):
        answer = http.post(url, json=bad)
        assert answer.status_code == 400
        assert fragment in answer.json()["error"]
    assert http.post(f"{url}/ids", json=["0" * 64] * 101).status_code == 200
    assert http.post(url, content=b"{").status_code == 400


# --- images


def test_meta_is_null_unless_asked_for_and_wrapped_for_a_single_image(http: httpx.Client) -> None:
    def row(**params: Any) -> Any:
        return v1(http, "images", imageId=world.DEMO_IMAGE, **params)["items"][0]

    assert row()["meta"] is None
    assert row(withMeta="true")["meta"]["meta"]["steps"] == 28
    assert row(withMeta="true")["meta"]["id"] == world.DEMO_IMAGE
    assert row(withMeta="true", flatMeta="true")["meta"]["steps"] == 28
    feed = v1(http, "images", withMeta="true", postId=row()["postId"])["items"][0]
    assert "steps" in feed["meta"]
    assert "tags" not in row()
    assert row(withTags="true")["tags"][0]["name"] == "mountain"


def test_levels_are_words_and_bits_and_the_default_is_the_first(http: httpx.Client) -> None:
    assert v1(http, "images", imageId=world.R_IMAGE) == {"items": [], "metadata": {}}
    row = v1(http, "images", imageId=world.R_IMAGE, browsingLevel=31)["items"][0]
    assert (row["nsfwLevel"], row["browsingLevel"], row["nsfw"]) == ("Mature", 4, True)
    row = v1(http, "images", imageId=world.PG13_IMAGE, nsfw="Soft")["items"][0]
    assert (row["nsfwLevel"], row["browsingLevel"], row["nsfw"]) == ("Soft", 2, False)
    only_high = all_pages(http, "images", nsfw="true", limit=200)
    assert {each["browsingLevel"] for each in only_high} == {4}
    soft = all_pages(http, "images", nsfw="Soft", limit=200)
    assert {each["browsingLevel"] for each in soft} == {1, 2}


def test_a_missing_image_is_an_empty_page(http: httpx.Client) -> None:
    assert v1(http, "images", imageId=world.NO_SUCH_IMAGE) == {"items": [], "metadata": {}}


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"limit": "201"}, 400),
        ({"username": "two words"}, 400),
        ({"baseModels": "No Such Base"}, 400),
        ({"sort": "Random"}, 400),
        ({"imageId": "x"}, 400),
        ({"page": "6", "limit": "200"}, 429),
        ({"cursor": "zzz"}, 400),
    ],
)
def test_images_refuses_as_civitai_does(
    http: httpx.Client, params: dict[str, str], status: int
) -> None:
    assert http.get("/api/v1/images", params=params).status_code == status


def test_paging_to_the_end_gives_each_image_once(http: httpx.Client) -> None:
    for sort in ("Most Reactions", "Newest", "Oldest"):
        rows = all_pages(http, "images", limit=6, sort=sort, browsingLevel=31)
        assert len({row["id"] for row in rows}) == len(rows) > 30
    metadata = v1(http, "images", limit=6, page=2)["metadata"]
    assert "page=3" in metadata["nextPage"]


def test_images_of_a_version_and_of_a_model(http: httpx.Client) -> None:
    rows = v1(http, "images", modelVersionId=world.DEMO_LORA_VERSION)["items"]
    assert world.DEMO_IMAGE in {row["id"] for row in rows}
    rows = v1(http, "images", modelId=world.DEMO_LORA_MODEL, withMeta="true")["items"]
    assert all(set(row["meta"]) == {"id", "meta"} for row in rows)
    rows = v1(http, "images", type="video", baseModels="Wan Video 14B t2v")["items"]
    assert [row["id"] for row in rows] == [world.TEXT_VIDEO_IMAGE]
    number = v1(http, "images", imageId=world.NUMBER_NAME_IMAGE)["items"][0]
    assert number["username"] == 1717


# --- the others


def test_creators_count_and_tags_do_not(http: httpx.Client) -> None:
    first = v1(http, "creators", limit=2)
    assert first["metadata"]["totalPages"] > 1
    assert "page=2" in first["metadata"]["nextPage"]
    assert v1(http, "creators", query="LANTERN")["metadata"]["hasMore"] is False
    tags = v1(http, "tags", query="land")
    assert [row["name"] for row in tags["items"]] == ["landscape"]
    assert tags["metadata"]["totalItems"] == 0
    bad = http.get("/api/v1/tags?limit=0")
    assert bad.status_code == 400
    assert isinstance(bad.json(), list)


def test_enums_list_types_and_base_models(http: httpx.Client) -> None:
    body = v1(http, "enums")
    assert body["ModelType"] == list(MODEL_TYPES)
    assert set(body["BaseModel"]) == {row.name for row in BASE_MODELS.values()}


def test_keys_work_in_header_query_and_cookie_and_a_wrong_one_is_nobody(
    http: httpx.Client,
) -> None:
    assert http.get("/api/v1/me", headers=KEY).json()["username"]
    assert http.get("/api/v1/me", headers={"authorization": f"x {SANDBOX_KEY}"}).status_code == 200
    assert http.get(f"/api/v1/me?token={SANDBOX_KEY}").status_code == 200
    cookie = {"cookie": f"a=b; __Secure-civ-token={SANDBOX_KEY}"}
    assert http.get("/api/v1/me", headers=cookie).status_code == 200
    wrong = {"authorization": "Bearer nope"}
    assert http.get("/api/v1/models?limit=1", headers=wrong).status_code == 200
    both = http.get(f"/api/v1/me?token={SANDBOX_KEY}", headers=wrong)
    assert both.status_code == 401


def test_caches_may_keep_what_nobody_signed_in_for(http: httpx.Client) -> None:
    def cache(path: str, **headers: str) -> str:
        return http.get(path, headers=headers).headers["cache-control"]

    public = "public, s-maxage=300, stale-while-revalidate=150"
    assert cache("/api/v1/models?limit=1") == public
    assert cache("/api/v1/models?limit=1", **KEY).startswith("max-age=0, private")
    assert cache("/api/v1/models/999999") == public
    assert "s-maxage=3600" in cache("/api/v1/model-versions/by-hash/00")
    assert cache(f"/api/download/models/{world.DEMO_LORA_VERSION}") == "no-store, max-age=0"
    assert "cache-control" not in http.get("/api/v1/enums").headers


def test_a_search_for_creators_counts_no_further_than_the_next_row(http: httpx.Client) -> None:
    every = v1(http, "creators", limit=200)
    assert every["metadata"]["totalPages"] == 1
    whole = [row["username"] for row in every["items"]]
    walked: list[str] = []
    for page in range(1, 200):
        answer = v1(http, "creators", query="", limit=3, page=page)
        metadata = answer["metadata"]
        walked += [row["username"] for row in answer["items"]]
        assert ("prevPage" in metadata) == (page > 1)
        assert metadata["totalItems"] == min(len(whole), page * 3 + 1)
        if not metadata["hasMore"]:
            break
    assert walked == whole
    assert all(row.get("modelCount") != 0 for row in every["items"])


def test_permissions_and_users_answer(http: httpx.Client) -> None:
    assert v1(http, "permissions/check", entityIds="51001,999") == {"51001": True, "999": False}
    assert http.get("/api/v1/permissions/check").status_code == 400
    assert http.get("/api/v1/permissions/check?entityIds=a").status_code == 400
    assert v1(http, "users", query="harbor")["items"][0]["username"] == "harbor_lantern"
    assert len(v1(http, "users")["items"]) == 5


def test_the_vault_remembers_what_was_toggled(sandbox: Sandbox, http: httpx.Client) -> None:
    def asked(path: str) -> Any:
        return http.get(f"/api/v1/vault/{path}", headers=KEY).json()

    def toggle(version_id: object) -> httpx.Response:
        path = f"/api/v1/vault/toggle-version?modelVersionId={version_id}"
        return http.post(path, headers=KEY)

    sandbox.clear()
    assert asked("all") == {
        "items": [],
        "totalItems": 0,
        "currentPage": 1,
        "pageSize": 60,
        "totalPages": 0,
    }
    first = toggle(world.DEMO_LORA_VERSION).json()
    assert first["success"] is True
    assert toggle(world.DEMO_CHECKPOINT_VERSION).json()["vaultId"] == first["vaultId"] + 1
    newest = asked("all?limit=1")
    assert (newest["totalItems"], newest["totalPages"]) == (2, 2)
    assert newest["items"][0]["modelVersionId"] == world.DEMO_CHECKPOINT_VERSION
    by_name = [row["modelName"] for row in asked("all?sort=Model%20Name")["items"]]
    assert by_name == sorted(by_name)
    assert [row["type"] for row in asked("all?types=LORA&types=VAE")["items"]] == ["LORA"]
    assert asked("all?query=golden%20hour")["totalItems"] == 1
    held = asked(f"check-vault?modelVersionIds={world.DEMO_LORA_VERSION},9")
    assert held[0]["vaultItem"]["id"] == first["vaultId"]
    assert held[1] == {"modelVersionId": 9, "vaultItem": None}
    assert asked("get")["vault"]["usedStorageKb"] > 0
    assert toggle(world.DEMO_LORA_VERSION).json() == {"success": True}
    assert asked("all")["totalItems"] == 1
    sandbox.clear()
    assert asked("get")["vault"]["usedStorageKb"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "toggle-version?modelVersionId=51001", 405),
        ("POST", "all", 405),
        ("POST", "toggle-version", 400),
        ("POST", "toggle-version?modelVersionId=x", 400),
        ("POST", f"toggle-version?modelVersionId={world.DELETED_VERSION}", 404),
        ("GET", "check-vault", 400),
        ("GET", "all?types=LORA", 500),
        ("GET", "all?sort=Oldest", 400),
        ("GET", "all?limit=0", 400),
    ],
)
def test_the_vault_refuses_as_civitai_does(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    assert http.request(method, f"/api/v1/vault/{path}").status_code == 401
    assert http.request(method, f"/api/v1/vault/{path}", headers=KEY).status_code == status


# --- tRPC


def test_the_origin_gate_wants_the_site_or_a_key(http: httpx.Client) -> None:
    def status(**headers: str) -> int:
        given = {"input": json.dumps({"json": {"id": world.DEMO_IMAGE}})}
        answer = http.get("/api/trpc/image.getGenerationData", params=given, headers=headers)
        return answer.status_code

    assert status() == 401
    assert status(referer="https://elsewhere.example/") == 401
    assert status(referer="https://civitai.red/images/1") == 200
    assert status(referer="http://localhost:3000/") == 200
    assert status(origin="https://evil.example", referer="https://civitai.com/") == 401
    assert status(**KEY) == 200
    assert status(authorization="Bearer wrong") == 401


def test_a_refusal_of_the_gate_is_a_trpc_error(http: httpx.Client) -> None:
    error = http.get("/api/trpc/image.get").json()["error"]["json"]
    assert error["code"] == -32001
    assert error["data"] == {"code": "UNAUTHORIZED", "httpStatus": 401, "path": "image.get"}
    assert "public API" in error["message"]


@pytest.mark.parametrize(
    ("name", "text", "status", "code"),
    [
        ("image.get", '{"json":{"id":1}}', 404, "NOT_FOUND"),
        ("image.getGenerationData", '{"json":{"id":1}}', 404, "NOT_FOUND"),
        ("image.get", '{"json":{"id":"7100001"}}', 400, "BAD_REQUEST"),
        ("image.get", '{"json":{"id":true}}', 400, "BAD_REQUEST"),
        ("image.get", '{"json":{"id":-4}}', 404, "NOT_FOUND"),
        ("image.get", '{"json":{"id":1.5}}', 404, "NOT_FOUND"),
        ("image.get", '{"json":{"id":NaN}}', 400, "BAD_REQUEST"),
        ("image.get", '{"json":{"id":1e999}}', 400, "BAD_REQUEST"),
        ("image.get", "{", 400, "PARSE_ERROR"),
        ("image.get", json.dumps('{"json":{"id":7100001}}'), 400, "PARSE_ERROR"),
        ("image.get", "", 400, "BAD_REQUEST"),
        ("image.nothing", '{"json":{"id":1}}', 404, "NOT_FOUND"),
        ("image.getInfinite", '{"json":{"cursor":null}}', 400, "BAD_REQUEST"),
    ],
)
def test_bad_input_gets_a_trpc_error(
    http: httpx.Client, name: str, text: str, status: int, code: str
) -> None:
    params = {"input": text} if text else {}
    answer = http.get(f"/api/trpc/{name}", params=params, headers=SITE)
    assert answer.status_code == status
    error = answer.json()["error"]["json"]
    assert error["data"]["code"] == code
    assert error["data"]["httpStatus"] == status


def test_posts_and_batches_work(http: httpx.Client) -> None:
    body = {"json": {"id": world.DEMO_IMAGE}}
    posted = http.post("/api/trpc/image.get", json=body, headers=SITE)
    assert posted.json()["result"]["data"]["json"]["id"] == world.DEMO_IMAGE
    plain = http.post("/api/trpc/image.get", content="{}", headers=SITE)
    assert plain.status_code == 415
    given = json.dumps({"0": body, "1": {"json": {"id": 1}}})
    names = "image.get,image.getGenerationData"
    both = http.get(f"/api/trpc/{names}", params={"batch": 1, "input": given}, headers=SITE)
    assert both.status_code == 207
    assert [*map(set, both.json())] == [{"result"}, {"error"}]


def test_generation_data_joins_resources_with_models(http: httpx.Client) -> None:
    data = output(http, "image.getGenerationData", {"id": world.DEMO_IMAGE})
    assert [row["modelVersionId"] for row in data["resources"]] == [
        world.DEMO_CHECKPOINT_VERSION,
        world.DEMO_LORA_VERSION,
    ]
    assert "strength" not in data["resources"][0]
    assert data["resources"][1]["strength"] == 0.8
    assert data["resources"][1]["modelType"] == "LORA"
    assert data["process"] == "txt2img"
    assert data["canRemix"] is True


@pytest.mark.parametrize(
    ("image", "process"),
    [
        (world.HIRES_IMAGE, "txt2img + Hi-Res"),
        (world.INPAINT_IMAGE, "inpainting"),
        (world.CONTROLNET_IMAGE, "txt2img + ControlNet"),
        (world.IMG2IMG_IMAGE, "img2img"),
        (world.COMFY_IMAGE, "comfy"),
        (world.VIDEO_IMAGE, "img2vid"),
        (world.TEXT_VIDEO_IMAGE, "txt2vid"),
        (world.HIDDEN_META_IMAGE, None),
        (world.BAD_META_IMAGE, None),
    ],
)
def test_the_process_comes_from_the_metadata(
    http: httpx.Client, image: int, process: str | None
) -> None:
    assert output(http, "image.getGenerationData", {"id": image})["process"] == process


def test_hidden_or_odd_metadata_is_undefined_and_resources_stay(http: httpx.Client) -> None:
    for image in (world.HIDDEN_META_IMAGE, world.BAD_META_IMAGE):
        data = trpc(http, "image.getGenerationData", {"id": image}).json()["result"]["data"]
        assert data["json"]["meta"] is None
        assert data["meta"]["values"]["meta"] == ["undefined"]
        assert data["json"]["resources"]
        assert data["json"]["tools"]
    row = v1(http, "images", imageId=world.BAD_META_IMAGE, withMeta="1", flatMeta="1")["items"][0]
    assert row["meta"]["hashes"]["lora:PastelMistXL"] == 1234567890


def test_texts_become_numbers_and_comfy_text_becomes_graphs(http: httpx.Client) -> None:
    meta = output(http, "image.getGenerationData", {"id": world.BIG_SEED_IMAGE})["meta"]
    assert (meta["cfgScale"], meta["steps"], meta["clipSkip"]) == (7, 30, 2)
    assert meta["seed"] != 9876543210987654321
    assert "Clip skip" not in meta
    graphs = output(http, "image.getGenerationData", {"id": world.COMFY_IMAGE})["meta"]["comfy"]
    assert set(graphs) == {"prompt", "workflow"}
    assert graphs["prompt"]["4"]["_meta"]["title"] == "Load Checkpoint"


@pytest.mark.parametrize(
    "odd",
    [
        {"hashes": {"model": 5}},
        {"hashes": ["a"]},
        {"resources": [{"type": "lora", "weight": "0.8"}]},
        {"resources": [{"name": "x"}]},
        {"prompt": 7},
        {"seed": "7.5, 8"},
        {"steps": {}},
        {"cfgScale": "inf"},
        {"civitaiResources": [{"modelVersionId": "51001"}]},
        {"controlNets": "depth"},
        {"comfy": '{"workflow": {"nodes": [1]}}'},
        {"external": {"createUrl": "no address"}},
    ],
)
def test_one_odd_value_hides_all_metadata(tmp_path: Path, odd: dict[str, Any]) -> None:
    def shown(meta: dict[str, Any]) -> Any:
        picture = Picture(id=1, url="u", bits=1, type="image", meta=meta)
        return generation_data(Store(tmp_path), picture)[0]["meta"]

    fine = {"prompt": "a hill", "steps": "20", "negativePrompt": "", "extra": None}
    assert shown(fine) == {"prompt": "a hill", "steps": 20}
    assert shown(fine | odd) is None


@pytest.mark.parametrize(
    ("text", "graphs"),
    [
        ('{"prompt": {"1": {}}, "workflow": undefined}', {"prompt": {"1": {}}, "workflow": {}}),
        ('{"prompt": {"1": [NaN]}, "other": 1}', {"prompt": {"1": []}}),
        ('{"prompt": {"1": NaN}}', {}),
        ("not json", {}),
    ],
)
def test_stored_graphs_are_repaired_as_the_site_repairs_them(
    tmp_path: Path, text: str, graphs: dict[str, Any]
) -> None:
    picture = Picture(id=1, url="u", bits=1, type="image", meta={"comfy": text})
    output, _ = generation_data(Store(tmp_path), picture)
    assert output["meta"]["comfy"] == graphs
    assert output["process"] == "comfy"


def test_image_get_has_the_bare_uuid(http: httpx.Client) -> None:
    data = output(http, "image.get", {"id": world.DEMO_IMAGE})
    row = v1(http, "images", imageId=world.DEMO_IMAGE)["items"][0]
    assert f"/{data['url']}/" in row["url"]
    assert data["hideMeta"] is False
    assert output(http, "image.get", {"id": world.HIDDEN_META_IMAGE})["hideMeta"] is True


def test_deleted_versions_still_answer_over_trpc(http: httpx.Client) -> None:
    data = output(http, "modelVersion.getById", {"id": world.DELETED_VERSION})
    assert data["status"] == data["model"]["status"] == "Deleted"
    assert data["files"] is None
    asked = {"id": world.LOGIN_VERSION, "withFiles": True}
    assert output(http, "modelVersion.getById", asked)["files"]
    assert output(http, "modelVersion.getById", asked)["requireAuth"] is True


def test_tags_posts_and_collections(http: httpx.Client) -> None:
    tags = output(http, "tag.getVotableTags", {"type": "image", "id": world.DEMO_IMAGE})
    assert [tag["name"] for tag in tags] == ["mountain", "lake"]
    assert output(http, "tag.getVotableTags", {"type": "image", "id": 5}) == []
    assert output(http, "tag.getById", {"id": 301})["name"] == "mountain"
    assert output(http, "tag.getById", {"id": 5}) is None
    post = output(http, "image.get", {"id": world.DEMO_IMAGE})["postId"]
    assert output(http, "post.get", {"id": post})["title"] == "Mornings at the lake"
    feed = output(http, "image.getInfinite", {"collectionId": 9100001})
    assert [row["id"] for row in feed["items"]] == [world.DEMO_IMAGE]
    assert output(http, "image.getInfinite", {"collectionId": 4})["items"] == []


def test_the_feed_ends_and_ignores_a_cursor_marked_undefined(http: httpx.Client) -> None:
    seen: list[int] = []
    given: dict[str, Any] = {"limit": 10}
    while True:
        page = output(http, "image.getInfinite", given)
        seen += [row["id"] for row in page["items"]]
        if page["nextCursor"] is None:
            break
        given["cursor"] = page["nextCursor"]
    assert len(seen) == len(set(seen)) > 10
    marked = {"json": given, "meta": {"values": {"cursor": ["undefined"]}}}
    answer = http.get(
        "/api/trpc/image.getInfinite", params={"input": json.dumps(marked)}, headers=SITE
    )
    assert answer.json()["result"]["data"]["json"]["items"][0]["id"] == seen[0]


def feed(http: httpx.Client, given: dict[str, Any]) -> list[int]:
    """Ids of the whole feed, page by page."""
    seen: list[int] = []
    asked = dict(given)
    for _ in range(200):
        page = output(http, "image.getInfinite", asked)
        seen += [row["id"] for row in page["items"]]
        if page["nextCursor"] is None:
            return seen
        asked["cursor"] = page["nextCursor"]
    raise AssertionError("the feed does not end")


@pytest.mark.parametrize("sort", ["Most Reactions", "Most Comments", "Newest", "Oldest"])
def test_a_collection_is_walked_in_any_order(http: httpx.Client, sort: str) -> None:
    given = {"collectionId": world.LANDSCAPE_COLLECTION, "limit": 3, "sort": sort}
    found = feed(http, given)
    assert len(found) == len(set(found)) > 6
    assert not {world.PG13_IMAGE, world.R_IMAGE} & set(found)
    if sort == "Newest":
        assert found == sorted(found, reverse=True)


def test_a_key_opens_higher_levels_of_the_feed_and_no_private_collection(
    http: httpx.Client,
) -> None:
    def ids(collection: int) -> set[int]:
        given = {"collectionId": collection, "limit": 200}
        answer = trpc(http, "image.getInfinite", given, **KEY)
        return {row["id"] for row in answer.json()["result"]["data"]["json"]["items"]}

    assert {world.PG13_IMAGE, world.R_IMAGE} <= ids(world.LANDSCAPE_COLLECTION)
    assert ids(world.PRIVATE_COLLECTION) == set()


def test_a_post_holds_several_pictures(http: httpx.Client) -> None:
    found = feed(http, {"postId": world.DEMO_POST})
    assert world.DEMO_IMAGE in found
    assert len(found) > 1
    shown = v1(http, "images", postId=world.DEMO_POST)["items"]
    assert {row["id"] for row in shown} == set(found)


def test_the_feed_is_filtered(http: httpx.Client) -> None:
    version = {"modelVersionId": world.DEMO_LORA_VERSION}
    assert world.DEMO_IMAGE in feed(http, version)
    assert set(feed(http, version)) <= set(feed(http, {"modelId": world.DEMO_LORA_MODEL}))
    assert feed(http, {"types": ["video"]}) == [world.VIDEO_IMAGE, world.TEXT_VIDEO_IMAGE]
    tagged = feed(http, {"tags": [world.DEMO_TAG]})
    assert world.DEMO_IMAGE in tagged
    assert set(tagged) < set(feed(http, {}))
    assert world.DEMO_IMAGE in feed(http, {"baseModels": ["SDXL 1.0"]})
    assert feed(http, {"baseModels": ["Nothing"]}) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"cursor": None},
        {"cursor": "nonsense"},
        {"sort": "MostCollected"},
        {"sort": "Random"},
        {"period": "Decade"},
        {"types": ["LORA"]},
        {"types": "image"},
        {"limit": 201},
        {"limit": "5"},
        {"browsingLevel": "31"},
        {"modelId": "4101"},
    ],
)
def test_the_feed_refuses_what_its_schema_refuses(http: httpx.Client, odd: dict[str, Any]) -> None:
    assert trpc(http, "image.getInfinite", odd).status_code == 400


def test_the_generator_knows_published_versions_and_the_creator_s_advice(
    http: httpx.Client,
) -> None:
    name = "generation.getResourceDataByIds"
    asked = [world.DEMO_LORA_VERSION, 999, world.DELETED_VERSION, world.EARLY_ACCESS_VERSION]
    early, lora = sorted(output(http, name, {"ids": asked}), key=lambda row: -row["id"])
    assert lora["model"]["id"] == world.DEMO_LORA_MODEL
    assert lora["air"].endswith(f"@{world.DEMO_LORA_VERSION}")
    assert lora["minStrength"] <= lora["strength"] <= lora["maxStrength"]
    assert early["id"] == world.EARLY_ACCESS_VERSION
    assert early["hasAccess"] is False
    assert early["paidAccess"]["endsAt"].startswith("2099")
    for odd in ([], list(range(1, 102)), ["51001"], None):
        assert trpc(http, name, {"ids": odd}).status_code == 400


# --- downloads


@pytest.mark.parametrize(
    ("version", "status", "fragment"),
    [
        (world.GENERATION_ONLY_VERSION, 401, "disabled downloads"),
        (world.INTERNAL_ONLY_VERSION, 401, "disabled downloads"),
        (world.UNKNOWN_USAGE_VERSION, 401, "disabled downloads"),
        (world.EARLY_ACCESS_VERSION, 403, "2099-01-01T00:00:00.000Z"),
        (world.PERMANENT_PAID_VERSION, 403, "Early Access"),
        (world.OLD_EARLY_ACCESS_VERSION, 403, "deadline"),
        (world.PAST_EARLY_ACCESS_VERSION, 307, ""),
        (world.ARCHIVED_VERSION, 410, "archived"),
        (world.NO_FILE_VERSION, 404, "File not found"),
        (world.NO_PRIMARY_VERSION, 404, "File not found"),
        (world.DELETED_VERSION, 404, "File not found"),
        (world.LOGIN_VERSION, 401, "logged in"),
        (world.TAKEN_DOWN_VERSION, 307, ""),
        ("abc", 400, "expected number"),
        (0, 400, "Missing modelVersionId"),
        ("51001?type=Modell", 400, "type"),
        ("51001?type=VAE", 404, "File not found"),
        ("51001?fileId=1", 404, "File not found"),
    ],
)
def test_a_program_s_download_ends_as_the_gates_say(
    http: httpx.Client, version: int | str, status: int, fragment: str
) -> None:
    answer = http.get(f"/api/download/models/{version}")
    assert answer.status_code == status
    assert fragment in answer.text


def test_a_key_opens_the_login_gate_and_no_other(http: httpx.Client) -> None:
    def status(version: int) -> int:
        return http.get(f"/api/download/models/{version}", headers=KEY).status_code

    assert status(world.LOGIN_VERSION) == 307
    assert status(world.GENERATION_ONLY_VERSION) == 401


def test_a_browser_is_led_to_a_web_page(http: httpx.Client) -> None:
    agent = {"user-agent": "Mozilla/5.0"}
    url = f"/api/download/models/{world.LOGIN_VERSION}"
    page = http.get(url, headers=agent, follow_redirects=True)
    assert page.status_code == 200
    assert page.text.startswith("<!DOCTYPE html>")
    gone = http.get(f"/api/download/models/{world.ARCHIVED_VERSION}", headers=agent)
    assert gone.text == "Model archived, not available for download"
    early = http.get(f"/api/download/models/{world.EARLY_ACCESS_VERSION}", headers=agent)
    assert early.headers["location"].endswith(f"/model-versions/{world.EARLY_ACCESS_VERSION}")


DEMO_PARTS = (
    world.DEMO_CHECKPOINT_VERSION,
    world.DEMO_LORA_VERSION,
    world.DEMO_TAG_LORA_VERSION,
    world.DEMO_EMBEDDING_VERSION,
)


@pytest.mark.parametrize("version", DEMO_PARTS)
def test_every_part_of_the_demonstration_downloads_as_described(
    http: httpx.Client, version: int
) -> None:
    file = v1(http, f"model-versions/{version}")["files"][0]
    url = f"/api/download/models/{version}?fileId={file['id']}"
    body = http.get(url, follow_redirects=True)
    assert len(body.content) == file["sizeKB"] * 1024
    assert sha256(body.content).hexdigest().upper() == file["hashes"]["SHA256"]
    length = int.from_bytes(body.content[:8], "little")
    assert json.loads(body.content[8 : 8 + length])
    assert file["name"] in body.headers["content-disposition"]


def test_storage_honours_ranges_and_refuses_foreign_credentials(
    http: httpx.Client, sandbox: Sandbox
) -> None:
    url = f"/api/download/models/{world.DEMO_LORA_VERSION}"
    link = http.get(url).headers["location"]
    assert link.startswith(sandbox.storage_url)
    whole = httpx.get(link)
    total = len(whole.content)
    part = httpx.get(link, headers={"range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{total}"
    assert httpx.get(link, headers={"range": "bytes=-10"}).content == whole.content[-10:]
    rest = httpx.get(link, headers={"range": f"bytes={total - 5}-"})
    assert rest.content == whole.content[-5:]
    beyond = httpx.get(link, headers={"range": f"bytes={total}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{total}"
    for odd in ("bytes=5-2", "bytes=a-b", "bytes=0-1,4-5", f"bytes={'9' * 5000}-", "items=0-1"):
        assert httpx.get(link, headers={"range": odd}).status_code == 200
    changed = {"range": "bytes=5-", "if-range": '"another"'}
    assert httpx.get(link, headers=changed).status_code == 200
    same = {"range": "bytes=5-", "if-range": whole.headers["etag"]}
    assert httpx.get(link, headers=same).status_code == 206
    assert httpx.get(link, headers=KEY).status_code == 400
    assert httpx.get(link.replace("Signature=", "Signature=0")).status_code == 403
    assert [seen.host_role for seen in sandbox.seen][-1] == "storage"


# --- the bundled world


def test_the_world_covers_every_model_type_and_family() -> None:
    models = Store(BUNDLED).models.values()
    assert {model["type"] for model in models} == set(MODEL_TYPES)
    bases = {v["baseModel"] for model in models for v in model["modelVersions"]}
    families = {look_up(base).family for base in bases}
    assert families == {row.family for row in BASE_MODELS.values()}
    assert any(base and base.casefold() not in BASE_MODELS for base in bases)


def test_every_hash_of_the_world_has_its_length_and_prefix() -> None:
    lengths = {"AutoV1": 8, "AutoV2": 10, "AutoV3": 12, "SHA256": 64, "CRC32": 8, "BLAKE3": 64}
    for hit in Store(BUNDLED).versions.values():
        for file in hit.version["files"]:
            hashes = file["hashes"]
            assert {kind: len(value) for kind, value in hashes.items()} == {
                kind: lengths[kind] for kind in hashes
            }
            if hashes:
                assert hashes["SHA256"].startswith(hashes["AutoV2"])


def test_every_named_id_of_the_world_exists(http: httpx.Client) -> None:
    store = Store(BUNDLED)
    images = {row["id"] for row in store.image_rows}
    for name, value in vars(world).items():
        if not name.isupper() or name == "NO_SUCH_IMAGE" or isinstance(value, str):
            continue
        if "COLLECTION" in name or name in ("DEMO_POST", "DEMO_TAG"):
            continue
        known: Any = images if "IMAGE" in name else store.versions
        known = store.models if "MODEL" in name else known
        for each in value if isinstance(value, tuple) else (value,):
            assert each in known, name


def test_the_ten_loras_are_each_found_by_their_short_hash(http: httpx.Client) -> None:
    meta = output(http, "image.getGenerationData", {"id": world.TEN_LORAS_IMAGE})["meta"]
    found = [v1(http, f"model-versions/by-hash/{value}")["id"] for value in meta["hashes"].values()]
    assert sorted(found) == sorted(world.TEN_LORAS_VERSIONS)
    assert all(len(value) in (10, 12) for value in meta["hashes"].values())


def test_the_world_is_small() -> None:
    size = sum(path.stat().st_size for path in BUNDLED.rglob("*.json"))
    assert size < 400_000


def test_the_long_description_is_long_and_hostile(http: httpx.Client) -> None:
    text = v1(http, f"models/{world.LONG_DESCRIPTION_MODEL}")["description"]
    assert len(text) > 100_000
    assert "<script>" in text


# --- recorded answers


@pytest.fixture(scope="module")
def recordings(recorded: Path) -> Iterator[httpx.Client]:
    start = datetime.now(UTC)
    with (
        running_sandbox(data=recorded) as running,
        httpx.Client(base_url=running.base_url, timeout=30) as client,
    ):
        assert client.get("/api/v1/models?limit=1").status_code == 200
        assert (datetime.now(UTC) - start).total_seconds() < 3
        yield client


def test_recorded_models_are_served_as_recorded(recordings: httpx.Client, recorded: Path) -> None:
    for path in sorted((recorded / "rest/models").glob("[0-9]*.json"))[:60]:
        if "_" in path.stem:
            continue
        stored = json.loads(path.read_text(encoding="utf-8"))
        body = v1(recordings, f"models/{path.stem}")
        assert body.keys() == stored.keys()
        assert body["modelVersions"][0].keys() == stored["modelVersions"][0].keys()


def test_versions_hashes_lists_and_images_are_derived_from_recorded_models(
    recordings: httpx.Client,
) -> None:
    items = all_pages(recordings, "models", limit=100)
    assert len(items) > 100
    for item in items:
        assert all(isinstance(tag, str) for tag in item["tags"])
        for version in item["modelVersions"]:
            assert not {"modelId", "createdAt"} & set(version)
            assert all(isinstance(image["nsfwLevel"], int) for image in version["images"])
    version = items[5]["modelVersions"][0]
    body = v1(recordings, f"model-versions/{version['id']}")
    assert body["model"]["name"] == items[5]["name"]
    digest = next(iter(version["files"][0]["hashes"].values()))
    assert v1(recordings, f"model-versions/by-hash/{digest}")["files"]
    row = v1(recordings, "images", imageId=10321, withMeta="true", flatMeta="true")["items"][0]
    assert row["meta"]["steps"] == 20


def test_a_recorded_version_wins_over_a_derived_one(recordings: httpx.Client) -> None:
    assert v1(recordings, "model-versions/1318")["earlyAccessTimeFrame"] == 0
    entry = v1(recordings, "model-versions/9208")
    assert entry["name"]
    assert v1(recordings, "tags", limit=3)["items"][0]["modelCount"] == 1


def test_recorded_envelopes_are_served_whole(recordings: httpx.Client, recorded: Path) -> None:
    path = recorded / "trpc/image.getGenerationData/21884310.json"
    answer = trpc(recordings, "image.getGenerationData", {"id": 21884310})
    assert answer.json() == json.loads(path.read_text(encoding="utf-8"))


def test_broken_files_are_named_and_skipped(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "rest/models"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text("{", encoding="utf-8")
    (folder / "2.json").write_text("[]", encoding="utf-8")
    (folder / "3.json").write_bytes(b"\xff\xfe")
    good = {"id": 4, "name": "kept", "type": "LORA", "modelVersions": [{"id": "x"}, 3, None]}
    (folder / "4_a.json").write_text(json.dumps(good | {"name": "beaten"}), encoding="utf-8")
    (folder / "4.json").write_text(json.dumps(good), encoding="utf-8")
    with running_sandbox(data=tmp_path) as running, httpx.Client(base_url=running.base_url) as c:
        assert [item["name"] for item in v1(c, "models")["items"]] == ["kept"]
    told = capfd.readouterr().err
    assert all(name in told for name in ("1.json", "2.json", "3.json"))
    assert "4.json" not in told


def test_every_folder_of_recorded_answers_is_read(tmp_path: Path) -> None:
    def put(path: str, value: Any) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(value), encoding="utf-8")

    def version(version_id: int, name: str, digest: str) -> dict[str, Any]:
        return {
            "id": version_id,
            "name": name,
            "baseModel": "SD 1.5",
            "files": [{"id": 1, "primary": True, "hashes": {"AutoV2": digest}, "sizeKB": 1}],
            "images": [],
        }

    put("rest/model_versions_entries/11_2024-08.json", version(11, "older", "AA"))
    put("rest/model_versions_entries/11_2025-08.json", version(11, "newer", "BB"))
    put("rest/by_hash/12.json", version(12, "hashed", "CC") | {"recorded": True})
    put("rest/model_versions/13_note.json", version(13, "noted", "DD"))
    put("rest/model_versions/13.json", version(13, "exact", "DD") | {"air": "urn:air:x"})
    put("rest/models_pages/any.json", {"items": [{"id": 5, "type": "LORA", "modelVersions": []}]})
    put("rest/images/any.json", {"items": [{"id": 21, "url": "https://x/21.jpeg"}, {"id": None}]})
    put("rest/images/22.json", {"id": 22, "url": "https://x/22.mp4", "nsfwLevel": "Soft"})
    put("rest/enums/any.json", {"ModelType": ["Checkpoint", "..."]})
    put("rest/creators/limit_1.json", {"items": [{"username": "recorded"}], "metadata": {}})
    put("trpc/collection.getById/31.json", {"result": {"data": {"json": {"name": "c"}}}})
    with running_sandbox(data=tmp_path) as running, httpx.Client(base_url=running.base_url) as c:
        newest = v1(c, "model-versions/11")
        assert newest["name"] == "newer"
        assert not {"model", "air"} & set(newest)
        assert v1(c, "model-versions/by-hash/cc")["recorded"] is True
        assert v1(c, "model-versions/13")["air"] == "urn:air:x"
        assert v1(c, "models")["items"][0]["id"] == 5
        assert [row["id"] for row in v1(c, "images")["items"]] == [21]
        soft = v1(c, "images", imageId=22, nsfw="Soft")["items"][0]
        assert (soft["type"], soft["browsingLevel"]) == ("video", 2)
        assert v1(c, "enums") == {"ModelType": ["Checkpoint", "..."]}
        assert v1(c, "creators", limit=1)["items"] == [{"username": "recorded"}]
        assert v1(c, "creators", limit=2)["items"] == []
        assert output(c, "collection.getById", {"id": 31}) == {"name": "c"}
        assert trpc(c, "collection.getById", {"id": 32}).status_code == 404


# --- hostile requests


PATHS = st.sampled_from(
    ["models", "models/1", "model-versions/1", "images", "model-versions/mini/1", "tags", "users"]
)
NAMES = st.sampled_from(
    ["limit", "page", "cursor", "query", "ids", "nsfw", "types", "tag", "imageId", "sort", "tags"]
)


@given(path=PATHS, params=st.dictionaries(NAMES, st.text(max_size=20), max_size=4))
@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_query_makes_the_stand_in_fail(
    http: httpx.Client, path: str, params: dict[str, str]
) -> None:
    clean = {k: v.encode("utf-8", "ignore").decode() for k, v in params.items()}
    answer = http.get(f"/api/v1/{path}", params=clean)
    assert answer.status_code in (200, 400, 404, 429)
    assert answer.json() is not None


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=6,
    ),
    name=st.sampled_from(
        [
            "image.get",
            "image.getInfinite",
            "tag.getVotableTags",
            "post.get",
            "generation.getResourceDataByIds",
        ]
    ),
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_trpc_input_makes_the_stand_in_fail(http: httpx.Client, value: Any, name: str) -> None:
    filters = ("sort", "cursor", "types", "tags", "collectionId", "modelId", "browsingLevel")
    questions = (
        value,
        {"id": value, "ids": value},
        {"type": "image", "id": value, "limit": value},
        dict.fromkeys(filters, value),
        *({key: value} for key in filters),
    )
    for asked in questions:
        text = quote(json.dumps({"json": asked}))
        answer = http.get(f"/api/trpc/{name}?input={text}", headers=SITE)
        assert answer.status_code in (200, 400, 404)
