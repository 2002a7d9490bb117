"""The tRPC addresses: envelopes, batches and the origin gate."""

import json
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from civit_mcp.sandbox import devalue
from civit_mcp.sandbox.call import PRIVATE_CACHE, TRPC_CACHE, Call, Reply
from civit_mcp.sandbox.outcome import ProcedureError, Result, zod
from civit_mcp.sandbox.procedures import PROCEDURES
from civit_mcp.sandbox.store import Json, extra, is_id

_CODES: Final = {
    "PARSE_ERROR": (400, -32700),
    "BAD_REQUEST": (400, -32600),
    "UNAUTHORIZED": (401, -32001),
    "NOT_FOUND": (404, -32004),
    "METHOD_NOT_SUPPORTED": (405, -32005),
    "UNSUPPORTED_MEDIA_TYPE": (415, -32015),
}
_GATE: Final = "Please use the public API instead: https://developer.civitai.com/"
_SITES: Final = ("civitai.com", "civitai.red", "civitai.green", "civitai.blue")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_DATES: Final = ("createdAt", "publishedAt", "scannedAt")


def trpc(call: Call, names: str) -> Reply:
    """Answer `/api/trpc/<name>[,<name>]`."""
    batch = call.one("batch") is not None
    asked = names.split(",") if batch else [names]
    members = [_member(call, name, index, batch=batch) for index, name in enumerate(asked)]
    statuses = {status for status, _ in members}
    status = statuses.pop() if len(statuses) == 1 else 207
    body = [part for _, part in members] if batch else members[0][1]
    cached = status == 200 and not call.session
    return Reply(
        status=status,
        payload=body,
        headers={"cache-control": TRPC_CACHE if cached else PRIVATE_CACHE},
    )


def _member(call: Call, name: str, index: int, *, batch: bool) -> tuple[int, Json]:
    try:
        _enter(call)
        result = _run(call, name, _input(call, str(index) if batch else None))
    except ProcedureError as error:
        status, code = _CODES[error.code]
        data = {"code": error.code, "httpStatus": status, "path": name}
        return status, _refused(call, {"message": error.message, "code": code, "data": data})
    return 200, _answered(call, result)


def _enter(call: Call) -> None:
    if not _may_enter(call):
        raise ProcedureError("UNAUTHORIZED", _GATE)


def _may_enter(call: Call) -> bool:
    """The origin gate: a page of the site, or a valid key in the header."""
    if "origin-gate-off" in call.scenarios or call.bearer:
        return True
    for name in ("origin", "referer"):
        value = call.headers.get(name)
        if value:
            try:
                host = (urlsplit(value).hostname or "").casefold()
            except ValueError:
                return False
            site = any(host == each or host.endswith(f".{each}") for each in _SITES)
            return site or host in _LOOPBACK
    return False


def _input(call: Call, member: str | None) -> Any:
    """The procedure's input, out of its superjson wrapper."""
    if call.method == "POST":
        if "application/json" not in call.headers.get("content-type", ""):
            raise ProcedureError("UNSUPPORTED_MEDIA_TYPE", "Unsupported content-type")
        text = call.body.decode("utf-8", errors="replace")
    elif call.method in ("GET", "HEAD"):
        text = call.one("input") or ""
    else:
        raise ProcedureError("METHOD_NOT_SUPPORTED", f"Unsupported {call.method}-request")
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProcedureError("PARSE_ERROR", f"Unexpected token in JSON: {error}") from None
    if member is not None:
        value = value.get(member) if isinstance(value, dict) else None
    if isinstance(value, str):
        raise ProcedureError("PARSE_ERROR", "Unexpected text where an object was expected")
    if not isinstance(value, dict) or not isinstance(value.get("json"), dict):
        return None
    found = dict(value["json"])
    values = extra(extra(value, "meta"), "values")
    for key, kind in values.items():
        if kind == ["undefined"]:
            found.pop(key, None)
    return found


def _run(call: Call, name: str, given: Any) -> Result:
    procedure = PROCEDURES.get(name)
    wanted = given.get("id") if isinstance(given, dict) else None
    recorded = call.store.envelope(name, wanted) if is_id(wanted) else None
    if recorded is not None:
        return Result(output=None, envelope=recorded)
    if procedure is None:
        raise ProcedureError("NOT_FOUND", f'No procedure found on path "{name}"')
    if given is None:
        raise zod([], "object", "undefined")
    return procedure(call, given)


def _answered(call: Call, result: Result) -> Json:
    envelope = result.envelope
    if envelope is None:
        data: Json = {"json": result.output}
        if result.undefined:
            data["meta"] = {"values": {name: ["undefined"] for name in result.undefined}}
        envelope = {"result": {"data": data}}
    if not {"devalue", "bare-trpc"} & call.scenarios:
        return envelope
    data = extra(extra(envelope, "result"), "data")
    output = data.get("json", data)
    if "devalue" not in call.scenarios:
        return {"result": {"data": output}}
    gone = tuple(extra(extra(data, "meta"), "values")) or result.undefined
    return {"result": {"data": devalue.dumps(_for_devalue(output, gone))}}


def _refused(call: Call, error: Json) -> Json:
    if "devalue" in call.scenarios:
        return {"error": devalue.dumps(error)}
    return {"error": error if "bare-trpc" in call.scenarios else {"json": error}}


def _for_devalue(value: Any, gone: tuple[str, ...] = ()) -> Any:
    """Put back what JSON lost: undefined and dates."""
    if isinstance(value, list):
        return [_for_devalue(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, item in value.items():
        if key in gone and item is None:
            made[key] = devalue.UNDEFINED
        elif key in _DATES and isinstance(item, str):
            made[key] = _date(item)
        else:
            made[key] = item if key == "meta" else _for_devalue(item)
    return made


def _date(text: str) -> Any:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text
