"""What other programs and peers without a token can do to a server, and cannot."""

from contextlib import ExitStack

import httpx
import pytest

from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.web import patience, running
from tests.http_kit import BEARER, connected, head, initialize, served, sse_place

ADD = f"/api/admin/civitai/add/{world.DEMO_LORA_VERSION}"


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1:1", "https://localhost", "null"]
)
def test_a_page_of_another_program_on_this_machine_may_not_write(
    guarded: Settings, origin: str
) -> None:
    with served(guarded) as base:
        refused = httpx.post(f"{base}{ADD}", headers={**BEARER, "Origin": origin})

    assert refused.status_code == 403
    assert not guarded.catalog_dir.exists()


def test_a_page_that_came_from_the_server_itself_may_call(guarded: Settings) -> None:
    with served(guarded) as base:
        answer = httpx.get(f"{base}/healthz", headers={**BEARER, "Origin": base})

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/mcp/", "/sse/", "/healthz/", "/api/admin/models/civitai-map/"])
def test_no_spelling_leads_away_from_the_scheme_in_front_of_a_proxy(
    guarded: Settings, path: str
) -> None:
    with served(guarded) as base:
        answer = httpx.post(f"{base}{path}", headers={**BEARER, "X-Forwarded-Proto": "https"})

    assert answer.status_code in (400, 404, 405, 406)
    assert "location" not in answer.headers


def test_an_address_with_a_slash_at_its_end_is_the_same_address(guarded: Settings) -> None:
    with served(guarded) as base:
        answer = httpx.request("PUT", f"{base}/mcp/", headers=BEARER)

    assert answer.status_code == 405


def test_who_is_refused_keeps_no_connection(guarded: Settings) -> None:
    with served(guarded) as base, connected(base) as wire:
        wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while part := wire.recv(4096):
            answer += part

    assert answer.startswith(b"HTTP/1.1 401 ")


REFUSED = {
    "says nothing": b"",
    "has no token": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "calls another name": b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "comes from a page": head("GET", "/healthz", "Origin: https://evil.example"),
    "asks before a page may": (
        b"OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: https://tools.example.com\r\n"
        b"Access-Control-Request-Method: POST\r\n\r\n"
    ),
}


@pytest.mark.parametrize("said", REFUSED.values(), ids=REFUSED)
def test_connections_without_a_token_make_room_for_others(
    guarded: Settings, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(patience, "MOST_STRANGERS", 10)
    monkeypatch.setattr(running, "MOST_CONNECTIONS", 20)
    with (
        served(guarded, origins=("https://tools.example.com",)) as base,
        httpx.Client(base_url=base, headers=BEARER) as kept,
        ExitStack() as stack,
    ):
        assert kept.get("/healthz").status_code == 200
        for _ in range(30):
            wire = stack.enter_context(connected(base))
            wire.sendall(said)
            assert not said or wire.recv(10).startswith(b"HTTP/1.1 ")

        # whoever showed a token before keeps the connection, and others with one come in
        assert kept.get("/healthz").status_code == 200
        assert httpx.get(f"{base}/healthz", headers=BEARER).status_code == 200


def test_idle_connections_of_one_token_make_room_for_others(
    guarded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "MOST_STRANGERS", 5)
    monkeypatch.setattr(patience, "MOST_IDLE", 10)
    monkeypatch.setattr(running, "MOST_CONNECTIONS", 20)
    with served(guarded) as base, ExitStack() as stack:
        stream = stack.enter_context(connected(base))
        stream.sendall(head("GET", "/sse"))
        place = sse_place(stream)
        for _ in range(30):
            wire = stack.enter_context(connected(base))
            wire.sendall(head("GET", "/healthz"))
            assert wire.recv(10).startswith(b"HTTP/1.1 2")

        assert httpx.get(f"{base}/healthz", headers=BEARER).status_code == 200
        # what is in use is not idle
        answer = httpx.post(f"{base}{place}", headers=BEARER, json=initialize())
        assert answer.status_code == 202


def test_peers_without_a_token_write_nothing_into_the_log(
    guarded: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade = (
        b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with served(guarded) as base:
        for said in (upgrade, b"\x16\x03\x01 no http at all\r\n\r\n"):
            with connected(base) as wire:
                wire.sendall(said)
                while wire.recv(4096):
                    pass

    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
