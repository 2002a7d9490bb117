"""Answers of the catalog tools."""

from typing import Any, Literal

from civit_mcp.models.facts import CatalogStatus
from civit_mcp.models.lean import Row

CatalogName = Literal["models", "loras"]


AddStatus = Literal["added", "already_exists", "restricted", "failed"]
PairRole = Literal["high", "low", "both"]
ExportFormat = Literal["catalog", "lock", "csv", "comfyui-manager", "comfy-cli"]
Problem = Literal[
    "missing",
    "empty",
    "elsewhere",
    "wrong_size",
    "wrong_hash",
    "duplicate_version",
    "duplicate_hash",
    "duplicate_name",
    "bad_dest",
    "half_pair",
    "gone_upstream",
    "unknown_upstream",
    "newer_version",
]


class AddRow(Row):
    """What became of one reference of a bulk add."""

    reference: str
    status: AddStatus
    version_id: int | None = None
    file: str | None = None
    category: str | None = None
    dest: str | None = None
    reason: str | None = None
    notes: list[str] = []


class AddAnswer(Row):
    """What `add_to_catalog` did; for several references `done`, with a row for each."""

    status: Literal["added", "already_exists", "restricted", "done"]
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
    items: list[AddRow] = []
    counts: dict[str, int] = {}
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
    #: trigger words left out of `trigger_words`
    more_words: int | None = None
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


class ChangeAnswer(Row):
    """What a change of one entry, or taking a change back, did."""

    status: Literal["removed", "moved", "demoted", "edited", "unchanged", "undone"]
    file: str | None = None
    name: str | None = None
    catalog: CatalogName | None = None
    category: str | None = None
    dest: str | None = None
    change_id: str | None = None
    #: the change that was taken back
    undoes: str | None = None
    dry_run: bool | None = None
    diff: str | None = None
    notes: list[str] = []


class HistoryRow(Row):
    """One change that was made."""

    change_id: str
    time: str
    verb: str
    version_id: str | None = None
    #: names of the files whose entries it touched
    files: list[str] = []
    #: how many names there are, when they are several
    entries: int | None = None
    #: as the cursor of `catalog_history` it leads to the names left out of `files`
    files_cursor: str | None = None
    undoes: str | None = None
    undone_by: str | None = None


class HistoryAnswer(Row):
    """Changes, newest first."""

    changes: list[HistoryRow]
    total: int
    next_cursor: str | None = None


class ProblemRow(Row):
    """One thing that `verify_catalog` found."""

    problem: Problem
    file: str
    catalog: CatalogName | None = None
    dest: str | None = None
    version_id: int | str | None = None
    detail: str | None = None


class VerifyAnswer(Row):
    """What is wrong with the catalog, if anything."""

    problems: list[ProblemRow]
    #: problems in all, and how many of each kind
    total: int
    by_problem: dict[str, int] = {}
    #: entries that were looked at
    checked: int
    next_cursor: str | None = None
    notes: list[str] = []


class ExchangeAnswer(Row):
    """What came in from a file or went out to one."""

    status: Literal["exported", "imported", "unchanged"]
    path: str
    entries: int
    #: entries of the file that the catalog has already, or cannot take
    skipped: int | None = None
    change_id: str | None = None
    dry_run: bool | None = None
    diff: str | None = None
    notes: list[str] = []
