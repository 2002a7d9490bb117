"""Answers about the key's owner and the owner's vault."""

from typing import Literal

from civit_mcp.models.facts import Failure
from civit_mcp.models.lean import Answer, Row


class WhoAmI(Row):
    """Whose key it is, and what the key may do."""

    id: int
    username: str | None = None
    #: free, founder, bronze, silver, gold
    tier: str | None = None
    #: active, muted, banned
    status: str | None = None
    member: bool | None = None
    #: what the key is allowed to do
    may: list[str] = []
    url: str | None = None
    notes: list[str] = []


class PermissionRow(Row):
    """Whether the key's owner may generate with one version on the site."""

    version_id: int
    may_generate: bool | None


class PermissionsAnswer(Answer):
    """Permissions; they say nothing about downloads."""

    items: list[PermissionRow]
    failed: list[Failure] = []
    notes: list[str] = []


class VaultRow(Row):
    """One version in the vault."""

    version_id: int | None = None
    version_name: str | None = None
    model_id: int | None = None
    model_name: str | None = None
    creator: str | None = None
    type: str | None = None
    base_model: str | None = None
    #: Pending, Stored, Failed
    status: str | None = None
    added_at: str | None = None
    size_mb: float | None = None


class VaultAnswer(Answer):
    """A page of the vault."""

    items: list[VaultRow]
    total: int | None = None
    #: absent for who is no member
    used_gb: float | None = None
    storage_gb: float | None = None
    next_cursor: str | None = None
    why_empty: str | None = None
    notes: list[str] = []


class ToggleAnswer(Row):
    """Where the version is now."""

    version_id: int
    vault: Literal["in", "out", "unknown"]
    changed: bool
    notes: list[str] = []
