"""People, tags, and the words that filters take."""

from typing import Final, Literal, get_args
from urllib.parse import quote

from civit_mcp.civitai import Enums
from civit_mcp.errors import CivitError
from civit_mcp.models.base_models import BASE_MODELS, look_up
from civit_mcp.models.browsed import (
    BaseModelRow,
    CreatorRow,
    CreatorsAnswer,
    EnumsAnswer,
    TagRow,
    TagsAnswer,
)
from civit_mcp.models.gallery import TagRecord
from civit_mcp.models.levels import LEVELS
from civit_mcp.text import one_line
from civit_mcp.usecases import cursors
from civit_mcp.usecases.bounds import MOST_BYTES
from civit_mcp.usecases.desk import Desk
from civit_mcp.usecases.emptiness import as_call
from civit_mcp.usecases.filters import MODEL_SORTS, MODEL_TYPES, PERIODS, one_of, refuse_key
from civit_mcp.usecases.gallery import IMAGE_SORTS
from civit_mcp.usecases.rows import SITE, word

EnumKind = Literal["types", "base_models", "sorts", "periods", "levels", "file_types"]
ENUM_KINDS: Final[tuple[EnumKind, ...]] = get_args(EnumKind)
_MOST_PAGE: Final = 100_000


async def search_creators(
    desk: Desk, query: str, *, limit: int, cursor: str | None
) -> CreatorsAnswer:
    """Find people whose name contains `query`: creators of models, else any user."""
    refuse_key(query)
    query = one_line(query, 100).lstrip("@")
    page = read_page(cursor, "search_creators")
    found = await desk.client.creators(query, limit=limit, page=page)
    rows = [
        CreatorRow(
            username=one_line(creator.username, 100),
            models=creator.model_count,
            url=_profile(creator.username),
        )
        for creator in found.items
    ]
    notes: list[str] = []
    if not rows and query and page == 1:
        rows = await _users(desk, query)
        if rows:
            notes.append("Nobody with models has such a name; these users have none")
    return CreatorsAnswer(
        items=rows,
        total=found.total,
        next_cursor=None if found.next_page is None else write_page(found.next_page),
        why_empty=None if rows else _nobody(query, page),
        notes=notes,
    )


async def _users(desk: Desk, query: str) -> list[CreatorRow]:
    return [
        CreatorRow(username=one_line(user.username, 100), id=user.id, url=_profile(user.username))
        for user in await desk.client.users(query=query)
        if user.username and query.casefold() in user.username.casefold()
    ]


def _profile(username: str) -> str:
    return f"{SITE}/user/{quote(username, safe='')}"


def _nobody(query: str, page: int) -> str:
    if page > 1:
        return "The listing ends here"
    shorter = query[: max(len(query) // 2, 1)]
    return f"No name contains '{query}'. Next: {as_call('search_creators', {'query': shorter})}"


async def search_tags(desk: Desk, query: str, *, limit: int, cursor: str | None) -> TagsAnswer:
    """Find tags that begin with `query`; a number also finds the tag with that id."""
    refuse_key(query)
    query = one_line(query, 100)
    page = read_page(cursor, "search_tags")
    rows: list[TagRow] = []
    if page == 1 and query.isascii() and query.isdecimal() and 0 < int(query[:12]) < 2**31:
        tag = await desk.client.tag(int(query[:12]))
        if tag is not None:
            rows.append(_tag_row(tag))
    found = await desk.client.tags(query, limit=limit, page=page)
    # CivitAI matches beginnings; what does not begin so was not asked for
    fitting = [tag for tag in found.items if tag.name.casefold().startswith(query.casefold())]
    rows += [_tag_row(tag) for tag in fitting]
    why = None
    if not rows:
        call = as_call("search_models", {"query": query})
        why = "The listing ends here" if page > 1 else f"No tag begins so. Next: {call}"
    return TagsAnswer(
        items=rows,
        next_cursor=None if found.next_page is None else write_page(found.next_page),
        why_empty=why,
    )


def _tag_row(tag: TagRecord) -> TagRow:
    return TagRow(
        name=one_line(tag.name, 80), id=tag.id, type=word(tag.type), models=tag.model_count
    )


async def list_enums(
    desk: Desk, kind: EnumKind | None = None, *, whole: bool = False
) -> EnumsAnswer:
    """List the words that filters take: CivitAI's of today, and those known here.

    What an answer has no room for is counted in a note, unless it is to be told `whole`.
    """
    live, notes = Enums(), []
    try:
        live = await desk.client.enums()
        told = "CivitAI's own list, and civit-mcp's table"
    except CivitError as error:
        told = "civit-mcp's table"
        notes = [f"CivitAI did not say: {error}"]
    named = {
        "types": _joined(live.model_types, MODEL_TYPES),
        "base_models": _joined(live.base_models, tuple(r.name for r in BASE_MODELS.values())),
        "sorts": MODEL_SORTS,
        "periods": PERIODS,
        "levels": LEVELS,
        "file_types": live.file_types,
    }
    wanted: list[str] = list(named) if kind is None else [kind]
    sources = {
        name: told if name in ("types", "base_models") else "civit-mcp's table" for name in wanted
    }
    if "file_types" in wanted:
        sources["file_types"] = "CivitAI's own list"
    shown = {
        name: [word for word in named[name] if word] if name in wanted else [] for name in named
    }
    if not whole:
        notes += _shortened(shown, alone=kind is not None)
    return EnumsAnswer(
        types=shown["types"],
        base_models=[_base_model(name) for name in shown["base_models"]],
        model_sorts=shown["sorts"],
        image_sorts=list(IMAGE_SORTS) if "sorts" in wanted else [],
        periods=shown["periods"],
        levels=shown["levels"],
        file_types=shown["file_types"],
        sources=sources,
        notes=notes,
    )


def known_kind(text: str) -> EnumKind:
    """Read the name of a list of words.

    Raises:
        BadReference: there is no such list.
    """
    name = one_of(text, ENUM_KINDS, "kind")
    return next(kind for kind in ENUM_KINDS if kind == name)


def filter_words(argument: str) -> tuple[str, ...]:
    """The words that may stand in an argument of that name; none for any other argument."""
    name = argument.removesuffix("s")
    return {
        "base_model": tuple(row.name for row in BASE_MODELS.values()),
        "type": MODEL_TYPES,
        "sort": tuple(dict.fromkeys((*MODEL_SORTS, *IMAGE_SORTS))),
        "period": PERIODS,
        "level": LEVELS,
        "max_level": LEVELS,
        "kind": ENUM_KINDS,
    }.get(name, ())


def _joined(live: tuple[str, ...], table: tuple[str, ...]) -> tuple[str, ...]:
    known = {word.casefold() for word in live}
    extra = (word for word in table if word.casefold() not in known)
    return tuple(dict.fromkeys((*(one_line(word, 80) for word in live), *extra)))


def _shortened(shown: dict[str, list[str]], *, alone: bool) -> list[str]:
    """Cut the lists to what an answer has room for; a note on each that is cut."""
    notes = []
    room = MOST_BYTES - 3_000
    # the longest list is the last to be given what is left
    for name in sorted(shown, key=lambda name: len(shown[name])):
        words, shown[name] = shown[name], []
        for text in words:
            # a base model stands there with its family and its ecosystem
            row = _base_model(text).model_dump_json() if name == "base_models" else text
            room -= len(row.encode()) + 4
            if room < 0:
                break
            shown[name].append(text)
        if len(shown[name]) < len(words):
            call = as_call("list_enums", {"kind": name})
            where = f"civitai://enums/{name} has" if alone else f"{call} lists"
            notes.append(f"{len(words) - len(shown[name])} more {name}: {where} them")
    return notes


def _base_model(name: str) -> BaseModelRow:
    row = look_up(name)
    return BaseModelRow(name=name, family=row.family, ecosystem=row.ecosystem)


def write_page(page: int) -> str:
    """Write a page's number down for `next_cursor`."""
    return cursors.write("page", page)


def read_page(cursor: str | None, tool: str) -> int:
    """Read what `write_page` wrote; the first page without a cursor.

    Raises:
        BadReference: `tool` never gave out such a text.
    """
    if cursor is None:
        return 1
    return cursors.number("page", cursor, tool, least=1, most=_MOST_PAGE)
