"""The server through a client in another language: the MCP Inspector's command line.

CI installs the Inspector and names it in CIVIT_MCP_INSPECTOR; where Node is not installed these
tests say so.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from civit_mcp.config import Settings
from civit_mcp.sandbox import world

INSPECTOR = os.environ.get("CIVIT_MCP_INSPECTOR", "")
pytestmark = pytest.mark.skipif(
    not INSPECTOR, reason="no MCP Inspector: set CIVIT_MCP_INSPECTOR to its executable"
)
Inspect = Callable[..., Any]


@pytest.fixture(params=["legacy", "modern"])
def inspect(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Inspect:
    """Run the Inspector against the server over stdio, in one era."""
    server = {
        "command": sys.executable,
        "args": ["-m", "civit_mcp"],
        "env": {
            "CIVITAI_API_URL": settings.civitai_url,
            "CIVIT_MCP_CATALOG_DIR": str(settings.catalog_dir),
            "CIVIT_MCP_CACHE_DIR": str(settings.cache_dir),
        },
    }
    config = tmp_path / "inspector.json"
    config.write_text(json.dumps({"mcpServers": {"civit": server}}), "utf-8")

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [INSPECTOR, "--cli", "--config", str(config), "--server", "civit",
             "--protocol-era", request.param, *arguments],
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


def test_the_inspector_lists_tools_that_pass_its_lint(inspect: Inspect) -> None:
    listed = inspect("--method", "tools/list", "--strict")

    assert "get_generation_data" in json.dumps(listed)


def test_the_inspector_calls_reads_and_prompts(inspect: Inspect) -> None:
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
