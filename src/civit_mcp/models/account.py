"""People on CivitAI, and the vault in which a member keeps models.

E-mail addresses are left unread: no record has a place for one.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatorRecord:
    """One creator of models."""

    username: str
    #: None when CivitAI does not say, also when there are none
    model_count: int | None = None
    #: absolute URL without query
    image: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """One user."""

    id: int
    username: str | None = None
    #: absolute URL without query
    avatar: str | None = None
    #: browsing bits of the avatar; 0 unrated, None unknown
    avatar_level_bits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultInfo:
    """The vault as a whole. Sizes are KiB as sent."""

    user_id: int | None = None
    storage_kb: float | None = None
    used_kb: float | None = None
    updated_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultItem:
    """One version in the vault. Sizes are KiB as sent."""

    id: int | None = None
    version_id: int | None = None
    version_name: str | None = None
    model_id: int | None = None
    model_name: str | None = None
    creator: str | None = None
    type: str | None = None
    base_model: str | None = None
    category: str | None = None
    #: Pending, Stored, Failed (open set)
    status: str | None = None
    added_at: str | None = None
    refreshed_at: str | None = None
    model_size_kb: float | None = None
    details_size_kb: float | None = None
    images_size_kb: float | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultToggle:
    """What a toggle did."""

    success: bool
    #: True now in the vault, False no longer, None when CivitAI does not say
    added: bool | None = None
    #: id of the vault's item when one was added
    item_id: int | None = None
