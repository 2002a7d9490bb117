"""A catalog written for other programs. An export never holds a key or a personal address."""

import csv
import io
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from civit_mcp.catalog.importing import BUNDLE_KEY
from civit_mcp.catalog.presence import place
from civit_mcp.catalog.snapshot import Snapshot
from civit_mcp.catalog.table import Entry, text_of
from civit_mcp.models.catalogued import ExportFormat
from civit_mcp.models.ids import plain_id

#: format -> how its files end
SUFFIXES: Final[Mapping[ExportFormat, str]] = {
    "catalog": ".json",
    "lock": ".json",
    "csv": ".csv",
    "comfyui-manager": ".json",
    "comfy-cli": ".sh",
}
#: stands for a models root, to tell places inside from those outside
_HERE: Final = Path("models")
_COLUMNS: Final = (
    "catalog", "category", "name", "file", "dest", "base_model", "size_gb", "sha256", "source",
    "model_id", "version_id", "file_id", "url", "status",
)  # fmt: skip
_MANAGER_TYPES: Final = {
    "checkpoints": "checkpoint",
    "diffusion_models": "diffusion_model",
    "loras": "lora",
    "vae": "VAE",
    "text_encoders": "clip",
    "clip_vision": "clip_vision",
    "controlnet": "controlnet",
    "upscale_models": "upscale",
    "embeddings": "embedding",
}


def exported(snapshot: Snapshot, entries: Iterable[Entry], form: ExportFormat) -> str:
    """Write entries in a format; `catalog` is both files whole, whatever the entries."""
    match form:
        case "catalog":
            return _bundle(snapshot)
        case "lock":
            models = [_locked(entry) for entry in entries]
            return _json({"lock_version": 1, "models": models})
        case "csv":
            return _table(snapshot, entries)
        case "comfyui-manager":
            return _json({"models": [row for e in entries if (row := _managed(e)) is not None]})
        case "comfy-cli":
            return "".join(_commands(entries))


def address_of(entry: Entry) -> str | None:
    """Where an entry's file can be had; None when nobody knows."""
    repo, file = text_of(entry.raw.get("hf_repo")), text_of(entry.raw.get("hf_file"))
    if repo and file:
        return f"https://huggingface.co/{quote(repo)}/resolve/main/{quote(file)}"
    if entry.version_id and entry.version_id.isdecimal():
        return f"https://civitai.com/api/download/models/{entry.version_id}"
    return None


def _bundle(snapshot: Snapshot) -> str:
    parts = [f'"{BUNDLE_KEY}": 1']
    for name, document in snapshot.sources.items():
        parts.append(f'"{name}": {document.text.strip().removeprefix(chr(0xFEFF)).strip()}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _locked(entry: Entry) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "file": entry.file,
        "dest": entry.dest,
        "sha256": entry.hash,
        "size_gb": entry.size_gb,
        "base_model": entry.base_model,
        "source": entry.source,
        "civitai_model_id": plain_id(entry.model_id),
        "civitai_version_id": plain_id(entry.version_id),
        "civitai_file_id": plain_id(entry.file_id),
        "url": address_of(entry),
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _table(snapshot: Snapshot, entries: Iterable[Entry]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for e in entries:
        facts = (
            e.catalog, e.category_id, e.name, e.file, e.dest, e.base_model, e.size_gb, e.hash,
            e.source, e.model_id, e.version_id, e.file_id, address_of(e), snapshot.status(e),
        )  # fmt: skip
        writer.writerow([_cell(fact) for fact in facts])
    return out.getvalue()


def _cell(fact: object) -> str:
    """A cell; one that a spreadsheet would take for a formula is marked as text."""
    text = "" if fact is None else str(fact)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _managed(entry: Entry) -> dict[str, str] | None:
    url = address_of(entry)
    if url is None:
        return None
    kind = entry.dest.replace("\\", "/").strip("/").partition("/")[0]
    page = "https://civitai.com"
    if entry.model_id:
        page = f"https://civitai.com/models/{entry.model_id}?modelVersionId={entry.version_id}"
    elif "huggingface" in url:
        page = f"https://huggingface.co/{quote(text_of(entry.raw.get('hf_repo')))}"
    return {
        "name": entry.name,
        "type": _MANAGER_TYPES.get(kind, kind),
        "base": entry.base_model,
        "save_path": entry.dest,
        "description": entry.name,
        "reference": page,
        "filename": entry.file,
        "url": url,
        "size": f"{entry.size_gb:g}GB" if entry.size_gb else "",
    }


def _commands(entries: Iterable[Entry]) -> Iterator[str]:
    yield "#!/bin/sh\nset -e\n"
    for entry in entries:
        url = address_of(entry)
        inside = place(_HERE, entry.dest, entry.file) is not None
        if url is None or not inside or not entry.file.isprintable():
            shown = " ".join(entry.file.split())
            yield f"# {shown}: nobody says where it can be had\n"
            continue
        words = (
            "comfy", "model", "download", "--url", url,
            "--relative-path", f"models/{entry.dest}".rstrip("/"), "--filename", entry.file,
        )  # fmt: skip
        yield shlex.join(words) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
