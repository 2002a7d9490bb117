"""The user's catalog."""

from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Resolve
from pydantic import Field

from civit_mcp.app import Ctx, Tool, announce_change, current_caller, desk_of
from civit_mcp.errors import BadReference
from civit_mcp.models.catalogued import (
    AddAnswer,
    CatalogName,
    ChangeAnswer,
    ExchangeAnswer,
    ExportFormat,
    HistoryAnswer,
    ListAnswer,
    PromoteAnswer,
    VerifyAnswer,
)
from civit_mcp.models.facts import CatalogStatus
from civit_mcp.tools import asking
from civit_mcp.tools.arguments import Cursor, DryRun, Ref, VersionRef

EntryRef = Annotated[Ref | None, Field(description="version of the entry")]
EntryFile = Annotated[str | None, Field(description="or its file name, exact")]


async def add_to_catalog(
    ctx: Ctx,
    version_id: VersionRef | None = None,
    file_id: Annotated[int | None, Field(description="a file of get_model_version")] = None,
    version_ids: Annotated[list[Ref], Field(description="up to 200, one change")] = [],  # noqa: B006 - pydantic copies it
    dry_run: DryRun = False,
    *,
    chosen: Annotated[asking.Outcome, Resolve(asking.which_file)],
) -> AddAnswer:
    """Add a CivitAI version to the catalog (models.json) in the right ComfyUI folder. Answers
    added, already_exists, or restricted with the reason. Downloads nothing.
    """
    from civit_mcp.usecases import shelving

    if not version_ids:
        if version_id is None:
            raise BadReference("neither 'version_id' nor 'version_ids' was given")
        file_id = asking.chosen_file(chosen, file_id)
        with asking.one_question(ctx):
            answer = await shelving.add_to_catalog(
                desk_of(ctx), version_id, file_id, dry_run=dry_run
            )
        answer = asking.with_file_note(chosen, answer)
    else:
        if file_id is not None:
            raise BadReference("'file_id' goes with one version", "leave it out of a bulk add")
        refs = [*([] if version_id is None else [version_id]), *version_ids]
        answer = await shelving.add_many_to_catalog(
            desk_of(ctx), refs, dry_run=dry_run, progress=ctx.report_progress
        )
    if answer.change_id:
        announce_change(ctx)
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
        announce_change(ctx)
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
    from civit_mcp.usecases import inventory

    return await inventory.list_catalog(
        desk_of(ctx),
        catalog=catalog,
        category=category,
        query=query,
        base_model=base_model,
        status=status,
        limit=limit,
        cursor=cursor,
    )


async def remove_from_catalog(
    ctx: Ctx,
    version_id: EntryRef = None,
    file: EntryFile = None,
    catalog: CatalogName | None = None,
    dry_run: DryRun = False,
) -> ChangeAnswer:
    """Take an entry out of the catalog. The model file on disk stays."""
    from civit_mcp.usecases import shelving

    answer = await shelving.remove_from_catalog(
        desk_of(ctx), version_id, file, catalog, dry_run=dry_run
    )
    return _announced(ctx, answer)


async def edit_catalog_entry(
    ctx: Ctx,
    version_id: EntryRef = None,
    file: EntryFile = None,
    demote: Annotated[bool, Field(description="loras.json -> models.json")] = False,
    category: str | None = None,
    dest: Annotated[str | None, Field(description="folder below the models root")] = None,
    fields: Annotated[
        dict[str, Any],
        Field(
            description="tags, trigger_words, notes, strength (0.8 or {min, max, default}), "
            "pair_id, pair_role (high, low, both); empty clears"
        ),
    ] = {},  # noqa: B006
    dry_run: DryRun = False,
) -> ChangeAnswer:
    """Change one entry: demote, or move (category, dest), or write fields. Moves no file."""
    from civit_mcp.usecases import shelving

    answer = await shelving.edit_catalog_entry(
        desk_of(ctx),
        version_id,
        file,
        demote=demote,
        category=category,
        dest=dest,
        fields=fields,
        dry_run=dry_run,
    )
    return _announced(ctx, answer)


async def undo_catalog_change(
    ctx: Ctx,
    change_id: Annotated[str | None, Field(description="none: the last still in force")] = None,
    dry_run: DryRun = False,
) -> ChangeAnswer:
    """Take a change of the catalog back; refused when later edits make that unsafe."""
    from civit_mcp.usecases import shelving

    answer = await shelving.undo_catalog_change(desk_of(ctx), change_id, dry_run=dry_run)
    return _announced(ctx, answer)


async def catalog_history(
    ctx: Ctx, limit: Annotated[int, Field(ge=1, le=100)] = 20, cursor: Cursor = None
) -> HistoryAnswer:
    """List the changes made to the catalog, newest first, with the ids to undo them. A row's
    files_cursor, passed as cursor, lists the files left out of it.
    """
    from civit_mcp.usecases import history

    return await history.catalog_history(desk_of(ctx), limit=limit, cursor=cursor)


async def verify_catalog(
    ctx: Ctx,
    hashes: Annotated[bool, Field(description="read files, slow")] = False,
    upstream: Annotated[bool, Field(description="CivitAI instead")] = False,
    limit: Annotated[int, Field(ge=1, le=200)] = 30,
    cursor: Cursor = None,
) -> VerifyAnswer:
    """Hold the catalog against the disk: missing, moved, wrong, double files, half pairs; or
    against CivitAI: gone, newer. Changes nothing.
    """
    from civit_mcp.usecases import verification

    return await verification.verify_catalog(
        desk_of(ctx),
        hashes=hashes,
        upstream=upstream,
        limit=limit,
        cursor=cursor,
        progress=ctx.report_progress,
    )


async def exchange_catalog(
    ctx: Ctx,
    action: Literal["import", "export"],
    path: Annotated[str | None, Field(description="absolute; new when exporting")] = None,
    format: Annotated[  # noqa: A002 - the word that clients know
        ExportFormat, Field(description="of the export")
    ] = "catalog",
    dry_run: DryRun = False,
) -> ExchangeAnswer:
    """Take in the entries of another catalog file, or write the catalog for other programs."""
    from civit_mcp.usecases import exchange

    desk = desk_of(ctx)
    if path is not None and current_caller.get() is not None:
        await exchange.must_be_at_home(desk, path)
    if action == "export":
        return await exchange.export_catalog(desk, format, path, dry_run=dry_run)
    answer = await exchange.import_catalog(desk, path, dry_run=dry_run)
    if answer.change_id:
        announce_change(ctx)
    return answer


def _announced(ctx: Ctx, answer: ChangeAnswer) -> ChangeAnswer:
    if answer.change_id:
        announce_change(ctx)
    return answer


TOOLS = (
    Tool(run=add_to_catalog, title="Add to the catalog", toolset="core", writes=True),
    Tool(run=promote_to_lora, title="Promote to style LoRA", toolset="core", writes=True),
    Tool(
        run=list_catalog,
        title="List the catalog",
        toolset="core",
        open_world=False,
        replayable=True,
    ),
    Tool(
        run=remove_from_catalog,
        title="Remove from the catalog",
        toolset="catalog",
        writes=True,
        destructive=True,
    ),
    Tool(
        run=edit_catalog_entry,
        title="Edit a catalog entry",
        toolset="catalog",
        writes=True,
        destructive=True,
    ),
    Tool(
        run=undo_catalog_change,
        title="Undo a catalog change",
        toolset="catalog",
        writes=True,
        destructive=True,
        idempotent=False,
        open_world=False,
    ),
    Tool(run=catalog_history, title="Catalog history", toolset="catalog", open_world=False),
    Tool(run=verify_catalog, title="Verify the catalog", toolset="catalog"),
    Tool(
        run=exchange_catalog,
        title="Import or export the catalog",
        toolset="catalog",
        writes=True,
        idempotent=False,
        open_world=False,
    ),
)
