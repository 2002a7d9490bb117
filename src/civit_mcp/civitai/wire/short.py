"""Versions as the generator sees them: the mini form, and its facts by id."""

from typing import Any

from civit_mcp.civitai.wire.fields import (
    brief,
    expect,
    flag,
    ident,
    kind,
    maybe_obj,
    name,
    obj,
    real,
    records,
    text,
    whole,
)
from civit_mcp.civitai.wire.files import read_hashes
from civit_mcp.civitai.wire.models import early_access, trigger_words
from civit_mcp.errors import UpstreamChanged
from civit_mcp.models.air import parse_air
from civit_mcp.models.records import Json, MiniRecord, ResourceFacts


def mini_from(value: Any, *, asked: int, about: str) -> MiniRecord:
    """Read the mini form; ids that it has no key for are in its AIR.

    Raises `UpstreamChanged` when nothing in it says what version it is about.
    """
    source = expect(value, about=about)
    air = text(source.get("air"))
    ids = parse_air(air) if air is not None else None
    label = name(source.get("versionName")) or name(source.get("name"))
    version_id = ident(source.get("id")) or (ids.version_id if ids else None)
    if version_id is None and label is None:
        raise UpstreamChanged(f"CivitAI answered {kind(source)} where {about} was expected")
    until, _ = early_access(source)
    return MiniRecord(
        version_id=version_id or asked,
        model_id=ident(source.get("modelId")) or (ids.model_id if ids else None),
        file_id=ids.file_id if ids else None,
        air=air,
        version_name=label or "",
        model_name=name(source.get("modelName")),
        base_model=brief(source.get("baseModel")) or "",
        availability=text(source.get("availability")),
        published_at=text(source.get("publishedAt")),
        user_id=ident(source.get("userId")),
        file_name=text(source.get("fileName")) or "",
        file_type=text(source.get("fileType")) or "",
        format=text(source.get("format")),
        size_kb=size_of(source.get("size")),
        hashes=read_hashes(source.get("hashes")),
        can_generate=flag(source.get("canGenerate")),
        require_auth=flag(source.get("requireAuth")),
        check_permission=flag(source.get("checkPermission")),
        early_access_until=until,
        free_trial_limit=whole(source.get("freeTrialLimit")),
        featured=flag(source.get("isFeatured")),
        sfw_only=flag(source.get("sfwOnly")),
    )


def size_of(value: Any) -> float | None:
    """Read a size; a negative one is none."""
    size = real(value)
    return size if size is not None and size >= 0 else None


def resource_facts_from(value: Any, *, about: str) -> tuple[ResourceFacts, ...]:
    """Read the generator's facts. Raises `UpstreamChanged` when no row of a list can be read."""
    if not isinstance(value, list):
        raise UpstreamChanged(f"CivitAI answered {kind(value)} where {about} were expected")
    found = records(value, read_resource_facts)
    if value and not found:
        raise UpstreamChanged(f"CivitAI answered rows without ids where {about} were expected")
    return found


def read_resource_facts(source: Json) -> ResourceFacts | None:
    """Read one row; None without an id. Its model may be nested or spread over the row."""
    identity = ident(source.get("id"))
    if identity is None:
        return None
    model, settings = maybe_obj(source.get("model")), obj(source.get("settings"))
    if model is None:
        model = {key: source.get(f"model{key.capitalize()}") for key in ("id", "name", "type")}
    until, permanent = early_access(source)
    return ResourceFacts(
        version_id=identity,
        version_name=name(source.get("name")) or "",
        model_id=ident(model.get("id")),
        model_name=name(model.get("name")),
        model_type=text(model.get("type")),
        base_model=brief(source.get("baseModel")) or "",
        air=text(source.get("air")),
        trigger_words=trigger_words(source.get("trainedWords")),
        availability=text(source.get("availability")),
        early_access_until=until,
        early_access_permanent=permanent,
        can_generate=flag(source.get("canGenerate")),
        has_access=flag(source.get("hasAccess")),
        clip_skip=whole(source.get("clipSkip")),
        strength=_advice(source, settings, "strength"),
        min_strength=_advice(source, settings, "minStrength"),
        max_strength=_advice(source, settings, "maxStrength"),
    )


def _advice(source: Json, settings: Json, key: str) -> float | None:
    own = real(source.get(key))
    return own if own is not None else real(settings.get(key))
