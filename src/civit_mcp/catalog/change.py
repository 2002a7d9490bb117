"""A change of the catalog as data: what came in, what went out, and where.

A change can be written down before it is made, finished by another process, read in the
history, and turned round. Making it twice makes it once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

from civit_mcp.catalog.document import Document
from civit_mcp.catalog.lists import Seam
from civit_mcp.models.catalogued import CatalogName

NAMES: Final[tuple[CatalogName, ...]] = ("models", "loras")
Action = Literal["insert", "remove", "replace"]
_OPTIONAL: Final = ("was", "lead", "after", "close", "hollow", "hollow_list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One entry put in, taken out or rewritten. `entry` is its JSON text, exactly as it stood."""

    catalog: CatalogName
    action: Action
    category: str
    category_name: str
    entry: str
    #: place among the category's items; None puts it last
    position: int | None = None
    #: the category is there only because of this edit, or goes with it
    new_category: bool = False
    #: what a rewritten entry was before
    was: str | None = None
    #: how the entry was joined to its list: before it, before the next one, at the list's end
    lead: str | None = None
    after: str | None = None
    close: str | None = None
    #: how the list was written while it had no entries, and the list of categories likewise
    hollow: str | None = None
    hollow_list: str | None = None

    @property
    def seam(self) -> Seam | None:
        """How the entry was joined to its list, where that is known."""
        if self.lead is None:
            return None
        return Seam(self.lead, self.after or "", self.close or "]")

    def turned_round(self) -> "Edit":
        """The edit that takes this one back."""
        match self.action:
            case "insert":
                return replace(self, action="remove")
            case "remove":
                return replace(self, action="insert")
            case "replace":
                assert self.was is not None
                return replace(self, entry=self.was, was=self.entry)

    def to_json(self) -> dict[str, Any]:
        """Spell it for journal and history."""
        full = {name: getattr(self, name) for name in self.__slots__}
        return {k: v for k, v in full.items() if k not in _OPTIONAL or v is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Edit":
        """Read `to_json` back; raises LookupError, TypeError or ValueError on anything else."""
        catalog, action, position = data["catalog"], data["action"], data["position"]
        texts = {name: data[name] for name in ("category", "category_name", "entry")}
        optional: dict[str, Any] = {name: data.get(name) for name in _OPTIONAL}
        if catalog not in NAMES or action not in get_args(Action):
            raise ValueError("no such catalog or action")
        if not all(isinstance(text, str) for text in texts.values()):
            raise TypeError("no text")
        if not all(text is None or isinstance(text, str) for text in optional.values()):
            raise TypeError("no text")
        if position is not None and not isinstance(position, int):
            raise TypeError("no position")
        Document.value_of(texts["entry"])
        if action == "replace":
            Document.value_of(data["was"])
        return cls(
            catalog=catalog,
            action=action,
            position=position,
            new_category=data.get("new_category") is True,
            **texts,
            **optional,
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
    #: the change that this one takes back
    undoes: str | None = None

    def of(self, catalog: CatalogName) -> tuple[Edit, ...]:
        """The edits of one file."""
        return tuple(edit for edit in self.edits if edit.catalog == catalog)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the model files whose entries it touches."""
        said = (Document.value_of(edit.entry) for edit in self.edits)
        names = (value.get("file") for value in said if isinstance(value, dict))
        return tuple(name for name in names if isinstance(name, str))

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
        facts = {
            "change_id": self.id,
            "time": self.time,
            "verb": self.verb,
            "version_id": self.version_id,
            "edits": [edit.to_json() for edit in self.edits],
        }
        return facts if self.undoes is None else {**facts, "undoes": self.undoes}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Change":
        """Read `to_json` back; raises LookupError, TypeError or ValueError on anything else."""
        version_id, undoes = data["version_id"], data.get("undoes")
        return cls(
            id=str(data["change_id"]),
            time=str(data["time"]),
            verb=str(data["verb"]),
            version_id=None if version_id is None else str(version_id),
            edits=tuple(Edit.from_json(edit) for edit in data["edits"]),
            undoes=None if undoes is None else str(undoes),
        )


def carry_out(
    documents: Mapping[CatalogName, Document], change: Change, *, date: str
) -> tuple[Change, dict[CatalogName, Document]]:
    """Make a change on both files; it with all that is needed to take it back, and the files.

    Only files that the change alters are among the answers.
    """
    made = dict(documents)
    edits: list[Edit] = []
    for edit in change.edits:
        here = made[edit.catalog]
        known = located(here, edit)
        made[edit.catalog] = apply_one(here, known)
        edits.append(known)
    fresh = {
        name: made[name].stamped(date)
        for name in change.catalogs
        if made[name] is not documents[name]
    }
    return replace(change, edits=tuple(edits)), fresh


def located(document: Document, edit: Edit) -> Edit:
    """Say in the edit where it takes place and what will be needed to take it back."""
    if edit.action == "insert":
        home = next((one for one in document.categories if one.id == edit.category), None)
        hollow = document.hollow(edit.category)
        return replace(
            edit,
            category_name=home.name if home else edit.category_name,
            position=len(home.values) if home and edit.position is None else edit.position or 0,
            new_category=home is None,
            hollow=hollow if home else None,
            hollow_list=None if home else hollow,
        )
    spot = find(document, edit)
    if spot is None:
        return edit
    index, position = spot
    home = next(one for one in document.categories if one.index == index)
    found = replace(edit, category=home.id, category_name=home.name, position=position)
    if edit.action == "replace":
        return found
    seam = document.seam(index, position)
    return replace(found, lead=seam.lead, after=seam.after, close=seam.close)


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
    if edit.action == "insert":
        if again and _is_there(document, edit):
            return document
        return document.insert(
            edit.category, edit.category_name, edit.entry, edit.position, seam=edit.seam
        )
    spot = find(document, edit)
    if spot is None:
        return document
    if edit.action == "replace":
        return document.replace(*spot, edit.entry)
    shorter = document.remove(*spot, hollow=edit.hollow)
    if edit.new_category:
        return shorter.without_category(edit.category, edit.hollow_list)
    return shorter


def find(document: Document, edit: Edit) -> tuple[int, int] | None:
    """Where the entry that an edit takes out or rewrites stands: category index and position."""
    sought = edit.was if edit.action == "replace" and edit.was is not None else edit.entry
    return find_value(document, Document.value_of(sought), edit.category, edit.position)


def find_value(
    document: Document, value: Any, category: str, position: int | None
) -> tuple[int, int] | None:
    """Where an entry that says `value` stands; the place that is named is preferred."""
    for one in document.categories:  # where it is said to be, it nearly always is
        here = position is not None and 0 <= position < len(one.values) and one.id == category
        if here and position is not None and one.values[position] == value:
            return one.index, position
    best: tuple[bool, tuple[int, int]] | None = None
    for one in document.categories:
        at_home = one.id == category
        for place, said in enumerate(one.values):
            if said == value and (best is None or at_home > best[0]):
                best = at_home, (one.index, place)
    return best[1] if best else None


def _is_there(document: Document, edit: Edit) -> bool:
    value = Document.value_of(edit.entry)
    if find_value(document, value, edit.category, edit.position) is not None:
        return True
    wanted = identity(value)
    return wanted is not None and any(
        identity(said) == wanted for category in document.categories for said in category.values
    )


def identity(value: Any) -> tuple[str, str] | None:
    """What stays the same when another program refreshes an entry's other fields."""
    if not isinstance(value, dict) or value.get("civitai_version_id") is None:
        return None
    return str(value["civitai_version_id"]), str(value.get("file"))
