"""How an image was made, as tRPC tells it."""

from typing import Any

from civit_mcp.civitai.wire.fields import (
    brief,
    expect,
    flag,
    ident,
    maybe_obj,
    name,
    names,
    real,
    records,
    text,
)
from civit_mcp.civitai.wire.images import unwrap_meta
from civit_mcp.models.records import GenerationRecord, Json, ResourceRecord


def generation_from(value: Any, *, raw: Json, about: str) -> GenerationRecord:
    """Read generation data. Raises `UpstreamChanged` when it is no object."""
    source = expect(value, about=about)
    return GenerationRecord(
        type=text(source.get("type")),
        process=text(source.get("process")) or text(source.get("generationProcess")),
        on_site=flag(source.get("onSite")),
        meta=unwrap_meta(source.get("meta")),
        resources=records(source.get("resources"), read_resource),
        tools=names(source.get("tools")),
        techniques=names(source.get("techniques")),
        external=maybe_obj(source.get("external")),
        can_remix=flag(source.get("canRemix")),
        remix_of_id=ident(source.get("remixOfId")),
        raw=raw,
    )


def read_resource(source: Json) -> ResourceRecord | None:
    """Read one resource; None when nothing says which one it is."""
    resource = ResourceRecord(
        version_id=ident(source.get("versionId")) or ident(source.get("modelVersionId")),
        version_name=name(source.get("versionName")),
        model_id=ident(source.get("modelId")),
        model_name=name(source.get("modelName")),
        model_type=text(source.get("modelType")),
        base_model=brief(source.get("baseModel")),
        strength=real(source.get("strength")),
    )
    known = resource.version_id or resource.model_id or resource.model_name
    return resource if known else None
