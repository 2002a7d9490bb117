"""Deciding what taking out an entry, or putting it elsewhere, makes of the catalog."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from civit_mcp.catalog import naming, routing
from civit_mcp.catalog.amend import amended
from civit_mcp.catalog.change import Edit
from civit_mcp.catalog.presence import place
from civit_mcp.catalog.snapshot import Snapshot
from civit_mcp.catalog.table import Entry, text_of
from civit_mcp.catalog.verbs import Address, folder_key, locate, put_in, rewritten, taken_out
from civit_mcp.errors import BadReference, NotALora, NotFound
from civit_mcp.models.catalogued import CatalogName, ChangeAnswer, PromoteAnswer

#: stands for a models root where none is set
_ANY: Final = Path("models")
#: characters that a category's id may have when it is made here
_CATEGORY_LENGTH: Final = 80
#: entries that an answer names
_MOST_TOLD: Final = 5


@dataclass(frozen=True, slots=True)
class Moved:
    """Edits, and the answer that goes with them; no edits when there is nothing to do."""

    answer: ChangeAnswer
    edits: tuple[Edit, ...]


def promote(snapshot: Snapshot, version_id: int | str) -> tuple[PromoteAnswer, tuple[Edit, ...]]:
    """Move a LoRA from models.json into its category of loras.json, unchanged."""
    found = snapshot.all_of_version(version_id)
    kept = [entry for entry in found if entry.catalog == "loras"]
    here = [entry for entry in found if entry.catalog == "models"]
    moving = [entry for entry in here if routing.is_lora(entry.category_id, entry.dest)]
    if not found:
        raise NotFound(
            f"version '{version_id}' is in neither models.json nor loras.json",
            "add it with add_to_catalog first",
        )
    if not moving and not kept:
        raise NotALora(
            f"version '{version_id}' is '{here[0].file}' in category "
            f"'{here[0].category_id}' and folder '{here[0].dest}', which is no LoRA"
        )
    out = tuple(taken_out(entry) for entry in moving)
    if kept:
        return _kept(kept[0], moving), out
    first = moving[0]
    base = first.base_model or text_of(first.raw.get("civitai_base_model"))
    existing = [one.id for one in snapshot.sources["loras"].categories]
    category, name = routing.style_category(base, existing)
    # an entry that stands twice moves once
    once = {(folder_key(entry.dest), naming.key(entry.file)): entry for entry in moving[::-1]}
    into = tuple(put_in("loras", category, name, e.text) for e in reversed(once.values()))
    notes = []
    if len(moving) > len(into):
        notes.append(f"it stood {len(moving)} times in models.json; it is once in loras.json")
    answer = PromoteAnswer(
        status="promoted",
        file=first.file,
        name=first.name,
        category=category,
        dest=first.dest,
        notes=notes,
    )
    return answer, (*into, *out)


def _kept(kept: Entry, moving: list[Entry]) -> PromoteAnswer:
    notes = []
    if moving:
        notes.append("it was in both files; the one in models.json was removed")
        if any(entry.raw != kept.raw for entry in moving):
            notes.append("the removed one had other fields; the history keeps it whole")
    return PromoteAnswer(
        status="already_exists",
        file=kept.file,
        name=kept.name,
        category=kept.category_id,
        dest=kept.dest,
        notes=notes,
    )


def remove(snapshot: Snapshot, address: Address) -> Moved:
    """Take an entry out of its file; the model's own file on the disk stays."""
    found = locate(snapshot, address)
    entry = found[-1]
    notes = []
    if len(found) > 1:
        notes.append(f"it stood {len(found)} times in this place; the last one was removed")
    if snapshot.status(entry) == "present":
        notes.append("the model file itself stays on the disk")
    return Moved(_said("removed", entry, notes=notes), (taken_out(entry),))


def demote(snapshot: Snapshot, address: Address) -> Moved:
    """Move an entry from loras.json back into models.json, unchanged."""
    found = snapshot_of(snapshot, address, "loras")
    entry = found[-1]
    twin = _same_in(snapshot, entry, "models")
    if twin is not None:
        note = "models.json has it too; the one in loras.json was removed"
        return Moved(_said("demoted", twin, notes=[note]), (taken_out(entry),))
    existing = [one.id for one in snapshot.sources["models"].categories]
    category = routing.fitting(("loras",), existing) or "loras"
    into = put_in("models", category, routing.category_name(category), entry.text)
    alike = [
        f"models.json has '{other.file}' in '{other.dest}' too, which is not the same model; "
        "both are kept"
        for other in snapshot.by_file(entry.file)
        if other.catalog == "models"
    ]
    notes = alike[:_MOST_TOLD]
    if len(alike) > len(notes):
        more = len(alike) - len(notes)
        notes.append(f"{more} more have its file name; list_catalog finds all by it as query")
    answer = _said("demoted", entry, catalog="models", category=category, notes=notes)
    return Moved(answer, (into, taken_out(entry)))


def snapshot_of(snapshot: Snapshot, address: Address, catalog: CatalogName) -> list[Entry]:
    """Find the entries at an address in one of the files."""
    wanted = Address(version_id=address.version_id, file=address.file, catalog=catalog)
    return locate(snapshot, wanted)


def _same_in(snapshot: Snapshot, entry: Entry, catalog: CatalogName) -> Entry | None:
    """The entry of the same model in another file; one of the same file name may be another's."""
    for other in snapshot.by_file(entry.file):
        if other.catalog == catalog and _is_same(entry, other):
            return other
    return None


def _is_same(entry: Entry, other: Entry) -> bool:
    """Whether an entry may go because of another of its file name.

    It does not go where it alone tells the version.
    """
    if entry.version_id is not None:
        return entry.version_id == other.version_id
    return entry.hash == other.hash and folder_key(entry.dest) == folder_key(other.dest)


def move(snapshot: Snapshot, address: Address, *, category: str | None, dest: str | None) -> Moved:
    """Put an entry into another category of its file, or give it another folder."""
    entry = locate(snapshot, address)[-1]
    notes = []
    text = entry.text
    if dest is not None and dest != entry.dest:
        text = amended(text, {"dest": _safe_dest(snapshot, dest)})
        notes.append("the model file itself was not moved on the disk")
    home = entry.category_id
    if category is not None:
        existing = [one.id for one in snapshot.sources[entry.catalog].categories]
        # one that another program made is taken whatever its name is
        home = routing.fitting((category.strip(),), existing) or _new_category(category)
    folder = entry.dest if dest is None else _safe_dest(snapshot, dest)
    if home != entry.category_id:
        name = routing.category_name(home)
        edits: tuple[Edit, ...] = (taken_out(entry), put_in(entry.catalog, home, name, text))
    elif text != entry.text:
        edits = (rewritten(entry, text),)
    else:
        return Moved(_said("unchanged", entry), ())
    return Moved(_said("moved", entry, category=home, dest=folder, notes=notes), edits)


def _new_category(text: str) -> str:
    """The id of a category to make: a name that people can read and that an address can hold."""
    name = text.strip()
    if not name:
        raise BadReference("a category needs a name", "pass a category id")
    if len(name) > _CATEGORY_LENGTH:
        raise BadReference(
            f"a category's name has up to {_CATEGORY_LENGTH} characters, this one {len(name)}",
            "pass a shorter one",
        )
    if name != naming.clean(name) or not name.strip(".") or re.search(r"[/\\]", name):
        raise BadReference(
            f"'{naming.clean(name)}' cannot be a category's name: that is one line of text, more "
            "than dots, without slashes, backslashes and control characters",
            "pass a name like 'style_loras'",
        )
    return name


def _safe_dest(snapshot: Snapshot, dest: str) -> str:
    """A folder below the models root, with forward slashes."""
    cleaned = naming.clean(dest).replace("\\", "/")
    tidy = "/".join(part.strip() for part in cleaned.split("/") if part.strip() not in ("", "."))
    absolute = cleaned.startswith("/") or place(snapshot.models_root or _ANY, cleaned, "x") is None
    if not tidy or absolute:
        raise BadReference(
            f"'{naming.clean(dest)[:120]}' is no folder below the models root",
            "pass a folder like 'loras' or 'diffusion_models/WanVideo'",
        )
    for part in tidy.split("/"):
        if naming.safe_file_name(part) != part:
            raise BadReference(
                f"'{part[:120]}' cannot be a folder's name on every system",
                "choose a plain folder name",
            )
    return tidy


def _said(
    status: str,
    entry: Entry,
    *,
    catalog: CatalogName | None = None,
    category: str | None = None,
    dest: str | None = None,
    notes: list[str] | None = None,
) -> ChangeAnswer:
    return ChangeAnswer.model_validate(
        {
            "status": status,
            "file": entry.file,
            "name": entry.name,
            "catalog": catalog or entry.catalog,
            "category": category or entry.category_id,
            "dest": entry.dest if dest is None else dest,
            "notes": notes or [],
        }
    )
