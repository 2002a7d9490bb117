"""The server over HTTP, read as a threat model.

Each test is something that an attacker, a careless page or an unlucky network does, and what
the server makes of it. Everything runs on loopback, through real sockets.
"""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
import uvicorn
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent
from pydantic import SecretStr
from starlette.routing import Mount, Route

from civit_mcp.config import Settings
from civit_mcp.errors import NotConfigured
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from civit_mcp.server import create_server
from civit_mcp.web import Access, Places, create_app, gate, patience, sessions
from civit_mcp.web.gate import LARGEST_BODY
from civit_mcp.web.patience import PatientProtocol

TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def served(settings: Settings, *, origins: tuple[str, ...] = ()) -> Iterator[str]:
    """Run the real app on a real port in a thread; gives its base address."""
    server = create_server(settings)
    access = Access.from_settings(settings)
    app = create_app(server, access, Places(origins=origins))
    config = uvicorn.Config(
        app,
        port=0,
        log_config=None,
        timeout_graceful_shutdown=1,
        access_log=False,
        http=PatientProtocol,
    )
    running = uvicorn.Server(config)
    ready = threading.Event()
    startup = running.startup

    async def announced(sockets: Any = None) -> None:
        await startup(sockets)
        ready.set()

    running.startup = announced  # type: ignore[method-assign]
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        assert ready.wait(10)
        port = running.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def guarded(settings: Settings) -> Settings:
    return settings.model_copy(update={"token": SecretStr(TOKEN)})


@pytest.fixture
def base(guarded: Settings) -> Iterator[str]:
    with served(guarded) as address:
        yield address


def every_route(settings: Settings) -> list[tuple[str, str]]:
    """Method and address of every route there is, so that a new one is not forgotten."""
    app = create_app(create_server(settings), Access((), open_to_all=True), Places())
    found = []
    for route in app.routes:
        path = re.sub(r"\{[^}]+\}", "1", getattr(route, "path", ""))
        if isinstance(route, Mount):
            found.append(("POST", f"{path}/x"))
        elif isinstance(route, Route):
            found += [(method, path) for method in route.methods or {"GET", "POST", "DELETE"}]
    return found


def test_every_route_refuses_who_has_no_token_or_a_wrong_one(base: str, guarded: Settings) -> None:
    routes = [*every_route(guarded), ("GET", "/no/such/route")]
    assert {path for _, path in routes} >= {"/mcp", "/sse", "/messages/x", "/healthz", "/readyz"}
    assert len(routes) > 10
    wrong = [
        {}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"}, {"X-API-Key": TOKEN[:-1]}, {"Cookie": f"t={TOKEN}"},
    ]  # fmt: skip
    with httpx.Client(base_url=base) as http:
        for method, path in routes:
            for headers in wrong:
                answer = http.request(method, path, headers=headers)
                assert answer.status_code == 401, (method, path, headers)
                if method != "HEAD":
                    assert answer.json() == {"detail": "Invalid API key"}


@pytest.mark.parametrize("name", ["token", "api_key", "Access_Token", "key"])
def test_a_token_in_the_address_is_refused_even_beside_a_right_one(base: str, name: str) -> None:
    answer = httpx.get(f"{base}/healthz", params={name: TOKEN}, headers=BEARER)

    assert answer.status_code == 401
    assert TOKEN not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:8765",
        "user@localhost", "169.254.1.1", "0.0.0.0", "[::2]", "",
    ],
)  # fmt: skip
def test_dns_rebinding_is_refused_on_every_route(base: str, guarded: Settings, host: str) -> None:
    with httpx.Client(base_url=base, headers={**BEARER, "Host": host}) as http:
        for method, path in every_route(guarded):
            assert http.request(method, path).status_code in (400, 421), path


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "localhost:80", "[::1]:9"])
def test_this_machines_own_names_are_right(base: str, host: str) -> None:
    assert httpx.get(f"{base}/healthz", headers={**BEARER, "Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://", "x"]
)
def test_a_strange_page_is_refused_with_a_right_token(
    base: str, guarded: Settings, origin: str
) -> None:
    with httpx.Client(base_url=base, headers={**BEARER, "Origin": origin}) as http:
        for method, path in every_route(guarded):
            assert http.request(method, path).status_code == 403, path


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


def test_a_body_that_is_too_large_is_refused_before_it_is_read(base: str) -> None:
    with connected(base) as wire:
        head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        wire.sendall(f"{head}Content-Length: {LARGEST_BODY + 1}\r\n\r\n".encode())
        declared = wire.recv(4096)

    def endless() -> Iterator[bytes]:
        for _ in range(LARGEST_BODY // 65536 + 2):
            yield b"x" * 65536

    headers = {**BEARER, "Accept": "application/json, text/event-stream"}
    headers["Content-Type"] = "application/json"
    try:
        streamed = httpx.post(f"{base}/mcp", headers=headers, content=endless()).status_code
    except httpx.TransportError:
        streamed = 413  # the server hung up while we were still sending

    assert b" 413 " in declared.split(b"\r\n")[0]
    assert streamed in (400, 413)


def test_deeply_nested_and_broken_bodies_are_client_errors(base: str) -> None:
    headers = {
        **BEARER,
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    for body in (b"[" * 100_000, b"{", b"\xff\xfe", b"null", b"[]", b'{"jsonrpc": 5}'):
        answer = httpx.post(f"{base}/mcp", headers=headers, content=body)
        assert 400 <= answer.status_code < 500, body[:20]
        assert "Traceback" not in answer.text


@contextmanager
def connected(base: str) -> Iterator[socket.socket]:
    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        yield wire


def test_senders_that_drip_do_not_keep_others_waiting(base: str) -> None:
    with connected(base) as first, connected(base) as second:
        first.sendall(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        second.sendall(head.encode() + b"Content-Length: 1000\r\n\r\n{")

        assert httpx.get(f"{base}/healthz", headers=BEARER).status_code == 200


def test_a_head_that_never_ends_is_hung_up_on(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_TIMEOUT", 0.2)
    with connected(base) as silent, connected(base) as dripping:
        dripping.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")

        assert silent.recv(100) == b""
        assert dripping.recv(100) == b""


def test_a_body_that_drips_is_given_up_at_one_deadline(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BODY_TIMEOUT", 0.3)
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        "Content-Length: 1000\r\n\r\n"
    )
    with connected(base) as wire:
        wire.sendall(head.encode())
        wire.settimeout(0.05)
        answer = b""
        for _ in range(200):
            try:
                wire.sendall(b" ")
                answer = wire.recv(1000)
                break
            except TimeoutError:
                continue
            except OSError:
                answer = b"hung up"
                break

    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5", b"hung up")) or answer == b""


def test_two_host_headers_are_refused(base: str) -> None:
    with connected(base) as wire:
        head = f"GET /healthz HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        wire.sendall(head.encode() + b"Host: localhost\r\nHost: evil.example\r\n\r\n")
        answer = wire.recv(4096)

    assert b" 200 " not in answer.split(b"\r\n")[0]


async def call_over(
    base: str, transport: str, era: str, tool: str, arguments: dict[str, Any], **headers: str
) -> Any:
    sent = {**BEARER, **headers}
    if transport == "sse":
        async with Client(sse_client(f"{base}/sse", headers=sent), mode=era) as client:
            return await client.call_tool(tool, arguments)
    async with httpx2.AsyncClient(headers=sent, timeout=30) as http:
        wire = streamable_http_client(f"{base}/mcp", http_client=http)
        async with Client(wire, mode=era) as client:
            return await client.call_tool(tool, arguments)


async def post(address: str, headers: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.post(address, headers=headers)


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_tools_answer_over_every_transport_and_era(
    base: str, transport: str, era: str
) -> None:
    with anyio.fail_after(20):
        result = await call_over(
            base, transport, era, "get_generation_data", {"image_id": world.DEMO_IMAGE}
        )

    assert result.structured_content["image_id"] == world.DEMO_IMAGE


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_read_only_holds_over_every_transport_and_era(
    guarded: Settings, transport: str, era: str
) -> None:
    with served(guarded.model_copy(update={"read_only": True})) as base:
        result = await call_over(
            base, transport, era, "add_to_catalog", {"version_id": world.DEMO_LORA_VERSION}
        )
        written = await post(f"{base}/api/admin/civitai/add/{world.DEMO_LORA_VERSION}", BEARER)

    assert result.is_error
    assert result.content[0].text.startswith("[read_only] ")
    assert written.status_code == 403
    assert not guarded.catalog_dir.exists()


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_limited_token_sees_and_calls_less(
    guarded: Settings, tmp_path: Path, transport: str, era: str
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(
        f"{TOKEN}\nthe-token-of-a-reader name=reader read-only  # may look\n", "utf-8"
    )
    reader = {"Authorization": "Bearer the-token-of-a-reader"}
    limited = guarded.model_copy(update={"token": None, "token_file": tokens})
    arguments = {"version_id": world.DEMO_LORA_VERSION}
    with served(limited) as base:
        refused = await call_over(base, transport, era, "add_to_catalog", arguments, **reader)
        over_rest = await post(f"{base}/api/admin/civitai/add/{world.DEMO_LORA_VERSION}", reader)
        allowed = await call_over(base, transport, era, "add_to_catalog", arguments)

    assert isinstance(refused.content[0], TextContent)
    assert refused.content[0].text.startswith("[read_only] ")
    assert over_rest.status_code == 403
    assert allowed.structured_content["status"] == "added"


def handshake(base: str, token: str) -> httpx.Response:
    message = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "raw", "version": "1"},
        },
    }  # fmt: skip
    headers = {
        "Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream",
    }  # fmt: skip
    return httpx.post(f"{base}/mcp", json=message, headers=headers)


BROWSER = "the-token-that-browses"


@pytest.fixture
def shared(guarded: Settings, tmp_path: Path) -> Iterator[str]:
    """A server with a token for everything and one for browsing."""
    tokens = tmp_path / "tokens"
    lines = f"\ufeff# who may\n{TOKEN}\n{BROWSER} name=it's toolsets=browse # looks\n"
    tokens.write_text(lines, "utf-8")
    update = {"token": None, "token_file": tokens, "toolsets": ("all",)}
    with served(guarded.model_copy(update=update)) as base:
        yield base


def test_a_session_answers_only_to_the_token_that_opened_it(shared: str) -> None:
    session = {"Mcp-Session-Id": handshake(shared, TOKEN).headers["mcp-session-id"]}
    foreign = {"Authorization": f"Bearer {BROWSER}"}

    stolen = httpx.delete(f"{shared}/mcp", headers={**foreign, **session})
    used = httpx.post(f"{shared}/mcp", headers={**foreign, **session}, json={})
    own = httpx.delete(f"{shared}/mcp", headers={**BEARER, **session})

    assert stolen.status_code == used.status_code == 404
    assert own.status_code == 200


def test_one_token_cannot_use_up_the_sessions_of_the_others(
    shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 3)

    greedy = [handshake(shared, BROWSER).status_code for _ in range(5)]

    assert greedy == [200, 200, 200, 429, 429]
    assert handshake(shared, TOKEN).status_code == 200


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_token_for_browsing_gets_nothing_else_by_any_door(
    shared: str, guarded: Settings, transport: str
) -> None:
    browser = {"Authorization": f"Bearer {BROWSER}"}
    refused = await call_over(shared, transport, "auto", "list_catalog", {}, **browser)
    allowed = await call_over(shared, transport, "auto", "list_enums", {}, **browser)
    added = await post(f"{shared}/api/admin/civitai/add/{world.DEMO_LORA_VERSION}", browser)
    async with httpx.AsyncClient(headers=browser) as http:
        image = await http.get(f"{shared}/api/admin/civitai/image/{world.DEMO_IMAGE}")
        listed = await http.get(f"{shared}/api/admin/models/civitai-map")
    async with httpx2.AsyncClient(headers=browser, timeout=30) as http2:
        wire = streamable_http_client(f"{shared}/mcp", http_client=http2)
        async with Client(wire) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            with pytest.raises(MCPError, match="forbidden"):
                await client.read_resource("catalog://models.json")

    assert refused.content[0].text.startswith("[forbidden] ")
    assert not allowed.is_error
    assert {added.status_code, image.status_code, listed.status_code} == {403}
    assert "search_images" in tools
    assert not tools & {"list_catalog", "add_to_catalog", "get_model"}
    assert not guarded.catalog_dir.exists()


async def test_every_write_leaves_a_line_that_says_who(
    base: str, caplog: pytest.LogCaptureFixture
) -> None:
    await call_over(base, "http", "auto", "add_to_catalog", {"version_id": world.DEMO_LORA_VERSION})
    await call_over(
        base, "http", "auto", "add_to_catalog",
        {"version_id": world.DEMO_CHECKPOINT_VERSION, "dry_run": True},
    )  # fmt: skip
    await post(f"{base}/api/admin/civitai/promote-to-lora/{world.DEMO_LORA_VERSION}", BEARER)

    lines = [record.getMessage() for record in caplog.records if record.name.endswith("audit")]
    assert len(lines) == 2
    assert all("by token " in line for line in lines)
    assert TOKEN not in str(lines)


async def test_callers_over_http_reach_no_file_outside_the_catalogs_folder(
    base: str, guarded: Settings, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"version": 1, "date": "", "categories": []}', "utf-8")
    for action, path in (("import", outside), ("export", tmp_path / "new.json")):
        refused = await call_over(
            base, "http", "auto", "exchange_catalog", {"action": action, "path": str(path)}
        )
        assert refused.content[0].text.startswith("[forbidden] ")
    inside = await call_over(
        base, "http", "auto", "exchange_catalog",
        {"action": "export", "path": str(guarded.catalog_dir / ".." / "catalog" / "x.json")},
    )  # fmt: skip

    assert not (tmp_path / "new.json").exists()
    assert "[forbidden]" not in str(inside.content)


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


def run_server(settings: Settings, *flags: str) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "civit_mcp", "serve", "--transport", "http", "--port", "0",
        "--catalog-dir", str(settings.catalog_dir), "--cache-dir", str(settings.cache_dir),
        "--civitai-url", settings.civitai_url, *flags,
    ]  # fmt: skip
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_token_is_made_and_shown_once_and_the_stop_is_swift(settings: Settings) -> None:
    with run_server(settings) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[2].removesuffix("/mcp")
        token = process.stderr.readline().split(": ")[1].strip()
        snippet = process.stderr.readline()
        with httpx.stream(
            "GET", f"{address}/sse", headers={"Authorization": f"Bearer {token}"}
        ) as stream:
            assert stream.status_code == 200
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=3)
        rest = process.stderr.read()
        assert process.stdout is not None
        out = process.stdout.read()

    assert len(token) >= 32
    assert address in snippet
    assert token not in rest
    assert out == ""


@pytest.mark.parametrize("flags", [("--host", "0.0.0.0", "--no-auth"), ("--host", "0.0.0.0")])
def test_the_world_is_not_served_by_accident(settings: Settings, flags: tuple[str, ...]) -> None:
    process = run_server(settings, *flags)
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 2
    assert "[not_configured]" in errors


def test_errors_and_descriptions_stay_data(base: str) -> None:
    answer = httpx.get(f"{base}/api/admin/civitai/image/99999999999999999999999", headers=BEARER)

    assert answer.status_code == 422
    assert json.loads(answer.text)["detail"]
