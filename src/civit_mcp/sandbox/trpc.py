"""The tRPC addresses: envelopes, batches, the origin gate and the procedures."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from civit_mcp.sandbox import devalue
from civit_mcp.sandbox.call import PRIVATE_CACHE, TRPC_CACHE, Call, Reply
from civit_mcp.sandbox.generated import generation_data, image_facts
from civit_mcp.sandbox.pictures import Picture, all_pictures
from civit_mcp.sandbox.shapes import early_access_end, version_body
from civit_mcp.sandbox.store import Json, extra, is_id

_CODES: Final = {
    "PARSE_ERROR": (400, -32700),
    "BAD_REQUEST": (400, -32600),
    "UNAUTHORIZED": (401, -32001),
    "NOT_FOUND": (404, -32004),
    "METHOD_NOT_SUPPORTED": (405, -32005),
    "UNSUPPORTED_MEDIA_TYPE": (415, -32015),
}
_GATE: Final = "Please use the public API instead: https://developer.civitai.com/"
_SITES: Final = ("civitai.com", "civitai.red", "civitai.green", "civitai.blue")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_DATES: Final = ("createdAt", "publishedAt", "scannedAt")


class ProcedureError(Exception):
    """What a procedure refuses with."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Output of a procedure; `undefined` names keys that JavaScript would leave out."""

    output: Any
    undefined: tuple[str, ...] = ()
    #: a recorded envelope that replaces the made one
    envelope: Json | None = None


def trpc(call: Call, names: str) -> Reply:
    """Answer `/api/trpc/<name>[,<name>]`."""
    batch = call.one("batch") is not None
    asked = names.split(",") if batch else [names]
    members = [_member(call, name, index, batch=batch) for index, name in enumerate(asked)]
    statuses = {status for status, _ in members}
    status = statuses.pop() if len(statuses) == 1 else 207
    body = [part for _, part in members] if batch else members[0][1]
    cached = status == 200 and not call.session
    return Reply(
        status=status,
        payload=body,
        headers={"cache-control": TRPC_CACHE if cached else PRIVATE_CACHE},
    )


def _member(call: Call, name: str, index: int, *, batch: bool) -> tuple[int, Json]:
    try:
        _enter(call)
        result = _run(call, name, _input(call, str(index) if batch else None))
    except ProcedureError as error:
        status, code = _CODES[error.code]
        data = {"code": error.code, "httpStatus": status, "path": name}
        return status, _refused(call, {"message": error.message, "code": code, "data": data})
    return 200, _answered(call, result)


def _enter(call: Call) -> None:
    if not _may_enter(call):
        raise ProcedureError("UNAUTHORIZED", _GATE)


def _may_enter(call: Call) -> bool:
    """The origin gate: a page of the site, or a valid key in the header."""
    if "origin-gate-off" in call.scenarios or call.bearer:
        return True
    for name in ("origin", "referer"):
        value = call.headers.get(name)
        if value:
            try:
                host = (urlsplit(value).hostname or "").casefold()
            except ValueError:
                return False
            site = any(host == each or host.endswith(f".{each}") for each in _SITES)
            return site or host in _LOOPBACK
    return False


def _input(call: Call, member: str | None) -> Any:
    """The procedure's input, out of its superjson wrapper."""
    if call.method == "POST":
        if "application/json" not in call.headers.get("content-type", ""):
            raise ProcedureError("UNSUPPORTED_MEDIA_TYPE", "Unsupported content-type")
        text = call.body.decode("utf-8", errors="replace")
    elif call.method in ("GET", "HEAD"):
        text = call.one("input") or ""
    else:
        raise ProcedureError("METHOD_NOT_SUPPORTED", f"Unsupported {call.method}-request")
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProcedureError("PARSE_ERROR", f"Unexpected token in JSON: {error}") from None
    if member is not None:
        value = value.get(member) if isinstance(value, dict) else None
    if isinstance(value, str):
        raise ProcedureError("PARSE_ERROR", "Unexpected text where an object was expected")
    if not isinstance(value, dict) or not isinstance(value.get("json"), dict):
        return None
    found = dict(value["json"])
    values = extra(extra(value, "meta"), "values")
    for key, kind in values.items():
        if kind == ["undefined"]:
            found.pop(key, None)
    return found


def _run(call: Call, name: str, given: Any) -> Result:
    procedure = _PROCEDURES.get(name)
    wanted = given.get("id") if isinstance(given, dict) else None
    recorded = call.store.envelope(name, wanted) if is_id(wanted) else None
    if recorded is not None:
        return Result(output=None, envelope=recorded)
    if procedure is None:
        raise ProcedureError("NOT_FOUND", f'No procedure found on path "{name}"')
    if given is None:
        raise _zod([], "object", "undefined")
    return procedure(call, given)


def _zod(path: list[str], expected: str, received: str) -> ProcedureError:
    text = f"Invalid input: expected {expected}, received {received}"
    issue = {"expected": expected, "code": "invalid_type", "path": path, "message": text}
    return ProcedureError("BAD_REQUEST", json.dumps([issue], indent=2))


def _id(given: Json, name: str = "id") -> int:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        kinds = {str: "string", bool: "boolean", type(None): "undefined", list: "array"}
        raise _zod([name], "number", kinds.get(type(value), "object"))
    if not math.isfinite(value):
        raise _zod([name], "number", "NaN")
    return int(value) if value == int(value) else 0


def _picture(call: Call, given: Json, message: str) -> Picture:
    wanted = _id(given)
    known = all_pictures(call.store)
    if wanted not in known:
        raise ProcedureError("NOT_FOUND", message.format(wanted))
    return known[wanted]


def _image_get(call: Call, given: Json) -> Result:
    return Result(output=image_facts(_picture(call, given, "No image with id {}")))


def _generation_data(call: Call, given: Json) -> Result:
    picture = _picture(call, given, "Could not find entity")
    output, undefined = generation_data(call.store, picture)
    return Result(output=output, undefined=tuple(undefined))


def _version(call: Call, given: Json) -> Result:
    wanted = _id(given)
    hit = call.store.versions.get(wanted)
    if hit is None:
        raise ProcedureError("NOT_FOUND", f"No version with id {wanted}")
    version, model = hit.version, hit.model or {}
    facts, body = extra(version, "_version"), version_body(hit, host=call.base_url)
    keys = (
        "id", "name", "description", "baseModel", "baseModelType", "createdAt", "trainingDetails",
        "trainingStatus", "uploadType", "usageControl", "licensingFee", "paidAccess",
    )  # fmt: skip
    output: Json = {key: body[key] for key in keys} | {
        "trainedWords": version.get("trainedWords") or [],
        "epochs": None,
        "steps": None,
        "clipSkip": None,
        "status": facts.get("status", "Published"),
        "availability": version.get("availability", "Public"),
        "flags": 0,
        "meta": {},
        "model": {
            "id": model.get("id"),
            "name": model.get("name"),
            "type": model.get("type"),
            "status": extra(model, "_model").get("status", "Published"),
            "publishedAt": body["publishedAt"],
            "nsfw": bool(model.get("nsfw")),
            "uploadType": "Created",
            "user": {"id": model.get("userId", 0)},
            "availability": model.get("availability", "Public"),
        },
        "files": body["files"] if given.get("withFiles") is True else None,
        "posts": [],
        "requireAuth": facts.get("requireAuth") is True,
        "settings": facts.get("settings"),
        "recommendedResources": [],
        "monetization": None,
        "generationCoverage": {"covered": bool(model.get("supportsGeneration"))},
        "canGenerate": bool(model.get("supportsGeneration")),
        "wildcardSetId": None,
        "donationGoal": None,
        "linkedComponents": [],
    }
    if early_access_end(version) is not None:
        ends = early_access_end(version) or None
        output["paidAccess"] = {"endsAt": ends, "timeframeDays": None, "terms": None}
    return Result(output=output, undefined=() if output["files"] is not None else ("files",))


def _votable_tags(call: Call, given: Json) -> Result:
    if given.get("type") not in ("image", "model"):
        raise _zod(["type"], "'image'|'model'", "unknown")
    wanted = _id(given)
    picture = all_pictures(call.store).get(wanted) if given["type"] == "image" else None
    tags = picture.more.get("tags", []) if picture is not None else []
    vote = {"upVotes": 0, "downVotes": 0, "automated": True, "needsReview": False}
    output = [
        {"score": 10, **vote, "concrete": True, "lastUpvote": None, "type": "Label"}
        | {"nsfwLevel": 1, **tag}
        for tag in tags
    ]
    return Result(output=output)


def _tag(call: Call, given: Json) -> Result:
    wanted = _id(given)
    for picture in all_pictures(call.store).values():
        for tag in picture.more.get("tags", []):
            if tag.get("id") == wanted:
                return Result(output={"id": wanted, "name": tag["name"], "type": "UserGenerated"})
    return Result(output=None)


def _post(call: Call, given: Json) -> Result:
    wanted = _id(given)
    inside = [each for each in all_pictures(call.store).values() if each.post_id == wanted]
    if not inside:
        raise ProcedureError("NOT_FOUND", "Could not find entity")
    first = inside[0]
    level = 0
    for each in inside:
        level |= each.bits
    version_id = first.version_ids[0] if first.version_ids else None
    output = {
        "id": wanted,
        "nsfw": level >= 4,
        "nsfwLevel": level,
        "title": first.more.get("postTitle"),
        "detail": None,
        "modelVersionId": version_id,
        "modelVersion": {"id": version_id} if version_id else None,
        "user": image_facts(first)["user"],
        "publishedAt": first.created_at,
        "availability": "Public",
        "tags": [{**tag, "isCategory": False} for tag in first.more.get("tags", [])],
        "collectionId": None,
        "wasPublished": True,
        "unpublishedAt": None,
        "unpublishedBy": None,
        "parentModelId": None,
    }
    return Result(output=output)


def _infinite(call: Call, given: Json) -> Result:
    """Feed of images; callers without a session see the first level only."""
    limit = given.get("limit", 100)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= 200:
        raise _zod(["limit"], "number from 0 to 200", "other")
    if "cursor" in given and given["cursor"] is None:
        raise _zod(["cursor"], "string|number|date", "null")
    level = given.get("browsingLevel", 31)
    mask = level if isinstance(level, int) and call.session else 1
    found = [each for each in all_pictures(call.store).values() if each.bits & mask]
    if given.get("collectionId") is not None:
        members = given["collectionId"]
        found = [each for each in found if members in each.more.get("collections", [])]
    for name, picked in _FEED_FILTERS.items():
        if given.get(name) is not None:
            found = [each for each in found if picked(each, given[name])]
    cursor = str(given.get("cursor", ""))
    if cursor.isdigit():
        found = [each for each in found if each.id >= int(cursor)]
    output: Json = {"items": [_feed_item(each) for each in found[:limit]]}
    undefined: tuple[str, ...] = ()
    if limit and len(found) > limit:
        output["nextCursor"] = found[limit].id
    else:
        output["nextCursor"], undefined = None, ("nextCursor",)
    return Result(output=output, undefined=undefined)


_FEED_FILTERS: Final[dict[str, Callable[[Picture, Any], bool]]] = {
    "postId": lambda each, wanted: each.post_id == wanted,
    "modelVersionId": lambda each, wanted: wanted in each.version_ids,
    "username": lambda each, wanted: str(each.username) == wanted,
}


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


_PROCEDURES: Final[dict[str, Callable[[Call, Json], Result]]] = {
    "image.get": _image_get,
    "image.getGenerationData": _generation_data,
    "image.getInfinite": _infinite,
    "modelVersion.getById": _version,
    "tag.getVotableTags": _votable_tags,
    "tag.getById": _tag,
    "post.get": _post,
}


def _answered(call: Call, result: Result) -> Json:
    envelope = result.envelope
    if envelope is None:
        data: Json = {"json": result.output}
        if result.undefined:
            data["meta"] = {"values": {name: ["undefined"] for name in result.undefined}}
        envelope = {"result": {"data": data}}
    if not {"devalue", "bare-trpc"} & call.scenarios:
        return envelope
    data = extra(extra(envelope, "result"), "data")
    output = data.get("json", data)
    if "devalue" not in call.scenarios:
        return {"result": {"data": output}}
    gone = tuple(extra(extra(data, "meta"), "values")) or result.undefined
    return {"result": {"data": devalue.dumps(_for_devalue(output, gone))}}


def _refused(call: Call, error: Json) -> Json:
    if "devalue" in call.scenarios:
        return {"error": devalue.dumps(error)}
    return {"error": error if "bare-trpc" in call.scenarios else {"json": error}}


def _for_devalue(value: Any, gone: tuple[str, ...] = ()) -> Any:
    """Put back what JSON lost: undefined and dates."""
    if isinstance(value, list):
        return [_for_devalue(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, item in value.items():
        if key in gone and item is None:
            made[key] = devalue.UNDEFINED
        elif key in _DATES and isinstance(item, str):
            made[key] = _date(item)
        else:
            made[key] = item if key == "meta" else _for_devalue(item)
    return made


def _date(text: str) -> Any:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text
