"""What the README says is compared with the code, and its commands are run."""

import inspect
import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr

from civit_mcp.civitai import CivitaiClient
from civit_mcp.cli.options import COMMANDS, SWITCH_FLAGS, VALUE_FLAGS
from civit_mcp.config import Settings
from civit_mcp.server import create_server
from civit_mcp.tools import all_tools
from tests.http_kit import served

ALL_TOOLS = all_tools()

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def table(name: str) -> list[list[str]]:
    """Rows of the table after `<!-- table: NAME -->`, without its head."""
    found = re.search(rf"<!-- table: {name} -->\n((?:\|.*\n)+)", README)
    assert found, name
    rows = [line.strip("|\n").split("|") for line in found.group(1).splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows]


def ticked(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def command(name: str) -> str:
    found = re.search(rf"<!-- command: {name} -->\n```sh\n(.*?)\n```", README, re.DOTALL)
    assert found, name
    return found.group(1)


def snippet(name: str) -> str:
    found = re.search(rf"<!-- snippet: {name} -->\n```\w+\n(.*?)\n```", README, re.DOTALL)
    assert found, name
    return found.group(1)


async def test_the_tool_table_is_the_tool_list(settings: Settings) -> None:
    every = settings.model_copy(update={"toolsets": ("all",)})
    async with Client(create_server(every)) as client:
        listed = (await client.list_tools()).tools
    arguments = {tool.name: set(tool.input_schema.get("properties", {})) for tool in listed}

    rows = {ticked(row[0])[0]: row for row in table("tools")}
    assert list(rows) == [tool.name for tool in ALL_TOOLS]
    for tool in ALL_TOOLS:
        row = rows[tool.name]
        assert row[1] == tool.toolset
        assert set(ticked(row[2])) == arguments[tool.name]
        assert row[4] == ("yes" if tool.writes else "no")


async def test_the_endpoint_table_is_the_client_and_each_row_is_proved(
    settings: Settings,
) -> None:
    async with Client(create_server(settings)) as client:
        resources = {str(r.uri) for r in (await client.list_resources()).resources}
        templates = (await client.list_resource_templates()).resource_templates
    offered = {tool.name for tool in ALL_TOOLS} | resources | {t.uri_template for t in templates}
    methods = {
        name
        for name, member in inspect.getmembers(CivitaiClient, inspect.iscoroutinefunction)
        if not name.startswith("_") and name not in ("aclose", "prepare")
    }
    proofs = {
        found
        for path in (ROOT / "tests").rglob("test_*.py")
        for found in re.findall(
            r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE
        )
    }

    rows = table("endpoints")
    assert sorted(ticked(row[1])[0] for row in rows) == sorted(methods)
    assert {ticked(row[2])[0] for row in rows} <= offered
    assert {ticked(row[3])[0] for row in rows} <= proofs
    assert len({row[0] for row in rows}) == len(rows)


def test_the_settings_table_is_the_settings() -> None:
    rows = {name: row for row in table("settings") for name in ticked(row[0])}
    flags = {field: flag for flag, field in {**VALUE_FLAGS, **SWITCH_FLAGS}.items()}
    for field, info in Settings.model_fields.items():
        alias: Any = info.validation_alias
        names = alias.choices if hasattr(alias, "choices") else [alias]
        row = rows[names[0]]
        assert set(names) <= set(ticked(row[0]))
        assert ticked(row[1]) == ([flags[field]] if field in flags else [])
        described = (info.description or "").split(";")[0]
        assert described.split(";")[0] in row[3], field


def test_the_command_table_is_the_commands() -> None:
    assert [ticked(row[0])[0].split()[1] for row in table("commands")] == list(COMMANDS)


async def test_the_resource_and_prompt_tables_are_what_is_served(settings: Settings) -> None:
    async with Client(create_server(settings)) as client:
        resources = [str(r.uri) for r in (await client.list_resources()).resources]
        templates = (await client.list_resource_templates()).resource_templates
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]

    served = resources + [template.uri_template for template in templates]
    assert sorted(ticked(row[0])[0] for row in table("resources")) == sorted(served)
    assert sorted(ticked(row[0])[0] for row in table("prompts")) == sorted(prompts)


def test_every_dependency_has_its_reason() -> None:
    required = {re.split(r"[<>=; ]", text)[0] for text in PYPROJECT["project"]["dependencies"]}

    assert {ticked(row[0])[0] for row in table("dependencies")} == required
    assert all(len(row[1]) > 20 for row in table("dependencies"))


def test_every_dependency_is_used() -> None:
    names = {
        "beautifulsoup4": "bs4", "prometheus-client": "prometheus_client",
        "pydantic-settings": "pydantic_settings", "pyyaml": "yaml",
    }  # fmt: skip
    # Windows alone has no database of time zones; zoneinfo finds this one by itself
    unseen = {"tzdata"}
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    for row in table("dependencies"):
        package = ticked(row[0])[0]
        module = names.get(package, package)
        used = re.search(rf"^\s*(?:import|from) {module}\b", source, re.MULTILINE)
        assert used or package in unseen, package


def test_every_setting_is_read_somewhere() -> None:
    readers = [
        path.read_text("utf-8")
        for path in (ROOT / "src").rglob("*.py")
        if path.name != "config.py" and path.parent.name != "cli"
    ]
    for field in Settings.model_fields:
        assert any(re.search(rf"\.{field}\b", text) for text in readers), field


def test_the_layer_table_is_the_contract_that_ci_enforces() -> None:
    contract = PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    enforced = [set(re.split(r"\s*\|\s*", line)) for line in contract]
    printed = [set(ticked(row[1])) for row in table("layers")]

    # the table joins neighbours that do not import each other's kind
    assert set().union(*printed) == set().union(*enforced)
    order = {room: level for level, rooms in enumerate(enforced) for room in rooms}
    levels = [[order[room] for room in rooms] for rooms in printed]
    assert all(max(above) < min(below) for above, below in itertools.pairwise(levels))


@pytest.mark.parametrize("name", ["claude-desktop", "cursor", "vscode"])
def test_json_snippets_start_our_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.loads(snippet(name))
    server = (data.get("mcpServers") or data["servers"])["civit"]

    assert server["command"] == "civit-mcp"
    assert set(server["env"]) <= {name for row in table("settings") for name in ticked(row[0])}
    # pasted as it is, a snippet starts a server: what it stands in for is no mistake yet
    for setting, value in server["env"].items():
        monkeypatch.setenv(setting, value)
    assert Settings().civitai_api_key is not None


def test_the_other_snippets_start_our_command(monkeypatch: pytest.MonkeyPatch) -> None:
    codex = tomllib.loads(snippet("codex"))["mcp_servers"]["civit"]
    words = shlex.split(snippet("claude-code"))

    assert codex["command"] == "civit-mcp"
    for setting, value in codex["env"].items():
        monkeypatch.setenv(setting, value)
    assert Settings().civitai_api_key is not None
    assert words[:4] == ["claude", "mcp", "add", "civit"]
    assert words[-2:] == ["--", "civit-mcp"]


async def test_http_snippets_reach_a_server(settings: Settings) -> None:
    token = re.search(r"^(the-token-of-the-team)$", README, re.MULTILINE)
    assert token is not None
    editor = json.loads(snippet("vscode-http"))["servers"]["civit"]
    codex = tomllib.loads(snippet("codex-http"))["mcp_servers"]["civit"]
    words = shlex.split(snippet("claude-code-http"))
    spoken = [words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "--header"]

    assert words[:6] == ["claude", "mcp", "add", "--transport", "http", "civit"]
    assert codex["bearer_token_env_var"] == "CIVIT_MCP_TOKEN"
    guarded = settings.model_copy(update={"token": SecretStr(token[1])})
    with served(guarded) as base:
        for url, headers in (
            (editor["url"], editor["headers"]),
            (words[6], dict(spoken)),
            (codex["url"], {"Authorization": f"Bearer {token[1]}"}),
        ):
            assert url == "http://127.0.0.1:8765/mcp"
            here = url.replace("http://127.0.0.1:8765", base)
            async with (
                httpx2.AsyncClient(headers=headers) as http,
                Client(streamable_http_client(here, http_client=http)) as client,
            ):
                assert (await client.list_tools()).tools


def test_the_two_commands_need_nothing_but_python_pip_and_git() -> None:
    for name in ("demo", "tests", "install"):
        steps = [shlex.split(step)[0] for step in command(name).split("&&")]
        assert all(step == "python3" or step.startswith(".venv/bin/") for step in steps)
    assert ".venv/bin/civit-mcp demo" in command("demo")
    assert ".venv/bin/pytest -n auto " in command("tests")


def test_ci_runs_the_commands_as_they_are_printed() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "readme_command.py"), "tests"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.strip() == command("tests")
    for name in ("install", "demo", "tests"):
        assert f"readme {name}" in script
