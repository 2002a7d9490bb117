"""The key's owner."""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from civit_mcp.app import Ctx, Tool, audit_request, desk_of
from civit_mcp.models.owned import PermissionsAnswer, ToggleAnswer, VaultAnswer, WhoAmI
from civit_mcp.tools.arguments import Cursor, Ref, VersionRef


async def whoami(ctx: Ctx) -> WhoAmI:
    """Tell whose CivitAI key is set, their membership, and what the key may do."""
    from civit_mcp.usecases import account

    return await account.whoami(desk_of(ctx))


async def check_permissions(
    ctx: Ctx, version_ids: Annotated[list[Ref], Field(min_length=1, max_length=100)]
) -> PermissionsAnswer:
    """Tell with which versions the key's owner may generate on the site. Says nothing about
    downloads.
    """
    from civit_mcp.usecases import account

    return await account.check_permissions(desk_of(ctx), version_ids)


async def list_vault(
    ctx: Ctx,
    query: Annotated[str | None, Field(description="words in name or creator")] = None,
    sort: Literal[
        "Recently Added", "Recently Created", "Model Name", "Model Size"
    ] = "Recently Added",
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    cursor: Cursor = None,
) -> VaultAnswer:
    """List the versions in the key owner's CivitAI vault, and how full it is."""
    from civit_mcp.usecases import account

    return await account.list_vault(
        desk_of(ctx), query=query, sort=sort, limit=limit, cursor=cursor
    )


async def toggle_vault(
    ctx: Ctx,
    version_id: VersionRef,
    want: Annotated[
        Literal["in", "out"] | None, Field(description="where it shall be; left out = flip")
    ] = None,
) -> ToggleAnswer:
    """Put a version into the CivitAI vault or take it out. With want, a repeat changes nothing."""
    from civit_mcp.usecases import account

    tell = partial(audit_request, "toggle_vault")
    return await account.toggle_vault(desk_of(ctx), version_id, want, before_sending=tell)


TOOLS = (
    Tool(run=whoami, title="Whose key is this", toolset="account"),
    Tool(run=check_permissions, title="Check permissions", toolset="account"),
    Tool(run=list_vault, title="List the vault", toolset="account"),
    Tool(
        run=toggle_vault,
        title="Put into or out of the vault",
        toolset="account",
        writes=True,
        destructive=True,
        idempotent=False,
    ),
)
