"""Facts about models and versions."""

from typing import Annotated

from pydantic import Field

from civit_mcp.app import Ctx, Tool, desk_of
from civit_mcp.models.facts import ModelAnswer, VersionAnswer
from civit_mcp.tools.arguments import ModelRef, Ref, VersionRef

From = Annotated[int, Field(ge=0, description="description_next of the last answer")]


async def get_model(
    ctx: Ctx,
    model_id: ModelRef | None = None,
    model_ids: Annotated[list[Ref], Field(max_length=20)] = [],  # noqa: B006 - see search
    description_from: From = 0,
) -> ModelAnswer:
    """Read one model, or up to 20: versions with files, gates and catalog_status, licence in
    plain words, tags, description.
    """
    from civit_mcp.usecases import lookup

    return await lookup.get_model(
        desk_of(ctx), model_id, model_ids, description_from=description_from
    )


async def get_model_version(
    ctx: Ctx,
    version_id: VersionRef | None = None,
    version_ids: Annotated[list[Ref], Field(max_length=20)] = [],  # noqa: B006 - see search
    description_from: From = 0,
) -> VersionAnswer:
    """Read one version, or up to 20: AIR, trigger words, gate, and every file with its id,
    hashes, size, precision and scan result.
    """
    from civit_mcp.usecases import lookup

    return await lookup.get_model_version(
        desk_of(ctx), version_id, version_ids, description_from=description_from
    )


TOOLS = (
    Tool(run=get_model, title="Read a model", toolset="core", replayable=True),
    Tool(run=get_model_version, title="Read a model version", toolset="core", replayable=True),
)
