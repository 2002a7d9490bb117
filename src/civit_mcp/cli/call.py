"""`civit-mcp call TOOL 'JSON'`: a tool's answer in the terminal, through a real MCP client."""

import argparse
import json
import sys
from typing import Any

import anyio

from civit_mcp.cli.serve import chosen_settings
from civit_mcp.config import Settings


def run(arguments: argparse.Namespace) -> int:
    """Print the result as JSON; 1 when the tool refuses, 2 when the JSON is no object."""
    text = sys.stdin.read() if arguments.arguments == "-" else arguments.arguments
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        return _refuse(f"the arguments are not JSON: {error.msg} at column {error.colno}")
    if not isinstance(values, dict):
        return _refuse('the arguments must be a JSON object, such as \'{"query": "owl"}\'')
    with chosen_settings(arguments) as settings:
        is_error, output = anyio.run(_call, settings, arguments.tool, values)
    if not is_error:
        sys.stdout.write(json.dumps(output, ensure_ascii=False, indent=2) + "\n")
        return 0
    sys.stdout.write(json.dumps({"error": output}, ensure_ascii=False, indent=2) + "\n")
    print(output, file=sys.stderr)
    return 1


def _refuse(text: str) -> int:
    print(f"civit-mcp call: {text}", file=sys.stderr)
    return 2


async def _call(settings: Settings, tool: str, arguments: dict[str, Any]) -> tuple[bool, Any]:
    from mcp import Client
    from mcp.types import TextContent

    from civit_mcp.server import configure_logging, create_server

    configure_logging(settings)
    async with Client(create_server(settings)) as client:
        result = await client.call_tool(tool, arguments)
    if result.is_error:
        texts = [part.text for part in result.content if isinstance(part, TextContent)]
        return True, " ".join(texts)
    return False, result.structured_content
