"""How many calls of one token are under way at once, whatever the transport.

The gate counts requests over HTTP. Over the older SSE transport that is not enough: a call's
request is over when the call has only begun.
"""

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from mcp import MCPError
from mcp.types import INTERNAL_ERROR

from civit_mcp.app import current_caller
from civit_mcp.errors import RateLimited

#: requests of one token at once; over HTTP streams, dripping bodies and unread answers are
#: among them, as MCP whatever is being answered
MOST_OF_ONE: Final = 500


class Calls:
    """Middleware of the MCP server, behind what knows the caller."""

    def __init__(self) -> None:
        self._open: Counter[object] = Counter()

    async def __call__(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        """Answer, unless the caller has too much open already."""
        owner = current_caller.get()
        if ctx.request_id is None:
            return await call_next(ctx)
        if self._open[owner] >= MOST_OF_ONE:
            refusal = RateLimited(
                f"this token has {MOST_OF_ONE} requests under way already",
                "wait for some of them to end",
            )
            raise MCPError(code=INTERNAL_ERROR, message=str(refusal))
        with one_more(self._open, owner):
            return await call_next(ctx)


@contextlib.contextmanager
def one_more(counts: Counter[object], owner: object) -> Iterator[None]:
    """Count something of an owner for as long as it lasts; who has nothing takes no room."""
    counts[owner] += 1
    try:
        yield
    finally:
        counts[owner] -= 1
        if not counts[owner]:
            del counts[owner]
