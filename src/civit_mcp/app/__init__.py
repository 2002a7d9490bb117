"""The seam between our words and MCP's.

An `App` is what a running server holds. A tool is a plain function of a context and its
arguments that returns an answer model: its signature is the input schema, its docstring the
description, its return type the output schema. `CivitServer` turns answers into results and
errors into refusals, here and nowhere else.
"""

from civit_mcp.app.callers import (
    CALLER_KEY,
    Caller,
    audit_request,
    audit_write,
    caller_of,
    current_caller,
)
from civit_mcp.app.clients import can_ask
from civit_mcp.app.server import CivitServer
from civit_mcp.app.state import App, Ctx, desk_of
from civit_mcp.app.tool import DEFAULT_TOOLSETS, TOOLSETS, Tool, Toolset, chosen_toolsets

__all__ = [
    "CALLER_KEY",
    "DEFAULT_TOOLSETS",
    "TOOLSETS",
    "App",
    "Caller",
    "CivitServer",
    "Ctx",
    "Tool",
    "Toolset",
    "announce_change",
    "audit_request",
    "audit_write",
    "caller_of",
    "can_ask",
    "chosen_toolsets",
    "current_caller",
    "desk_of",
]


def announce_change(ctx: Ctx) -> None:
    """Have every listener told that the catalog changed."""
    server = ctx.mcp_server
    assert isinstance(server, CivitServer)
    server.live.changed()
