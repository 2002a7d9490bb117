"""Files of a version."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from civit_mcp.civitai.wire.fields import flag, ident, obj, objects, real, text
from civit_mcp.models.records import EMPTY_HASHES, FileRecord, Json
from civit_mcp.models.weights import FORMATS, HASH_LENGTHS, HASH_TYPES, HashType

_HASH_TYPES: Final[Mapping[str, HashType]] = {
    kind.lower(): kind for kinds in HASH_TYPES.values() for kind in kinds
}
_HEX: Final = re.compile(rf"[0-9A-F]{{{HASH_LENGTHS[0]},{HASH_LENGTHS[-1]}}}")


def read_file(source: Json) -> FileRecord:
    """Read one file; every field may be missing."""
    metadata = obj(source.get("metadata"))
    stored = text(source.get("name")) or text(source.get("overrideName")) or ""
    return FileRecord(
        id=ident(source.get("id")),
        name=stored,
        type=text(source.get("type")) or "",
        size_kb=_size(source),
        format=_either(metadata, source, "format") or _format_of(stored),
        fp=_either(metadata, source, "fp"),
        size=text(metadata.get("size")),
        quant=_either(metadata, source, "quantType"),
        hashes=read_hashes(source.get("hashes")),
        primary=flag(source.get("primary")) is True,
        pickle_scan=text(source.get("pickleScanResult")),
        virus_scan=text(source.get("virusScanResult")),
        scanned_at=text(source.get("scannedAt")),
    )


def _either(metadata: Json, source: Json, key: str) -> str | None:
    return text(metadata.get(key)) or text(source.get(key))


#: an exbibyte: beyond it a size is no size, and arithmetic with it is no number
_MOST_KIB: Final = 2.0**50


def _size(source: Json) -> float | None:
    for key in ("sizeKB", "sizeKb"):
        size = real(source.get(key))
        if size is not None and 0 <= size <= _MOST_KIB:
            return size
    return None


def _format_of(stored: str) -> str | None:
    return FORMATS.get(PurePosixPath(stored).suffix.lower().removeprefix("."))


def read_hashes(value: Any) -> dict[str, str]:
    """Read hashes given as an object or as a list of type and hash."""
    pairs = (
        value.items()
        if isinstance(value, dict)
        else ((row.get("type"), row.get("hash")) for row in objects(value))
    )
    hashes: dict[str, str] = {}
    for key, raw in pairs:
        canonical = _HASH_TYPES.get(key.strip().lower()) if isinstance(key, str) else None
        digest = read_hash(raw)
        if canonical is not None and digest is not None:
            hashes[canonical] = digest
    return hashes


def read_hash(value: Any) -> str | None:
    """Read a hash as upper-case hex; None when it is no hash, or that of nothing."""
    if not isinstance(value, str):
        return None
    digest = value.strip().upper().removeprefix("0X")
    return digest if _HEX.fullmatch(digest) and digest not in EMPTY_HASHES else None
