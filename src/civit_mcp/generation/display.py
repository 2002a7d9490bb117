"""Metadata for reading: bounded, without secrets, and otherwise as it was sent."""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

from civit_mcp.generation.names import readable
from civit_mcp.models.records import Json

#: characters; a token is about four
MAX_PROMPT: Final = 6_000
MAX_VALUE: Final = 2_000
MAX_TOTAL: Final = 8_000
#: what each part may always have, however long the others are
_MIN_PART: Final = 2_000
_MAX_KEY: Final = 200
_MAX_DEPTH: Final = 12

_PROMPTS: Final = ("prompt", "negativePrompt")
#: kept before all else when room is short
_FIRST: Final = (
    "seed", "steps", "sampler", "scheduler", "cfgScale", "Size", "width", "height", "clipSkip",
    "Model", "Model hash", "VAE", "Denoising strength", "denoise", "workflow", "engine",
    "baseModel", "resources", "civitaiResources", "hashes",
)  # fmt: skip

#: names of query values that open something; S3, Google and Azure sign with several
_HIDDEN: Final = (
    r"(?:[a-z0-9_.-]{0,40}(?:token|secret|signature|password|credential|api[_-]?key|accesskey)"
    r"[a-z0-9_.-]{0,40}|key|sig|auth|authorization|expires?|policy|key-pair-id"
    r"|x-(?:amz|goog)-[a-z-]{1,40})"
)
#: keys of objects whose text is hidden; narrower, for a key may be a file's name
_HIDDEN_KEYS: Final = re.compile(
    r"(?:access|auth|refresh|api|bearer|session)?[_-]?(?:token|key|secret)|password|authorization",
    re.IGNORECASE,
)
_URL: Final = re.compile(r"\bhttps?://[^\s\"'<>]++", re.IGNORECASE)
_QUERY_VALUE: Final = re.compile(rf"(?<=[?&;#])({_HIDDEN})=[^&;#]*+", re.IGNORECASE)
_USER: Final = re.compile(r"(?<=://)[^/?#@]*+@")
MASK: Final = "***"


@dataclass(slots=True)
class _Shown:
    kept: Json = field(default_factory=dict)
    replaced: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def for_display(meta: Json) -> tuple[Json, tuple[str, ...]]:
    """Copy `meta` for a reader; the second part says what was cut, replaced or left out.

    Prompts keep up to 6,000 characters. A graph, and any other value of more than 2,000
    characters of JSON, gives way to a word that it is in the raw resource. All together stay
    near 8,000 characters.
    """
    shown = _Shown()
    room = MAX_TOTAL
    for key in _PROMPTS:
        if isinstance(meta.get(key), str):
            room -= _show_prompt(shown, key, meta[key], max(_MIN_PART, room))
    room = max(_MIN_PART, room)
    order: list[str] = [key for key in _FIRST if key in meta]
    order += [key for key in meta if key not in _FIRST]
    for key in order:
        if key not in shown.kept:
            room -= _show_value(shown, key, meta[key], room)
    ordered = {key: shown.kept[key] for key in meta if key in shown.kept}
    if shown.replaced:
        shown.notes.append(f"In the raw resource only: {_listed(shown.replaced)}.")
    if shown.dropped:
        shown.notes.append(f"Left out of meta for its size: {_listed(shown.dropped)}.")
    return {readable(key): value for key, value in ordered.items()}, tuple(shown.notes)


def mask_urls(text: str) -> str:
    """Hide the secrets that URLs in `text` carry in their query or before their host."""
    if "://" not in text:
        return text
    return _URL.sub(
        lambda url: _USER.sub(f"{MASK}@", _QUERY_VALUE.sub(rf"\1={MASK}", url[0]), count=1), text
    )


def json_size(value: object, limit: int) -> int:
    """Count the characters of `value` as JSON, roughly; stop counting beyond `limit`.

    Nesting that no reader could follow counts as too large.
    """
    size = 0
    stack: list[tuple[object, int]] = [(value, 0)]
    while stack and size <= limit:
        item, depth = stack.pop()
        if depth > _MAX_DEPTH:
            return limit + 1
        if isinstance(item, str):
            size += len(item) + 2
        elif isinstance(item, dict):
            size += 2
            if len(item) > limit:
                return limit + 1
            for key, inner in item.items():
                size += len(str(key)) + 6
                stack.append((inner, depth + 1))
        elif isinstance(item, list):
            size += 2 + 2 * len(item)
            if len(item) > limit:
                return limit + 1
            stack += [(inner, depth + 1) for inner in item]
        elif isinstance(item, int) and not isinstance(item, bool):
            # str() of an absurdly long int is an error
            size += item.bit_length() // 3 + 1
        else:
            size += 5
    return size


def _show_prompt(shown: _Shown, key: str, text: str, room: int) -> int:
    limit = min(MAX_PROMPT, room)
    if len(text) > limit:
        shown.notes.append(
            f"meta.{key} is cut to {limit:,} of {len(text):,} characters; "
            "the raw resource has all of it."
        )
    kept = mask_urls(readable(text[:limit]))
    shown.kept[key] = kept
    return len(kept)


def _show_value(shown: _Shown, key: str, value: object, room: int) -> int:
    if len(key) > _MAX_KEY or room <= 0:
        shown.dropped.append(key)
        return 0
    size = json_size(value, MAX_VALUE)
    if key == "comfy" or size > MAX_VALUE:
        shown.kept[key] = "(large; see the raw resource)"
        shown.replaced.append(key)
        return len(key) + 40
    size += len(key) + 6
    if size > room:
        shown.dropped.append(key)
        return 0
    secret = isinstance(value, str) and bool(_HIDDEN_KEYS.fullmatch(key))
    shown.kept[key] = MASK if secret else _copy(value)
    return size


def _copy(value: object) -> Any:
    if isinstance(value, str):
        return mask_urls(readable(value))
    if isinstance(value, dict):
        return {
            readable(str(key)): MASK
            if isinstance(inner, str) and _HIDDEN_KEYS.fullmatch(str(key))
            else _copy(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_copy(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no word for these
        return str(value)
    return value


def _listed(keys: list[str]) -> str:
    names = [f"'{readable(key)[:40]}'" for key in keys[:8]]
    more = len(keys) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
