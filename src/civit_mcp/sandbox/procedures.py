"""The tRPC procedures, one function each."""

from collections.abc import Callable
from typing import Final

from civit_mcp.sandbox.call import Call
from civit_mcp.sandbox.feed import infinite
from civit_mcp.sandbox.generated import generation_data, image_facts
from civit_mcp.sandbox.outcome import ProcedureError, Result, read_id, zod
from civit_mcp.sandbox.pictures import Picture, all_pictures
from civit_mcp.sandbox.shapes import air_of, early_access_end, version_body
from civit_mcp.sandbox.store import Found, Json, extra, is_id

_MOST_RESOURCES: Final = 100
_STRENGTHS: Final = {"strength": 1, "minStrength": -1, "maxStrength": 2}


def _picture(call: Call, given: Json, message: str) -> Picture:
    wanted = read_id(given)
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
    wanted = read_id(given)
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
        raise zod(["type"], "'image'|'model'", "unknown")
    wanted = read_id(given)
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
    wanted = read_id(given)
    for picture in all_pictures(call.store).values():
        for tag in picture.more.get("tags", []):
            if tag.get("id") == wanted:
                return Result(output={"id": wanted, "name": tag["name"], "type": "UserGenerated"})
    return Result(output=None)


def _post(call: Call, given: Json) -> Result:
    wanted = read_id(given)
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


def _resource_data(call: Call, given: Json) -> Result:
    """Facts for the generator; versions that are not public are left out."""
    ids = given.get("ids")
    if not isinstance(ids, list) or not all(is_id(each) for each in ids):
        raise zod(["ids"], "array of numbers", "other")
    if not 1 <= len(ids) <= _MOST_RESOURCES:
        raise zod(["ids"], f"1 to {_MOST_RESOURCES} items", str(len(ids)))
    known = call.store.versions
    public = [each for each in sorted(set(ids)) if each in known and call.store.is_public(each)]
    return Result(output=[_resource_row(known[each]) for each in public])


def _resource_row(found: Found) -> Json:
    version, model = found.version, found.model or {}
    settings = extra(extra(version, "_version"), "settings")
    end, covered = early_access_end(version), bool(model.get("supportsGeneration"))
    row: Json = {
        "id": version["id"],
        "name": version.get("name"),
        "trainedWords": version.get("trainedWords") or [],
        "baseModel": version.get("baseModel"),
        "canGenerate": covered,
        "hasAccess": end is None,
        "air": air_of(found),
        "availability": version.get("availability", "Public"),
        "additionalResourceCost": False,
        **{key: settings.get(key, default) for key, default in _STRENGTHS.items()},
        "model": {
            "id": model.get("id"),
            "name": model.get("name"),
            "type": model.get("type"),
            "nsfw": bool(model.get("nsfw")),
            "poi": bool(model.get("poi")),
            "minor": bool(model.get("minor")),
            "sfwOnly": bool(model.get("sfwOnly")),
            "userId": model.get("userId", 0),
        },
    }
    if "clipSkip" in settings:
        row["clipSkip"] = settings["clipSkip"]
    if end is not None:
        row["paidAccess"] = {"permanent": end == "", "endsAt": end or None}
    return row


PROCEDURES: Final[dict[str, Callable[[Call, Json], Result]]] = {
    "image.get": _image_get,
    "image.getGenerationData": _generation_data,
    "image.getInfinite": infinite,
    "modelVersion.getById": _version,
    "tag.getVotableTags": _votable_tags,
    "tag.getById": _tag,
    "post.get": _post,
    "generation.getResourceDataByIds": _resource_data,
}
