"""Search that says what it did: filters applied, rows hidden, and why nothing was found.

CivitAI drops filters silently (a text query switches most of them off, an unknown tag
switches itself off), so every row is checked here against everything that was asked.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from civit_mcp.civitai import ModelQuery
from civit_mcp.errors import BadReference, NotFound
from civit_mcp.models.facts import SearchAnswer, SearchRow
from civit_mcp.models.records import ModelRecord, Page
from civit_mcp.references import Reference, parse_reference
from civit_mcp.text import one_line
from civit_mcp.usecases.desk import Desk
from civit_mcp.usecases.emptiness import Hidden, Looked, as_call, why_no_models
from civit_mcp.usecases.filters import (
    ModelSearch,
    canonical,
    fitting_version,
    misfit,
    name_rank,
)
from civit_mcp.usecases.paging import Place, Walk
from civit_mcp.usecases.resolve import model_id_of
from civit_mcp.usecases.rows import are_cut, search_row, words_note

#: rows to ask for when many of them will fall to the filters
WIDE_PAGE: Final = 100
#: which tool reads what a query turned out to be
_READERS: Final = {
    "image": ("get_generation_data", "image_id"),
    "media": ("get_generation_data", "image_id"),
    "post": ("get_post", "post_id"),
    "collection": ("get_collection", "collection_id"),
}


#: where a file name that is written in one has its words: `GoldenHour_v2`
_WORD_BREAK: Final = re.compile(r"[_\-.+]+|(?<=[a-z0-9])(?=[A-Z])")


async def search_models(desk: Desk, search: ModelSearch) -> SearchAnswer:
    """Find models; a query that is a reference finds exactly that model."""
    return (await look_for_models(desk, search)).answer


async def look_for_models(desk: Desk, search: ModelSearch) -> Looked[SearchAnswer]:
    """Find models, and tell at which levels there would be some when there are none."""
    asked = search
    search = await canonical(desk, search)
    notes = _ignored(asked, search)
    if search.query and not search.cursor:
        exact = await _by_reference(desk, search)
        if exact is not None:
            return Looked(exact)
    search = _plain_words(search)
    cap = desk.settings.max_level
    hidden = Hidden()
    snapshot, catalog_notes = await desk.snapshot_or_note()

    def make(model: ModelRecord) -> SearchRow | None:
        reason = misfit(model, search, uncapped=cap is None and search.max_level == "xxx")
        if reason:
            hidden.add(reason, model.level_bits)
            return None
        return search_row(model, fitting_version(model, search), snapshot)

    way = Walk(
        read=partial(_page, desk, search),
        make=make,
        identity=lambda model: model.id,
        listing=search.without_place(),
        trails=desk.trails,
        limit=search.limit,
        wide=WIDE_PAGE,
        order=partial(_best_names_first, search.query or ""),
    )
    try:
        walked = await way.from_place(_start(search))
    except NotFound:
        if search.creator is None:
            raise
        return Looked(_no_such_creator(search))
    rows = walked.rows
    if search.query:
        rows = _exact_names_first(rows, search.query)
    more = walked.following is not None
    short = [words_note("get_model_version")] if are_cut(rows) else []
    answer = SearchAnswer(
        items=rows,
        next_cursor=walked.next_cursor,
        filters_applied=search.applied(),
        hidden=dict(hidden.reasons),
        why_empty=None if rows else why_no_models(search, hidden, cap, more=more),
        notes=[*notes, *walked.notes(search.limit), *short, *catalog_notes],
    )
    return hidden.looked(answer, rows, cap)


def _ignored(asked: ModelSearch, search: ModelSearch) -> list[str]:
    """Name what was asked for and does not count."""
    notes = []
    usual = ModelSearch()
    if search.query and (search.sort != usual.sort or search.period != usual.period):
        notes.append("CivitAI ranks a text query by relevance: sort and period do not count")
    if asked.max_level != search.max_level:
        notes.append(f"The operator's cap lowers max_level to '{search.max_level}'")
    return notes


def _start(search: ModelSearch) -> Place:
    if search.cursor:
        return Place.read(search.cursor, "search_models")
    # CivitAI applies most filters to one page of a text query after cutting it
    filtered = search.query or search.base_models or search.tag or search.commercial_ok
    return Place(None, WIDE_PAGE if filtered else search.limit)


async def _page(desk: Desk, search: ModelSearch, place: Place) -> Page[ModelRecord]:
    asked = ModelQuery(
        query=search.query or "",
        types=search.types,
        base_models=search.base_models,
        tag=search.tag or "",
        creator=search.creator or "",
        sort="" if search.query else search.sort,
        period="" if search.query else search.period,
        # levels are judged here, so that what they hide can be counted
        nsfw=True,
        limit=place.size,
        cursor=place.cursor,
    )
    return await desk.client.search_models(asked)


def _best_names_first(query: str, models: Sequence[ModelRecord]) -> Sequence[ModelRecord]:
    """Keep CivitAI's order, but names that have the query's words come before others."""
    return sorted(models, key=lambda model: name_rank(model.name, query)) if query else models


def _exact_names_first(rows: list[SearchRow], query: str) -> list[SearchRow]:
    return sorted(rows, key=lambda row: name_rank(row.name, query) > 0)


def _plain_words(search: ModelSearch) -> ModelSearch:
    """Search for the name that a prompt tag or a file name holds."""
    if not search.query:
        return search
    try:
        ref = parse_reference(search.query)
    except BadReference:
        return search
    is_written_name = ref.kind == "name" and (ref.file_name or search.query.startswith("<"))
    if not is_written_name or not ref.name:
        return search
    return replace(search, query=one_line(_WORD_BREAK.sub(" ", ref.name), 200) or ref.name)


async def _by_reference(desk: Desk, search: ModelSearch) -> SearchAnswer | None:
    """Answer a query that is an id, address, AIR or hash; None when it is words."""
    assert search.query is not None
    try:
        ref = parse_reference(search.query)
    except BadReference:
        return None
    if ref.kind in _READERS:
        tool, argument = _READERS[ref.kind]
        call = as_call(tool, {argument: search.query})
        return _nothing(ref, f"The query is {ref.describe()}, and no model. Next: {call}")
    if ref.kind not in ("model", "version", "hash", "id"):
        return None
    try:
        model = await desk.client.model(await model_id_of(desk, search.query))
    except NotFound as error:
        # a number may be a word of a name
        return None if ref.id is not None else _nothing(ref, _gone(ref, error))
    except BadReference:
        return None
    desk.forbid_above_cap(model.level_bits, f"model '{model.id}'")
    version = next((v for v in model.versions if v.id == ref.version_id), None)
    notes = ["The query is a reference, so the other filters were not applied"]
    if ref.version_id is not None and version is None:
        notes.append(f"CivitAI does not list version '{ref.version_id}' any more or not yet")
    snapshot, catalog_notes = await desk.snapshot_or_note()
    row = search_row(model, version or next(iter(model.versions), None), snapshot)
    if are_cut([row]):
        notes.append(words_note("get_model_version"))
    return SearchAnswer(
        items=[row],
        filters_applied={"reference": ref.describe()},
        notes=[*notes, *catalog_notes],
    )


def _gone(ref: Reference, error: NotFound) -> str:
    if ref.kind == "hash":
        return f"{error.what}. Next: {as_call('search_models', {'query': 'its name'})}"
    thing = "version" if ref.kind == "version" else "model"
    wanted = ref.version_id if ref.kind == "version" else ref.model_id
    call = as_call("search_models", {"query": "its name"})
    return f"CivitAI has no {thing} '{wanted}' (any more): deleted, hidden or private. Next: {call}"


def _nothing(ref: Reference, why: str) -> SearchAnswer:
    return SearchAnswer(items=[], filters_applied={"reference": ref.describe()}, why_empty=why)


def _no_such_creator(search: ModelSearch) -> SearchAnswer:
    assert search.creator is not None
    call = as_call("search_creators", {"query": search.creator[:12]})
    return SearchAnswer(
        items=[],
        filters_applied=search.applied(),
        why_empty=f"CivitAI has no creator '{search.creator}'. Next: {call}",
    )
