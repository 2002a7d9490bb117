"""What a server says when it cannot start, and that it leaves nothing behind when it stops."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from civit_mcp.app import chosen_toolsets
from civit_mcp.cli import main
from civit_mcp.config import Settings
from civit_mcp.errors import NotConfigured
from civit_mcp.web import Access, Places
from civit_mcp.web.gate import origins_of
from tests.http_kit import BEARER, OTHER, TOKEN, initialize, served, start_process


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.skipif(sys.platform == "win32", reason="there a program is ended, not told to end")
def test_who_is_told_to_stop_leaves_no_folder_behind(tmp_path: Path, transport: str) -> None:
    command = [
        sys.executable, "-m", "civit_mcp", "serve", "--sandbox",
        "--transport", transport, "--port", "0",
    ]  # fmt: skip
    pipe, places = subprocess.PIPE, {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=places
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        if transport == "stdio":
            process.stdin.write(json.dumps(initialize()) + "\n")
            process.stdin.flush()
            assert "serverInfo" in process.stdout.readline()
        else:
            assert "serves http" in process.stderr.readline()
        made = [path.name for path in tmp_path.iterdir()]
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=5)
        noise = "Traceback" in process.stderr.read()

    assert len(made) == 1
    assert list(tmp_path.iterdir()) == []
    assert (code, noise) == (0, False)


def test_a_port_that_is_taken_is_told_like_any_other_setting(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start_process(settings, "--port", str(port))
        out, said = process.communicate(timeout=20)

    assert process.returncode == 2
    assert out == ""
    start = f"civit-mcp: [not_configured] port {port} of '127.0.0.1' cannot be listened on ("
    assert said.startswith(start)
    assert said.endswith("Next: choose another with --port or --host; --port 0 takes a free one.\n")
    assert said.count("\n") == 1


# the address


def first_word(settings: Settings, *flags: str) -> tuple[int | None, str]:
    """The first line of a start, and its code where it was no start at all."""
    with start_process(settings, *flags) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            return (None if " serves " in line else process.wait(timeout=20)), line
        finally:
            process.kill()


@pytest.mark.parametrize("host", ["0", "00.0.0.0", "0x0", "::0", "[::]", "::ffff:0.0.0.0"])
def test_every_address_is_served_under_names_alone_however_it_is_spelled(
    settings: Settings, host: str
) -> None:
    code, line = first_word(settings, "--host", host)

    assert code == 2
    assert f"'{host}' is every address of this machine" in line
    assert "Next: set CIVIT_MCP_ALLOWED_HOSTS" in line


@pytest.mark.parametrize("host", ["", " ", "a..b"])
def test_an_address_that_is_none_is_refused_with_names_too(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("CIVIT_MCP_ALLOWED_HOSTS", "mcp.example.com")
    code, line = first_word(settings, "--host", host)

    assert code == 2
    assert f"'{host}' is no address to listen on. Next: use --host with an address" in line


def test_every_address_may_be_served_under_names(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIT_MCP_ALLOWED_HOSTS", "mcp.example.com:443")
    code, line = first_word(settings, "--host", "0")

    assert code is None
    assert "serves http://mcp.example.com:" in line


@pytest.mark.parametrize("host", ["127.1", "[::1]", "0"])
def test_without_tokens_only_a_plain_loopback_address_is_served(
    settings: Settings, host: str
) -> None:
    code, line = first_word(settings, "--host", host, "--no-auth")

    assert code == 2
    assert f"--no-auth on '{host}' would let everyone in" in line


# names and pages


def refused_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> str:
    """The one line about a setting that is wrong."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as left:
        main(["call", "list_catalog"])
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"setting {name}: " in line
    return line


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        ("https://mcp.example.com", "write 'mcp.example.com'"),
        ("mcp.example.com,https://MCP.example.com:443/mcp", "write 'mcp.example.com'"),
        ("mcp.example.com/mcp", "write 'mcp.example.com'"),
        ("user:pass@mcp.example.com", "write 'mcp.example.com'"),
        ("https://[2001:db8::1]:443", "write '2001:db8::1'"),
        ("*", "such as 'mcp.example.com'"),
        ("*.example.com", "such as 'mcp.example.com'"),
        ("b\u00fccher.example", "such as 'mcp.example.com'"),
        ("[2001:db8::1", "such as 'mcp.example.com'"),
        ("[:::1]", "such as 'mcp.example.com'"),
        ("fe80::1%eth0", "such as 'mcp.example.com'"),
    ],
)
def test_a_name_that_no_request_could_ask_for_is_refused_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: str,
    instead: str,
) -> None:
    line = refused_setting(monkeypatch, capsys, "CIVIT_MCP_ALLOWED_HOSTS", value)

    assert instead in line
    assert "pass" not in line


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        ("studio.example.com", "write 'https://studio.example.com' or 'http://studio.example.com'"),
        ("localhost:5173", "or 'http://localhost:5173'"),
        ("https://studio.example.com/page", "write 'https://studio.example.com'"),
        ("https://user:pass@studio.example.com:8443/", "write 'https://studio.example.com:8443'"),
        ("*", "such as 'https://studio.example.com'"),
        ("https://*.example.com", "such as 'https://studio.example.com'"),
        ("null", "such as 'https://studio.example.com'"),
        ("file:///", "such as 'https://studio.example.com'"),
    ],
)
def test_a_page_that_no_browser_could_name_so_is_refused_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: str,
    instead: str,
) -> None:
    line = refused_setting(monkeypatch, capsys, "CIVIT_MCP_ALLOWED_ORIGINS", value)

    assert instead in line
    assert "pass" not in line


def test_names_are_known_with_and_without_port_and_brackets(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("mcp.example.com:443", "10.0.0.7", "2001:db8::1", "[2001:db8::2]", "[2001:db8::3]:80")
    monkeypatch.setenv("CIVIT_MCP_ALLOWED_HOSTS", ", ".join(names))
    places = Places(Settings().allowed_hosts, local=False)
    asked = (
        "mcp.example.com", "MCP.example.com:8443", "10.0.0.7:1", "[2001:db8::1]:9",
        "[2001:db8::2]", "[2001:db8::3]", "other.example.com", "[2001:db8::4]",
    )  # fmt: skip
    with served(settings.model_copy(update={"token": SecretStr(TOKEN)}), places=places) as base:
        answers = [
            httpx.get(f"{base}/healthz", headers={**BEARER, "Host": host}).status_code
            for host in asked
        ]

    assert answers == [200] * 6 + [421] * 2


def test_pages_are_known_as_browsers_name_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = (
        "https://Studio.example.com/", "https://a.example:443", "http://b.example:80",
        "http://localhost:5173", "http://[::1]:3000", "vscode-webview://an-id",
    )  # fmt: skip
    monkeypatch.setenv("CIVIT_MCP_ALLOWED_ORIGINS", ",".join(written))
    origins = origins_of(Settings().allowed_origins)
    asked = (
        "https://studio.example.com", "https://a.example", "http://b.example",
        "http://localhost:5173", "http://[::1]:3000", "vscode-webview://an-id",
        "https://b.example", "http://localhost:5174",
    )  # fmt: skip
    with served(settings.model_copy(update={"token": SecretStr(TOKEN)}), origins=origins) as base:
        answers = [
            httpx.get(f"{base}/healthz", headers={**BEARER, "Origin": page}).status_code
            for page in asked
        ]

    assert answers == [200] * 6 + [403] * 2


# tokens


def with_file(settings: Settings, folder: Path, *lines: str, token: str | None = None) -> Settings:
    path = folder / "tokens"
    path.write_text("\n".join(lines), "utf-8")
    path.chmod(0o600)
    secret = SecretStr(token) if token else None
    return settings.model_copy(update={"token": secret, "token_file": path})


@pytest.mark.parametrize(
    ("lines", "token", "places"),
    [
        ((TOKEN, "# a note", f"{TOKEN} read-only"), None, ("line 1 of '", "line 3 of '")),
        ((OTHER, f"{TOKEN} read-only"), TOKEN, ("CIVIT_MCP_TOKEN and", "line 2 of '")),
        (
            (OTHER,),
            f"{TOKEN},{TOKEN}",
            ("token 1 of CIVIT_MCP_TOKEN", "token 2 of CIVIT_MCP_TOKEN"),
        ),
    ],
)
def test_a_token_that_stands_twice_is_refused_with_both_places(
    settings: Settings,
    tmp_path: Path,
    lines: tuple[str, ...],
    token: str | None,
    places: tuple[str, str],
) -> None:
    with pytest.raises(NotConfigured) as caught:
        Access.from_settings(with_file(settings, tmp_path, *lines, token=token))

    assert all(place in str(caught.value) for place in places)
    assert "are the same token" in caught.value.what
    assert TOKEN not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="its files have no such modes")
@pytest.mark.parametrize(
    ("mode", "may"), [(0o600, None), (0o640, None), (0o644, "read"), (0o646, "change")]
)
def test_a_token_file_that_is_open_to_everyone_is_told(
    settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    mode: int,
    may: str | None,
) -> None:
    chosen = with_file(settings, tmp_path, TOKEN)
    assert chosen.token_file is not None
    chosen.token_file.chmod(mode)

    with caplog.at_level(logging.WARNING):
        Access.from_settings(chosen)

    said = [f"every user of this machine may {may} the token file '{chosen.token_file}'"]
    assert caplog.messages == (said if may else [])


def refusal(settings: Settings, folder: Path, *lines: str) -> str:
    with pytest.raises(NotConfigured) as caught:
        Access.from_settings(with_file(settings, folder, *lines))
    return str(caught.value)


#: of those that look most like a limit
ANOTHER = ("cccccccccccccccccccccc", "name-of-a-secret-token", "toolAAAAAAAAAAAAA==", "read-1234")


@pytest.mark.parametrize("another", ANOTHER)
def test_a_second_token_on_a_line_is_never_shown(
    settings: Settings, tmp_path: Path, another: str
) -> None:
    said = refusal(settings, tmp_path, OTHER, f"{TOKEN} read-only {another}")

    assert "word 3 of line 2 of '" in said
    assert "Next: give each token a line of its own" in said
    shown = [said[at : at + 6] for at in range(len(said))]
    assert not [piece for piece in shown if piece in another and piece not in "tokens"]


@pytest.mark.parametrize(
    ("slip", "shown"),
    [
        ("readonly", "'readonly'"),
        ("read-only=yes", "'read-only='"),
        ("Name=bob", "'Name='"),
        ("name=", "'name='"),
        ("toolset=core", "'toolset='"),
        ("toolsets", "'toolsets'"),
    ],
)
def test_a_limit_with_a_slip_in_it_is_shown(
    settings: Settings, tmp_path: Path, slip: str, shown: str
) -> None:
    said = refusal(settings, tmp_path, f"{TOKEN} {slip}")

    assert f"line 1 of '{tmp_path / 'tokens'}' has {shown}, which limits nothing" in said
    assert "Next: after the token use name=" in said


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("toolsets=everything", "has 'everything' in 'toolsets=' that is no tool set"),
        ("toolsets=core,cccccccccccccccccccccc", "has a word in 'toolsets=' that is no tool set"),
        ("toolsets=core, browse", "has a comma in 'toolsets=' that no set stands beside"),
    ],
)
def test_a_wrong_tool_set_of_a_token_is_told_with_its_file_and_line(
    settings: Settings, tmp_path: Path, limit: str, told: str
) -> None:
    said = refusal(settings, tmp_path, OTHER, f"{TOKEN} {limit}")

    assert f"line 2 of '{tmp_path / 'tokens'}' {told}" in said
    assert "CIVIT_MCP_TOOLSETS" not in said
    assert "cccc" not in said


def test_a_token_may_name_its_tool_sets_in_any_case(settings: Settings, tmp_path: Path) -> None:
    access = Access.from_settings(with_file(settings, tmp_path, f"{TOKEN} toolsets=Core,BROWSE"))

    caller = access.caller(TOKEN)
    assert caller is not None
    assert caller.toolsets == chosen_toolsets(["core", "browse"])
