"""The download address: who may have which file, and the signed link to storage."""

import hashlib
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from civit_mcp.sandbox.call import Call, Reply, html, refuse
from civit_mcp.sandbox.params import Params, path_id
from civit_mcp.sandbox.shapes import MODEL_FILES, early_access_end, primary_file
from civit_mcp.sandbox.store import Found, Json, extra, rows
from civit_mcp.sandbox.vocabulary import FILE_FORMATS, FILE_TYPES

_BROWSERS: Final = ("mozilla", "chrome", "safari", "firefox", "opera", "edge")
_NO_STORE: Final = "no-store, max-age=0"
_LOGIN: Final = "The creator of this asset requires you to be logged in to download it"
_DISABLED: Final = "The creator of this asset has disabled downloads on this file"
_EARLY: Final = "This asset is in Early Access. You can use Buzz access it now!"


def download(call: Call, wanted: str) -> Reply:
    """Answer `/api/download/models/<id>`."""
    reply = _answer(call, wanted)
    reply.headers.setdefault("cache-control", _NO_STORE)
    return reply


def _answer(call: Call, wanted: str) -> Reply:
    if wanted in ("", "0"):
        return _plain(call, refuse(400, "Missing modelVersionId"))
    version_id = path_id(wanted)
    if isinstance(version_id, str):
        return _plain(call, refuse(400, version_id))
    params = Params(call.query)
    for name, allowed in (
        ("type", FILE_TYPES),
        ("format", FILE_FORMATS),
        ("size", ("full", "pruned")),
    ):
        if name in call.query:
            params.choice(name, allowed, "")
    file_id = params.number("fileId", least=1) if "fileId" in call.query else None
    if params.issues:
        issue = params.issues[0]
        return _plain(call, refuse(400, f"✖ {issue['message']}\n  → at {issue['path'][0]}"))
    found = call.store.versions.get(version_id)
    if found is None or not call.store.is_public(version_id):
        return _plain(call, refuse(404, "File not found"))
    return _gate(call, found) or _file(call, found, file_id)


def _gate(call: Call, found: Found) -> Reply | None:
    """Refuse when something stands before the version; None when nothing does."""
    version, facts = found.version, extra(found.version, "_version")
    if (found.model or {}).get("mode") == "Archived":
        return _plain(call, refuse(410, "Model archived, not available for download"))
    usage = facts.get("usageControl") or version.get("usageControl") or "Download"
    if usage != "Download":
        # programs and browsers get this one alike
        return refuse(401, "Unauthorized", message=_DISABLED)
    if facts.get("requireAuth") is True and not call.session:
        if _is_browser(call):
            return Reply(status=307, text="", headers={"location": f"{call.host_url}/login"})
        return refuse(401, "Unauthorized", message=_LOGIN)
    end = early_access_end(version)
    if end is not None:
        if _is_browser(call):
            where = f"{call.host_url}/model-versions/{version['id']}"
            return Reply(status=307, text="", headers={"location": where})
        deadline = {"deadline": end} if end else {}
        return refuse(403, "Early Access", **deadline, message=_EARLY)
    if version.get("availability") == "Private":
        return _plain(call, refuse(403, "You do not have access to download this file"))
    return None


def _file(call: Call, found: Found, file_id: int | None) -> Reply:
    file = _chosen(call, found, file_id)
    if file is None:
        return _plain(call, refuse(404, "File not found"))
    name = quote(str(file.get("name") or "file"), safe="")
    shown = quote(f'attachment; filename="{name}"', safe="")
    path = f"/storage/{found.version['id']}/{file.get('id') or 0}"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    query = f"X-Amz-Date={stamp}&X-Amz-Expires=86400&response-content-disposition={shown}"
    link = f"{call.storage_url}{path}?{query}&X-Amz-Signature={signature(path)}"
    return Reply(status=307, text="", headers={"location": link})


def _chosen(call: Call, found: Found, file_id: int | None) -> Json | None:
    files = rows(found.version, "files")
    if file_id is not None:
        return next((file for file in files if file.get("id") == file_id), None)
    asked = {key: call.one(key) for key in ("type", "format", "size", "fp", "quantType")}
    wanted = {key: value for key, value in asked.items() if value}
    if not wanted:
        return primary_file(found.version)
    fitting = [file for file in files if _fits(file, wanted)]
    return max(fitting, key=_score, default=None)


def _fits(file: Json, wanted: dict[str, str]) -> bool:
    metadata = extra(file, "metadata")
    return all(
        (file.get("type") if key == "type" else metadata.get(key)) == value
        for key, value in wanted.items()
    )


def _score(file: Json) -> float:
    """CivitAI's own preference among files that fit."""
    metadata = extra(file, "metadata")
    liked = {"format": ("SafeTensor", 100), "size": ("pruned", 10), "fp": ("fp16", 1)}
    score = 1000.0 if file.get("type") in MODEL_FILES else 0.0
    for key, (value, points) in liked.items():
        score += points if metadata.get(key) == value else -points
    return score


def signature(path: str) -> str:
    """The signature that storage expects for `path`."""
    return hashlib.sha256(f"sandbox storage {path}".encode()).hexdigest()


def _is_browser(call: Call) -> bool:
    agent = call.headers.get("user-agent", "").casefold()
    return any(name in agent for name in _BROWSERS)


def _plain(call: Call, reply: Reply) -> Reply:
    """Browsers get the error as plain text."""
    if not _is_browser(call):
        return reply
    return Reply(status=reply.status, text=str(reply.payload["error"]), media_type="text/plain")


def login(_call: Call) -> Reply:
    """The page where browsers end up: 200, and no model file."""
    return html(200, "Sign in")
