"""Models and versions."""

import re
from datetime import timedelta
from typing import Any, Final

from civit_mcp.civitai.wire.fields import (
    brief,
    count,
    expect,
    flag,
    ident,
    items,
    level_bits,
    maybe_obj,
    name,
    names,
    obj,
    objects,
    records,
    text,
    whole,
)
from civit_mcp.civitai.wire.files import read_file
from civit_mcp.civitai.wire.images import read_image
from civit_mcp.errors import UpstreamChanged
from civit_mcp.models.delivery import PRIVATE, parse_time
from civit_mcp.models.records import Json, ModelRecord, VersionRecord

#: a single element is a list of trigger words when its parts are no longer than this
_WORDS_IN_TRIGGER: Final = 3
_LONGEST_TRIGGER: Final = 40
_MOST_TRIGGERS: Final = 12
#: what prompts have and lists of words have not
_PROMPT_MARKS: Final = re.compile(r"[<>()\[\]{}:;\n|]")


def model_from(value: Any, *, about: str = "a model") -> ModelRecord:
    """Read the answer about one model. Raises `UpstreamChanged` when it is none."""
    model = read_model(expect(value, about=about))
    if model is None:
        raise UpstreamChanged(
            f"CivitAI answered an object without an id where {about} was expected"
        )
    return model


def version_from(value: Any, *, about: str = "a version") -> VersionRecord:
    """Read the answer about one version. Raises `UpstreamChanged` when it is none."""
    version = read_version(expect(value, about=about))
    if version is None:
        raise UpstreamChanged(
            f"CivitAI answered an object without an id where {about} was expected"
        )
    return version


def read_model(source: Json) -> ModelRecord | None:
    """Read a model; None when it has no usable id."""
    identity = ident(source.get("id"))
    if identity is None:
        return None
    stats = obj(source.get("stats"))
    creator = source.get("creator", source.get("user"))
    return ModelRecord(
        id=identity,
        name=name(source.get("name")) or "",
        type=text(source.get("type")) or "",
        creator=name(creator.get("username")) if isinstance(creator, dict) else name(creator),
        description=text(source.get("description")),
        tags=names(source.get("tags")),
        nsfw=flag(source.get("nsfw")),
        level_bits=level_bits(source),
        mode=text(source.get("mode")),
        availability=text(source.get("availability")),
        allow_no_credit=flag(source.get("allowNoCredit")),
        allow_derivatives=flag(source.get("allowDerivatives")),
        allow_different_license=flag(source.get("allowDifferentLicense")),
        allow_commercial_use=commercial_use(source.get("allowCommercialUse")),
        downloads=count(stats.get("downloadCount")),
        thumbs_up=count(stats.get("thumbsUpCount")),
        versions=records(
            source.get("modelVersions"), lambda version: read_version(version, parent=source)
        ),
    )


def read_version(source: Json, *, parent: Json | None = None) -> VersionRecord | None:
    """Read a version; None when it has no usable id. What it lacks, its model may tell."""
    identity = ident(source.get("id"))
    if identity is None:
        return None
    own = maybe_obj(source.get("model"))
    model = own if own is not None else parent or {}
    stats = obj(source.get("stats"))
    until, permanent = early_access(source)
    return VersionRecord(
        id=identity,
        model_id=(
            ident(source.get("modelId"))
            or ident(model.get("id"))
            or ident((parent or {}).get("id"))
        ),
        name=name(source.get("name")) or "",
        base_model=brief(source.get("baseModel")) or "",
        base_model_type=text(source.get("baseModelType")),
        air=text(source.get("air")),
        trigger_words=trigger_words(source.get("trainedWords")),
        description=text(source.get("description")),
        status=text(source.get("status")),
        published_at=text(source.get("publishedAt")),
        created_at=text(source.get("createdAt")),
        usage_control=text(source.get("usageControl")),
        availability=_availability(source, own, parent),
        early_access_until=until,
        early_access_permanent=permanent,
        files=tuple(read_file(file) for file in objects(source.get("files"))),
        images=tuple(read_image(image) for image in objects(source.get("images"))),
        downloads=count(stats.get("downloadCount")),
        thumbs_up=count(stats.get("thumbsUpCount")),
        level_bits=level_bits(source),
        model_name=name(model.get("name")),
        model_type=text(model.get("type")),
        model_mode=text(model.get("mode")),
        model_nsfw=flag(model.get("nsfw")),
    )


def _availability(source: Json, *models: Json | None) -> str | None:
    """A version's own word; a private model has no other versions than private ones."""
    said = [text((model or {}).get("availability")) for model in models]
    return PRIVATE if PRIVATE in said else text(source.get("availability"))


def trigger_words(value: Any) -> tuple[str, ...]:
    """Read trigger words, each once, in order.

    Creators who type all words into one field give a single element with commas. It is
    taken apart only when it reads as a list of short words; a whole prompt stays whole.
    """
    listed = [value] if isinstance(value, str) else items(value)
    words = [(name(word) or "").strip().strip(",").strip() for word in listed]
    words = [word for word in words if word]
    if len(words) == 1:
        words = _apart(words[0])
    return tuple(dict.fromkeys(words))


def _apart(element: str) -> list[str]:
    parts = [part for part in (piece.strip() for piece in element.split(",")) if part]
    short = all(
        len(part) <= _LONGEST_TRIGGER and len(part.split()) <= _WORDS_IN_TRIGGER for part in parts
    )
    if short and len(parts) <= _MOST_TRIGGERS and not _PROMPT_MARKS.search(element):
        return parts
    return [element]


def commercial_use(value: Any) -> frozenset[str] | None:
    """Read the permitted commercial uses: one word, a list, or a list in database braces."""
    if isinstance(value, str):
        inner = value.strip()
        if not inner:
            return None
        value = inner.removeprefix("{").removesuffix("}").split(",")
    if not isinstance(value, list):
        return None
    words = (word.strip().strip('"') for word in value if isinstance(word, str))
    return frozenset(word for word in words if word and word.lower() != "none")


def early_access(source: Json) -> tuple[str | None, bool]:
    """Read the paid gate of a version: until when, and whether without an end.

    Three generations of fields are in use; the newest that says something counts.
    """
    paid = maybe_obj(source.get("paidAccess"))
    if paid:
        if flag(paid.get("permanent")):
            return None, True
        end = _moment(paid.get("endsAt")) or _days_after(source, paid.get("timeframeDays"))
        if end is not None:
            return end, False
        if "endsAt" in paid and paid["endsAt"] is None:
            return None, True
    for key in ("earlyAccessDeadline", "earlyAccessEndsAt"):
        end = _moment(source.get(key))
        if end is not None:
            return end, False
    config = obj(source.get("earlyAccessConfig"))
    days = source.get("earlyAccessTimeFrame") or config.get("timeframe")
    return _days_after(source, days), False


def _moment(value: Any) -> str | None:
    moment = text(value)
    return moment if parse_time(moment) is not None else None


def _days_after(source: Json, days: Any) -> str | None:
    length = whole(days)
    start = parse_time(text(source.get("publishedAt"))) or parse_time(text(source.get("createdAt")))
    if length is None or length < 1 or start is None:
        return None
    try:
        return (start + timedelta(days=length)).isoformat()
    except OverflowError:
        return None
