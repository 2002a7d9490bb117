"""Creators, users, the key's owner, and what they may do."""

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
from civit_mcp.civitai.queries import Account, Params
from civit_mcp.civitai.wire.listings import account_from
from civit_mcp.civitai.wire.numbered import numbered_from
from civit_mcp.civitai.wire.people import permissions_from, read_creator, users_from
from civit_mcp.errors import Unauthorized
from civit_mcp.models.account import CreatorRecord, UserRecord
from civit_mcp.models.records import PagedList

_IDS_PER_CALL: Final = 100


class PeopleEndpoints(Endpoints):
    """REST creators, users, me and permissions."""

    async def creators(
        self, query: str = "", *, limit: int = 20, page: int = 1
    ) -> PagedList[CreatorRecord]:
        """One page of `GET creators`: users with models whose name contains `query`.

        Auth: none. Errors: `BadReference` for an impossible page.
        """
        params = page_params(limit, page, query=query)
        payload = await self._get("creators", "creators", params)
        return numbered_from(
            payload, read_creator, page=page, limit=within(limit), about="creators"
        )

    async def users(self, *, ids: Sequence[int] = (), query: str = "") -> list[UserRecord]:
        """Users by id or by name, from `GET users`; without either, nobody.

        CivitAI gives at most five for a name, and leaves out ids that it does not know.
        Auth: none. Errors: `BadReference` for an impossible id.
        """
        wanted = unique_ids("user", ids)
        words: Params = (("query", query),) if query else ()
        chunks = chunked(wanted, _IDS_PER_CALL) or ([[]] if query else [])

        async def ask(chunk: list[int]) -> Sequence[UserRecord]:
            named_ids: Params = (("ids", _commas(chunk)),) if chunk else ()
            return users_from(await self._get("users", "users", (*named_ids, *words)))

        parts = await ask_all(ask, chunks)
        return list({user.id: user for part in parts for user in part}.values())

    async def me(self) -> Account | None:
        """Ask whose key this is, with `GET me`; None without one or when it is not accepted.

        The only way to tell: everywhere else a bad key is treated as no key.
        """
        try:
            return account_from(await self._get("account", "me"))
        except Unauthorized:
            return None

    async def permissions(
        self, version_ids: Sequence[int], *, user_id: int | None = None
    ) -> dict[int, bool]:
        """Who may generate with versions on the site, from `GET permissions/check`.

        The decision is for the user named, else for the public: never for the key. Ids that
        CivitAI said nothing about are left out. It says nothing about downloads. Auth: none.
        Errors: `BadReference` for an impossible id.
        """
        wanted = unique_ids("model version", version_ids)
        user: Params = ()
        if user_id is not None:
            named("user", user_id)
            user = (("userId", str(user_id)),)

        async def ask(chunk: list[int]) -> dict[int, bool]:
            params = (("entityIds", _commas(chunk)), *user)
            return permissions_from(await self._get("permissions", "permissions/check", params))

        found: dict[int, bool] = {}
        for part in await ask_all(ask, chunked(wanted, _IDS_PER_CALL)):
            found |= part
        return {version_id: found[version_id] for version_id in wanted if version_id in found}


def _commas(ids: Sequence[int]) -> str:
    return ",".join(str(number) for number in ids)
