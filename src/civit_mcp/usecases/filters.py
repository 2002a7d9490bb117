"""What a model search asks for, in canonical words, and whether a row fits it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

from civit_mcp.errors import BadReference, CivitError
from civit_mcp.models.base_models import BASE_MODELS, look_up
from civit_mcp.models.levels import Level, permits
from civit_mcp.models.records import ModelRecord, VersionRecord
from civit_mcp.references.reference import looks_like_a_key
from civit_mcp.text import one_line
from civit_mcp.usecases.desk import Desk

#: CivitAI's model types; the set is open, and `enums` has what was added since
MODEL_TYPES: Final = (
    "Checkpoint", "TextualInversion", "Hypernetwork", "AestheticGradient", "LORA", "LoCon",
    "DoRA", "Controlnet", "Upscaler", "MotionModule", "VAE", "TextEncoder", "UNet", "CLIPVision",
    "Poses", "Wildcards", "Workflows", "ComfyWorkflows", "Detection", "VisionLanguage", "CLIP",
    "LLM", "Other",
)  # fmt: skip
MODEL_SORTS: Final = (
    "Highest Rated", "Most Downloaded", "Most Liked", "Most Discussed", "Most Collected",
    "Most Images", "Newest", "Oldest",
)  # fmt: skip
PERIODS: Final = ("Day", "Week", "Month", "Year", "AllTime")
#: what people call some types
_TYPE_ALIASES: Final = {
    "embedding": "TextualInversion",
    "ti": "TextualInversion",
    "lycoris": "LoCon",
    "lyco": "LoCon",
    "hypernet": "Hypernetwork",
    "model": "Checkpoint",
    "workflow": "Workflows",
    "wildcard": "Wildcards",
    "pose": "Poses",
}
_REST: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSearch:
    """What was asked."""

    query: str | None = None
    types: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    tag: str | None = None
    creator: str | None = None
    commercial_ok: bool = False
    sort: str = "Highest Rated"
    period: str = "AllTime"
    max_level: Level = "pg13"
    limit: int = 10
    cursor: str | None = None

    def applied(self) -> dict[str, object]:
        """Name the filters that shaped the answer, with their values."""
        words: dict[str, object] = {
            "query": self.query,
            "types": list(self.types),
            "base_models": list(self.base_models),
            "tag": self.tag,
            "creator": self.creator,
            "commercial_ok": self.commercial_ok,
            # a text query is ranked by relevance; CivitAI then ignores sort and period
            "sort": "relevance" if self.query else self.sort,
            "period": None if self.query else self.period,
            "max_level": self.max_level,
        }
        return {key: value for key, value in words.items() if value}

    def without_place(self) -> "ModelSearch":
        """The listing as a whole, whatever page of it is asked for."""
        return replace(self, cursor=None, limit=1)


async def canonical(desk: Desk, search: ModelSearch) -> ModelSearch:
    """Put a search into CivitAI's own words.

    Raises:
        BadReference: a word is none of those that an argument takes, or may be a key.
    """
    for words in (search.query, search.tag, search.creator):
        refuse_key(words)
    return replace(
        search,
        query=one_line(search.query or "", 400) or None,
        types=await _types(desk, search.types),
        # CivitAI matches its own spelling only
        base_models=tuple(dict.fromkeys(look_up(word).name for word in search.base_models if word)),
        tag=one_line(search.tag or "", 200) or None,
        creator=one_line(search.creator or "", 200).lstrip("@") or None,
        sort=one_of(search.sort, MODEL_SORTS, "sort"),
        period=one_of(search.period, PERIODS, "period"),
        max_level=desk.effective_level(search.max_level),
    )


def refuse_key(words: str | None) -> None:
    """Keep what looks like a key out of the address of a request.

    Raises:
        BadReference: the words are what API keys look like.
    """
    if words and looks_like_a_key(words.strip()):
        raise BadReference(
            "the text is 32 hexadecimal digits and may be an API key; it was not sent",
            "keep keys in the environment (CIVITAI_API_KEY)",
        )


async def _types(desk: Desk, words: Sequence[str]) -> tuple[str, ...]:
    found = [_known_type(word, MODEL_TYPES) for word in words]
    if None in found:
        # CivitAI may have types that are younger than this table
        live = await _live_types(desk)
        found = [_known_type(word, live) or one_of(word, MODEL_TYPES, "types") for word in words]
    return tuple(dict.fromkeys(word for word in found if word))


async def _live_types(desk: Desk) -> tuple[str, ...]:
    try:
        return (*MODEL_TYPES, *(await desk.client.enums()).model_types)
    except CivitError:
        return MODEL_TYPES


def _known_type(word: str, known: Sequence[str]) -> str | None:
    wanted = _TYPE_ALIASES.get(_plain(word), word)
    return next((name for name in known if _plain(name) == _plain(wanted)), None)


def one_of(word: str, known: Sequence[str], name: str) -> str:
    """Find the spelling in `known`, whatever case and separators.

    Raises:
        BadReference: it is none of them.
    """
    for candidate in known:
        if _plain(candidate) == _plain(word):
            return candidate
    raise BadReference(
        f"'{one_line(word, 60)}' is no value of '{name}'", f"use one of: {', '.join(known)}"
    )


def _plain(text: str) -> str:
    return "".join(text.split()).replace("_", "").replace("-", "").casefold()


def misfit(model: ModelRecord, search: ModelSearch, *, uncapped: bool) -> str | None:
    """Name the filter that a model fails; None when it passes all.

    The level comes last: what it hides fits everything else, so raising it helps. `uncapped`
    lets through what nobody has rated.
    """
    if search.types and model.type.casefold() not in {word.casefold() for word in search.types}:
        return "type"
    if search.creator and _slug(model.creator or "") != _slug(search.creator):
        return "creator"
    if search.tag and search.tag.casefold() not in {tag.casefold() for tag in model.tags}:
        return "tag"
    if search.base_models and fitting_version(model, search) is None:
        return "base_model"
    if search.commercial_ok and "Image" not in (model.allow_commercial_use or ()):
        return "licence"
    if not uncapped and not permits(search.max_level, model.level_bits):
        return "level"
    return None


def fitting_version(model: ModelRecord, search: ModelSearch) -> VersionRecord | None:
    """Choose the version to show: the creator's first that has a wanted base model."""
    if not search.base_models:
        return next(iter(model.versions), None)
    wanted = {word.casefold() for word in search.base_models}
    for version in model.versions:
        if look_up(version.base_model).name.casefold() in wanted:
            return version
    return None


def _slug(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def name_rank(name: str, query: str) -> int:
    """Rank a name for a query: 0 the very name, 1 it has every word, 2 the rest."""
    if _slug(name) and _slug(name) == _slug(query):
        return 0
    words = query.casefold().split()
    return 1 if words and all(word in name.casefold() for word in words) else _REST


def similar_base_model(name: str) -> str | None:
    """Find a known base model that an unknown one may be a misspelling of."""
    if look_up(name).name.casefold() in {row.name.casefold() for row in BASE_MODELS.values()}:
        return None
    close = get_close_matches(name.casefold(), BASE_MODELS, n=1, cutoff=0.5)
    return BASE_MODELS[close[0]].name if close else None
