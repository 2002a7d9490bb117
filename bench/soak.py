"""Keep a server busy over every transport and watch its memory: `python -m bench.soak`.

Clients come, ask a few questions of many kinds (some of them wrong), write to the catalog and
take it back, and go, for ten minutes or `--seconds`. Memory is the server's resident set; its
level at the end is compared with its level after the first minute (`--settle`).
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.clients import OVER_HTTP, Call
from bench.load import TOKEN, our_http_server
from bench.run import home_in, stand_in
from civit_mcp.sandbox import world

CLIENTS = 32
#: seconds between two looks at the memory
_EVERY = 1.0
#: looks whose median is a level
_LOOKS = 10


@dataclass(slots=True)
class Soaked:
    """What a soak showed. Memory in MiB."""

    settled: float = 0.0
    ended: float = 0.0
    calls: int = 0
    visits: int = 0
    levels: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """How much more memory there was in the end, as a share."""
        return self.ended / self.settled - 1


def main() -> None:
    """Soak, and print the levels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--settle", type=float, default=60.0)
    options = parser.parse_args()
    seen = soak(seconds=options.seconds, settle=options.settle, told=True)
    print(
        f"{seen.calls} calls by {seen.visits} clients: {seen.settled:.1f} MiB after "
        f"{options.settle:.0f} s, {seen.ended:.1f} MiB after {options.seconds:.0f} s "
        f"({seen.growth:+.1%})"
    )


def soak(*, seconds: float, settle: float, told: bool = False) -> Soaked:
    """Run a server in a process of its own and keep it busy."""
    with tempfile.TemporaryDirectory() as folder, stand_in(latency_ms=0) as url:
        env = {
            **os.environ,
            "CIVITAI_API_URL": url,
            **home_in(Path(folder)),
            "CIVIT_MCP_TOOLSETS": "all",
            "CIVIT_MCP_TOKEN": TOKEN,
        }
        with our_http_server(env) as (base, pid):
            return asyncio.run(_soak(base, pid, seconds, settle, told=told))


async def _soak(base: str, pid: int, seconds: float, settle: float, *, told: bool) -> Soaked:
    seen = Soaked()
    end = time.monotonic() + seconds

    async def watch() -> None:
        began = time.monotonic()
        while time.monotonic() < end:
            await asyncio.sleep(_EVERY)
            seen.levels.append(resident(pid))
            if not seen.settled and time.monotonic() - began >= settle:
                seen.settled = statistics.median(seen.levels[-_LOOKS:])
            if told and len(seen.levels) % 30 == 0:
                print(f"{len(seen.levels)} s: {seen.levels[-1]:.1f} MiB", file=sys.stderr)
        seen.ended = statistics.median(seen.levels[-_LOOKS:])

    async def visit(number: int) -> None:
        chance = random.Random(number)
        while time.monotonic() < end:
            open_client = chance.choice(list(OVER_HTTP.values()))
            async with open_client(base, TOKEN) as call:
                seen.visits += 1
                for _ in range(chance.randint(1, 30)):
                    await _ask(call, chance)
                    seen.calls += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        for number in range(CLIENTS):
            group.create_task(visit(number))
    return seen


async def _ask(call: Call, chance: random.Random) -> None:
    tool, arguments = chance.choice(QUESTIONS)
    answer = await call(tool, arguments)
    if b'"result"' not in answer:
        raise RuntimeError(f"{tool} was not answered: {answer[:500]!r}")


def _questions() -> Iterator[tuple[str, Mapping[str, Any]]]:
    numbers = [n for name, n in vars(world).items() if isinstance(n, int)]
    yield from (("get_generation_data", {"image_id": n}) for n in numbers)
    yield from (("get_model_version", {"version_id": n}) for n in numbers)
    yield from (("get_model", {"model_id": n}) for n in numbers)
    for word in ("mist", "lora", "", "nothing of that name"):
        yield "search_models", {"query": word, "limit": 5}
        yield "list_catalog", {"query": word, "limit": 50}
    for version in (world.DEMO_LORA_VERSION, world.DEMO_CHECKPOINT_VERSION):
        yield "add_to_catalog", {"version_id": version}
        yield "promote_to_lora", {"version_id": version, "dry_run": True}
        yield "remove_from_catalog", {"version_id": version}
    yield "catalog_history", {"limit": 5}
    yield "verify_catalog", {}
    yield "search_images", {"limit": 5}
    yield "list_enums", {"kind": "base_models"}
    yield "get_model", {"model_id": "no such thing"}
    yield "no_such_tool", {"with": ["strange", {"arguments": None}]}


QUESTIONS = list(_questions())


def resident(pid: int) -> float:
    """Resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


if __name__ == "__main__":
    main()
