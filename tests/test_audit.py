"""Whoever writes over HTTP leaves a line, whatever the log level hides."""

import httpx
import pytest

from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from tests.http_kit import BEARER, TOKEN, start_process

ADD = f"/api/admin/civitai/add/{world.DEMO_LORA_VERSION}"


@pytest.mark.parametrize("level", ["WARNING", "ERROR", "CRITICAL"])
def test_a_write_is_noted_at_every_log_level(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("CIVIT_MCP_TOKEN", TOKEN)
    with start_process(settings, "--log-level", level) as process:
        try:
            assert process.stderr is not None
            base = process.stderr.readline().split()[2].removesuffix("/mcp")
            first, again = (
                httpx.post(f"{base}{ADD}", headers=BEARER, timeout=30).json() for _ in range(2)
            )
        finally:
            process.terminate()
            _, log = process.communicate(timeout=10)

    assert (first["status"], again["status"]) == ("added", "already_exists")
    lines = [line for line in log.splitlines() if "civit_mcp.audit" in line]
    assert len(lines) == 1
    assert " WARNING civit_mcp.audit: add_to_catalog by token " in lines[0]
    assert TOKEN not in log
