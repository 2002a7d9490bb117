"""The server through a client in another language: the MCP Inspector's command line.

CI installs the Inspector and names it in CIVIT_MCP_INSPECTOR; where Node is not installed these
tests say so.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from tests.conformance.targets import running

INSPECTOR = os.environ.get("CIVIT_MCP_INSPECTOR", "")
pytestmark = pytest.mark.skipif(
    not INSPECTOR, reason="no MCP Inspector: set CIVIT_MCP_INSPECTOR to its executable"
)
TOKEN = "a-token-of-the-inspector"
#: how the Inspector ends when it is not let in
REFUSED = 3
Inspect = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The server over HTTP with a token, as a user starts it; its base address."""
    command = ("-m", "civit_mcp", "serve", "--transport", "http", "--port", "0", "--sandbox")
    with running(command, settings={"CIVIT_MCP_TOKEN": TOKEN}) as server:
        yield server.address.removesuffix("/mcp")


def over_http(kind: str, address: str, token: str) -> dict[str, Any]:
    """How a client's configuration names the server."""
    headers = {"Authorization": f"Bearer {token}"}
    path = "/sse" if kind == "sse" else "/mcp"
    return {"type": kind, "url": address + path, "headers": headers}


def over_stdio(settings: Settings) -> dict[str, Any]:
    """How a client's configuration starts the server."""
    return {
        "command": sys.executable,
        "args": ["-m", "civit_mcp"],
        "env": {
            "CIVITAI_API_URL": settings.civitai_url,
            "CIVIT_MCP_CATALOG_DIR": str(settings.catalog_dir),
            "CIVIT_MCP_CACHE_DIR": str(settings.cache_dir),
        },
    }


def inspector(server: dict[str, Any], era: str, home: Path) -> Inspect:
    """The Inspector in front of a server, with a home of its own."""
    config = home / "inspector.json"
    config.write_text(json.dumps({"mcpServers": {"civit": server}}), "utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [INSPECTOR, "--cli", "--config", str(config), "--server", "civit",
             "--protocol-era", era, *arguments],
            env={**os.environ, "HOME": str(home)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


@pytest.fixture(params=["legacy", "modern"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["stdio", "streamable-http", "sse"])
def inspect(
    request: pytest.FixtureRequest, era: str, settings: Settings, tmp_path: Path
) -> Callable[..., Any]:
    """Run the Inspector against the server over one transport, in one era."""
    server = (
        over_stdio(settings)
        if request.param == "stdio"
        else over_http(request.param, request.getfixturevalue("address"), TOKEN)
    )
    run = inspector(server, era, tmp_path)

    def answered(*arguments: str) -> Any:
        done = run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return answered


def test_the_inspector_lists_tools_that_pass_its_lint(inspect: Callable[..., Any]) -> None:
    listed = inspect("--method", "tools/list", "--strict")

    assert "get_generation_data" in json.dumps(listed)


def test_the_inspector_calls_reads_and_prompts(inspect: Callable[..., Any]) -> None:
    called = inspect(
        "--method", "tools/call", "--tool-name", "get_generation_data",
        "--tool-args-json", json.dumps({"image_id": world.DEMO_IMAGE}),
    )  # fmt: skip
    read = inspect("--method", "resources/read", "--uri", "catalog://summary")
    prompt = inspect(
        "--method", "prompts/get", "--prompt-name", "recreate-image",
        "--prompt-args", f"image={world.DEMO_IMAGE}",
    )  # fmt: skip

    assert str(world.DEMO_IMAGE) in json.dumps(called)
    assert "by_status" in json.dumps(read)
    assert str(world.DEMO_IMAGE) in json.dumps(prompt)


@pytest.mark.parametrize("kind", ["streamable-http", "sse"])
def test_the_inspector_is_turned_away_with_a_wrong_token(
    kind: str, era: str, address: str, tmp_path: Path
) -> None:
    run = inspector(over_http(kind, address, TOKEN[::-1]), era, tmp_path)

    done = run("--method", "tools/list")

    assert done.returncode == REFUSED
    assert "get_generation_data" not in done.stdout
