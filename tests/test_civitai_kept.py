"""What the client still knows after a restart, whom it tells, and when it says how old it is."""

import asyncio
import contextlib
import logging
import sqlite3
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.civitai import CivitaiClient, answers_observed
from civit_mcp.civitai.keeper import may_be_kept
from civit_mcp.civitai.observed import age_text
from civit_mcp.civitai.seam import Call, Reply
from civit_mcp.civitai.store import FILE_NAME, holdings_of
from civit_mcp.errors import (
    CivitError,
    Forbidden,
    NotFound,
    Offline,
    RateLimited,
    UpstreamChanged,
    UpstreamUnavailable,
)
from tests.civitai_support import BASE, KEY, START, HandClock, client, settle

MODEL = f"{BASE}/api/v1/models/7"
HASH = f"{BASE}/api/v1/model-versions/by-hash/ABCDEF0123"
FRESH = {"Cache-Control": "public, s-maxage=300, stale-while-revalidate=150"}
PRIVATE = {"Cache-Control": "max-age=0, private, no-cache"}
HOUR = 3600


class Clocked(HandClock):
    """Begins some seconds after noon, as a server does that was started anew."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@asynccontextmanager
async def server(cache: Path, at: float = 0.0, **values: Any) -> AsyncIterator[CivitaiClient]:
    async with client(Clocked(at), cache_dir=cache, **values) as civitai:
        yield civitai


def answer(name: str = "M", headers: dict[str, str] = FRESH) -> httpx.Response:
    return httpx.Response(200, json={"id": 7, "name": name}, headers=headers)


async def test_a_fresh_answer_outlives_a_restart_and_a_stale_one_does_not(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    route = respx_mock.get(MODEL).mock(side_effect=[answer("old"), answer("new")])
    async with server(cache) as civitai:
        await civitai.model(7)
    async with server(cache, at=299) as civitai:
        with answers_observed() as seen:
            assert (await civitai.model(7)).name == "old"
            assert (await civitai.model(7)).name == "old"
    assert (route.call_count, seen.note()) == (1, None)
    async with server(cache, at=301) as civitai:
        assert (await civitai.model(7)).name == "new"
    assert route.call_count == 2


async def test_the_time_on_disk_counts_for_what_is_remembered(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    route = respx_mock.get(MODEL).mock(side_effect=[answer("old"), answer("new")])
    async with server(cache) as civitai:
        await civitai.model(7)
    clock = Clocked(200)
    async with client(clock, cache_dir=cache) as civitai:
        assert (await civitai.model(7)).name == "old"
        clock.seconds = 301
        assert (await civitai.model(7)).name == "new"
    assert route.call_count == 2


async def test_offline_whatever_was_seen_once_is_answered_with_its_age(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    respx_mock.get(MODEL).mock(return_value=answer(headers=PRIVATE))
    respx_mock.get(HASH).mock(return_value=httpx.Response(404, json={"error": "Model not found"}))
    async with server(cache) as civitai:
        await civitai.model(7)
        assert await civitai.version_by_hash("ABCDEF0123") is None
    asked = len(respx_mock.calls)
    async with server(cache, at=3 * HOUR, offline=True) as civitai:
        with answers_observed() as seen:
            assert (await civitai.model(7)).name == "M"
        assert seen.oldest_age == 3 * HOUR
        assert seen.note() == "Answered from the cache, up to 3 h old (offline)"
        with answers_observed() as seen:
            assert await civitai.version_by_hash("ABCDEF0123") is None
        assert seen.why == "offline"
        with answers_observed() as seen, pytest.raises(Offline, match="model '8'"):
            await civitai.model(8)
        assert seen.note() is None
    assert len(respx_mock.calls) == asked


async def test_an_absence_that_is_remembered_says_since_when(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    respx_mock.get(MODEL).mock(return_value=httpx.Response(404, json={"error": "No model"}))
    async with server(cache) as civitai:
        with pytest.raises(NotFound):
            await civitai.model(7)
    async with server(cache, at=2 * 86400, offline=True) as civitai:
        with pytest.raises(NotFound, match=r"no model '7'.*as of 2 days ago \(offline\)"):
            await civitai.model(7)


async def test_each_of_those_who_share_a_question_hears_the_age(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    respx_mock.get(MODEL).mock(return_value=answer())
    async with server(cache) as civitai:
        await civitai.model(7)

    async def ask(civitai: CivitaiClient) -> float | None:
        with answers_observed() as seen:
            await civitai.model(7)
        return seen.oldest_age

    async with server(cache, at=60, offline=True) as civitai:
        assert await asyncio.gather(*(ask(civitai) for _ in range(5))) == [60.0] * 5


async def test_tasks_of_a_caller_report_to_the_caller(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    respx_mock.get(MODEL).mock(return_value=answer())
    async with server(cache) as civitai:
        await civitai.model(7)
    async with server(cache, at=60, offline=True) as civitai:
        with answers_observed() as seen:
            await asyncio.gather(civitai.model(7), civitai.model(8), return_exceptions=True)
        with answers_observed() as other:
            pass
    assert (seen.oldest_age, other.oldest_age) == (60.0, None)


async def test_of_several_answers_the_oldest_is_told(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    respx_mock.get(MODEL).mock(return_value=answer())
    respx_mock.get(f"{BASE}/api/v1/models/8").mock(return_value=httpx.Response(200, json={"id": 8}))
    async with server(cache) as civitai:
        await civitai.model(7)
    async with server(cache, at=HOUR) as civitai:
        await civitai.model(8)
    async with server(cache, at=2 * HOUR, offline=True) as civitai:
        for order in ((7, 8), (8, 7)):
            with answers_observed() as seen:
                for number in order:
                    await civitai.model(number)
            assert seen.oldest_age == 2 * HOUR


@pytest.mark.parametrize(
    "trouble",
    [httpx.ConnectError("x"), httpx.ReadTimeout("x"), 500, 503, 524],
    ids=lambda trouble: str(trouble) if isinstance(trouble, int) else type(trouble).__name__,
)
async def test_when_civitai_is_down_a_kept_answer_stands_in(
    respx_mock: respx.MockRouter, cache: Path, trouble: Exception | int
) -> None:
    route = respx_mock.get(MODEL).mock(return_value=answer())

    def down(_: httpx.Request) -> httpx.Response:
        if isinstance(trouble, int):
            return httpx.Response(trouble, text="<html>")
        raise trouble

    async with server(cache) as civitai:
        await civitai.model(7)
    route.mock(side_effect=down)
    clock = Clocked(HOUR)
    async with client(clock, cache_dir=cache) as civitai:
        for _ in range(7):
            with answers_observed() as seen:
                assert (await civitai.model(7)).name == "M"
            assert seen.why == "upstream unavailable"
            assert seen.oldest_age is not None
            assert HOUR <= seen.oldest_age < HOUR + 120
        asked = route.call_count
        assert (await civitai.model(7)).name == "M"  # the breaker is open by now
        assert route.call_count == asked
        route.mock(return_value=answer("back"))
        clock.seconds += 120
        with answers_observed() as seen:
            assert (await civitai.model(7)).name == "back"
        assert seen.note() is None


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (httpx.Response(403), Forbidden),
        (httpx.Response(404, json={"error": "gone"}), NotFound),
        (httpx.Response(429, headers={"Retry-After": "60"}), RateLimited),
        (httpx.Response(200, text="<html>"), UpstreamChanged),
    ],
    ids=["403", "404", "429", "a page"],
)
async def test_an_answer_that_is_not_liked_is_not_replaced_by_an_old_one(
    respx_mock: respx.MockRouter, cache: Path, refusal: httpx.Response, error: type[CivitError]
) -> None:
    route = respx_mock.get(MODEL).mock(return_value=answer())
    async with server(cache) as civitai:
        await civitai.model(7)
    route.mock(return_value=refusal)
    async with server(cache, at=HOUR) as civitai:
        with pytest.raises(error):
            await civitai.model(7)


async def test_what_one_account_was_told_no_other_hears(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    respx_mock.get(MODEL).mock(return_value=answer(f"for the owner of {KEY}", headers=FRESH))
    async with server(cache, civitai_api_key=KEY) as civitai:
        await civitai.model(7)
    others: tuple[dict[str, Any], ...] = (
        {},
        {"civitai_api_key": f"{KEY}2"},
        {"civitai_session_token": KEY},
        {"civitai_api_key": KEY, "civitai_url": "https://civitai.red"},
    )
    for other in others:
        async with server(cache, offline=True, **other) as civitai:
            with pytest.raises(Offline):
                await civitai.model(7)
    async with server(cache, offline=True, civitai_api_key=KEY) as civitai:
        assert (await civitai.model(7)).name == "for the owner of [secret]"


async def test_no_secret_reaches_the_disk(
    respx_mock: respx.MockRouter, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = {"id": 7, "name": KEY, "url": f"https://x/?token={KEY}"}
    respx_mock.get(MODEL).mock(return_value=httpx.Response(200, json=echo, headers=FRESH))
    async with server(cache, civitai_api_key=KEY) as civitai:
        await civitai.model(7)
    with contextlib.closing(sqlite3.connect(cache / FILE_NAME)) as db:
        db.create_function("unpack", 1, zlib.decompress)
        (body,) = db.execute("SELECT unpack(body) FROM answers").fetchone()
    assert b"[secret]" in body
    assert KEY.encode() not in body + (cache / FILE_NAME).read_bytes()
    assert KEY not in caplog.text


OPEN = Call(about="x", path="/api/v1/models/7", keep_absence=True)


@pytest.mark.parametrize(
    ("call", "status", "control", "body", "kept"),
    [
        (OPEN, 200, "public, s-maxage=300", b"{}", True),
        (OPEN, 200, "", b"{}", True),
        (OPEN, 200, "max-age=0, private, no-cache", b"{}", True),
        (OPEN, 200, "no-store, max-age=0", b"{}", False),
        (OPEN, 200, "private, No-Store", b"{}", False),
        (OPEN, 404, "", b'{"error": "x"}', True),
        (OPEN, 404, "", b"<html>", False),
        (Call(about="x", path="/api/v1/models/7"), 404, "", b"{}", False),
        (OPEN, 403, "", b"{}", False),
        (OPEN, 410, "", b"{}", False),
        (OPEN, 500, "", b"{}", False),
        (Call(about="x", path="/api/v1/me"), 200, "", b"{}", False),
        (Call(about="x", path="/api/v1/vault/all"), 200, "", b"{}", False),
        (Call(about="x", path="/api/v1/permissions/check"), 200, "", b"{}", False),
        (Call(about="x", path="/api/v1/vault/toggle-version", body=b"", repeatable=False),
         200, "", b"{}", False),
        (Call(about="x", path="/api/v1/models", repeatable=False), 200, "", b"{}", False),
    ],
)  # fmt: skip
def test_only_data_and_plain_absences_about_nobody_are_kept(
    call: Call, status: int, control: str, body: bytes, *, kept: bool
) -> None:
    reply = Reply(status=status, headers={"cache-control": control} if control else {}, body=body)
    assert may_be_kept(call, reply) is kept


async def test_the_account_is_not_on_disk(respx_mock: respx.MockRouter, cache: Path) -> None:
    me = {"id": 1, "username": "somebody", "status": "active"}
    respx_mock.get(f"{BASE}/api/v1/me").mock(return_value=httpx.Response(200, json=me))
    respx_mock.get(MODEL).mock(return_value=answer())
    async with server(cache, civitai_api_key=KEY) as civitai:
        await civitai.me()
        await civitai.model(7)
    held = holdings_of(cache)
    assert held is not None
    assert (held.answers, held.oldest) == (1, START.timestamp())


async def test_questions_that_differ_in_their_body_are_told_apart(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    respx_mock.post(f"{BASE}/api/v1/model-versions/by-hash/ids").mock(
        side_effect=lambda request: httpx.Response(
            200,
            json=[{"modelVersionId": 5, "modelId": 6, "hash": request.content.decode()[2:66]}],
        )
    )
    async with server(cache) as civitai:
        await civitai.owners_by_sha256(["A" * 64])
    async with server(cache, offline=True) as civitai:
        (owner,) = await civitai.owners_by_sha256(["A" * 64])
        assert owner.version_id == 5
        with pytest.raises(Offline):
            await civitai.owners_by_sha256(["B" * 64])


async def test_where_nothing_can_be_kept_the_client_works_and_warns_once(
    respx_mock: respx.MockRouter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    respx_mock.get(MODEL).mock(return_value=answer())
    civitai = client(cache_dir=tmp_path / "file" / "cache")
    for _ in range(3):
        assert (await civitai.model(7)).name == "M"
        await civitai.aclose()
    assert [r.levelname for r in caplog.records if "memory only" in r.message] == ["WARNING"]


async def test_a_cache_that_broke_is_replaced_without_a_word(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    (cache / FILE_NAME).write_bytes(b"nonsense" * 999)
    respx_mock.get(MODEL).mock(return_value=answer())
    async with server(cache) as civitai:
        assert (await civitai.model(7)).name == "M"
    async with server(cache, offline=True) as civitai:
        assert (await civitai.model(7)).name == "M"


async def test_a_kept_answer_that_is_no_json_counts_as_none(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    respx_mock.get(MODEL).mock(return_value=answer())
    async with server(cache) as civitai:
        await civitai.model(7)
    with contextlib.closing(sqlite3.connect(cache / FILE_NAME)) as db, db:
        db.execute("UPDATE answers SET body = ?", (zlib.compress(b"<html>"),))
    async with server(cache) as civitai:
        assert (await civitai.model(7)).name == "M"
    async with server(cache, offline=True) as civitai:
        assert (await civitai.model(7)).name == "M"


async def test_a_disk_that_hangs_holds_up_nobody(respx_mock: respx.MockRouter, cache: Path) -> None:
    respx_mock.get(MODEL).mock(return_value=answer())
    with contextlib.closing(sqlite3.connect(cache / FILE_NAME, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        civitai = client(cache_dir=cache)
        assert (await asyncio.wait_for(civitai.model(7), 1.5)).name == "M"
        db.execute("ROLLBACK")
    await civitai.aclose()


async def test_a_client_that_was_closed_can_be_used_again(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    route = respx_mock.get(MODEL).mock(return_value=answer())
    civitai = client(cache_dir=cache)
    for _ in range(3):
        assert (await civitai.model(7)).name == "M"
        await civitai.aclose()
    assert route.call_count == 1


async def test_an_answer_is_on_disk_when_the_client_is_closed_right_after(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    respx_mock.get(url__startswith=f"{BASE}/api/v1/models/").mock(
        side_effect=lambda request: httpx.Response(
            200, json={"id": int(request.url.path.rsplit("/", 1)[-1])}
        )
    )
    async with server(cache) as civitai:
        await asyncio.gather(*(civitai.model(n) for n in range(1, 51)))
    held = holdings_of(cache)
    assert held is not None
    assert held.answers == 50


async def test_a_server_that_is_cancelled_still_writes_what_it_has(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    respx_mock.get(MODEL).mock(return_value=answer())
    before = list(logging.getLogger("httpx").filters)
    civitai = client(cache_dir=cache)
    await civitai.model(7)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await civitai.aclose()
    held = holdings_of(cache)
    assert held is not None
    assert held.answers == 1
    assert logging.getLogger("httpx").filters == before


async def test_a_caller_who_leaves_while_the_disk_is_read_breaks_nothing(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    respx_mock.get(MODEL).mock(return_value=answer())
    async with server(cache) as civitai:
        await civitai.model(7)
    async with server(cache, offline=True) as civitai:
        hasty = asyncio.create_task(civitai.model(7))
        await asyncio.sleep(0)
        hasty.cancel()
        await asyncio.gather(hasty, return_exceptions=True)
        await settle()
        assert (await civitai.model(7)).name == "M"


async def test_what_changes_something_is_never_answered_from_the_cache(
    respx_mock: respx.MockRouter, cache: Path
) -> None:
    url = f"{BASE}/api/v1/vault/toggle-version"
    route = respx_mock.post(url__startswith=url).mock(side_effect=httpx.ConnectError("x"))
    async with server(cache, civitai_api_key=KEY) as civitai:
        with pytest.raises(UpstreamUnavailable):
            await civitai.toggle_vault(7)
    assert route.call_count == 1
    async with server(cache, offline=True, civitai_api_key=KEY) as civitai:
        with pytest.raises(Offline):
            await civitai.toggle_vault(7)
    assert route.call_count == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1 s"), (1, "1 s"), (59.5, "60 s"), (61, "2 min"), (3600, "60 min"),
        (3601, "2 h"), (10_800, "3 h"), (86_400, "24 h"), (86_401, "2 days"), (1e9, "11575 days"),
    ],
)  # fmt: skip
def test_an_age_is_worded_in_its_largest_unit(seconds: float, words: str) -> None:
    assert age_text(seconds) == words


@given(st.floats(0, 1e11))
def test_no_answer_looks_newer_than_it_is(seconds: float) -> None:
    count, unit = age_text(seconds).split()
    size = {"s": 1, "min": 60, "h": 3600, "day": 86400, "days": 86400}[unit]
    assert int(count) * size >= seconds
