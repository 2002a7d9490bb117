"""Ids, AIRs and file names that metadata lists beside the prompt."""

import json
from collections.abc import Iterator
from typing import Any, Final

from civit_mcp.generation.evidence import Evidence
from civit_mcp.generation.names import (
    as_dict,
    as_list,
    as_name,
    as_weight,
    kind_of,
    readable,
)
from civit_mcp.models.air import Air, parse_air
from civit_mcp.models.generated import DepKind, DepSource
from civit_mcp.models.ids import as_id
from civit_mcp.models.records import Json, ResourceRecord

_MAX_ROWS: Final = 1_000
_MAX_TEXT: Final = 200_000


def from_air(
    air: Air,
    text: str,
    *,
    source: DepSource,
    fallback: DepKind | None = None,
    name: str = "",
    weight: float | None = None,
    clip_weight: float | None = None,
) -> Evidence | None:
    """Turn an AIR into evidence; None when it names something that is no dependency.

    `fallback` is the kind where the AIR itself has no type.
    """
    kind = kind_of(air.type) if air.type and air.type != "unknown" else fallback
    if kind is None:
        return None
    return Evidence(
        name=name,
        kind=kind,
        source=source,
        weight=weight,
        clip_weight=clip_weight,
        version_id=air.version_id,
        model_id=air.model_id,
        air=readable(text.strip()),
    )


def from_text(
    value: object,
    *,
    kind: DepKind,
    source: DepSource,
    weight: float | None = None,
    clip_weight: float | None = None,
) -> Evidence | None:
    """Read a loader's field: an AIR or a file name."""
    text = as_name(value)
    if text is None:
        return None
    air = parse_air(text)
    if air is not None:
        return from_air(
            air, text, source=source, fallback=kind, weight=weight, clip_weight=clip_weight
        )
    return Evidence(name=text, kind=kind, source=source, weight=weight, clip_weight=clip_weight)


def from_civitai_resources(meta: Json, resources: tuple[ResourceRecord, ...]) -> Iterator[Evidence]:
    """Read what the site's own generator lists: version ids with type and weight.

    An entry without type takes its kind from `resources`, what CivitAI lists for the image;
    else the first one is the checkpoint, when no other says that it is, and the rest LoRAs.
    """
    types = {row.version_id: kind_of(row.model_type) for row in resources if row.version_id}
    places = (
        meta.get("civitaiResources"),
        as_dict(meta.get("extra")).get("resources"),
        meta.get("Civitai resources"),
    )
    rows = [row for place in places for row in _rows(place)]
    needs_checkpoint = all(kind_of(row.get("type")) != "checkpoint" for row in rows)
    for row in rows:
        air = _air(row.get("air"))
        version = as_id(row.get("modelVersionId")) or as_id(row.get("versionId"))
        version = version or (air.version_id if air else None)
        if version is None:
            continue
        kind = kind_of(row.get("type"))
        if not row.get("type"):
            kind = types.get(version, "checkpoint" if needs_checkpoint else "lora")
            needs_checkpoint = needs_checkpoint and kind != "checkpoint"
        if kind is None:
            # an upscaler, a workflow: used, but nothing that a prompt loads
            continue
        weight = as_weight(row.get("weight"))
        yield Evidence(
            name=as_name(row.get("modelName")) or "",
            kind=kind,
            source="meta_resources",
            weight=weight if weight is not None else as_weight(row.get("strength")),
            version_id=version,
            model_id=as_id(row.get("modelId")) or (air.model_id if air else None),
        )


def from_additional(meta: Json) -> Iterator[Evidence]:
    """Read `additionalResources`: names or AIRs with two strengths."""
    for row in _rows(meta.get("additionalResources")):
        name = as_name(row.get("name"))
        text = row.get("air") if isinstance(row.get("air"), str) else name
        air = _air(text)
        kind = kind_of(row.get("type")) or (kind_of(air.type) if air else None)
        if kind is None and row.get("type") is None and air is None:
            kind = "lora"
        if kind is None:
            continue
        named = name if name and _air(name) is None else ""
        weight, clip = as_weight(row.get("strength")), as_weight(row.get("strengthClip"))
        yield Evidence(
            name=named or "",
            kind=kind,
            source="meta_resources",
            weight=weight,
            clip_weight=clip,
            version_id=air.version_id if air else as_id(row.get("modelVersionId")),
            model_id=air.model_id if air else None,
            air=readable(text.strip()) if air and isinstance(text, str) else None,
        )


def from_file_lists(meta: Json) -> Iterator[Evidence]:
    """Read `models` and `vaes`: file names or AIRs. Upscalers are no dependencies here."""
    lists: tuple[tuple[str, DepKind], ...] = (("models", "checkpoint"), ("vaes", "vae"))
    for key, kind in lists:
        for value in as_list(meta.get(key))[:_MAX_ROWS]:
            text = value.get("name") if isinstance(value, dict) else value
            if found := from_text(text, kind=kind, source="meta_resources"):
                yield found


def from_id_lists(meta: Json, resources: tuple[ResourceRecord, ...]) -> Iterator[Evidence]:
    """Read `versionIds` and `modelIds`; the two pair up when they are equally long."""
    types = {row.version_id: row.model_type for row in resources if row.version_id}
    versions = [as_id(value) for value in as_list(meta.get("versionIds"))[:_MAX_ROWS]]
    models = [as_id(value) for value in as_list(meta.get("modelIds"))[:_MAX_ROWS]]
    if versions and len(models) != len(versions):
        models = [None] * len(versions)
    for index, model in enumerate(models):
        version = versions[index] if versions else None
        known = types.get(version) if version else None
        kind = kind_of(known) if known else "lora"
        if kind and (version or model):
            yield Evidence(
                name="", kind=kind, source="meta_resources", version_id=version, model_id=model
            )


def _air(value: object) -> Air | None:
    return parse_air(value) if isinstance(value, str) else None


def _rows(value: object) -> list[dict[str, Any]]:
    if isinstance(value, str) and len(value) <= _MAX_TEXT and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    return [row for row in as_list(value)[:_MAX_ROWS] if isinstance(row, dict)]
