"""Search."""
# ruff: noqa: ARG001 - arguments are the input schema; the resolver that gathers them reads them

from functools import partial
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Elicit, Resolve
from pydantic import Field

from civit_mcp.app import Ctx, Tool, desk_of
from civit_mcp.models.facts import SearchAnswer
from civit_mcp.models.levels import Level
from civit_mcp.tools import asking
from civit_mcp.tools.arguments import USUAL_LEVEL, Cursor

Sort = Literal[
    "Highest Rated", "Most Downloaded", "Most Liked", "Most Discussed", "Most Collected",
    "Most Images", "Newest", "Oldest",
]  # fmt: skip
Period = Literal["Day", "Week", "Month", "Year", "AllTime"]


async def _gathered(
    query: str | None,
    types: list[str],
    base_models: list[str],
    tag: str | None,
    creator: str | None,
    commercial_ok: bool,
    sort: Sort,
    period: Period,
    max_level: Level,
    limit: int,
    cursor: str | None,
) -> Any:
    """What a search was asked for, in one piece."""
    from civit_mcp.usecases.filters import ModelSearch

    return ModelSearch(
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


Gathered = Annotated[Any, Resolve(_gathered)]


async def _level(
    ctx: Ctx, max_level: Level, asked: Gathered
) -> SearchAnswer | Elicit[asking.Picked] | None:
    from civit_mcp.usecases import search

    look = partial(search.look_for_models, desk_of(ctx), asked)
    return await asking.level_above_usual(ctx, max_level, look)


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
    max_level: Level = USUAL_LEVEL,
    limit: Annotated[int, Field(ge=1, le=100)] = 10,
    cursor: Cursor = None,
    *,
    asked: Gathered,
    level: Annotated[asking.Outcome, Resolve(_level)],
) -> SearchAnswer:
    """Find checkpoints, LoRAs, embeddings and other models on CivitAI. Each row has the version
    to use, its file, trigger words, gate and catalog_status. Says what was hidden and why a
    result is empty.
    """
    from civit_mcp.usecases import search

    return await asking.at_level(ctx, level, asked, partial(search.search_models, desk_of(ctx)))


TOOLS = (Tool(run=search_models, title="Search CivitAI models", toolset="core", replayable=True),)
