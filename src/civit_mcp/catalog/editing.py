"""Deciding what an edit of an entry's optional fields makes of the catalog."""

import math
from collections.abc import Mapping
from typing import Any, Final

from civit_mcp.catalog.amend import amended
from civit_mcp.catalog.moving import Moved
from civit_mcp.catalog.snapshot import Snapshot
from civit_mcp.catalog.verbs import Address, locate, rewritten
from civit_mcp.errors import BadReference
from civit_mcp.models.catalogued import ChangeAnswer

#: fields that may be written, with what they hold
FIELDS: Final = ("tags", "notes", "strength", "trigger_words", "pair_id", "pair_role")
_STRENGTH_KEYS: Final = frozenset({"min", "max", "default"})
_ROLES: Final = ("high", "low", "both")
_LIST_LENGTH, _WORD_LENGTH, _NOTE_LENGTH = 100, 500, 5000


def edit(snapshot: Snapshot, address: Address, fields: Mapping[str, Any]) -> Moved:
    """Write optional fields of an entry; an empty value takes the field out.

    Raises:
        NotFound, BadReference: see `locate`; or a field or value that cannot be written.
    """
    if not fields:
        raise BadReference("nothing to edit was given", f"pass some of {', '.join(FIELDS)}")
    entry = locate(snapshot, address)[-1]
    wanted = {name: _checked(name, value) for name, value in fields.items()}
    text = amended(entry.text, wanted)
    changed = text != entry.text
    answer = ChangeAnswer(
        status="edited" if changed else "unchanged",
        file=entry.file,
        name=entry.name,
        catalog=entry.catalog,
        category=entry.category_id,
        dest=entry.dest,
    )
    return Moved(answer, (rewritten(entry, text),) if changed else ())


def _checked(name: str, value: Any) -> Any:
    """What is written for a value; None for an empty one."""
    if name not in FIELDS:
        raise BadReference(f"'{name[:60]}' is no field to edit", f"edit {', '.join(FIELDS)}")
    if value is None or value in ("", [], {}):
        return None
    if name in ("tags", "trigger_words"):
        return _words(name, value)
    if name == "strength":
        return _strength(value)
    if name == "pair_role" and value not in _ROLES:
        raise BadReference(f"pair_role cannot be '{value!s:.60}'", f"use {', '.join(_ROLES)}")
    if not isinstance(value, str) or len(value) > _NOTE_LENGTH:
        raise BadReference(f"'{name}' takes a text of up to {_NOTE_LENGTH} characters")
    return value.encode("utf-8", "replace").decode()


def _words(name: str, value: Any) -> list[str] | None:
    fine = isinstance(value, list) and len(value) <= _LIST_LENGTH
    if not fine or not all(isinstance(w, str) and len(w) <= _WORD_LENGTH for w in value):
        raise BadReference(
            f"'{name}' takes a list of up to {_LIST_LENGTH} texts of {_WORD_LENGTH} characters"
        )
    words = [word.strip().encode("utf-8", "replace").decode() for word in value]
    return [word for word in dict.fromkeys(words) if word] or None


def _strength(value: Any) -> float | dict[str, float]:
    if _is_number(value):
        return float(value)
    if isinstance(value, Mapping) and value and set(value) <= _STRENGTH_KEYS:
        parts = {key: value[key] for key in ("min", "max", "default") if key in value}
        if all(_is_number(part) for part in parts.values()):
            low, high = parts.get("min", -math.inf), parts.get("max", math.inf)
            if low <= parts.get("default", low if math.isfinite(low) else high) <= high:
                return {key: float(part) for key, part in parts.items()}
    raise BadReference(
        "'strength' takes a number, or min, max and default in that order of size",
        "pass 0.8 or {'min': 0.5, 'max': 1.0, 'default': 0.8}",
    )


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= 100  # neither infinite nor NaN; a huge int overflows as a float
    )
