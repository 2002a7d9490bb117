"""What stands around the pictures: tags, and posts that hold several pictures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRecord:
    """One tag of models or images."""

    name: str
    #: only tRPC gives ids
    id: int | None = None
    #: UserGenerated, Label, Moderation, System (open set)
    type: str | None = None
    #: only older answers count
    model_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VotableTag:
    """One tag of an image with its votes."""

    name: str
    id: int | None = None
    type: str | None = None
    score: int | None = None
    up_votes: int | None = None
    down_votes: int | None = None
    #: whether a machine gave it
    automated: bool | None = None
    needs_review: bool | None = None
    #: browsing bits; 0 unrated, None unknown
    level_bits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRecord:
    """One post. Its pictures are in the feed, under the post's id."""

    id: int
    title: str | None = None
    #: HTML as sent
    detail: str | None = None
    #: browsing bits of all its pictures together; 0 unrated, None unknown
    level_bits: int | None = None
    username: str | None = None
    user_id: int | None = None
    version_id: int | None = None
    collection_id: int | None = None
    published_at: str | None = None
    availability: str | None = None
    tags: tuple[TagRecord, ...] = ()
