"""Deciding how a change is taken back, and whether that is still safe.

Taking back is a change like any other, made of the old one's edits turned round. It is refused
when something that happened since would be lost or doubled by it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from civit_mcp.catalog import naming
from civit_mcp.catalog.amend import amended
from civit_mcp.catalog.change import Change, Edit, find, identity
from civit_mcp.catalog.document import Document
from civit_mcp.catalog.table import text_of
from civit_mcp.catalog.verbs import folder_key
from civit_mcp.errors import Conflict, NotFound
from civit_mcp.models.catalogued import CatalogName, ChangeAnswer
from civit_mcp.text import quoted

Documents = Mapping[CatalogName, Document]
#: entries, places and fields that an answer names
_MOST_TOLD: Final = 5


def to_undo(changes: Sequence[Change], change_id: str | None) -> Change:
    """Find the change that is meant; without an id the newest that still holds.

    A change that takes another back is no candidate of its own accord, so that asking again
    and again goes back step by step; by its id it can be taken back too.

    Raises:
        NotFound: there is none.
    """
    if change_id is not None:
        for change in reversed(changes):
            if change.id == change_id:
                return change
        raise NotFound(
            f"the history has no change {quoted(change_id, 80)}",
            "read the ids with catalog_history",
        )
    gone = undone(changes)
    for change in reversed(changes):
        if change.undoes is None and change.id not in gone:
            return change
    raise NotFound("no change is left to undo", "see catalog_history")


def undone(changes: Sequence[Change]) -> dict[str, str]:
    """Ids of the changes that are taken back at present, each with the change that did it."""
    by_id = {change.id: change for change in changes}
    state: dict[str, str] = {}
    for change in changes:
        if change.undoes is None:
            continue
        state[change.undoes] = change.id
        # taking back a taking back brings the first one into force again
        first = by_id.get(change.undoes)
        if first is not None and first.undoes is not None:
            state.pop(first.undoes, None)
    return state


def inverse(documents: Documents, changes: Sequence[Change], change: Change) -> tuple[Edit, ...]:
    """The edits that take a change back, as the files are now.

    Raises:
        Conflict: an entry is no longer as the change left it, or stands in the way.
    """
    by = undone(changes).get(change.id)
    if by is not None:
        raise Conflict(
            f"change '{change.id}' was taken back already by '{by}'",
            f"undo '{by}' to have it again",
        )
    later = changes[_place(changes, change) + 1 :]
    turned = [edit.turned_round() for edit in reversed(change.edits)]
    planned: list[Edit] = []
    shrunk = dict(documents)
    for edit in turned:
        if edit.action == "insert":
            planned.append(edit)
            continue
        fitted = _fitted(shrunk[edit.catalog], edit)
        if fitted is None:
            raise _altered(edit, change, later)
        planned.append(fitted)
        if fitted.action == "remove":
            spot = find(shrunk[edit.catalog], fitted)
            assert spot is not None
            shrunk[edit.catalog] = shrunk[edit.catalog].remove(*spot)
    _require_room(shrunk, planned, change, later)
    # what comes back comes first, as in any move: never is the entry nowhere
    return (
        *(edit for edit in planned if edit.action == "insert"),
        *(edit for edit in planned if edit.action != "insert"),
    )


def told(change: Change, edits: Sequence[Edit]) -> ChangeAnswer:
    """The answer about a change that `edits` take back: what it was, and what is where now.

    An entry that the change brought in stands nowhere now; then it is told where it stood.
    """
    by_file: dict[str, list[Edit]] = {}
    for edit in edits:
        by_file.setdefault(_fact(edit, "file"), []).append(edit)
    words = [_words(file, group) for file, group in by_file.items()]
    said = "; ".join(words[:_MOST_TOLD])
    if len(words) > _MOST_TOLD:
        said += f"; and so {len(words) - _MOST_TOLD} entries more"
    note = f"took back '{change.verb}' of {change.time}"
    answer = ChangeAnswer(
        status="undone", undoes=change.id, notes=[f"{note}: {said}" if said else note]
    )
    if len(by_file) != 1:
        return answer
    # what comes in comes first
    place = edits[0]
    facts = {name: _fact(place, name) or None for name in ("file", "name", "dest")}
    return answer.model_copy(
        update={**facts, "catalog": place.catalog, "category": text_of(place.category)}
    )


def _words(file: str, edits: Sequence[Edit]) -> str:
    """What the edits of one model file's entries do, in words."""
    parts: dict[str, None] = {}
    for edit in edits:
        place = f"{edit.catalog}.json, category '{naming.clean(edit.category)[:80]}'"
        match edit.action:
            case "insert":
                parts[f"is back in {place}"] = None
            case "remove":
                parts[f"is out of {place}"] = None
            case "replace":
                fields = _differing(edit.was or "null", edit.entry)
                parts[f"in {place} has its former {fields}"] = None
    return f"'{naming.clean(file)[:120]}' {' and '.join(list(parts)[:_MOST_TOLD])}"


def _differing(one: str, other: str) -> str:
    """Names of the fields in which two entries differ."""
    old, new = Document.value_of(one), Document.value_of(other)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return "content"
    names = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    shown = [f"'{naming.clean(key)[:40]}'" for key in names[:_MOST_TOLD]]
    more = [f"{len(names) - len(shown)} more"] if len(names) > len(shown) else []
    return ", ".join([*shown, *more]) or "spelling"


def _fact(edit: Edit, name: str) -> str:
    said = Document.value_of(edit.entry)
    return text_of(said.get(name)) if isinstance(said, dict) else ""


def _place(changes: Sequence[Change], change: Change) -> int:
    return max(index for index, one in enumerate(changes) if one.id == change.id)


def _fitted(document: Document, edit: Edit) -> Edit | None:
    """The edit as it can be made now; None when its entry is no longer what it was."""
    spot = find(document, edit)
    if spot is not None:
        home = next(one for one in document.categories if one.index == spot[0])
        if home.id == edit.category:
            return edit
        return None
    return _merged(document, edit) if edit.action == "replace" else None


def _merged(document: Document, edit: Edit) -> Edit | None:
    """Take back single fields of an entry whose other fields were edited since."""
    old, new = Document.value_of(edit.entry), Document.value_of(edit.was or "null")
    wanted = _key(new)
    if not isinstance(old, dict) or not isinstance(new, dict) or wanted is None:
        return None
    fields = {k: old.get(k) for k in {**new, **old} if old.get(k) != new.get(k)}
    for home in document.categories:
        if home.id != edit.category:
            continue
        for position, said in enumerate(home.values):
            if _key(said) != wanted:
                continue
            if any(said.get(name) != new.get(name) for name in fields):
                return None
            text = home.source(position)
            made = amended(text, fields)
            return Edit(
                catalog=edit.catalog,
                action="replace",
                category=home.id,
                category_name=home.name,
                entry=made,
                was=text,
                position=position,
            )
    return None


def _require_room(
    documents: Documents, planned: Sequence[Edit], change: Change, later: Sequence[Change]
) -> None:
    """Refuse to put back an entry that is in the catalog again."""
    coming = {_key(Document.value_of(e.entry)) for e in planned if e.action == "insert"} - {None}
    if not coming:
        return
    for name, document in documents.items():
        for home in document.categories:
            for said in home.values:
                if _key(said) in coming:
                    culprit = _last_about(later, said)
                    how = f"by change '{culprit}'" if culprit else "by another program"
                    raise Conflict(
                        f"change '{change.id}' cannot be taken back: "
                        f"'{text_of(said.get('file'))}' is in {name}.json again, put there {how}",
                        f"undo '{culprit}' first" if culprit else "remove that entry first",
                    )


def _key(value: Any) -> tuple[str, str] | None:
    """What makes two entries the same model; None for what has no name at all."""
    if not isinstance(value, dict):
        return None
    known = identity(value)
    if known is not None:
        return known
    file = text_of(value.get("file"))
    return (f"in {folder_key(text_of(value.get('dest')))}", naming.key(file)) if file else None


def _altered(edit: Edit, change: Change, later: Sequence[Change]) -> Conflict:
    sought = edit.was if edit.action == "replace" and edit.was is not None else edit.entry
    value = Document.value_of(sought)
    name = text_of(value.get("file")) if isinstance(value, dict) else ""
    culprit = _last_about(later, value)
    if culprit is not None:
        return Conflict(
            f"change '{change.id}' cannot be taken back: '{name}' was altered since by change "
            f"'{culprit}'",
            f"undo '{culprit}' first",
        )
    return Conflict(
        f"change '{change.id}' cannot be taken back: another program edited or removed '{name}' "
        f"in {edit.catalog}.json since",
        "change the entry by hand, or with edit_catalog_entry",
    )


def _last_about(later: Sequence[Change], value: Any) -> str | None:
    """The newest of the later changes that still holds and touched the same entry."""
    wanted = _key(value)
    gone = undone(later)
    for change in reversed(later):
        if change.id in gone or (change.undoes is not None and change.undoes in {
            one.id for one in later
        }):  # fmt: skip
            continue
        for edit in change.edits:
            texts = [edit.entry] if edit.was is None else [edit.entry, edit.was]
            if any(_key(Document.value_of(text)) == wanted for text in texts) and wanted:
                return change.id
    return None
