"""Creators, tags, enumerations, the key's owner, users and permissions."""

import math
from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlencode

from civit_mcp.models.base_models import BASE_MODELS
from civit_mcp.sandbox.call import PRIVATE_CACHE, PUBLIC_CACHE, USER_ID, Call, Reply, refuse
from civit_mcp.sandbox.params import Params
from civit_mcp.sandbox.rest_models import creator_name
from civit_mcp.sandbox.shapes import tag_names
from civit_mcp.sandbox.store import Json, extra, model_is_public
from civit_mcp.sandbox.vocabulary import BASE_MODEL_TYPES, FILE_TYPES, MODEL_TYPES

#: users that exist without models
_USER_NAME = "sandbox_user"


def creators(call: Call) -> Reply:
    """Answer GET creators: users whose name contains `query`."""
    public = [model for model in call.store.models.values() if model_is_public(model)]
    # who published nothing is listed too
    counts = dict.fromkeys(map(creator_name, call.store.models.values()), 0)
    counts.update(Counter(map(creator_name, public)))
    counts.pop("", None)
    images = {creator_name(model): extra(model, "creator").get("image") for model in public}
    query = (call.one("query") or "").casefold()
    found: list[Json] = []
    for name, count in sorted(counts.items()):
        if query in name.casefold():
            row = {"username": name, "link": _link(call, "username", name)}
            counted = {"modelCount": count} if count else {}
            image = {"image": images[name]} if images.get(name) else {}
            found.append(row | counted | image)
    return _counted(call, "creators", found, totals=True)


def tags(call: Call) -> Reply:
    """Answer GET tags: names that begin with `query`; the totals are not real."""
    query = (call.one("query") or "").casefold()
    names: Counter[str] = Counter()
    for model in call.store.models.values():
        names.update(tag_names(model))
    found = [
        {"name": name, "link": _link(call, "tag", name)}
        for name in sorted(names)
        if name.casefold().startswith(query)
    ]
    return _counted(call, "tags", found, totals=False)


def _counted(call: Call, name: str, found: Sequence[Json], *, totals: bool) -> Reply:
    params = Params(call.query)
    limit = params.number("limit", 20, least=1, most=200)
    page = max(params.number("page", 1) or 1, 1)
    if params.issues or limit is None:
        return Reply(status=400, payload=params.issues)
    if set(call.query) == {"limit"}:
        recorded = call.store.listing(name, str(limit))
        if recorded is not None:
            return Reply(payload=recorded, headers={"cache-control": PUBLIC_CACHE})
    pages = max(math.ceil(len(found) / limit), 1)
    searched = totals and "query" in call.query
    # a search stops counting one row past the page
    known = min(len(found), page * limit + 1) if searched else len(found)
    metadata: Json = {
        "totalItems": known if totals else 0,
        "currentPage": page,
        "pageSize": limit,
        "totalPages": max(math.ceil(known / limit), 1) if totals else 1,
    }
    if totals and page < pages:
        metadata["nextPage"] = _page_link(call, page + 1)
    if totals and page > 1:
        metadata["prevPage"] = _page_link(call, page - 1)
    if searched:
        metadata["hasMore"] = page < pages
    items = found[(page - 1) * limit : page * limit]
    return Reply(
        payload={"items": items, "metadata": metadata}, headers={"cache-control": PUBLIC_CACHE}
    )


def _page_link(call: Call, page: int) -> str:
    query = {**{key: values[0] for key, values in call.query.items()}, "page": page}
    return f"{call.host_url}{call.path}?{urlencode(query)}"


def _link(call: Call, key: str, name: str) -> str:
    return f"{call.host_url}/api/v1/models?{key}={name}"


def enums(call: Call) -> Reply:
    """Answer GET enums."""
    if call.store.enums is not None:
        return Reply(payload=call.store.enums)
    bases = list(dict.fromkeys(row.name for row in BASE_MODELS.values()))
    body = {
        "ModelType": MODEL_TYPES,
        "ModelFileType": FILE_TYPES,
        "ActiveBaseModel": bases[:48],
        "BaseModel": bases,
        "BaseModelType": BASE_MODEL_TYPES,
    }
    return Reply(payload=body)


def me(call: Call) -> Reply:
    """Answer GET me."""
    if not call.session:
        return refuse(401, "Unauthorized")
    member = "no-membership" not in call.scenarios
    body = {
        "id": USER_ID,
        "username": _USER_NAME,
        "tier": "bronze" if member else "free",
        "status": "active",
        "isMember": member,
        "subscriptions": ["civitai"] if member else [],
        "tokenScope": 0b100101,
        "buzzLimit": None,
        "subject": {"type": "apiKey", "id": 1},
    }
    return Reply(payload=body, headers={"cache-control": PRIVATE_CACHE})


def users(call: Call) -> Reply:
    """Answer GET users."""
    params = Params(call.query)
    wanted = params.ids("ids")
    if params.issues or "email" in call.query:
        return Reply(status=400, payload=params.zod_error)
    query = (call.one("query") or "").casefold()
    known = {USER_ID: _USER_NAME} | {
        int(model.get("userId") or 0): creator_name(model)
        for model in call.store.models.values()
        if creator_name(model) and model.get("userId")
    }
    found: list[Json] = [
        {"id": user_id, "username": name, "avatarNsfw": 1, "meta": None}
        for user_id, name in sorted(known.items())
        if (not wanted or user_id in wanted) and query in name.casefold()
    ]
    return Reply(
        payload={"items": found[: len(wanted) or 5]}, headers={"cache-control": PUBLIC_CACHE}
    )


def permissions(call: Call) -> Reply:
    """Answer GET permissions/check: who may generate with a version."""
    params = Params(call.query)
    wanted = params.ids("entityIds")
    wrong = (
        (call.one("entityType") or "ModelVersion") != "ModelVersion"
        or (call.one("permission") or "Generate") != "Generate"
        or "entityIds" not in call.query
        or params.issues
    )
    if wrong:
        return refuse(400, "Could not parse provided model versions array.")
    if not wanted:
        return Reply(payload=[])
    return Reply(payload={str(each): _may_generate(call, each) for each in wanted})


def _may_generate(call: Call, version_id: int) -> bool:
    hit = call.store.versions.get(version_id)
    parent = hit.model if hit is not None else None
    return parent is not None and parent.get("supportsGeneration") is True
