"""What one catalog file says, findable by version, file name and hash.

Nothing here is kept beyond the text that it was read from: another text has another table.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, islice
from types import MappingProxyType
from typing import Any

from civit_mcp.catalog.document import Category, Document
from civit_mcp.catalog.naming import key, stem_key
from civit_mcp.models.catalogued import CatalogName
from civit_mcp.models.weights import SHA256_LENGTH

Spots = Mapping[Any, int | list[int]]


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
    #: place among the items of its category
    position: int
    shelf: Category = field(repr=False, compare=False)

    @property
    def text(self) -> str:
        """The entry's JSON text, exactly as it stands in the file."""
        return self.shelf.source(self.position)

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
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        return float(value) if abs(value) < 1e15 else None

    @property
    def trigger_words(self) -> tuple[str, ...]:
        """Words that switch the model on."""
        for name in ("trigger_words", "trainedWords"):
            value = self.raw.get(name)
            if isinstance(value, list):
                return tuple(text_of(word) for word in value if isinstance(word, str) and word)
        return ()


class Table:
    """One file's entries, numbered through all categories; made of views, not of copies."""

    def __init__(self, catalog: CatalogName, document: Document) -> None:
        """Take the file; nothing is gone through before it is asked for."""
        self.catalog: CatalogName = catalog
        self.document = document
        self._shelves = document.categories
        self._starts = [0, *accumulate(len(shelf.values) for shelf in self._shelves)]

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Every entry that is an object, in order."""
        return tuple(
            self._made(shelf, position, value)
            for shelf in self._shelves
            for position, value in enumerate(shelf.values)
            if isinstance(value, dict)
        )

    def part(self, start: int, size: int) -> list[Entry]:
        """Some of the entries, without making the others."""
        found: list[Entry] = []
        for shelf, count in zip(self._shelves, self.counts, strict=True):
            if start < count and size > len(found):
                there = ((n, v) for n, v in enumerate(shelf.values) if isinstance(v, dict))
                chosen = islice(there, start, start + size - len(found))
                found += [self._made(shelf, position, value) for position, value in chosen]
            start = max(start - count, 0)
        return found

    def __len__(self) -> int:
        return sum(self.counts)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Entries of each category."""
        return tuple(
            sum(isinstance(value, dict) for value in shelf.values) for shelf in self._shelves
        )

    def of_version(self, version_id: str) -> list[Entry]:
        """Entries of a version, however its id is written."""
        return self._at(self._versions.get(version_id))

    def of_file(self, file: str) -> list[Entry]:
        """Entries whose file name is the same to some file system."""
        return self._at(self._files.get(key(file)))

    def of_stem(self, stem: str) -> list[Entry]:
        """Entries whose file name has that `stem_key`."""
        return self._at(self._stems.get(stem))

    def of_hash(self, sha256: str) -> list[Entry]:
        """Entries with that content."""
        return self._at(self._hashes.get(sha256)) if len(sha256) == SHA256_LENGTH else []

    def has_file(self, file_key: str) -> bool:
        """Whether an entry's file has that `naming.key`."""
        return file_key in self._files

    def _at(self, spots: int | list[int] | None) -> list[Entry]:
        if spots is None:
            return []
        return [self._entry(spot) for spot in ([spots] if isinstance(spots, int) else spots)]

    def _entry(self, number: int) -> Entry:
        index = bisect_right(self._starts, number) - 1
        shelf = self._shelves[index]
        position = number - self._starts[index]
        return self._made(shelf, position, shelf.values[position])

    def _made(self, shelf: Category, position: int, value: dict[str, Any]) -> Entry:
        return Entry(
            catalog=self.catalog,
            category_id=text_of(shelf.id),
            category_name=text_of(shelf.name),
            name=text_of(value.get("name")),
            file=text_of(value.get("file")),
            dest=text_of(value.get("dest")),
            version_id=id_text(value.get("civitai_version_id")),
            raw=MappingProxyType(value),
            position=position,
            shelf=shelf,
        )

    @cached_property
    def _versions(self) -> Spots:
        said = self._column("civitai_version_id")
        return _grouped([str(v) if type(v) is int else id_text(v) for v in said])

    @cached_property
    def _files(self) -> Spots:
        files = self._texts("file")
        if all(map(str.isascii, files)):
            return _grouped(list(map(str.lower, files)))
        return _grouped([key(text_of(file)) for file in files])

    @cached_property
    def _stems(self) -> Spots:
        return _grouped([stem_key(text_of(file)) for file in self._texts("file")])

    @cached_property
    def _hashes(self) -> Spots:
        return _grouped(list(map(str.upper, map(str.strip, self._texts("hash")))))

    def _texts(self, name: str) -> list[str]:
        said = self._column(name)
        if set(map(type, said)) == {str}:
            return said
        return [value if isinstance(value, str) else "" for value in said]

    def _column(self, name: str) -> list[Any]:
        """What every item says under a name; None for one that says nothing."""
        said: list[Any] = []
        for shelf in self._shelves:
            values = shelf.values
            if set(map(type, values)) <= {dict}:
                said += [value.get(name) for value in values]
            else:
                said += [value.get(name) if isinstance(value, dict) else None for value in values]
        return said


def _grouped(words: list[str | None] | list[str]) -> Spots:
    """Word -> its place, or its places in order; made of C loops, as there may be 100,000."""
    last = len(words) - 1
    groups: dict[Any, int | list[int]] = dict(
        zip(reversed(words), range(last, -1, -1), strict=True)
    )
    empty = words.count("") + words.count(None)  # type: ignore[arg-type]  # either kind of list
    groups.pop("", None)
    groups.pop(None, None)
    if len(groups) + empty == len(words):
        return groups
    for number, word in enumerate(words):
        first = groups[word] if word else number
        if isinstance(first, list):
            first.append(number)
        elif first != number:
            groups[word] = [first, number]
    return groups
