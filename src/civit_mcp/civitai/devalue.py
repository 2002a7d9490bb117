"""Decodes devalue text, the flat form in which some of CivitAI's servers write tRPC data.

The text is a JSON array. Its first element is the root; members of objects and arrays are
positions in the array; negative positions are constants; an array that starts with a word
is a tagged value. Repeats share a position, so the decoded size is counted and bounded.
"""

from typing import Any, Final

from civit_mcp.civitai.jsontext import MAX_DEPTH, NotJson, parse

_HOLE: Final = -2
_NEGATIVE_ZERO: Final = -6
_MOST_VALUES: Final = 500_000


def undevalue(text: str) -> Any:
    """Decode `text`. Raises `NotJson` when it is no devalue or would grow without bound.

    Dates stay ISO text, big integers become ints, sets lists, maps objects; undefined,
    holes and the non-finite numbers become None.
    """
    flat = parse(text)
    if isinstance(flat, int) and not isinstance(flat, bool) and flat < 0:
        return _constant(flat)
    if not isinstance(flat, list) or not flat:
        raise NotJson("text that is not devalue")
    return _Reader(flat).value(0, 0)


def _constant(position: int) -> Any:
    return -0.0 if position == _NEGATIVE_ZERO else None


class _Reader:
    def __init__(self, flat: list[Any]) -> None:
        self._flat = flat
        self._left = _MOST_VALUES

    def value(self, position: Any, depth: int) -> Any:
        if not isinstance(position, int) or isinstance(position, bool):
            raise NotJson("devalue with a position that is no number")
        if position < 0:
            return _constant(position)
        self._left -= 1
        if position >= len(self._flat) or depth > MAX_DEPTH or self._left < 0:
            raise NotJson("devalue that leads nowhere or never ends")
        raw = self._flat[position]
        if isinstance(raw, dict):
            return {key: self.value(at, depth + 1) for key, at in raw.items()}
        if isinstance(raw, list):
            if raw and isinstance(raw[0], str):
                return self._tagged(raw[0], raw[1:], depth + 1)
            return [self.value(at, depth + 1) for at in raw]
        return raw

    def _tagged(self, tag: str, parts: list[Any], depth: int) -> Any:
        match tag:
            case "Date" | "Object" | "URL" | "URLSearchParams":
                return self._plain(parts)
            case "BigInt":
                text = self._plain(parts)
                digits = isinstance(text, str) and text.lstrip("-").isdecimal()
                return int(text) if digits and len(text) <= 300 else None
            case "RegExp":
                return "/{}/{}".format(*[str(part) for part in [*parts, "", ""][:2]])
            case "Set":
                return [self.value(at, depth) for at in parts]
            case "Map":
                keys = [self.value(at, depth) for at in parts[0::2]]
                values = [self.value(at, depth) for at in parts[1::2]]
                return {_key(key): value for key, value in zip(keys, values, strict=False)}
            case "null":
                return {
                    _key(key): self.value(at, depth)
                    for key, at in zip(parts[0::2], parts[1::2], strict=False)
                }
            case _:
                return None

    def _plain(self, parts: list[Any]) -> Any:
        first = parts[0] if parts else None
        return None if isinstance(first, (dict, list)) else first


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key)
