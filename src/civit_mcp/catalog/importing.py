"""Entries of another catalog, taken into this one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from civit_mcp.catalog import naming
from civit_mcp.catalog.amend import amended
from civit_mcp.catalog.change import NAMES, Edit
from civit_mcp.catalog.document import Document
from civit_mcp.catalog.pieces import Raw
from civit_mcp.catalog.snapshot import Snapshot
from civit_mcp.catalog.table import Entry, Table
from civit_mcp.catalog.verbs import folder_key, put_in
from civit_mcp.errors import CatalogUnreadable
from civit_mcp.models.catalogued import CatalogName, ExchangeAnswer

#: the key by which a file says that it holds both catalogs
BUNDLE_KEY: Final = "civit_mcp_catalog"
TAG: Final = "imported"
#: entries that one call takes in
MOST: Final = 2000


@dataclass(frozen=True, slots=True)
class Bundle:
    """Another catalog: one file of it or both, read like our own."""

    path: Path
    documents: Mapping[CatalogName, Document]

    @classmethod
    def parse(cls, data: bytes, path: Path) -> "Bundle":
        """Read a catalog file, or what `export` made of both; raises `CatalogUnreadable`.

        A single file whose name or whose every category speaks of LoRA shelves is a loras.json.
        """
        whole = Document.parse(data, path, marked_by=BUNDLE_KEY)
        if whole.root.get(BUNDLE_KEY) is None:
            if whole.root.get("categories") is None:
                raise CatalogUnreadable(
                    f"'{path}' is no catalog: it has no 'categories'",
                    "pass a models.json, a loras.json or an export in the format 'catalog'",
                )
            return cls(path, {"loras" if _is_shelves(whole) else "models": whole})
        parts: dict[CatalogName, Document] = {}
        for name in NAMES:
            node = whole.root.get(name)
            if isinstance(node, Raw) and isinstance(node.value, dict):
                parts[name] = Document.parse(node.text.encode("utf-8", "replace"), path)
        return cls(path, parts)


def _is_shelves(document: Document) -> bool:
    ids = [category.id.casefold() for category in document.categories]
    return "lora" in document.path.name.casefold() or (
        bool(ids) and all(re.search(r"\w[_-]loras$", one) for one in ids)
    )


def incoming(snapshot: Snapshot, bundle: Bundle) -> tuple[ExchangeAnswer, tuple[Edit, ...]]:
    """Decide which entries come in: those whose version, or file, the catalog does not have."""
    edits: list[Edit] = []
    taken: set[tuple[str, str]] = set()
    notes: list[str] = []
    skipped = clashes = unsafe = rest = 0
    for name, document in bundle.documents.items():
        for entry in Table(name, document).entries:
            why = _why_not(snapshot, entry, taken)
            if why is not None:
                skipped += 1
                clashes += why == "name"
                unsafe += why == "unsafe"
                continue
            if len(edits) >= MOST:
                rest += 1
                continue
            taken.update(_keys(entry))
            edits.append(put_in(name, entry.category_id, entry.category_name, _tagged(entry)))
    if clashes:
        notes.append(f"{clashes} entries have the file name of another model and were left out")
    if unsafe:
        notes.append(
            f"{unsafe} entries have a file name or a folder that could leave the models root "
            "and were left out"
        )
    if rest:
        notes.append(f"{rest} entries more are to come: import the same file again")
    answer = ExchangeAnswer(
        status="imported" if edits else "unchanged",
        path=str(bundle.path),
        entries=len(edits),
        skipped=skipped,
        notes=notes,
    )
    return answer, tuple(edits)


def _why_not(snapshot: Snapshot, entry: Entry, taken: set[tuple[str, str]]) -> str | None:
    if not entry.file or naming.safe_file_name(entry.file) != entry.file:
        return "unsafe"
    folder = entry.dest.replace("\\", "/")
    if folder.startswith("/") or ":" in folder or ".." in folder.split("/"):
        return "unsafe"
    if snapshot.all_of_version(entry.version_id) or taken & set(_keys(entry)[:1]):
        return "there"
    twins = snapshot.by_file(entry.file)
    if twins or _keys(entry)[-1] in taken:
        there = [folder_key(twin.dest) for twin in twins]
        return "there" if folder_key(entry.dest) in there else "name"
    return None


def _keys(entry: Entry) -> list[tuple[str, str]]:
    """What no two entries of a catalog share."""
    ids = [("version", entry.version_id)] if entry.version_id else []
    return [*ids, ("file", naming.key(entry.file))]


def _tagged(entry: Entry) -> str:
    tags: Any = entry.raw.get("tags")
    known = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return amended(entry.text, {"tags": known if TAG in known else [*known, TAG]})
