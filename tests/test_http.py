"""The server over HTTP: what every transport and route does for those who may use it.

What it does to those who may not is in the files of threats.
"""

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from civit_mcp import live
from civit_mcp.config import Settings
from civit_mcp.errors import NotConfigured
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from civit_mcp.web import Access, Places, running
from tests.civitai_support import until
from tests.http_kit import (
    BEARER,
    TOKEN,
    bearer,
    call_over,
    connected,
    handshake,
    head,
    modern,
    post,
    served,
    start_process,
    visitor,
)
from tests.test_letting_go import in_flight


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "localhost:80", "[::1]:9"])
def test_this_machines_own_names_are_right(base: str, host: str) -> None:
    assert httpx.get(f"{base}/healthz", headers={**BEARER, "Host": host}).status_code == 200


def test_a_page_on_the_list_may_ask_and_call(guarded: Settings) -> None:
    page = "https://tools.example.com"
    with served(guarded, origins=(page,)) as base:
        preflight = httpx.options(
            f"{base}/mcp",
            headers={"Origin": page, "Access-Control-Request-Method": "POST"},
        )
        stranger = httpx.options(
            f"{base}/mcp",
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        )
        called = httpx.get(f"{base}/healthz", headers={**BEARER, "Origin": page})

    assert preflight.headers["access-control-allow-origin"] == page
    assert stranger.status_code == 403
    assert called.status_code == 200


def test_a_page_on_the_list_may_reach_a_server_in_a_private_network(guarded: Settings) -> None:
    page = "https://tools.example.com"
    asked = {
        "Origin": page,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    with served(guarded, origins=(page,)) as base:
        preflight = httpx.options(f"{base}/mcp", headers=asked)
        stranger = httpx.options(f"{base}/mcp", headers={**asked, "Origin": "https://evil.example"})

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-private-network"] == "true"
    assert stranger.status_code == 403
    assert "access-control-allow-private-network" not in stranger.headers


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_tools_answer_over_every_transport_and_era(
    base: str, transport: str, era: str
) -> None:
    with anyio.fail_after(20):
        result = await call_over(
            base, transport, era, "get_generation_data", {"image_id": world.DEMO_IMAGE}
        )

    assert result.structured_content["image_id"] == world.DEMO_IMAGE


async def test_resources_are_read_with_the_callers_own_key(base: str, sandbox: Sandbox) -> None:
    sent = {**BEARER, "X-Civitai-Api-Key": "another-persons-key"}
    async with httpx2.AsyncClient(headers=sent, timeout=30) as http:
        wire = streamable_http_client(f"{base}/mcp", http_client=http)
        async with Client(wire) as client:
            await client.read_resource(f"civitai://models/{world.DEMO_LORA_MODEL}")

    keys = {seen.headers.get("authorization") for seen in sandbox.seen}
    assert keys == {"Bearer another-persons-key"}


async def test_callers_with_their_own_keys_share_neither_key_nor_cached_answers(
    base: str, sandbox: Sandbox
) -> None:
    for key in (SANDBOX_KEY, "another-persons-key", SANDBOX_KEY):
        await call_over(
            base, "http", "auto", "get_model", {"model_id": world.DEMO_LORA_MODEL},
            **{"X-Civitai-Api-Key": key},
        )  # fmt: skip
    await call_over(base, "http", "auto", "get_model", {"model_id": world.DEMO_LORA_MODEL})

    asked = [s for s in sandbox.seen if s.path.endswith(f"/models/{world.DEMO_LORA_MODEL}")]
    keys = [seen.headers.get("authorization", "") for seen in asked]
    assert keys.count(f"Bearer {SANDBOX_KEY}") >= 1
    assert keys.count("Bearer another-persons-key") == 1
    assert "" in keys


def test_the_admin_routes_answer_as_tools_of_that_api_expect(base: str) -> None:
    with httpx.Client(base_url=f"{base}/api/admin", headers={"X-API-Key": TOKEN}) as http:
        image = http.get(f"/civitai/image/{world.DEMO_IMAGE}").json()
        added = http.post(f"/civitai/add/{world.DEMO_LORA_VERSION}").json()
        again = http.post(f"/civitai/add/{world.DEMO_LORA_VERSION}").json()
        promoted = http.post(f"/civitai/promote-to-lora/{world.DEMO_LORA_VERSION}").json()
        listed = http.get("/models/civitai-map").json()
        missing = http.post(f"/civitai/promote-to-lora/{world.DEMO_CHECKPOINT_VERSION}")
        no_number = http.get("/civitai/image/abc")
        unknown = http.get(f"/civitai/image/{world.NO_SUCH_IMAGE}")
        wrong_verb = http.get(f"/civitai/add/{world.DEMO_LORA_VERSION}")
        no_route = http.get("/nothing/here")

    assert image.keys() >= {
        "raw", "resources", "detected_deps", "clean_prompt", "meta", "type", "process",
        "techniques", "tools", "detected_type",
    }  # fmt: skip
    assert image["raw"]["result"]["data"]["json"]["type"] == "image"
    assert {dep["type"] for dep in image["detected_deps"]} == {"lora", "embedding"}
    assert added.items() >= {"status": "added", "category": "loras", "dest": "loras"}.items()
    assert again["status"] == "already_exists"
    assert promoted["status"] == "promoted"
    entry = listed["by_version"][str(world.DEMO_LORA_VERSION)]
    assert entry.keys() >= {"file", "dest", "name", "base_model", "status", "catalog"}
    assert entry["catalog"] == "loras"
    assert listed["by_model"][str(world.DEMO_LORA_MODEL)] == [world.DEMO_LORA_VERSION]
    assert missing.status_code == unknown.status_code == 404
    assert missing.json()["detail"]
    assert no_number.status_code == 422
    assert (wrong_verb.status_code, no_route.status_code) == (405, 404)
    assert wrong_verb.json()["detail"]
    assert no_route.json()["detail"]


def test_health_and_readiness(base: str, guarded: Settings) -> None:
    healthy = httpx.get(f"{base}/healthz", headers=BEARER)
    ready = httpx.get(f"{base}/readyz", headers=BEARER)
    guarded.catalog_dir.mkdir()
    (guarded.catalog_dir / "models.json").write_text("{", "utf-8")
    broken = httpx.get(f"{base}/readyz", headers=BEARER)

    assert healthy.json()["status"] == "ok"
    assert ready.status_code == 200
    assert broken.status_code == 503
    assert "[catalog_unreadable]" in broken.json()["detail"]


@pytest.mark.parametrize(
    "line",
    ["short", "a-token-of-the-tests sometimes", "a-token-of-the-tests toolsets=everything", "# no"],
)
def test_a_token_file_of_no_use_is_named(settings: Settings, tmp_path: Path, line: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(line, "utf-8")

    with pytest.raises(NotConfigured) as caught:
        Access.from_settings(settings.model_copy(update={"token_file": path}))

    assert "a-token-of-the-tests" not in str(caught.value)


@contextmanager
def listening(address: str, token: str) -> Iterator[httpx.Response]:
    headers, body = modern(
        "subscriptions/listen", notifications={"resourceSubscriptions": ["catalog://models.json"]}
    )
    sent = {**headers, **bearer(token)}
    with httpx.stream("POST", f"{address}/mcp", headers=sent, json=body) as stream:
        yield stream


def test_a_token_is_made_and_shown_once_and_the_stop_is_swift(settings: Settings) -> None:
    with start_process(settings) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[2].removesuffix("/mcp")
        token = process.stderr.readline().split(": ")[1].strip()
        snippet = process.stderr.readline()
        with (
            httpx.stream("GET", f"{address}/sse", headers=bearer(token)) as stream,
            listening(address, token) as listen,
        ):
            assert stream.status_code == listen.status_code == 200
            lines = stream.iter_lines()
            assert next(lines) == "event: endpoint"
            process.send_signal(signal.SIGTERM)
            # a stream that the server ends has an end, so there is no error to see here
            assert "HTTP/1.1" not in "".join(lines)
            process.wait(timeout=3)
        rest = process.stderr.read()
        assert process.stdout is not None
        out = process.stdout.read()

    assert len(token) >= 32
    assert address in snippet
    assert rest == ""
    assert out == ""


async def test_listeners_hear_at_once_of_what_an_admin_route_wrote(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nobody looks at the files meanwhile
    monkeypatch.setattr(live, "INTERVAL", 3600)
    async with (
        visitor(base) as client,
        client.listen(resource_subscriptions=["catalog://models.json"]) as events,
    ):
        await post(f"{base}/api/admin/civitai/add/{world.DEMO_LORA_VERSION}", BEARER)
        with anyio.fail_after(5):
            assert "catalog://models.json" in str(await anext(aiter(events)))


def test_more_connections_than_may_be_are_answered_503(
    guarded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MOST_CONNECTIONS", 3)
    with served(guarded) as base:
        with connected(base), connected(base):
            too_many = httpx.get(f"{base}/healthz", headers=BEARER)
        assert too_many.status_code == 503


def test_who_a_peer_says_it_speaks_for_decides_nothing(guarded: Settings) -> None:
    # what comes from this machine may use its names, here the health check's
    away = Places(("mcp.example.com",), local=False)
    with served(guarded, places=away) as base:
        for said in ("203.0.113.9", "127.0.0.1"):
            named = {**BEARER, "X-Forwarded-For": said, "X-Forwarded-Proto": "https"}
            assert httpx.get(f"{base}/healthz", headers=named).status_code == 200


@pytest.mark.parametrize(("path", "allowed"), [("/mcp", "GET, POST, DELETE"), ("/sse", "GET")])
def test_a_head_of_a_stream_is_refused_with_what_its_address_takes(
    base: str, path: str, allowed: str
) -> None:
    answer = httpx.head(f"{base}{path}", headers=BEARER)

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_a_stream_that_wants_to_go_on_where_another_ended_begins_anew(base: str) -> None:
    session = {"Mcp-Session-Id": handshake(base, TOKEN).headers["mcp-session-id"]}
    sent = {**BEARER, **session, "Accept": "text/event-stream", "Last-Event-ID": "7"}
    with httpx.stream("GET", f"{base}/mcp", headers=sent) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")


# tokens that are limited to what is not there


async def test_a_token_for_sets_that_are_off_is_told_of_at_start_and_when_it_calls(
    guarded: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN} name=looker toolsets=browse\nanother-fine-token\n", "utf-8")
    with served(guarded.model_copy(update={"token": None, "token_file": tokens})) as base:
        off = await call_over(base, "http", "auto", "search_images", {})
        beyond = await call_over(base, "http", "auto", "list_catalog", {})

    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    (warning,) = [line for line in warned if "looker" in line]
    assert "browse is off; start with --toolsets catalog,core,workflow,browse" in warning
    assert "the tool set 'browse', which is off" in off.content[0].text
    assert beyond.content[0].text.startswith("[forbidden] ")
    assert "browse is off here" in beyond.content[0].text


# figures


@pytest.fixture
def measured(guarded: Settings) -> Iterator[str]:
    with served(guarded.model_copy(update={"metrics": True})) as address:
        yield address


async def figures(base: str) -> dict[str, float]:
    async with httpx.AsyncClient(headers=BEARER) as http:
        answer = await http.get(f"{base}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_calls_are_counted_by_tool_and_outcome(
    measured: str, transport: str, era: str
) -> None:
    for tool, arguments in (
        ("add_to_catalog", {"version_id": world.DEMO_LORA_VERSION}),
        ("add_to_catalog", {"version_id": world.DEMO_CHECKPOINT_VERSION, "dry_run": True}),
        ("get_model", {"model_id": world.DEMO_LORA_MODEL}),
        ("get_model_version", {"version_id": world.DEMO_LORA_VERSION}),
        ("get_generation_data", {"image_id": world.DEMO_IMAGE}),
        ("get_generation_data", {"image_id": world.DEMO_IMAGE}),
        ("get_model", {"model_id": "no reference"}),
        ('a"b\nsecret', {}),
    ):
        await call_over(measured, transport, era, tool, arguments)
    await post(f"{measured}/api/admin/civitai/promote-to-lora/{world.DEMO_LORA_VERSION}", BEARER)
    seen = await figures(measured)

    calls = "civit_mcp_tool_calls_total"
    assert seen[f'{calls}{{outcome="answered",tool="get_generation_data"}}'] == 2
    assert seen[f'{calls}{{outcome="bad_reference",tool="get_model"}}'] == 1
    assert seen[f'{calls}{{outcome="not_found",tool="unknown"}}'] == 1
    assert seen[f'{calls}{{outcome="answered",tool="promote_to_lora"}}'] == 1
    assert seen['civit_mcp_tool_call_seconds_count{tool="get_model"}'] == 2
    assert seen['civit_mcp_catalog_writes_total{tool="add_to_catalog"}'] == 1
    assert seen['civit_mcp_catalog_writes_total{tool="promote_to_lora"}'] == 1
    assert seen['civit_mcp_upstream_requests_total{outcome="2xx"}'] >= 2
    assert seen['civit_mcp_cache_hits_total{where="memory"}'] >= 1
    assert "secret" not in str(seen)


async def test_a_reader_who_hangs_up_is_counted_as_cut_off(measured: str, sandbox: Sandbox) -> None:
    sandbox.use("slow")
    with connected(measured) as wire:
        wire.sendall(head("GET", f"/api/admin/civitai/image/{world.DEMO_IMAGE}"))
        await until(lambda: in_flight(sandbox) == 3)
    name = 'civit_mcp_tool_calls_total{outcome="cut_off",tool="get_generation_data"}'
    with anyio.fail_after(10):
        while (seen := await figures(measured)).get(name) is None:
            await anyio.lowlevel.checkpoint()

    assert not [label for label in seen if "bad_reference" in label]


async def test_open_streams_and_sessions_are_counted(measured: str) -> None:
    async with httpx2.AsyncClient(headers=BEARER, timeout=30) as http:
        wire = streamable_http_client(f"{measured}/mcp", http_client=http)
        async with Client(wire, mode="legacy") as client:
            await client.list_tools()
            async with (
                httpx.AsyncClient(headers=BEARER) as other,
                other.stream("GET", f"{measured}/sse"),
            ):
                seen = await figures(measured)
    after = await figures(measured)

    assert seen["civit_mcp_sessions"] == 1
    assert seen["civit_mcp_streams"] >= 1
    assert after["civit_mcp_sessions"] == 0


def test_figures_are_told_only_when_wanted_and_only_to_who_may_ask(
    base: str, guarded: Settings
) -> None:
    without = httpx.get(f"{base}/metrics", headers=BEARER).status_code
    with served(guarded.model_copy(update={"metrics": True})) as measured:
        nobody = httpx.get(f"{measured}/metrics").status_code
        somebody = httpx.get(f"{measured}/metrics", headers=bearer(TOKEN)).status_code

    assert (without, nobody, somebody) == (404, 401, 200)


def test_the_library_of_the_figures_is_not_even_loaded_when_they_are_off() -> None:
    script = (
        "import sys; from civit_mcp.web import Access, Places, create_app\n"
        "from civit_mcp.server import create_server; from civit_mcp.config import Settings\n"
        "create_app(create_server(Settings()), Access((), open_to_all=True), Places())\n"
        "print('prometheus_client' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "False"
