"""Search."""

from typing import Annotated, Literal

from pydantic import Field

from civit_mcp.app import Ctx, Tool, desk_of
from civit_mcp.models.facts import SearchAnswer
from civit_mcp.models.levels import Level
from civit_mcp.tools.arguments import Cursor

Sort = Literal[
    "Highest Rated", "Most Downloaded", "Most Liked", "Most Discussed", "Most Collected",
    "Most Images", "Newest", "Oldest",
]  # fmt: skip
Period = Literal["Day", "Week", "Month", "Year", "AllTime"]


async def search_models(
    ctx: Ctx,
    query: Annotated[str | None, Field(description="words, or an id, URL, AIR or hash")] = None,
    types: Annotated[
        list[str], Field(description="e.g. Checkpoint, LORA, TextualInversion, VAE", max_length=25)
    ] = [],  # noqa: B006 - pydantic copies it; a null default would widen the schema
    base_models: Annotated[
        list[str], Field(description="e.g. SDXL 1.0, Flux.1 D, Pony", max_length=25)
    ] = [],  # noqa: B006
    tag: str | None = None,
    creator: str | None = None,
    commercial_ok: Annotated[bool, Field(description="licence allows selling images")] = False,
    sort: Sort = "Highest Rated",
    period: Period = "AllTime",
    max_level: Level = "pg13",
    limit: Annotated[int, Field(ge=1, le=100)] = 10,
    cursor: Cursor = None,
) -> SearchAnswer:
    """Find checkpoints, LoRAs, embeddings and other models on CivitAI. Each row has the version
    to use, its file, trigger words, gate and catalog_status. Says what was hidden and why a
    result is empty.
    """
    from civit_mcp.usecases import search
    from civit_mcp.usecases.filters import ModelSearch

    asked = ModelSearch(
        query=query,
        types=tuple(types),
        base_models=tuple(base_models),
        tag=tag,
        creator=creator,
        commercial_ok=commercial_ok,
        sort=sort,
        period=period,
        max_level=max_level,
        limit=limit,
        cursor=cursor,
    )
    return await search.search_models(desk_of(ctx), asked)


TOOLS = (Tool(run=search_models, title="Search CivitAI models", toolset="core"),)
