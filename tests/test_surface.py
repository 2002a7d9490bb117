"""The surface an assistant sees, held by snapshots and bounds.

`CIVIT_MCP_ACCEPT_SURFACE=1 pytest tests/test_surface.py` accepts a change on purpose; the diff
of `tests/surface/` is then read as an API change.
"""

import inspect
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import fromstring

import pytest
from mcp import Client

from civit_mcp.app import TOOLSETS
from civit_mcp.config import Settings
from civit_mcp.server import create_server
from civit_mcp.tools import SET_OF, all_tools

ALL_TOOLS = all_tools()

SNAPSHOTS = Path(__file__).parent / "surface"
# read before the fixture that hides the developer's settings
ACCEPT = os.environ.get("CIVIT_MCP_ACCEPT_SURFACE") == "1"
WRITERS = {
    "add_to_catalog", "promote_to_lora",
    "remove_from_catalog", "edit_catalog_entry", "undo_catalog_change", "exchange_catalog",
    "toggle_vault",
}  # fmt: skip


async def listed(settings: Settings, *toolsets: str) -> list[dict[str, Any]]:
    """Tools as a client sees them; of every set unless some are named."""
    chosen = settings.model_copy(update={"toolsets": toolsets or ("all",)})
    async with Client(create_server(chosen)) as client:
        tools = (await client.list_tools()).tools
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


async def test_each_tool_is_as_it_was_accepted(settings: Settings) -> None:
    tools = {tool["name"]: tool for tool in await listed(settings)}
    if ACCEPT:
        SNAPSHOTS.mkdir(exist_ok=True)
        for name, tool in tools.items():
            text = json.dumps(tool, indent=2, ensure_ascii=False) + "\n"
            (SNAPSHOTS / f"{name}.json").write_text(text, "utf-8")

    accepted = {path.stem: json.loads(path.read_text("utf-8")) for path in SNAPSHOTS.glob("*.json")}
    assert tools == accepted


async def test_the_default_tools_cost_less_than_3000_tokens(settings: Settings) -> None:
    tools = await listed(settings, "default")

    assert tokens(tools) <= 3000
    assert len(json.dumps(tools, ensure_ascii=False).encode()) < 32 * 1024


async def test_all_tools_together_cost_less_than_7000_tokens(settings: Settings) -> None:
    tools = await listed(settings)

    assert {tool["name"] for tool in tools} == {tool.name for tool in ALL_TOOLS}
    assert tokens(tools) <= 7000


def tokens(tools: list[dict[str, Any]]) -> float:
    shown = [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in tools]
    return len(json.dumps(shown, ensure_ascii=False).encode()) / 4


@pytest.mark.parametrize("tool", ALL_TOOLS, ids=lambda tool: tool.name)
def test_every_tool_states_its_hints_and_what_it_does(tool: Any) -> None:
    hints = tool.annotations()

    assert None not in (
        hints.title, hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint,
        hints.open_world_hint,
    )  # fmt: skip
    assert hints.read_only_hint is (tool.name not in WRITERS)
    assert tool.toolset in TOOLSETS
    assert 40 <= len(inspect.getdoc(tool.run) or "") <= 320
    assert len(tool.name) <= 40


def test_tool_names_are_unique_verbs_and_nouns() -> None:
    names = [tool.name for tool in ALL_TOOLS]

    assert len(names) == len(set(names))
    assert all(name.replace("_", "").isalpha() and name.islower() for name in names)


async def test_every_argument_is_described_or_speaks_for_itself(settings: Settings) -> None:
    plain = {
        "tag", "creator", "username", "sort", "period", "max_level", "limit", "category",
        "catalog", "types", "base_models", "kind", "version_ids",
    }  # fmt: skip
    for tool in await listed(settings):
        assert tool["inputSchema"]["additionalProperties"] is False
        for name, schema in tool["inputSchema"].get("properties", {}).items():
            batch = name.removesuffix("s") in tool["inputSchema"]["properties"]
            assert "description" in schema or name in plain or batch, (tool["name"], name)
            assert "title" not in schema


async def test_an_optional_field_of_a_row_is_absent_rather_than_null(settings: Settings) -> None:
    for tool in await listed(settings):
        for part in tool["outputSchema"].get("$defs", {}).values():
            optional = {
                name: schema
                for name, schema in part.get("properties", {}).items()
                if name not in part.get("required", ())
            }
            assert '"null"' not in json.dumps(optional), tool["name"]


def test_the_tools_of_sets_that_are_off_are_known_by_name() -> None:
    assert {tool.name: tool.toolset for tool in ALL_TOOLS} == dict(SET_OF)


async def test_server_resources_and_prompts_have_small_pictures_of_their_own(
    settings: Settings, era: str
) -> None:
    async with Client(create_server(settings), mode=era) as client:
        server = client.server_info
        resources = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates
        prompts = (await client.list_prompts()).prompts
    assert server is not None
    kinds = {
        "server": {str(server.icons)},
        "catalog": {str(r.icons) for r in resources if str(r.uri).startswith("catalog:")}
        | {str(t.icons) for t in templates if t.uri_template.startswith("catalog:")},
        "civitai": {str(t.icons) for t in templates if t.uri_template.startswith("civitai:")},
        "prompts": {str(prompt.icons) for prompt in prompts},
    }
    assert [len(pictures) for pictures in kinds.values()] == [1, 1, 1, 1]
    assert len(set().union(*kinds.values())) == len(kinds)

    pictured: list[Any] = [server, *templates, *prompts]
    for icon in [icon for one in pictured for icon in one.icons]:
        kind, _, drawing = icon.src.partition(",")
        assert kind == "data:image/svg+xml"
        assert fromstring(unquote(drawing)).tag == "{http://www.w3.org/2000/svg}svg"
    # every answer of the modern era carries it
    stamped = server.model_dump(mode="json", by_alias=True, exclude_none=True)["icons"]
    assert len(json.dumps(stamped, separators=(",", ":"))) < 200
