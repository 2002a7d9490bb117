"""Each endpoint: what is sent, and what comes back."""

import json
from typing import Any

import httpx
import pytest
import respx

from civit_mcp.civitai import Account, Enums, ImageQuery, ModelQuery
from civit_mcp.errors import BadReference, NotFound, Unauthorized, UpstreamChanged
from civit_mcp.models.records import EMPTY_HASHES
from tests.civitai_support import BASE, KEY, client

SHA = "0123456789ABCDEF" * 4
UUID = "4278af43-a356-4bd1-81aa-dea1c75ae335"


def ok(value: Any) -> httpx.Response:
    return httpx.Response(200, json=value)


def envelope(value: Any) -> httpx.Response:
    return ok({"result": {"data": {"json": value}}})


def trpc_error(status: int, message: str) -> httpx.Response:
    error = {"json": {"message": message, "code": -32004, "data": {"httpStatus": status}}}
    return httpx.Response(status, json={"error": error})


async def test_models_are_searched_page_by_page(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{BASE}/api/v1/models").mock(
        side_effect=[
            ok({"items": [{"id": 1}, {"id": 2}], "metadata": {"nextCursor": "1|2"}}),
            ok({"items": [{"id": 3}], "metadata": {}}),
        ]
    )
    async with client() as civitai:
        query = ModelQuery(query="x", types=("LORA", "LoCon"), limit=2)
        first = await civitai.search_models(query)
        assert [model.id for model in first.items] == [1, 2]
        second = await civitai.search_models(
            ModelQuery(query="x", types=("LORA", "LoCon"), limit=2, cursor=first.next_cursor)
        )
    assert second.next_cursor is None
    urls = [call.request.url for call in respx_mock.calls]
    assert urls[0].params.get_list("types") == ["LORA", "LoCon"]
    assert "cursor" not in urls[0].params
    assert b"cursor=1%7C2" in urls[1].query
    assert all("page" not in url.params for url in urls)


async def test_an_unknown_creator_is_named(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{BASE}/api/v1/models").mock(
        return_value=httpx.Response(404, json={"message": "User not found"})
    )
    async with client() as civitai:
        with pytest.raises(NotFound, match=r"creator 'nobody'.*User not found"):
            await civitai.search_models(ModelQuery(creator="nobody"))


@pytest.mark.parametrize("number", [0, -1, 2**31, True])
async def test_an_impossible_id_is_not_asked_for(number: int) -> None:
    async with client() as civitai:
        for ask in (
            civitai.model,
            civitai.version,
            civitai.image,
            civitai.generation_data,
            civitai.image_from_rest,
            civitai.trpc_version,
        ):
            with pytest.raises(BadReference, match="cannot be the id"):
                await ask(number)


async def test_an_answer_about_another_thing_is_refused(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{BASE}/api/v1/models/7").mock(return_value=ok({"id": 8}))
    respx_mock.get(f"{BASE}/api/v1/model-versions/7").mock(return_value=ok({"id": 8}))
    respx_mock.get(f"{BASE}/api/trpc/image.get").mock(return_value=envelope({"id": 8}))
    async with client() as civitai:
        for ask in (civitai.model, civitai.version, civitai.image):
            with pytest.raises(UpstreamChanged, match=r"'8'.*'7'"):
                await ask(7)


async def test_a_version_is_read(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{BASE}/api/v1/model-versions/7").mock(
        return_value=ok({"id": 7, "modelId": 1, "air": "urn:air:sdxl:lora:civitai:1@7"})
    )
    async with client() as civitai:
        version = await civitai.version(7)
    assert (version.model_id, version.air) == (1, "urn:air:sdxl:lora:civitai:1@7")


@pytest.mark.parametrize("text", ["", "not hex", "../../etc", "12", *sorted(EMPTY_HASHES)])
async def test_what_is_no_identity_is_not_looked_up(text: str) -> None:
    async with client() as civitai:
        assert await civitai.version_by_hash(text) is None
        assert await civitai.versions_by_sha256([text]) == []
        assert await civitai.owners_by_sha256([text]) == []


async def test_a_hash_leads_to_its_version(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{BASE}/api/v1/model-versions/by-hash/9EF9F138").mock(
        return_value=ok({"id": 7})
    )
    async with client() as civitai:
        version = await civitai.version_by_hash("9ef9f138")
    assert version is not None
    assert version.id == 7


async def test_a_missing_route_is_not_a_missing_hash(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{BASE}/api/v1/model-versions/by-hash/9EF9F138").mock(
        return_value=httpx.Response(404, text="<html>")
    )
    async with client() as civitai:
        with pytest.raises(UpstreamChanged):
            await civitai.version_by_hash("9ef9f138")


async def test_hashes_are_looked_up_in_batches_and_each_once(
    respx_mock: respx.MockRouter,
) -> None:
    digests = [f"{number:064X}" for number in range(1, 251)]

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        assert len(body) <= 100
        rows: list[Any] = [{"id": int(text, 16)} for text in body]
        return ok([*rows, None, {"id": 1}])

    route = respx_mock.post(f"{BASE}/api/v1/model-versions/by-hash").mock(side_effect=answer)
    async with client() as civitai:
        found = await civitai.versions_by_sha256(
            [*digests, digests[0].lower(), "short", "ABCDEF0123"]
        )
    assert sorted(version.id for version in found) == list(range(1, 251))
    assert route.call_count == 3
    asked = [text for call in route.calls for text in json.loads(call.request.content)]
    assert sorted(asked) == digests
    assert route.calls.last.request.headers["Content-Type"] == "application/json"


async def test_one_failed_batch_is_one_error(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(f"{BASE}/api/v1/model-versions/by-hash").mock(
        return_value=httpx.Response(401, json={"error": "Unauthorized"})
    )
    async with client() as civitai:
        with pytest.raises(Unauthorized):
            await civitai.versions_by_sha256([f"{number:064X}" for number in range(1, 251)])


async def test_owners_of_hashes_are_found_in_one_call(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.post(f"{BASE}/api/v1/model-versions/by-hash/ids").mock(
        return_value=ok([{"modelVersionId": 7, "modelId": 1, "hash": SHA}])
    )
    async with client() as civitai:
        owners = await civitai.owners_by_sha256(
            [SHA, *(f"{number:064X}" for number in range(1, 500))]
        )
    assert [(owner.version_id, owner.model_id) for owner in owners] == [(7, 1)]
    assert route.call_count == 1


async def test_images_are_searched_and_sorted_by_type(respx_mock: respx.MockRouter) -> None:
    rows = [{"id": 1, "type": "image"}, {"id": 2, "type": "video"}, {"id": 3, "type": "audio"}]
    respx_mock.get(f"{BASE}/api/v1/images").mock(
        return_value=ok({"items": [*rows, {"url": "x"}], "metadata": {"nextCursor": 9}})
    )
    async with client() as civitai:
        page = await civitai.images(ImageQuery(post_id=3, types=("image", "video")))
        every = await civitai.images(ImageQuery(post_id=3))
    assert [image.id for image in page.items] == [1, 2]
    assert [image.id for image in every.items] == [1, 2, 3]
    assert page.next_cursor == "9"


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([], None),
        ([{"id": 8, "meta": {"prompt": "other"}}], None),
        ([{"id": 8}, {"id": 7, "meta": {"id": 7, "meta": {"prompt": "p"}}}], {"prompt": "p"}),
    ],
)
async def test_an_image_from_rest_is_the_one_asked_for(
    respx_mock: respx.MockRouter, items: list[Any], found: Any
) -> None:
    respx_mock.get(f"{BASE}/api/v1/images").mock(return_value=ok({"items": items, "metadata": {}}))
    async with client() as civitai:
        image = await civitai.image_from_rest(7)
    assert (image.meta if image is not None else None) == found
    params = respx_mock.calls.last.request.url.params
    assert {key: params[key] for key in ("imageId", "withMeta", "flatMeta", "browsingLevel")} == {
        "imageId": "7",
        "withMeta": "true",
        "flatMeta": "true",
        "browsingLevel": "31",
    }


async def test_an_image_from_trpc_has_its_address(respx_mock: respx.MockRouter) -> None:
    value = {"id": 7, "url": UUID, "type": "video", "nsfwLevel": 1, "user": {"username": None}}
    respx_mock.get(f"{BASE}/api/trpc/image.get").mock(return_value=envelope(value))
    async with client() as civitai:
        image = await civitai.image(7)
    assert image.url is not None
    assert image.url.endswith(f"/{UUID}/original=true/7.mp4")
    assert (image.level_bits, image.username) == (1, None)


@pytest.mark.parametrize(
    "answer",
    [
        trpc_error(404, "No image with id 7"),
        httpx.Response(200, json={"error": {"message": "gone", "data": {"httpStatus": 404}}}),
        envelope(None),
    ],
    ids=["status", "envelope", "null"],
)
async def test_a_missing_image_is_named(
    respx_mock: respx.MockRouter, answer: httpx.Response
) -> None:
    respx_mock.get(url__regex=r".*/api/trpc/image\..*").mock(return_value=answer)
    async with client() as civitai:
        for ask in (civitai.image, civitai.generation_data):
            with pytest.raises(NotFound, match="image '7'"):
                await ask(7)


async def test_the_origin_gate_asks_for_a_key(respx_mock: respx.MockRouter) -> None:
    text = "Please use the public API instead: https://developer.civitai.com/"
    respx_mock.get(f"{BASE}/api/trpc/image.get").mock(return_value=trpc_error(401, text))
    async with client() as civitai:
        with pytest.raises(Unauthorized, match="set CIVITAI_API_KEY"):
            await civitai.image(7)


async def test_a_procedure_that_is_gone_is_no_missing_image(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{BASE}/api/trpc/image.get").mock(
        return_value=trpc_error(404, 'No procedure found on path "image.get"')
    )
    async with client() as civitai:
        with pytest.raises(UpstreamChanged):
            await civitai.image(7)


async def test_generation_data_keeps_the_whole_envelope_but_no_token(
    respx_mock: respx.MockRouter,
) -> None:
    sent = {
        "result": {
            "data": {
                "json": {
                    "type": "image",
                    "meta": {"prompt": "p"},
                    "external": {"createUrl": "https://x.example/?a=1&token=abc&b=2"},
                },
                "meta": {"values": {"process": ["undefined"]}},
            }
        }
    }
    respx_mock.get(f"{BASE}/api/trpc/image.getGenerationData").mock(return_value=ok(sent))
    async with client() as civitai:
        record = await civitai.generation_data(7)
    assert record.external == {"createUrl": "https://x.example/?a=1&token=[secret]&b=2"}
    assert json.dumps(sent).replace("token=abc", "token=[secret]") == json.dumps(record.raw)


async def test_generation_data_in_devalue_is_read_and_shown_plain(
    respx_mock: respx.MockRouter,
) -> None:
    flat = json.dumps(
        [
            {"type": 1, "meta": 2, "process": -1, "resources": 4},
            "image",
            {"prompt": 3, "link": 7},
            "p",
            [5],
            {"modelVersionId": 6, "strength": 8},
            9,
            "https://x.example/?token=abc",
            0.8,
        ]
    )
    respx_mock.get(f"{BASE}/api/trpc/image.getGenerationData").mock(
        return_value=ok({"result": {"data": flat}})
    )
    async with client() as civitai:
        record = await civitai.generation_data(7)
    meta = {"prompt": "p", "link": "https://x.example/?token=[secret]"}
    assert record.meta == meta
    assert record.resources[0].version_id == 9
    assert record.raw["result"]["data"]["json"]["meta"] == meta


@pytest.mark.parametrize("value", ["text", [], 7, True])
async def test_generation_data_of_the_wrong_kind_is_refused(
    respx_mock: respx.MockRouter, value: Any
) -> None:
    respx_mock.get(f"{BASE}/api/trpc/image.getGenerationData").mock(return_value=envelope(value))
    async with client() as civitai:
        with pytest.raises(UpstreamChanged, match="image '7'"):
            await civitai.generation_data(7)


@pytest.mark.parametrize("value", [{}, {"result": {}}, {"result": {"data": "["}}, [], "x"])
async def test_an_answer_that_is_no_envelope_is_refused(
    respx_mock: respx.MockRouter, value: Any
) -> None:
    respx_mock.get(f"{BASE}/api/trpc/image.get").mock(return_value=ok(value))
    async with client() as civitai:
        with pytest.raises(UpstreamChanged, match="image '7'"):
            await civitai.image(7)


@pytest.mark.parametrize("with_files", [False, True])
async def test_a_version_from_trpc_comes_in_any_status(
    respx_mock: respx.MockRouter, *, with_files: bool
) -> None:
    value = {
        "id": 7,
        "status": "Deleted",
        "model": {"id": 1, "name": "M", "type": "LORA"},
        "files": [{"id": 3, "hashes": [{"type": "SHA256", "hash": SHA}]}] if with_files else None,
    }
    respx_mock.get(f"{BASE}/api/trpc/modelVersion.getById").mock(return_value=envelope(value))
    async with client() as civitai:
        version = await civitai.trpc_version(7, with_files=with_files)
    assert (version.status, version.model_id) == ("Deleted", 1)
    assert [dict(file.hashes) for file in version.files] == [{"SHA256": SHA}] * with_files
    asked = json.loads(respx_mock.calls.last.request.url.params["input"])["json"]
    assert asked == ({"id": 7, "withFiles": True} if with_files else {"id": 7})


async def test_enums_are_read(respx_mock: respx.MockRouter) -> None:
    answer = {"ModelType": ["LORA", "New"], "BaseModel": ["Pony", 7], "ActiveBaseModel": None}
    respx_mock.get(f"{BASE}/api/v1/enums").mock(return_value=ok(answer))
    async with client() as civitai:
        assert await civitai.enums() == Enums(model_types=("LORA", "New"), base_models=("Pony",))


async def test_the_owner_of_the_key_is_read_without_an_address(
    respx_mock: respx.MockRouter,
) -> None:
    answer = {"id": 3, "username": "u", "tier": "Gold", "status": "active", "isMember": True}
    respx_mock.get(f"{BASE}/api/v1/me").mock(return_value=ok({**answer, "email": "a@b.example"}))
    async with client(civitai_api_key=KEY) as civitai:
        account = await civitai.me()
    assert account == Account(id=3, username="u", tier="gold", status="active", is_member=True)


async def test_a_key_that_is_not_accepted_has_no_owner(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{BASE}/api/v1/me").mock(
        return_value=httpx.Response(401, json={"error": "Unauthorized"})
    )
    async with client(civitai_api_key=KEY) as civitai:
        assert await civitai.me() is None
