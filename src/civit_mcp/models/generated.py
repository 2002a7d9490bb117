"""The answer of `get_generation_data`: how an image was made."""

from typing import Any, Literal

from civit_mcp.models.facts import CatalogStatus
from civit_mcp.models.lean import Answer, Row
from civit_mcp.models.levels import Level

DepKind = Literal["lora", "lyco", "hypernet", "embedding", "checkpoint", "vae"]
DepSource = Literal["prompt", "negative_prompt", "meta_resources", "hashes", "comfy_graph"]
DetectedType = Literal["t2i", "i2i", "inpaint", "t2v", "i2v", "v2v", "unknown"]
ResolvedBy = Literal["version_id", "hash", "air", "name"]


class ResourceRow(Row):
    """One resource that CivitAI lists for the image. CivitAI's own field names."""

    modelName: str | None  # noqa: N815 - the wire name that clients of this format read
    modelType: str | None  # noqa: N815
    modelId: int | None  # noqa: N815
    versionId: int | None  # noqa: N815
    versionName: str | None  # noqa: N815
    baseModel: str | None  # noqa: N815
    strength: float | None
    catalog_status: CatalogStatus
    catalog_file: str | None = None
    catalog_dest: str | None = None
    catalog_name: str | None = None


class DepRow(Row):
    """Something that only the text or the metadata reveals."""

    name: str
    kind: DepKind
    weight: float | None
    source: DepSource
    #: upper-case hex; empty when nothing tells it
    hash: str
    catalog_status: CatalogStatus
    catalog_file: str | None = None
    catalog_dest: str | None = None
    catalog_name: str | None = None
    civitai_model_id: int | None = None
    civitai_version_id: int | None = None
    civitai_model_name: str | None = None
    civitai_version_name: str | None = None
    civitai_base_model: str | None = None
    civitai_type: str | None = None
    civitai_file: str | None = None
    resolved_by: ResolvedBy | None = None
    #: a name match: worth a look, no identification
    candidate: str | None = None


class MissingRow(Row):
    """A part that the user does not have, and the call that gets it."""

    name: str
    kind: str
    version_id: int | None = None
    catalog_status: CatalogStatus
    next: str


class GenerationAnswer(Answer):
    """How an image or video was made. All keys are always there."""

    image_id: int
    url: str | None = None
    type: str | None = None
    process: str | None = None
    detected_type: DetectedType = "unknown"
    level: Level | None = None
    resources: list[ResourceRow] = []
    detected_deps: list[DepRow] = []
    clean_prompt: str = ""
    negative_prompt: str = ""
    meta: dict[str, Any] = {}
    techniques: list[str] = []
    tools: list[str] = []
    missing: list[MissingRow] = []
    notes: list[str] = []
    raw: dict[str, Any] | None = None
    raw_uri: str
