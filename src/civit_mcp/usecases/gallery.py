"""Images of the gallery, and how any listing of images is walked."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from civit_mcp.civitai import ImageQuery
from civit_mcp.models.base_models import look_up
from civit_mcp.models.browsed import ImageRow, ImagesAnswer
from civit_mcp.models.levels import ALL_BITS, Level, label, permits
from civit_mcp.models.records import ImageRecord, Page
from civit_mcp.text import one_line
from civit_mcp.usecases.desk import Desk
from civit_mcp.usecases.emptiness import Hidden, Looked, as_call, level_hint, worth_saying
from civit_mcp.usecases.filters import PERIODS, one_of, refuse_key
from civit_mcp.usecases.paging import Place, Walk, Walked
from civit_mcp.usecases.resolve import (
    RefArgument,
    model_id_of,
    post_id_of,
    version_id_of,
)
from civit_mcp.usecases.rows import SITE, word

IMAGE_SORTS: Final = (
    "Most Reactions", "Most Comments", "Most Collected", "Newest", "Oldest",
)  # fmt: skip
IMAGE_TYPES: Final = ("image", "video", "audio")
WIDE_PAGE: Final = 100
#: versions named in a row
_VERSIONS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSearch:
    """What was asked, ids as references."""

    model_id: RefArgument | None = None
    version_id: RefArgument | None = None
    post_id: RefArgument | None = None
    username: str | None = None
    types: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    sort: str = "Most Reactions"
    period: str = "AllTime"
    max_level: Level = "pg13"
    limit: int = 20
    cursor: str | None = None

    def applied(self) -> dict[str, Any]:
        """Name the filters that shaped the answer, with their values."""
        words: dict[str, Any] = {
            "model_id": self.model_id,
            "version_id": self.version_id,
            "post_id": self.post_id,
            "username": self.username,
            "types": list(self.types),
            "base_models": list(self.base_models),
            "sort": self.sort,
            "period": self.period,
            "max_level": self.max_level,
        }
        return {key: value for key, value in words.items() if value}


async def search_images(desk: Desk, search: ImageSearch) -> ImagesAnswer:
    """List images that really fit every filter."""
    return (await look_for_images(desk, search)).answer


async def look_for_images(desk: Desk, search: ImageSearch) -> Looked[ImagesAnswer]:
    """List images, and tell at which levels there would be some when there are none."""
    search = await _canonical(desk, search)

    async def read(place: Place) -> Page[ImageRecord]:
        return await desk.client.images(image_query(search, place))

    asked = worth_saying(search.applied(), ImageSearch().applied())
    listing = Listing(desk, search, "search_images", read, partial(image_misfit, search), asked)
    walked, hidden = await listing.walk()
    answer = ImagesAnswer(
        items=walked.rows,
        next_cursor=walked.next_cursor,
        filters_applied=search.applied(),
        hidden=dict(hidden.reasons),
        why_empty=listing.why_empty(walked, hidden),
        notes=listing.notes(walked),
    )
    return hidden.looked(answer, walked.rows, desk.settings.max_level)


class Listing:
    """One walk over images, whatever the endpoint."""

    def __init__(
        self,
        desk: Desk,
        search: ImageSearch,
        tool: str,
        read: Callable[[Place], Awaitable[Page[ImageRecord]]],
        misfit: Callable[[ImageRecord], str | None],
        asked: dict[str, Any],
    ) -> None:
        """Take what `tool` was asked for, as arguments of a call that repeats it."""
        self.desk, self.search, self.tool = desk, search, tool
        self.read, self.misfit, self.asked = read, misfit, asked
        self.cap = desk.settings.max_level

    async def walk(self) -> tuple[Walked[ImageRow], Hidden]:
        """Collect a page; what was left out, and why."""
        hidden = Hidden()
        search = self.search
        uncapped = self.cap is None and search.max_level == "xxx"

        def make(image: ImageRecord) -> ImageRow | None:
            reason = self.misfit(image)
            if reason is None and not uncapped and not permits(search.max_level, image.level_bits):
                reason = "level"
            if reason is not None:
                hidden.add(reason, image.level_bits)
                return None
            return image_row(image)

        cursor = search.cursor
        start = Place.read(cursor, self.tool) if cursor else Place(None, search.limit)
        way = Walk(
            read=self.read,
            make=make,
            identity=lambda image: image.id,
            listing=(self.tool, str(self.asked), replace(search, cursor=None, limit=1)),
            trails=self.desk.trails,
            limit=search.limit,
            wide=WIDE_PAGE,
        )
        return await way.from_place(start), hidden

    def notes(self, walked: Walked[ImageRow]) -> list[str]:
        """What a reader should know about how a page ended, and what its rows leave out."""
        notes = walked.notes(self.search.limit)
        if any(row.more_versions for row in walked.rows):
            where = "get_generation_data names every part of an image"
            notes.append(f"version_ids are cut, more_versions tells by how many; {where}")
        return notes

    def why_empty(self, walked: Walked[ImageRow], hidden: Hidden) -> str | None:
        """Explain an empty page; None when it is not empty."""
        if walked.rows:
            return None
        asked = self.asked
        if hidden.reasons["level"]:
            count = hidden.reasons["level"]
            hint = level_hint(hidden, self.cap, self.tool, asked)
            return f"{count} that fit are hidden by level '{self.search.max_level}'. {hint}"
        if walked.following is not None:
            return "Nothing in the pages read so far. Next: the same call with next_cursor"
        if hidden.reasons:
            reason, count = hidden.reasons.most_common(1)[0]
            rest = {key: value for key, value in asked.items() if key != reason}
            return f"{count} rows failed '{reason}'. Next: {as_call(self.tool, rest)}"
        if self.search.cursor:
            return "The listing ends here"
        if asked.get("period", "AllTime") != "AllTime":
            call = as_call(self.tool, {**asked, "period": "AllTime"})
            return f"Nothing fits in period '{self.search.period}'. Next: {call}"
        narrowing = ("base_models", "types", "username", "post_id", "version_id", "model_id")
        used = next((name for name in narrowing if name in asked), None)
        if used is None:
            return "CivitAI sent an empty list. Next: the same call in a minute"
        if self.tool == "get_post":
            call = f"open {SITE}/posts/{asked['post_id']}"
        else:
            call = as_call(self.tool, {key: value for key, value in asked.items() if key != used})
        return f"CivitAI shows no images for this: deleted, hidden, or none yet. Next: {call}"


def image_row(image: ImageRecord) -> ImageRow:
    """One image as a listing shows it."""
    size = f"{image.width}x{image.height}" if image.width and image.height else None
    return ImageRow(
        id=image.id,
        url=one_line(image.url, 500) or None,
        page=f"{SITE}/images/{image.id}" if image.id is not None else None,
        type=word(image.type),
        level=label(image.level_bits),
        size=size,
        created=word(image.created_at),
        creator=one_line(image.username, 100) or None,
        post_id=image.post_id,
        base_model=one_line(image.base_model, 80) or None,
        has_meta=image.has_meta,
        version_ids=list(image.version_ids[:_VERSIONS_SHOWN]),
        more_versions=max(len(image.version_ids) - _VERSIONS_SHOWN, 0) or None,
    )


async def _canonical(desk: Desk, search: ImageSearch) -> ImageSearch:
    refuse_key(search.username)
    model, version, post = search.model_id, search.version_id, search.post_id
    return replace(
        search,
        model_id=None if model is None else await model_id_of(desk, model),
        version_id=None if version is None else await version_id_of(desk, version),
        post_id=None if post is None else await post_id_of(desk, post),
        username=_username(search.username),
        types=tuple(dict.fromkeys(one_of(word, IMAGE_TYPES, "types") for word in search.types)),
        base_models=tuple(dict.fromkeys(look_up(word).name for word in search.base_models if word)),
        sort=one_of(search.sort, IMAGE_SORTS, "sort"),
        period=one_of(search.period, PERIODS, "period"),
        max_level=desk.effective_level(search.max_level),
    )


def _username(name: str | None) -> str | None:
    """Names hold letters, digits and underscores; CivitAI refuses any other character."""
    words = one_line(name, 100).lstrip("@").replace(" ", "_")
    return re.sub(r"[^A-Za-z0-9_]", "", words) or None


def image_query(search: ImageSearch, place: Place) -> ImageQuery:
    """Ask REST for the page at a place; its ids are resolved by then."""
    assert not isinstance(search.model_id, str)
    assert not isinstance(search.version_id, str)
    assert not isinstance(search.post_id, str)
    return ImageQuery(
        model_id=search.model_id,
        version_id=search.version_id,
        post_id=search.post_id,
        username=search.username or "",
        types=search.types,
        base_models=search.base_models,
        sort=search.sort,
        period=search.period,
        # levels are judged here, so that what they hide can be counted
        browsing_level=ALL_BITS,
        limit=place.size,
        cursor=place.cursor,
    )


def image_misfit(search: ImageSearch, image: ImageRecord) -> str | None:
    """Name the filter that an image fails, as far as CivitAI tells."""
    if search.post_id is not None and image.post_id not in (None, search.post_id):
        return "post_id"
    known = image.version_ids
    if search.version_id is not None and known and search.version_id not in known:
        return "version_id"
    if search.username and image.username is not None:
        name = _username(image.username) or ""
        if name.casefold() != search.username.casefold():
            return "username"
    if search.types and image.type is not None and image.type not in search.types:
        return "types"
    if search.base_models and image.base_model is not None:
        wanted = {name.casefold() for name in search.base_models}
        if look_up(image.base_model).name.casefold() not in wanted:
            return "base_models"
    return None
