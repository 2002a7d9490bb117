"""Answers of the catalog tools."""

from typing import Any, Literal

from civit_mcp.models.facts import CatalogStatus
from civit_mcp.models.lean import Row

CatalogName = Literal["models", "loras"]


class AddAnswer(Row):
    """What `add_to_catalog` did."""

    status: Literal["added", "already_exists", "restricted"]
    file: str | None = None
    name: str | None = None
    category: str | None = None
    dest: str | None = None
    reason: str | None = None
    catalog_status: CatalogStatus | None = None
    change_id: str | None = None
    dry_run: bool | None = None
    #: lines that the files would gain (+) and lose (-)
    diff: str | None = None
    notes: list[str] = []


class PromoteAnswer(Row):
    """What `promote_to_lora` did."""

    status: Literal["promoted", "already_exists"]
    file: str | None = None
    name: str | None = None
    category: str | None = None
    dest: str | None = None
    change_id: str | None = None
    dry_run: bool | None = None
    diff: str | None = None
    notes: list[str] = []


class EntryRow(Row):
    """One catalog entry with its status."""

    name: str
    file: str
    dest: str
    catalog: CatalogName
    category: str
    status: CatalogStatus
    base_model: str | None = None
    size_gb: float | None = None
    version_id: int | str | None = None
    model_id: int | str | None = None
    trigger_words: list[str] = []
    source: str | None = None


class ListAnswer(Row):
    """Entries of the catalog. `total` counts all that fit the filters."""

    entries: list[EntryRow]
    total: int
    next_cursor: str | None = None
    notes: list[str] = []


class SummaryAnswer(Row):
    """The catalog at a glance: counts, places, last change."""

    files: dict[str, Any]
    total: int
    by_status: dict[str, int]
    by_family: dict[str, int]
    last_change: dict[str, Any] | None = None
    notes: list[str] = []
