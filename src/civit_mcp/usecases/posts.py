"""A post, a collection, and the tags of one image."""

from functools import partial
from typing import Any, Final

from civit_mcp.civitai import FeedQuery
from civit_mcp.models.browsed import ImagesAnswer, PostAnswer, TagRow, TagsAnswer
from civit_mcp.models.levels import ALL_BITS, Level, label
from civit_mcp.models.records import ImageRecord, Page
from civit_mcp.text import clean_html, cut, one_line
from civit_mcp.usecases import cursors
from civit_mcp.usecases.bounds import take_within
from civit_mcp.usecases.desk import Desk
from civit_mcp.usecases.emptiness import as_call
from civit_mcp.usecases.filters import one_of
from civit_mcp.usecases.gallery import (
    IMAGE_SORTS,
    ImageSearch,
    Listing,
    image_misfit,
    image_query,
)
from civit_mcp.usecases.paging import Place
from civit_mcp.usecases.resolve import (
    RefArgument,
    collection_id_of,
    image_id_of,
    post_id_of,
)
from civit_mcp.usecases.rows import SITE, word

_DESCRIPTION: Final = 600
_POST_TAGS: Final = 20
#: beyond the tags of any image
_MOST_TAGS: Final = 2**31


async def get_post(
    desk: Desk, ref: RefArgument, *, max_level: Level, limit: int, cursor: str | None
) -> PostAnswer:
    """Read a post and list its images."""
    post_id = await post_id_of(desk, ref)
    post = await desk.client.post(post_id)
    desk.forbid_above_cap(post.level_bits, f"post '{post_id}'")
    search = ImageSearch(
        post_id=post_id,
        max_level=desk.effective_level(max_level),
        limit=limit,
        cursor=cursor,
        sort="Oldest",
    )

    async def read(place: Place) -> Page[ImageRecord]:
        return await desk.client.images(image_query(search, place))

    asked: dict[str, Any] = {"post_id": post_id}
    listing = Listing(desk, search, "get_post", read, partial(image_misfit, search), asked)
    walked, hidden = await listing.walk()
    detail, following = cut(clean_html(post.detail), 0, _DESCRIPTION)
    notes = listing.notes(walked)
    if following is not None:
        notes.append("The description goes on at url")
    if len(post.tags) > _POST_TAGS:
        notes.append(f"{len(post.tags) - _POST_TAGS} more tags are at url")
    return PostAnswer(
        id=post.id,
        title=one_line(post.title, 200) or None,
        description=detail or None,
        creator=one_line(post.username, 100) or None,
        level=label(post.level_bits),
        published_at=word(post.published_at),
        version_id=post.version_id,
        collection_id=post.collection_id,
        tags=[one_line(tag.name, 60) for tag in post.tags[:_POST_TAGS]],
        images=walked.rows,
        next_cursor=walked.next_cursor,
        hidden=dict(hidden.reasons),
        why_empty=listing.why_empty(walked, hidden),
        url=f"{SITE}/posts/{post.id}",
        notes=notes,
    )


async def get_collection(
    desk: Desk,
    ref: RefArgument,
    *,
    sort: str,
    max_level: Level,
    limit: int,
    cursor: str | None,
) -> ImagesAnswer:
    """List the images of a collection, as far as whoever asks may see them."""
    collection_id = collection_id_of(ref)
    search = ImageSearch(
        max_level=desk.effective_level(max_level),
        limit=limit,
        cursor=cursor,
        sort=one_of(sort, IMAGE_SORTS, "sort"),
    )
    keyed = desk.client.keyed

    async def read(place: Place) -> Page[ImageRecord]:
        feed = FeedQuery(
            collection_id=collection_id,
            sort=search.sort,
            browsing_level=ALL_BITS,
            limit=place.size,
            cursor=place.cursor,
        )
        return await desk.client.image_feed(feed)

    asked: dict[str, Any] = {"collection_id": collection_id, "sort": search.sort}
    listing = Listing(desk, search, "get_collection", read, partial(image_misfit, search), asked)
    walked, hidden = await listing.walk()
    url = f"{SITE}/collections/{collection_id}"
    why = listing.why_empty(walked, hidden)
    if not walked.rows and not hidden.reasons and walked.following is None and cursor is None:
        why = (
            f"CivitAI gave an empty page and does not say why: collection '{collection_id}' may "
            "be private, hold no images, or not exist. Next: open "
            f"{url}" + ("" if keyed else ", or set CIVITAI_API_KEY if you may read it")
        )
    notes = listing.notes(walked)
    if not keyed and search.max_level != "pg":
        notes.append("Without CIVITAI_API_KEY CivitAI shows only PG images of a collection")
    return ImagesAnswer(
        items=walked.rows,
        next_cursor=walked.next_cursor,
        filters_applied={**asked, "max_level": search.max_level},
        hidden=dict(hidden.reasons),
        why_empty=why,
        notes=notes,
    )


async def get_image_tags(
    desk: Desk, ref: RefArgument, *, limit: int, cursor: str | None
) -> TagsAnswer:
    """Read the tags of an image with their votes, the strongest first."""
    start = 0
    if cursor is not None:
        start = cursors.number("tag", cursor, "get_image_tags", least=0, most=_MOST_TAGS)
    image_id = await image_id_of(desk, ref)
    if desk.settings.max_level is not None:
        image = await desk.client.image(image_id)
        desk.forbid_above_cap(image.level_bits, f"image '{image_id}'")
    found = await desk.client.image_tags(image_id)
    found = sorted(found, key=lambda tag: -(tag.score or 0))
    page = found[start : start + limit]
    rows = [
        TagRow(
            name=one_line(tag.name, 80),
            id=tag.id,
            type=word(tag.type),
            score=tag.score,
            up=tag.up_votes,
            down=tag.down_votes,
            automated=tag.automated,
            level=label(tag.level_bits),
        )
        for tag in page
    ]
    rows = take_within(rows)
    end = start + len(rows)
    more = len(found) - end
    return TagsAnswer(
        items=rows,
        next_cursor=cursors.write("tag", end) if more > 0 else None,
        why_empty=None if rows else _no_tags(image_id, start),
        notes=[f"{more} more, with lower scores; next_cursor lists them"] if more > 0 else [],
    )


def _no_tags(image_id: int, start: int) -> str:
    if start:
        return "The listing ends here"
    call = as_call("get_generation_data", {"image_id": image_id})
    return (
        f"Image '{image_id}' has no tags, or does not exist; CivitAI answers both alike. "
        f"Next: {call}"
    )
