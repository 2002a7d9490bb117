"""Whoever writes over HTTP leaves a line, whatever the log level hides."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from civit_mcp.config import Settings
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from tests.http_kit import BEARER, TOKEN, served, start_process, visitor

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


async def test_what_is_written_elsewhere_than_in_the_catalog_is_noted_once_and_nothing_else(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    key = SecretStr(SANDBOX_KEY)
    on = {"toolsets": ("all",), "token": SecretStr(TOKEN), "civitai_api_key": key}
    vault = {"version_id": world.DEMO_LORA_VERSION}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("exchange_catalog", {"action": "export", "dry_run": True}),
        ("exchange_catalog", {"action": "export"}),
        ("toggle_vault", {**vault, "want": "out"}),
        ("toggle_vault", {**vault, "want": "in"}),
        ("toggle_vault", {**vault, "want": "in"}),
        ("toggle_vault", {**vault, "want": "out"}),
    ]
    with served(settings.model_copy(update=on)) as base:
        async with visitor(base) as client:
            for tool, arguments in calls:
                assert not (await client.call_tool(tool, arguments)).is_error

    lines = [record.getMessage() for record in caplog.records if record.name.endswith("audit")]
    (exported, put, taken) = lines
    (written,) = (settings.catalog_dir / "exports").iterdir()
    assert exported.startswith("exchange_catalog by token ")
    assert exported.endswith(f": exported {str(written)!r}")
    assert put.endswith(f": asked for version {world.DEMO_LORA_VERSION} to go into the vault")
    assert taken.endswith(f": asked for version {world.DEMO_LORA_VERSION} to go out of the vault")


@pytest.mark.parametrize("scenario", ["error-500", "drop", "not-json"])
async def test_a_write_whose_end_is_open_is_noted_too(
    settings: Settings, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, scenario: str
) -> None:
    key = SecretStr(SANDBOX_KEY)
    on = {"toolsets": ("all",), "token": SecretStr(TOKEN), "civitai_api_key": key}
    sandbox.use(f"{scenario}:toggle-version")
    with served(settings.model_copy(update=on)) as base:
        async with visitor(base) as client:
            vault = {"version_id": world.DEMO_LORA_VERSION}
            refused = await client.call_tool("toggle_vault", vault)

    assert "is open" in str(refused.content)
    (line,) = [record.getMessage() for record in caplog.records if record.name.endswith("audit")]
    assert line.endswith(f": asked for version {world.DEMO_LORA_VERSION} to go into the vault")
