"""uvicorn around the app: the banner at the start, the stop within three seconds."""

import sys
from typing import Final

import uvicorn
from starlette.applications import Starlette

from civit_mcp.app import CivitServer
from civit_mcp.config import LogLevel, is_loopback
from civit_mcp.errors import NotConfigured
from civit_mcp.web.access import Access
from civit_mcp.web.app import create_app
from civit_mcp.web.gate import Places, origins_of
from civit_mcp.web.patience import PatientProtocol
from civit_mcp.web.sessions import Held

#: seconds that open streams get when the server is told to stop
GRACE: Final = 2
#: requests at once, streams among them; more are answered 503
MOST_CONNECTIONS: Final = 2000


def serve(server: CivitServer, *, host: str, port: int, no_auth: bool) -> int:
    """Serve until a signal; returns the exit code.

    Raises:
        NotConfigured: the address must not be served like that.
    """
    settings = server.app.settings
    local = is_loopback(host)
    if no_auth and not local:
        raise NotConfigured(
            f"--no-auth on '{host}' would let everyone in", "use --host 127.0.0.1, or a token"
        )
    hosts = settings.allowed_hosts or ((host,) if host not in ("0.0.0.0", "::") else ())  # noqa: S104 - compared, not bound
    if not local and not hosts:
        raise NotConfigured(
            f"'{host}' is every address of this machine, so the names it goes by must be told",
            "set CIVIT_MCP_ALLOWED_HOSTS, such as mcp.example.com",
        )
    access = Access.from_settings(settings, no_auth=no_auth)
    places = Places(hosts, origins_of(settings.allowed_origins), local=local)
    app = create_app(server, access, places)
    config = configured(app, host=host, port=port, log_level=settings.log_level)
    running = _Announced(config, access, places, app.state.held)
    running.run()
    return 0 if running.started else 1


def configured(app: Starlette, *, host: str, port: int, log_level: LogLevel) -> uvicorn.Config:
    """What holds for every connection."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level=log_level.lower(),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=30,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=64 * 1024,
        http=PatientProtocol,
        log_config=None,
    )


class _Announced(uvicorn.Server):
    """Prints where it is once it really listens."""

    def __init__(self, config: uvicorn.Config, access: Access, places: Places, held: Held) -> None:
        super().__init__(config)
        self._access = access
        self._places = places
        self._held = held

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        self._held.end_streams()
        await super().shutdown(sockets)  # type: ignore[arg-type]

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
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
