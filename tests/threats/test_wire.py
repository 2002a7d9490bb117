"""What a peer may send: bytes that are too many, too slow, too deep, or not what they say."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator

import httpx
import pytest

from civit_mcp.config import Settings
from civit_mcp.web import gate, patience
from civit_mcp.web.gate import LARGEST_BODY
from tests.http_kit import (
    BEARER,
    JSON,
    TOKEN,
    connected,
    every_route,
    everything,
    handshake,
    head,
    heard,
    initialize,
    modern,
    served,
    without_civitai,
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return without_civitai(tmp_path_factory.mktemp("wire"))


@pytest.fixture(scope="module")
def base(guarded: Settings) -> Iterator[str]:
    """One server for all of it: whatever one test sends, the next still finds it well."""
    with served(guarded) as address:
        yield address


def alive(base: str) -> bool:
    return httpx.get(f"{base}/healthz", headers=BEARER).status_code == 200


def doors(guarded: Settings) -> list[tuple[str, str]]:
    """Every route that a body can be sent to; streams answer and stay open."""
    return [(m, path) for m, path in every_route(guarded) if (m, path) != ("GET", "/sse")]


@pytest.fixture(params=["/mcp", "/mcp in a session", "/mcp modern", "/messages/"])
def door(request: pytest.FixtureRequest, base: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Where messages go, and the headers that get them as far as their body."""
    headers = {**BEARER, **JSON}
    match request.param:
        case "/mcp":
            yield f"{base}/mcp", headers
        case "/mcp in a session":
            session = handshake(base, TOKEN).headers["mcp-session-id"]
            yield f"{base}/mcp", {**headers, "Mcp-Session-Id": session}
        case "/mcp modern":
            yield f"{base}/mcp", {**BEARER, **modern("tools/call", name="get_model")[0]}
        case _:
            with connected(base) as wire:
                wire.sendall(head("GET", "/sse"))
                heard = b""
                while b"session_id=" not in heard or not heard.endswith(b"\r\n"):
                    heard += wire.recv(1000)
                place = heard.split(b"data: ")[1].split()[0].decode()
                yield f"{base}{place}", headers


# too slow


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
    door: tuple[str, dict[str, str]],
    base: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(gate, "BODY_TIMEOUT", 0.2)
    address, headers = door
    lines = [f"{k}: {v}" for k, v in headers.items() if k != "Authorization"]
    with connected(base) as wire:
        wire.sendall(head("POST", address.removeprefix(base), *lines, "Content-Length: 1000"))
        wire.settimeout(0.05)
        answer, closed = b"", False
        for _ in range(100):
            try:
                wire.sendall(b" ")
                piece = wire.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                piece = b""
            answer += piece
            if not piece:
                closed = True
                break

    assert closed
    assert not answer or answer.startswith(b"HTTP/1.1 408")
    assert not [record for record in caplog.records if record.exc_info]


def test_two_host_headers_are_refused(base: str) -> None:
    with connected(base) as wire:
        head = f"GET /healthz HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        wire.sendall(head.encode() + b"Host: localhost\r\nHost: evil.example\r\n\r\n")
        answer = wire.recv(4096)

    assert b" 200 " not in answer.split(b"\r\n")[0]


# too much


def test_a_body_that_says_it_is_too_large_is_refused_on_every_route_before_it_is_read(
    base: str, guarded: Settings
) -> None:
    for method, path in every_route(guarded):
        with connected(base) as wire:
            wire.sendall(head(method, path, f"Content-Length: {LARGEST_BODY + 1}"))
            assert wire.recv(4096).split()[1] == b"413", (method, path)


def test_a_body_that_does_not_say_how_large_it_is_is_cut_off_on_every_route(
    base: str, guarded: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    for method, path in doors(guarded):
        with connected(base) as wire:
            wire.sendall(head(method, path, "Transfer-Encoding: chunked", "Accept: */*"))
            sent = 0
            try:
                # who reads no body does not take it either: the connection ends, or fills up
                wire.settimeout(0.5)
                for _ in range(4 * LARGEST_BODY // 65536):
                    wire.sendall(piece)
                    sent += 1
            except OSError:
                pass
            answer = everything(wire)
        # some do not answer before the end of a body; that they take no more of it is above
        assert sent * 65536 < 3 * LARGEST_BODY, (method, path)
        assert not answer or answer.split()[1] < b"500", (method, path)
    assert alive(base)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("make", ["gzip", "deflate", "br"])
def test_a_body_that_is_packed_is_not_unpacked(
    door: tuple[str, dict[str, str]], base: str, make: str
) -> None:
    address, headers = door
    bomb = json.dumps({**initialize(), "padding": "0" * (LARGEST_BODY * 4)}).encode()
    packed = zlib.compress(bomb) if make == "deflate" else gzip.compress(bomb)
    assert len(packed) < LARGEST_BODY // 100
    answer = httpx.post(address, headers={**headers, "Content-Encoding": make}, content=packed)

    # as it stands it is no JSON
    assert answer.status_code == 400
    assert "padding" not in answer.text
    assert alive(base)


def test_a_head_that_is_too_large_is_refused(base: str) -> None:
    large = f"X-Large: {'x' * 1_000_000}"
    many = [f"X-Header-{number}: {'y' * 50}" for number in range(15_000)]
    for lines in ([large], many):
        with connected(base) as wire:
            try:
                wire.sendall(head("GET", "/healthz", *lines))
                answer, ended = heard(wire)
            except ConnectionError:
                answer, ended = b"", True
        assert answer.split()[1] in (b"400", b"431") if answer else ended
    assert alive(base)


def test_many_headers_that_fit_are_no_trouble(base: str) -> None:
    many = {f"X-Header-{number}": "y" for number in range(1_000)}

    assert httpx.get(f"{base}/healthz", headers={**BEARER, **many}).status_code == 200


@pytest.mark.parametrize("length", ["-1", "1e9", "0x10", "١٢", "99999999999999999999", "1, 2"])
def test_a_length_that_is_no_length_is_refused(base: str, length: str) -> None:
    with connected(base) as wire:
        request = head("POST", "/mcp", "Connection: close")[:-2]
        wire.sendall(request + f"Content-Length: {length}\r\n\r\n".encode())
        answer = everything(wire)

    assert answer.split()[1] in (b"400", b"413")


# not what it says


BROKEN = {
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep and whole": b"[" * 50_000 + b"]" * 50_000,
    "deep params": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":'
    + b'{"a":' * 20_000 + b"1" + b"}" * 20_001,
    "half": b"{",
    "no text": b"\xff\xfe",
    "null": b"null",
    "empty list": b"[]",
    "nothing": b"",
    "wrong version": b'{"jsonrpc": 5}',
    "no method": b'{"jsonrpc":"2.0","id":1}',
    "a number with a million digits": b'{"jsonrpc":"2.0","method":"ping","id":'
    + b"9" * 1_000_000 + b"}",
    "half a character": b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}',
    "an id that is no id": b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}',
    "the same key twice": b'{"jsonrpc":"2.0","id":1,"method":"x","method":"ping","jsonrpc":"1"}',
    "infinity": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":Infinity}}',
    "a batch of a thousand": b"["
    + b",".join([b'{"jsonrpc":"2.0","id":1,"method":"ping"}'] * 1000) + b"]",
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_deep_and_broken_bodies_are_client_errors_on_every_transport(
    door: tuple[str, dict[str, str]], base: str, name: str
) -> None:
    address, headers = door
    answer = httpx.post(address, headers=headers, content=BROKEN[name], timeout=20)

    assert answer.status_code < 500
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    assert alive(base)


def test_a_body_on_the_admin_routes_is_not_even_looked_at(base: str) -> None:
    for body in BROKEN.values():
        answer = httpx.post(f"{base}/api/admin/civitai/add/0", headers=BEARER, content=body)
        assert 400 <= answer.status_code < 500
        assert answer.json()["detail"]


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/jsonp", "text/html", "application/json; charset=utf-7"],
)  # fmt: skip
def test_a_form_of_a_page_opens_no_session(base: str, kind: str) -> None:
    # what a page can send without a preflight is one of the first three
    headers = {**BEARER, **JSON, "Content-Type": kind}
    answer = httpx.post(f"{base}/mcp", headers=headers, json=initialize())

    expected = {200} if kind.startswith("application/json;") else {400, 415}
    assert answer.status_code in expected
    session = {"Mcp-Session-Id": answer.headers.get("mcp-session-id", "none")}
    known = httpx.post(f"{base}/mcp", headers={**BEARER, **JSON, **session}, json={})
    assert (known.status_code == 404) == (not answer.is_success)


# two requests in one


def test_two_ways_to_say_where_a_body_ends_do_not_smuggle_a_request(base: str) -> None:
    # whoever takes it for a request of its own answers 401
    inner = head("GET", "/readyz", token="none-of-the-tokens")
    body = b"0\r\n\r\n" + inner
    length = f"Content-Length: {len(body)}"
    for lines, status in (
        # what follows the chunks is dropped with the connection
        ([length, "Transfer-Encoding: chunked"], b"200"),
        (["Transfer-Encoding: chunked", length], b"200"),
        (["Content-Length: 5", length], b"400"),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], b"400"),
        (["Transfer-Encoding: xchunked", length], b"400"),
        (["Transfer-Encoding : chunked", length], b"400"),
    ):
        with connected(base) as wire:
            wire.sendall(head("GET", "/healthz", *lines) + body)
            answer, ended = heard(wire)
        assert re.findall(rb"HTTP/1.1 (\d+) ", answer) == [status], lines
        assert ended, lines
    assert alive(base)


def test_requests_in_a_row_each_need_their_own_token(base: str) -> None:
    first = head("GET", "/healthz")
    second = head("GET", "/readyz", "Connection: close", token="none-of-the-tokens")
    with connected(base) as wire:
        wire.sendall(first + second)
        answer = everything(wire)

    assert re.findall(rb"HTTP/1.1 (\d+) ", answer) == [b"200", b"401"]


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /healthz HTTP/0.9", "GET /healthz HTTP/2.0", "GET  /healthz HTTP/1.1",
        "G\x00T /healthz HTTP/1.1", "GET http://evil.example/healthz HTTP/1.1",
        "CONNECT evil.example:443 HTTP/1.1", "GET /healthz\x0b HTTP/1.1", "",
        "GET /%00 HTTP/1.1", "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", "PRI * HTTP/2.0",
        "TRACE /healthz HTTP/1.1", "OPTIONS * HTTP/1.1",
    ],
)  # fmt: skip
def test_odd_request_lines_are_answered_or_hung_up_on(base: str, request_line: str) -> None:
    rest = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    with connected(base) as wire:
        wire.sendall(f"{request_line}\r\n{rest}".encode("latin-1"))
        answer, ended = heard(wire)

    assert answer.split()[1] < b"500" if answer else ended
    assert TOKEN.encode() not in answer
    assert alive(base)


def test_a_header_cannot_be_written_through_an_argument(base: str) -> None:
    """What a caller writes comes back in bodies alone."""
    odd = "x%0d%0aSet-Cookie:%20a=b"
    with connected(base) as wire:
        wire.sendall(head("GET", f"/api/admin/civitai/image/{odd}", "Connection: close"))
        first = everything(wire)
    with connected(base) as wire:
        wire.sendall(
            head("GET", "/healthz", "Mcp-Session-Id: a\r\n Set-Cookie: b", "Connection: close")
        )
        second = everything(wire)

    for answer in (first, second):
        assert b"\r\nset-cookie" not in answer.lower()


def test_a_websocket_is_not_spoken(base: str) -> None:
    lines = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
    with connected(base) as wire:
        wire.sendall(head("GET", "/mcp", *lines))
        answer = wire.recv(100)

    assert b" 101 " not in answer
