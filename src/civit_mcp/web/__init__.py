"""The server over HTTP: one ASGI app for every transport, behind one gate.

app      routes: /mcp, /sse + /messages/, the REST twin, /healthz, /readyz, /metrics
gate     what every request passes before a route sees it
access   who may call, and what a token allows
sessions, calls   how much of everything one token may hold
twin     the admin routes that ComfyUI Studio's tools speak, over the same use cases
metrics  figures for a scraper, when they are wanted
running  uvicorn, the start banner, the graceful stop
patience, endings   how connections and streams end
"""

from civit_mcp.web.access import Access, Caller
from civit_mcp.web.app import create_app
from civit_mcp.web.gate import Places
from civit_mcp.web.running import serve

__all__ = ["Access", "Caller", "Places", "create_app", "serve"]
