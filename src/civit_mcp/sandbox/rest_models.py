"""GET models: search, filters, sorts, pages."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from civit_mcp.sandbox.call import PRIVATE_CACHE, PUBLIC_CACHE, Call, Reply, refuse
from civit_mcp.sandbox.paging import BadCursorError, cut, too_deep
from civit_mcp.sandbox.params import Params
from civit_mcp.sandbox.pictures import model_bits
from civit_mcp.sandbox.shapes import early_access_end, list_item, primary_file, tag_names
from civit_mcp.sandbox.store import Json, extra, model_is_public, rows
from civit_mcp.sandbox.vocabulary import (
    COMMERCIAL_USES,
    FILE_FORMATS,
    MODEL_SORTS,
    MODEL_TYPES,
    PERIODS,
)

_STRICT: Final = (
    "allowNoCredit", "allowDerivatives", "allowDifferentLicense", "disablePoi", "disableMinor",
    "isFeatured", "pending", "browsingLevel", "collectionId", "excludedTagIds", "excludedUserIds",
    "excludedImageTagIds", "excludedModelIds",
)  # fmt: skip
_DAYS: Final = {"Day": 1, "Week": 7, "Month": 31, "Year": 366}
_STATS: Final = {
    "Highest Rated": "thumbsUpCount",
    "Most Downloaded": "downloadCount",
    "Most Liked": "thumbsUpCount",
    "Most Discussed": "commentCount",
    "Most Collected": "tippedAmountCount",
    "Most Images": "commentCount",
}


def models(call: Call) -> Reply:
    """Answer GET models."""
    cache = {"cache-control": PRIVATE_CACHE if call.session else PUBLIC_CACHE}
    if not call.session and ("favorites" in call.query or "hidden" in call.query):
        return refuse(401, "Unauthorized")
    params = Params(call.query)
    limit = params.number("limit", 100, most=100)
    page = params.number("page", least=1)
    query = (params.text("query") or "").strip()
    params.choices("types", MODEL_TYPES)
    params.choices("fileFormats", FILE_FORMATS)
    params.choices("allowCommercialUse", COMMERCIAL_USES)
    sort = params.choice("sort", MODEL_SORTS, "Highest Rated")
    params.choice("period", PERIODS, "AllTime")
    params.choice("periodMode", ("stats", "published"), "published")
    if params.text("checkpointType") is not None:
        params.choice("checkpointType", ("Trained", "Merge", "Standard"), "")
    for name in ("favorites", "hidden", "primaryFileOnly", "newCreators"):
        params.flag(name)
    mask = 31 if params.flag("nsfw") else 1
    params.ids("ids")
    params.ids("modelVersionIds")
    params.never(*_STRICT)
    if params.issues or limit is None:
        return Reply(status=400, payload={"error": params.zod_error})
    refused = too_deep(page, limit)
    if refused is not None:
        return refused
    if query and page is not None:
        return refuse(400, "Cannot use page param with query search. Use cursor-based pagination.")
    creator = params.text("username") or params.text("user")
    if creator and not _knows(call, creator):
        return Reply(status=404, payload={"message": "User not found"})
    tag = _tag_filter(call)
    found = [
        model for model in call.store.models.values() if _wanted(call, params, model, mask, tag)
    ]
    found.sort(key=_order(sort))
    try:
        piece = cut(
            call,
            found,
            limit=limit,
            page=page,
            parse=_offset if query else _keyset(found),
            name=_offset_name if query else _keyset_name,
        )
    except BadCursorError as error:
        return Reply(status=400, payload={"message": str(error)})
    items = [
        list_item(model, host=call.host_url, mask=mask, primary_only=params.flag("primaryFileOnly"))
        for model in piece.rows
    ]
    return Reply(payload={"items": items, "metadata": piece.metadata}, headers=cache)


def _wanted(call: Call, params: Params, model: Json, mask: int, tag: str | None) -> bool:
    """Whether the filters of the request let `model` through."""
    archived = model.get("mode") == "Archived"
    if not model_is_public(model) or model.get("poi") is True:
        return False
    if archived and not params.present("archived"):
        return False
    if not model_bits(model) & mask:
        return False
    query = (params.text("query") or "").casefold().split()
    if query:
        text = _text(model)
        if not all(word in text for word in query):
            return False
    versions = [
        version
        for version in rows(model, "modelVersions")
        if call.store.is_public(version.get("id", 0))
    ]
    bases = {version.get("baseModel") for version in versions}
    tests: tuple[tuple[Any, Callable[[Any], bool]], ...] = (
        (params.choices("types"), lambda asked: model.get("type") in asked),
        (params.choices("baseModels"), lambda asked: bool(bases & set(asked))),
        (
            params.text("username") or params.text("user"),
            lambda asked: _slug(creator_name(model)) == _slug(asked),
        ),
        ([] if query else params.ids("ids"), lambda asked: model["id"] in asked),
        (
            params.ids("modelVersionIds"),
            lambda asked: any(version.get("id") in asked for version in versions),
        ),
        (params.choices("fileFormats"), lambda asked: bool(_formats(versions) & set(asked))),
        (
            params.choices("allowCommercialUse"),
            lambda asked: bool(_uses(model.get("allowCommercialUse")) & set(asked)),
        ),
        (params.present("supportsGeneration"), lambda _: bool(model.get("supportsGeneration"))),
        (
            params.present("earlyAccess"),
            lambda _: any(early_access_end(version) is not None for version in versions),
        ),
        (tag, lambda asked: asked in _lower(tag_names(model))),
        (_DAYS.get(params.text("period") or ""), lambda days: _newest(model) >= _days_ago(days)),
    )
    return all(test(asked) for asked, test in tests if asked)


def _tag_filter(call: Call) -> str | None:
    """The tag to filter by; a tag that nobody uses filters nothing, as on CivitAI."""
    tag = (call.one("tag") or call.one("tagname") or "").casefold()
    known = any(tag in _lower(tag_names(model)) for model in call.store.models.values())
    return tag if tag and known else None


def creator_name(model: Json) -> str:
    """User name of the creator; empty when there is none."""
    return str(extra(model, "creator").get("username") or "")


def _knows(call: Call, name: str) -> bool:
    return any(_slug(creator_name(model)) == _slug(name) for model in call.store.models.values())


def _slug(name: str) -> str:
    return re.sub(r"[^0-9a-z_]", "", name.strip().replace(" ", "_", 1).casefold())


def _text(model: Json) -> str:
    """What a search looks through."""
    parts = [str(model.get("name") or ""), creator_name(model), *tag_names(model)]
    for version in rows(model, "modelVersions"):
        words = version.get("trainedWords")
        parts.append(str(version.get("name") or ""))
        parts += [word for word in (words if isinstance(words, list) else []) if word]
    return " ".join(map(str, parts)).casefold()


def _lower(names: list[str]) -> list[str]:
    return [name.casefold() for name in names]


def _formats(versions: list[Json]) -> set[Any]:
    return {
        extra(file, "metadata").get("format")
        for version in versions
        for file in rows(version, "files")
    }


def _uses(value: Any) -> set[str]:
    if isinstance(value, list):
        return {use for use in value if isinstance(use, str)}
    return set(re.findall(r"[A-Za-z]+", value)) if isinstance(value, str) else set()


def _newest(model: Json) -> str:
    stamps = [
        version.get("publishedAt") or version.get("createdAt")
        for version in rows(model, "modelVersions")
        if primary_file(version) is not None
    ]
    return max((stamp for stamp in stamps if isinstance(stamp, str)), default="")


def _days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def _order(sort: str) -> Callable[[Json], tuple[Any, ...]]:
    """Sort keys, all ascending; ties by id, so that pages never overlap."""
    if sort == "Oldest":
        return lambda model: (_newest(model), model["id"])
    if sort == "Newest":
        return lambda model: (_reversed(_newest(model)), model["id"])
    name = _STATS[sort]
    return lambda model: (-(_count(model, name)), model["id"])


def _count(model: Json, name: str) -> int:
    stats = extra(model, "stats")
    value = stats.get(name, stats.get("favoriteCount"))
    return int(value) if isinstance(value, int | float) else 0


def _reversed(stamp: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in stamp)


def _offset(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit():
        raise BadCursorError("Invalid cursor: unparseable numeric value")
    return min(int(cursor), 2**31)


def _offset_name(position: int, _row: Json) -> str:
    return str(position)


def _keyset(found: list[Json]) -> Callable[[str], int]:
    """Read `position|value|id`: go on behind that id, wherever it stands now."""

    def parse(cursor: str) -> int:
        parts = cursor.split("|")
        if len(parts) != 3:
            raise BadCursorError(
                f"Invalid cursor: expected 3 value(s) for this sort, received {len(parts)}"
            )
        try:
            position, _, last = map(int, parts)
        except ValueError:
            raise BadCursorError("Invalid cursor: unparseable numeric value") from None
        places = (index + 1 for index, model in enumerate(found) if model["id"] == last)
        return next(places, max(position, 0))

    return parse


def _keyset_name(position: int, row: Json) -> str:
    return f"{position}|{_count(row, 'downloadCount')}|{row['id']}"
