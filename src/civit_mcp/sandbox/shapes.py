"""How a model looks in a list, at its own address, and how its versions look elsewhere.

CivitAI shows the same version with different keys in different places; which key is absent
where is part of the contract and decided here alone.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from civit_mcp.models.base_models import look_up
from civit_mcp.sandbox.pictures import (
    bits_of,
    list_image,
    model_bits,
    model_image,
    version_image,
)
from civit_mcp.sandbox.store import Found, Json, extra, rows
from civit_mcp.sandbox.vocabulary import AIR_FILE_TYPES, AIR_TYPES

_INNER: Final = ("_model", "_version", "_file", "_image")
#: keys of a version that a list does not show
_NOT_IN_LISTS: Final = frozenset({
    *_INNER, "modelId", "createdAt", "updatedAt", "status", "usageControl", "air", "covered",
    "model", "trainingStatus", "trainingDetails", "uploadType", "licensingFee", "earlyAccessConfig",
    "earlyAccessTimeFrame", "earlyAccessEndsAt", "earlyAccessDeadline",
})  # fmt: skip
#: keys of a version that its own answer repeats when they were recorded
_OWN_FACTS: Final = (
    "status", "updatedAt", "publishedAt", "trainingStatus", "trainingDetails", "uploadType",
    "usageControl", "availability", "licensingFee", "paidAccess", "earlyAccessTimeFrame",
    "earlyAccessEndsAt", "earlyAccessConfig", "earlyAccessDeadline", "covered",
)  # fmt: skip
_SCANS: Final = (
    "pickleScanResult", "pickleScanMessage", "virusScanResult", "virusScanMessage", "scannedAt",
)  # fmt: skip
MODEL_FILES: Final = ("Model", "Pruned Model", "Diffusion Model", "UNet")


def list_item(model: Json, *, host: str, mask: int, primary_only: bool = False) -> Json:
    """An item of GET models; previews outside the levels of `mask` are left out."""
    versions = []
    for index, version in enumerate(rows(model, "modelVersions")):
        if not _shown(model, version) or primary_file(version) is None:
            continue
        versions.append(_list_version(model, version, index, host, mask, primary_only=primary_only))
    item: Json = {key: value for key, value in model.items() if key not in _INNER}
    item["nsfwLevel"] = model_bits(model)
    item["tags"] = tag_names(model)
    if item.get("mode") is None:
        item.pop("mode", None)
    item["modelVersions"] = versions
    return item


def _list_version(
    model: Json, version: Json, index: int, host: str, mask: int, *, primary_only: bool
) -> Json:
    files = rows(version, "files")
    if primary_only:
        files = [file for file in files if file is primary_file(version)]
    images = [] if model.get("mode") == "TakenDown" else rows(version, "images")
    shown: Json = {
        "index": index,
        "baseModelType": None,
        "publishedAt": version.get("createdAt"),
        "flags": 0,
        "availability": "Public",
        "nsfwLevel": model_bits(model),
        "description": None,
        "trainedWords": [],
        "vaeId": None,
        "supportsGeneration": bool(model.get("supportsGeneration")),
        "paidAccess": None,
        **{key: value for key, value in version.items() if key not in _NOT_IN_LISTS},
        **_active_deadline(version),
        "files": [_list_file(version, file, host) for file in files],
        "images": [list_image(image) for image in images if bits_of(image) & mask],
        "downloadUrl": f"{host}/api/download/models/{version['id']}",
    }
    return shown


def model_body(model: Json, *, host: str) -> Json:
    """The body of `models/<id>`. A recorded one only has its links moved to this server."""
    if "_model" not in model:
        return dict(_moved_links(model, host))
    archived = model.get("mode") == "Archived"
    body = list_item(model, host=host, mask=63)
    versions = []
    for index, version in enumerate(rows(model, "modelVersions")):
        if not _shown(model, version):
            continue
        full = _list_version(model, version, index, host, 63, primary_only=False)
        full["createdAt"] = version.get("createdAt")
        full["status"] = "Published"
        full["covered"] = bool(full["supportsGeneration"])
        full["images"] = [
            model_image(image)
            for image in rows(version, "images")
            if model.get("mode") != "TakenDown"
        ]
        for file in full["files"]:
            file.pop("overrideName", None)
            if isinstance(file.get("metadata"), dict):
                file["metadata"] = _without_empty(file["metadata"])
        if archived:
            full["files"] = []
            del full["downloadUrl"]
        versions.append(_without_empty(full))
    body["modelVersions"] = versions
    return body


def version_body(found: Found, *, host: str, by_hash: bool = False) -> Json:
    """The body of `model-versions/<id>`; hash look-ups add two keys."""
    version, model = found.version, found.model
    facts, mode = extra(version, "_version"), (model or {}).get("mode")
    images = [] if mode == "TakenDown" else rows(version, "images")[:10]
    files = [] if mode == "Archived" else rows(version, "files")
    primary = primary_file(version)
    body: Json = {
        "id": version["id"],
        "modelId": model["id"] if model else version.get("modelId"),
        "name": version.get("name"),
        "nsfwLevel": version.get("nsfwLevel", 1),
        "createdAt": version.get("createdAt"),
        "updatedAt": version.get("updatedAt") or version.get("createdAt"),
        "status": "Published",
        "publishedAt": version.get("publishedAt") or version.get("createdAt"),
        "trainedWords": version.get("trainedWords"),
        "trainingStatus": None,
        "trainingDetails": None,
        "baseModel": version.get("baseModel"),
        "baseModelType": version.get("baseModelType"),
        "description": version.get("description"),
        "uploadType": "Created",
        "usageControl": "Download",
        "licensingFee": 0 if by_hash else None,
        "paidAccess": version.get("paidAccess"),
        **{key: value for key, value in facts.items() if key != "requireAuth"},
        # what a recorded version says of itself goes before what versions usually say
        **{key: version[key] for key in _OWN_FACTS if key in version},
        "stats": {
            "downloadCount": extra(version, "stats").get("downloadCount"),
            "thumbsUpCount": extra(version, "stats").get("thumbsUpCount", 0),
        },
        "files": [
            _version_file(version, file, host, primary=file is primary, by_hash=by_hash)
            for file in files
        ],
        "images": [version_image(image) for image in images],
    }
    if body["modelId"] is not None:
        body["air"] = air_of(found)
    if model is not None:
        body["model"] = {
            "name": model.get("name"),
            "type": model.get("type"),
            "nsfw": bool(model.get("nsfw")),
            "poi": bool(model.get("poi")),
        }
        if mode:
            body["model"]["mode"] = mode
    if mode != "Archived" and primary is not None:
        body["downloadUrl"] = f"{host}/api/download/models/{version['id']}"
    return body


def recorded_version(body: Json, *, host: str) -> Json:
    """A recorded version, links moved to this server."""
    return dict(_moved_links(body, host))


def mini_body(found: Found, file: Json, *, host: str, exact: bool) -> Json:
    """The body of `model-versions/mini/<id>` about one file."""
    version, model = found.version, found.model or {}
    facts, primary = extra(version, "_version"), primary_file(version)
    suffix = f"?fileId={file.get('id')}" if exact else ""
    url = f"{host}/api/download/models/{version['id']}{suffix}"
    if "api." in host:
        url = url.replace("/api/", "/", 1)
    body: Json = {
        "air": air_of(found) + (f"+{file.get('id')}" if exact else ""),
        "versionName": version.get("name"),
        "modelName": model.get("name"),
        "userId": model.get("userId", 0),
        "baseModel": version.get("baseModel"),
        "availability": version.get("availability", "Public"),
        "publishedAt": version.get("publishedAt") or version.get("createdAt"),
        "size": file.get("sizeKB"),
        "fileType": file.get("type"),
        "fileName": file.get("name"),
        "hashes": extra(file, "hashes"),
        "downloadUrls": [url] if primary is not None else [],
        "canGenerate": bool(model.get("supportsGeneration")),
        "isFeatured": False,
        "requireAuth": facts.get("requireAuth") is True,
        "checkPermission": early_access_end(version) is not None,
        "additionalResourceCharge": False,
        "minor": bool(model.get("minor")),
        "sfwOnly": bool(model.get("sfwOnly")),
        "fees": [],
        "payoutEnabled": False,
    }
    wanted = extra(file, "metadata").get("format")
    if wanted:
        body["format"] = wanted
    end = early_access_end(version)
    if end:
        body["earlyAccessEndsAt"] = end
    return body


def air_of(found: Found) -> str:
    """The AIR that CivitAI would give the version."""
    version, model = found.version, found.model or {}
    file = primary_file(version) or {}
    kind = AIR_FILE_TYPES.get(str(file.get("type"))) or AIR_TYPES.get(
        str(model.get("type")), "unknown"
    )
    base = version.get("baseModel")
    ecosystem = look_up(base if isinstance(base, str) else "").ecosystem
    model_id = model.get("id") or version.get("modelId")
    return f"urn:air:{ecosystem}:{kind}:civitai:{model_id}@{version['id']}"


def primary_file(version: Json) -> Json | None:
    """The file that a bare download serves; None when no public file is flagged."""
    files = rows(version, "files")
    flagged = [file for file in files if file.get("primary") is True]
    for file in flagged:
        if file.get("type") in MODEL_FILES:
            return file
    return flagged[0] if flagged else None


def early_access_end(version: Json, now: datetime | None = None) -> str | None:
    """When early access ends: a time, `""` for never, None when there is none."""
    facts = {**version, **extra(version, "_version")}
    paid = extra(version, "paidAccess")
    if paid.get("permanent") is True:
        return ""
    ends = paid.get("endsAt") or facts.get("earlyAccessEndsAt") or facts.get("earlyAccessDeadline")
    moment = _moment(ends)
    days = facts.get("earlyAccessTimeFrame")
    start = _moment(version.get("publishedAt")) or _moment(version.get("createdAt"))
    if moment is None and start is not None and isinstance(days, int) and 0 < days < 10**5:
        moment = start + timedelta(days=days)
    if moment is None or moment <= (now or datetime.now(UTC)):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def tag_names(model: Json) -> list[str]:
    """Tags as texts; older answers have objects."""
    tags = model.get("tags")
    names = [
        tag.get("name") if isinstance(tag, dict) else tag
        for tag in (tags if isinstance(tags, list) else [])
    ]
    return [name for name in names if isinstance(name, str)]


def _shown(model: Json, version: Json) -> bool:
    facts = extra(version, "_version")
    if facts.get("status", "Published") != "Published" or "id" not in version:
        return False
    return not ("_model" in model and version.get("nsfwLevel") == 0)


def _active_deadline(version: Json) -> Json:
    end = early_access_end(version)
    return {"earlyAccessDeadline": end} if end else {}


def _list_file(version: Json, file: Json, host: str) -> Json:
    shown = {key: value for key, value in file.items() if key not in (*_INNER, "primary")}
    for key in ("overrideName", *_SCANS):
        shown.setdefault(key, None)
    shown["downloadUrl"] = _file_url(version, file, host)
    if file.get("primary") is True:
        shown["primary"] = True
    return shown


def _version_file(version: Json, file: Json, host: str, *, primary: bool, by_hash: bool) -> Json:
    metadata = file.get("metadata")
    kept = (
        {k: metadata[k] for k in ("format", "size", "fp") if k in metadata}
        if isinstance(metadata, dict)
        else metadata
    )
    shown: Json = {
        "id": file.get("id"),
        # an old spelling of the key stays the recorder's
        ("sizeKb" if "sizeKb" in file else "sizeKB"): file.get("sizeKb", file.get("sizeKB")),
        "name": file.get("name"),
        "type": file.get("type"),
        **{key: file.get(key) for key in _SCANS},
        "metadata": kept,
        "hashes": file.get("hashes"),
        "downloadUrl": _file_url(version, file, host),
        "primary": primary or file.get("primary") is True,
    }
    if by_hash:
        shown["overrideName"] = file.get("overrideName")
    return shown


def _file_url(version: Json, file: Json, host: str) -> str:
    url = f"{host}/api/download/models/{version['id']}"
    if file.get("primary") is True:
        return url
    metadata = extra(file, "metadata")
    wanted = {"type": file.get("type")}
    for key in ("format", "size", "fp", "quantType"):
        if not (key == "format" and file.get("type") == "Training Data"):
            wanted[key] = metadata.get(key)
    query = urlencode({k: v for k, v in wanted.items() if v}).replace("+", "%20")
    return f"{url}?{query}" if query else url


def _without_empty(value: Json) -> Json:
    return {key: item for key, item in value.items() if item is not None and item != []}


def _moved_links(value: Any, host: str) -> Any:
    """A copy whose download links lead to `host`; keys for inner use are gone."""
    if isinstance(value, list):
        return [_moved_links(item, host) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _moved(item, host)
        if key == "downloadUrl"
        else item
        if key == "meta"
        else _moved_links(item, host)
        for key, item in value.items()
        if key not in _INNER
    }


def _moved(url: Any, host: str) -> Any:
    if not isinstance(url, str):
        return url
    _, found, rest = url.partition("/api/download/")
    return f"{host}/api/download/{rest}" if found else url
