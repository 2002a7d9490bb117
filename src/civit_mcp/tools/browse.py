"""Images, posts, collections, people, tags, and the words that filters take."""
# ruff: noqa: ARG001 - arguments are the input schema; the resolver that gathers them reads them

from functools import partial
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Elicit, Resolve
from pydantic import Field

from civit_mcp.app import Ctx, Tool, desk_of
from civit_mcp.models.browsed import (
    CreatorsAnswer,
    EnumsAnswer,
    ImagesAnswer,
    PostAnswer,
    TagsAnswer,
)
from civit_mcp.models.levels import Level
from civit_mcp.tools import asking
from civit_mcp.tools.arguments import (
    USUAL_LEVEL,
    CollectionRef,
    Cursor,
    ImageRef,
    ModelRef,
    PostRef,
    Ref,
    VersionRef,
)

ImageSort = Literal["Most Reactions", "Most Comments", "Most Collected", "Newest", "Oldest"]
Period = Literal["Day", "Week", "Month", "Year", "AllTime"]
Limit = Annotated[int, Field(ge=1, le=100)]


async def _gathered(
    model_id: Ref | None,
    version_id: Ref | None,
    post_id: Ref | None,
    username: str | None,
    types: list[str],
    base_models: list[str],
    sort: ImageSort,
    period: Period,
    max_level: Level,
    limit: int,
    cursor: str | None,
) -> Any:
    """What a search for images was asked for, in one piece."""
    from civit_mcp.usecases.gallery import ImageSearch

    return ImageSearch(
        model_id=model_id,
        version_id=version_id,
        post_id=post_id,
        username=username,
        types=tuple(types),
        base_models=tuple(base_models),
        sort=sort,
        period=period,
        max_level=max_level,
        limit=limit,
        cursor=cursor,
    )


Gathered = Annotated[Any, Resolve(_gathered)]


async def _level(
    ctx: Ctx, max_level: Level, asked: Gathered
) -> ImagesAnswer | Elicit[asking.Picked] | None:
    from civit_mcp.usecases import gallery

    look = partial(gallery.look_for_images, desk_of(ctx), asked)
    return await asking.level_above_usual(ctx, max_level, look)


async def search_images(
    ctx: Ctx,
    model_id: ModelRef | None = None,
    version_id: VersionRef | None = None,
    post_id: PostRef | None = None,
    username: str | None = None,
    types: Annotated[list[Literal["image", "video", "audio"]], Field(max_length=3)] = [],  # noqa: B006 - see search
    base_models: Annotated[list[str], Field(max_length=25)] = [],  # noqa: B006
    sort: ImageSort = "Most Reactions",
    period: Period = "AllTime",
    max_level: Level = USUAL_LEVEL,
    limit: Limit = 20,
    cursor: Cursor = None,
    *,
    asked: Gathered,
    level: Annotated[asking.Outcome, Resolve(_level)],
) -> ImagesAnswer:
    """List CivitAI images made with a model or version, by a user, or of a post. There is no
    text search for images. Pass an id to get_generation_data to learn how it was made.
    """
    from civit_mcp.usecases import gallery

    return await asking.at_level(ctx, level, asked, partial(gallery.search_images, desk_of(ctx)))


async def get_image_tags(
    ctx: Ctx,
    image_id: ImageRef,
    limit: Annotated[int, Field(ge=1, le=200)] = 60,
    cursor: Cursor = None,
) -> TagsAnswer:
    """Read the tags of an image with their votes, strongest first."""
    from civit_mcp.usecases import posts

    return await posts.get_image_tags(desk_of(ctx), image_id, limit=limit, cursor=cursor)


async def get_post(
    ctx: Ctx,
    post_id: PostRef,
    max_level: Level = "pg13",
    limit: Limit = 20,
    cursor: Cursor = None,
) -> PostAnswer:
    """Read a post: title, text, creator, tags and its images."""
    from civit_mcp.usecases import posts

    return await posts.get_post(
        desk_of(ctx), post_id, max_level=max_level, limit=limit, cursor=cursor
    )


async def get_collection(
    ctx: Ctx,
    collection_id: CollectionRef,
    sort: ImageSort = "Newest",
    max_level: Level = "pg13",
    limit: Limit = 20,
    cursor: Cursor = None,
) -> ImagesAnswer:
    """List the images of a collection, page by page. A private one looks empty."""
    from civit_mcp.usecases import posts

    return await posts.get_collection(
        desk_of(ctx), collection_id, sort=sort, max_level=max_level, limit=limit, cursor=cursor
    )


async def search_creators(
    ctx: Ctx,
    query: Annotated[str, Field(description="part of the name")],
    limit: Limit = 20,
    cursor: Cursor = None,
) -> CreatorsAnswer:
    """Find creators by a part of their name, with how many models each has."""
    from civit_mcp.usecases import directory

    return await directory.search_creators(desk_of(ctx), query, limit=limit, cursor=cursor)


async def search_tags(
    ctx: Ctx,
    query: Annotated[str, Field(description="how the tag begins, or a tag id")],
    limit: Limit = 20,
    cursor: Cursor = None,
) -> TagsAnswer:
    """Find the exact spelling of model tags, for search_models."""
    from civit_mcp.usecases import directory

    return await directory.search_tags(desk_of(ctx), query, limit=limit, cursor=cursor)


async def list_enums(
    ctx: Ctx,
    kind: Literal["types", "base_models", "sorts", "periods", "levels", "file_types"] | None = None,
) -> EnumsAnswer:
    """List the words that filters take today: model types, base models with family and AIR
    ecosystem, sorts, periods, levels.
    """
    from civit_mcp.usecases import directory

    return await directory.list_enums(desk_of(ctx), kind)


TOOLS = (
    Tool(run=search_images, title="Browse images", toolset="browse", replayable=True),
    Tool(run=get_image_tags, title="Read an image's tags", toolset="browse", replayable=True),
    Tool(run=get_post, title="Read a post", toolset="browse"),
    Tool(run=get_collection, title="Read a collection", toolset="browse"),
    Tool(run=search_creators, title="Find creators", toolset="browse"),
    Tool(run=search_tags, title="Find tags", toolset="browse"),
    Tool(run=list_enums, title="List filter words", toolset="browse", replayable=True),
)
