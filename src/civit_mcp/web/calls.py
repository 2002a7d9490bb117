"""How much of one token's work is under way at once, whatever the transport.

Over the older SSE transport a call holds no connection of its own, so the limits on
connections do not bound it.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mcp import MCPError
from mcp.types import INTERNAL_ERROR

from civit_mcp.app import current_caller
from civit_mcp.errors import RateLimited

#: requests of one token that are being answered, listen streams among them
MOST_CALLS_OF_ONE: Final = 500


class Calls:
    """Middleware of the MCP server, behind what knows the caller."""

    def __init__(self) -> None:
        self._open: Counter[object] = Counter()

    async def __call__(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        """Answer, unless the caller has too much open already."""
        owner = current_caller.get()
        if ctx.request_id is None:
            return await call_next(ctx)
        if self._open[owner] >= MOST_CALLS_OF_ONE:
            refusal = RateLimited(
                f"this token has {MOST_CALLS_OF_ONE} requests under way already",
                "wait for some of them to end",
            )
            raise MCPError(code=INTERNAL_ERROR, message=str(refusal))
        self._open[owner] += 1
        try:
            return await call_next(ctx)
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]
