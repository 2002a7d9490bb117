"""The verbs: what may be done with the catalog.

Each verb decides purely, from what both files say, and hands its change to the store.
"""

import json
import math
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from civit_mcp import files
from civit_mcp.catalog import naming, routing
from civit_mcp.catalog.change import NAMES, Change, Edit
from civit_mcp.catalog.document import EMPTY
from civit_mcp.catalog.presence import status_of
from civit_mcp.catalog.preview import diff_of
from civit_mcp.catalog.snapshot import (
    DocumentInfo,
    Entry,
    Snapshot,
    categories_of,
    entries_of,
    text_of,
)
from civit_mcp.catalog.transaction import Decision, State, Store, aware
from civit_mcp.errors import BadReference, NotALora, NotFound
from civit_mcp.models.base_models import look_up
from civit_mcp.models.catalogued import AddAnswer, CatalogName, PromoteAnswer
from civit_mcp.models.delivery import gate_of, main_file
from civit_mcp.models.records import FileRecord, VersionRecord

A = TypeVar("A", AddAnswer, PromoteAnswer)
NO_ROOT: Final = "no models root is set, so every file counts as missing"


def _now() -> datetime:
    return datetime.now(UTC)


class Catalog:
    """`models.json` and `loras.json` of one folder. Synchronous and thread-safe."""

    def __init__(
        self,
        folder: Path,
        models_root: Path | None = None,
        *,
        lock_timeout: float = 10.0,
        now: Callable[[], datetime] = _now,
        disk: files.Disk | None = None,
    ) -> None:
        """Take the folders; nothing is read or made before it is needed."""
        self.folder = folder
        self.models_root = models_root
        self._store = Store(folder, lock_timeout=lock_timeout, now=now, disk=disk)
        self._now = now
        self._known: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """Both files as of one moment; cheap while the files stay as they are."""
        return self._snapshot(self._store.read())

    def raw(self, name: CatalogName) -> str:
        """One file's text as it stands; a file that is not there reads as an empty catalog."""
        text = self._store.text(name)
        return EMPTY if text is None else text

    def history(self) -> list[Change]:
        """Every change that was made through civit-mcp, oldest first."""
        return self._store.private.changes()

    def add(
        self, version: VersionRecord, file_id: int | None = None, *, dry_run: bool = False
    ) -> AddAnswer:
        """Put a version's file into models.json.

        The main file unless `file_id` names another. Raises `BadReference` for a file id
        that the version does not have, `CatalogUnreadable`, `CatalogLocked`, `Conflict`.
        """
        file = _chosen(version, file_id)

        def decide(state: State) -> Decision[AddAnswer]:
            return self._add(state, version, file)

        return self._run(decide, dry_run=dry_run)

    def promote(self, version_id: int, *, dry_run: bool = False) -> PromoteAnswer:
        """Move a LoRA from models.json into its category of loras.json, unchanged.

        Raises `NotFound` when neither file has it, `NotALora`, `CatalogUnreadable`,
        `CatalogLocked`, `Conflict`.
        """

        def decide(state: State) -> Decision[PromoteAnswer]:
            return self._promote(state, version_id)

        return self._run(decide, dry_run=dry_run)

    def _run(self, decide: Callable[[State], Decision[A]], *, dry_run: bool) -> A:
        if not dry_run:
            return self._store.write(decide)
        state = self._store.read(recover=False)
        decision = decide(state)
        shown: dict[str, Any] = {"dry_run": True, "change_id": None}
        if decision.change is not None:
            existing = [name for name in NAMES if state.seen[name].digest is not None]
            shown["diff"] = diff_of(
                decision.change, state.documents, existing=existing, date=self._store.date()
            )
        return decision.answer.model_copy(update=shown)

    def _snapshot(self, state: State) -> Snapshot:
        known = self._known
        exists = {name: state.seen[name].digest is not None for name in NAMES}
        if known is not None and all(
            known.sources[name] is state.documents[name]
            and known.documents[name].exists == exists[name]
            for name in NAMES
        ):
            return known
        entries: list[Entry] = []
        for name in NAMES:
            document = state.documents[name]
            if known is not None and known.sources[name] is document:
                entries += (entry for entry in known.entries if entry.catalog == name)
            else:
                entries += entries_of(name, document)
        snapshot = Snapshot(
            entries=tuple(entries),
            documents={
                name: DocumentInfo(one.path, exists[name], one.version, one.date)
                for name, one in state.documents.items()
            },
            categories=categories_of(entries, state.documents),
            models_root=self.models_root,
            sources=state.documents,
            remembered=self._store.private.last_change,
        )
        self._known = snapshot
        return snapshot

    # -- deciding

    def _add(
        self, state: State, version: VersionRecord, file: FileRecord | None
    ) -> Decision[AddAnswer]:
        catalog = self._snapshot(state)
        if (there := catalog.by_version(version.id)) is not None:
            return Decision(self._already(catalog, there, file))
        gate = gate_of(version, aware(self._now()))
        if gate is not None and not (gate.kind == "no_public_file" and file is not None):
            return Decision(AddAnswer(status="restricted", reason=gate.reason))
        if file is None:
            return _refused("the version has no public model file")
        main = main_file(version)
        place = routing.route(version, file, is_main=main is None or main is file)
        if isinstance(place, str):
            return _refused(place)
        name = naming.safe_file_name(file.name)
        if not name:
            return _refused(f"the file's name '{naming.clean(file.name)}' cannot be used on a disk")
        sha256 = file.hashes.get("SHA256", "").upper()
        notes = []
        for other in catalog.by_file(name):
            if sha256 and other.hash == sha256 and _folder(other.dest) == _folder(place.dest):
                return Decision(self._already(catalog, other, file))
        if name != file.name:
            notes.append(f"stored as '{name}'; CivitAI's own name is not safe on every disk")
        if catalog.by_file(name):
            taken = name
            name = naming.unique(name, version.id, catalog.file_keys)
            notes.append(f"'{taken}' is another entry's file, so this one is called '{name}'")
        twin = catalog.by_sha256(sha256)
        if twin is not None:
            notes.append(f"the same content is in the catalog as '{twin.file}' in '{twin.dest}'")
        existing = [one.id for one in state.documents["models"].categories]
        category = _category(version, place, existing)
        entry = _entry(version, file, name=name, dest=place.dest)
        edit = _insert(state, "models", category, place.name, json.dumps(entry, ensure_ascii=False))
        if self.models_root is None:
            notes.append(NO_ROOT)
        change = self._change("add", version.id, (edit,))
        answer = AddAnswer(
            status="added",
            file=name,
            name=entry["name"],
            category=category,
            dest=place.dest,
            catalog_status=status_of(self.models_root, place.dest, name),
            change_id=change.id,
            notes=notes,
        )
        return Decision(answer, change)

    def _already(self, catalog: Snapshot, there: Entry, file: FileRecord | None) -> AddAnswer:
        notes = []
        if file is not None and file.id is not None and there.file_id not in (None, str(file.id)):
            notes.append(
                f"the entry holds file {there.file_id} of the version; file {file.id} was not added"
            )
        if self.models_root is None:
            notes.append(NO_ROOT)
        return AddAnswer(
            status="already_exists",
            file=there.file,
            name=there.name,
            category=there.category_id,
            dest=there.dest,
            catalog_status=catalog.status(there),
            notes=notes,
        )

    def _promote(self, state: State, version_id: int) -> Decision[PromoteAnswer]:
        found = self._snapshot(state).all_of_version(version_id)
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
        out = tuple(_remove(entry) for entry in moving)
        if kept:
            return self._kept(kept[0], moving, out)
        first = moving[0]
        base = first.base_model or text_of(first.raw.get("civitai_base_model"))
        existing = [one.id for one in state.documents["loras"].categories]
        category, name = routing.style_category(base, existing)
        # an entry that stands twice moves once
        once = {(_folder(entry.dest), naming.key(entry.file)): entry for entry in moving[::-1]}
        into = tuple(
            _insert(state, "loras", category, name, entry.text, after=place)
            for place, entry in enumerate(reversed(once.values()))
        )
        change = self._change("promote", version_id, (*into, *out))
        notes = []
        if len(moving) > len(into):
            notes.append(f"it stood {len(moving)} times in models.json; it is once in loras.json")
        answer = PromoteAnswer(
            status="promoted",
            file=first.file,
            name=first.name,
            category=category,
            dest=first.dest,
            change_id=change.id,
            notes=notes,
        )
        return Decision(answer, change)

    def _kept(
        self, kept: Entry, moving: list[Entry], out: tuple[Edit, ...]
    ) -> Decision[PromoteAnswer]:
        notes = []
        change = None
        if moving:
            change = self._change("promote", kept.version_id, out)
            notes.append("it was in both files; the one in models.json was removed")
            if any(entry.raw != kept.raw for entry in moving):
                notes.append("the removed one had other fields; the history keeps it whole")
        answer = PromoteAnswer(
            status="already_exists",
            file=kept.file,
            name=kept.name,
            category=kept.category_id,
            dest=kept.dest,
            change_id=change.id if change else None,
            notes=notes,
        )
        return Decision(answer, change)

    def _change(self, verb: str, version_id: int | str | None, edits: tuple[Edit, ...]) -> Change:
        moment = aware(self._now()).astimezone(UTC)
        return Change(
            id=f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
            time=moment.isoformat(timespec="seconds"),
            verb=verb,
            version_id=None if version_id is None else str(version_id),
            edits=edits,
        )


def _chosen(version: VersionRecord, file_id: int | None) -> FileRecord | None:
    if file_id is None:
        return main_file(version)
    for file in version.files:
        if file.id == file_id:
            return file
    if not version.files:
        return None
    choice = ", ".join(f"{file.id} ('{naming.clean(file.name)}')" for file in version.files)
    raise BadReference(
        f"version '{version.id}' has no file '{file_id}'", f"choose one of its files: {choice}"
    )


def _refused(reason: str) -> Decision[AddAnswer]:
    return Decision(AddAnswer(status="restricted", reason=reason))


def _category(version: VersionRecord, place: routing.Place, existing: list[str]) -> str:
    family = look_up(version.base_model).family
    wanted = (place.category, f"{family}_{place.category}")
    return routing.fitting(wanted, existing) or place.category


def _entry(version: VersionRecord, file: FileRecord, *, name: str, dest: str) -> dict[str, Any]:
    """An entry in the fields and order that ComfyUI Studio writes; never a URL or a key."""
    entry: dict[str, Any] = {
        "name": naming.display_name(version, file),
        "file": name,
        "dest": dest,
        "source": "civitai",
        "civitai_version_id": version.id,
        "civitai_model_id": version.model_id,
        "civitai_file_id": file.id,
        "size_gb": _gigabytes(file.size_kb),
        "base_model": text_of(version.base_model),
        "tags": [],
        "trigger_words": [text_of(word) for word in version.trigger_words if word.strip()],
        "downloads": version.downloads,
        "hash": file.hashes.get("SHA256", ""),
    }
    optional = ("civitai_model_id", "civitai_file_id", "trigger_words", "downloads", "hash")
    return {key: value for key, value in entry.items() if value or key not in optional}


def _gigabytes(kibibytes: float | None) -> float:
    """10^9 bytes, three decimals; 0 when the size is unknown."""
    if kibibytes is None or not math.isfinite(kibibytes) or kibibytes < 0:
        return 0.0
    return round(kibibytes * 1024 / 1e9, 3)


def _insert(
    state: State, catalog: CatalogName, category: str, name: str, text: str, *, after: int = 0
) -> Edit:
    """Put an entry at the end of a category, `after` others of the same change."""
    homes = [one for one in state.documents[catalog].categories if one.id == category]
    return Edit(
        catalog=catalog,
        action="insert",
        category=category,
        category_name=homes[0].name if homes else name,
        entry=text,
        position=(len(homes[0].entries) if homes else 0) + after,
        new_category=not homes and not after,
    )


def _remove(entry: Entry) -> Edit:
    return Edit(
        catalog=entry.catalog,
        action="remove",
        category=entry.category_id,
        category_name=entry.category_name,
        entry=entry.text,
        position=entry.position,
    )


def _folder(dest: str) -> str:
    return dest.replace("\\", "/").strip("/").casefold()
