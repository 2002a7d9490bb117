"""Print the table of load: `python -m bench.load [--quick]`.

Warm calls over every transport, by one client and by 32 at once, beside `echo` on a bare server
of the same SDK. Ours and the bare server answer in turn, round by round; figures are medians over
the rounds. Servers and clients are processes of their own and share the machine's cores.

Ends with 1, and a line about each, when a ratio at 32 clients is past its bar.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.clients import OVER_HTTP, Call, checked, is_refused, stdio
from bench.run import home_in, stand_in
from bench.wire import BARE, OURS
from civit_mcp.sandbox.world import DEMO_CHECKPOINT_VERSION, DEMO_IMAGE

TOKEN = "a-token-of-the-bench"
AT_ONCE = (1, 32)
#: the bars hold at so many clients: one alone measures how long a call is, not what a server bears
CROWD = 32
#: our rate beside the bare server's, and our p99 beside its
LOWEST_RATE = 0.6
HIGHEST_P99 = 2.0
ECHO: tuple[str, dict[str, Any]] = ("echo", {"text": "x" * 200})
WARM: dict[str, dict[str, Any]] = {
    "list_catalog": {},
    "get_model_version": {"version_id": DEMO_CHECKPOINT_VERSION},
    "get_generation_data": {"image_id": DEMO_IMAGE},
    "search_models": {"query": "mist"},
}
BARE_HTTP = """
import sys
from mcp.server import MCPServer
server = MCPServer("bare", version="1", log_level="WARNING")
@server.tool()
def echo(text: str) -> str:
    return text
server.run(sys.argv[1], port=int(sys.argv[2]))
"""


@dataclass(slots=True)
class Figures:
    """Calls per second and latencies in ms, one of each a round."""

    rate: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def add(self, took: list[float], seconds: float) -> None:
        """Note one round."""
        cuts = statistics.quantiles(took, n=100)
        self.rate.append(len(took) / seconds)
        self.p50.append(cuts[49] * 1000)
        self.p99.append(cuts[98] * 1000)

    def __str__(self) -> str:
        rate, p50, p99 = map(statistics.median, (self.rate, self.p50, self.p99))
        return f"{rate:.0f}/s, p50 {p50:.1f}, p99 {p99:.1f} ms"


def main() -> None:
    """Measure every transport and print one line a figure, then one for each broken bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer calls, rougher figures")
    parser.add_argument("--tools", nargs="*", default=list(WARM), choices=list(WARM))
    options = parser.parse_args()
    calls, rounds = (400, 3) if options.quick else (1000, 5)
    broken: list[str] = []
    print("| transport | at once | tool | civit-mcp | `echo` | rate | p99 |\n" + "|---" * 7 + "|")
    with tempfile.TemporaryDirectory() as folder, stand_in(latency_ms=0) as url:
        env = {
            **os.environ,
            "CIVITAI_API_URL": url,
            **home_in(Path(folder)),
            "CIVIT_MCP_TOKEN": TOKEN,
        }
        broken += asyncio.run(_over_stdio(env, options.tools, calls, rounds))
        for name in OVER_HTTP:
            with ExitStack() as stack:
                ours, _ = stack.enter_context(our_http_server(env))
                bare = stack.enter_context(
                    _bare_http_server("sse" if name == "HTTP+SSE" else "streamable-http")
                )
                broken += asyncio.run(_over_http(name, ours, bare, options.tools, calls, rounds))
    for line in broken:
        print(line, file=sys.stderr)
    sys.exit(1 if broken else 0)


async def _over_stdio(
    env: Mapping[str, str], tools: list[str], calls: int, rounds: int
) -> list[str]:
    broken: list[str] = []
    async with stdio(OURS, env) as ours, stdio(BARE, env) as bare:
        for many in AT_ONCE:
            # a pipe has one client; what is at once are its calls
            broken += await _compare("stdio", [ours] * many, [bare] * many, tools, calls, rounds)
    return broken


async def _over_http(
    name: str, ours: str, bare: str, tools: list[str], calls: int, rounds: int
) -> list[str]:
    broken: list[str] = []
    for many in AT_ONCE:
        async with AsyncExitStack() as stack:
            mine, theirs = [
                [await stack.enter_async_context(OVER_HTTP[name](base, TOKEN)) for _ in range(many)]
                for base in (ours, bare)
            ]
            broken += await _compare(name, mine, theirs, tools, calls, rounds)
    return broken


async def _compare(
    transport: str, ours: list[Call], bare: list[Call], tools: list[str], calls: int, rounds: int
) -> list[str]:
    broken: list[str] = []
    figures = {name: Figures() for name in (*tools, "echo")}
    for tool in tools:
        for _ in range(20):
            checked(await ours[0](tool, WARM[tool]))
    for turn in range(rounds + 1):
        for tool in tools:
            took, seconds = await _round(ours, tool, WARM[tool], calls)
            if turn:
                figures[tool].add(took, seconds)
        took, seconds = await _round(bare, *ECHO, calls)
        if turn:
            figures["echo"].add(took, seconds)
    echo = figures["echo"]
    for tool in tools:
        mine = figures[tool]
        rate = statistics.median(mine.rate) / statistics.median(echo.rate)
        tail = statistics.median(mine.p99) / statistics.median(echo.p99)
        row = (transport, len(ours), f"`{tool}`", mine, echo, f"{rate:.2f}", f"{tail:.2f}")
        print(f"| {' | '.join(map(str, row))} |", flush=True)
        if len(ours) >= CROWD:
            broken += [f"{transport}, {tool}: {what}" for what in past_the_bars(rate, tail)]
    return broken


def past_the_bars(rate: float, tail: float) -> Iterator[str]:
    """Which of the bars the ratios of a rate and of a p99 are past."""
    if rate < LOWEST_RATE:
        yield f"the rate ratio {rate:.2f} is below {LOWEST_RATE}"
    if tail > HIGHEST_P99:
        yield f"the p99 ratio {tail:.2f} is above {HIGHEST_P99}"


async def _round(
    clients: list[Call], tool: str, arguments: Mapping[str, Any], calls: int
) -> tuple[list[float], float]:
    """Let every client call as fast as it is answered; seconds of each call, and of all."""
    took: list[float] = []
    left = calls

    async def keep_calling(call: Call) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = time.perf_counter()
            answer = await call(tool, arguments)
            took.append(time.perf_counter() - began)
            if is_refused(answer):
                raise RuntimeError(f"the call failed: {answer[:500]!r}")

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(keep_calling(client))
    return took, time.perf_counter() - began


@contextmanager
def our_http_server(env: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Run civit-mcp over HTTP; gives its base address and process id."""
    command = (*OURS, "--transport", "http", "--port", "0")
    with subprocess.Popen(command, env=dict(env), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            base = process.stderr.readline().split(" serves ")[1].split("/mcp")[0]
            # its log may be long, and a full pipe would hold it up
            threading.Thread(target=deque, args=(process.stderr, 0)).start()
            yield base, process.pid
        finally:
            process.terminate()


@contextmanager
def _bare_http_server(transport: str) -> Iterator[str]:
    """Run the SDK's own server on a free port; gives its base address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen((sys.executable, "-c", BARE_HTTP, transport, str(port))) as process:
        try:
            while True:
                with suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
