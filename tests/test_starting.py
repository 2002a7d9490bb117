"""What a server says when it cannot start, and that it leaves nothing behind when it stops."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from civit_mcp.config import Settings
from civit_mcp.errors import NotConfigured
from civit_mcp.web import Access
from tests.http_kit import OTHER, TOKEN, initialize, start_process


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
