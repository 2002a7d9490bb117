"""The key's owner: who it is, what they may do, and their vault.

All of it needs a key. An e-mail address is never asked for and never shown.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Literal
from weakref import WeakKeyDictionary, WeakValueDictionary

from civit_mcp.civitai import Account, CivitaiClient
from civit_mcp.errors import (
    BadReference,
    CivitError,
    Conflict,
    NotConfigured,
    Restricted,
    Unauthorized,
    UpstreamChanged,
    UpstreamUnavailable,
)
from civit_mcp.models.account import VaultItem
from civit_mcp.models.owned import (
    PermissionRow,
    PermissionsAnswer,
    ToggleAnswer,
    VaultAnswer,
    VaultRow,
    WhoAmI,
)
from civit_mcp.text import one_line
from civit_mcp.usecases.batch import each, failure, not_too_many
from civit_mcp.usecases.desk import Desk
from civit_mcp.usecases.directory import read_page, write_page
from civit_mcp.usecases.filters import one_of, refuse_key
from civit_mcp.usecases.resolve import RefArgument, version_id_of
from civit_mcp.usecases.rows import SITE, in_megabytes, word

VAULT_SORTS: Final = ("Recently Added", "Recently Created", "Model Name", "Model Size")
MOST_VERSIONS: Final = 100
#: bits of a key's scope, as far as they are known
_SCOPE: Final = (
    (1, "read user"),
    (2, "write user"),
    (4, "read models"),
    (8, "write models"),
    (16, "delete models"),
    (32, "read media"),
)
_NO_MEMBER: Final = "The key's owner has no membership, and only members have a vault"
Place = Literal["in", "out"]
#: one toggle of a version at a time: who looks while another one's is on its way sees too early
_turns: Final[WeakKeyDictionary[CivitaiClient, WeakValueDictionary[int, asyncio.Lock]]] = (
    WeakKeyDictionary()
)


async def whoami(desk: Desk) -> WhoAmI:
    """Tell whose key is set.

    Raises:
        NotConfigured: none is set.
        Unauthorized: CivitAI does not accept it.
    """
    account = await _owner(desk)
    scope = account.token_scope
    username = one_line(account.username, 100) or None
    return WhoAmI(
        id=account.id,
        username=username,
        tier=word(account.tier),
        status=word(account.status),
        member=account.is_member,
        may=[words for bit, words in _SCOPE if scope is not None and scope & bit],
        url=f"{SITE}/user/{username}" if username else None,
        notes=[] if scope is not None else ["CivitAI did not say what this key may do"],
    )


async def check_permissions(desk: Desk, refs: Sequence[RefArgument]) -> PermissionsAnswer:
    """Tell which versions the key's owner may generate with on the site.

    Raises:
        NotConfigured, Unauthorized: as `whoami`.
        BadReference: no versions were given.
        TooLarge: more than 100.
    """
    _need_key(desk)
    if not refs:
        raise BadReference("no 'version_ids' were given", "pass version ids")
    not_too_many(len(refs), MOST_VERSIONS)
    account = await _owner(desk)

    async def resolve(ref: RefArgument) -> int:
        return await version_id_of(desk, ref)

    found = await each(refs, resolve)
    ids = list(dict.fromkeys(i for i in found if not isinstance(i, CivitError)))
    allowed = await desk.client.permissions(ids, user_id=account.id) if ids else {}
    return PermissionsAnswer(
        items=[PermissionRow(version_id=i, may_generate=allowed.get(i)) for i in ids],
        failed=[
            failure(ref, error)
            for ref, error in zip(refs, found, strict=True)
            if isinstance(error, CivitError)
        ],
        notes=["This is about generating on the site; check_availability tells of downloads"],
    )


async def list_vault(
    desk: Desk, *, query: str | None, sort: str, limit: int, cursor: str | None
) -> VaultAnswer:
    """List what the vault holds.

    Raises:
        NotConfigured: no key is set.
        Unauthorized: CivitAI does not accept it.
    """
    _need_key(desk)
    sort = one_of(sort, VAULT_SORTS, "sort")
    page = read_page(cursor, "list_vault")
    vault = await desk.client.vault()
    if vault is None:
        return VaultAnswer(items=[], why_empty=_NO_MEMBER)
    refuse_key(query)
    words = one_line(query, 100)
    found = await desk.client.vault_items(limit=limit, page=page, query=words, sort=sort)
    why = None
    if not found.items:
        why = f"Nothing in the vault fits '{words}'" if words else "The vault is empty"
        why = "The listing ends here" if page > 1 else why
    return VaultAnswer(
        items=[_vault_row(item) for item in found.items],
        total=found.total,
        used_gb=_gigabytes(vault.used_kb),
        storage_gb=_gigabytes(vault.storage_kb),
        next_cursor=None if found.next_page is None else write_page(found.next_page),
        why_empty=why,
    )


async def toggle_vault(
    desk: Desk,
    ref: RefArgument,
    want: Place | None,
    *,
    before_sending: Callable[[str], None] | None = None,
) -> ToggleAnswer:
    """Put a version into the vault or take it out; without `want`, to where it is not.

    CivitAI flips on every request, so the state is read first and the request is sent at
    most once: asking again for `in` or `out` changes nothing. `before_sending` hears what is
    about to be asked for.

    Raises:
        NotConfigured: no key is set.
        Unauthorized: CivitAI does not accept it.
        Restricted: the key's owner has no vault.
        Conflict: another program toggled between the look and the request.
    """
    _need_key(desk)
    version_id = await version_id_of(desk, ref)
    if await desk.client.vault() is None:
        raise Restricted(_NO_MEMBER, "leave the vault alone, or become a member on civitai.com")
    turns = _turns.setdefault(desk.client, WeakValueDictionary())
    async with turns.setdefault(version_id, asyncio.Lock()):
        return await _look_and_toggle(desk, version_id, want, before_sending)


async def _look_and_toggle(
    desk: Desk,
    version_id: int,
    want: Place | None,
    before_sending: Callable[[str], None] | None,
) -> ToggleAnswer:
    held = await desk.client.vault_has([version_id])
    if version_id not in held:
        raise UpstreamChanged(f"CivitAI did not say whether the vault has version '{version_id}'")
    now: Place = "out" if held[version_id] is None else "in"
    if want == now:
        return ToggleAnswer(
            version_id=version_id,
            vault=now,
            changed=False,
            notes=[f"The version was {now} already; nothing was sent"],
        )
    target: Place = "in" if now == "out" else "out"
    if before_sending is not None:
        where = "into" if target == "in" else "out of"
        before_sending(f"asked for version {version_id} to go {where} the vault")
    try:
        toggled = await desk.client.toggle_vault(version_id)
    except (UpstreamUnavailable, UpstreamChanged) as error:
        if isinstance(error, UpstreamUnavailable) and not error.sent:
            raise
        raise type(error)(
            f"{error.what}; whether version '{version_id}' is now '{target}' is open",
            f"look with list_vault, or repeat with want='{target}', which changes nothing twice",
        ) from None
    if not toggled.success:
        raise UpstreamChanged(
            f"CivitAI did not confirm that version '{version_id}' is now '{target}'",
            "look with list_vault before you call again",
        )
    if toggled.added is not None and toggled.added != (target == "in"):
        other: Place = "in" if toggled.added else "out"
        raise Conflict(
            f"another program toggled version '{version_id}' at the same time, so it is now "
            f"'{other}', not '{target}'",
            f"repeat with want='{target}', which looks first",
        )
    return ToggleAnswer(version_id=version_id, vault=target, changed=True)


def _need_key(desk: Desk) -> None:
    if not desk.client.keyed:
        raise NotConfigured(
            "this needs a CivitAI key, and none is set",
            "set CIVITAI_API_KEY to a key from https://civitai.com/user/account and restart "
            "civit-mcp; over HTTP a caller may send one in X-Civitai-Api-Key instead",
        )


async def _owner(desk: Desk) -> Account:
    _need_key(desk)
    account = await desk.client.me()
    if account is None:
        raise Unauthorized(
            "CivitAI does not accept the key: wrong, revoked or expired",
            f"put a new key from https://civitai.com/user/account in {desk.client.key_name}",
        )
    return account


def _vault_row(item: VaultItem) -> VaultRow:
    sizes = (item.model_size_kb, item.details_size_kb, item.images_size_kb)
    known = [size for size in sizes if size is not None]
    return VaultRow(
        version_id=item.version_id,
        version_name=one_line(item.version_name, 80) or None,
        model_id=item.model_id,
        model_name=one_line(item.model_name, 120) or None,
        creator=one_line(item.creator, 100) or None,
        type=word(item.type),
        base_model=word(item.base_model),
        status=word(item.status),
        added_at=word(item.added_at),
        size_mb=in_megabytes(sum(known) * 1024) if known else None,
    )


def _gigabytes(kb: float | None) -> float | None:
    return None if kb is None else round(kb * 1024 / 1e9, 3)
