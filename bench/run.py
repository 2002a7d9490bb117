"""Print the table of speeds: `python -m bench.run [--quick]`.

Every figure stands beside a floor or a baseline measured in the same run, and is a median.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.wire import BARE, OURS, StdioServer
from civit_mcp.sandbox.world import DEMO_CHECKPOINT_MODEL, TEN_LORAS_IMAGE

LATENCY_MS = 50.0


def main() -> None:
    """Measure everything and print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs, rougher figures")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, **home_in(Path(folder))}
        rows = [
            start_up(env, runs=5 if quick else 15),
            cold_generation_data(env, runs=3 if quick else 9),
            warm_calls(env, calls=300 if quick else 2000),
            *tool_list_size(env),
        ]
    print("| figure | civit-mcp | beside | ratio |\n|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def start_up(env: dict[str, str], *, runs: int) -> tuple[str, ...]:
    """Process start to the answer of `initialize`, ours and a bare server's in turn."""
    ours, bare = [], []
    for _ in range(runs + 1):
        with StdioServer(OURS, env) as server:
            ours.append(server.handshake_ms)
        with StdioServer(BARE, env) as server:
            bare.append(server.handshake_ms)
    mine, floor = statistics.median(ours[1:]), statistics.median(bare[1:])
    return (
        "start to `initialize`, stdio",
        f"{mine:.0f} ms",
        f"bare SDK server {floor:.0f} ms",
        f"{mine / floor:.2f}",
    )


def cold_generation_data(env: dict[str, str], *, runs: int) -> tuple[str, ...]:
    """`get_generation_data` with ten look-ups, nothing cached, 50 ms per upstream answer."""
    with stand_in(latency_ms=LATENCY_MS) as url:
        slow = {**env, "CIVITAI_API_URL": url}
        cold = [_one_cold_call(slow, run) for run in range(runs)]
        paths = [path for path in _upstream_paths(url) if str(DEMO_CHECKPOINT_MODEL) not in path]
        sequential = [_timed(lambda: _one_by_one(url, paths)) for _ in range(max(runs // 3, 1))]
    mine, baseline = statistics.median(cold), statistics.median(sequential)
    return (
        f"`get_generation_data`, cold, {len(paths)} upstream calls of {LATENCY_MS:.0f} ms",
        f"{mine:.0f} ms = {mine / LATENCY_MS:.2f} x the latency",
        f"the same calls one by one {baseline:.0f} ms",
        f"{mine / baseline:.2f}",
    )


def _one_cold_call(env: dict[str, str], run: int) -> float:
    """Time the call in a new process that has answered another question before.

    Nothing about the image is cached; what is not timed is a process that is still starting.
    """
    empty = {**env, "CIVIT_MCP_CACHE_DIR": f"{env['CIVIT_MCP_CACHE_DIR']}-{run}"}
    with StdioServer(OURS, empty) as server:
        server.call("get_model", {"model_id": DEMO_CHECKPOINT_MODEL})
        began = time.perf_counter()
        result = server.call("get_generation_data", {"image_id": TEN_LORAS_IMAGE})
        took = (time.perf_counter() - began) * 1000
    if result.get("isError"):
        raise RuntimeError(f"the call failed: {result['content']}")
    deps = result["structuredContent"]["detected_deps"]
    resolved = [dep for dep in deps if "resolved_by" in dep]
    if len(resolved) != 10:
        raise RuntimeError(f"{len(resolved)} of 10 dependencies were resolved")
    return took


def _upstream_paths(url: str) -> list[str]:
    """What the last call asked of the stand-in."""
    seen = httpx.get(f"{url}/__sandbox/seen").json()
    calls = [(s["path"], s["query"]) for s in seen if not s["path"].startswith("/__")]
    distinct = {json.dumps(call, sort_keys=True): call for call in calls}
    return [str(httpx.URL(url + path, params=query)) for path, query in distinct.values()]


def _one_by_one(url: str, addresses: list[str]) -> None:
    with httpx.Client(headers={"Referer": url}) as client:
        for address in addresses:
            client.get(address)


def warm_calls(env: dict[str, str], *, calls: int) -> tuple[str, ...]:
    """Calls per second of `list_catalog`, a page of twenty entries, beside an echo tool."""
    ours = _rate(OURS, env, "list_catalog", {}, calls)
    echo = _rate(BARE, env, "echo", {"text": "x" * 200}, calls)
    return (
        "warm `list_catalog`, one client, stdio",
        f"{ours:.0f} calls/s",
        f"`echo` on the bare server {echo:.0f} calls/s",
        f"{ours / echo:.2f}",
    )


def home_in(folder: Path) -> dict[str, str]:
    """Lay out a user's home, with fifty LoRAs in the catalog, half of them on the disk."""
    names = [f"entry_{n}.safetensors" for n in range(50)]
    entries = [
        {
            "name": f"Entry {n} v1 [SDXL 1.0 FP16]",
            "file": name,
            "dest": "loras",
            "source": "civitai",
            "civitai_version_id": 1000 + n,
            "size_gb": 0.2,
            "base_model": "SDXL 1.0",
            "tags": [],
        }
        for n, name in enumerate(names)
    ]
    category = {"id": "loras", "name": "LoRAs", "models": entries}
    text = json.dumps({"version": 1, "date": "", "categories": [category]}, indent=2)
    (folder / "catalog").mkdir()
    (folder / "catalog" / "models.json").write_text(text, "utf-8")
    (folder / "models" / "loras").mkdir(parents=True)
    for name in names[::2]:
        (folder / "models" / "loras" / name).write_bytes(b"weights")
    return {
        "CIVIT_MCP_CATALOG_DIR": str(folder / "catalog"),
        "CIVIT_MCP_CACHE_DIR": str(folder / "cache"),
        "CIVIT_MCP_MODELS_ROOT": str(folder / "models"),
    }


def _rate(
    command: tuple[str, ...], env: dict[str, str], tool: str, arguments: dict[str, Any], calls: int
) -> float:
    with StdioServer(command, env) as server:
        for _ in range(50):
            server.call(tool, arguments)
        rounds = []
        for _ in range(5):
            took = _timed(lambda: [server.call(tool, arguments) for _ in range(calls // 5)])
            rounds.append((calls // 5) / took * 1000)
    return statistics.median(rounds)


def tool_list_size(env: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """Size of `tools/list`: what every conversation pays before it begins."""
    with StdioServer(OURS, env) as server:
        tools = server.request("tools/list", {})["result"]["tools"]
    shown = [{k: t[k] for k in ("name", "description", "inputSchema")} for t in tools]
    tokens = len(json.dumps(shown, ensure_ascii=False).encode()) / 4
    whole = len(json.dumps(tools, ensure_ascii=False).encode())
    yield (
        "name, description and input schema of the default tools",
        f"{tokens:.0f} tokens",
        "bound 3,000",
        f"{tokens / 3000:.2f}",
    )
    yield ("whole `tools/list`", f"{whole / 1024:.1f} KiB", "bound 32 KiB", f"{whole / 32768:.2f}")


@contextmanager
def stand_in(*, latency_ms: float) -> Iterator[str]:
    """Run the stand-in in a process of its own, so that it takes no time from ours."""
    command = (sys.executable, "-m", "civit_mcp", "sandbox", "--latency-ms", str(latency_ms))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(timeout=10)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
