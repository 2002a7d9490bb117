"""Which function answers which address of the API port."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote

from civit_mcp.sandbox.call import Call, Reply, html, refuse
from civit_mcp.sandbox.downloads import download, login
from civit_mcp.sandbox.rest_images import images
from civit_mcp.sandbox.rest_models import models
from civit_mcp.sandbox.rest_other import creators, enums, me, permissions, tags, users
from civit_mcp.sandbox.rest_versions import (
    by_hash,
    by_hash_ids,
    by_hash_many,
    mini,
    model,
    version,
)
from civit_mcp.sandbox.trpc import trpc
from civit_mcp.sandbox.vault import vault

#: how CivitAI treats other verbs: public addresses do not look, the others answer 405
Verbs = Literal["any", "get"]


@dataclass(frozen=True, slots=True)
class Route:
    """One address."""

    pattern: re.Pattern[str]
    answer: Callable[..., Reply]
    verbs: Verbs


def _route(pattern: str, answer: Callable[..., Reply], verbs: Verbs = "any") -> Route:
    return Route(re.compile(pattern), answer, verbs)


_V1: Final = "/api/v1/"
ROUTES: Final = (
    _route(f"{_V1}models/?", models, "get"),
    _route(f"{_V1}models/([^/]+)/?", model),
    _route(f"{_V1}model-versions/by-hash/?", by_hash_many),
    _route(f"{_V1}model-versions/by-hash/ids/?", by_hash_ids),
    _route(f"{_V1}model-versions/by-hash/([^/]+)/?", by_hash),
    _route(f"{_V1}model-versions/mini/([^/]+)/?", mini, "get"),
    _route(f"{_V1}model-versions/([^/]+)/?", version, "get"),
    _route(f"{_V1}images/?", images),
    _route(f"{_V1}creators/?", creators),
    _route(f"{_V1}tags/?", tags),
    _route(f"{_V1}users/?", users),
    _route(f"{_V1}enums/?", enums),
    _route(f"{_V1}permissions/check/?", permissions),
    _route(f"{_V1}me/?", me, "get"),
    _route(f"{_V1}vault/(get|all|check-vault|toggle-version)/?", vault),
    _route("/api/trpc/([^/]+)", trpc),
    _route("/api/download/models/([^/]*)", download),
    _route("/login", login),
)


def answer(call: Call, raw_path: str) -> Reply:
    """Answer a request; `raw_path` is still percent-encoded, so `%2F` stays inside a part."""
    for route in ROUTES:
        matched = route.pattern.fullmatch(raw_path)
        if matched is None:
            continue
        if call.method == "OPTIONS":
            return Reply(text="", media_type="text/plain", headers=_CORS)
        if route.verbs == "get" and call.method not in ("GET", "HEAD"):
            return refuse(405, "Method not allowed")
        return route.answer(call, *map(unquote, matched.groups()))
    return html(404, "404: This page could not be found")


_CORS: Final = {"access-control-allow-origin": "*", "access-control-allow-methods": "*"}
