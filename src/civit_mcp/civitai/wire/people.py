"""Creators, users and permissions."""

from typing import Any

from civit_mcp.civitai.wire.fields import count, flag, ident, kind, level_bits, name, records
from civit_mcp.civitai.wire.images import cdn_url
from civit_mcp.civitai.wire.numbered import rows_of
from civit_mcp.errors import UpstreamChanged
from civit_mcp.models.account import CreatorRecord, UserRecord
from civit_mcp.models.records import Json


def read_creator(source: Json) -> CreatorRecord | None:
    """Read one creator; None without a name."""
    label = name(source.get("username"))
    if label is None:
        return None
    return CreatorRecord(
        username=label,
        model_count=count(source.get("modelCount")),
        image=cdn_url(source.get("image"), None, "image"),
    )


def users_from(value: Any) -> tuple[UserRecord, ...]:
    """Read users, in a list or under `items`. Raises `UpstreamChanged` for anything else."""
    return records(rows_of(value, about="users"), _read_user)


def _read_user(source: Json) -> UserRecord | None:
    identity = ident(source.get("id"))
    if identity is None:
        return None
    return UserRecord(
        id=identity,
        username=name(source.get("username")),
        avatar=cdn_url(source.get("avatarUrl") or source.get("image"), None, "image"),
        avatar_level_bits=level_bits({"nsfwLevel": source.get("avatarNsfw")}),
    )


def permissions_from(value: Any) -> dict[int, bool]:
    """Read a map from id to yes or no; an empty list is an empty map.

    The form that earlier references describe answers for one id and may leave out the one
    permission that counts here; nothing is then known. Raises `UpstreamChanged` when nothing
    in the answer looks like either.
    """
    if isinstance(value, list) and not value:
        return {}
    if not isinstance(value, dict):
        raise UpstreamChanged(f"CivitAI answered {kind(value)} where permissions were expected")
    if "entityId" in value:
        single, verdict = ident(value["entityId"]), flag(value.get("canGenerate"))
        return {single: verdict} if single is not None and verdict is not None else {}
    read = ((ident(key), flag(verdict)) for key, verdict in value.items())
    found = {key: verdict for key, verdict in read if key is not None and verdict is not None}
    if value and not found:
        raise UpstreamChanged("CivitAI answered an object without ids where permissions belong")
    return found
