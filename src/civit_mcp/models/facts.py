"""Answers about models and versions."""

from typing import Any, Literal

from civit_mcp.models.lean import Answer, Row
from civit_mcp.models.levels import Level

CatalogStatus = Literal["present", "missing", "not_found", "unknown"]


class GateRow(Row):
    """What stands between a user and a version's files."""

    kind: str
    reason: str
    until: str | None = None


class FileBrief(Row):
    """The file that a download without filters gives."""

    id: int | None = None
    name: str = ""
    #: megabytes of 10^6 bytes
    size_mb: float | None = None
    fp: str | None = None
    format: str | None = None


class SearchRow(Row):
    """One model in a search result, with its newest fitting version."""

    id: int
    name: str
    type: str
    creator: str | None = None
    level: Level | None = None
    version_id: int | None = None
    version_name: str | None = None
    base_model: str | None = None
    trigger_words: list[str] = []
    #: trigger words left out of `trigger_words`
    more_words: int | None = None
    file: FileBrief | None = None
    downloads: int | None = None
    thumbs_up: int | None = None
    catalog_status: CatalogStatus = "not_found"
    gate: GateRow | None = None
    url: str


class SearchAnswer(Answer):
    """What `search_models` found."""

    items: list[SearchRow]
    next_cursor: str | None = None
    filters_applied: dict[str, Any] = {}
    #: reason -> rows of this page that were left out
    hidden: dict[str, int] = {}
    why_empty: str | None = None
    notes: list[str] = []


class Failure(Row):
    """One reference of a batch that could not be answered."""

    reference: str
    error: str


class FileFacts(Row):
    """One file of a version."""

    id: int | None = None
    name: str = ""
    type: str = ""
    size_mb: float | None = None
    format: str | None = None
    fp: str | None = None
    size: str | None = None
    quant: str | None = None
    primary: bool = False
    hashes: dict[str, str] = {}
    #: pickle and virus scan in one word: Success, Pending, Danger, Error
    scan: str | None = None
    download_url: str | None = None


class Advice(Row):
    """The weight that the creator advises."""

    strength: float | None = None
    min: float | None = None
    max: float | None = None
    clip_skip: int | None = None


class VersionFacts(Row):
    """One version."""

    id: int | None = None
    name: str | None = None
    model_id: int | None = None
    model_name: str | None = None
    model_type: str | None = None
    base_model: str | None = None
    family: str | None = None
    air: str | None = None
    level: Level | None = None
    trigger_words: list[str] = []
    advice: Advice | None = None
    published_at: str | None = None
    downloads: int | None = None
    thumbs_up: int | None = None
    files: list[FileFacts] = []
    gate: GateRow | None = None
    catalog_status: CatalogStatus | None = None
    catalog_file: str | None = None
    catalog_dest: str | None = None
    catalog_name: str | None = None
    description: str | None = None
    #: pass it as `description_from` to read on
    description_next: int | None = None
    url: str | None = None
    notes: list[str] = []


class VersionAnswer(VersionFacts):
    """One version, or several under `items`."""

    items: list[VersionFacts] = []
    failed: list[Failure] = []


class VersionBrief(Row):
    """One version in the answer about its model."""

    id: int
    name: str
    base_model: str | None = None
    trigger_words: list[str] = []
    #: trigger words left out of `trigger_words`
    more_words: int | None = None
    file: FileBrief | None = None
    published_at: str | None = None
    downloads: int | None = None
    catalog_status: CatalogStatus = "not_found"
    gate: GateRow | None = None


class Licence(Row):
    """The creator's permissions in plain words."""

    credit_required: bool | None = None
    commercial_use: str | None = None
    derivatives: str | None = None
    relicensing: str | None = None


class ModelFacts(Row):
    """One model with its versions in the creator's order."""

    id: int | None = None
    name: str | None = None
    type: str | None = None
    creator: str | None = None
    level: Level | None = None
    mode: str | None = None
    tags: list[str] = []
    downloads: int | None = None
    thumbs_up: int | None = None
    licence: Licence | None = None
    versions: list[VersionBrief] = []
    #: versions left out of `versions`; get_model_version reads them by id
    more_versions: list[int] = []
    description: str | None = None
    description_next: int | None = None
    url: str | None = None
    notes: list[str] = []


class ModelAnswer(ModelFacts):
    """One model, or several under `items`."""

    items: list[ModelFacts] = []
    failed: list[Failure] = []
