"""What the tests over HTTP share: the app on a real port, raw sockets, clients of every kind."""

import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import uvicorn
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr
from starlette.routing import Mount, Route

from civit_mcp.app import CivitServer
from civit_mcp.config import Settings
from civit_mcp.server import create_server
from civit_mcp.web import Access, Places, create_app
from civit_mcp.web.running import configured

TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
#: the second token of a server that two share
OTHER = "the-token-of-another"
#: what a POST to /mcp needs besides a token
JSON = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
OLD = "2025-06-18"
NEW = "2026-07-28"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def served(
    settings: Settings,
    *,
    origins: tuple[str, ...] = (),
    server: CivitServer | None = None,
    places: Places | None = None,
) -> Iterator[str]:
    """Run the real app on a real port in a thread; gives its base address."""
    server = server or create_server(settings)
    access = Access.from_settings(settings)
    config = configured(
        create_app(server, access, places or Places(origins=origins)),
        host="127.0.0.1", port=0, log_level=settings.log_level,
    )  # fmt: skip
    config.timeout_graceful_shutdown = 1
    running = uvicorn.Server(config)
    ready = threading.Event()
    startup = running.startup

    async def announced(sockets: Any = None) -> None:
        await startup(sockets)
        ready.set()

    running.startup = announced  # type: ignore[method-assign]
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        assert ready.wait(10)
        port = running.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def without_civitai(folder: Path) -> Settings:
    """Settings of a server that is asked nothing about CivitAI, for a whole file of tests."""
    return Settings(
        civitai_url="http://127.0.0.1:9",
        catalog_dir=folder / "catalog",
        cache_dir=folder / "cache",
        models_root=folder / "models",
        token=SecretStr(TOKEN),
    )


def every_route(settings: Settings) -> list[tuple[str, str]]:
    """Method and address of every route there is, so that a new one is not forgotten."""
    every = settings.model_copy(update={"metrics": True})
    app = create_app(create_server(every), Access((), open_to_all=True), Places())
    found = []
    for route in app.routes:
        path = re.sub(r"\{[^}]+\}", "1", getattr(route, "path", ""))
        if isinstance(route, Mount):
            found.append(("POST", f"{path}/x"))
        elif isinstance(route, Route):
            found += [(method, path) for method in route.methods or {"GET", "POST", "DELETE"}]
    return found


@contextmanager
def connected(base: str) -> Iterator[socket.socket]:
    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        yield wire


def head(method: str, path: str, *lines: str, token: str = TOKEN) -> bytes:
    """The head of a request with a right Host and token, and whatever else."""
    words = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
    return "\r\n".join([*words, *lines, "", ""]).encode("latin-1")


def heard(wire: socket.socket) -> tuple[bytes, bool]:
    """What comes until the server hangs up or has said nothing for a second, and which it was."""
    wire.settimeout(1)
    answer = b""
    try:
        while piece := wire.recv(65536):
            answer += piece
    except TimeoutError:
        return answer, False
    except ConnectionError:
        pass
    return answer, True


def everything(wire: socket.socket) -> bytes:
    """What comes, however it ends."""
    return heard(wire)[0]


def sse_place(wire: socket.socket) -> str:
    """Where the messages of an open SSE stream go."""
    text = b""
    while not (found := re.search(rb"/messages/\?session_id=\w+", text)):
        text += wire.recv(1000)
    return found.group().decode()


async def call_over(
    base: str, transport: str, era: str, tool: str, arguments: dict[str, Any], **headers: str
) -> Any:
    sent = {**BEARER, **headers}
    if transport == "sse":
        async with Client(sse_client(f"{base}/sse", headers=sent), mode=era) as client:
            return await client.call_tool(tool, arguments)
    async with httpx2.AsyncClient(headers=sent, timeout=30) as http:
        wire = streamable_http_client(f"{base}/mcp", http_client=http)
        async with Client(wire, mode=era) as client:
            return await client.call_tool(tool, arguments)


@asynccontextmanager
async def visitor(base: str) -> AsyncIterator[Client]:
    """One client over Streamable HTTP, for many questions."""
    async with httpx2.AsyncClient(headers=BEARER, timeout=60) as http:
        wire = streamable_http_client(f"{base}/mcp", http_client=http)
        async with Client(wire) as client:
            yield client


async def post(address: str, headers: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.post(address, headers=headers)


def initialize() -> dict[str, Any]:
    return {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": OLD, "capabilities": {},
            "clientInfo": {"name": "raw", "version": "1"},
        },
    }  # fmt: skip


def handshake(base: str, token: str) -> httpx.Response:
    return httpx.post(f"{base}/mcp", json=initialize(), headers={**JSON, **bearer(token)})


def modern(method: str, **params: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and body of a request of the modern era, which needs no session."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {**JSON, "MCP-Protocol-Version": NEW, "Mcp-Method": method}
    if "name" in params or "uri" in params:
        headers["Mcp-Name"] = str(params.get("name", params.get("uri")))
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    return headers, body


def start_process(settings: Settings, *flags: str) -> subprocess.Popen[str]:
    """The program itself, over HTTP on a free port."""
    command = [
        sys.executable, "-m", "civit_mcp", "serve", "--transport", "http", "--port", "0",
        "--catalog-dir", str(settings.catalog_dir), "--cache-dir", str(settings.cache_dir),
        "--civitai-url", settings.civitai_url, *flags,
    ]  # fmt: skip
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def running_process(settings: Settings, *flags: str) -> Iterator[tuple[str, int]]:
    """Base address and id of the program in a process of its own; ends it."""
    with start_process(settings, *flags) as process:
        try:
            assert process.stderr is not None
            yield process.stderr.readline().split()[2].removesuffix("/mcp"), process.pid
        finally:
            process.terminate()
            try:
                process.communicate(timeout=10)
            finally:
                # no server outlives its test, however stuck it is
                process.kill()
