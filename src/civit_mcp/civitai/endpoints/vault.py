"""The vault: where a member keeps versions even if they leave the site."""

import json
from collections.abc import Sequence
from typing import Final

from civit_mcp.civitai.endpoints.asking import (
    Endpoints,
    ask_all,
    chunked,
    named,
    page_params,
    unique_ids,
    within,
)
from civit_mcp.civitai.seam import Call
from civit_mcp.civitai.wire.numbered import numbered_from
from civit_mcp.civitai.wire.vault import (
    read_vault_item,
    toggle_from,
    vault_from,
    vault_has_from,
)
from civit_mcp.errors import UpstreamChanged, UpstreamUnavailable
from civit_mcp.models.account import VaultInfo, VaultItem, VaultToggle
from civit_mcp.models.records import PagedList

_IDS_PER_CALL: Final = 100
_LOOK_FIRST: Final = "look whether the version is in the vault before toggling again"


class VaultEndpoints(Endpoints):
    """REST vault. All of it wants a key: without one, `Unauthorized`."""

    async def vault(self) -> VaultInfo | None:
        """The vault's size, from `GET vault/get`; None for who is no member.

        Auth: key. Errors: `Unauthorized`.
        """
        return vault_from(await self._get("the vault", "vault/get"))

    async def vault_items(
        self, *, limit: int = 60, page: int = 1, query: str = "", sort: str = ""
    ) -> PagedList[VaultItem]:
        """One page of `GET vault/all`.

        `sort` is Recently Added, Recently Created, Model Name or Model Size. Auth: key.
        Errors: `Unauthorized`, `BadReference` for an impossible page or sort.
        """
        params = page_params(limit, page, query=query, sort=sort)
        payload = await self._get("the vault's items", "vault/all", params)
        return numbered_from(
            payload, read_vault_item, page=page, limit=within(limit), about="the vault's items"
        )

    async def vault_has(self, version_ids: Sequence[int]) -> dict[int, VaultItem | None]:
        """Which versions are in the vault, from `GET vault/check-vault`.

        None for one that is not in it; ids that CivitAI said nothing about are left out.
        Auth: key. Errors: `Unauthorized`, `BadReference` for an impossible id.
        """
        wanted = unique_ids("model version", version_ids)

        async def ask(chunk: list[int]) -> dict[int, VaultItem | None]:
            ids = ",".join(str(number) for number in chunk)
            payload = await self._get(
                "what the vault holds", "vault/check-vault", (("modelVersionIds", ids),)
            )
            return vault_has_from(payload)

        found: dict[int, VaultItem | None] = {}
        for part in await ask_all(ask, chunked(wanted, _IDS_PER_CALL)):
            found |= part
        return {version_id: found[version_id] for version_id in wanted if version_id in found}

    async def toggle_vault(self, version_id: int) -> VaultToggle:
        """Put a version into the vault or take it out: `POST vault/toggle-version`.

        Sent at most once, because a second time undoes the first: after `UpstreamChanged`, or
        an `UpstreamUnavailable` that was `sent`, it is open whether it happened. Auth: key.
        Errors: `Unauthorized`, `BadReference` for an impossible id, `NotFound`.
        """
        about = f"the vault's place for {named('model version', version_id)}"
        call = Call(
            about=about,
            path="/api/v1/vault/toggle-version",
            # the query is what CivitAI reads today, the body what its reference says
            params=(("modelVersionId", str(version_id)),),
            body=json.dumps({"modelVersionId": version_id}).encode(),
            repeatable=False,
        )
        try:
            return toggle_from(await self._transport.ask(call), about=about)
        except (UpstreamUnavailable, UpstreamChanged) as error:
            if isinstance(error, UpstreamUnavailable) and not error.sent:
                raise
            raise type(error)(error.what, _LOOK_FIRST) from None
