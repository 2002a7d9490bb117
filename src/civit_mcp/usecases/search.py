"""Search that says what it did: filters applied, rows hidden, and why nothing was found.

CivitAI drops filters silently (a text query switches most of them off, an unknown tag
switches itself off), so every row is checked here against everything that was asked.
"""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from civit_mcp.civitai import CivitaiClient, ModelQuery
from civit_mcp.errors import BadReference, NotFound
from civit_mcp.models.base_models import look_up
from civit_mcp.models.facts import SearchAnswer, SearchRow
from civit_mcp.models.levels import Level, permits
from civit_mcp.models.records import ModelRecord, Page, VersionRecord
from civit_mcp.references import parse_reference
from civit_mcp.usecases.desk import Desk
from civit_mcp.usecases.resolve import model_id_of
from civit_mcp.usecases.rows import search_row

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
#: pages of CivitAI that one call may read while it fills a page of ours
MAX_PAGES = 5
#: rows to ask for when many of them will fall to the filters
WIDE_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSearch:
    """What was asked, in canonical words."""

    query: str | None = None
    types: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    tag: str | None = None
    creator: str | None = None
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
            # a text query is ranked by relevance; CivitAI then ignores sort and period
            "sort": "relevance" if self.query else self.sort,
            "period": None if self.query else self.period,
            "max_level": self.max_level,
        }
        return {key: value for key, value in words.items() if value}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to go on: CivitAI's cursor, its page size, and the row within that page."""

    cursor: str | None
    size: int
    row: int = 0

    def token(self) -> str:
        text = json.dumps([self.cursor, self.size, self.row], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @staticmethod
    def read(token: str) -> "_Place":
        try:
            padded = token + "=" * (-len(token) % 4)
            cursor, size, row = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
            if (cursor is None or isinstance(cursor, str)) and 1 <= size <= 100 and row >= 0:
                return _Place(cursor, int(size), int(row))
        except (ValueError, TypeError, binascii.Error, RecursionError):
            pass
        raise BadReference(
            "the cursor is not one that search_models gave out", "leave it out to start again"
        )


async def search_models(desk: Desk, search: ModelSearch) -> SearchAnswer:
    """Find models; a query that is a reference finds exactly that model."""
    search = _canonical(replace(search, max_level=desk.effective_level(search.max_level)))
    if search.query and not search.cursor:
        exact = await _by_reference(desk, search)
        if exact is not None:
            return exact
    snapshot = await desk.snapshot()
    hidden: Counter[str] = Counter()
    rows: list[SearchRow] = []
    seen: set[int] = set()
    place = _Place.read(search.cursor) if search.cursor else _Place(None, _page_size(search))
    following: _Place | None = place
    for _ in range(MAX_PAGES):
        try:
            page = await desk.client.search_models(_query(search, place))
        except NotFound:
            if search.creator is None:
                raise
            return _no_such_creator(search)
        for index, model in enumerate(page.items):
            if index < place.row or model.id in seen:
                continue
            if len(rows) == search.limit:
                following = replace(place, row=index)
                break
            seen.add(model.id)
            version, reason = _fit(model, search)
            if reason:
                hidden[reason] += 1
            else:
                rows.append(search_row(model, version, snapshot))
        else:
            following = _after(place, page)
            if following is not None and len(rows) < search.limit:
                place = following
                continue
        break
    if search.query:
        rows = _exact_names_first(rows, search.query)
    return SearchAnswer(
        items=rows,
        next_cursor=following.token() if following else None,
        filters_applied=search.applied(),
        hidden=dict(hidden),
        why_empty=None if rows else _why_empty(search, hidden, more=following is not None),
    )


def _canonical(search: ModelSearch) -> ModelSearch:
    return replace(
        search,
        query=(search.query or "").strip() or None,
        types=tuple(_one_of(word, MODEL_TYPES, "types") for word in search.types),
        # CivitAI matches its own spelling only
        base_models=tuple(look_up(word).name for word in search.base_models),
        tag=(search.tag or "").strip() or None,
        creator=(search.creator or "").strip().lstrip("@") or None,
        sort=_one_of(search.sort, MODEL_SORTS, "sort"),
        period=_one_of(search.period, PERIODS, "period"),
    )


def _one_of(word: str, known: Sequence[str], name: str) -> str:
    def plain(text: str) -> str:
        return "".join(text.split()).replace("_", "").replace("-", "").casefold()

    for candidate in known:
        if plain(candidate) == plain(word):
            return candidate
    raise BadReference(f"'{word[:60]}' is no value of '{name}'", f"use one of: {', '.join(known)}")


def _page_size(search: ModelSearch) -> int:
    """CivitAI applies most filters to one page of a text query after cutting it."""
    filtered = search.query or search.base_models or search.tag
    return WIDE_PAGE if filtered else search.limit


def _query(search: ModelSearch, place: _Place) -> ModelQuery:
    return ModelQuery(
        query=search.query or "",
        types=search.types,
        base_models=search.base_models,
        tag=search.tag or "",
        creator=search.creator or "",
        sort="" if search.query else search.sort,
        period="" if search.query else search.period,
        nsfw=search.max_level != "pg",
        limit=place.size,
        cursor=place.cursor,
    )


def _after(place: _Place, page: Page[ModelRecord]) -> _Place | None:
    """Go to the next page; a cursor that repeats itself is the end."""
    if page.next_cursor is None or page.next_cursor == place.cursor:
        return None
    return _Place(page.next_cursor, place.size)


def _fit(model: ModelRecord, search: ModelSearch) -> tuple[VersionRecord | None, str | None]:
    """Choose the version to show, or say which filter the model fails."""
    if search.types and model.type.casefold() not in {word.casefold() for word in search.types}:
        return None, "type"
    if not permits(search.max_level, model.level_bits):
        return None, "level"
    if search.tag and search.tag.casefold() not in {tag.casefold() for tag in model.tags}:
        return None, "tag"
    if search.creator and _slug(model.creator or "") != _slug(search.creator):
        return None, "creator"
    if search.base_models:
        wanted = {word.casefold() for word in search.base_models}
        for version in model.versions:
            if look_up(version.base_model).name.casefold() in wanted:
                return version, None
        return None, "base_model"
    return (model.versions[0] if model.versions else None), None


def _slug(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _exact_names_first(rows: list[SearchRow], query: str) -> list[SearchRow]:
    """Keep CivitAI's order, but a model that has the very name comes before others."""
    wanted = query.casefold()
    return sorted(rows, key=lambda row: row.name.casefold() != wanted)


async def _by_reference(desk: Desk, search: ModelSearch) -> SearchAnswer | None:
    """Answer a query that is an id, address, AIR or hash; None when it is words."""
    assert search.query is not None
    try:
        ref = parse_reference(search.query)
        if ref.kind not in ("model", "version", "hash", "id"):
            return None
        model = await _referred(desk.client, desk, search.query)
    except (BadReference, NotFound):
        return None
    bits = model.level_bits
    desk.forbid_above_cap(bits, f"model '{model.id}'")
    version_id = ref.version_id
    version = next((v for v in model.versions if v.id == version_id), None)
    row = search_row(model, version or next(iter(model.versions), None), await desk.snapshot())
    return SearchAnswer(
        items=[row],
        filters_applied={"reference": ref.describe()},
        notes=["The query is a reference, so the other filters were not applied"],
    )


async def _referred(client: CivitaiClient, desk: Desk, text: str) -> ModelRecord:
    return await client.model(await model_id_of(desk, text))


def _no_such_creator(search: ModelSearch) -> SearchAnswer:
    return SearchAnswer(
        items=[],
        filters_applied=search.applied(),
        why_empty=f"CivitAI has no creator '{search.creator}'; leave creator out or check its "
        "spelling on the model's page",
    )


_REMEDIES: Final = {
    "level": "they are above max_level; call again with a higher max_level if that is wanted",
    "tag": "they lack the tag, which CivitAI ignores when it does not know it; try it as query",
    "base_model": "no version of theirs has that base model; try fewer base_models",
    "type": "they are of another type; widen types",
    "creator": "they are by someone else",
}


def _why_empty(search: ModelSearch, hidden: Counter[str], *, more: bool) -> str:
    if hidden:
        reason, count = hidden.most_common(1)[0]
        text = f"{count} of {hidden.total()} rows were left out: {_REMEDIES[reason]}"
        return text + ("; or pass next_cursor to look further" if more else "")
    if more:
        return "CivitAI sent empty pages; pass next_cursor to look further"
    narrowing = [key for key in search.applied() if key not in ("max_level", "sort", "period")]
    if search.period != "AllTime" and not search.query:
        return f"nothing was published in period '{search.period}'; try period 'AllTime'"
    if len(narrowing) > 1:
        return f"CivitAI has nothing for these together; drop one of {', '.join(narrowing)}"
    if narrowing:
        return "CivitAI has nothing for this; try other words or another spelling"
    return "CivitAI sent an empty list without filters; try again in a minute"
