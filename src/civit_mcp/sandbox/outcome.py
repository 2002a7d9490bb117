"""What a tRPC procedure gives back or refuses with, and how it reads ids."""

import json
import math
from dataclasses import dataclass
from typing import Any

from civit_mcp.sandbox.store import Json


class ProcedureError(Exception):
    """What a procedure refuses with; `code` is tRPC's word for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Output of a procedure; `undefined` names keys that JavaScript would leave out."""

    output: Any
    undefined: tuple[str, ...] = ()
    #: a recorded envelope that replaces the made one
    envelope: Json | None = None


def zod(path: list[str], expected: str, received: str) -> ProcedureError:
    """The refusal of an input that has the wrong type."""
    text = f"Invalid input: expected {expected}, received {received}"
    issue = {"expected": expected, "code": "invalid_type", "path": path, "message": text}
    return ProcedureError("BAD_REQUEST", json.dumps([issue], indent=2))


def read_id(given: Json, name: str = "id") -> int:
    """An id out of the input; a number that cannot be one is 0."""
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        kinds = {str: "string", bool: "boolean", type(None): "undefined", list: "array"}
        raise zod([name], "number", kinds.get(type(value), "object"))
    if not math.isfinite(value):
        raise zod([name], "number", "NaN")
    return int(value) if value == int(value) else 0
