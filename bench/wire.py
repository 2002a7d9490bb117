"""A raw stdio client: JSON lines and nothing else, so that only the server is measured."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

BARE_SERVER = """
from mcp.server import MCPServer
server = MCPServer("bare", version="1")
@server.tool()
def echo(text: str) -> str:
    return text
server.run()
"""
BARE = (sys.executable, "-c", BARE_SERVER)
OURS = (sys.executable, "-m", "civit_mcp", "serve")


class StdioServer:
    """A server process and its pipes; entering it does the handshake."""

    def __init__(self, command: Sequence[str], env: dict[str, str] | None = None) -> None:
        self.command = command
        self.env = env
        self.handshake_ms = 0.0
        self._id = 0

    def __enter__(self) -> Self:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.env,
        )
        self.request(
            "initialize",
            {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "bench", "version": "1"},
            },
        )
        self.handshake_ms = (time.perf_counter() - began) * 1000
        self._send({"method": "notifications/initialized"})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send one request and wait for its answer; notifications in between are dropped."""
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == self._id:
                return message
        raise RuntimeError(f"{self.command[-1]} closed its stdout")

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool; its result, refused or not."""
        result: dict[str, Any] = self.request("tools/call", {"name": tool, "arguments": arguments})[
            "result"
        ]
        return result
