"""uvicorn around the app: the banner at the start, the stop within three seconds."""

import asyncio
import logging
import os
import sys
from typing import Final

import uvicorn
from starlette.applications import Starlette

from civit_mcp.app import CivitServer
from civit_mcp.config import LogLevel, is_every_address, is_loopback
from civit_mcp.errors import NotConfigured
from civit_mcp.web.access import Access
from civit_mcp.web.app import create_app
from civit_mcp.web.gate import Places, origins_of
from civit_mcp.web.patience import PatientProtocol

#: seconds that requests get to be answered when the server is told to stop
GRACE: Final = 1.0
#: seconds until connections are cut that would not end even then
_CUT: Final = 2
#: connections at once; a request on one more is answered 503. Idle ones make room before that
MOST_CONNECTIONS: Final = 2000


def serve(server: CivitServer, *, host: str, port: int, no_auth: bool) -> int:
    """Serve until a signal; returns the exit code.

    Raises:
        NotConfigured: the address must not be served like that.
    """
    settings = server.app.settings
    local = is_loopback(host)
    try:
        everywhere = not local and is_every_address(host)
    except ValueError:
        raise NotConfigured(
            f"'{host}' is no address to listen on",
            "use --host with an address of this machine, such as 127.0.0.1",
        ) from None
    if no_auth and not local:
        raise NotConfigured(
            f"--no-auth on '{host}' would let everyone in", "use --host 127.0.0.1, or a token"
        )
    hosts = settings.allowed_hosts or (() if everywhere else (host,))
    if not hosts:
        raise NotConfigured(
            f"'{host}' is every address of this machine, so the names it goes by must be told",
            "set CIVIT_MCP_ALLOWED_HOSTS, such as mcp.example.com",
        )
    access = Access.from_settings(settings, no_auth=no_auth)
    places = Places(hosts, origins_of(settings.allowed_origins), local=local)
    app = create_app(server, access, places)
    config = configured(app, host=host, port=port, log_level=settings.log_level)
    running = _Announced(config, access, places, app)
    running.run()
    return 0 if running.started else 1


def configured(app: Starlette, *, host: str, port: int, log_level: LogLevel) -> uvicorn.Config:
    """What holds for every connection."""
    # what strangers send is no news, unless the operator looks for it
    level = "ERROR" if log_level == "WARNING" else log_level
    logging.getLogger("mcp.server.sse").setLevel(level)
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        # a start that fails is a failure, not an app without a start
        lifespan="on",
        log_level=level.lower(),
        access_log=False,
        # who a peer says it speaks for is nobody's business here; uvicorn would believe it
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_CUT,
        timeout_keep_alive=30,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=64 * 1024,
        http=PatientProtocol,
        log_config=None,
    )


def _no_bare_fault(record: logging.LogRecord) -> bool:
    return not isinstance(record.msg, OSError)


def _reason(fault: OSError) -> str:
    """A short one: asyncio's own repeats the address, and a name of nobody has no number."""
    number = fault.errno or 0
    return os.strerror(number) if number > 0 else str(fault.strerror or fault)


class _Announced(uvicorn.Server):
    """Prints where it is once it really listens."""

    def __init__(
        self, config: uvicorn.Config, access: Access, places: Places, app: Starlette
    ) -> None:
        super().__init__(config)
        self._access = access
        self._places = places
        self._app = app

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        # that a caller who is cut off cannot be told so is no news
        logging.getLogger("mcp.shared.jsonrpc_dispatcher").setLevel(logging.ERROR)
        self._app.state.held.streaming.end()
        ending = asyncio.get_running_loop().call_later(GRACE, self._app.state.under_way.end)
        await super().shutdown(sockets)  # type: ignore[arg-type]
        ending.cancel()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        log = logging.getLogger("uvicorn.error")
        # it would log why it cannot listen, and leave with a code of its own
        log.addFilter(_no_bare_fault)
        try:
            await super().startup(sockets)  # type: ignore[arg-type]
        except SystemExit as leaving:
            fault = leaving.__context__
            if not isinstance(fault, OSError):
                raise
            raise NotConfigured(
                f"port {self.config.port} of '{self.config.host}' cannot be listened on"
                f" ({_reason(fault)})",
                "choose another with --port or --host; --port 0 takes a free one",
            ) from None
        finally:
            log.removeFilter(_no_bare_fault)
        if not self.started:
            return
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        if not self._places.local:
            # it listens on every address, but answers to these names only
            host = self._places.hosts[0]
        base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        lines = [f"civit-mcp serves {base}/mcp (older clients: {base}/sse)"]
        if self._access.made is not None:
            lines.append(f"token of this run: {self._access.made}")
            lines.append(
                f"claude mcp add --transport http civit {base}/mcp "
                f'--header "Authorization: Bearer {self._access.made}"'
            )
        elif self._access.open_to_all:
            lines.append("no token is asked for; only this machine can connect")
        print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201 - the banner
