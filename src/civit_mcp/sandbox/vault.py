"""The vault of the key's owner: real while the stand-in runs, and empty when it starts."""

import math
from typing import Any, Final

from civit_mcp.sandbox.call import PRIVATE_CACHE, USER_ID, Call, Reply, refuse
from civit_mcp.sandbox.params import Params
from civit_mcp.sandbox.rest_models import creator_name
from civit_mcp.sandbox.shapes import primary_file, tag_names
from civit_mcp.sandbox.store import Found, Json, rows

_VAULT_ID: Final = 9400001
_STORAGE_KB: Final = 10485760
_DETAILS_KB: Final = 12
_IMAGE_KB: Final = 900
_SORTS: Final = ("Recently Added", "Recently Created", "Model Name", "Model Size")
#: lists that CivitAI's own reading breaks on when there is one value only
_LISTS: Final = ("types", "categories", "baseModels")


def vault(call: Call, name: str) -> Reply:
    """Answer the vault's addresses."""
    if not call.session:
        return refuse(401, "Unauthorized")
    if call.method != ("POST" if name == "toggle-version" else "GET"):
        return refuse(405, "Method not allowed")
    reply = _ANSWERS[name](call)
    reply.headers.setdefault("cache-control", PRIVATE_CACHE)
    return reply


def _member(call: Call) -> bool:
    return "no-membership" not in call.scenarios


def _whole(call: Call) -> Reply:
    if not _member(call):
        return Reply(payload={"vault": None})
    facts: Json = {
        "userId": USER_ID,
        "storageKb": _STORAGE_KB,
        "meta": {},
        "updatedAt": "2026-01-01T00:00:00.000Z",
        "usedStorageKb": sum(_size(item) for item in _items(call)),
    }
    return Reply(payload={"vault": facts})


def _listed(call: Call) -> Reply:
    params = Params(call.query)
    limit = params.number("limit", 60, least=1, most=200) or 60
    page = max(params.number("page", 1) or 1, 1)
    sort = params.choice("sort", _SORTS, _SORTS[0])
    if params.issues:
        return Reply(status=400, payload={"error": params.zod_error})
    if any(len(call.query.get(name, ())) == 1 for name in _LISTS):
        return Reply(status=500, payload={"message": "An unexpected error occurred"})
    query = (params.text("query") or "").casefold()
    wanted = {name: call.query[name] for name in _LISTS if call.query.get(name)}
    found = [
        item
        for item in _items(call)
        if query in f"{item['modelName']} {item['versionName']} {item['creatorName']}".casefold()
        and item["type"] in wanted.get("types", [item["type"]])
        and item["category"] in wanted.get("categories", [item["category"]])
        and item["baseModel"] in wanted.get("baseModels", [item["baseModel"]])
    ]
    found.sort(key=_ORDERS[sort])
    body: Json = {
        "items": found[(page - 1) * limit : page * limit],
        "totalItems": len(found),
        "currentPage": page,
        "pageSize": limit,
        "totalPages": math.ceil(len(found) / limit),
    }
    return Reply(payload=body)


_ORDERS: Final[dict[str, Any]] = {
    "Recently Added": lambda item: -item["id"],
    "Recently Created": lambda item: (item["createdAt"], item["id"]),
    "Model Name": lambda item: (str(item["modelName"]).casefold(), item["id"]),
    "Model Size": lambda item: (-item["modelSizeKb"], item["id"]),
}


def _checked(call: Call) -> Reply:
    params = Params(call.query)
    ids = params.ids("modelVersionIds")
    if params.issues or not ids:
        return refuse(400, "Could not parse provided model versions array.")
    held = {item["modelVersionId"]: item for item in _items(call)}
    return Reply(payload=[{"modelVersionId": i, "vaultItem": held.get(i)} for i in ids])


def _toggled(call: Call) -> Reply:
    params = Params(call.query)
    version_id = params.number("modelVersionId", least=1)
    if params.issues or version_id is None:
        return refuse(400, "Could not parse provided model version")
    if not _member(call):
        return refuse(400, "The vault is open to members only")
    if version_id in call.vault.held:
        del call.vault.held[version_id]
        return Reply(payload={"success": True})
    if version_id not in call.store.versions or not call.store.is_public(version_id):
        return refuse(404, "Model version not found")
    call.vault.added += 1
    call.vault.held[version_id] = item_id = 9500000 + call.vault.added
    return Reply(payload={"success": True, "vaultId": item_id})


_ANSWERS: Final = {
    "get": _whole,
    "all": _listed,
    "check-vault": _checked,
    "toggle-version": _toggled,
}


def _items(call: Call) -> list[Json]:
    if not _member(call):
        return []
    known = call.store.versions
    return [_item(known[each], item_id) for each, item_id in call.vault.held.items()]


def _item(found: Found, item_id: int) -> Json:
    version, model = found.version, found.model or {}
    file = primary_file(version) or {}
    stamp = f"2026-11-01T10:00:{(item_id - 9500000) % 60:02d}.000Z"
    return {
        "id": item_id,
        "vaultId": _VAULT_ID,
        "status": "Stored",
        "files": [
            {
                "id": each.get("id"),
                "sizeKB": each.get("sizeKB"),
                "url": f"vault/{version['id']}/{each.get('id')}",
                "displayName": each.get("name"),
            }
            for each in rows(version, "files")
        ],
        "modelVersionId": version["id"],
        "modelId": model.get("id") or version.get("modelId"),
        "modelName": model.get("name"),
        "versionName": version.get("name"),
        "creatorId": model.get("userId"),
        "creatorName": creator_name(model) or "",
        "type": model.get("type"),
        "baseModel": version.get("baseModel"),
        "category": next(iter(tag_names(model)), ""),
        "createdAt": version.get("publishedAt") or version.get("createdAt") or stamp,
        "addedAt": stamp,
        "refreshedAt": None,
        "modelSizeKb": file.get("sizeKB") or 0,
        "detailsSizeKb": _DETAILS_KB,
        "imagesSizeKb": _IMAGE_KB * len(rows(version, "images")),
        "notes": None,
        "meta": {"failures": 0},
        "coverImageUrl": None,
    }


def _size(item: Json) -> float:
    return float(sum(item[key] for key in ("modelSizeKb", "detailsSizeKb", "imagesSizeKb")))
