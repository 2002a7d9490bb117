"""Answers about images, posts, people, tags, and the words that filters take."""

from typing import Any

from civit_mcp.models.lean import Answer, Row
from civit_mcp.models.levels import Level


class ImageRow(Row):
    """One image of a listing."""

    id: int | None = None
    #: the file on the CDN
    url: str | None = None
    page: str | None = None
    #: image, video, audio
    type: str | None = None
    level: Level | None = None
    #: width x height in pixels
    size: str | None = None
    created: str | None = None
    creator: str | None = None
    post_id: int | None = None
    base_model: str | None = None
    has_meta: bool | None = None
    version_ids: list[int] = []
    #: versions left out of `version_ids`
    more_versions: int | None = None


class ImagesAnswer(Answer):
    """A page of images."""

    items: list[ImageRow]
    next_cursor: str | None = None
    filters_applied: dict[str, Any] = {}
    #: reason -> rows of this page that were left out
    hidden: dict[str, int] = {}
    why_empty: str | None = None
    notes: list[str] = []


class TagRow(Row):
    """One tag, of models or of an image."""

    name: str
    id: int | None = None
    type: str | None = None
    models: int | None = None
    #: votes for and against, and what came of them
    score: int | None = None
    up: int | None = None
    down: int | None = None
    automated: bool | None = None
    level: Level | None = None


class TagsAnswer(Answer):
    """A page of tags."""

    items: list[TagRow]
    next_cursor: str | None = None
    why_empty: str | None = None
    notes: list[str] = []


class CreatorRow(Row):
    """One person on CivitAI."""

    username: str
    id: int | None = None
    models: int | None = None
    url: str


class CreatorsAnswer(Answer):
    """A page of creators."""

    items: list[CreatorRow]
    total: int | None = None
    next_cursor: str | None = None
    why_empty: str | None = None
    notes: list[str] = []


class PostAnswer(Row):
    """One post with its images."""

    id: int
    title: str | None = None
    description: str | None = None
    creator: str | None = None
    level: Level | None = None
    published_at: str | None = None
    version_id: int | None = None
    collection_id: int | None = None
    tags: list[str] = []
    images: list[ImageRow]
    next_cursor: str | None = None
    hidden: dict[str, int] = {}
    why_empty: str | None = None
    url: str
    notes: list[str] = []


class BaseModelRow(Row):
    """One base model."""

    name: str
    family: str
    ecosystem: str


class EnumsAnswer(Row):
    """The words that filters take."""

    types: list[str] = []
    base_models: list[BaseModelRow] = []
    model_sorts: list[str] = []
    image_sorts: list[str] = []
    periods: list[str] = []
    levels: list[str] = []
    file_types: list[str] = []
    sources: dict[str, str]
    notes: list[str] = []
