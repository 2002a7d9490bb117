"""tRPC: how a question is put into the address, and what is wrapped around the answer."""

import json
from dataclasses import dataclass
from typing import Any

from civit_mcp.civitai.devalue import undevalue
from civit_mcp.civitai.faults import message_of
from civit_mcp.civitai.jsontext import NotJson
from civit_mcp.models.records import Json


@dataclass(frozen=True, slots=True)
class Opened:
    """A successful envelope: the output, and the whole in its plain form."""

    value: Any
    raw: Json


@dataclass(frozen=True, slots=True)
class Refused:
    """An error envelope."""

    status: int
    message: str


def encode_input(value: Json) -> str:
    """Write the `input` parameter. The HTTP library quotes it, once."""
    return json.dumps({"json": value}, separators=(",", ":"), ensure_ascii=False)


def unwrap(payload: Any) -> Opened | Refused:
    """Open an envelope of any known make. Raises `NotJson` when there is none.

    Accepts a batch of one, data without the superjson level, and data or error as devalue
    text, which is brought into the plain form.
    """
    if isinstance(payload, list) and len(payload) == 1:
        payload = payload[0]
    if not isinstance(payload, dict):
        raise NotJson("something that is no tRPC answer")
    if payload.get("error") is not None:
        return _refused(payload["error"])
    result = payload.get("result")
    if not isinstance(result, dict) or "data" not in result:
        raise NotJson("a tRPC answer without data")
    data = result["data"]
    if isinstance(data, str):
        data = undevalue(data)
    elif _is_superjson(data):
        return Opened(data["json"], payload)
    value = data["json"] if _is_superjson(data) else data
    return Opened(value, {**payload, "result": {**result, "data": {"json": value}}})


def _is_superjson(data: Any) -> bool:
    return isinstance(data, dict) and "json" in data and data.keys() <= {"json", "meta"}


def _refused(error: Any) -> Refused:
    if isinstance(error, str):
        try:
            error = undevalue(error)
        except NotJson:
            return Refused(500, message_of(error))
    inner = error.get("json", error) if isinstance(error, dict) else error
    data = inner.get("data") if isinstance(inner, dict) else None
    status = data.get("httpStatus") if isinstance(data, dict) else None
    if not isinstance(status, int) or isinstance(status, bool) or not 400 <= status <= 599:
        status = 500
    return Refused(status, message_of(inner))
