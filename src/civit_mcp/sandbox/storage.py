"""The storage host: signed links, ranges, and bytes that are the same every time.

A file of up to 64 MiB has the size that CivitAI's facts claim; of larger ones the first
MiB is served, so that nobody moves gigabytes to test something.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from civit_mcp.sandbox.downloads import signature
from civit_mcp.sandbox.store import Store, rows

_HONEST: Final = 64 * 2**20
_CUT: Final = 2**20
_PATH: Final = re.compile(r"/storage/(\d{1,10})/(\d{1,12})")
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_NAMED: Final = re.compile(r'filename="([^"]*)"')
_MAGIC: Final = {
    "gguf": b"GGUF\x03\x00\x00\x00",
    "zip": b"PK\x03\x04",
    "ckpt": b"PK\x03\x04",
    "pt": b"PK\x03\x04",
    "bin": b"PK\x03\x04",
    "pth": b"PK\x03\x04",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Answer of the storage host."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


@lru_cache(maxsize=2)
def content(file_id: int, size: int, name: str) -> bytes:
    """The bytes of a file: a head that fits the name's ending, then repeated noise."""
    ending = name.rpartition(".")[2].casefold()
    noise = b"".join(sha256(f"{file_id} {part}".encode()).digest() for part in range(2048))
    head = _MAGIC.get(ending, b"")
    if ending == "safetensors":
        head = _safetensors_head(size)
    repeats = max(size - len(head), 0) // len(noise) + 1
    return (head + noise * repeats)[:size]


def _safetensors_head(size: int) -> bytes:
    """Length and header of a file with one tensor that fills the rest."""
    for length in range(64, 200):
        rest = size - 8 - length
        tensor = {"dtype": "U8", "shape": [rest], "data_offsets": [0, rest]}
        text = json.dumps({"weight": tensor}, separators=(",", ":")).encode()
        if len(text) <= length and rest >= 0:
            return length.to_bytes(8, "little") + text.ljust(length)
    return b""


def served_size(size_kb: Any) -> int:
    """How many bytes storage has of a file that claims `size_kb` KiB."""
    if isinstance(size_kb, bool) or not isinstance(size_kb, int | float) or size_kb < 0:
        return 0
    claimed = round(size_kb * 1024)
    return claimed if claimed <= _HONEST else _CUT


def serve(
    store: Store,
    path: str,
    query: str,
    headers: dict[str, str],
    scenarios: frozenset[str] = frozenset(),
) -> Stored:
    """Answer a request to storage."""
    if not path.startswith("/storage/"):
        return Stored(status=200, headers={"content-type": "text/plain"}, body=b"elsewhere\n")
    asked = parse_qs(query)
    if "authorization" in headers or "token" in asked:
        return _refused(400, "InvalidRequest", "Only one auth mechanism allowed")
    if asked.get("X-Amz-Signature") != [signature(path)]:
        return _refused(403, "SignatureDoesNotMatch", "The link was not signed, or not for this")
    matched = _PATH.fullmatch(path)
    found = store.versions.get(int(matched[1])) if matched else None
    files = rows(found.version, "files") if found else []
    file = next((f for f in files if matched and int(f.get("id") or 0) == int(matched[2])), None)
    if file is None:
        return _refused(404, "NoSuchKey", "The specified key does not exist")
    size = served_size(file.get("sizeKB"))
    body = content(int(file.get("id") or 0), size, str(file.get("name") or ""))
    shown = asked.get("response-content-disposition", ["attachment"])[0]
    # a header is Latin-1; the name is percent-encoded in it anyway
    safe = shown.encode("ascii", errors="ignore").decode().replace("\r", "").replace("\n", "")
    answer = {
        "content-type": "application/octet-stream",
        **_disposition(safe, scenarios),
        "accept-ranges": "bytes",
        "etag": f'"{sha256(body).hexdigest()[:32]}"',
    }
    return _ranged(body, answer, headers)


def _disposition(signed: str, scenarios: frozenset[str]) -> dict[str, str]:
    """The header that names the file, in one of the forms that storage has been seen to use."""
    if "filename-missing" in scenarios:
        return {}
    found = _NAMED.search(signed)
    name = found[1] if found else "file"
    forms = {
        "filename-utf8": f"attachment; filename*=UTF-8''{name}",
        "filename-both": f"attachment; filename=\"fallback.bin\"; filename*=UTF-8''{name}",
        "filename-path": f'attachment; filename="../../models/{name}"',
    }
    return {
        "content-disposition": next(
            (form for key, form in forms.items() if key in scenarios), signed
        )
    }


def _ranged(body: bytes, answer: dict[str, str], headers: dict[str, str]) -> Stored:
    span = _span(headers.get("range", ""), len(body))
    condition = headers.get("if-range")
    if span is None or (condition is not None and condition != answer["etag"]):
        return Stored(status=200, headers=answer, body=body)
    start, end = span
    if start >= len(body):
        total = {"content-range": f"bytes */{len(body)}"}
        return Stored(status=416, headers={**answer, **total})
    where = {"content-range": f"bytes {start}-{end}/{len(body)}"}
    return Stored(status=206, headers={**answer, **where}, body=body[start : end + 1])


def _span(text: str, total: int) -> tuple[int, int] | None:
    """First and last byte of a single range; None when there is none to honour."""
    matched = _RANGE.fullmatch(unquote(text).strip())
    if matched is None or matched[1] == matched[2] == "":
        return None
    if matched[1] == "":
        return (max(total - int(matched[2]), 0), total - 1) if int(matched[2]) else (total, total)
    end = int(matched[2]) if matched[2] else total - 1
    start = int(matched[1])
    # a range that ends before it starts is no range
    return None if matched[2] and end < start else (start, min(end, total - 1))


def _refused(status: int, code: str, message: str) -> Stored:
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code>"
    body = f"{text}<Message>{message}</Message></Error>".encode()
    return Stored(status=status, headers={"content-type": "application/xml"}, body=body)


def chunks(body: bytes, size: int = 2**18) -> Iterator[bytes]:
    """The body in pieces."""
    for start in range(0, len(body), size):
        yield body[start : start + size]
