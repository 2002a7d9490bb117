"""Answers about files and whether they can be had."""

from typing import Literal

from civit_mcp.models.facts import CatalogStatus, Failure, GateRow
from civit_mcp.models.lean import Answer, Row
from civit_mcp.models.weights import HashType

#: by which hash a file was found
FoundBy = Literal[HashType, "prefix"]
#: gone is for good; unknown, when nobody can tell now
Existence = Literal["present", "gone", "unknown"]


class IdentifiedRow(Row):
    """One file or hash, and the version that owns it."""

    #: relative to the models root, or whole where ComfyUI searches besides it
    path: str | None = None
    #: the hash that was given
    hash: str | None = None
    #: identified, not_found (CivitAI knows no such file), unknown (the look-up failed)
    state: Literal["identified", "not_found", "unknown"]
    found_by: FoundBy | None = None
    #: 8 digits: other files may have the same
    weak: bool | None = None
    sha256: str | None = None
    autov2: str | None = None
    autov3: str | None = None
    size_mb: float | None = None
    version_id: int | None = None
    version_name: str | None = None
    model_id: int | None = None
    model_name: str | None = None
    type: str | None = None
    base_model: str | None = None
    file_id: int | None = None
    catalog_status: CatalogStatus | None = None
    #: other versions that own the same file
    also: list[int] = []
    note: str | None = None


class IdentifiedAnswer(Answer):
    """What was identified."""

    items: list[IdentifiedRow]
    counts: dict[str, int] = {}
    next_cursor: str | None = None
    notes: list[str] = []


class AvailabilityRow(Row):
    """Whether one version can be downloaded now."""

    reference: str
    version_id: int | None = None
    name: str | None = None
    state: Existence
    #: absent when unknown
    downloadable: bool | None = None
    gate: GateRow | None = None
    #: CivitAI asks for a signed-in user
    login_needed: bool | None = None
    file: str | None = None
    size_mb: float | None = None
    level: str | None = None
    catalog_status: CatalogStatus | None = None
    why: str | None = None


class AvailabilityAnswer(Answer):
    """What can be had."""

    items: list[AvailabilityRow]
    failed: list[Failure] = []
    #: state -> rows of this page
    counts: dict[str, int] = {}
    next_cursor: str | None = None
    notes: list[str] = []
