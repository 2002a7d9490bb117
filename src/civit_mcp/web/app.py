"""The ASGI app: every transport and route around one server, behind one gate."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from civit_mcp import __version__
from civit_mcp.app import CivitServer, chosen_toolsets
from civit_mcp.errors import CivitError
from civit_mcp.web import twin
from civit_mcp.web.access import Access
from civit_mcp.web.calls import Calls
from civit_mcp.web.endings import Endings, UnderWay
from civit_mcp.web.gate import LARGEST_BODY, Doorplate, Gate, Places
from civit_mcp.web.sessions import IDLE, MOST, Held, Sessions

#: the gate has looked at Host and Origin before the SDK would
_CHECKED: Final = TransportSecuritySettings(enable_dns_rebinding_protection=False)


def create_app(server: CivitServer, access: Access, places: Places) -> Starlette:
    """Build the app; one server serves it once. Its `state` knows what is open and under way."""
    streamable = server.streamable_http_app(
        max_request_body_size=LARGEST_BODY,
        max_sessions=MOST,
        session_idle_timeout=IDLE,
        transport_security=_CHECKED,
    )
    legacy = server.sse_app(max_request_body_size=LARGEST_BODY, transport_security=_CHECKED)
    access.warn_of_idle_limits(chosen_toolsets(server.app.settings.toolsets))
    server.add_middleware(Calls())
    held, under_way = Held(), UnderWay()
    metrics = None
    if server.app.settings.metrics:
        from civit_mcp.web.metrics import Metrics

        metrics = Metrics(held, server.tool_names)
        server.add_middleware(metrics.observe)
        server.app.listener = metrics
    own: list[BaseRoute] = [
        Route("/healthz", _healthy, methods=["GET"]),
        Route("/readyz", _readiness(server), methods=["GET"]),
        *([Route("/metrics", metrics.endpoint, methods=["GET"])] if metrics else []),
        *twin.routes(server, on_call=metrics.called if metrics else None),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with server.app.in_use(), server.session_manager.run():
            yield

    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(places.origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        allow_private_network=True,
        expose_headers=["Mcp-Session-Id", "WWW-Authenticate"],
    )
    app = Starlette(
        routes=[*streamable.routes, *legacy.routes, *own],
        # a browser's preflight brings no token, so it is answered between the two checks
        middleware=[
            Middleware(Doorplate, places=places),
            *([cors] if places.origins else []),
            Middleware(Gate, access=access),
            Middleware(Endings, under_way=under_way),
            Middleware(Sessions, held=held, path="/mcp", stream_path="/sse"),
        ],
        exception_handlers={HTTPException: _in_json},
        lifespan=lifespan,
    )
    # a redirect would name the scheme that is spoken here, not the one in front of a proxy
    app.router.redirect_slashes = False
    app.state.held, app.state.under_way = held, under_way
    return app


async def _in_json(_: Request, error: Exception) -> Response:
    """Every refusal has one form, those of the router too."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


async def _healthy(_: Request) -> Response:
    return JSONResponse({"status": "ok", "version": __version__})


def _readiness(server: CivitServer) -> twin.Endpoint:
    async def ready(_: Request) -> Response:
        """Whether the catalog can be read; CivitAI's health is not this server's."""
        try:
            await server.app.desk.snapshot()
        except CivitError as error:
            return JSONResponse({"status": "not ready", "detail": str(error)}, 503)
        return JSONResponse({"status": "ready", "tools": len(await server.list_tools())})

    return ready
