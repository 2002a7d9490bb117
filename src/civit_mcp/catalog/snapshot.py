"""The catalog at one moment, for reading."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from civit_mcp.catalog.change import NAMES, Change
from civit_mcp.catalog.document import Document
from civit_mcp.catalog.naming import key, stem_key
from civit_mcp.catalog.pieces import Raw
from civit_mcp.catalog.presence import status_of
from civit_mcp.models.catalogued import CatalogName
from civit_mcp.models.facts import CatalogStatus

_HASH_LENGTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry. Its fields are strangers' text, made storable but not checked."""

    catalog: CatalogName
    category_id: str
    category_name: str
    name: str
    file: str
    dest: str
    #: text of whatever is stored, so that 12 and "12" are the same version
    version_id: str | None
    #: the entry as it stands in the file
    raw: Mapping[str, Any]
    #: the entry's JSON text, exactly as it stands in the file
    text: str = field(repr=False)
    #: place among the items of its category
    position: int

    @property
    def model_id(self) -> str | None:
        """CivitAI model id as text."""
        return id_text(self.raw.get("civitai_model_id"))

    @property
    def file_id(self) -> str | None:
        """CivitAI file id as text."""
        return id_text(self.raw.get("civitai_file_id"))

    @property
    def base_model(self) -> str:
        """CivitAI's or ComfyUI Studio's spelling; empty when unknown."""
        return text_of(self.raw.get("base_model"))

    @property
    def source(self) -> str:
        """`civitai`, `huggingface` or another text."""
        return text_of(self.raw.get("source"))

    @property
    def hash(self) -> str:
        """SHA-256 in upper case; empty when unknown."""
        return text_of(self.raw.get("hash")).strip().upper()

    @property
    def size_gb(self) -> float | None:
        """Size in units of 10^9 bytes, as stored."""
        value = self.raw.get("size_gb")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        return None

    @property
    def trigger_words(self) -> tuple[str, ...]:
        """Words that switch the model on."""
        for name in ("trigger_words", "trainedWords"):
            value = self.raw.get(name)
            if isinstance(value, list):
                return tuple(text_of(word) for word in value if isinstance(word, str) and word)
        return ()


def text_of(value: Any) -> str:
    """A stored text that any encoder takes; empty for what is no text."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def id_text(value: Any) -> str | None:
    """An id as text, whether it is stored as number or text; None when there is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, int):
        return str(value)
    return text_of(value).strip() or None


@dataclass(frozen=True, slots=True)
class CategoryInfo:
    """One category of a file."""

    catalog: CatalogName
    id: str
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """One file."""

    path: Path
    exists: bool
    version: int
    date: str


def entries_of(catalog: CatalogName, document: Document) -> tuple[Entry, ...]:
    """Every entry of a file that is an object, in order."""
    return tuple(_entries(catalog, document))


def _entries(catalog: CatalogName, document: Document) -> Iterator[Entry]:
    for category in document.categories:
        shown_id, shown_name = text_of(category.id), text_of(category.name)
        for position, item in enumerate(category.entries):
            node = item.node
            if not isinstance(node, Raw) or not isinstance(node.value, dict):
                continue
            value = node.value
            yield Entry(
                catalog=catalog,
                category_id=shown_id,
                category_name=shown_name,
                name=text_of(value.get("name")),
                file=text_of(value.get("file")),
                dest=text_of(value.get("dest")),
                version_id=id_text(value.get("civitai_version_id")),
                raw=MappingProxyType(value),
                text=node.text,
                position=position,
            )


@dataclass(frozen=True)
class Snapshot:
    """Both files at one moment. Only `status` looks at the disk."""

    entries: tuple[Entry, ...]
    documents: Mapping[CatalogName, DocumentInfo]
    categories: tuple[CategoryInfo, ...]
    models_root: Path | None
    #: what this was read from
    sources: Mapping[CatalogName, Document] = field(repr=False, compare=False)
    remembered: Callable[[], Change | None] = field(repr=False, compare=False)

    @cached_property
    def last_change(self) -> Change | None:
        """The newest change in the history; None before the first."""
        return self.remembered()

    @property
    def file_keys(self) -> Container[str]:
        """`naming.key` of every file name in both files."""
        return self._files

    def by_version(self, version_id: int | str | None) -> Entry | None:
        """Find the entry of a version; the first one when several have it."""
        wanted = id_text(version_id)
        found = self._versions.get(wanted) if wanted else None
        return found[0] if found else None

    def all_of_version(self, version_id: int | str | None) -> tuple[Entry, ...]:
        """Find every entry of a version, in both files."""
        wanted = id_text(version_id)
        return tuple(self._versions.get(wanted, ())) if wanted else ()

    def by_sha256(self, sha256: str | None) -> Entry | None:
        """Find the entry with that content."""
        wanted = (sha256 or "").strip().upper()
        return self._hashes.get(wanted) if len(wanted) == _HASH_LENGTH else None

    def by_stem(self, text: str) -> tuple[Entry, ...]:
        """Find entries whose file has that name, whatever folder, extension, case, separators."""
        return tuple(self._stems.get(stem_key(text), ()))

    def by_file(self, file: str) -> tuple[Entry, ...]:
        """Find entries whose file name is the same to some file system."""
        return tuple(self._files.get(key(file), ()))

    @cached_property
    def embedding_names(self) -> tuple[str, ...]:
        """File stems of the catalogued embeddings: the words that prompts call them by."""
        return tuple(
            entry.file.rpartition(".")[0] or entry.file
            for entry in self.entries
            if entry.file and "embeddings" in (entry.category_id, entry.dest.partition("/")[0])
        )

    def status(self, entry: Entry | None) -> CatalogStatus:
        """Look whether the entry's file is there; `not_found` without an entry."""
        if entry is None:
            return "not_found"
        return status_of(self.models_root, entry.dest, entry.file)

    @cached_property
    def _versions(self) -> dict[str, list[Entry]]:
        return _grouped(self.entries, lambda entry: entry.version_id or "")

    @cached_property
    def _stems(self) -> dict[str, list[Entry]]:
        return _grouped(self.entries, lambda entry: stem_key(entry.file))

    @cached_property
    def _files(self) -> dict[str, list[Entry]]:
        return _grouped(self.entries, lambda entry: key(entry.file))

    @cached_property
    def _hashes(self) -> dict[str, Entry]:
        grouped = _grouped(self.entries, lambda entry: entry.hash)
        return {one: found[0] for one, found in grouped.items() if len(one) == _HASH_LENGTH}


def _grouped(entries: tuple[Entry, ...], name: Callable[[Entry], str]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if word := name(entry):
            groups.setdefault(word, []).append(entry)
    return groups


def categories_of(
    entries: Iterable[Entry], documents: Mapping[CatalogName, Document]
) -> tuple[CategoryInfo, ...]:
    """Every category of both files with the number of its entries, in order."""
    counts = Counter((entry.catalog, entry.category_id) for entry in entries)
    infos: dict[tuple[CatalogName, str], CategoryInfo] = {}
    for name in NAMES:
        for category in documents[name].categories:
            spot = (name, text_of(category.id))
            infos.setdefault(spot, CategoryInfo(*spot, text_of(category.name), counts[spot]))
    return tuple(infos.values())
