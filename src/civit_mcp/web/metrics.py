"""Figures for a scraper, in Prometheus' text form; loaded only when they are wanted.

No label holds what a caller or CivitAI wrote: tools are the server's own names, outcomes the
codes of the error tree.
"""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import Response

from civit_mcp.errors import CivitError
from civit_mcp.web.sessions import Held

_CODE: Final = re.compile(r"\[(\w+)\] ")
_SECONDS: Final = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def _codes(kind: type[CivitError]) -> set[str]:
    found = {kind.code} if "code" in vars(kind) else set()
    return found.union(*map(_codes, kind.__subclasses__()))


class Metrics:
    """Counts in a registry of its own, so that two servers in a process do not mix."""

    def __init__(self, held: Held, tools: frozenset[str]) -> None:
        """Take what knows sessions and streams, and the names that may become labels."""
        self._tools = tools
        self._known_codes = frozenset(_codes(CivitError))
        self._registry = registry = CollectorRegistry()
        self._calls = Counter(
            "civit_mcp_tool_calls", "Calls by tool and outcome", ("tool", "outcome"),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "civit_mcp_tool_call_seconds", "How long calls took", ("tool",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._writes = Counter(
            "civit_mcp_catalog_writes", "Changes of the catalog by tool", ("tool",),
            registry=registry,
        )  # fmt: skip
        self._asked = Counter(
            "civit_mcp_upstream_requests", "Requests to CivitAI by outcome", ("outcome",),
            registry=registry,
        )  # fmt: skip
        self._known = Counter(
            "civit_mcp_cache_hits", "Answers that were there already, by where", ("where",),
            registry=registry,
        )  # fmt: skip
        sessions = Gauge("civit_mcp_sessions", "Open sessions", registry=registry)
        sessions.set_function(held.sessions)
        streams = Gauge("civit_mcp_streams", "Open streams", registry=registry)
        streams.set_function(held.streams.total)

    def asked(self, outcome: str) -> None:
        """Count a request to CivitAI."""
        self._asked.labels(outcome).inc()

    def known(self, where: Literal["memory", "disk"]) -> None:
        """Count an answer that needed none."""
        self._known.labels(where).inc()

    def called(
        self, tool: str, outcome: str, seconds: float, answer: Mapping[str, Any] | None
    ) -> None:
        """Count a call; what it was about leaves no trace."""
        tool = tool if tool in self._tools else "unknown"
        self._calls.labels(tool, outcome).inc()
        self._seconds.labels(tool).observe(seconds)
        if answer and answer.get("change_id"):
            self._writes.labels(tool).inc()

    async def observe(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        """Middleware of the MCP server: count what goes through it."""
        if ctx.method != "tools/call":
            return await call_next(ctx)
        started = time.perf_counter()
        outcome, answer = "cut_off", None
        try:
            result = await call_next(ctx)
            outcome, answer = self._read(result)
        except Exception:
            outcome = "fault"
            raise
        finally:
            name = str((ctx.params or {}).get("name"))
            self.called(name, outcome, time.perf_counter() - started, answer)
        return result

    def _read(self, result: Any) -> tuple[str, Mapping[str, Any] | None]:
        """The outcome of a call and its answer, from the result in its form on the wire."""
        if not isinstance(result, dict):
            result = result.model_dump(by_alias=True, exclude_none=True)
        if not result.get("isError"):
            return "answered", result.get("structuredContent")
        content = result.get("content") or [{}]
        code = _CODE.match(str(content[0].get("text")))
        return (code[1] if code and code[1] in self._known_codes else "fault"), None

    async def endpoint(self, _: Request) -> Response:
        """Everything, for a scraper."""
        body = generate_latest(self._registry)
        return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})
