"""Pages of listings, batch look-ups, and the small answers."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from civit_mcp.civitai.queries import Account, Enums
from civit_mcp.civitai.wire.fields import (
    expect,
    flag,
    ident,
    items,
    kind,
    name,
    names,
    obj,
    records,
    text,
    whole,
)
from civit_mcp.civitai.wire.files import read_hash
from civit_mcp.civitai.wire.models import read_version
from civit_mcp.errors import UpstreamChanged
from civit_mcp.models.records import HashOwner, Json, Page, VersionRecord

T = TypeVar("T")


def page_from(
    value: Any,
    read: Callable[[Json], T | None],
    *,
    identity: Callable[[T], int | None],
    asked_cursor: str | None,
    about: str,
) -> Page[T]:
    """Read a page; a row that comes twice counts once.

    A cursor that is the one just used would go round in circles: it counts as the end.
    Raises `UpstreamChanged` when the answer holds no list of rows.
    """
    source = value if isinstance(value, list) else expect(value, about=about).get("items")
    if not isinstance(source, list):
        raise UpstreamChanged(f"CivitAI answered no list of items where {about} were expected")
    unique: dict[object, T] = {}
    for record in records(source, read):
        unique.setdefault(identity(record) or object(), record)
    cursor = next_cursor(obj(value))
    return Page(
        items=tuple(unique.values()), next_cursor=None if cursor == asked_cursor else cursor
    )


def next_cursor(source: Json) -> str | None:
    """Find the cursor of the next page: a text or number, or part of an address."""
    metadata = obj(source.get("metadata"))
    for holder in (metadata, source):
        raw = holder.get("nextCursor")
        number = whole(raw) if not isinstance(raw, str) else None
        if isinstance(raw, str) and raw.strip():
            return raw
        if number is not None:
            return str(number)
    link = text(metadata.get("nextPage"))
    if link is None:
        return None
    try:
        found = parse_qs(urlsplit(link).query, max_num_fields=100).get("cursor")
    except ValueError:
        return None
    return found[0] if found else None


def versions_from(value: Any) -> tuple[VersionRecord, ...]:
    """Read a batch of versions: gaps and repeats are dropped.

    Raises `UpstreamChanged` when it is neither a list nor a map of versions.
    """
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        raise UpstreamChanged(
            f"CivitAI answered {kind(value)} where a list of versions was expected"
        )
    unique: dict[int, VersionRecord] = {}
    for version in records(value, read_version):
        unique.setdefault(version.id, version)
    return tuple(unique.values())


def owners_from(value: Any) -> tuple[HashOwner, ...]:
    """Read which versions own which hashes, from a list of rows or a map by hash.

    One hash may have several owners; the same pair is given once.
    """
    if not isinstance(value, (list, dict)):
        raise UpstreamChanged(
            f"CivitAI answered {kind(value)} where owners of hashes were expected"
        )
    owners: dict[tuple[str, int], HashOwner] = {}
    for digest, row in _owner_rows(value):
        known = read_hash(digest)
        version_id = ident(row.get("modelVersionId")) or ident(row.get("versionId"))
        if known is not None and version_id is not None:
            owner = HashOwner(hash=known, version_id=version_id, model_id=ident(row.get("modelId")))
            owners.setdefault((known, version_id), owner)
    return tuple(owners.values())


def _owner_rows(value: list[Any] | Json) -> Iterator[tuple[Any, Json]]:
    if isinstance(value, list):
        yield from ((row.get("hash"), row) for row in value if isinstance(row, dict))
        return
    for digest, found in value.items():
        for row in found if isinstance(found, list) else [found]:
            yield digest, row if isinstance(row, dict) else {"modelVersionId": row}


def enums_from(value: Any) -> Enums:
    """Read the filter words. Raises `UpstreamChanged` when it is no object."""
    source = expect(value, about="the enumerations")
    return Enums(
        model_types=names(source.get("ModelType")),
        file_types=names(source.get("ModelFileType")),
        base_models=names(source.get("BaseModel")),
        active_base_models=names(source.get("ActiveBaseModel")),
        base_model_types=names(source.get("BaseModelType")),
    )


def account_from(value: Any) -> Account:
    """Read whose key it is. Address and other personal fields are left unread."""
    source = expect(value, about="an account")
    identity = ident(source.get("id"))
    if identity is None:
        raise UpstreamChanged(
            "CivitAI answered an object without an id where an account was expected"
        )
    tier = text(source.get("tier"))
    return Account(
        id=identity,
        username=name(source.get("username")),
        tier=tier.lower() if tier else None,
        status=text(source.get("status")),
        is_member=flag(source.get("isMember")),
        subscriptions=tuple(word for word in items(source.get("subscriptions")) if text(word)),
        token_scope=whole(source.get("tokenScope")),
    )
