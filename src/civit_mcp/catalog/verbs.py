"""What all verbs share: which entry is meant, and how a change is put together."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from civit_mcp.catalog.change import Change, Edit
from civit_mcp.catalog.snapshot import Snapshot
from civit_mcp.catalog.table import Entry, id_text
from civit_mcp.errors import BadReference, NotFound
from civit_mcp.models.catalogued import CatalogName
from civit_mcp.text import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Which entry: by version id, or by file name, as entries from elsewhere have no id.

    `catalog` tells two entries in both files apart.
    """

    version_id: int | str | None = None
    file: str | None = None
    catalog: CatalogName | None = None

    def __str__(self) -> str:
        if self.version_id is None:
            return f"file {quoted(self.file or '', 200)}"
        return f"version {quoted(str(self.version_id), 200)}"


def locate(snapshot: Snapshot, address: Address) -> list[Entry]:
    """Find the entries at an address: one, or several that look alike in one place.

    Raises:
        NotFound: there is none.
        BadReference: it names nothing, or leads to entries that differ.
    """
    if id_text(address.version_id) is None and not address.file:
        raise BadReference("neither a version nor a file was named", "pass version_id or file")
    if id_text(address.version_id) is not None:
        found = list(snapshot.all_of_version(address.version_id))
    else:
        found = list(snapshot.by_file(address.file or ""))
    if address.file is not None:
        found = [entry for entry in found if entry.file == address.file] or _same_key(found)
    if address.catalog is not None:
        found = [entry for entry in found if entry.catalog == address.catalog]
    if not found:
        hint = f" of {address.catalog}.json" if address.catalog else ""
        close = snapshot.by_stem(address.file) if address.file else ()
        others = ", ".join(f"'{entry.file}'" for entry in close[:5])
        raise NotFound(
            f"no entry{hint} has {address}",
            f"pass one of {others}" if others else "look it up with list_catalog",
        )
    places = {(entry.catalog, folder_key(entry.dest), entry.file) for entry in found}
    if len(places) > 1:
        listed = "; ".join(
            f"'{entry.file}' in {entry.catalog}.json, folder '{entry.dest}'" for entry in found[:6]
        )
        raise BadReference(
            f"{address} leads to several entries: {listed}",
            "pass file, and catalog where both files have it",
        )
    return found


def _same_key(found: list[Entry]) -> list[Entry]:
    """An only entry whose name differs in case alone is meant; of several none is."""
    return found if len(found) == 1 else []


def new_change(
    now: datetime,
    verb: str,
    version_id: int | str | None,
    edits: Sequence[Edit],
    *,
    undoes: str | None = None,
) -> Change:
    """A change made now."""
    moment = now.astimezone(UTC)
    return Change(
        id=f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
        time=moment.isoformat(timespec="seconds"),
        verb=verb,
        version_id=None if version_id is None else str(version_id),
        edits=tuple(edits),
        undoes=undoes,
    )


def put_in(catalog: CatalogName, category: str, name: str, text: str) -> Edit:
    """Put an entry at the end of a category, made where it is not there."""
    return Edit(catalog=catalog, action="insert", category=category, category_name=name, entry=text)


def taken_out(entry: Entry) -> Edit:
    """Take an entry out."""
    return Edit(
        catalog=entry.catalog,
        action="remove",
        category=entry.category_id,
        category_name=entry.category_name,
        entry=entry.text,
        position=entry.position,
    )


def rewritten(entry: Entry, text: str) -> Edit:
    """Give an entry another text, where it stands."""
    return Edit(
        catalog=entry.catalog,
        action="replace",
        category=entry.category_id,
        category_name=entry.category_name,
        entry=text,
        was=entry.text,
        position=entry.position,
    )


def folder_key(dest: str) -> str:
    """What two spellings of a folder share."""
    return dest.replace("\\", "/").strip("/").casefold()
