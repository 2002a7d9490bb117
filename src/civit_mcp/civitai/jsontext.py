"""Reads JSON from strangers: tolerant of slips, firm about what would hurt later.

Raw control characters are accepted. NaN and infinities become null, half surrogate pairs
become the replacement character, because neither survives being written as JSON again.
"""

import json
import math
import re
from typing import Any, Final

#: nobody nests a workflow this deep; recursion elsewhere relies on the bound
MAX_DEPTH: Final = 100
#: the interpreter refuses to read or write longer ones
_LONGEST_INTEGER: Final = 4000
_HALF_PAIR: Final = re.compile(r"\\u[dD][89a-fA-F]")


class NotJson(ValueError):
    """The text is no JSON, or JSON that nobody should process."""


def parse(body: bytes | str) -> Any:
    """Parse a body or text. Raises `NotJson` with a short reason."""
    if isinstance(body, bytes):
        if not body.strip():
            raise NotJson("an empty body")
        text = body.decode("utf-8-sig", errors="replace")
    else:
        text = body
    if text.lstrip()[:1] == "<":
        raise NotJson("an HTML page")
    try:
        value = _load(text)
    except RecursionError:
        raise NotJson("JSON that is nested too deep") from None
    except ValueError:
        raise NotJson("text that is not JSON") from None
    check_depth(value)
    if _HALF_PAIR.search(text):
        value = _whole_characters(value)
    return value


def _load(text: str) -> Any:
    try:
        return json.loads(text, strict=False, parse_constant=_nothing, parse_float=_finite)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # an absurdly long integer; reading all of them by hand is slow, so only now
        return json.loads(
            text,
            strict=False,
            parse_constant=_nothing,
            parse_float=_finite,
            parse_int=_integer,
        )


def check_depth(value: Any) -> None:
    """Raise `NotJson` when containers nest deeper than `MAX_DEPTH`."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise NotJson("JSON that is nested too deep")


def _nothing(_name: str) -> None:
    return None


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _integer(text: str) -> int | None:
    return int(text) if len(text) <= _LONGEST_INTEGER else None


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, list):
        return [_whole_characters(item) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _whole_characters(item) for key, item in value.items()}
    return value


def _whole(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
