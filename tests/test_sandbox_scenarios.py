"""Each fault does what its name says, and the stand-in starts and stops cleanly."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.errors import BadReference, Conflict, NotConfigured
from civit_mcp.sandbox import (
    SANDBOX_KEY,
    SCENARIOS,
    Sandbox,
    running_sandbox,
    serve_forever,
    world,
)
from civit_mcp.sandbox.devalue import UNDEFINED, dumps
from civit_mcp.sandbox.scenarios import ONCE, Switchboard

SITE = {"referer": "https://civitai.com/"}
MODEL = f"/api/v1/models/{world.DEMO_LORA_MODEL}"
IMAGE = f"/api/v1/images?imageId={world.DEMO_IMAGE}"
DATA = "/api/trpc/image.getGenerationData"
INPUT = {"input": json.dumps({"json": {"id": world.DEMO_IMAGE}})}


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with running_sandbox() as running:
        yield running


@pytest.fixture
def sandbox(shared: Sandbox) -> Iterator[Sandbox]:
    shared.use()
    shared.clear()
    yield shared
    shared.use()


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.base_url, headers=SITE, timeout=10) as client:
        yield client


def is_json(answer: httpx.Response) -> bool:
    try:
        json.loads(answer.text)
    except ValueError:
        return False
    return True


ANSWERS: dict[str, tuple[int, Callable[[httpx.Response], bool]]] = {
    "unauthorized": (401, lambda a: a.json() == {"error": "Unauthorized"}),
    "forbidden-html": (403, lambda a: a.text.startswith("<!DOCTYPE")),
    "not-found": (404, is_json),
    "rate-limit-forever": (429, lambda a: "retry-after" not in a.headers and not is_json(a)),
    "page-cap": (429, lambda a: "use cursors" in a.json()["error"]),
    "error-500": (500, lambda a: a.text == "Internal Server Error"),
    "busy": (503, lambda a: a.headers["retry-after"] == "2"),
    "cloudflare-524": (524, lambda a: a.text.startswith("<!DOCTYPE")),
    "html-200": (200, lambda a: "html" in a.headers["content-type"]),
    "not-json": (200, lambda a: "json" in a.headers["content-type"] and not is_json(a)),
    "redirect-away": (302, lambda a: a.headers["location"].startswith("http://localhost:")),
    "region-blocked": (451, lambda a: a.json()["code"] == "REGION_BLOCKED"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_lasting_fault_gives_its_answer_every_time(
    sandbox: Sandbox, http: httpx.Client, name: str
) -> None:
    sandbox.use(name)
    status, check = ANSWERS[name]
    for path in (MODEL, MODEL, DATA):
        answer = http.get(path)
        assert answer.status_code == status
        assert check(answer)


@pytest.mark.parametrize(
    ("name", "status"),
    [("rate-limit", 429), ("error-500-once", 500), ("busy-once", 503), ("busy-retry-date", 503)],
)
def test_a_fault_that_happens_once_happens_once_to_each_path(
    sandbox: Sandbox, http: httpx.Client, name: str, status: int
) -> None:
    sandbox.use(name)
    first = http.get(MODEL)
    assert [first.status_code, http.get(MODEL).status_code] == [status, 200]
    assert http.get(IMAGE).status_code == status
    if name == "busy-retry-date":
        wait = parsedate_to_datetime(first.headers["retry-after"]) - datetime.now(UTC)
        assert -1 < wait.total_seconds() <= 2
    elif name != "error-500-once":
        assert first.headers["retry-after"] == "1"
    sandbox.use(name)
    assert http.get(MODEL).status_code == status


def test_every_scenario_has_a_test_and_a_line_that_explains_it() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    for name, line in SCENARIOS.items():
        assert f'"{name}' in text, name
        assert line
        assert "\n" not in line
    assert set(SCENARIOS) >= ONCE


def test_a_fragment_narrows_a_fault_to_some_paths(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.use("busy:/images", "not-found:getGenerationData")
    assert http.get(IMAGE).status_code == 503
    assert http.get(DATA, params=INPUT).status_code == 404
    assert http.get(MODEL).status_code == 200


def test_the_connection_drops_before_an_answer(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.use("drop")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        http.get(MODEL)


@pytest.mark.parametrize("name", ["drop-mid-body", "truncated"])
def test_a_body_ends_before_its_length(sandbox: Sandbox, http: httpx.Client, name: str) -> None:
    whole = http.get(MODEL).content
    sandbox.use(name)
    received = b""
    with http.stream("GET", MODEL) as answer:
        promised = int(answer.headers["content-length"])
        pieces = answer.iter_raw()
        while True:
            try:
                received += next(pieces)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                break
    assert len(received) < promised
    assert whole.startswith(received)
    assert (received == whole) is (name == "truncated")
    sandbox.use()
    assert http.get(MODEL).status_code == 200


def test_a_slow_answer_waits_for_the_client_to_leave_and_then_ends(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    sandbox.use("slow:/images")
    with pytest.raises(httpx.ReadTimeout):
        http.get(IMAGE, timeout=0.2)
    assert http.get(MODEL).status_code == 200


def test_a_slow_body_begins_at_once(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.use("slow-body")
    with http.stream("GET", MODEL) as answer:
        piece = next(answer.iter_raw())
        assert 0 < len(piece) < int(answer.headers["content-length"]) / 10


def test_a_huge_body_is_larger_than_any_sane_cap(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.use("huge")
    with http.stream("GET", MODEL) as answer:
        assert "content-length" not in answer.headers
        assert sum(map(len, answer.iter_raw())) > 64 * 2**20


def test_leaving_a_huge_body_half_read_harms_nothing(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.use("huge")
    with http.stream("GET", MODEL) as answer:
        next(answer.iter_raw())
    sandbox.use()
    assert http.get(MODEL).status_code == 200


def undevalued(text: str) -> Any:
    """Independent reader of devalue text, for what the stand-in writes."""
    flat = json.loads(text)
    if flat == -1:
        return None

    def read(index: int) -> Any:
        if index < 0:
            return {-1: None, -3: "NaN", -4: "Infinity", -5: "-Infinity"}[index]
        value = flat[index]
        if isinstance(value, dict):
            return {key: read(part) for key, part in value.items()}
        if isinstance(value, list) and value and isinstance(value[0], str):
            return value[1]
        return [read(part) for part in value] if isinstance(value, list) else value

    return read(0)


def test_devalue_pools_write_results_and_errors_as_text(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    plain = http.get(DATA, params=INPUT).json()["result"]["data"]["json"]
    sandbox.use("devalue")
    data = http.get(DATA, params=INPUT).json()["result"]["data"]
    assert isinstance(data, str)
    assert undevalued(data) == plain
    dated = http.get("/api/trpc/image.get", params=INPUT).json()["result"]["data"]
    assert '["Date","2025-06-01T06:30:00.000Z"]' in dated
    error = http.get(DATA, params={"input": '{"json":{"id":1}}'})
    assert error.status_code == 404
    assert undevalued(error.json()["error"])["data"]["code"] == "NOT_FOUND"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
def test_devalue_text_reads_back_as_what_was_written(value: Any) -> None:
    expected = json.loads(json.dumps(value), parse_constant=str)
    read = undevalued(dumps({"value": value}))
    assert read == {"value": expected}


def test_undefined_has_a_number_of_its_own() -> None:
    assert dumps(UNDEFINED) == "-1"
    assert json.loads(dumps({"a": UNDEFINED})) == [{"a": -1}]


def test_older_pools_have_no_json_level(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.use("bare-trpc")
    assert http.get(DATA, params=INPUT).json()["result"]["data"]["type"] == "image"
    error = http.get(DATA, params={"input": '{"json":{"id":1}}'}).json()["error"]
    assert error["data"]["httpStatus"] == 404


def test_optional_fields_can_all_be_null(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.use("null-fields")
    body = http.get(MODEL).json()
    assert body["creator"] is body["description"] is body["tags"] is None
    assert body["modelVersions"][0]["files"][0]["hashes"] is None
    assert body["name"]
    page = http.get("/api/v1/models?limit=1").json()
    assert page["metadata"]["nextCursor"]
    assert http.get(DATA, params=INPUT).json()["result"]["data"]["json"]["resources"] is None


def test_texts_can_hold_raw_control_characters(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.use("control-chars")
    answer = http.get(MODEL)
    with pytest.raises(ValueError, match="control character"):
        json.loads(answer.text)
    body = json.loads(answer.text, strict=False)
    assert body["name"].endswith("\x01\n\t")


def test_the_origin_gate_can_be_open(sandbox: Sandbox) -> None:
    sandbox.use("origin-gate-off")
    assert httpx.get(sandbox.base_url + DATA, params=INPUT).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/v1/images"])
def test_empty_pages_stand_between_the_others(
    sandbox: Sandbox, http: httpx.Client, path: str
) -> None:
    def walk() -> tuple[list[int], int]:
        ids: list[int] = []
        empty, params = 0, {"limit": "20"}
        while True:
            page = http.get(path, params=params).json()
            ids += [row["id"] for row in page["items"]]
            empty += not page["items"]
            if "nextCursor" not in page["metadata"]:
                return ids, empty
            params["cursor"] = page["metadata"]["nextCursor"]

    plain, none = walk()
    sandbox.use("empty-pages")
    ids, empty = walk()
    assert ids == plain
    assert (none, empty > 0) == (0, True)


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/v1/images"])
def test_a_cursor_can_repeat_for_ever(sandbox: Sandbox, http: httpx.Client, path: str) -> None:
    sandbox.use("repeat-cursor")
    first = http.get(path, params={"limit": 20}).json()["metadata"]["nextCursor"]
    for _ in range(3):
        page = http.get(path, params={"limit": 20, "cursor": first}).json()
        assert page["metadata"]["nextCursor"] == first


def test_another_image_can_come_than_was_asked_for(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.use("wrong-image")
    assert http.get(IMAGE).json()["items"][0]["id"] != world.DEMO_IMAGE


def test_a_key_can_come_back_in_an_error(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.use("key-echo")
    answer = http.get(MODEL, headers={"authorization": "Bearer abc123"})
    assert answer.status_code == 403
    assert "abc123" in answer.text


def test_a_client_that_follows_a_redirect_away_is_seen_there(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    sandbox.use("redirect-away")
    answer = http.get(MODEL, follow_redirects=True, headers={"authorization": "Bearer abc"})
    assert answer.status_code == 200
    seen = sandbox.seen[-1]
    assert (seen.host_role, seen.path) == ("storage", "/elsewhere")
    assert "authorization" not in seen.headers


def test_storage_has_faults_of_its_own(sandbox: Sandbox, http: httpx.Client) -> None:
    link = http.get(f"/api/download/models/{world.DEMO_LORA_VERSION}").headers["location"]
    sandbox.use("truncated:/storage/")
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(link)
    sandbox.use("error-500:/storage/")
    assert httpx.get(link).status_code == 500
    sandbox.use("error-500")
    assert httpx.get(link).status_code == 200


def test_who_is_no_member_has_no_vault(sandbox: Sandbox, http: httpx.Client) -> None:
    key = {"authorization": f"Bearer {SANDBOX_KEY}"}
    toggle = f"/api/v1/vault/toggle-version?modelVersionId={world.DEMO_LORA_VERSION}"
    assert http.get("/api/v1/me", headers=key).json()["isMember"] is True
    sandbox.use("no-membership")
    me = http.get("/api/v1/me", headers=key).json()
    assert (me["isMember"], me["tier"]) == (False, "free")
    assert http.get("/api/v1/vault/get", headers=key).json() == {"vault": None}
    assert http.get("/api/v1/vault/all", headers=key).json()["items"] == []
    assert http.post(toggle, headers=key).status_code == 400


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("filename-utf8", "attachment; filename*=UTF-8''{}"),
        ("filename-both", "attachment; filename=\"fallback.bin\"; filename*=UTF-8''{}"),
        ("filename-path", 'attachment; filename="../../models/{}"'),
        ("filename-missing", ""),
    ],
)
def test_storage_names_the_file_in_several_ways_or_not_at_all(
    sandbox: Sandbox, http: httpx.Client, name: str, header: str
) -> None:
    sandbox.use(name)
    link = http.get(f"/api/download/models/{world.DEMO_LORA_VERSION}").headers["location"]
    answer = http.get(link, headers={"range": "bytes=0-9"})
    assert answer.status_code == 206
    shown = answer.headers.get("content-disposition", "")
    assert shown == header.format("GoldenHourGradingXL.safetensors")


@pytest.mark.parametrize("name", ["empty-pages", "repeat-cursor"])
def test_the_feed_knows_the_faults_of_lists(
    sandbox: Sandbox, http: httpx.Client, name: str
) -> None:
    sandbox.use(name)
    asked: dict[str, Any] = {"collectionId": world.LANDSCAPE_COLLECTION, "limit": 5}
    sizes, cursors = [], []
    for _ in range(6):
        params = {"input": json.dumps({"json": asked})}
        page = http.get("/api/trpc/image.getInfinite", params=params).json()
        found = page["result"]["data"]["json"]
        sizes.append(len(found["items"]))
        cursors.append(found["nextCursor"])
        if found["nextCursor"] is None:
            break
        asked["cursor"] = found["nextCursor"]
    if name == "empty-pages":
        assert 0 in sizes[1:-1]
        assert cursors[-1] is None
        assert sum(sizes) > 5
    else:
        assert len(set(cursors)) == 1


def test_faults_combine(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.use("devalue", "origin-gate-off", "busy-once")
    assert http.get(DATA, params=INPUT).status_code == 503
    answer = httpx.get(sandbox.base_url + DATA, params=INPUT)
    assert isinstance(answer.json()["result"]["data"], str)


def test_unknown_scenarios_are_refused_with_the_known_ones(sandbox: Sandbox) -> None:
    with pytest.raises(BadReference, match="no-such") as caught:
        sandbox.use("no-such")
    assert "busy-once" in caught.value.next_step
    with pytest.raises(BadReference), running_sandbox(scenarios=["no-such"]):
        raise AssertionError


def test_a_switchboard_reads_back_as_it_was_set() -> None:
    board = Switchboard(["slow:/images", "busy"])
    assert board.names == ["slow:/images", "busy"]
    assert board.holding("/api/v1/images", "api") == {"slow", "busy"}
    assert board.holding("/api/v1/images", "storage") == {"slow"}


def test_other_processes_steer_it_over_http(sandbox: Sandbox, http: httpx.Client) -> None:
    assert http.put("/__sandbox/scenarios", json=["busy:/models"]).json() == ["busy:/models"]
    assert http.get(MODEL).status_code == 503
    for bad in ('["nope"]', "{}", "[1]", "{"):
        answer = http.put("/__sandbox/scenarios", content=bad)
        assert answer.status_code == 400
    assert http.get("/__sandbox/scenarios").json() == ["busy:/models"]
    seen = http.get("/__sandbox/seen").json()
    assert [each["path"] for each in seen] == [MODEL]
    assert seen[0]["headers"]["referer"] == SITE["referer"]
    assert http.delete("/__sandbox/seen").status_code == 204
    assert http.get("/__sandbox/seen").json() == []
    assert http.get("/__sandbox/other").status_code == 404


def test_requests_are_seen_as_they_came(sandbox: Sandbox, http: httpx.Client) -> None:
    http.post("/api/v1/model-versions/by-hash?a=1&a=2&b=", content=b'["x"]')
    seen = sandbox.seen[0]
    assert (seen.method, seen.path) == ("POST", "/api/v1/model-versions/by-hash")
    assert seen.query == {"a": ["1", "2"], "b": [""]}
    assert seen.body == b'["x"]'
    assert seen.host_role == "api"
    assert seen.headers["content-length"] == "5"


def test_requests_in_flight_are_counted_and_latency_delays_each() -> None:
    with running_sandbox(latency=0.15) as slow, httpx.Client(base_url=slow.base_url) as client:
        before = time.monotonic()
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: client.get(MODEL).status_code, range(6)))
        took = time.monotonic() - before
        assert answers == [200] * 6
        client.get(MODEL)
        assert slow.max_in_flight == 6
        assert 0.15 <= took < 0.8
        slow.clear()
        client.get(MODEL)
        assert slow.max_in_flight == 1


def test_it_stops_at_once_with_requests_under_way() -> None:
    def ask(url: str) -> None:
        with httpx.Client(timeout=20) as client, pytest.raises(httpx.TransportError):
            client.get(url)

    with running_sandbox(scenarios=["slow", "busy:/never"]) as running:
        waiting = [
            threading.Thread(target=ask, args=(running.base_url + path,)) for path in (MODEL, IMAGE)
        ]
        for thread in waiting:
            thread.start()
        while running.max_in_flight < 2:
            httpx.get(running.base_url + "/__sandbox/seen")
        before = time.monotonic()
    assert time.monotonic() - before < 1.0
    for thread in waiting:
        thread.join(5)
        assert not thread.is_alive()


def test_it_starts_and_stops_quickly_and_leaves_no_thread() -> None:
    before, threads = time.monotonic(), threading.active_count()
    for _ in range(5):
        with running_sandbox() as running:
            assert httpx.get(running.base_url + "/api/v1/enums").status_code == 200
    assert time.monotonic() - before < 3
    assert threading.active_count() == threads


def test_without_a_key_of_its_own_no_key_is_valid() -> None:
    key = {"authorization": f"Bearer {SANDBOX_KEY}"}
    with running_sandbox(api_key=None) as running:
        assert httpx.get(running.base_url + "/api/v1/me", headers=key).status_code == 401
    with running_sandbox(api_key="mine") as running:
        mine = {"authorization": "Bearer mine"}
        assert httpx.get(running.base_url + "/api/v1/me", headers=mine).status_code == 200


def test_a_taken_port_and_a_missing_folder_are_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=str(port)), running_sandbox(port=port):
            raise AssertionError
    with pytest.raises(NotConfigured, match="nowhere"), running_sandbox(data=tmp_path / "nowhere"):
        raise AssertionError


async def test_as_a_program_it_announces_itself_and_ends_when_cancelled() -> None:
    heard: list[str] = []
    async with anyio.create_task_group() as group:

        async def serve() -> None:
            await serve_forever(
                port=0, data=None, scenarios=["not-found:/tags"], latency=0, announce=heard.append
            )

        group.start_soon(serve)
        with anyio.fail_after(5):
            while not heard:
                await anyio.lowlevel.checkpoint()
        async with httpx.AsyncClient(base_url=heard[0]) as client:
            assert (await client.get("/api/v1/tags")).status_code == 404
            assert (await client.get(MODEL)).status_code == 200
        group.cancel_scope.cancel()
    assert heard[0].startswith("http://127.0.0.1:")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are not on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_as_a_program_it_ends_on_a_signal(number: int) -> None:
    code = (
        "import asyncio; from civit_mcp.sandbox import serve_forever;"
        "asyncio.run(serve_forever(port=0, data=None, scenarios=(), latency=0,"
        " announce=lambda url: print(url, flush=True)))"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        assert httpx.get(url + "/api/v1/enums").status_code == 200
        program.send_signal(number)
        _, errors = program.communicate(timeout=10)
    assert program.returncode == 0
    assert errors == ""
