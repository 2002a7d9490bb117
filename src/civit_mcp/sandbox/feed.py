"""The site's feed of images: filters, orders and cursors of `image.getInfinite`.

A cursor is the id of the next picture where the order is by age, and a position with an id
elsewhere; the first comes as a number, the second as text.
"""

from collections.abc import Callable, Collection
from typing import Any, Final

from civit_mcp.sandbox.call import Call
from civit_mcp.sandbox.generated import image_facts
from civit_mcp.sandbox.outcome import ProcedureError, Result, zod
from civit_mcp.sandbox.pictures import Picture, all_pictures, pictures_of
from civit_mcp.sandbox.rest_images import ORDERS, tag_ids
from civit_mcp.sandbox.store import Json, is_id
from civit_mcp.sandbox.vocabulary import IMAGE_SORTS, MEDIA_TYPES, PERIODS
from civit_mcp.sandbox.world import PRIVATE_COLLECTION

_BY_AGE: Final = ("Newest", "Oldest")
#: marks the cursor of a page that is empty before the feed goes on
_PAUSE: Final = "!"


def infinite(call: Call, given: Json) -> Result:
    """One page of the feed; callers without a session see the first level only."""
    limit = given.get("limit", 100)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= 200:
        raise zod(["limit"], "number from 0 to 200", "other")
    if "cursor" in given and not isinstance(given["cursor"], str | int | float):
        raise zod(["cursor"], "string|number|date", "null")
    sort = _choice(given, "sort", IMAGE_SORTS, "Most Reactions")
    _choice(given, "period", PERIODS, "AllTime")
    found = _found(call, given)
    if sort == "Random" and given.get("collectionId") is None:
        raise ProcedureError("BAD_REQUEST", "Random sort requires a collection")
    found.sort(key=ORDERS[sort])
    cursor = str(given.get("cursor") or "")
    if cursor.startswith(_PAUSE) and "empty-pages" in call.scenarios:
        return _page([], cursor.removeprefix(_PAUSE))
    start = _position(cursor, found)
    following: str | int | None = None
    if limit and start + limit < len(found):
        following = _cursor(sort, start + limit, found[start + limit])
        if "empty-pages" in call.scenarios:
            following = f"{_PAUSE}{following}"
    if "repeat-cursor" in call.scenarios and found and limit:
        following = cursor or _cursor(sort, 0, found[0])
    return _page(found[start : start + limit], following)


def _page(shown: list[Picture], following: str | int | None) -> Result:
    output = {"items": [_feed_item(each) for each in shown], "nextCursor": following}
    return Result(output=output, undefined=() if following is not None else ("nextCursor",))


def _choice(given: Json, name: str, allowed: Collection[str], default: str) -> str:
    word = given.get(name, default)
    if not isinstance(word, str) or word not in allowed:
        raise zod([name], "|".join(allowed), "other")
    return word


def _found(call: Call, given: Json) -> list[Picture]:
    level = given.get("browsingLevel", 31)
    if isinstance(level, bool) or not isinstance(level, int):
        raise zod(["browsingLevel"], "number", "other")
    known = all_pictures(call.store)
    # CivitAI caps what nobody signed in for at the first level
    mask = level if call.session else 1
    found = [each for each in known.values() if each.bits & mask]
    if given.get("collectionId") == PRIVATE_COLLECTION:
        return []
    if given.get("modelId") is not None:
        if not is_id(given["modelId"]):
            raise zod(["modelId"], "number", "other")
        made = {each.id for each in pictures_of(call.store, known, given["modelId"])}
        found = [each for each in found if each.id in made]
    for name, kind in _LISTS.items():
        listed = given.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(each, kind) for each in listed):
            raise zod([name], "array", "other")
    if any(word not in MEDIA_TYPES for word in given.get("types", ())):
        raise zod(["types"], "|".join(MEDIA_TYPES), "other")
    for name, picked in _FILTERS.items():
        wanted = given.get(name)
        if wanted is not None and wanted != []:
            found = [each for each in found if picked(each, wanted)]
    return found


_LISTS: Final[dict[str, type]] = {"types": str, "baseModels": str, "tags": int}
_FILTERS: Final[dict[str, Callable[[Picture, Any], bool]]] = {
    "collectionId": lambda each, wanted: wanted in each.more.get("collections", []),
    "postId": lambda each, wanted: bool(each.post_id == wanted),
    "modelVersionId": lambda each, wanted: wanted in each.version_ids,
    "userId": lambda each, wanted: bool(each.more.get("userId") == wanted),
    "username": lambda each, wanted: str(each.username) == wanted,
    "types": lambda each, wanted: each.type in wanted,
    "baseModels": lambda each, wanted: each.base_model in wanted,
    "tags": lambda each, wanted: any(tag in tag_ids(each) for tag in wanted),
}


def _position(cursor: str, found: list[Picture]) -> int:
    """Where the page begins. A picture that has left the feed is the end of it."""
    if not cursor:
        return 0
    head, bar, _ = cursor.partition("|")
    if not head.isascii() or not head.isdigit():
        raise ProcedureError("BAD_REQUEST", f"Invalid cursor: {cursor[:40]}")
    if bar:
        return min(int(head[:18]), len(found))
    at = (index for index, each in enumerate(found) if str(each.id) == head)
    return next(at, len(found))


def _cursor(sort: str, position: int, following: Picture) -> str | int:
    return following.id if sort in _BY_AGE else f"{position}|{following.id}"


def _feed_item(picture: Picture) -> Json:
    facts = image_facts(picture)
    keys = (
        "id", "name", "url", "nsfwLevel", "width", "height", "hash", "hasMeta",
        "hasPositivePrompt", "onSite", "remixOfId", "createdAt", "type", "metadata", "ingestion",
        "blockedFor", "needsReview", "postId", "index", "publishedAt", "availability", "minor",
        "poi", "user", "stats", "reactions", "cosmetic",
    )  # fmt: skip
    return {key: facts[key] for key in keys} | {
        "sortAt": picture.created_at,
        "modelVersionId": picture.version_ids[0] if picture.version_ids else None,
        "modelVersionIds": list(picture.version_ids),
        "modelVersionIdsManual": [],
        "baseModel": picture.base_model,
        "tagIds": [tag["id"] for tag in picture.more.get("tags", [])],
        "meta": None,
    }
