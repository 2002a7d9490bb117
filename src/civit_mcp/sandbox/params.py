"""Query parameters, coerced and refused the way CivitAI's schemas do it."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

_TRUE: Final = frozenset({"true", "1", "yes", "on", "y", "enabled"})
_FALSE: Final = frozenset({"false", "0", "no", "off", "n", "disabled"})


class Params:
    """Reads parameters one by one and collects what is wrong with them."""

    def __init__(self, query: Mapping[str, list[str]]) -> None:
        self._query = query
        self.issues: list[dict[str, Any]] = []

    def text(self, name: str) -> str | None:
        """Plain text; None when absent."""
        values = self._query.get(name)
        return values[0] if values else None

    def number(
        self, name: str, default: int | None = None, *, least: int = 0, most: int = 2**53
    ) -> int | None:
        """Decimal text; nothing at all counts as zero."""
        raw = self.text(name)
        if raw is None:
            return default
        value = _decimal(raw.strip() or "0")
        if value is None:
            self._issue(name, "invalid_type", "Invalid input: expected number, received NaN")
            return default
        if value < least:
            self._issue(name, "too_small", f"Too small: expected number to be >={least}")
        elif value > most:
            self._issue(name, "too_big", f"Too big: expected number to be <={most}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A word for yes or no."""
        raw = self.text(name)
        if raw is None:
            return default
        word = raw.strip().casefold()
        if word not in _TRUE | _FALSE:
            self._issue(name, "invalid_value", "Invalid input: expected boolean-like text")
        return word in _TRUE

    def present(self, name: str) -> bool:
        """Coerced boolean: any text but nothing means yes, `false` too."""
        return bool(self.text(name))

    def never(self, *names: str) -> None:
        """Strict types that no query text can satisfy."""
        for name in names:
            if name in self._query:
                self._issue(name, "invalid_type", "Invalid input: expected boolean or number")

    def choice(self, name: str, allowed: Collection[str], default: str) -> str:
        """One member of an enumeration."""
        raw = self.text(name)
        if raw is None:
            return default
        self._member(name, raw, allowed)
        return raw

    def choices(
        self, name: str, allowed: Collection[str] | None = None, *, commas: bool = False
    ) -> list[str]:
        """Repeated keys; with `commas` also a comma list."""
        values = list(self._query.get(name, ()))
        if commas:
            values = [part for value in values for part in value.split(",") if part]
        if allowed is not None:
            for value in values:
                self._member(name, value, allowed)
        return values

    def ids(self, name: str) -> list[int]:
        """Comma list of integers."""
        found = []
        for part in self.choices(name, commas=True):
            value = _decimal(part.strip())
            if value is None:
                self._issue(name, "invalid_type", "Invalid input: expected number, received NaN")
            else:
                found.append(value)
        return found

    def refuse(self, name: str, message: str) -> None:
        """Add an issue that only the route can see."""
        self._issue(name, "custom", message)

    @property
    def zod_error(self) -> dict[str, Any]:
        """The issues as an error object: name, and the list once more as text."""
        return {"name": "ZodError", "message": json.dumps(self.issues, indent=2)}

    def _member(self, name: str, value: str, allowed: Collection[str]) -> None:
        if value not in allowed:
            options = "|".join(f'"{word}"' for word in allowed)
            self._issue(name, "invalid_value", f"Invalid option: expected one of {options}")

    def _issue(self, name: str, code: str, message: str) -> None:
        self.issues.append({"code": code, "path": [name], "message": message})


def _decimal(text: str) -> int | None:
    """A number in plain digits, of a length that a JavaScript number can hold."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,300}", text) else None


def path_id(text: str, name: str = "id", *, most: int = 2**31 - 1) -> int | str:
    """An id from a path: the number, or the sentence that CivitAI refuses it with."""
    value = _decimal(text)
    if value is None:
        return f"✖ Invalid input: expected number, received NaN\n  → at {name}"
    if value < 1:
        return f"✖ Too small: expected number to be >=1\n  → at {name}"
    if value > most:
        return f"✖ Too big: expected number to be <={most}\n  → at {name}"
    return value
