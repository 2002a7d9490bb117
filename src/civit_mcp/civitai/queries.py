"""What can be asked of the listings, and the small answers beside the records."""

from dataclasses import dataclass
from typing import Final

from civit_mcp.models.records import Json

Params = tuple[tuple[str, str], ...]
MOST_MODELS: Final = 100
MOST_IMAGES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelQuery:
    """A search over models. Empty fields are not sent. With `query`, CivitAI ignores `ids`."""

    query: str = ""
    types: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    #: exact tag name; CivitAI silently ignores one that it does not know
    tag: str = ""
    creator: str = ""
    sort: str = ""
    period: str = ""
    #: whether anything above PG is wanted; previews then come at every level
    nsfw: bool = False
    ids: tuple[int, ...] = ()
    limit: int = 20
    cursor: str | None = None

    def params(self) -> Params:
        """Spell the query as CivitAI reads it: repeated keys for words, commas for ids."""
        single = (
            ("query", self.query),
            ("tag", self.tag),
            ("username", self.creator),
            ("sort", self.sort),
            ("period", self.period),
            ("ids", _commas(self.ids)),
            ("nsfw", "true" if self.nsfw else ""),
            ("cursor", self.cursor or ""),
        )
        return (
            ("limit", str(_between(self.limit, MOST_MODELS))),
            *((name, value) for name, value in single if value),
            *(("types", text) for text in self.types if text),
            *(("baseModels", text) for text in self.base_models if text),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageQuery:
    """A search over gallery images. Empty fields are not sent."""

    image_id: int | None = None
    post_id: int | None = None
    model_id: int | None = None
    version_id: int | None = None
    username: str = ""
    sort: str = ""
    period: str = ""
    #: browsing bits; None leaves CivitAI's default, PG
    browsing_level: int | None = None
    #: image, video, audio; CivitAI takes one, several are sorted out on arrival
    types: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    #: tag ids
    tags: tuple[int, ...] = ()
    with_meta: bool = False
    limit: int = 20
    cursor: str | None = None

    def params(self) -> Params:
        """Spell the query as CivitAI reads it. Metadata is asked for in its flat form."""
        level = self.browsing_level
        single = (
            ("imageId", _number(self.image_id)),
            ("postId", _number(self.post_id)),
            ("modelId", _number(self.model_id)),
            ("modelVersionId", _number(self.version_id)),
            ("username", self.username),
            ("sort", self.sort),
            ("period", self.period),
            ("browsingLevel", _number(level)),
            ("type", self.types[0] if len(self.types) == 1 else ""),
            ("baseModels", ",".join(text for text in self.base_models if text)),
            ("tags", _commas(self.tags)),
            ("withMeta", "true" if self.with_meta else ""),
            ("flatMeta", "true" if self.with_meta else ""),
            ("cursor", self.cursor or ""),
        )
        return (
            ("limit", str(_between(self.limit, MOST_IMAGES))),
            *((name, value) for name, value in single if value),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedQuery:
    """A walk through the site's own feed: a collection, a post, or whatever the filters leave.

    A collection or level that whoever asks may not see gives empty pages, not an error.
    Without a key CivitAI shows PG alone, whatever level is asked for.
    """

    collection_id: int | None = None
    post_id: int | None = None
    model_id: int | None = None
    version_id: int | None = None
    username: str = ""
    #: as the site displays it: Most Reactions, Most Comments, Most Collected, Newest, Oldest
    sort: str = ""
    period: str = ""
    #: browsing bits; None leaves CivitAI's default, everything
    browsing_level: int | None = None
    #: image, video, audio
    types: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    #: tag ids
    tags: tuple[int, ...] = ()
    limit: int = 20
    cursor: str | None = None

    def asked(self) -> Json:
        """Spell the query as the procedure reads it. Empty fields are not sent.

        The first page has no cursor at all: null is refused, and a cursor marked undefined
        gives the first page again and again.
        """
        fields = (
            ("collectionId", self.collection_id),
            ("postId", self.post_id),
            ("modelId", self.model_id),
            ("modelVersionId", self.version_id),
            ("username", self.username or None),
            ("sort", self.sort or None),
            ("period", self.period or None),
            ("browsingLevel", self.browsing_level),
            ("types", [word for word in self.types if word] or None),
            ("baseModels", [word for word in self.base_models if word] or None),
            ("tags", list(self.tags) or None),
            ("cursor", self.cursor or None),
        )
        named = {name: value for name, value in fields if value is not None}
        return {"limit": _between(self.limit, MOST_IMAGES), **named}


@dataclass(frozen=True, slots=True, kw_only=True)
class Enums:
    """The words that CivitAI's filters take today. All sets are open."""

    model_types: tuple[str, ...] = ()
    file_types: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    active_base_models: tuple[str, ...] = ()
    base_model_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose key it is."""

    id: int
    username: str | None = None
    #: lower-case; None without a membership
    tier: str | None = None
    #: active, muted or banned
    status: str | None = None
    is_member: bool | None = None
    subscriptions: tuple[str, ...] = ()
    #: bits of what the key may do; None when CivitAI does not say
    token_scope: int | None = None


def _between(limit: int, most: int) -> int:
    return min(max(limit, 1), most)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _commas(ids: tuple[int, ...]) -> str:
    return ",".join(str(number) for number in ids)
