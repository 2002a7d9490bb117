"""The catalog at one moment, for reading."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from civit_mcp.catalog.change import NAMES, Change
from civit_mcp.catalog.document import Document
from civit_mcp.catalog.naming import stem_key
from civit_mcp.catalog.presence import Roots, is_model
from civit_mcp.catalog.table import Entry, Table, id_text, text_of
from civit_mcp.grounds import current_grounds
from civit_mcp.models.catalogued import CatalogName
from civit_mcp.models.facts import CatalogStatus


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


@dataclass(frozen=True)
class Snapshot:
    """Both files at one moment. Only `status` looks at the disk."""

    tables: Mapping[CatalogName, Table] = field(repr=False, compare=False)
    documents: Mapping[CatalogName, DocumentInfo]
    roots: Roots
    remembered: Callable[[], Change | None] = field(repr=False, compare=False)

    @property
    def sources(self) -> Mapping[CatalogName, Document]:
        """What this was read from."""
        return {name: table.document for name, table in self.tables.items()}

    @property
    def models_root(self) -> Path | None:
        """The folder that entries' places are relative to."""
        return self.roots.root

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Every entry of both files that is an object, in order."""
        return tuple(entry for name in NAMES for entry in self.tables[name].entries)

    def part(self, start: int, size: int) -> list[Entry]:
        """Some of the entries, without making the others."""
        found: list[Entry] = []
        for name in NAMES:
            table = self.tables[name]
            found += table.part(start, size - len(found))
            start = max(start - len(table), 0)
        return found

    def __len__(self) -> int:
        return sum(len(table) for table in self.tables.values())

    @cached_property
    def categories(self) -> tuple[CategoryInfo, ...]:
        """Every category of both files with the number of its entries, in order."""
        found: dict[tuple[CatalogName, str], tuple[str, int]] = {}
        for name in NAMES:
            table = self.tables[name]
            for category, count in zip(table.document.categories, table.counts, strict=True):
                spot = (name, text_of(category.id))
                shown, before = found.get(spot, (text_of(category.name), 0))
                found[spot] = shown, before + count
        return tuple(CategoryInfo(*spot, *rest) for spot, rest in found.items())

    @cached_property
    def last_change(self) -> Change | None:
        """The newest change in the history; None before the first."""
        return self.remembered()

    def has_file(self, file_key: str) -> bool:
        """Whether some entry's file has that `naming.key`."""
        return any(table.has_file(file_key) for table in self.tables.values())

    def by_version(self, version_id: int | str | None) -> Entry | None:
        """Find the entry of a version; the first one when several have it."""
        found = self.all_of_version(version_id)
        return found[0] if found else None

    def all_of_version(self, version_id: int | str | None) -> tuple[Entry, ...]:
        """Find every entry of a version, in both files."""
        wanted = id_text(version_id)
        if not wanted:
            return ()
        return tuple(e for name in NAMES for e in self.tables[name].of_version(wanted))

    def by_sha256(self, sha256: str | None) -> Entry | None:
        """Find the entry with that content."""
        found = self.all_of_sha256(sha256)
        return found[0] if found else None

    def all_of_sha256(self, sha256: str | None) -> tuple[Entry, ...]:
        """Find every entry with that content."""
        wanted = (sha256 or "").strip().upper()
        return tuple(e for name in NAMES for e in self.tables[name].of_hash(wanted))

    def by_stem(self, text: str) -> tuple[Entry, ...]:
        """Find entries whose file has that name, whatever folder, extension, case, separators."""
        wanted = stem_key(text)
        return tuple(e for name in NAMES for e in self.tables[name].of_stem(wanted))

    def by_file(self, file: str) -> tuple[Entry, ...]:
        """Find entries whose file name is the same to some file system."""
        return tuple(e for name in NAMES for e in self.tables[name].of_file(file))

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
        roots, dest, file = self.roots, entry.dest, entry.file
        there = roots.find(dest, file) is not None
        grounds = current_grounds()
        if grounds is not None:
            # they follow from the names and from `roots`, which is a ground of its own
            places = tuple(roots.places(dest, file))
            grounds.add(lambda: any(map(is_model, places)) is there, on_disk=True)
        return "present" if there else "missing"

    def recognizer(self) -> Callable[["Snapshot"], bool]:
        """Tell whether another snapshot is of the same state, without keeping this one alive.

        The model files on the disk are no part of it.
        """
        roots = self.roots
        documents = {name: weakref.ref(document) for name, document in self.sources.items()}

        def is_same(other: Snapshot) -> bool:
            return roots.stand_for(other.roots) and all(
                document is documents[name]() for name, document in other.sources.items()
            )

        return is_same
