"""`civit-mcp sandbox`: the stand-in alone; the first line of stdout is its address."""

import argparse
import sys
from pathlib import Path

import anyio


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted; 2 when a scenario or the data folder does not exist."""
    from civit_mcp.sandbox import SCENARIOS, serve_forever

    unknown = [n for n in arguments.scenario if n.partition(":")[0] not in SCENARIOS]
    if unknown:
        listed = "\n".join(f"  {name:22} {what}" for name, what in SCENARIOS.items())
        print(
            f"civit-mcp sandbox: no scenario {unknown[0]!r}. There are:\n{listed}", file=sys.stderr
        )
        return 2
    data = Path(arguments.data) if arguments.data else None
    if data is not None and not data.is_dir():
        print(f"civit-mcp sandbox: '{data}' is no folder", file=sys.stderr)
        return 2

    async def serve() -> None:
        await serve_forever(
            port=arguments.port,
            data=data,
            scenarios=arguments.scenario,
            latency=arguments.latency_ms / 1000,
            announce=lambda url: print(url, flush=True),
        )

    anyio.run(serve)
    return 0
