"""How a question reaches CivitAI and what comes of it, seen from the client's methods."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
import respx
from pydantic import SecretStr

from civit_mcp import __version__
from civit_mcp.civitai import CivitaiClient, ModelQuery, RetryPolicy, network
from civit_mcp.errors import (
    BadReference,
    CivitError,
    Forbidden,
    Gone,
    NotConfigured,
    NotFound,
    Offline,
    RateLimited,
    TooLarge,
    Unauthorized,
    UpstreamChanged,
    UpstreamUnavailable,
)
from tests.civitai_support import BASE, KEY, HandClock, client, settings, until

MODEL = f"{BASE}/api/v1/models/7"
IMAGE = f"{BASE}/api/trpc/image.get"
BODY = {"id": 7, "name": "M", "type": "LORA"}
FRESH = {"Cache-Control": "public, s-maxage=300, stale-while-revalidate=150"}
HTML = "<!DOCTYPE html><title>oops</title>"


class Stalled(httpx.AsyncByteStream):
    """A body that never ends, and tells whether somebody let go of it."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed.set()


# statuses


def refusal(status: int, body: Any) -> httpx.Response:
    return httpx.Response(status, **({"text": body} if isinstance(body, str) else {"json": body}))


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (400, {"error": "✖ Invalid input\n  → at id"}, BadReference, "id: Invalid input"),
        (400, [{"path": ["limit"], "message": "Too big"}], BadReference, "limit: Too big"),
        (422, {"message": "no"}, BadReference, "no"),
        (401, {"error": "Unauthorized"}, Unauthorized, "CIVITAI_API_KEY"),
        (403, HTML, Forbidden, "model '7'"),
        (404, {"error": "No model with id 7"}, NotFound, "no model '7'"),
        (404, HTML, UpstreamChanged, "CIVITAI_API_URL"),
        (405, {"error": "Method not allowed"}, UpstreamChanged, "405"),
        (408, "", UpstreamUnavailable, "408"),
        (410, {"error": "Model archived"}, Gone, "no longer has model '7'"),
        (413, "", TooLarge, "too long"),
        (418, "", UpstreamChanged, "418"),
        (302, "", UpstreamChanged, "302"),
        (451, {"error": "x", "code": "REGION_BLOCKED"}, Forbidden, "region"),
        (499, "", UpstreamUnavailable, "499"),
        (501, "", UpstreamUnavailable, "501"),
    ],
)
async def test_a_final_status_is_one_error_after_one_try(
    respx_mock: respx.MockRouter, status: int, body: Any, error: type[CivitError], words: str
) -> None:
    route = respx_mock.get(MODEL).mock(return_value=refusal(status, body))
    async with client() as civitai:
        with pytest.raises(error) as caught:
            await civitai.model(7)
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert "<" not in str(caught.value)
    assert route.call_count == 1


async def test_a_key_that_is_refused_is_called_refused(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(MODEL).mock(return_value=refusal(401, {"error": "Unauthorized"}))
    async with client(civitai_api_key=KEY) as civitai:
        with pytest.raises(Unauthorized, match="does not accept the key") as caught:
            await civitai.model(7)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "tries", "waits"),
    [
        (500, {"error": "Failed"}, 2, [0.5]),
        (500, "Internal Server Error", 2, [0.5]),
        (502, HTML, 4, [0.5, 1.0, 2.0]),
        (503, {"error": "Server busy, please retry shortly."}, 4, [0.5, 1.0, 2.0]),
        (524, HTML, 4, [0.5, 1.0, 2.0]),
    ],
)
async def test_a_fault_upstream_is_retried_within_bounds(
    respx_mock: respx.MockRouter, status: int, body: Any, tries: int, waits: list[float]
) -> None:
    route = respx_mock.get(MODEL).mock(return_value=refusal(status, body))
    clock = HandClock()
    async with client(clock) as civitai:
        with pytest.raises(UpstreamUnavailable, match=f"'civitai.com'.*{status}.*model '7'"):
            await civitai.model(7)
    assert route.call_count == tries
    assert clock.sleeps == waits


async def test_a_retry_that_succeeds_is_a_success(respx_mock: respx.MockRouter) -> None:
    busy = httpx.Response(503, headers={"Retry-After": "2"}, json={"error": "busy"})
    respx_mock.get(MODEL).mock(side_effect=[busy, httpx.Response(200, json=BODY)])
    clock = HandClock()
    async with client(clock) as civitai:
        assert (await civitai.model(7)).name == "M"
    assert len(clock.sleeps) == 1
    assert 2 <= clock.sleeps[0] < 3


@pytest.mark.parametrize(
    ("headers", "body", "tries", "words"),
    [
        ({}, {"error": "slow down"}, 3, "not saying for how long"),
        ({}, HTML, 3, "fewer requests"),
        ({"Retry-After": "1"}, HTML, 3, "wait 1 seconds"),
        ({"Retry-After": "120"}, HTML, 1, "wait 120 seconds and call again"),
        ({"Retry-After": "Fri, 20 Nov 2026 12:10:00 GMT"}, HTML, 1, "wait 600 seconds"),
        ({}, {"error": "You've requested too many pages, please use cursors"}, 1, "cursor"),
    ],
)
async def test_a_rate_limit_is_honoured_or_told(
    respx_mock: respx.MockRouter, headers: dict[str, str], body: Any, tries: int, words: str
) -> None:
    answer = refusal(429, body)
    answer.headers.update(headers)
    route = respx_mock.get(MODEL).mock(return_value=answer)
    async with client() as civitai:
        with pytest.raises(RateLimited, match=words):
            await civitai.model(7)
    assert route.call_count == tries


@pytest.mark.parametrize(
    ("failure", "tries", "words"),
    [
        (httpx.ConnectError("[Errno 111] refused"), 4, "no connection to 'civitai.com'"),
        (httpx.ConnectTimeout("x"), 4, "within 5 seconds"),
        (httpx.ReadTimeout("x"), 4, "silent for 30 seconds"),
        (httpx.RemoteProtocolError("peer closed"), 4, "broke"),
        (httpx.ReadError(""), 4, "broke"),
        (httpx.LocalProtocolError("illegal"), 1, "could not be sent"),
        (httpx.DecodingError("bad gzip"), 2, "damaged"),
    ],
)
async def test_a_broken_line_is_retried_and_told(
    respx_mock: respx.MockRouter, failure: Exception, tries: int, words: str
) -> None:
    route = respx_mock.get(MODEL).mock(side_effect=failure)
    async with client() as civitai:
        with pytest.raises((UpstreamUnavailable, UpstreamChanged), match=words):
            await civitai.model(7)
    assert route.call_count == tries


@pytest.mark.parametrize(
    "body", [HTML, "", "nonsense", "[" * 5000, '{"a":' * 300 + "1" + "}" * 300]
)
async def test_a_success_that_is_no_json_is_retried_once(
    respx_mock: respx.MockRouter, body: str
) -> None:
    route = respx_mock.get(MODEL).mock(return_value=httpx.Response(200, text=body))
    async with client() as civitai:
        with pytest.raises(UpstreamChanged, match=r"'civitai.com' answered .*model '7'"):
            await civitai.model(7)
    assert route.call_count == 2


async def test_no_call_lasts_longer_than_its_total(respx_mock: respx.MockRouter) -> None:
    stream = Stalled()
    respx_mock.get(MODEL).mock(return_value=httpx.Response(200, stream=stream))
    async with client(retry=RetryPolicy(total=1)) as civitai:
        with pytest.raises(UpstreamUnavailable, match=r"not finish.*within 1 seconds"):
            await civitai.model(7)
    assert stream.closed.is_set()


async def test_a_body_is_counted_while_it_arrives(
    respx_mock: respx.MockRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "MAX_BODY", 1024 * 1024)
    sent = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 1
                yield b" " * 65536

    respx_mock.get(MODEL).mock(return_value=httpx.Response(200, stream=Endless()))
    async with client() as civitai:
        with pytest.raises(TooLarge, match="exceeds 1 MiB"):
            await civitai.model(7)
    assert sent == 17


@pytest.mark.parametrize("query", ["x" * 70_000, "half \ud800"])
async def test_a_question_that_fits_no_address_is_the_callers_error(query: str) -> None:
    async with client() as civitai:
        with pytest.raises(BadReference, match="address"):
            await civitai.search_models(ModelQuery(query=query))


# redirects


async def test_a_redirect_within_the_origin_is_followed(respx_mock: respx.MockRouter) -> None:
    moved = httpx.Response(308, headers={"Location": "/api/v1/models/7?x=1"})
    respx_mock.get(MODEL).mock(side_effect=[moved, httpx.Response(200, json=BODY)])
    async with client(civitai_api_key=KEY) as civitai:
        assert (await civitai.model(7)).id == 7
    request = respx_mock.calls.last.request
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert str(request.url) == f"{MODEL}?x=1"


@pytest.mark.parametrize(
    "target",
    [
        "https://storage.example/x?signature=s3cr3t",
        "http://civitai.com/api/v1/models/7",
        "https://civitai.com:8443/",
        "https://civitai.com@evil.example/",
        "//evil.example/",
        "https://[broken",
    ],
)
async def test_a_redirect_elsewhere_is_not_followed(
    respx_mock: respx.MockRouter, target: str
) -> None:
    respx_mock.get(MODEL).mock(return_value=httpx.Response(302, headers={"Location": target}))
    async with client(civitai_api_key=KEY) as civitai:
        with pytest.raises(UpstreamChanged, match="redirected") as caught:
            await civitai.model(7)
    assert len(respx_mock.calls) == 1
    assert "s3cr3t" not in str(caught.value)


async def test_redirects_in_circles_end(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(MODEL).mock(return_value=httpx.Response(307, headers={"Location": MODEL}))
    async with client() as civitai:
        with pytest.raises(UpstreamChanged, match="circles"):
            await civitai.model(7)
    assert len(respx_mock.calls) == 4


async def test_a_moved_post_is_not_turned_into_a_get(respx_mock: respx.MockRouter) -> None:
    url = f"{BASE}/api/v1/model-versions/by-hash/ids"
    respx_mock.post(url).mock(return_value=httpx.Response(302, headers={"Location": "/x"}))
    async with client() as civitai:
        with pytest.raises(UpstreamChanged):
            await civitai.owners_by_sha256(["A" * 64])
    assert len(respx_mock.calls) == 1


# headers and secrets


async def test_requests_name_the_product_and_carry_the_key(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(MODEL).mock(return_value=httpx.Response(200, json=BODY))
    async with client(civitai_api_key=KEY, civitai_session_token="cookie-value") as civitai:
        await civitai.model(7)
    request = respx_mock.calls.last.request
    assert request.headers["User-Agent"] == f"civit-mcp/{__version__}"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert "Cookie" not in request.headers
    assert "Referer" not in request.headers
    assert str(request.url) == MODEL


@pytest.mark.parametrize(
    "base", ["https://civitai.com", "https://civitai.red", "http://127.0.0.1:9/mirror"]
)
async def test_trpc_requests_tell_where_they_come_from(
    respx_mock: respx.MockRouter, base: str
) -> None:
    answer = {"result": {"data": {"json": {"id": 7, "url": "x"}}}}
    respx_mock.get(f"{base}/api/trpc/image.get").mock(return_value=httpx.Response(200, json=answer))
    async with client(civitai_url=base) as civitai:
        await civitai.image(7)
    request = respx_mock.calls.last.request
    assert request.headers["Referer"] == "https://civitai.com/"
    assert "Authorization" not in request.headers
    assert json.loads(request.url.params["input"]) == {"json": {"id": 7}}


async def test_the_session_cookie_goes_along_when_there_is_no_key(
    respx_mock: respx.MockRouter,
) -> None:
    respx_mock.get(MODEL).mock(
        return_value=httpx.Response(200, json=BODY, headers={"Set-Cookie": "tracker=1; Path=/"})
    )
    async with client(civitai_session_token="cookie-value") as civitai:
        await civitai.model(7)
        await civitai.model(7)
    for call in respx_mock.calls:
        assert call.request.headers["Cookie"] == "__Secure-civ-token=cookie-value"
    assert len(respx_mock.calls) == 2


async def test_a_cookie_that_an_answer_sets_is_not_sent_back(
    respx_mock: respx.MockRouter,
) -> None:
    respx_mock.get(MODEL).mock(
        return_value=httpx.Response(200, json=BODY, headers={"Set-Cookie": "tracker=1; Path=/"})
    )
    async with client() as civitai:
        await civitai.model(7)
        await civitai.model(7)
    assert len(respx_mock.calls) == 2
    assert "Cookie" not in respx_mock.calls.last.request.headers


async def test_even_a_short_key_is_kept_out_of_errors(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(MODEL).mock(return_value=refusal(403, {"error": "key q7! is bad"}))
    async with client(civitai_api_key="q7!") as civitai:
        with pytest.raises(Forbidden, match=r"key \[secret\] is bad"):
            await civitai.model(7)


@pytest.mark.parametrize(
    ("setting", "secret"),
    [
        ("civitai_api_key", "a\nb-very-secret"),
        ("civitai_session_token", "c; d-secret"),
        ("civitai_session_token", "c;d-secret"),
    ],
)
def test_a_key_that_no_header_can_carry_is_refused_unquoted(setting: str, secret: str) -> None:
    # the settings refuse most of them before; whoever makes a client by hand is told too
    unchecked = settings().model_copy(update={setting: SecretStr(secret)})
    with pytest.raises(NotConfigured) as caught:
        CivitaiClient(unchecked)
    assert "secret" not in str(caught.value)
    assert setting.upper() in str(caught.value)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
async def test_the_key_appears_in_no_error_log_answer_or_repr(
    respx_mock: respx.MockRouter, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
        caplog.set_level(logging.DEBUG, logger=name)
    echo = f"your key {KEY} with Bearer {KEY} at https://x/?token={KEY} __Secure-civ-token={KEY}"
    respx_mock.get(MODEL).mock(
        return_value=httpx.Response(
            status,
            json={"id": 7, "error": echo, "name": echo},
            headers={"Set-Cookie": f"__Secure-civ-token={KEY}", "X-Echo": KEY},
        )
    )
    async with client(civitai_api_key=KEY) as civitai:
        said = [repr(civitai)]
        try:
            said.append(repr(await civitai.model(7)))
        except CivitError as error:
            said += [str(error), repr(error), error.what, error.next_step]
        # as the HTTP library words it when it traces
        logging.getLogger("httpcore.http11").debug("headers=%r", [(b"Authorization", KEY.encode())])
        logging.getLogger("httpx").info("GET %s", f"{BASE}/?token={KEY}")
    said.append(caplog.text)
    assert "httpcore.http11" in caplog.text
    assert not [text for text in said if KEY in text]


async def test_the_loggers_are_left_as_they_were(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(MODEL).mock(return_value=httpx.Response(200, json=BODY))
    before = list(logging.getLogger("httpx").filters)
    async with client() as civitai:
        await civitai.model(7)
        assert logging.getLogger("httpx").filters != before
    assert logging.getLogger("httpx").filters == before


# cache, single flight, concurrency


async def test_an_answer_is_reused_for_as_long_as_it_says(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.get(MODEL).mock(return_value=httpx.Response(200, json=BODY, headers=FRESH))
    clock = HandClock()
    async with client(clock) as civitai:
        first = await civitai.model(7)
        clock.seconds = 299
        assert await civitai.model(7) == first
        assert route.call_count == 1
        clock.seconds = 301
        await civitai.model(7)
        assert route.call_count == 2


async def test_an_absence_is_reused_but_not_for_long(respx_mock: respx.MockRouter) -> None:
    url = f"{BASE}/api/v1/model-versions/by-hash/ABCDEF0123"
    headers = {"Cache-Control": "public, s-maxage=3600, stale-while-revalidate=1800"}
    route = respx_mock.get(url).mock(
        return_value=httpx.Response(404, json={"error": "Model not found"}, headers=headers)
    )
    clock = HandClock()
    async with client(clock) as civitai:
        assert await civitai.version_by_hash("0xabcdef0123") is None
        assert await civitai.version_by_hash("ABCDEF0123") is None
        assert route.call_count == 1
        clock.seconds = 301
        assert await civitai.version_by_hash("ABCDEF0123") is None
        assert route.call_count == 2


@pytest.mark.parametrize("control", [None, "max-age=0, private, no-cache", "no-store"])
async def test_an_answer_for_one_account_is_not_kept(
    respx_mock: respx.MockRouter, control: str | None
) -> None:
    headers = {"Cache-Control": control} if control else {}
    route = respx_mock.get(MODEL).mock(return_value=httpx.Response(200, json=BODY, headers=headers))
    async with client(civitai_api_key=KEY) as civitai:
        await civitai.model(7)
        await civitai.model(7)
    assert route.call_count == 2


async def test_what_one_caller_does_to_an_answer_no_other_sees(
    respx_mock: respx.MockRouter,
) -> None:
    url = f"{BASE}/api/trpc/image.getGenerationData"
    answer = {"result": {"data": {"json": {"meta": {"prompt": "p"}}}}}
    respx_mock.get(url).mock(return_value=httpx.Response(200, json=answer, headers=FRESH))
    async with client() as civitai:
        for _ in range(3):
            record = await civitai.generation_data(7)
            assert record.meta == {"prompt": "p"}
            record.meta["prompt"] = "changed"
        records = await asyncio.gather(*(civitai.generation_data(8) for _ in range(2)))
    assert len(respx_mock.calls) == 2
    assert records[0].meta == records[1].meta
    assert records[0].meta is not records[1].meta


class Gated:
    """Answers only after the gate is opened, and counts who has arrived before it."""

    def __init__(self) -> None:
        self.arrived = 0
        self.open = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.arrived += 1
        await self.open.wait()
        return httpx.Response(200, json={"id": int(request.url.path.rsplit("/", 1)[-1])})


async def test_those_who_ask_the_same_at_once_share_one_call(
    respx_mock: respx.MockRouter,
) -> None:
    gate = Gated()
    route = respx_mock.get(MODEL).mock(side_effect=gate)
    async with client() as civitai:
        asking = [asyncio.create_task(civitai.model(7)) for _ in range(20)]
        await until(lambda: gate.arrived == 1)
        gate.open.set()
        assert {(await task).id for task in asking} == {7}
        assert route.call_count == 1
        await civitai.model(7)
        assert route.call_count == 2


async def test_those_who_share_a_call_share_its_failure(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(MODEL).mock(side_effect=httpx.ConnectError("refused"))
    async with client() as civitai:
        asking = [asyncio.create_task(civitai.model(7)) for _ in range(5)]
        errors = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(error) for error in errors} == {UpstreamUnavailable}
    assert len(respx_mock.calls) == 4


async def test_a_caller_who_leaves_does_not_end_the_call_for_others(
    respx_mock: respx.MockRouter,
) -> None:
    gate = Gated()
    route = respx_mock.get(MODEL).mock(side_effect=gate)
    async with client() as civitai:
        first, second = (asyncio.create_task(civitai.model(7)) for _ in range(2))
        await until(lambda: gate.arrived == 1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.open.set()
        assert (await second).id == 7
    assert route.call_count == 1


async def test_the_call_ends_when_the_last_caller_leaves(respx_mock: respx.MockRouter) -> None:
    stream = Stalled()
    route = respx_mock.get(MODEL).mock(return_value=httpx.Response(200, stream=stream))
    async with client() as civitai:
        asking = [asyncio.create_task(civitai.model(7)) for _ in range(3)]
        await until(lambda: route.call_count == 1)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        with anyio.fail_after(5):
            await stream.closed.wait()
        # the next one starts afresh
        respx_mock.get(MODEL).mock(return_value=httpx.Response(200, json=BODY))
        assert (await civitai.model(7)).id == 7


async def test_a_cancelled_scope_of_the_caller_ends_the_call(
    respx_mock: respx.MockRouter,
) -> None:
    stream = Stalled()
    route = respx_mock.get(MODEL).mock(return_value=httpx.Response(200, stream=stream))
    async with client() as civitai:
        async with anyio.create_task_group() as group:
            group.start_soon(civitai.model, 7)
            await until(lambda: route.call_count == 1)
            group.cancel_scope.cancel()
        with anyio.fail_after(5):
            await stream.closed.wait()


async def test_a_caller_who_leaves_while_the_client_opens_breaks_nothing(
    respx_mock: respx.MockRouter,
) -> None:
    respx_mock.get(MODEL).mock(return_value=httpx.Response(200, json=BODY))
    before = list(logging.getLogger("httpx").filters)
    async with client() as civitai:
        hasty = asyncio.create_task(civitai.model(7))
        await anyio.lowlevel.checkpoint()
        hasty.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hasty
        assert (await civitai.model(7)).id == 7
        assert len(logging.getLogger("httpx").filters) == len(before) + 1
    assert logging.getLogger("httpx").filters == before


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "gopher://user:pr0xy-word@proxy.example"),
        ("SSL_CERT_FILE", "/nonexistent/certificates.pem"),
    ],
)
async def test_a_connection_that_cannot_be_prepared_is_a_matter_of_settings(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(variable, value)
    async with client() as civitai:
        with pytest.raises(NotConfigured, match=variable) as caught:
            await civitai.model(7)
        assert "pr0xy-word" not in str(caught.value)
        monkeypatch.delenv(variable)
        with respx.mock:
            respx.get(MODEL).mock(return_value=httpx.Response(200, json=BODY))
            assert (await civitai.model(7)).id == 7


async def test_closing_ends_calls_under_way_with_an_error(respx_mock: respx.MockRouter) -> None:
    stream = Stalled()
    route = respx_mock.get(MODEL).mock(return_value=httpx.Response(200, stream=stream))
    civitai = client()
    asking = asyncio.create_task(civitai.model(7))
    await until(lambda: route.call_count == 1)
    await civitai.aclose()
    with pytest.raises(UpstreamUnavailable, match="closed"):
        await asking
    assert stream.closed.is_set()


async def test_closing_forgets_what_was_answered(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.get(MODEL).mock(return_value=httpx.Response(200, json=BODY, headers=FRESH))
    async with client() as civitai:
        await civitai.model(7)
        await civitai.aclose()
        await civitai.model(7)
    assert route.call_count == 2


async def test_no_more_requests_are_on_the_wire_than_allowed(
    respx_mock: respx.MockRouter,
) -> None:
    now = most = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        now -= 1
        return httpx.Response(200, json={"id": int(request.url.path.rsplit("/", 1)[-1])})

    respx_mock.get(url__startswith=f"{BASE}/api/v1/models/").mock(side_effect=answer)
    async with client(max_concurrency=3) as civitai:
        found = await asyncio.gather(*(civitai.model(number) for number in range(1, 40)))
    assert [model.id for model in found] == list(range(1, 40))
    assert most == 3


# offline, and what it costs to exist


async def test_offline_nothing_is_asked() -> None:
    async with client(offline=True) as civitai:
        with pytest.raises(Offline, match="model '7'"):
            await civitai.model(7)


async def test_making_and_closing_a_client_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("nothing asked for a connection yet")

    monkeypatch.setattr(httpx, "AsyncClient", refuse)
    monkeypatch.setattr(httpx, "create_ssl_context", refuse)
    civitai = client()
    await civitai.aclose()
    await civitai.aclose()
