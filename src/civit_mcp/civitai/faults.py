"""Turns an unwelcome answer into one of our errors, with a sentence worth reading.

CivitAI words its errors in a dozen shapes, some of which are HTML. What a reader gets is
the message alone: cleaned, cut, with a validation list as `path: message`.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from civit_mcp.civitai.credentials import KEY_SETTING
from civit_mcp.civitai.devalue import undevalue
from civit_mcp.civitai.jsontext import NotJson, parse
from civit_mcp.civitai.redaction import Redactor
from civit_mcp.civitai.retry import is_page_cap
from civit_mcp.civitai.seam import Reply
from civit_mcp.errors import (
    BadReference,
    CivitError,
    Forbidden,
    Gone,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthorized,
    UpstreamChanged,
    UpstreamUnavailable,
)
from civit_mcp.text import one_line, quoted

_LONGEST: Final = 300
_MOST_ISSUES: Final = 5
#: an error body is small; the search for words in it stays cheap
_READ: Final = 64 * 1024
_UNPRINTABLE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+"
)
#: CivitAI's pretty printer: a mark and the message, then an arrow and the path
_PRETTY: Final = re.compile(r"✖\s*(?P<message>[^✖→]+)(?:→\s*at\s+(?P<path>[^✖\n]+))?")


def error_for(
    reply: Reply,
    *,
    about: str,
    host: str,
    key_name: str | None,
    redactor: Redactor,
    retry_after: float | None = None,
) -> CivitError:
    """Build the error for a reply whose status is not a success."""
    payload = _payload_of(reply)
    text = redactor.text(message_of(payload, ""))
    if payload is None and reply.status == 404:
        # CivitAI's own absences are JSON; a page means that the route is not there
        return UpstreamChanged(
            f"'{host}' has no such API address for {about}",
            "check CIVITAI_API_URL; if it is right, update civit-mcp",
        )
    if reply.status == 404 and text.startswith("No procedure found"):
        return UpstreamChanged(
            f"CivitAI no longer offers the procedure for {about}: {quoted(text)}"
        )
    if reply.status == 429 and is_page_cap(reply.body):
        return RateLimited(
            f"CivitAI gives no page this far down for {about}",
            "page with the cursor, or narrow the search",
        )
    return error_of_status(
        reply.status, text, about=about, host=host, key_name=key_name, retry_after=retry_after
    )


def error_of_status(
    status: int,
    text: str,
    *,
    about: str,
    host: str,
    key_name: str | None,
    retry_after: float | None = None,
) -> CivitError:
    """Map a status, from HTTP or from inside a tRPC envelope. `text` is clean already."""
    # a stranger's words: in quotes, so that nobody takes them for ours
    said = f": {quoted(text)}" if text else ""
    match status:
        case 404:
            return NotFound(f"CivitAI has no {about}{said}")
        case 400 | 422:
            return BadReference(f"CivitAI does not understand the question about {about}{said}")
        case 401 if key_name is not None:
            return Unauthorized(
                f"CivitAI does not accept the key for {about}{said}", _renew(key_name)
            )
        case 401:
            return Unauthorized(f"CivitAI wants a key for {about}{said}")
        case 403:
            return Forbidden(f"CivitAI refuses {about}{said}")
        case 410:
            return Gone(f"CivitAI no longer has {about}{said}")
        case 413:
            return TooLarge(f"CivitAI finds the question about {about} too long{said}")
        case 429:
            return _limited(about, said, retry_after)
        case 451:
            return Forbidden(
                f"CivitAI blocks this region for legal reasons, so it does not show {about}",
                "use civit-mcp from a region that CivitAI serves; the local catalog still works",
            )
        case _ if status >= 500 or status in (408, 499):
            return UpstreamUnavailable(
                f"'{host}' answered with status {status} when asked for {about}{said}"
            )
        case _:
            return UpstreamChanged(
                f"'{host}' answered with the unexpected status {status} when asked for"
                f" {about}{said}"
            )


def _renew(key_name: str) -> str:
    new = "make a new key at https://civitai.com/user/account"
    if key_name == KEY_SETTING:
        return f"{new}, set {key_name} to it and restart civit-mcp"
    return f"{new} and send it in {key_name}"


def _limited(about: str, said: str, retry_after: float | None) -> RateLimited:
    if retry_after is None:
        return RateLimited(f"CivitAI asks for fewer requests, not saying for how long{said}")
    seconds = max(1, round(retry_after))
    return RateLimited(
        f"CivitAI asks to wait {seconds} seconds before {about}{said}",
        f"wait {seconds} seconds and call again",
    )


def _payload_of(reply: Reply) -> Any:
    """Give the JSON of an error body; a short plain text as itself; None for pages and the like."""
    try:
        return parse(reply.body[:_READ])
    except NotJson:
        text = reply.body[:_READ].decode("utf-8", errors="replace").strip()
        looks_plain = text and not text.startswith("<") and len(text) <= _LONGEST
        return text if looks_plain and reply.status != 404 else None


def message_of(payload: Any, fallback: str = "") -> str:
    """Find the sentence in an error body of any known shape; one line, cut."""
    return _one_line(_search(payload, 0) or fallback)


def _search(payload: Any, depth: int) -> str:
    if depth > 6:
        return ""
    if isinstance(payload, str):
        return _from_text(payload, depth)
    if isinstance(payload, list):
        return _from_issues(payload)
    if isinstance(payload, Mapping):
        for key in ("error", "json", "issues", "message"):
            found = _search(payload.get(key), depth + 1)
            # a bare status word says less than the message beside it
            beside = payload.get("message")
            if key == "error" and found == "Unauthorized" and isinstance(beside, str):
                return _search(beside, depth + 1) or found
            if found:
                return found
    return ""


def _from_text(text: str, depth: int) -> str:
    """Read a message that may be, or end in, a validation list written as JSON text."""
    if depth and text.startswith(("[", '"')):
        try:
            root = parse(text)
        except NotJson:
            return text
        if isinstance(root, list) and all(isinstance(item, Mapping) for item in root):
            return _from_issues(root) or text
        try:
            return _search(undevalue(text), depth + 1)
        except NotJson:
            return text
    start = re.search(r"\[\s*\{", text)
    if start:
        try:
            issues = _from_issues(parse(text[start.start() :]))
        except NotJson:
            return text
        return f"{text[: start.start()].strip()} {issues}".strip() if issues else text
    if "✖" in text:
        return "; ".join(
            f"{m['path'].strip()}: {m['message'].strip()}" if m["path"] else m["message"].strip()
            for m in _PRETTY.finditer(text)
        )
    return text


def _from_issues(issues: Any) -> str:
    if not isinstance(issues, list):
        return ""
    lines = []
    for issue in issues[:_MOST_ISSUES]:
        if not isinstance(issue, Mapping) or not isinstance(issue.get("message"), str):
            continue
        path = issue.get("path")
        where = ".".join(str(step) for step in path) if isinstance(path, list) else ""
        lines.append(f"{where}: {issue['message']}" if where else issue["message"])
    if len(issues) > _MOST_ISSUES and lines:
        lines.append(f"and {len(issues) - _MOST_ISSUES} more")
    return "; ".join(lines)


def _one_line(text: str) -> str:
    return one_line(_UNPRINTABLE.sub(" ", text), _LONGEST)
