"""Tags and posts."""

from typing import Any

from civit_mcp.civitai.wire.fields import (
    count,
    expect,
    flag,
    ident,
    items,
    level_bits,
    name,
    obj,
    records,
    text,
    whole,
)
from civit_mcp.civitai.wire.numbered import rows_of
from civit_mcp.errors import UpstreamChanged
from civit_mcp.models.gallery import PostRecord, TagRecord, VotableTag
from civit_mcp.models.records import Json


def read_tag(source: Json) -> TagRecord | None:
    """Read one tag; None without a name."""
    label = name(source.get("name"))
    if label is None:
        return None
    return TagRecord(
        name=label,
        id=ident(source.get("id")),
        type=text(source.get("type")),
        model_count=count(source.get("modelCount")),
    )


def tag_from(value: Any, *, about: str) -> TagRecord:
    """Read the answer about one tag. Raises `UpstreamChanged` when it is none."""
    tag = read_tag(expect(value, about=about))
    if tag is None:
        raise UpstreamChanged(
            f"CivitAI answered an object without a name where {about} was expected"
        )
    return tag


def votable_tags_from(value: Any, *, about: str) -> list[VotableTag]:
    """Read tags with votes. Raises `UpstreamChanged` when there is no list of them."""
    return list(records(rows_of(value, about=about), _read_votable))


def _read_votable(source: Json) -> VotableTag | None:
    label = name(source.get("name"))
    if label is None:
        return None
    return VotableTag(
        name=label,
        id=ident(source.get("id")),
        type=text(source.get("type")),
        score=whole(source.get("score")),
        up_votes=count(source.get("upVotes")),
        down_votes=count(source.get("downVotes")),
        automated=flag(source.get("automated")),
        needs_review=flag(source.get("needsReview")),
        level_bits=level_bits(source),
    )


def post_from(value: Any, *, about: str) -> PostRecord:
    """Read the answer about one post. Raises `UpstreamChanged` when it is none."""
    source = expect(value, about=about)
    identity = ident(source.get("id"))
    if identity is None:
        raise UpstreamChanged(
            f"CivitAI answered an object without an id where {about} was expected"
        )
    user = obj(source.get("user"))
    return PostRecord(
        id=identity,
        title=name(source.get("title")),
        detail=text(source.get("detail")),
        level_bits=level_bits(source),
        username=name(source.get("username")) or name(user.get("username")),
        user_id=ident(user.get("id")) or ident(source.get("userId")),
        version_id=(
            ident(source.get("modelVersionId")) or ident(obj(source.get("modelVersion")).get("id"))
        ),
        collection_id=ident(source.get("collectionId")),
        published_at=text(source.get("publishedAt")),
        availability=text(source.get("availability")),
        tags=_tags(source.get("tags")),
    )


def _tags(value: Any) -> tuple[TagRecord, ...]:
    """Tags as objects, as objects around objects, or as words."""
    listed = [{"name": item} if isinstance(item, str) else obj(item) for item in items(value)]
    return records([obj(item.get("tag")) or item for item in listed], read_tag)
