"""The user's catalog."""

from typing import Annotated

from pydantic import Field

from civit_mcp.app import CATALOG_URIS, Ctx, Tool, desk_of
from civit_mcp.models.catalogued import AddAnswer, CatalogName, ListAnswer, PromoteAnswer
from civit_mcp.models.facts import CatalogStatus
from civit_mcp.tools.arguments import Cursor, DryRun, VersionRef


async def add_to_catalog(
    ctx: Ctx,
    version_id: VersionRef,
    file_id: Annotated[int | None, Field(description="a file of get_model_version")] = None,
    dry_run: DryRun = False,
) -> AddAnswer:
    """Add a CivitAI version to the catalog (models.json) in the right ComfyUI folder. Answers
    added, already_exists, or restricted with the reason. Downloads nothing.
    """
    from civit_mcp.usecases import shelving

    answer = await shelving.add_to_catalog(desk_of(ctx), version_id, file_id, dry_run=dry_run)
    if answer.change_id:
        await _announce(ctx)
    return answer


async def promote_to_lora(
    ctx: Ctx, version_id: VersionRef, dry_run: DryRun = False
) -> PromoteAnswer:
    """Move a LoRA entry from models.json to the style LoRAs (loras.json), on the shelf of its
    base model.
    """
    from civit_mcp.usecases import shelving

    answer = await shelving.promote_to_lora(desk_of(ctx), version_id, dry_run=dry_run)
    if answer.change_id:
        await _announce(ctx)
    return answer


async def list_catalog(
    ctx: Ctx,
    catalog: CatalogName | None = None,
    category: str | None = None,
    query: Annotated[str | None, Field(description="words in name, file or triggers")] = None,
    base_model: Annotated[str | None, Field(description="base model or family")] = None,
    status: Annotated[
        CatalogStatus | None, Field(description="present = file on disk, missing = not")
    ] = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 20,
    cursor: Cursor = None,
) -> ListAnswer:
    """List what the user's catalog has, with each entry's status on disk."""
    from civit_mcp.usecases import shelving

    return await shelving.list_catalog(
        desk_of(ctx),
        catalog=catalog,
        category=category,
        query=query,
        base_model=base_model,
        status=status,
        limit=limit,
        cursor=cursor,
    )


async def _announce(ctx: Ctx) -> None:
    """Tell listeners that the files changed."""
    for uri in CATALOG_URIS:
        await ctx.notify_resource_updated(uri)


TOOLS = (
    Tool(run=add_to_catalog, title="Add to the catalog", toolset="core", writes=True),
    Tool(run=promote_to_lora, title="Promote to style LoRA", toolset="core", writes=True),
    Tool(run=list_catalog, title="List the catalog", toolset="core", open_world=False),
)
