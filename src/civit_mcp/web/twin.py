"""The admin routes that tools for ComfyUI Studio already speak.

The same use cases as the tools, in that API's shapes: the raw envelope is part of the answer,
a dependency has its kind as `type`, errors are `{"detail": ...}`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import anyio
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from civit_mcp.app import CivitServer, audit_write, caller_of
from civit_mcp.errors import CivitError

logger = logging.getLogger(__name__)
PREFIX: Final = "/api/admin"
_STATUS: Final = {
    "bad_reference": 422, "not_found": 404, "gone": 404, "restricted": 403, "above_level": 403,
    "unauthorized": 502, "forbidden": 502, "rate_limited": 429, "upstream_unavailable": 502,
    "upstream_changed": 502, "not_a_lora": 400, "conflict": 409, "catalog_unreadable": 500,
    "catalog_locked": 503, "read_only": 403, "not_configured": 503, "offline": 503,
    "too_large": 413,
}  # fmt: skip
#: whoever asked has hung up
_LEFT: Final = 499
Answered = tuple[Response, Mapping[str, Any]]
Handler = Callable[[Request], Awaitable[Answered]]
Endpoint = Callable[[Request], Awaitable[Response]]
#: tool, outcome, seconds, answer
OnCall = Callable[[str, str, float, Mapping[str, Any] | None], None]


def routes(server: CivitServer, *, on_call: OnCall | None = None) -> list[Route]:
    """The four routes, each another door to one of the tools, with that tool's limits."""
    twin = _Twin(server)
    table: tuple[tuple[str, str, str, Handler], ...] = (
        ("GET", "civitai/image/{image_id}", "get_generation_data", twin.image),
        ("POST", "civitai/add/{version_id}", "add_to_catalog", twin.add),
        ("POST", "civitai/promote-to-lora/{version_id}", "promote_to_lora", twin.promote),
        ("GET", "models/civitai-map", "list_catalog", twin.map),
    )
    return [
        Route(f"{PREFIX}/{path}", _coded(server, tool, handler, on_call), methods=[method])
        for method, path, tool, handler in table
    ]


def _coded(server: CivitServer, tool: str, handler: Handler, on_call: OnCall | None) -> Endpoint:
    async def answer(request: Request) -> Response:
        started = time.perf_counter()
        wrote: Mapping[str, Any] = {}
        outcome = "fault"
        try:
            try:
                server.must_allow(tool, caller_of(request))
            except CivitError as error:
                outcome = error.code
                return _refusal(error, 403)
            with server.app.serving(request):
                response, wrote = await _while_there(request, handler)
            outcome = _outcome(response.status_code)
        except CivitError as error:
            outcome = error.code
            return _refusal(error, _STATUS[error.code])
        except asyncio.CancelledError:
            outcome = "cut_off"
            raise
        finally:
            if on_call is not None:
                on_call(tool, outcome, time.perf_counter() - started, wrote)
        if wrote.get("change_id"):
            server.live.changed()
        caller = caller_of(request)
        if caller is not None:
            audit_write(tool, caller, wrote)
        return response

    return answer


async def _while_there(request: Request, handler: Handler) -> Answered:
    """Answer for as long as the caller waits; a write that has begun is brought to its end."""
    if request.method != "GET":
        return await handler(request)
    # nobody reads this one
    answered: Answered = Response(status_code=_LEFT), {}
    refused: CivitError | None = None

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        try:
            answered = await handler(request)
        except CivitError as error:
            refused = error
        group.cancel_scope.cancel()
    if refused is not None:
        raise refused
    return answered


def _outcome(status: int) -> str:
    if status == _LEFT:
        return "cut_off"
    return "answered" if status < 400 else "bad_reference"


def _refusal(error: CivitError, status: int) -> Response:
    logger.info("refused: %s", error.code)
    body = {"detail": error.what, "code": error.code, "next": error.next_step}
    return JSONResponse(body, status)


class _Twin:
    """One method a route; each gives the response, and the answer of what it wrote."""

    def __init__(self, server: CivitServer) -> None:
        self._app = server.app

    async def image(self, request: Request) -> Answered:
        from civit_mcp.usecases import generation

        image_id = _whole_number(request, "image_id")
        if isinstance(image_id, Response):
            return image_id, {}
        desk = self._app.desk_now()
        answer = await generation.get_generation_data(desk, image_id, include_raw=True)
        body = answer.model_dump(mode="json")
        for dep in body["detected_deps"]:
            dep["type"] = dep["kind"]
            if "civitai_version_id" in dep:
                base = self._app.settings.civitai_url
                dep["civitai_download_url"] = (
                    f"{base}/api/download/models/{dep['civitai_version_id']}"
                )
        return JSONResponse(body), {}

    async def add(self, request: Request) -> Answered:
        from civit_mcp.usecases import shelving

        version_id = _whole_number(request, "version_id")
        if isinstance(version_id, Response):
            return version_id, {}
        desk = self._app.desk_now()
        return _wrote(await shelving.add_to_catalog(desk, version_id, None, dry_run=False))

    async def promote(self, request: Request) -> Answered:
        from civit_mcp.usecases import shelving

        version_id = _whole_number(request, "version_id")
        if isinstance(version_id, Response):
            return version_id, {}
        desk = self._app.desk_now()
        return _wrote(await shelving.promote_to_lora(desk, version_id, dry_run=False))

    async def map(self, request: Request) -> Answered:
        from civit_mcp.usecases import inventory

        del request
        return JSONResponse(await inventory.civitai_map(self._app.desk_now())), {}


def _wrote(answer: BaseModel) -> Answered:
    body: dict[str, Any] = answer.model_dump(mode="json")
    return JSONResponse(body), body


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
