"""Endpoints beyond models and images: over the stand-in, and in every shape ever sent."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import pytest
import respx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civit_mcp.civitai import CivitaiClient, FeedQuery, RetryPolicy
from civit_mcp.civitai.wire import gallery, listings, numbered, people, short, vault
from civit_mcp.civitai.wire.images import read_listed_image
from civit_mcp.errors import (
    BadReference,
    CivitError,
    NotFound,
    RateLimited,
    Unauthorized,
    UpstreamChanged,
    UpstreamUnavailable,
)
from civit_mcp.models.account import VaultToggle
from civit_mcp.models.gallery import TagRecord
from civit_mcp.models.records import ImageRecord, PagedList
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from tests.civitai_support import BASE, KEY, client

UUID = "4278af43-a356-4bd1-81aa-dea1c75ae335"
SHA = "0123456789ABCDEF" * 4
T = TypeVar("T")
Ask = Callable[[CivitaiClient], Awaitable[Any]]


@pytest.fixture
async def civitai(sandbox: Sandbox) -> AsyncIterator[CivitaiClient]:
    """A client with a key, over the stand-in."""
    async with client(civitai_url=sandbox.base_url, civitai_api_key=SANDBOX_KEY) as keyed:
        yield keyed


@pytest.fixture
async def nobody(sandbox: Sandbox) -> AsyncIterator[CivitaiClient]:
    """A client without a key, over the stand-in."""
    async with client(civitai_url=sandbox.base_url) as plain:
        yield plain


def ok(value: Any) -> httpx.Response:
    return httpx.Response(200, json=value)


def envelope(value: Any) -> httpx.Response:
    return ok({"result": {"data": {"json": value}}})


def given_input(request: httpx.Request) -> dict[str, Any]:
    """What a procedure was asked: the whole superjson wrapper."""
    return dict(json.loads(request.url.params["input"]))


def rest(router: respx.MockRouter, path: str, value: Any) -> respx.Route:
    method = "POST" if path.endswith("toggle-version") else "GET"
    route = router.route(method=method, url__startswith=f"{BASE}/api/v1/{path}")
    return route.mock(return_value=ok(value))


def procedure(router: respx.MockRouter, name: str, value: Any) -> respx.Route:
    route = router.get(url__startswith=f"{BASE}/api/trpc/{name}")
    return route.mock(return_value=envelope(value))


async def leaf_through(ask: Callable[..., Awaitable[PagedList[T]]], **words: Any) -> list[T]:
    """All rows of a listing that is paged by number; the walk itself is bounded."""
    found: list[T] = []
    page: int | None = 1
    for _ in range(60):
        listed = await ask(**words, page=page)
        found += listed.items
        page = listed.next_page
        if page is None:
            return found
    raise AssertionError("the listing does not end")


# --- over the stand-in


async def test_the_mini_form_gets_its_ids_from_its_air(civitai: CivitaiClient) -> None:
    mini = await civitai.mini_version(world.DEMO_LORA_VERSION)
    assert (mini.version_id, mini.model_id) == (world.DEMO_LORA_VERSION, world.DEMO_LORA_MODEL)
    assert mini.file_id is None
    assert mini.file_name == "GoldenHourGradingXL.safetensors"
    assert mini.model_name == "Golden Hour Grading XL"
    assert mini.hashes["SHA256"].startswith(mini.hashes["AutoV2"])


async def test_the_mini_form_describes_the_file_that_was_named(civitai: CivitaiClient) -> None:
    files = (await civitai.version(world.SAME_NAME_VERSION)).files
    for file in files:
        assert file.id is not None
        mini = await civitai.mini_version(world.SAME_NAME_VERSION, file_id=file.id)
        assert (mini.file_id, mini.size_kb) == (file.id, file.size_kb)
        assert mini.hashes == file.hashes
    with pytest.raises(NotFound, match="file '1' of model version"):
        await civitai.mini_version(world.SAME_NAME_VERSION, file_id=1)


async def test_early_access_is_told_in_the_mini_form(civitai: CivitaiClient) -> None:
    mini = await civitai.mini_version(world.EARLY_ACCESS_VERSION)
    assert mini.check_permission is True
    assert (mini.early_access_until or "").startswith("2099")
    with pytest.raises(NotFound):
        await civitai.mini_version(world.NO_FILE_VERSION)


@pytest.mark.parametrize("query", ["", "a"])
async def test_creators_are_walked_to_the_end_once_each(nobody: CivitaiClient, query: str) -> None:
    listed = await leaf_through(nobody.creators, query=query, limit=2)
    found = [creator.username for creator in listed]
    assert len(found) == len(set(found)) > 2
    assert all(query in name.casefold() for name in found)


async def test_a_whole_list_of_creators_is_counted_and_a_search_is_not(
    nobody: CivitaiClient,
) -> None:
    assert (await nobody.creators(limit=2)).total == len((await nobody.creators(limit=200)).items)
    assert (await nobody.creators("harbor")).total is None
    assert await nobody.creators("no such creator") == PagedList()


async def test_tags_are_walked_until_a_page_is_empty(nobody: CivitaiClient) -> None:
    found = await leaf_through(nobody.tags, query="land", limit=1)
    assert [tag.name for tag in found] == ["landscape"]
    last = await nobody.tags("land", limit=1, page=2)
    assert (last.items, last.next_page, last.total) == ((), None, None)


async def test_users_are_found_by_id_and_by_name(nobody: CivitaiClient, sandbox: Sandbox) -> None:
    by_id = await nobody.users(ids=[101, 101, 999_999])
    assert [seen.query for seen in sandbox.seen] == [{"ids": ["101,999999"]}]
    by_name = await nobody.users(query="harbor")
    assert [(user.id, user.username) for user in by_id] == [(101, "harbor_lantern")]
    assert by_id == by_name


async def test_permissions_are_told_for_each_version_asked_for(nobody: CivitaiClient) -> None:
    asked = [world.DEMO_CHECKPOINT_VERSION, 999]
    assert await nobody.permissions(asked) == {world.DEMO_CHECKPOINT_VERSION: True, 999: False}
    assert list(await nobody.permissions(range(1, 251), user_id=7)) == list(range(1, 251))


async def test_the_vault_takes_a_version_and_gives_it_back(
    civitai: CivitaiClient, sandbox: Sandbox
) -> None:
    wanted = world.DEMO_LORA_VERSION
    assert await civitai.vault_items() == PagedList(total=0)
    added = await civitai.toggle_vault(wanted)
    assert (added.success, added.added) == (True, True)
    held = await civitai.vault_has([wanted, 999])
    item = held[wanted]
    assert item is not None
    assert (item.id, item.version_id, item.status) == (added.item_id, wanted, "Stored")
    assert item.model_id == world.DEMO_LORA_MODEL
    assert held[999] is None
    assert (await civitai.vault_items()).items == (item,)
    space = await civitai.vault()
    assert space is not None
    assert (space.used_kb or 0) >= (item.model_size_kb or 0) > 0
    assert await civitai.toggle_vault(wanted) == VaultToggle(success=True, added=False)
    assert (await civitai.vault_has([wanted]))[wanted] is None
    toggles = [seen for seen in sandbox.seen if seen.path.endswith("toggle-version")]
    assert [seen.query for seen in toggles] == [{"modelVersionId": [str(wanted)]}] * 2
    assert [json.loads(seen.body) for seen in toggles] == [{"modelVersionId": wanted}] * 2


async def test_the_vault_is_paged_by_number(civitai: CivitaiClient) -> None:
    for version_id in world.TEN_LORAS_VERSIONS:
        await civitai.toggle_vault(version_id)
    assert (await civitai.vault_items(limit=4)).total == 10
    listed = await leaf_through(civitai.vault_items, limit=4, sort="Model Name")
    found = [item.version_id for item in listed]
    assert len(found) == len(set(found))
    assert set(found) == set(world.TEN_LORAS_VERSIONS)


async def test_who_is_no_member_has_no_vault(civitai: CivitaiClient, sandbox: Sandbox) -> None:
    sandbox.use("no-membership")
    assert await civitai.vault() is None
    assert (await civitai.vault_items()).items == ()
    account = await civitai.me()
    assert account is not None
    assert account.is_member is False


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("drop-mid-body", UpstreamUnavailable),
        ("drop", UpstreamUnavailable),
        ("error-500", UpstreamUnavailable),
        ("busy", UpstreamUnavailable),
        ("html-200", UpstreamChanged),
        ("rate-limit-forever", RateLimited),
    ],
)
async def test_a_toggle_is_sent_once_whatever_happens(
    civitai: CivitaiClient, sandbox: Sandbox, fault: str, error: type[CivitError]
) -> None:
    sandbox.use(f"{fault}:toggle-version")
    with pytest.raises(error) as caught:
        await civitai.toggle_vault(world.DEMO_LORA_VERSION)
    assert len(sandbox.seen) == 1
    if error is not RateLimited:
        assert "look whether the version is in the vault" in str(caught.value)


async def test_a_toggle_whose_answer_was_lost_has_happened_once(
    civitai: CivitaiClient, sandbox: Sandbox
) -> None:
    sandbox.use("drop-mid-body:toggle-version")
    with pytest.raises(UpstreamUnavailable):
        await civitai.toggle_vault(world.DEMO_LORA_VERSION)
    assert (await civitai.vault_has([world.DEMO_LORA_VERSION]))[world.DEMO_LORA_VERSION]


async def test_what_is_not_in_the_world_is_not_put_into_the_vault(
    civitai: CivitaiClient,
) -> None:
    with pytest.raises(NotFound, match="model version '999'"):
        await civitai.toggle_vault(999)


async def walk(civitai: CivitaiClient, **query: Any) -> list[ImageRecord]:
    found: list[ImageRecord] = []
    page = await civitai.image_feed(FeedQuery(**query))
    for _ in range(50):
        found += page.items
        if page.next_cursor is None:
            return found
        page = await civitai.image_feed(FeedQuery(**query, cursor=page.next_cursor))
    raise AssertionError("the feed does not end")


@pytest.mark.parametrize("sort", ["", "Newest", "Most Comments"])
@pytest.mark.parametrize("fault", ["", "empty-pages", "repeat-cursor", "devalue", "bare-trpc"])
async def test_a_collection_is_walked_without_repeats(
    civitai: CivitaiClient, sandbox: Sandbox, sort: str, fault: str
) -> None:
    sandbox.use(*([fault] if fault else []))
    query = {"collection_id": world.LANDSCAPE_COLLECTION, "limit": 5, "sort": sort}
    found = [image.id for image in await walk(civitai, **query)]
    if fault == "repeat-cursor":
        assert found == found[:5] * 2
        return
    assert len(found) == len(set(found)) == 13
    assert {world.PG13_IMAGE, world.R_IMAGE} <= set(found)


async def test_without_a_key_the_feed_shows_the_first_level(nobody: CivitaiClient) -> None:
    found = await walk(nobody, collection_id=world.LANDSCAPE_COLLECTION, browsing_level=31)
    assert {image.level_bits for image in found} == {1}


async def test_a_private_collection_is_an_empty_page(civitai: CivitaiClient) -> None:
    page = await civitai.image_feed(FeedQuery(collection_id=world.PRIVATE_COLLECTION))
    assert (page.items, page.next_cursor) == ((), None)


async def test_a_post_is_read_with_its_pictures(nobody: CivitaiClient) -> None:
    post = await nobody.post(world.DEMO_POST)
    assert (post.id, post.title) == (world.DEMO_POST, "Mornings at the lake")
    assert (post.username, post.user_id) == ("harbor_lantern", 101)
    assert [tag.name for tag in post.tags] == ["mountain", "lake"]
    pictures = await walk(nobody, post_id=world.DEMO_POST)
    assert len(pictures) > 1
    assert {image.post_id for image in pictures} == {world.DEMO_POST}
    with pytest.raises(NotFound, match="post '5'"):
        await nobody.post(5)


async def test_the_feed_keeps_its_facts(nobody: CivitaiClient) -> None:
    page = await nobody.image_feed(FeedQuery(version_id=world.DEMO_LORA_VERSION, limit=200))
    [image] = [each for each in page.items if each.id == world.DEMO_IMAGE]
    shown = await nobody.image(world.DEMO_IMAGE)
    assert image.url == shown.url
    assert (image.width, image.height, image.level_bits) == (1216, 832, 1)
    assert world.DEMO_LORA_VERSION in image.version_ids
    assert image.meta is None


async def test_tags_of_images_and_single_tags(nobody: CivitaiClient) -> None:
    tags = await nobody.image_tags(world.DEMO_IMAGE)
    assert [(tag.id, tag.name) for tag in tags] == [(301, "mountain"), (302, "lake")]
    assert await nobody.image_tags(5) == []
    single = await nobody.tag(world.DEMO_TAG)
    assert single == TagRecord(id=301, name="mountain", type="UserGenerated")
    assert await nobody.tag(5) is None


async def test_many_versions_are_known_in_few_calls(
    nobody: CivitaiClient, sandbox: Sandbox
) -> None:
    models = [world.DEMO_LORA_VERSION, *range(1, 250), world.EARLY_ACCESS_VERSION]
    facts = await nobody.resources_by_version_ids(models)
    assert [each.version_id for each in facts] == [models[0], models[-1]]
    assert facts[0].model_id == world.DEMO_LORA_MODEL
    assert facts[0].trigger_words == (await nobody.version(models[0])).trigger_words
    assert facts[1].has_access is False
    assert (facts[1].early_access_until or "").startswith("2099")
    assert sum("getResourceDataByIds" in seen.path for seen in sandbox.seen) == 3
    assert await nobody.resources_by_version_ids([]) == []


async def test_nothing_is_asked_when_nothing_is_wanted(
    nobody: CivitaiClient, sandbox: Sandbox
) -> None:
    assert await nobody.users() == []
    assert await nobody.permissions([]) == {}
    assert await nobody.vault_has([]) == {}
    assert sandbox.seen == []


VAULT: dict[str, Ask] = {
    "vault": lambda civitai: civitai.vault(),
    "vault_items": lambda civitai: civitai.vault_items(),
    "vault_has": lambda civitai: civitai.vault_has([1]),
    "toggle_vault": lambda civitai: civitai.toggle_vault(1),
}


@pytest.mark.parametrize("name", VAULT)
async def test_the_vault_wants_a_key(nobody: CivitaiClient, name: str) -> None:
    with pytest.raises(Unauthorized, match="set CIVITAI_API_KEY"):
        await VAULT[name](nobody)


@pytest.mark.parametrize("name", VAULT)
async def test_the_vault_says_that_a_key_is_wrong(sandbox: Sandbox, name: str) -> None:
    async with client(civitai_url=sandbox.base_url, civitai_api_key="outdated") as civitai:
        with pytest.raises(Unauthorized, match="make a new key") as caught:
            await VAULT[name](civitai)
    assert "outdated" not in str(caught.value)


# --- what is sent


@pytest.mark.parametrize("number", [0, -1, 2**31, True])
async def test_an_impossible_id_is_not_asked_for(number: int) -> None:
    asks: list[Ask] = [
        lambda civitai: civitai.mini_version(number),
        lambda civitai: civitai.mini_version(1, file_id=number),
        lambda civitai: civitai.users(ids=[1, number]),
        lambda civitai: civitai.permissions([1, number]),
        lambda civitai: civitai.permissions([1], user_id=number),
        lambda civitai: civitai.vault_has([1, number]),
        lambda civitai: civitai.toggle_vault(number),
        lambda civitai: civitai.image_tags(number),
        lambda civitai: civitai.tag(number),
        lambda civitai: civitai.post(number),
        lambda civitai: civitai.resources_by_version_ids([1, number]),
    ]
    async with client() as civitai:
        for ask in asks:
            with pytest.raises(BadReference, match="cannot be the id"):
                await ask(civitai)


@pytest.mark.parametrize("page", [0, -3, 2**31, True])
async def test_an_impossible_page_is_not_asked_for(page: int) -> None:
    async with client() as civitai:
        for ask in (civitai.creators, civitai.tags, civitai.vault_items):
            with pytest.raises(BadReference, match="page"):
                await ask(page=page)


@pytest.mark.parametrize(("limit", "sent"), [(0, "1"), (-5, "1"), (7, "7"), (5000, "200")])
async def test_a_limit_is_moved_to_where_civitai_takes_it(
    respx_mock: respx.MockRouter, limit: int, sent: str
) -> None:
    for path in ("creators", "tags", "vault/all"):
        rest(respx_mock, path, {"items": []})
    async with client(civitai_api_key=KEY) as civitai:
        for ask in (civitai.creators, civitai.tags, civitai.vault_items):
            await ask(limit=limit)
    assert [call.request.url.params["limit"] for call in respx_mock.calls] == [sent] * 3


async def test_the_first_page_of_the_feed_has_no_cursor_at_all(
    respx_mock: respx.MockRouter,
) -> None:
    procedure(respx_mock, "image.getInfinite", {"items": [], "nextCursor": 99})
    async with client() as civitai:
        first = await civitai.image_feed(FeedQuery(post_id=3))
        await civitai.image_feed(FeedQuery(post_id=3, cursor=first.next_cursor))
        procedure(respx_mock, "image.getInfinite", {"items": [{"id": 1}], "nextCursor": "99"})
        last = await civitai.image_feed(FeedQuery(post_id=3, limit=3, cursor=first.next_cursor))
    asked = [given_input(call.request) for call in respx_mock.calls]
    assert asked[0] == {"json": {"limit": 20, "postId": 3}}
    assert asked[1] == {"json": {"limit": 20, "postId": 3, "cursor": "99"}}
    assert last.next_cursor is None


async def test_a_feed_is_spelled_as_the_procedure_reads_it(respx_mock: respx.MockRouter) -> None:
    procedure(respx_mock, "image.getInfinite", {"items": []})
    query = FeedQuery(
        collection_id=1,
        model_id=2,
        version_id=3,
        username="someone",
        sort="Most Collected",
        period="Week",
        browsing_level=3,
        types=("image", "video"),
        base_models=("Pony", ""),
        tags=(4, 5),
        limit=999,
        cursor="1|2",
    )
    async with client() as civitai:
        await civitai.image_feed(query)
    assert given_input(respx_mock.calls.last.request)["json"] == {
        "limit": 200,
        "collectionId": 1,
        "modelId": 2,
        "modelVersionId": 3,
        "username": "someone",
        "sort": "Most Collected",
        "period": "Week",
        "browsingLevel": 3,
        "types": ["image", "video"],
        "baseModels": ["Pony"],
        "tags": [4, 5],
        "cursor": "1|2",
    }


async def test_ids_go_in_commas_and_in_batches(respx_mock: respx.MockRouter) -> None:
    def verdicts(request: httpx.Request) -> httpx.Response:
        ids = request.url.params["entityIds"].split(",")
        assert len(ids) <= 100
        return ok(dict.fromkeys(ids, True))

    respx_mock.get(f"{BASE}/api/v1/permissions/check").mock(side_effect=verdicts)
    async with client() as civitai:
        found = await civitai.permissions([*range(1, 251), 1], user_id=9)
    assert found == dict.fromkeys(range(1, 251), True)
    assert len(respx_mock.calls) == 3
    assert {call.request.url.params["userId"] for call in respx_mock.calls} == {"9"}
    [tags] = [call.request.url for call in respx_mock.calls if "250" in str(call.request.url)]
    assert parse_qs(urlsplit(str(tags)).query).keys() == {"entityIds", "userId"}


async def test_equal_toggles_at_once_are_two_requests(respx_mock: respx.MockRouter) -> None:
    route = rest(respx_mock, "vault/toggle-version", {"success": True})
    async with client(civitai_api_key=KEY) as civitai, anyio.create_task_group() as group:
        group.start_soon(civitai.toggle_vault, 7)
        group.start_soon(civitai.toggle_vault, 7)
    assert route.call_count == 2


async def test_an_answer_to_a_toggle_is_never_kept(respx_mock: respx.MockRouter) -> None:
    headers = {"cache-control": "public, s-maxage=300"}
    answer = httpx.Response(200, json={"success": True, "vaultId": 5}, headers=headers)
    route = respx_mock.post(f"{BASE}/api/v1/vault/toggle-version").mock(return_value=answer)
    async with client(civitai_api_key=KEY, retry=RetryPolicy()) as civitai:
        for _ in range(2):
            toggled = await civitai.toggle_vault(7)
            assert toggled == VaultToggle(success=True, added=True, item_id=5)
    assert route.call_count == 2


# --- every shape ever sent


@pytest.mark.parametrize(
    ("payload", "size", "following", "total"),
    [
        ({"items": [{"username": "a"}], "metadata": {"hasMore": True}}, 1, 3, None),
        (
            {"items": [{"username": "a"}], "metadata": {"hasMore": False, "nextPage": "x"}},
            1,
            None,
            None,
        ),
        ({"items": [{"username": "a"}], "metadata": {"nextPage": "/c?page=3"}}, 1, 3, None),
        (
            {"items": [{"username": "a"}], "metadata": {"totalItems": 9, "totalPages": 5}},
            1,
            3,
            9,
        ),
        (
            {"items": [{"username": "a"}], "metadata": {"totalItems": "4", "totalPages": "2"}},
            1,
            None,
            4,
        ),
        ({"items": [{"username": "a"}], "metadata": {"totalItems": 5}}, 1, 3, 5),
        ({"items": [{"username": "a"}], "metadata": {"totalItems": 4}}, 1, None, 4),
        ({"items": [{"username": "a"}, {"username": "b"}]}, 2, 3, None),
        ({"items": [{"username": "a"}]}, 1, None, None),
        ({"items": [], "metadata": {"hasMore": True, "nextPage": "x"}}, 0, None, None),
        ([{"username": "a"}, {"username": "b"}], 2, None, None),
        ({"items": [{"username": None}, None, 5, {"username": 77}]}, 1, 3, None),
        ({"items": [{"username": "a"}] * 2, "metadata": None}, 1, 3, None),
    ],
)
async def test_the_end_of_a_numbered_listing_is_where_civitai_says_so(
    respx_mock: respx.MockRouter, payload: Any, size: int, following: Any, total: Any
) -> None:
    rest(respx_mock, "creators", payload)
    async with client() as civitai:
        listed = await civitai.creators(limit=2, page=2)
    assert (len(listed.items), listed.next_page, listed.total) == (size, following, total)


@pytest.mark.parametrize(
    ("metadata", "following", "total"),
    [
        ({"totalItems": 0, "totalPages": 1, "currentPage": 2}, 3, None),
        ({"totalItems": 200, "totalPages": 67, "nextPage": "x"}, 3, 200),
        ({"totalItems": 6, "totalPages": 2}, None, 6),
        ({}, 3, None),
    ],
)
async def test_tags_without_counts_go_on_and_older_ones_end(
    respx_mock: respx.MockRouter, metadata: Any, following: int | None, total: int | None
) -> None:
    tag = {"name": "lake", "modelCount": 3, "link": "x"}
    rest(respx_mock, "tags", {"items": [tag], "metadata": metadata})
    async with client() as civitai:
        listed = await civitai.tags("la", limit=3, page=2)
    assert listed.items == (TagRecord(name="lake", model_count=3),)
    assert (listed.next_page, listed.total) == (following, total)


MINI = {
    "air": "urn:air:sdxl:lora:civitai:5@7+9",
    "versionName": "v1",
    "modelName": "M",
    "userId": 3,
    "size": 12.5,
    "hashes": {"SHA256": SHA.lower(), "Blake3": SHA},
    "downloadUrls": [f"{BASE}/api/download/models/7?token=secret"],
    "canGenerate": True,
}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (MINI, (7, 5, 9, "v1", 12.5)),
        ({"id": 7, "modelId": 5, "name": "v1", "air": "x"}, (7, 5, None, "v1", None)),
        ({"versionName": "v1", "size": "12.5"}, (7, None, None, "v1", 12.5)),
        ({"air": "urn:air:other:upscaler:civitai:5@7", "size": -1}, (7, 5, None, "", None)),
    ],
)
async def test_the_mini_form_is_read_in_both_generations(
    respx_mock: respx.MockRouter, payload: Any, expected: tuple[Any, ...]
) -> None:
    rest(respx_mock, "model-versions/mini/7", payload)
    async with client() as civitai:
        mini = await civitai.mini_version(7)
    assert expected == (
        mini.version_id,
        mini.model_id,
        mini.file_id,
        mini.version_name,
        mini.size_kb,
    )
    assert "secret" not in repr(mini)


@pytest.mark.parametrize("payload", [{}, [], None, {"size": 3}, {"air": "urn:air:civitai:5@8"}])
async def test_a_mini_form_about_nothing_or_another_version_is_refused(
    respx_mock: respx.MockRouter, payload: Any
) -> None:
    rest(respx_mock, "model-versions/mini/7", payload)
    async with client() as civitai:
        with pytest.raises(UpstreamChanged, match="version '7'"):
            await civitai.mini_version(7)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": 1, "username": "a", "avatarUrl": UUID, "avatarNsfw": 2}, (1, "a", 2)),
        ({"id": "1", "username": 42, "image": UUID, "avatarNsfw": "None"}, (1, "42", 1)),
        ({"id": 1, "username": None, "avatarNsfw": []}, (1, None, None)),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
async def test_users_are_read_from_both_containers(
    respx_mock: respx.MockRouter, row: Any, expected: tuple[Any, ...], wrapped: bool
) -> None:
    rows = [row, None, {"username": "no id"}]
    rest(respx_mock, "users", {"items": rows} if wrapped else rows)
    async with client() as civitai:
        [user] = await civitai.users(ids=[1])
    assert (user.id, user.username, user.avatar_level_bits) == expected
    assert user.avatar is None or UUID in user.avatar


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"7": True, "8": False, "x": True, "9": "no"}, {7: True, 8: False}),
        ({"7": "true", "70": True}, {7: True}),
        ([], {}),
        ({}, {}),
        ({"entityType": "ModelVersion", "entityId": 7, "canView": True}, {}),
        ({"entityType": "ModelVersion", "entityId": 7, "canGenerate": True}, {7: True}),
    ],
)
async def test_permissions_are_read_in_both_generations(
    respx_mock: respx.MockRouter, payload: Any, expected: dict[int, bool]
) -> None:
    rest(respx_mock, "permissions/check", payload)
    async with client() as civitai:
        assert await civitai.permissions([7, 8, 9]) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"vault": None}, None),
        ({}, None),
        ({"vault": {"userId": 3, "storageKb": 10, "usedStorageKb": 4}}, (3, 10.0, 4.0)),
        ({"subscribed": True, "storageLimitKb": "10", "storageUsedKb": 4}, (None, 10.0, 4.0)),
        ({"subscribed": False}, None),
        ({"vault": {"userId": None, "storageKb": None}}, (None, None, None)),
    ],
)
async def test_the_vault_is_read_in_both_generations(
    respx_mock: respx.MockRouter, payload: Any, expected: tuple[Any, ...] | None
) -> None:
    rest(respx_mock, "vault/get", payload)
    async with client(civitai_api_key=KEY) as civitai:
        space = await civitai.vault()
    found = (space.user_id, space.storage_kb, space.used_kb) if space is not None else None
    assert found == expected


ITEM = {"id": 5, "modelVersionId": 7, "modelName": "M", "modelSizeKb": 3, "files": None}


@pytest.mark.parametrize(
    ("payload", "following", "total"),
    [
        ({"items": [ITEM], "totalItems": 9, "totalPages": 3, "currentPage": 2}, 3, 9),
        ({"items": [ITEM], "totalItems": 2, "totalPages": 2}, None, 2),
        ([ITEM, None], None, None),
    ],
)
async def test_vault_items_are_read_in_both_generations(
    respx_mock: respx.MockRouter, payload: Any, following: int | None, total: int | None
) -> None:
    rest(respx_mock, "vault/all", payload)
    async with client(civitai_api_key=KEY) as civitai:
        listed = await civitai.vault_items(page=2)
    assert [(item.id, item.version_id, item.model_size_kb) for item in listed.items] == [
        (5, 7, 3.0)
    ]
    assert (listed.next_page, listed.total) == (following, total)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ([{"modelVersionId": 7, "vaultItem": ITEM}, {"modelVersionId": 8}], {7: 5, 8: None}),
        ({"7": ITEM, "8": None, "9": "odd"}, {7: 5, 8: None}),
        ({"subscribed": True, "storageUsedKb": 4}, {}),
        ([], {}),
    ],
)
async def test_what_the_vault_holds_is_read_in_every_form(
    respx_mock: respx.MockRouter, payload: Any, expected: dict[int, int | None]
) -> None:
    rest(respx_mock, "vault/check-vault", payload)
    async with client(civitai_api_key=KEY) as civitai:
        held = await civitai.vault_has([7, 8, 9])
    assert {key: item.id if item else None for key, item in held.items()} == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"success": True, "vaultId": 5}, VaultToggle(success=True, added=True, item_id=5)),
        ({"success": True}, VaultToggle(success=True, added=False)),
        ({"success": True, "vaultId": None}, VaultToggle(success=True, added=False)),
        ({"success": False}, VaultToggle(success=False)),
        (ITEM, VaultToggle(success=True, item_id=5)),
    ],
)
async def test_a_toggle_says_what_it_did_or_that_it_did_not_say(
    respx_mock: respx.MockRouter, payload: Any, expected: VaultToggle
) -> None:
    rest(respx_mock, "vault/toggle-version", payload)
    async with client(civitai_api_key=KEY) as civitai:
        assert await civitai.toggle_vault(7) == expected


@pytest.mark.parametrize(
    "tags",
    [
        [{"id": 1, "name": "lake", "isCategory": False}],
        ["lake"],
        [{"tag": {"id": 1, "name": "lake"}}],
        [{"name": "lake"}, {"name": None}, 5, None],
    ],
)
async def test_posts_are_read_with_tags_of_any_form(
    respx_mock: respx.MockRouter, tags: Any
) -> None:
    value = {
        "id": 7,
        "title": None,
        "nsfwLevel": 5,
        "user": {"id": 3, "username": None},
        "modelVersion": {"id": 9},
        "tags": tags,
    }
    procedure(respx_mock, "post.get", value)
    async with client() as civitai:
        post = await civitai.post(7)
    assert (post.title, post.level_bits, post.user_id, post.version_id) == (None, 5, 3, 9)
    assert [tag.name for tag in post.tags] == ["lake"]


async def test_an_answer_about_another_post_or_tag_is_refused(
    respx_mock: respx.MockRouter,
) -> None:
    procedure(respx_mock, "post.get", {"id": 8})
    procedure(respx_mock, "tag.getById", {"id": 8, "name": "x"})
    async with client() as civitai:
        for ask in (civitai.post, civitai.tag):
            with pytest.raises(UpstreamChanged, match=r"'8'.*'7'"):
                await ask(7)


@pytest.mark.parametrize("status", [200, 404])
async def test_a_procedure_that_is_gone_is_no_missing_thing(
    respx_mock: respx.MockRouter, status: int
) -> None:
    error = {"message": 'No procedure found on path "x"', "data": {"httpStatus": 404}}
    respx_mock.get(path__startswith="/api/trpc/").mock(
        return_value=httpx.Response(status, json={"error": {"json": error}})
    )
    async with client() as civitai:
        for ask in (civitai.post, civitai.tag, civitai.image_tags):
            with pytest.raises(UpstreamChanged, match="no longer offers"):
                await ask(7)


FACTS = {
    "id": 7,
    "name": "v1",
    "trainedWords": ["mist, dawn"],
    "strength": 0.7,
    "minStrength": 0,
    "maxStrength": 1.2,
    "clipSkip": 2,
    "paidAccess": {"permanent": True},
    "model": {"id": 5, "name": "M", "type": "LORA"},
}


@pytest.mark.parametrize(
    "row",
    [
        FACTS,
        {key: value for key, value in FACTS.items() if key not in ("model", "strength")}
        | {"modelId": 5, "modelName": "M", "modelType": "LORA", "settings": {"strength": 0.7}},
    ],
    ids=["nested", "flat"],
)
async def test_generator_facts_are_read_nested_and_flat(
    respx_mock: respx.MockRouter, row: Any
) -> None:
    procedure(respx_mock, "generation.getResourceDataByIds", [row, None, {"id": 99}])
    async with client() as civitai:
        [facts] = await civitai.resources_by_version_ids([7])
    assert (facts.version_id, facts.model_id, facts.model_type) == (7, 5, "LORA")
    assert (facts.strength, facts.min_strength, facts.max_strength) == (0.7, 0.0, 1.2)
    assert facts.trigger_words == ("mist", "dawn")
    assert facts.early_access_permanent is True
    assert given_input(respx_mock.calls.last.request) == {"json": {"ids": [7]}}


@pytest.mark.parametrize(
    "answer",
    [
        envelope(None),
        envelope({"items": []}),
        envelope([{"name": "no id"}]),
        envelope([5]),
        ok([]),
        httpx.Response(400, json={"error": {"json": {"message": "ids: Required"}}}),
        httpx.Response(404, json={"error": {"message": "Could not find entity"}}),
        httpx.Response(
            404,
            json={"error": {"json": {"message": 'No procedure found on path "generation.x"'}}},
        ),
        ok({"error": {"message": 'No procedure found on path "x"', "data": {"httpStatus": 404}}}),
        httpx.Response(404, text="<html>"),
    ],
)
async def test_an_odd_generator_is_said_to_have_changed(
    respx_mock: respx.MockRouter, answer: httpx.Response
) -> None:
    respx_mock.get(url__startswith=f"{BASE}/api/trpc/generation").mock(return_value=answer)
    async with client() as civitai:
        with pytest.raises(UpstreamChanged):
            await civitai.resources_by_version_ids([7])


async def test_the_account_has_no_place_for_an_address(respx_mock: respx.MockRouter) -> None:
    rest(respx_mock, "me", {"id": 3, "username": "a", "tier": "Gold", "email": "a@example.org"})
    async with client(civitai_api_key=KEY) as civitai:
        account = await civitai.me()
    assert account is not None
    assert account.tier == "gold"
    assert "example.org" not in repr(account)


# --- any JSON at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([
                "items", "metadata", "hasMore", "nextPage", "totalItems", "totalPages", "id", "7",
                "name", "username", "vault", "vaultItem", "modelVersionId", "success", "vaultId",
                "air", "versionName", "hashes", "size", "model", "settings", "tags", "user",
                "nextCursor", "url", "entityId", "canGenerate", "subscribed", "storageKb",
                "trainedWords", "paidAccess", "endsAt", "permanent", "strength", "avatarNsfw",
            ]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)  # fmt: skip
READERS: dict[str, Callable[[Any], Any]] = {
    "creators": lambda v: numbered.numbered_from(v, people.read_creator, page=1, about="creators"),
    "tags": lambda v: numbered.numbered_from(
        v, gallery.read_tag, page=1, uncounted=True, about="tags"
    ),
    "vault items": lambda v: numbered.numbered_from(
        v, vault.read_vault_item, page=1, limit=2, about="items"
    ),
    "feed": lambda v: listings.page_from(
        v, read_listed_image, identity=lambda image: image.id, asked_cursor=None, about="feed"
    ),
    "mini": lambda v: short.mini_from(v, asked=7, about="version '7'"),
    "resources": lambda v: short.resource_facts_from(v, about="facts"),
    "users": people.users_from,
    "permissions": people.permissions_from,
    "vault": vault.vault_from,
    "vault has": vault.vault_has_from,
    "toggle": lambda v: vault.toggle_from(v, about="toggle"),
    "votable": lambda v: gallery.votable_tags_from(v, about="tags"),
    "tag": lambda v: gallery.tag_from(v, about="tag"),
    "post": lambda v: gallery.post_from(v, about="post"),
}


@pytest.mark.parametrize("name", READERS)
@given(value=JSON)
@settings(max_examples=150, deadline=None)
def test_any_json_is_a_record_or_one_of_our_errors(name: str, value: Any) -> None:
    with suppress(UpstreamChanged):
        READERS[name](value)


ASKS: dict[str, Ask] = {
    **VAULT,
    "mini_version": lambda civitai: civitai.mini_version(7),
    "creators": lambda civitai: civitai.creators(),
    "tags": lambda civitai: civitai.tags(),
    "users": lambda civitai: civitai.users(ids=[7]),
    "permissions": lambda civitai: civitai.permissions([7]),
    "me": lambda civitai: civitai.me(),
    "image_feed": lambda civitai: civitai.image_feed(FeedQuery()),
    "image_tags": lambda civitai: civitai.image_tags(7),
    "tag": lambda civitai: civitai.tag(7),
    "post": lambda civitai: civitai.post(7),
    "resources": lambda civitai: civitai.resources_by_version_ids([7]),
}


@given(value=JSON, bare=st.booleans(), status=st.sampled_from([200, 200, 200, 400, 404, 418]))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_no_answer_does_worse_to_a_method_than_a_coded_error(
    respx_mock: respx.MockRouter, value: Any, bare: bool, status: int
) -> None:
    wrapped = {"result": {"data": value if bare else {"json": value}}}
    body = json.dumps(value).encode("utf-8", "replace")
    router = respx_mock
    router.reset()
    router.route(path__startswith="/api/v1/").mock(
        return_value=httpx.Response(status, content=body)
    )
    router.route(path__startswith="/api/trpc/").mock(
        return_value=httpx.Response(status, content=json.dumps(wrapped).encode("utf-8", "replace"))
    )
    async with client(civitai_api_key=KEY) as civitai:
        for ask in ASKS.values():
            with suppress(CivitError):
                await ask(civitai)


# --- recorded answers


def read_all(folder: Path) -> list[Any]:
    found = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    assert found
    return found


def test_recorded_creators_keep_names_and_numbers(recorded: Path) -> None:
    for sent in read_all(recorded / "rest" / "creators"):
        size = sent["metadata"]["pageSize"]
        listed = numbered.numbered_from(
            sent, people.read_creator, page=1, limit=size, about="creators"
        )
        assert [(row.username, row.model_count) for row in listed.items] == [
            (row["username"], row["modelCount"]) for row in sent["items"]
        ]
        assert (listed.total, listed.next_page) == (sent["metadata"]["totalItems"], 2)


def test_recorded_tags_keep_names_and_numbers(recorded: Path) -> None:
    for sent in read_all(recorded / "rest" / "tags"):
        listed = numbered.numbered_from(
            sent, gallery.read_tag, page=1, uncounted=True, about="tags"
        )
        assert [(row.name, row.model_count) for row in listed.items] == [
            (row["name"], row.get("modelCount")) for row in sent["items"]
        ]
        assert listed.total == (sent["metadata"]["totalItems"] or None)
        assert listed.next_page == 2


def test_recorded_words_are_all_read(recorded: Path) -> None:
    for sent in read_all(recorded / "rest" / "enums"):
        words = listings.enums_from(sent)
        assert list(words.model_types) == sent["ModelType"]
        assert list(words.file_types) == sent["ModelFileType"]
        assert list(words.base_models) == sent["BaseModel"]
        assert list(words.active_base_models) == sent["ActiveBaseModel"]
        assert list(words.base_model_types) == sent["BaseModelType"]


def test_recorded_rows_of_the_feed_keep_ids_and_numbers(recorded: Path) -> None:
    for sent in read_all(recorded / "trpc" / "image.getInfinite"):
        page = listings.page_from(
            {"items": [sent], "nextCursor": sent["id"]},
            read_listed_image,
            identity=lambda image: image.id,
            asked_cursor=None,
            about="feed",
        )
        [image] = page.items
        assert page.next_cursor == str(sent["id"])
        assert (image.id, image.post_id) == (sent["id"], sent["postId"])
        assert (image.width, image.height) == (sent["width"], sent["height"])
        assert image.level_bits == sent["nsfwLevel"]
        assert sent["url"] in (image.url or "")
        assert image.base_model == sent["baseModel"]
        listed = {*sent["modelVersionIds"], *sent["modelVersionIdsManual"]}
        assert set(image.version_ids) == listed | {sent.get("modelVersionId")} - {None}


async def test_a_recorded_empty_feed_ends(respx_mock: respx.MockRouter, recorded: Path) -> None:
    [sent] = read_all(recorded / "trpc" / "image.getImagesAsPostsInfinite")
    respx_mock.get(url__startswith=f"{BASE}/api/trpc/image.getInfinite").mock(return_value=ok(sent))
    async with client() as civitai:
        page = await civitai.image_feed(FeedQuery())
    assert (page.items, page.next_cursor) == ((), None)
