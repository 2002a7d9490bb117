"""Real clients of either era over every wire, for tests of what goes back and forth in a call."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr

from civit_mcp.config import Settings
from tests.conftest import Assistant
from tests.http_kit import BEARER, TOKEN, served

#: both wires that an HTTP client may speak
WIRES = ("http", "sse")


@contextmanager
def at_address(settings: Settings, **changes: Any) -> Iterator[str]:
    """Serve every tool on a real port to whoever has the tests' token."""
    chosen = {"token": SecretStr(TOKEN), "toolsets": ("all",), **changes}
    with served(settings.model_copy(update=chosen)) as base:
        yield base


@asynccontextmanager
async def over(
    wire: str, base: str, era: str, *, headers: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[Assistant]:
    """A client of the server at `base`; `options` are the client's own."""
    sent = BEARER | (headers or {})
    if wire == "sse":
        async with Client(sse_client(f"{base}/sse", headers=sent), mode=era, **options) as client:
            yield Assistant(client)
        return
    async with httpx2.AsyncClient(headers=sent, timeout=30) as http:
        stream = streamable_http_client(f"{base}/mcp", http_client=http)
        async with Client(stream, mode=era, **options) as client:
            yield Assistant(client)


async def listen_once(client: Client, era: str, uri: str = "catalog://models.json") -> None:
    """Begin to listen to a resource, and end it."""
    if era == "legacy":
        await client.subscribe_resource(uri)
        await client.unsubscribe_resource(uri)
    else:
        async with client.listen(resource_subscriptions=[uri]):
            pass
