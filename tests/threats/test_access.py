"""Who may call, read as a threat model: each test is one thing that somebody tries.

An attacker, a careless page, a stolen token. Everything runs on loopback, through real sockets.
What they try with bytes, numbers, names and words has files of its own beside this one.
"""

import hashlib
import hmac
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from tests.http_kit import (
    BEARER,
    OTHER,
    TOKEN,
    bearer,
    call_over,
    connected,
    every_route,
    everything,
    handshake,
    head,
    initialize,
    post,
    served,
    sse_place,
    start_process,
    without_civitai,
)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all who do not even get in."""
    with served(without_civitai(tmp_path_factory.mktemp("doors"))) as address:
        yield address


@pytest.fixture
def shared(guarded: Settings, tmp_path: Path) -> Iterator[str]:
    """A server with a token for everything and one for browsing."""
    tokens = tmp_path / "tokens"
    lines = f"\ufeff# who may\n{TOKEN}\n{OTHER} name=it's toolsets=browse # looks\n"
    tokens.write_text(lines, "utf-8")
    update = {"token": None, "token_file": tokens, "toolsets": ("all",)}
    with served(guarded.model_copy(update=update)) as base:
        yield base


def test_every_route_refuses_who_has_no_token_or_a_wrong_one(alone: str, guarded: Settings) -> None:
    routes = [*every_route(guarded), ("GET", "/no/such/route")]
    assert {path for _, path in routes} >= {"/mcp", "/sse", "/messages/x", "/healthz", "/readyz"}
    assert len(routes) > 10
    wrong = [
        {}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"}, {"X-API-Key": TOKEN[:-1]}, {"Cookie": f"t={TOKEN}"},
    ]  # fmt: skip
    with httpx.Client(base_url=alone) as http:
        for method, path in routes:
            for headers in wrong:
                answer = http.request(method, path, headers=headers)
                assert answer.status_code == 401, (method, path, headers)
                if method != "HEAD":
                    assert answer.json() == {"detail": "Invalid API key"}


def test_every_token_is_compared_with_every_known_one_in_constant_time(
    guarded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [TOKEN, "the-token-in-the-middle", OTHER]
    path = tmp_path / "tokens"
    path.write_text("".join(f"{token}\n" for token in known), "utf-8")
    digests = [hashlib.sha256(token.encode()).digest() for token in known]
    compared: list[set[Any]] = []
    compare = hmac.compare_digest

    def counted(one: Any, other: Any) -> bool:
        compared.append({one, other})
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    outcomes = {}
    with served(guarded.model_copy(update={"token": None, "token_file": path})) as base:
        for token in (TOKEN, OTHER, f"{TOKEN}x"):
            compared.clear()
            outcomes[token] = httpx.get(f"{base}/healthz", headers=bearer(token)).status_code
            mine = hashlib.sha256(token.encode()).digest()
            # neither the first nor a right one ends the search
            assert compared == [{digest, mine} for digest in digests]

    assert list(outcomes.values()) == [200, 200, 401]


@pytest.mark.parametrize("name", ["token", "api_key", "Access_Token", "key"])
def test_a_token_in_the_address_is_refused_even_beside_a_right_one(alone: str, name: str) -> None:
    answer = httpx.get(f"{alone}/healthz", params={name: TOKEN}, headers=BEARER)

    assert answer.status_code == 401
    assert TOKEN not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:8765",
        "user@localhost", "localhost@evil.example", "169.254.1.1", "0.0.0.0", "[::2]", "",
        "localhost.", "127.0.0.1.", "127.1", "2130706433", "0x7f.0.0.1", "[::ffff:8.8.8.8]",
        "[::1", "::1]", "[::1%25eth0]", "localhost/evil.example", "localhost:port", "localhost ,x",
        "localh\xf6st", "xn--loclhost-5za", "[fe80::1]:80",
    ],
)  # fmt: skip
def test_dns_rebinding_is_refused_on_every_route(
    alone: str, guarded: Settings, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    spelled: dict[str, str | bytes] = {**BEARER, "Host": host.encode("latin-1")}
    with httpx.Client(base_url=alone, headers=spelled) as http:  # type: ignore[arg-type]  # bytes, as a peer may send them
        for method, path in every_route(guarded):
            assert http.request(method, path).status_code in (400, 421), path
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "file://",
        "x",
        "",
        "http://localhost@evil.example",
        "http://user:pw@localhost",
        "http://localhost.",
        "http://[::2]",
        "http://[::1",
        "http://127.0.0.1.evil.example",
        "localhost",
        "//localhost",
        "javascript:alert(1)",
        "chrome-extension://abcdef",
        "data:text/html,x",
        "http://localhost http://evil.example",
    ],
)
def test_a_strange_page_is_refused_with_a_right_token(
    alone: str, guarded: Settings, origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    with httpx.Client(base_url=alone, headers={**BEARER, "Origin": origin}) as http:
        for method, path in every_route(guarded):
            assert http.request(method, path).status_code == 403, path
    assert not [record for record in caplog.records if record.exc_info]


def test_a_session_answers_only_to_the_token_that_opened_it(shared: str) -> None:
    session = {"Mcp-Session-Id": handshake(shared, TOKEN).headers["mcp-session-id"]}
    foreign = {"Authorization": f"Bearer {OTHER}"}

    stolen = httpx.delete(f"{shared}/mcp", headers={**foreign, **session})
    used = httpx.post(f"{shared}/mcp", headers={**foreign, **session}, json={})
    own = httpx.delete(f"{shared}/mcp", headers={**BEARER, **session})

    assert stolen.status_code == used.status_code == 404
    assert own.status_code == 200


def test_two_tokens_of_one_name_are_two_all_the_same(guarded: Settings, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN} name=team\n{OTHER} name=team\n", "utf-8")
    foreign = bearer(OTHER)
    with served(guarded.model_copy(update={"token": None, "token_file": tokens})) as base:
        session = {"Mcp-Session-Id": handshake(base, TOKEN).headers["mcp-session-id"]}
        stolen = httpx.delete(f"{base}/mcp", headers={**foreign, **session})
        with connected(base) as wire:
            wire.sendall(head("GET", "/sse"))
            place = f"{base}{sse_place(wire)}"
            spoken = httpx.post(place, headers=foreign, json=initialize())
        own = httpx.delete(f"{base}/mcp", headers={**BEARER, **session})

    assert stolen.status_code == spoken.status_code == 404
    assert own.status_code == 200


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_token_for_browsing_gets_nothing_else_by_any_door(
    shared: str, guarded: Settings, transport: str
) -> None:
    browser = {"Authorization": f"Bearer {OTHER}"}
    refused = await call_over(shared, transport, "auto", "list_catalog", {}, **browser)
    misspelled = await call_over(shared, transport, "auto", "List_Catalog", {}, **browser)
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
    # what is not for this token is not even named
    assert "search_images" in misspelled.content[0].text
    assert "add_to_catalog" not in misspelled.content[0].text
    assert not allowed.is_error
    assert {added.status_code, image.status_code, listed.status_code} == {403}
    assert "search_images" in tools
    assert not tools & {"list_catalog", "add_to_catalog", "get_model"}
    assert not guarded.catalog_dir.exists()


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


@pytest.mark.parametrize("flags", [("--host", "0.0.0.0", "--no-auth"), ("--host", "0.0.0.0")])
def test_the_world_is_not_served_by_accident(settings: Settings, flags: tuple[str, ...]) -> None:
    process = start_process(settings, *flags)
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 2
    assert "[not_configured]" in errors


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


def test_a_second_origin_header_does_not_hide_behind_a_right_one(alone: str) -> None:
    pair = ["Origin: http://localhost", "Origin: https://evil.example"]
    for lines in (pair, pair[::-1]):
        with connected(alone) as wire:
            wire.sendall(head("GET", "/healthz", *lines, "Connection: close"))
            assert everything(wire).split()[1] == b"403"


def test_a_refused_host_or_page_leaves_the_connection_of_a_stream_usable(
    alone: str, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(alone) as wire:
        refused = head("GET", "/sse", "Origin: https://evil.example")
        wire.sendall(refused + head("GET", "/healthz", "Connection: close"))
        answers = everything(wire)

    assert re.findall(rb"HTTP/1.1 (\d+) ", answers) == [b"403", b"200"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/x", "/api/admin/models/civitai-map"])
def test_a_preflight_is_answered_for_listed_pages_alone(guarded: Settings, path: str) -> None:
    listed = "https://tools.example.com"
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    pages = ("https://evil.example", f"{listed}.evil.example", "https://TOOLS.example.com:444")
    with served(guarded, origins=(listed,)) as base, httpx.Client(base_url=base) as http:
        allowed = http.options(path, headers={**ask, "Origin": listed})
        others = [http.options(path, headers={**ask, "Origin": page}) for page in (*pages, "null")]
        without = http.options(path, headers=ask)
        # the real request needs a token whatever the preflight said
        real = http.post(path, headers={"Origin": listed})

    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == listed
    assert "access-control-allow-credentials" not in allowed.headers
    assert {answer.status_code for answer in others} == {403}
    assert not [a for a in others if "access-control-allow-origin" in a.headers]
    assert without.status_code == real.status_code == 401


def test_a_page_may_not_read_anything_where_no_page_is_listed(alone: str) -> None:
    for origin in ("http://localhost:5173", "http://127.0.0.1"):
        answer = httpx.get(f"{alone}/healthz", headers={**BEARER, "Origin": origin})
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer  ", "Authorization: Bearer \x00", "Authorization: bearer",
        "Authorization: Token a-token-of-the-tests", "X-API-Key: ", "X-API-Key: \xff\xfe",
        "Authorization: Bearer a-token-of-the-test", "Authorization: Bearer A-TOKEN-OF-THE-TESTS",
        "Authorization: Bearer a-token-of-the-tests,a-token-of-the-tests",
    ],
)  # fmt: skip
def test_what_is_nearly_a_token_is_none(alone: str, line: str) -> None:
    with connected(alone) as wire:
        request = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{line}\r\n\r\n"
        wire.sendall(request.encode("latin-1"))
        answer = everything(wire)

    assert answer.split()[1] in (b"401", b"400")


@pytest.mark.parametrize(
    "path", ["//mcp", "/mcp/", "/MCP", "/%6dcp", "/sse/", "/./sse", "/x/../sse"]
)
def test_another_spelling_of_an_address_gets_around_nothing(alone: str, path: str) -> None:
    for token, allowed in (
        ("none-of-the-tokens", {b"401"}),
        (TOKEN, {b"404", b"405", b"400", b"406"}),
    ):
        with connected(alone) as wire:
            wire.sendall(head("POST", path, "Content-Length: 0", "Connection: close", token=token))
            assert everything(wire).split()[1] in allowed
