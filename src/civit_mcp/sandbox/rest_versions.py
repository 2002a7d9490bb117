"""One model, one version, and versions by the hash of a file."""

import json
from typing import Any

from civit_mcp.sandbox.call import (
    HASH_CACHE,
    PRIVATE_CACHE,
    PUBLIC_CACHE,
    Call,
    Reply,
    refuse,
)
from civit_mcp.sandbox.params import path_id
from civit_mcp.sandbox.shapes import (
    mini_body,
    model_body,
    primary_file,
    recorded_version,
    version_body,
)
from civit_mcp.sandbox.store import Json, extra, model_is_public, rows

_INT4 = 2**31 - 1


def model(call: Call, wanted: str) -> Reply:
    """Answer `models/<id>`; links are built from the configured address, not from Host."""
    cache = {"cache-control": PUBLIC_CACHE}
    model_id = path_id(wanted)
    if isinstance(model_id, str):
        return refuse(400, model_id)
    found = call.store.models.get(model_id)
    if found is None or not model_is_public(found):
        refused = refuse(404, f"No model with id {model_id}")
        return Reply(status=404, payload=refused.payload, headers=cache)
    return Reply(payload=model_body(found, host=call.base_url), headers=cache)


def version(call: Call, wanted: str) -> Reply:
    """Answer `model-versions/<id>`."""
    cache = {"cache-control": PRIVATE_CACHE if call.session else PUBLIC_CACHE}
    if wanted in ("", "0"):
        return refuse(400, "Missing modelVersionId")
    version_id = path_id(wanted, most=2**63)
    if isinstance(version_id, str):
        return refuse(400, version_id)
    if version_id > _INT4:
        return refuse(500, "Failed to fetch model version details")
    recorded = call.store.recorded_versions.get(version_id)
    if recorded is not None:
        return Reply(payload=recorded_version(recorded, host=call.host_url), headers=cache)
    found = call.store.versions.get(version_id)
    if found is None or not call.store.is_public(version_id):
        return Reply(status=404, payload={"error": "Model not found"}, headers=cache)
    if extra(found.version, "_version").get("orphan"):
        return refuse(500, "Failed to fetch model version details")
    return Reply(payload=version_body(found, host=call.host_url), headers=cache)


def mini(call: Call, wanted: str) -> Reply:
    """Answer `model-versions/mini/<id>`."""
    if wanted in ("", "0"):
        return refuse(400, "Missing modelVersionId")
    version_id = path_id(wanted, most=2**63)
    if isinstance(version_id, str):
        return refuse(400, version_id)
    if "epoch" in call.query:
        return refuse(400, "✖ Invalid input: expected number, received string\n  → at epoch")
    asked = call.one("modelFileId")
    file_id = path_id(asked, "modelFileId") if asked is not None else None
    if isinstance(file_id, str):
        return refuse(400, file_id)
    found = call.store.versions.get(version_id)
    if found is None or not call.store.is_public(version_id):
        return refuse(404, "Model not found")
    files = rows(found.version, "files")
    if file_id is not None:
        file = next((each for each in files if each.get("id") == file_id), None)
        if file is None:
            return refuse(404, f"Model file {file_id} not found in version {version_id}")
    else:
        file = primary_file(found.version)
        if file is None:
            return refuse(404, "Missing model file")
    body = mini_body(found, file, host=call.host_url, exact=file_id is not None)
    cache = PRIVATE_CACHE if call.session else PUBLIC_CACHE
    return Reply(payload=body, headers={"cache-control": cache})


def by_hash(call: Call, wanted: str) -> Reply:
    """Answer `by-hash/<hash>`: the earliest published version that owns the hash."""
    cache = {"cache-control": HASH_CACHE}
    if not wanted.strip():
        return refuse(400, "Missing hash")
    owners = call.store.owners.get(wanted.strip().upper())
    if not owners:
        return Reply(status=404, payload={"error": "Model not found"}, headers=cache)
    return Reply(payload=_hash_body(call, owners[0], call.host_url), headers=cache)


def by_hash_many(call: Call) -> Reply:
    """Answer POST `by-hash`: misses drop out, hits come in no order, links are broken."""
    wanted = _hashes(call, 100)
    if isinstance(wanted, Reply):
        return wanted
    found: list[Json | None] = []
    for text in sorted(wanted, reverse=True):
        for owner in call.store.owners.get(text.upper(), [])[:1]:
            usable = primary_file(call.store.versions[owner].version) is not None
            # CivitAI forgets its own host name in this answer
            found.append(_hash_body(call, owner, "https://undefined") if usable else None)
    return Reply(payload=found, headers={"cache-control": PUBLIC_CACHE})


def by_hash_ids(call: Call) -> Reply:
    """Answer POST `by-hash/ids`."""
    wanted = _hashes(call, 10000)
    if isinstance(wanted, Reply):
        return wanted
    found = []
    for text in sorted(wanted, reverse=True):
        for owner in call.store.owners.get(text.upper(), []):
            hit = call.store.versions[owner]
            parent = hit.model["id"] if hit.model else hit.version.get("modelId")
            found.append({"modelVersionId": owner, "modelId": parent, "hash": text.upper()})
    return Reply(payload=found, headers={"cache-control": PUBLIC_CACHE})


def _hash_body(call: Call, owner: int, host: str) -> Json:
    recorded = call.store.recorded_versions.get(owner)
    if recorded is not None:
        return recorded_version(recorded, host=host)
    return version_body(call.store.versions[owner], host=host, by_hash=True)


def _hashes(call: Call, most: int) -> list[str] | Reply:
    issues: list[Json] = []
    value: Any = None
    try:
        value = json.loads(call.body or b"null")
    except (ValueError, RecursionError):
        issues.append({"code": "invalid_type", "path": [], "message": "Invalid input"})
    if not isinstance(value, list):
        issues.append({"code": "invalid_type", "path": [], "message": "expected array"})
        value = []
    for index, text in enumerate(value):
        if not isinstance(text, str) or len(text) != 64:
            issues.append({"code": "custom", "path": [index], "message": "Invalid hash"})
    if len(value) > most:
        issues.append({"code": "too_big", "path": [], "message": "Too many hashes"})
    if issues:
        text = json.dumps(issues[:20])
        return refuse(400, f"Request must include an array of SHA256 Hashes. {text}")
    return [text for text in value if isinstance(text, str)]
