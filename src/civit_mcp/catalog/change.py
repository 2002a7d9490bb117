"""A change of the catalog as data: what came in, what went out, and where.

A change can be written down before it is made, finished by another process, read in the
history, and turned round. Making it twice makes it once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from civit_mcp.catalog.document import Document
from civit_mcp.catalog.pieces import Raw
from civit_mcp.models.catalogued import CatalogName

NAMES: Final[tuple[CatalogName, ...]] = ("models", "loras")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One entry put in or taken out. `entry` is its JSON text, exactly as it stood."""

    catalog: CatalogName
    action: Literal["insert", "remove"]
    category: str
    category_name: str
    entry: str
    #: place among the category's items; None puts it last
    position: int | None = None
    #: the category is there only because of this edit
    new_category: bool = False

    def to_json(self) -> dict[str, Any]:
        """Spell it for journal and history."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Edit":
        """Read `to_json` back; raises LookupError, TypeError or ValueError on anything else."""
        catalog, action, position = data["catalog"], data["action"], data["position"]
        texts = {name: data[name] for name in ("category", "category_name", "entry")}
        if catalog not in NAMES or action not in ("insert", "remove"):
            raise ValueError("no such catalog or action")
        if not all(isinstance(text, str) for text in texts.values()):
            raise TypeError("no text")
        if position is not None and not isinstance(position, int):
            raise TypeError("no position")
        Document.value_of(texts["entry"])
        return cls(
            catalog=catalog,
            action=action,
            position=position,
            new_category=data.get("new_category") is True,
            **texts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """All edits that one call makes together."""

    id: str
    #: ISO time, UTC
    time: str
    verb: str
    version_id: str | None
    edits: tuple[Edit, ...]

    def of(self, catalog: CatalogName) -> tuple[Edit, ...]:
        """The edits of one file."""
        return tuple(edit for edit in self.edits if edit.catalog == catalog)

    @property
    def catalogs(self) -> tuple[CatalogName, ...]:
        """The files it touches: those that gain before those that only lose.

        A program that reads between two replacements then finds a moved entry twice rather
        than nowhere.
        """
        gaining = {edit.catalog for edit in self.edits if edit.action == "insert"}
        touched = {edit.catalog for edit in self.edits}
        return tuple(sorted(touched, key=lambda name: (name not in gaining, NAMES.index(name))))

    def to_json(self) -> dict[str, Any]:
        """Spell it for journal and history."""
        return {
            "change_id": self.id,
            "time": self.time,
            "verb": self.verb,
            "version_id": self.version_id,
            "edits": [edit.to_json() for edit in self.edits],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Change":
        """Read `to_json` back; raises LookupError, TypeError or ValueError on anything else."""
        version_id = data["version_id"]
        return cls(
            id=str(data["change_id"]),
            time=str(data["time"]),
            verb=str(data["verb"]),
            version_id=None if version_id is None else str(version_id),
            edits=tuple(Edit.from_json(edit) for edit in data["edits"]),
        )


def apply(document: Document, edits: Iterable[Edit], *, date: str, again: bool = False) -> Document:
    """Make one file's edits and count the change; the same document when nothing is left to do.

    `again` is for a file that another program wrote since the change was decided: an entry
    that is there already is not put in twice, one that is gone or was altered since is left
    as that program wants it, and nothing of that program's is lost.
    """
    edited = document
    for edit in edits:
        edited = apply_one(edited, edit, again=again)
    return document if edited is document else edited.stamped(date)


def apply_one(document: Document, edit: Edit, *, again: bool = False) -> Document:
    """Make one edit without counting it."""
    if edit.action == "remove":
        spot = find(document, edit)
        return document if spot is None else document.remove(*spot)
    if again and _is_there(document, edit):
        return document
    return document.insert(edit.category, edit.category_name, edit.entry, edit.position)


def find(document: Document, edit: Edit) -> tuple[int, int] | None:
    """Where the edit's very entry stands: category index and position."""
    best: tuple[tuple[bool, bool], tuple[int, int]] | None = None
    value = Document.value_of(edit.entry)
    for category in document.categories:
        at_home = category.id == edit.category
        for position, item in enumerate(category.entries):
            node = item.node
            if isinstance(node, Raw) and (node.text == edit.entry or node.value == value):
                rank = (at_home, at_home and position == edit.position)
                if best is None or rank > best[0]:
                    best = rank, (category.index, position)
    return best[1] if best else None


def _is_there(document: Document, edit: Edit) -> bool:
    if find(document, edit) is not None:
        return True
    value = Document.value_of(edit.entry)
    identity = _identity(value)
    return identity is not None and any(
        isinstance(item.node, Raw) and _identity(item.node.value) == identity
        for category in document.categories
        for item in category.entries
    )


def _identity(value: Any) -> tuple[str, str] | None:
    """What stays the same when another program refreshes an entry's other fields."""
    if not isinstance(value, dict) or value.get("civitai_version_id") is None:
        return None
    return str(value["civitai_version_id"]), str(value.get("file"))
