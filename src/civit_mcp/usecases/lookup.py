"""Facts about models and versions, one or a batch."""

from collections.abc import Sequence
from typing import Final

import anyio
import anyio.to_thread

from civit_mcp.catalog import Snapshot
from civit_mcp.errors import BadReference, CivitError
from civit_mcp.models.facts import (
    Advice,
    ModelAnswer,
    ModelFacts,
    VersionAnswer,
    VersionFacts,
)
from civit_mcp.models.levels import label
from civit_mcp.models.records import ModelRecord
from civit_mcp.text import clean_html, cut, one_line
from civit_mcp.usecases.batch import each, not_too_many, sorted_out
from civit_mcp.usecases.bounds import take_within
from civit_mcp.usecases.desk import Desk
from civit_mcp.usecases.resolve import (
    RefArgument,
    level_of,
    model_id_of,
    published_version,
    version_id_of,
)
from civit_mcp.usecases.rows import (
    UNCUT,
    are_cut,
    licence_of,
    model_url,
    version_brief,
    version_facts,
    word,
    words_note,
)

MAX_BATCH = 20
#: characters of description in one answer
DESCRIPTION_PIECE = 1200
BATCH_DESCRIPTION_PIECE = 200
#: hostile markup of this length takes long enough to parse to hold up other requests
LONG_HTML = 20_000
VERSIONS_SHOWN = 12
BATCH_VERSIONS_SHOWN = 3
#: bytes for the versions of a model, the files of a version, and its trigger words
ROWS_BUDGET: Final = 11_000
WORDS_BUDGET: Final = 2_000
MORE_SHOWN: Final = 200
TAGS_SHOWN: Final = 20
#: seconds that the creator's advice may arrive after everything else
ADVICE_PATIENCE: Final = 2.0
#: what CivitAI fills in where a creator advised nothing
_NO_ADVICE: Final = (1.0, -1.0, 2.0)
_WEIGHTED: Final = frozenset({"LORA", "LoCon", "DoRA", "TextualInversion", "Hypernetwork"})


async def get_model(
    desk: Desk,
    one: RefArgument | None,
    many: Sequence[RefArgument],
    *,
    description_from: int = 0,
    whole: bool = False,
) -> ModelAnswer:
    """Answer for one model, or for up to twenty; one may be told `whole`, however long."""
    snapshot, notes = await desk.snapshot_or_note()
    if not many:
        ref = _required(one, "model_id")
        facts = await _model(desk, ref, snapshot, description_from, whole=whole)
        return ModelAnswer(**{**dict(facts), "notes": [*facts.notes, *notes]})

    async def brief(ref: RefArgument) -> ModelFacts:
        return await _model(desk, ref, snapshot, 0, brief=True)

    refs = _with_first(one, many)
    items, failed = sorted_out(refs, await each(refs, brief))
    return ModelAnswer(items=items, failed=failed, notes=notes)


async def get_model_version(
    desk: Desk,
    one: RefArgument | None,
    many: Sequence[RefArgument],
    *,
    description_from: int = 0,
    whole: bool = False,
) -> VersionAnswer:
    """Answer for one version, or for up to twenty; one may be told `whole`, however long."""
    snapshot, notes = await desk.snapshot_or_note()
    if not many:
        ref = _required(one, "version_id")
        facts = await _version(desk, ref, snapshot, description_from, whole=whole)
        return VersionAnswer(**{**dict(facts), "notes": [*facts.notes, *notes]})

    async def brief(ref: RefArgument) -> VersionFacts:
        return await _version(desk, ref, snapshot, 0, brief=True)

    refs = _with_first(one, many)
    items, failed = sorted_out(refs, await each(refs, brief))
    return VersionAnswer(items=items, failed=failed, notes=notes)


async def _model(
    desk: Desk,
    ref: RefArgument,
    snapshot: Snapshot | None,
    start: int,
    *,
    brief: bool = False,
    whole: bool = False,
) -> ModelFacts:
    model = await desk.client.model(await model_id_of(desk, ref))
    desk.forbid_above_cap(model.level_bits, f"model '{model.id}'")
    piece, following = await _description(model.description, start, brief=brief, whole=whole)
    if whole:
        rows = [version_brief(version, snapshot, whole=True) for version in model.versions]
    else:
        shown = model.versions[: BATCH_VERSIONS_SHOWN if brief else VERSIONS_SHOWN]
        rows = take_within([version_brief(version, snapshot) for version in shown], ROWS_BUDGET)
    more = [version.id for version in model.versions[len(rows) :]]
    tags = model.tags if whole else model.tags[:TAGS_SHOWN]
    notes = _model_notes(model)
    if are_cut(rows) and not whole:
        notes.append(words_note("get_model_version"))
    left_out = [
        f"{count} more {what}"
        for what, count in (
            ("versions", len(more) - MORE_SHOWN),
            ("tags", len(model.tags) - len(tags)),
        )
        if count > 0
    ]
    if left_out:
        notes.append(f"{' and '.join(left_out)} are in civitai://models/{model.id}")
    return ModelFacts(
        id=model.id,
        name=one_line(model.name, 200),
        type=word(model.type),
        creator=word(model.creator),
        level=label(model.level_bits),
        mode=word(model.mode),
        tags=[one_line(tag, 60) for tag in tags],
        downloads=model.downloads,
        thumbs_up=model.thumbs_up,
        licence=licence_of(model),
        versions=rows,
        more_versions=more[:MORE_SHOWN],
        description=piece or None,
        description_next=following,
        url=model_url(model.id),
        notes=notes,
    )


def _model_notes(model: ModelRecord) -> list[str]:
    notes = []
    if not model.versions:
        notes.append("CivitAI shows no published version of this model")
    if (model.mode or "").casefold() == "archived":
        notes.append("The model is archived: CivitAI keeps the page but serves no files")
    if (model.mode or "").casefold() == "takendown":
        notes.append("The model was taken down")
    return notes


async def _version(
    desk: Desk,
    ref: RefArgument,
    snapshot: Snapshot | None,
    start: int,
    *,
    brief: bool = False,
    whole: bool = False,
) -> VersionFacts:
    version_id = await version_id_of(desk, ref)
    advice: list[Advice] = []
    asked = anyio.Event()

    async def advise() -> None:
        advice.extend(await _advice(desk, version_id))
        asked.set()

    absent: CivitError | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(advise)
        try:
            version = await published_version(desk, version_id)
            with anyio.move_on_after(ADVICE_PATIENCE):
                await asked.wait()
        except CivitError as error:
            absent = error
        group.cancel_scope.cancel()
    if absent is not None:
        raise absent
    if desk.settings.max_level is not None:
        desk.forbid_above_cap(await level_of(desk, version), f"version '{version.id}'")
    facts = version_facts(version, snapshot, desk.settings.civitai_url)
    if not whole:
        facts = _readable(facts)
    piece, following = await _description(version.description, start, brief=brief, whole=whole)
    return facts.model_copy(
        update={
            "description": piece or None,
            "description_next": following,
            "advice": advice[0] if advice else None,
        }
    )


def _readable(facts: VersionFacts) -> VersionFacts:
    """Leave out what no answer has room for, and say what, and where it is."""
    words: list[str] = []
    for each_word in facts.trigger_words:
        if sum(len(known.encode()) for known in words) > WORDS_BUDGET:
            break
        words.append(each_word)
    files = take_within(facts.files, ROWS_BUDGET)
    left_out = [
        f"{count} more {what}"
        for what, count in (
            ("trigger words", len(facts.trigger_words) - len(words)),
            ("files", len(facts.files) - len(files)),
        )
        if count
    ]
    notes = list(facts.notes)
    if left_out:
        where = f"civitai://model-versions/{facts.id}"
        notes.append(f"{' and '.join(left_out)} are in {where}")
    return facts.model_copy(update={"trigger_words": words, "files": files, "notes": notes})


async def _advice(desk: Desk, version_id: int) -> list[Advice]:
    """The creator's own settings, from an internal procedure: nice to have, never missed."""
    try:
        known = await desk.client.resources_by_version_ids([version_id])
    except CivitError:
        return []
    facts = next((each for each in known if each.version_id == version_id), None)
    if facts is None:
        return []
    given = (facts.strength, facts.min_strength, facts.max_strength)
    if given == _NO_ADVICE or facts.model_type not in _WEIGHTED:
        given = (None, None, None)
    if facts.clip_skip is None and all(value is None for value in given):
        return []
    return [Advice(strength=given[0], min=given[1], max=given[2], clip_skip=facts.clip_skip)]


async def _description(
    html: str | None, start: int, *, brief: bool, whole: bool
) -> tuple[str, int | None]:
    limit = UNCUT if whole else BATCH_DESCRIPTION_PIECE if brief else DESCRIPTION_PIECE
    if html is None or len(html) < LONG_HTML:
        return cut(clean_html(html), start, limit)
    text = await anyio.to_thread.run_sync(clean_html, html)
    return cut(text, start, limit)


def _required(one: RefArgument | None, name: str) -> RefArgument:
    if one is None:
        raise BadReference(f"neither '{name}' nor '{name}s' was given", f"pass {name}")
    return one


def _with_first(one: RefArgument | None, many: Sequence[RefArgument]) -> list[RefArgument]:
    refs = [*([one] if one is not None else []), *many]
    not_too_many(len(refs), MAX_BATCH)
    return refs
