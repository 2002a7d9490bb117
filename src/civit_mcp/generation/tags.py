"""Prompt tags of the A1111 family and its heirs: `<lora:name:0.8>` in all its forms."""

import re
from dataclasses import dataclass
from typing import Final

from civit_mcp.generation.names import MAX_NAME, as_weight
from civit_mcp.models.generated import DepKind

_KINDS: Final[dict[str, DepKind]] = {
    "lora": "lora",
    "dora": "lora",
    "lyco": "lyco",
    "lycoris": "lyco",
    "locon": "lyco",
    "loha": "lyco",
    "lokr": "lyco",
    "hypernet": "hypernet",
    "hypernetwork": "hypernet",
    "embed": "embedding",
    "embedding": "embedding",
}
# Possessive, and never past another `<` or the line: an unclosed tag costs one pass over its
# own text, and swallows nothing.
_TAG: Final = re.compile(
    rf"<[ \t]*+({'|'.join(sorted(_KINDS, key=len, reverse=True))})[ \t]*+:([^<>\r\n]++)>",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One tag in a text. `text[start:end]` is the tag with its angle brackets."""

    kind: DepKind
    name: str
    #: strength of the model; 1.0 when the tag gives none, or none that can be read
    weight: float
    #: strength of the text encoder, when the tag gives a second one
    clip_weight: float | None
    start: int
    end: int
    #: what stood where a weight belongs and is none; None when all is well
    odd_weight: str | None = None


def scan(text: str) -> tuple[Tag, ...]:
    """Find every tag, in order. What is not closed, or has no name, is not a tag."""
    return tuple(tag for match in _TAG.finditer(text) if (tag := _read(match)))


def _read(match: re.Match[str]) -> Tag | None:
    name, *parts = match[2].split(":")
    name = name.strip()
    if not name or len(name) > MAX_NAME:
        return None
    positional = [part.strip() for part in parts if "=" not in part]
    named = {
        key.strip().casefold(): value
        for key, separator, value in (part.partition("=") for part in parts)
        if separator
    }
    numbers = [number for part in positional if (number := as_weight(part)) is not None]
    weight: float | None = numbers[0] if numbers else None
    clip = numbers[1] if len(numbers) > 1 else None
    clip = _first(as_weight(named.get("te")), clip)
    # a text-encoder weight alone holds for both, as in A1111
    weight = _first(as_weight(named.get("unet")), weight, clip)
    odd = None
    if weight is None and positional:
        odd = positional[0] or "nothing"
    return Tag(
        kind=_KINDS[match[1].casefold()],
        name=name,
        weight=1.0 if weight is None else weight,
        clip_weight=clip,
        start=match.start(),
        end=match.end(),
        odd_weight=odd,
    )


def _first(*candidates: float | None) -> float | None:
    return next((number for number in candidates if number is not None), None)
