"""The flat text form that some of CivitAI's servers use for tRPC answers.

One JSON array; index 0 is the root; every member of a list and every value of an object is
an index into the array; what JSON lacks is a small negative number or a tagged array.
"""

import json
import math
from datetime import datetime
from typing import Any, Final

_UNDEFINED: Final = -1
_NAN: Final = -3
_INFINITE: Final = -4


class Undefined:
    """JavaScript's undefined."""


UNDEFINED: Final = Undefined()


def dumps(value: Any) -> str:
    """Write `value` as devalue text; `datetime` becomes a Date."""
    if isinstance(value, Undefined):
        return str(_UNDEFINED)
    flat: list[Any] = []
    known: dict[tuple[type, Any], int] = {}

    def place(item: Any) -> int:
        if isinstance(item, Undefined):
            return _UNDEFINED
        if isinstance(item, float) and not math.isfinite(item):
            return _NAN if math.isnan(item) else _INFINITE - (item < 0)
        key = (type(item), item) if isinstance(item, str | int | float | bool | None) else None
        if key is not None and key in known:
            return known[key]
        index = len(flat)
        flat.append(None)
        if key is not None:
            known[key] = index
        if isinstance(item, dict):
            flat[index] = {str(name): place(part) for name, part in item.items()}
        elif isinstance(item, list | tuple):
            flat[index] = [place(part) for part in item]
        elif isinstance(item, datetime):
            flat[index] = ["Date", item.isoformat(timespec="milliseconds").replace("+00:00", "Z")]
        else:
            flat[index] = item
        return index

    place(value)
    return json.dumps(flat, ensure_ascii=False, separators=(",", ":"))
