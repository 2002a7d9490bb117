"""Answers that replace the true one, and edits to the true one."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from civit_mcp.sandbox.call import Call, Reply, html, refuse

_RETRY: Final = "retry-after"
#: keys that some answer of CivitAI has been seen without
_OPTIONAL: Final = frozenset({
    "creator", "description", "stats", "trainedWords", "baseModelType", "publishedAt", "vaeId",
    "tags", "hashes", "hash", "width", "height", "meta", "username", "images", "resources",
    "tools", "techniques", "process", "external", "modelName", "versionName", "strength", "model",
    "scannedAt", "pickleScanResult", "virusScanResult", "fp", "size", "postId", "createdAt",
    "allowCommercialUse", "user", "air", "paidAccess", "usageControl", "availability",
    "modelVersionIds", "baseModel",
})  # fmt: skip
_TEXTS: Final = frozenset({"name", "description", "prompt", "username", "modelName"})
#: escapes that JSON writers make of the marks, and the raw bytes put in their place
_RAW: Final = ((b"\\u0001", b"\x01"), (b"\\u0002", b"\n"), (b"\\u0003", b"\t"))


def instead(call: Call) -> Reply | None:
    """The answer that a scenario gives in place of the true one."""
    for name, answer in _INSTEAD.items():
        if name in call.scenarios:
            return answer(call)
    return None


def _busy(seconds: str) -> Reply:
    text = "Server busy, please retry shortly."
    headers = {_RETRY: seconds, "cache-control": "no-store"}
    return replace(refuse(503, text), headers=headers)


def _date_soon(_call: Call) -> Reply:
    return _busy(format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True))


def _away(call: Call) -> Reply:
    """Another host name, which still leads to the storage port and is seen there."""
    parts = urlsplit(call.storage_url)
    where = parts._replace(netloc=f"localhost:{parts.port}", path="/elsewhere", query="a=1")
    return Reply(status=302, text="", headers={"location": urlunsplit(where)})


def _echo(call: Call) -> Reply:
    key = call.headers.get("authorization") or call.one("token") or call.headers.get("cookie", "")
    return refuse(403, f"The key {key} may not do this", message=f"refused: {key}")


_INSTEAD: Final[dict[str, Callable[[Call], Reply]]] = {
    "unauthorized": lambda _: refuse(401, "Unauthorized"),
    "forbidden-html": lambda _: html(403, "Attention required"),
    "not-found": lambda _: refuse(404, "Model not found"),
    "rate-limit": lambda _: replace(refuse(429, "Too many requests"), headers={_RETRY: "1"}),
    "rate-limit-forever": lambda _: html(429, "Slow down"),
    "page-cap": lambda _: refuse(
        429, "You've requested too many pages, please use cursors instead"
    ),
    "error-500": lambda _: Reply(status=500, text="Internal Server Error", media_type="text/plain"),
    "error-500-once": lambda _: Reply(
        status=500, text="Internal Server Error", media_type="text/plain"
    ),
    "busy": lambda _: _busy("2"),
    "busy-once": lambda _: _busy("1"),
    "busy-retry-date": _date_soon,
    "cloudflare-524": lambda _: html(524, "A timeout occurred"),
    "html-200": lambda _: html(200, "Just a moment"),
    "not-json": lambda _: Reply(text="{this is not JSON"),
    "redirect-away": _away,
    "region-blocked": lambda _: refuse(
        451,
        "Access to this service is not available in your region due to legal restrictions.",
        code="REGION_BLOCKED",
    ),
    "key-echo": _echo,
}


def encode(call: Call, reply: Reply) -> bytes:
    """The body of an answer, with the edits that scenarios ask for."""
    if reply.text is not None:
        return reply.text.encode()
    payload = reply.payload
    if reply.status == 200 and "null-fields" in call.scenarios:
        payload = _nulled(payload)
    if "control-chars" not in call.scenarios:
        return json.dumps(payload, ensure_ascii=False).encode("utf-8", errors="surrogatepass")
    body = json.dumps(_marked(payload), ensure_ascii=False).encode("utf-8", errors="surrogatepass")
    for escaped, raw in _RAW:
        body = body.replace(escaped, raw)
    return body


def _nulled(value: Any) -> Any:
    if isinstance(value, list):
        return [_nulled(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: None if key in _OPTIONAL else _nulled(item) for key, item in value.items()}


def _marked(value: Any, key: str = "") -> Any:
    if isinstance(value, list):
        return [_marked(item, key) for item in value]
    if isinstance(value, dict):
        return {name: _marked(item, name) for name, item in value.items()}
    return f"{value}\x01\x02\x03" if isinstance(value, str) and key in _TEXTS else value
