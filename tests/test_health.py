"""`civit-mcp health`: one line about a server over HTTP, and an exit code for supervisors."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from civit_mcp import __version__
from civit_mcp.cli import main
from civit_mcp.config import Settings
from tests.http_kit import TOKEN, served

Health = Callable[..., tuple[int, str]]
#: status, headers, body
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def base(settings: Settings) -> Iterator[str]:
    with served(settings.model_copy(update={"token": SecretStr(TOKEN)})) as address:
        yield address


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Health:
    """Run the command; its exit code and its line, which never holds a token."""

    def run(url: str, *flags: str, **env: str) -> tuple[int, str]:
        for name, value in {"CIVIT_MCP_TOKEN": TOKEN, **env}.items():
            monkeypatch.setenv(name, value)
        code = main(["health", "--url", url, *flags])
        output, errors = capsys.readouterr()
        assert (output == "") == (code != 0)
        assert TOKEN not in output + errors
        (line,) = (output + errors).splitlines()
        return code, line

    return run


def test_a_server_that_answers_is_well(base: str, health: Health) -> None:
    assert health(base) == (0, f"ok: civit-mcp {__version__} answers at {base}")
    assert health(f"{base}/")[0] == 0


def test_a_server_that_cannot_read_its_catalog_is_well_but_not_ready(
    base: str, health: Health, settings: Settings
) -> None:
    assert health(base, "--ready")[1].startswith("ready: ")

    settings.catalog_dir.mkdir(exist_ok=True)
    (settings.catalog_dir / "models.json").write_text("{", "utf-8")

    assert health(base)[0] == 0
    code, line = health(base, "--ready")
    assert code == 1
    assert "models.json" in line


def test_the_token_is_found_where_the_server_finds_it(
    base: str, health: Health, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"\ufeff# ours\n\n  {TOKEN}  name=health read-only\nanother\n", "utf-8")

    assert health(base, CIVIT_MCP_TOKEN=f" {TOKEN}, another-token-of-ours")[0] == 0
    assert health(base, CIVIT_MCP_TOKEN="", CIVIT_MCP_TOKEN_FILE=str(tokens))[0] == 0
    assert health(base, "--token-file", str(tokens), CIVIT_MCP_TOKEN="")[0] == 0


@pytest.mark.parametrize(
    ("env", "next_step"),
    [
        ({"CIVIT_MCP_TOKEN": ""}, "set CIVIT_MCP_TOKEN or CIVIT_MCP_TOKEN_FILE for both"),
        ({"CIVIT_MCP_TOKEN": "a-token-of-yesterday"}, "restart it"),
        ({"CIVIT_MCP_TOKEN": "schl\u00fcssel-\u2713"}, "correct CIVIT_MCP_TOKEN"),
        (
            {"CIVIT_MCP_TOKEN": "", "CIVIT_MCP_TOKEN_FILE": "/nowhere"},
            "correct CIVIT_MCP_TOKEN_FILE",
        ),
    ],
)
def test_a_token_that_does_not_fit_is_told_with_what_to_do(
    base: str, health: Health, env: dict[str, str], next_step: str
) -> None:
    code, line = health(base, **env)

    assert code == 1
    assert f"Next: {next_step}" in line


@pytest.mark.parametrize(
    "url",
    [
        "http://mcp.example.com", "http://10.0.0.1:8765", "ftp://127.0.0.1", "127.0.0.1:8765",
        "http://127.0.0.1:99999", "http://127.0.0.1:8765/healthz", "http://[::1", "",
    ],
)  # fmt: skip
def test_a_token_is_sent_to_no_address_that_could_leak_it(health: Health, url: str) -> None:
    code, line = health(url)

    assert code == 1
    assert "Next: use " in line


@pytest.mark.parametrize(
    "url", ["https://a..b", f"https://{'x' * 70}.example.com", "https://mcp example.com"]
)
def test_a_name_that_nobody_can_have_is_told_as_such(health: Health, url: str) -> None:
    code, line = health(url)

    assert code == 1
    assert f"'{url}' is no address of a server. Next: use one like" in line


def test_a_token_file_is_not_needed_where_a_token_is_set(base: str, health: Health) -> None:
    assert health(base, CIVIT_MCP_TOKEN_FILE="/nowhere")[0] == 0


def test_a_token_file_without_a_token_is_told(base: str, health: Health, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("# ours\n\n  # theirs\n", "utf-8")

    code, line = health(base, CIVIT_MCP_TOKEN="", CIVIT_MCP_TOKEN_FILE=str(tokens))

    assert code == 1
    assert f"the token file '{tokens}' holds no token" in line


@contextmanager
def strange(*answers: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server that is not ours: its address and the paths asked for; the last answer repeats."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Keep the tests' output clean."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_nobody_there_is_told(health: Health) -> None:
    with strange((200, {}, b"")) as (address, _):
        pass

    code, line = health(address)

    assert code == 1
    assert "nobody answers" in line


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"It works!"),
        (200, {}, b'["ok"]'),
        (200, {}, b"{}"),
        (404, {}, b""),
        (418, {}, b""),
    ],
)
def test_something_else_on_the_port_is_not_taken_for_the_server(
    health: Health, answer: Answer
) -> None:
    with strange(answer) as (address, _):
        code, line = health(address)

    assert code == 1
    assert "something else answers" in line


def test_the_token_follows_no_redirect(health: Health) -> None:
    with (
        strange((200, {}, b'{"status": "ok"}')) as (elsewhere, asked),
        strange((307, {"Location": f"{elsewhere}/healthz"}, b"")) as (address, _),
    ):
        code, _ = health(address)

    assert code == 1
    assert asked == []


def test_a_server_that_comes_up_is_waited_for(health: Health) -> None:
    busy: Answer = (503, {}, b"Service Unavailable")
    well: Answer = (200, {}, b'{"status": "ok", "version": "9"}')
    with strange(busy, busy, well) as (address, asked):
        assert health(address)[0] == 1
        assert health(address, "--wait", "20") == (0, f"ok: civit-mcp 9 answers at {address}")

    assert asked == ["/healthz"] * 3


def test_what_waiting_cannot_mend_is_told_at_once(health: Health) -> None:
    with strange((401, {}, b""), (200, {}, b'{"status": "ok"}')) as (address, asked):
        assert health(address, "--wait", "1000")[0] == 1

    assert asked == ["/healthz"]
