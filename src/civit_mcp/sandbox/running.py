"""Starting and stopping the stand-in, inside a test or as a program of its own."""

import asyncio
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from uvicorn import Config, Server

from civit_mcp.errors import Conflict, NotConfigured
from civit_mcp.sandbox.call import SANDBOX_KEY
from civit_mcp.sandbox.scenarios import Switchboard, parse
from civit_mcp.sandbox.store import Store
from civit_mcp.sandbox.wire import Desk, Port, Scope, SeenRequest

HOST: Final = "127.0.0.1"
BUNDLED: Final = Path(__file__).with_name("data")
_START_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 2.0


class Sandbox:
    """A running stand-in, seen from another thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.base_url = desk.base_url
        self.storage_url = desk.storage_url

    @property
    def seen(self) -> list[SeenRequest]:
        """Requests in the order of their arrival, both ports."""
        return self._desk.seen

    @property
    def max_in_flight(self) -> int:
        """Most API requests at one time since `clear`."""
        return self._desk.max_in_flight

    def clear(self) -> None:
        """Forget the requests seen so far, and what they put into the vault."""
        self._desk.clear()

    def use(self, *scenarios: str) -> None:
        """Replace the active scenarios; unknown names raise `BadReference`."""
        self._desk.switchboard.use(scenarios)


@contextmanager
def running_sandbox(
    *,
    port: int = 0,
    data: Path | None = None,
    scenarios: Sequence[str] = (),
    latency: float = 0.0,
    api_key: str | None = SANDBOX_KEY,
) -> Iterator[Sandbox]:
    """Run the stand-in in a thread of its own; it answers as soon as the block begins.

    `port` 0 takes a free one; `latency` is in seconds; `api_key` is the key it accepts, None
    for no key at all. A taken port raises `Conflict`, a missing `data` folder `NotConfigured`.
    """
    parse(scenarios)
    store, sockets = Store(_folder(data)), _sockets(port)
    ready = threading.Event()
    desks: list[Desk] = []
    failures: list[BaseException] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def live() -> None:
        desk = Desk(
            store=store, switchboard=Switchboard(scenarios), api_key=api_key, latency=latency
        )
        async with _serving(desk, sockets):
            loops.append(asyncio.get_running_loop())
            desks.append(desk)
            ready.set()
            await desk.closing.wait()

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for us
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="civitai-sandbox", daemon=True)
    thread.start()
    try:
        if not ready.wait(_START_SECONDS) or not desks:
            cause = failures[0] if failures else None
            raise NotConfigured("the stand-in did not start") from cause
        yield Sandbox(desks[0])
    finally:
        if desks and not loops[0].is_closed():
            loops[0].call_soon_threadsafe(desks[0].closing.set)
        thread.join(_START_SECONDS)
    if failures:
        raise failures[0]


async def serve_forever(
    *,
    port: int,
    data: Path | None,
    scenarios: Sequence[str],
    latency: float,
    announce: Callable[[str], None],
) -> None:
    """Run the stand-in until SIGINT, SIGTERM or cancellation.

    `announce` gets the base URL once both ports listen. Errors as in `running_sandbox`.
    """
    desk = Desk(
        store=Store(_folder(data)),
        switchboard=Switchboard(scenarios),
        api_key=SANDBOX_KEY,
        latency=latency,
    )
    async with _serving(desk, _sockets(port)):
        with _signals(desk.closing.set):
            announce(desk.base_url)
            await desk.closing.wait()


@asynccontextmanager
async def _serving(desk: Desk, sockets: tuple[socket.socket, socket.socket]) -> AsyncIterator[None]:
    """Both ports listen inside the block."""
    desk.base_url, desk.storage_url = (f"http://{HOST}:{s.getsockname()[1]}" for s in sockets)
    servers = []
    try:
        for role, sock in zip(("api", "storage"), sockets, strict=True):
            port = Port(desk, "api" if role == "api" else "storage")
            config = Config(
                port,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                proxy_headers=False,
                timeout_keep_alive=60,
            )
            config.load()
            server = Server(config)
            server.lifespan = config.lifespan_class(config)
            await server.startup(sockets=[sock])
            servers.append(server)
        desk.hang_up = lambda scope, flush: _hang_up(servers, scope, flush=flush)
        yield
    finally:
        desk.closing.set()
        await _stop(servers)
        # listeners close the sockets they got; these are for a start that failed half-way
        for sock in sockets:
            sock.close()


async def _stop(servers: list[Server]) -> None:
    """Close everything now. The server's own way waits for peers; tests cannot."""
    for server in servers:
        for listener in server.servers:
            listener.close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()
    tasks = [task for server in servers for task in server.server_state.tasks]
    if tasks:
        _, pending = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    # transports report their end in the next turns of the loop
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _hang_up(servers: list[Server], scope: Scope, *, flush: bool) -> None:
    for server in servers:
        for connection in list(server.server_state.connections):
            transport = connection.transport
            same = transport.get_extra_info("peername")[:2] == scope["client"]
            if same and flush:
                transport.close()
            elif same:
                transport.abort()


def _folder(data: Path | None) -> Path:
    folder = data or BUNDLED
    if not folder.is_dir():
        raise NotConfigured(
            f"there is no folder '{folder}' with recorded answers", "name a folder that exists"
        )
    return folder


def _sockets(port: int) -> tuple[socket.socket, socket.socket]:
    # the protocol is named because asyncio turns delays off only for sockets that name it
    kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    api = socket.socket(*kind)
    api.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        api.bind((HOST, port))
    except (OSError, OverflowError) as error:
        api.close()
        raise Conflict(
            f"port {port} of {HOST} cannot be used: {error}",
            "choose another port, or 0 for a free one",
        ) from error
    storage = socket.socket(*kind)
    storage.bind((HOST, 0))
    for sock in (api, storage):
        sock.setblocking(False)
    return api, storage


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Stop on the signals that end programs, where the system lets a loop hear them."""
    loop, heard = asyncio.get_running_loop(), []
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except (NotImplementedError, ValueError, RuntimeError):
            # Windows, or not the main thread: the caller cancels us instead
            continue
        heard.append(number)
    try:
        yield
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
