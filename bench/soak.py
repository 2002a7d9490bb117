"""Keep a server busy over every transport and watch its memory: `python -m bench.soak`.

Clients come, ask a few questions of many kinds (some of them wrong), write to the catalog and
take it back, and go, for ten minutes or `--seconds`. Some bring a CivitAI key of their own, some
hang up in the middle of a call, some only listen or subscribe to the catalog and leave, some ask
the admin routes. Memory is the server's resident set; its level at the end is compared with its
level after the first minute (`--settle`). Ends with 1 when it grew by more than 5 %.
"""

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.clients import OVER_HTTP, Call, fetch, listen, subscribe
from bench.load import TOKEN, our_http_server
from bench.run import home_in, stand_in
from civit_mcp.sandbox import world

CLIENTS = 32
#: share by which memory may have grown between the two levels
MOST_GROWTH = 0.05
#: CivitAI keys of callers; without one is who has none
KEYS = ["", "", "", "", *(f"the-key-of-caller-{number}" for number in range(4))]
MODELS = "catalog://models.json"
ROUTES = [
    "/api/admin/models/civitai-map",
    *(
        f"/api/admin/civitai/image/{image}"
        for image in (world.DEMO_IMAGE, world.TEN_LORAS_IMAGE, world.NO_SUCH_IMAGE)
    ),
]
#: the longest that who hangs up waits for an answer, in seconds; in a crowd most take longer
_PATIENCE = 0.05
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
    sys.exit(1 if seen.growth > MOST_GROWTH else 0)


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
        visitor = _Visitor(base, random.Random(number), seen)
        while True:
            await visitor.visit()
            seen.visits += 1

    async with asyncio.TaskGroup() as group:
        visiting = [group.create_task(visit(number)) for number in range(CLIENTS)]
        await watch()
        for each in visiting:
            each.cancel()
    return seen


@dataclass(frozen=True, slots=True)
class _Visitor:
    """One client after the other, each of some kind."""

    base: str
    chance: random.Random
    seen: Soaked

    async def visit(self) -> None:
        """Come, do something, and go."""
        kinds = (self._ask_a_few, self._hang_up, self._listen, self._fetch)
        await self.chance.choices(kinds, weights=(4, 2, 2, 2))[0](self.chance.choice(KEYS))

    async def _ask_a_few(self, key: str) -> None:
        async with self._opened(key) as call:
            for _ in range(self.chance.randint(1, 30)):
                await self._ask(call, key)

    async def _hang_up(self, key: str) -> None:
        """Ask, and go without hearing the answer."""
        async with self._opened(key) as call:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE * self.chance.random()):
                    await self._ask(call, key)

    async def _listen(self, _key: str) -> None:
        """Begin to hear of changes, and go."""
        self.seen.calls += 1
        await self.chance.choice((listen, subscribe))(self.base, TOKEN, MODELS)

    async def _fetch(self, key: str) -> None:
        """Ask one of the admin routes."""
        self.seen.calls += 1
        path = self.chance.choice(ROUTES)
        status = await fetch(self.base, TOKEN, path, key)
        if status not in ("200", "404"):
            raise RuntimeError(f"{path} was answered with {status}")

    def _opened(self, key: str) -> AbstractAsyncContextManager[Call]:
        open_client = self.chance.choice(list(OVER_HTTP.values()))
        return open_client(self.base, TOKEN, key)

    async def _ask(self, call: Call, key: str) -> None:
        self.seen.calls += 1
        tool, arguments = self.chance.choice(FEW if key else QUESTIONS)
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
#: what callers with keys ask: answers are kept for each apart, and at the pace that CivitAI is
#: asked at, all of the questions would keep the caches filling until the end
FEW = QUESTIONS[::7]


def resident(pid: int) -> float:
    """Resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


if __name__ == "__main__":
    main()
