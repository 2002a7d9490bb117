"""How a place in a listing is spelled, so that nobody takes it for a number to reckon with."""

import base64
import binascii
import json
from typing import Any

from civit_mcp.errors import BadReference


def write(kind: str, *values: str | int | None) -> str:
    """Spell `values` as a cursor of a kind."""
    text = json.dumps([kind, *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(kind: str, cursor: str, tool: str) -> list[Any]:
    """Read what `write` wrote. How many values there are, and which, is for the caller to check.

    Raises:
        BadReference: `tool` never gave out such a text, as far as can be seen here.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
    except (ValueError, binascii.Error, RecursionError):
        raise foreign(tool) from None
    if isinstance(found, list) and found[:1] == [kind]:
        return found[1:]
    raise foreign(tool)


def number(kind: str, cursor: str, tool: str, *, least: int, most: int) -> int:
    """Read a cursor that is a single number within bounds.

    Raises:
        BadReference: `tool` never gave out such a text.
    """
    match read(kind, cursor, tool):
        case [int(found)] if type(found) is int and least <= found <= most:
            return found
    raise foreign(tool)


def foreign(tool: str) -> BadReference:
    """The error about a cursor that is none of ours."""
    return BadReference(
        f"the cursor is not one that {tool} gave out", "leave it out to start again"
    )
