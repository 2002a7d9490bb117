"""What is switched off is off by every door: not listed and not called, whoever limits whom."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent

from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from tests.conftest import ERAS
from tests.http_kit import BEARER, TOKEN, served

ADD = {"version_id": world.DEMO_LORA_VERSION}


@dataclass(frozen=True)
class Limit:
    """One way to allow less, a call that it refuses and how, and one that it allows."""

    refused: tuple[str, dict[str, Any]]
    code: str
    allowed: str
    server: dict[str, Any] = field(default_factory=dict)
    token: str = ""


LIMITS = {
    "the server is read-only": Limit(
        ("add_to_catalog", ADD), "read_only", "list_catalog", server={"read_only": True}
    ),
    "the server has few sets": Limit(
        ("list_catalog", {}), "not_configured", "list_enums", server={"toolsets": ("browse",)}
    ),
    "the token is read-only": Limit(
        ("add_to_catalog", ADD), "read_only", "list_catalog", token="read-only"
    ),
    "the token has few sets": Limit(
        ("list_catalog", {}), "forbidden", "list_enums",
        server={"toolsets": ("all",)}, token="toolsets=browse",
    ),
}  # fmt: skip
ROUTES = {
    "add_to_catalog": ("POST", f"/api/admin/civitai/add/{world.DEMO_LORA_VERSION}"),
    "list_catalog": ("GET", "/api/admin/models/civitai-map"),
}


def as_process(settings: Settings) -> StdioServerParameters:
    flags = ["--toolsets", ",".join(settings.toolsets)]
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "civit_mcp", "serve", *flags, *(["--read-only"] * settings.read_only)],
        env={
            "CIVITAI_API_URL": settings.civitai_url,
            "CIVIT_MCP_CATALOG_DIR": str(settings.catalog_dir),
            "CIVIT_MCP_CACHE_DIR": str(settings.cache_dir),
        },
    )


@asynccontextmanager
async def over(wire: str, settings: Settings, base: str, era: str) -> AsyncIterator[Client]:
    match wire:
        case "stdio":
            async with Client(as_process(settings), mode=era) as client:
                yield client
        case "sse":
            async with Client(sse_client(f"{base}/sse", headers=BEARER), mode=era) as client:
                yield client
        case _:
            async with httpx2.AsyncClient(headers=BEARER, timeout=30) as http:
                stream = streamable_http_client(f"{base}/mcp", http_client=http)
                async with Client(stream, mode=era) as client:
                    yield client


@pytest.fixture(params=LIMITS)
def limit(request: pytest.FixtureRequest) -> Limit:
    return LIMITS[request.param]


@pytest.fixture
def limited(limit: Limit, settings: Settings, tmp_path: Path) -> Settings:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN} {limit.token}\n", "utf-8")
    return settings.model_copy(update={"token_file": tokens, **limit.server})


@pytest.fixture
def base(limited: Settings) -> Iterator[str]:
    with served(limited) as address:
        yield address


async def test_what_is_switched_off_is_neither_listed_nor_called_by_any_door(
    limit: Limit, limited: Settings, base: str
) -> None:
    tool, arguments = limit.refused
    # over stdio there are no tokens
    wires = ("http", "sse") if limit.token else ("stdio", "http", "sse")
    for wire in wires:
        for era in ERAS:
            async with over(wire, limited, base, era) as client:
                listed = {tool.name for tool in (await client.list_tools()).tools}
                refused = await client.call_tool(tool, arguments)
                allowed = await client.call_tool(limit.allowed, {})
            assert tool not in listed, (wire, era)
            assert limit.allowed in listed, (wire, era)
            assert isinstance(refused.content[0], TextContent)
            assert refused.content[0].text.startswith(f"[{limit.code}] "), (wire, era)
            assert refused.is_error, (wire, era)
            assert not allowed.is_error, (wire, era)

    method, path = ROUTES[tool]
    async with httpx.AsyncClient(base_url=base, headers=BEARER) as http:
        by_rest = await http.request(method, path)
    assert (by_rest.status_code, by_rest.json()["code"]) == (403, limit.code)
    assert not limited.catalog_dir.exists()


@pytest.mark.parametrize("wire", ["http", "sse"])
async def test_what_one_token_may_not_another_may(
    settings: Settings, tmp_path: Path, wire: str, era: str
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\nthe-token-of-a-reader name=reader read-only  # looks\n", "utf-8")
    with served(settings.model_copy(update={"token_file": tokens})) as base:
        async with over(wire, settings, base, era) as client:
            listed = {tool.name for tool in (await client.list_tools()).tools}
            allowed = await client.call_tool("add_to_catalog", ADD)

    assert "add_to_catalog" in listed
    assert allowed.structured_content is not None
    assert allowed.structured_content["status"] == "added"
