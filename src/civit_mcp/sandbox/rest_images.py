"""GET images."""

import re
from typing import Any, Final

from civit_mcp.models.base_models import BASE_MODELS
from civit_mcp.models.levels import LEGACY_WORDS
from civit_mcp.sandbox.call import PUBLIC_CACHE, Call, Reply, refuse
from civit_mcp.sandbox.paging import BadCursorError, cut, too_deep
from civit_mcp.sandbox.params import Params
from civit_mcp.sandbox.pictures import Picture, all_pictures, image_row, pictures_of
from civit_mcp.sandbox.vocabulary import IMAGE_SORTS, MEDIA_TYPES, PERIODS

#: `nsfw` words stand for everything up to them; `true` for R and up only
_MASKS: Final = {"none": 1, "soft": 3, "mature": 7, "x": 31, "blocked": 32}
_BASES: Final = frozenset(row.name for row in BASE_MODELS.values())


def images(call: Call) -> Reply:
    """Answer GET images."""
    params = Params(call.query)
    limit = params.number("limit", 100, most=200)
    page = params.number("page", least=1)
    asked = {
        name: params.number(name, least=1, most=2**31 - 1)
        for name in ("imageId", "postId", "modelId", "modelVersionId", "userId")
    }
    username = params.text("username")
    if username is not None and not re.fullmatch(r"[A-Za-z0-9_]*", username):
        params.refuse("username", "Invalid string: must match pattern /^[A-Za-z0-9_]*$/")
    params.choice("period", PERIODS, "AllTime")
    sort = params.choice("sort", IMAGE_SORTS, "Most Reactions")
    if sort == "Random":
        params.refuse("sort", "Random sort requires a collection")
    kinds = params.choices("type", MEDIA_TYPES, commas=True)
    bases = params.choices("baseModels", _BASES, commas=True)
    tags = params.ids("tags")
    mask = _mask(params)
    with_meta, with_tags = params.flag("withMeta"), params.flag("withTags")
    requiring = params.flag("requiringMeta")
    alone = asked["imageId"] is not None or _only_model(asked, username)
    wrapped = not params.flag("flatMeta") if "flatMeta" in call.query else alone
    if params.issues or limit is None:
        return Reply(status=400, payload={"error": params.zod_error})
    refused = too_deep(page, limit)
    if refused is not None:
        return refused
    found = [
        each
        for each in _candidates(call, asked)
        if each.bits & mask
        and (not username or str(each.username).casefold() == username.casefold())
        and (not kinds or each.type in kinds)
        and (not bases or each.base_model in bases)
        and (not tags or tag_ids(each) & set(tags))
        and (not requiring or (each.meta is not None and not each.hide_meta))
    ]
    found.sort(key=ORDERS[sort])
    try:
        piece = cut(
            call,
            found,
            limit=limit,
            page=page,
            parse=_position,
            name=_cursor,
            page_links=True,
        )
    except BadCursorError as error:
        return refuse(400, str(error), code="BAD_REQUEST")
    shown = [
        image_row(each, with_meta=with_meta, wrapped=wrapped, with_tags=with_tags)
        for each in piece.rows
    ]
    return Reply(
        payload={"items": shown, "metadata": piece.metadata},
        headers={"cache-control": PUBLIC_CACHE},
    )


def _candidates(call: Call, asked: dict[str, int | None]) -> list[Picture]:
    known = all_pictures(call.store)
    if asked["imageId"] is not None:
        wanted = asked["imageId"]
        if "wrong-image" in call.scenarios:
            wanted = next((each for each in known if each != wanted), wanted)
        return [known[wanted]] if wanted in known else []
    found = list(known.values())
    if asked["modelId"] is not None:
        found = list(pictures_of(call.store, known, asked["modelId"]))
    if asked["modelVersionId"] is not None:
        found = [each for each in found if asked["modelVersionId"] in each.version_ids]
    if asked["postId"] is not None:
        found = [each for each in found if each.post_id == asked["postId"]]
    if asked["userId"] is not None:
        found = [each for each in found if each.more.get("userId") == asked["userId"]]
    return found


def _mask(params: Params) -> int:
    level = params.number("browsingLevel", least=0, most=63)
    if level:
        return level
    word = (params.text("nsfw") or "").casefold()
    if word in _MASKS and word in LEGACY_WORDS:
        return _MASKS[word]
    return 60 if params.flag("nsfw") else 1


def _only_model(asked: dict[str, int | None], username: str | None) -> bool:
    others = [value for name, value in asked.items() if name != "modelId" and value is not None]
    return asked["modelId"] is not None and not others and not username


def tag_ids(picture: Picture) -> set[Any]:
    """Ids of the picture's tags."""
    return {tag.get("id") for tag in picture.more.get("tags", []) if isinstance(tag, dict)}


def _likes(picture: Picture) -> int:
    return -sum(v for k, v in picture.stats.items() if isinstance(v, int) and k != "commentCount")


#: sort keys by the word that asks for them
ORDERS: Final[dict[str, Any]] = {
    "Most Reactions": lambda each: (_likes(each), each.id),
    "Most Comments": lambda each: (-int(each.stats.get("commentCount") or 0), each.id),
    "Most Collected": lambda each: (_likes(each), each.id),
    "Newest": lambda each: -each.id,
    "Oldest": lambda each: each.id,
    "Random": lambda each: each.id,
}


def _position(cursor: str) -> int:
    head = cursor.partition("|")[0]
    if not head.isascii() or not head.isdigit():
        raise BadCursorError(f"Invalid cursor: {cursor}")
    return min(int(head), 2**31)


def _cursor(position: int, row: Picture) -> str:
    return f"{position}|{row.id}"
