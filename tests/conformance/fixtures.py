"""The product's server and HTTP stack with the suite's fixtures registered.

Everything around the fixtures is what users get: `create_server`, and `web.serve` with its
gate, sessions, transports and uvicorn settings.
"""

import inspect
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from mcp import MCPDeprecationWarning
from mcp.server.mcpserver import Context
from mcp.types import EmptyResult, SetLevelRequestParams

from civit_mcp import web
from civit_mcp.app import CivitServer, Tool
from civit_mcp.app.tool import one_paragraph
from civit_mcp.config import Settings
from civit_mcp.sandbox import running_sandbox
from civit_mcp.server import create_server
from tests.conformance import asking, content


def fixture_server(settings: Settings) -> CivitServer:
    """Build the product's server, then give it what the suite asks for by name."""
    server = create_server(settings)
    server.lists_change = True
    for function in (
        *content.TOOLS,
        *asking.TOOLS,
        test_trigger_tool_change,
        test_trigger_prompt_change,
    ):
        _offer(server, function)
    _offer(server, content.schema_tool, name=content.SCHEMA_TOOL)
    # the SDK derives schemas from signatures, which cannot say half of this one
    server._tool_manager._tools[content.SCHEMA_TOOL].parameters = content.SCHEMA
    for prompt in (*content.PROMPTS, *asking.PROMPTS):
        server.prompt()(prompt)
    for uri, reader, mime_type in (
        ("test://static-text", content.static_text, "text/plain"),
        ("test://static-binary", content.static_binary, "image/png"),
        ("test://template/{id}/data", content.template_data, "application/json"),
    ):
        server.resource(uri, mime_type=mime_type)(reader)
    # optional in the older revisions, gone from the newest, and not offered by the product
    server._lowlevel_server.add_request_handler(
        "logging/setLevel", SetLevelRequestParams, _set_level
    )
    return server


def _offer(server: CivitServer, function: Callable[..., Any], *, name: str = "") -> None:
    """Let the product's server list, check and call a function like one of its own tools.

    Its own tools answer with models; fixtures answer with every kind of content there is, so
    they go past the form that answers take, and past nothing else.
    """
    tool = Tool(run=function, title=name or function.__name__, toolset="core")
    server._offered[tool.title] = tool
    parameters = inspect.signature(function).parameters
    server._argument_names[tool.title] = frozenset(set(parameters) - {"ctx"})
    server.add_tool(
        function,
        name=tool.title,
        description=one_paragraph(function),
        annotations=tool.annotations(),
        structured_output=False,
    )


async def _set_level(_: Any, params: SetLevelRequestParams) -> EmptyResult:
    del params
    return EmptyResult()


async def _come_and_go() -> str:
    """Be there every other time."""
    return "here"


async def test_trigger_tool_change(ctx: Context[Any]) -> str:
    """Add a tool, or take it away again."""
    server = cast(CivitServer, ctx.mcp_server)
    if server._offered.pop("test_come_and_go", None) is None:
        _offer(server, _come_and_go, name="test_come_and_go")
    else:
        server.remove_tool("test_come_and_go")
    await ctx.notify_tools_changed()
    return "changed"


async def test_trigger_prompt_change(ctx: Context[Any]) -> str:
    """Add a prompt, or take it away again."""
    prompts = ctx.mcp_server._prompt_manager._prompts
    if prompts.pop("test_come_and_go", None) is None:
        ctx.mcp_server.prompt(name="test_come_and_go")(_come_and_go)
    await ctx.notify_prompts_changed()
    return "changed"


def main() -> int:
    """Serve on a free port until a signal; the banner on stderr says where."""
    # what the suite asks for is in part deprecated, which is no news for its reader
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    with running_sandbox() as sandbox, tempfile.TemporaryDirectory(prefix="civit-mcp-") as folder:
        home = Path(folder)
        settings = Settings(
            civitai_url=sandbox.base_url,
            catalog_dir=home / "catalog",
            models_root=home / "models",
            cache_dir=home / "cache",
        )
        return web.serve(fixture_server(settings), host="127.0.0.1", port=0, no_auth=True)


if __name__ == "__main__":
    sys.exit(main())
