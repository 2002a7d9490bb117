"""The admin routes that tools for ComfyUI Studio already speak.

The same use cases as the tools, in that API's shapes: the raw envelope is part of the answer,
a dependency has its kind as `type`, errors are `{"detail": ...}`.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from civit_mcp.app import App, CivitServer, desk_for, limits_of
from civit_mcp.errors import CivitError, ReadOnly

logger = logging.getLogger(__name__)
#: one line per write, whatever the log level hides
audit = logging.getLogger("civit_mcp.audit")
PREFIX: Final = "/api/admin"
_STATUS: Final = {
    "bad_reference": 422, "not_found": 404, "gone": 404, "restricted": 403, "above_level": 403,
    "unauthorized": 502, "forbidden": 502, "rate_limited": 429, "upstream_unavailable": 502,
    "upstream_changed": 502, "not_a_lora": 400, "conflict": 409, "catalog_unreadable": 500,
    "catalog_locked": 503, "read_only": 403, "not_configured": 503, "offline": 503,
    "too_large": 413,
}  # fmt: skip
Handler = Callable[[Request], Awaitable[Response]]


def routes(server: CivitServer) -> list[Route]:
    """The four routes over one app."""
    twin = _Twin(server)
    table: tuple[tuple[str, str, Handler], ...] = (
        ("GET", f"{PREFIX}/civitai/image/{{image_id}}", twin.image),
        ("POST", f"{PREFIX}/civitai/add/{{version_id}}", twin.add),
        ("POST", f"{PREFIX}/civitai/promote-to-lora/{{version_id}}", twin.promote),
        ("GET", f"{PREFIX}/models/civitai-map", twin.map),
    )
    return [Route(path, _coded(handler), methods=[method]) for method, path, handler in table]


def _coded(handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except CivitError as error:
            logger.info("refused: %s", error.code)
            return JSONResponse(
                {"detail": error.what, "code": error.code, "next": error.next_step},
                _STATUS[error.code],
            )

    return answer


class _Twin:
    def __init__(self, server: CivitServer) -> None:
        self._server = server

    @property
    def _app(self) -> App:
        return self._server.app

    async def image(self, request: Request) -> Response:
        from civit_mcp.usecases import generation

        image_id = _whole_number(request, "image_id")
        if isinstance(image_id, Response):
            return image_id
        answer = await generation.get_generation_data(
            desk_for(self._app, request), image_id, include_raw=True
        )
        body = answer.model_dump(mode="json")
        for dep in body["detected_deps"]:
            dep["type"] = dep["kind"]
            if "civitai_version_id" in dep:
                base = self._app.settings.civitai_url
                dep["civitai_download_url"] = (
                    f"{base}/api/download/models/{dep['civitai_version_id']}"
                )
        return JSONResponse(body)

    async def add(self, request: Request) -> Response:
        from civit_mcp.usecases import shelving

        version_id = _whole_number(request, "version_id")
        if isinstance(version_id, Response):
            return version_id
        self._must_write(request)
        desk = desk_for(self._app, request)
        return self._wrote(await shelving.add_to_catalog(desk, version_id, None, dry_run=False))

    async def promote(self, request: Request) -> Response:
        from civit_mcp.usecases import shelving

        version_id = _whole_number(request, "version_id")
        if isinstance(version_id, Response):
            return version_id
        self._must_write(request)
        desk = desk_for(self._app, request)
        return self._wrote(await shelving.promote_to_lora(desk, version_id, dry_run=False))

    async def map(self, request: Request) -> Response:
        from civit_mcp.usecases import inventory

        return JSONResponse(await inventory.civitai_map(desk_for(self._app, request)))

    def _must_write(self, request: Request) -> None:
        if limits_of(request).read_only or self._app.settings.read_only:
            raise ReadOnly("this call writes, and the server or its token is read-only")

    def _wrote(self, answer: BaseModel) -> Response:
        body: dict[str, Any] = answer.model_dump(mode="json")
        if body.get("change_id"):
            self._server.live.changed()
            audit.warning("%s over REST: %s", body["status"], body["change_id"])
        return JSONResponse(body)


def _whole_number(request: Request, name: str) -> int | Response:
    text = request.path_params[name]
    if text.isascii() and text.isdecimal() and len(text) < 20:
        return int(text)
    problem = {
        "type": "int_parsing",
        "loc": ["path", name],
        "msg": "Input should be a valid integer",
        "input": text[:80],
    }
    return JSONResponse({"detail": [problem]}, 422)
