"""A catalog file as the text it is.

The file is cut into pieces: the members of its object, its categories, their members, their
entries. An edit puts pieces in or takes pieces out, and writing joins the pieces again, so
whatever an edit does not touch stays as it was, byte for byte: unknown keys, order, numbers
as written, indentation, line ends, a byte order mark. Keys that stand twice are all kept;
the last one counts.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from json.decoder import JSONDecodeError
from pathlib import Path
from typing import Any, Final

from civit_mcp.catalog import layout
from civit_mcp.catalog.decoding import decode, undisturbed
from civit_mcp.catalog.lists import Seam, put_back, restored, without
from civit_mcp.catalog.pieces import (
    Array,
    Entries,
    Item,
    Member,
    Node,
    Object,
    Raw,
    Reader,
    join,
    read_categories,
    read_category,
    read_object,
    read_raw,
    skip,
    source_of,
)
from civit_mcp.errors import CatalogUnreadable

EMPTY: Final = '{\n  "version": 0,\n  "date": "",\n  "categories": []\n}\n'
_REPAIR: Final = (
    "repair or restore the file by hand; civit-mcp leaves it alone until it can be read"
)


@dataclass(frozen=True, slots=True)
class Category:
    """One category of a document and where it stands."""

    index: int
    id: str
    name: str
    #: what stands under `models`, be it a list or not
    written: Node | None

    @property
    def models(self) -> Array | Entries | None:
        """The list of its items, if there is one."""
        return self.written if isinstance(self.written, Array | Entries) else None

    @property
    def entries(self) -> tuple[Item, ...]:
        """Its items as they stand, whatever they are."""
        return self.models.items if self.models is not None else ()

    @property
    def values(self) -> list[Any]:
        """What its items say, without cutting them apart."""
        return self.models.values if isinstance(self.models, Entries) else []

    def source(self, position: int) -> str:
        """The text of one item, exactly as it stands."""
        assert isinstance(self.models, Entries)
        return source_of(self.models.item(position).node)


@dataclass(frozen=True)
class Document:
    """One catalog file. Every edit gives a new document."""

    path: Path
    head: str
    root: Object
    tail: str

    @classmethod
    def parse(cls, data: bytes, path: Path, *, marked_by: str = "categories") -> "Document":
        """Cut a file into pieces; raises `CatalogUnreadable` naming line and column.

        `marked_by` is the key that tells such a file from another program's.
        """
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise CatalogUnreadable(
                f"'{path}' is not UTF-8 text (line {line}, byte {error.start})", _REPAIR
            ) from error
        if not text.strip("\ufeff \t\r\n"):
            raise CatalogUnreadable(
                f"'{path}' is empty (line 1, column 1)",
                "restore the file from a backup, or delete it to begin an empty catalog",
            )
        try:
            with undisturbed():
                return cls._cut(text, path, marked_by)
        except JSONDecodeError as error:
            raise CatalogUnreadable(
                f"'{path}' is not valid JSON: {error.msg} at line {error.lineno}, "
                f"column {error.colno}",
                _REPAIR,
            ) from error
        except RecursionError as error:
            raise CatalogUnreadable(f"'{path}' is nested too deeply (line 1)", _REPAIR) from error

    @classmethod
    def _cut(cls, text: str, path: Path, marked_by: str = "categories") -> "Document":
        start = skip(text, 1 if text.startswith("\ufeff") else 0)
        root, end = read_object(text, start, {"categories": read_categories})
        if not isinstance(root, Object):
            raise _no_catalog(path, "it holds no object", text, start)
        after = skip(text, end)
        if after != len(text):
            raise JSONDecodeError("Extra data", text, after)
        listed = root.get("categories")
        version = root.get("version")
        counted = isinstance(version, Raw) and isinstance(version.value, int)
        marked = listed is not None or root.get(marked_by) is not None
        if root.members and not counted and not marked:
            # some other program's file; an empty object holds nothing that could be lost
            raise _no_catalog(path, "it has neither 'categories' nor a version", text, start)
        if isinstance(listed, Raw) and listed.value is not None:
            raise _no_catalog(path, "its 'categories' is no list", text, start)
        return cls(path, text[:start], root, text[end:])

    @classmethod
    def empty(cls, path: Path) -> "Document":
        """Stand for a file that does not exist yet."""
        return cls._cut(EMPTY, path)

    @staticmethod
    def value_of(entry: str) -> Any:
        """Read an entry's text as the file's own entries are read; ValueError if it is none."""
        value, end = decode(entry, 0)
        if end != len(entry):
            raise JSONDecodeError("Extra data", entry, end)
        return value

    def render(self) -> bytes:
        """Join the pieces."""
        # part by part, because one text of all would be copied whole once more
        return b"".join(part.encode("utf-8") for part in self._parts())

    @property
    def text(self) -> str:
        """The whole file."""
        return "".join(self._parts())

    def _parts(self) -> list[str]:
        parts = [self.head]
        join(self.root, parts)
        parts.append(self.tail)
        return parts

    @property
    def version(self) -> int:
        """The file's change counter; 0 when it is missing or no number."""
        node = self.root.get("version")
        value = node.value if isinstance(node, Raw) else None
        if isinstance(value, str) and re.fullmatch(r"\s*\d{1,18}\s*", value):
            return int(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return 0
        return int(value) if math.isfinite(value) else 0

    @property
    def date(self) -> str:
        """When the file was last written, as it says; empty when it does not."""
        node = self.root.get("date")
        return node.value if isinstance(node, Raw) and isinstance(node.value, str) else ""

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """Every category that is an object, in order."""
        return tuple(self._each_category())

    def _each_category(self) -> Iterator[Category]:
        listed = self.root.get("categories")
        for index, item in enumerate(listed.items if isinstance(listed, Array) else ()):
            if isinstance(item.node, Object):
                models = item.node.get("models")
                name, shown = (_text(item.node.get(key)) for key in ("id", "name"))
                yield Category(index, name, shown, models)

    def stamped(self, date: str) -> "Document":
        """Count one more change, made at `date`; keys that are missing are added."""
        root = self.root
        for place, (key, value) in enumerate((("version", self.version + 1), ("date", date))):
            node = Raw(layout.compact(value), value)
            if root.last(key) is None:
                root = self._with_member(root, place, key, node)
            else:
                root = root.put(key, node)
        return replace(self, root=root)

    def insert(
        self,
        category: str,
        category_name: str,
        entry: str,
        position: int | None = None,
        *,
        seam: Seam | None = None,
    ) -> "Document":
        """Put an entry (JSON text) into a category, at the end unless a position is given.

        The first category with that id takes it; none has it: one is added at the end. With a
        `seam` the entry goes back as it once stood, character for character.
        """
        found = next((c for c in self.categories if c.id == category), None)
        if found is None:
            shell = {"id": category, "name": category_name, "models": []}
            listed, root = self._list(self.root, "categories")
            text = layout.block(shell, self._style, depth=2)
            categories = self._with_item(listed, text, None, depth=1, read=read_category)
            grown = replace(self, root=root.put("categories", categories))
            return grown.insert(category, category_name, entry)
        listed, home = self._home(found.index)
        models, home = self._list(home, "models")
        if seam is not None:
            models = put_back(models, entry, position, seam)
        else:
            models = self._with_item(models, entry, position, depth=3, read=read_raw)
        return self._with_category(listed, found.index, home.put("models", models))

    def remove(self, index: int, position: int, *, hollow: str | None = None) -> "Document":
        """Take an entry out of the category at `index`; the category stays.

        `hollow` is how the list was written before it got its first entry: nothing when its
        key was not there.
        """
        listed, home = self._home(index)
        models = home.get("models")
        assert isinstance(models, Array | Entries)
        shorter = without(models, position)
        if hollow is not None and isinstance(shorter, Array):
            return self._with_category(listed, index, restored(home, "models", hollow))
        return self._with_category(listed, index, home.put("models", shorter))

    def replace(self, index: int, position: int, entry: str) -> "Document":
        """Give the entry at a place another text."""
        listed, home = self._home(index)
        models = home.get("models")
        assert isinstance(models, Entries)
        item = models.item(position)._replace(node=read_raw(entry, 0)[0])
        fresh = models.edited(position, gone=1, new=(item,))
        return self._with_category(listed, index, home.put("models", fresh))

    def seam(self, index: int, position: int) -> Seam:
        """How the entry at a place is joined to what is around it."""
        _, home = self._home(index)
        models = home.get("models")
        assert isinstance(models, Entries)
        following = position + 1 < len(models.values)
        after = models.item(position + 1).lead if following else ""
        return Seam(models.item(position).lead, after, models.close)

    def hollow(self, category: str) -> str | None:
        """How a category's list without entries is written; None when it has some."""
        found = next((c for c in self.categories if c.id == category), None)
        node = self.root.get("categories") if found is None else found.written
        if isinstance(node, Entries) or (isinstance(node, Array) and node.items):
            return None
        return "" if node is None else source_of(node)

    def without_category(self, category: str, hollow: str | None) -> "Document":
        """Take out an empty category that has nothing of its own; any other stays."""
        found = next((c for c in self.categories if c.id == category), None)
        if found is None or not isinstance(found.models, Array) or found.models.items:
            return self
        listed, home = self._home(found.index)
        if [member.key for member in home.members] != ["id", "name", "models"]:
            return self
        shorter = without(listed, found.index)
        if not shorter.items and hollow is not None:
            return replace(self, root=restored(self.root, "categories", hollow))
        return replace(self, root=self.root.put("categories", shorter))

    def _home(self, index: int) -> tuple[Array, Object]:
        listed = self.root.get("categories")
        assert isinstance(listed, Array)
        home = listed.items[index].node
        assert isinstance(home, Object)
        return listed, home

    def _with_category(self, listed: Array, index: int, home: Object) -> "Document":
        items = list(listed.items)
        items[index] = items[index]._replace(node=home)
        root = self.root.put("categories", listed._replace(items=tuple(items)))
        return replace(self, root=root)

    def _list(self, owner: Object, key: str) -> tuple[Any, Object]:
        """Find the list under `key`, made where it is missing or null."""
        node = owner.get(key)
        if isinstance(node, Array | Entries):
            return node, owner
        if node is None:
            fresh = Array((), "]")
            return fresh, self._with_member(owner, len(owner.members), key, fresh)
        if isinstance(node, Raw) and node.value is None:
            fresh = Array((), "]")
            return fresh, owner.put(key, fresh)
        raise CatalogUnreadable(
            f"'{self.path}' has a category whose '{key}' is no list, so nothing can be added to it",
            "make it a list in the file, then call again",
        )

    @cached_property
    def _style(self) -> layout.Style:
        members = self.root.members
        if not members:
            return layout.Style.of("\n  ", label="", after="")
        after = members[1].lead if len(members) > 1 else ""
        return layout.Style.of(members[0].lead, label=members[0].label, after=after)

    def _with_member(self, owner: Object, place: int, key: str, node: Node) -> Object:
        """Add a member in the manner of its neighbours."""
        label = json.dumps(key) + self._style.colon
        members = list(owner.members)
        if members:
            space = members[0].lead
            lead = f",{space or self._style.gap}" if place else space
            members.insert(place, Member(lead, label, key, node))
            if not place:
                after = members[1]
                members[1] = after._replace(lead=f",{space or self._style.gap}")
            return owner._replace(members=tuple(members))
        depth = 1 if owner is self.root or not self.root.members else 3
        lead, close = self._style.frame(depth, "}")
        return Object((Member(lead, label, key, node),), close)

    def _with_item(
        self,
        owner: Array | Entries,
        text: str,
        position: int | None,
        *,
        depth: int,
        read: Reader,
    ) -> Array | Entries:
        """Add an item in the manner of its neighbours."""
        if isinstance(owner, Entries):
            return self._with_entry(owner, text, position)
        items = list(owner.items)
        place = len(items) if position is None else min(max(position, 0), len(items))
        if not items:
            lead, close = self._style.frame(depth + 1, "]")
            fitted = layout.fit(text, self._style, lead=lead, neighbour=None)
            first = (Item(lead, read(fitted, 0)[0]),)
            return Entries.of(first, close) if read is read_raw else Array(first, close)
        items.insert(place, self._fitted(items[-1], text, alone=len(items) == 1, read=read))
        return Array(tuple(items), owner.close)

    def _with_entry(self, owner: Entries, text: str, position: int | None) -> Array | Entries:
        size = len(owner.values)
        near = owner.last()
        item = self._fitted(near, text, alone=size == 1, read=read_raw)
        if position is None or position >= size:
            return owner.edited(size, new=(item,))
        if position > 0:
            return owner.edited(position, new=(item,))
        space = near.lead.partition(",")[2] if size > 1 else near.lead
        after = f",{owner.item(0).lead}"
        return owner.edited(0, new=(item._replace(lead=space),), after=after)

    def _fitted(self, near: Item, text: str, *, alone: bool, read: Reader) -> Item:
        """An item that follows others in the manner of `near`, the last of them."""
        space = near.lead if alone else near.lead.partition(",")[2]
        fitted = layout.fit(text, self._style, lead=space, neighbour=source_of(near.node))
        gap = space if not alone or "\n" in space else self._style.gap
        return Item(f",{gap}", read(fitted, 0)[0])


def _text(node: Node | None) -> str:
    value = node.value if isinstance(node, Raw) else None
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def _no_catalog(path: Path, why: str, text: str, start: int) -> CatalogUnreadable:
    line = text.count("\n", 0, start) + 1
    return CatalogUnreadable(f"'{path}' is no catalog: {why} (line {line})", _REPAIR)
