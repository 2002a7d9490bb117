"""Reads single values from JSON whose shape nobody guarantees.

Every reader takes anything and gives the value or None (or an empty container); none raises.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from civit_mcp.errors import UpstreamChanged
from civit_mcp.models.ids import MAX_ID
from civit_mcp.models.levels import LEGACY_WORDS, NSFW_BITS
from civit_mcp.models.records import Json
from civit_mcp.text import one_line

T = TypeVar("T")

_ALL_LEVEL_BITS: Final = 63
_MOST_COUNT: Final = 2**53
#: characters; no true name is near it
_LONGEST_NAME: Final = 500
_DIGITS: Final = re.compile(r"[0-9]{1,20}")
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?"
)


def whole(value: Any) -> int | None:
    """Read a whole number from a number or its digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    return None


def ident(value: Any) -> int | None:
    """Read an id; an absurd number is none."""
    number = whole(value)
    return number if number is not None and 1 <= number <= MAX_ID else None


def idents(value: Any) -> tuple[int, ...]:
    """Read a list of ids, each once, in order."""
    found = (ident(item) for item in items(value))
    return tuple(dict.fromkeys(number for number in found if number is not None))


def count(value: Any) -> int | None:
    """Read a counter or a length; None when hidden or absurd."""
    number = whole(value)
    return number if number is not None and 0 <= number <= _MOST_COUNT else None


def real(value: Any) -> float | None:
    """Read a finite number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value.strip()) else None
    if not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def text(value: Any) -> str | None:
    """Read a text exactly as sent; an empty one says nothing."""
    return value if isinstance(value, str) and value else None


def brief(value: Any) -> str | None:
    """Read a label: one line, and not at length."""
    return one_line(value, _LONGEST_NAME) or None if isinstance(value, str) else None


def name(value: Any) -> str | None:
    """Read a name; all-digit ones may arrive as a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) <= _MOST_COUNT else None
    return text(value[:_LONGEST_NAME]) if isinstance(value, str) else None


def flag(value: Any) -> bool | None:
    """Read a boolean, also from its word."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return None


def obj(value: Any) -> Json:
    """Read an object; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def maybe_obj(value: Any) -> Json | None:
    """Read an object; anything else is None."""
    return value if isinstance(value, dict) else None


def items(value: Any) -> list[Any]:
    """Read a list; anything else is an empty one."""
    return value if isinstance(value, list) else []


def objects(value: Any) -> Iterator[Json]:
    """Walk the objects of a list, leaving out what is none."""
    return (item for item in items(value) if isinstance(item, dict))


def names(value: Any) -> tuple[str, ...]:
    """Read a list of names given as texts or as objects with a `name`."""
    found = (
        name(item.get("name")) if isinstance(item, dict) else text(item) for item in items(value)
    )
    return tuple(dict.fromkeys(word for word in found if word is not None))


def records(value: Any, read: Callable[[Json], T | None]) -> tuple[T, ...]:
    """Read the objects of a list into records; those that `read` gives None for are left out."""
    found = (read(item) for item in objects(value))
    return tuple(record for record in found if record is not None)


def level_bits(source: Json) -> int | None:
    """Find the browsing bits of a thing in any generation of its fields."""
    for key in ("nsfwLevel", "browsingLevel"):
        bits = whole(source.get(key))
        if bits is not None and 0 <= bits <= _ALL_LEVEL_BITS:
            return bits
    for key in ("nsfwLevel", "nsfw"):
        word = source.get(key)
        if isinstance(word, str) and word.strip().lower() in LEGACY_WORDS:
            return LEGACY_WORDS[word.strip().lower()]
    nsfw = flag(source.get("nsfw"))
    return None if nsfw is None else NSFW_BITS if nsfw else 1


def expect(value: Any, *, about: str) -> Json:
    """Insist on an object at the top of an answer."""
    if isinstance(value, dict):
        return value
    raise UpstreamChanged(f"CivitAI answered {kind(value)} where {about} was expected")


def kind(value: Any) -> str:
    """Say what a JSON value is, for an error."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object without the fields that matter"
