"""The vault."""

from typing import Any, Final

from civit_mcp.civitai.wire.fields import (
    brief,
    expect,
    flag,
    ident,
    kind,
    maybe_obj,
    name,
    objects,
    text,
)
from civit_mcp.civitai.wire.short import size_of
from civit_mcp.errors import UpstreamChanged
from civit_mcp.models.account import VaultInfo, VaultItem, VaultToggle
from civit_mcp.models.records import Json

_SIZE_KEYS: Final = ("storageKb", "storageLimitKb")
_USED_KEYS: Final = ("usedStorageKb", "storageUsedKb")
#: keys of which at least one is in every known form of the vault
_VAULT_KEYS: Final = frozenset({*_SIZE_KEYS, *_USED_KEYS, "userId", "subscribed", "modelVersionId"})


def vault_from(value: Any) -> VaultInfo | None:
    """Read the vault; None when there is none. Raises `UpstreamChanged` for anything else."""
    source = expect(value, about="the vault")
    if not source or ("vault" in source and source["vault"] is None):
        return None
    vault = expect(source.get("vault", source), about="the vault")
    if not vault.keys() & _VAULT_KEYS:
        raise UpstreamChanged(f"CivitAI answered {kind(vault)} where the vault was expected")
    if flag(vault.get("subscribed")) is False:
        return None
    return VaultInfo(
        user_id=ident(vault.get("userId")),
        storage_kb=_first_size(vault, _SIZE_KEYS),
        used_kb=_first_size(vault, _USED_KEYS),
        updated_at=text(vault.get("updatedAt")),
    )


def _first_size(source: Json, keys: tuple[str, ...]) -> float | None:
    return next((size for key in keys if (size := size_of(source.get(key))) is not None), None)


def read_vault_item(source: Json) -> VaultItem | None:
    """Read one item; None when nothing says which version it is of."""
    item = VaultItem(
        id=ident(source.get("id")),
        version_id=ident(source.get("modelVersionId")),
        version_name=name(source.get("versionName")),
        model_id=ident(source.get("modelId")),
        model_name=name(source.get("modelName")),
        creator=name(source.get("creatorName")),
        type=text(source.get("type")),
        base_model=brief(source.get("baseModel")),
        category=text(source.get("category")),
        status=text(source.get("status")),
        added_at=text(source.get("addedAt")),
        refreshed_at=text(source.get("refreshedAt")),
        model_size_kb=size_of(source.get("modelSizeKb")),
        details_size_kb=size_of(source.get("detailsSizeKb")),
        images_size_kb=size_of(source.get("imagesSizeKb")),
        notes=text(source.get("notes")),
    )
    return item if item.id or item.version_id else None


def vault_has_from(value: Any) -> dict[int, VaultItem | None]:
    """Read which versions are in the vault: rows, or a map by id.

    The form that earlier references describe tells of the subscription only, so nothing is
    then known of any version. Raises `UpstreamChanged` for anything else.
    """
    found: dict[int, VaultItem | None] = {}
    if isinstance(value, list):
        rows = [(row.get("modelVersionId"), row.get("vaultItem")) for row in objects(value)]
    elif isinstance(value, dict):
        if "subscribed" in value:
            return found
        rows = list(value.items())
    else:
        raise UpstreamChanged(f"CivitAI answered {kind(value)} where vault items were expected")
    for key, raw in rows:
        identity, source = ident(key), maybe_obj(raw)
        if identity is None or (source is None and raw is not None):
            continue
        found[identity] = (
            None if source is None else read_vault_item({**source, "modelVersionId": identity})
        )
    if value and not found:
        raise UpstreamChanged("CivitAI answered rows without ids where vault items were expected")
    return found


def toggle_from(value: Any, *, about: str) -> VaultToggle:
    """Read what a toggle did: the id of a new item comes only when one was added.

    Raises `UpstreamChanged` when the answer says neither success nor failure.
    """
    source = expect(value, about=about)
    success = flag(source.get("success"))
    if success is None:
        item = read_vault_item(source)
        if item is None:
            raise UpstreamChanged(f"CivitAI answered {kind(source)} where {about} was expected")
        return VaultToggle(success=True, item_id=item.id)
    item_id = ident(source.get("vaultId"))
    return VaultToggle(
        success=success, added=(item_id is not None) if success else None, item_id=item_id
    )
