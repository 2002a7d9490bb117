"""Deciding what adding versions to models.json makes of the catalog."""

import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from civit_mcp.catalog import naming, routing
from civit_mcp.catalog.change import Edit
from civit_mcp.catalog.snapshot import Snapshot
from civit_mcp.catalog.table import Entry, text_of
from civit_mcp.catalog.verbs import folder_key, put_in
from civit_mcp.errors import BadReference
from civit_mcp.models.base_models import look_up
from civit_mcp.models.catalogued import AddAnswer
from civit_mcp.models.delivery import gate_of, main_file
from civit_mcp.models.records import FileRecord, VersionRecord

NO_ROOT = "no models root is set, so every file counts as missing"


def chosen(version: VersionRecord, file_id: int | None) -> FileRecord | None:
    """Find the file that is meant; raises `BadReference` for an id that the version lacks."""
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


@dataclass(frozen=True, slots=True)
class _Coming:
    """What an entry of the same change will be."""

    answer: AddAnswer
    sha256: str
    file_id: int | None


@dataclass
class Adding:
    """One change that adds any number of versions to a catalog as it is at one moment."""

    snapshot: Snapshot
    now: datetime
    edits: list[Edit] = field(default_factory=list)
    _versions: dict[int, _Coming] = field(default_factory=dict)
    _names: dict[str, list[_Coming]] = field(default_factory=dict)

    def add(self, version: VersionRecord, file: FileRecord | None) -> AddAnswer:
        """Decide about one version; an edit more if it is to be added."""
        there = self.snapshot.by_version(version.id)
        if there is not None:
            return self._already(there, file)
        if version.id in self._versions:
            return _twice(self._versions[version.id], file)
        gate = gate_of(version, self.now)
        if gate is not None and not (gate.kind == "no_public_file" and file is not None):
            return AddAnswer(status="restricted", reason=gate.reason)
        if file is None:
            return _refused("the version has no public model file")
        main = main_file(version)
        place = routing.route(version, file, is_main=main is None or main is file)
        if isinstance(place, str):
            return _refused(place)
        name = naming.safe_file_name(file.name)
        if not name:
            return _refused(f"the file's name '{naming.clean(file.name)}' cannot be used on a disk")
        return self._new(version, file, place, name)

    def _new(
        self, version: VersionRecord, file: FileRecord, place: routing.Place, name: str
    ) -> AddAnswer:
        sha256 = file.hashes.get("SHA256", "").upper()
        notes = []
        for other in self.snapshot.by_file(name):
            if sha256 and other.hash == sha256 and folder_key(other.dest) == folder_key(place.dest):
                return self._already(other, file)
        for coming in self._names.get(naming.key(name), ()):
            if sha256 and coming.sha256 == sha256 and coming.answer.dest == place.dest:
                return _twice(coming, file)
        if name != file.name:
            notes.append(f"stored as '{name}'; CivitAI's own name is not safe on every disk")
        if self._is_taken(naming.key(name)):
            taken = name
            name = naming.unique(name, version.id, is_taken=self._is_taken)
            notes.append(f"'{taken}' is another entry's file, so this one is called '{name}'")
        twin = self.snapshot.by_sha256(sha256)
        if twin is not None:
            notes.append(f"the same content is in the catalog as '{twin.file}' in '{twin.dest}'")
        existing = [one.id for one in self.snapshot.sources["models"].categories]
        existing += [edit.category for edit in self.edits]
        category = _category(version, place, existing)
        entry = entry_of(version, file, name=name, dest=place.dest)
        text = json.dumps(entry, ensure_ascii=False)
        self.edits.append(put_in("models", category, place.name, text))
        if self._root is None:
            notes.append(NO_ROOT)
        answer = AddAnswer(
            status="added",
            file=name,
            name=entry["name"],
            category=category,
            dest=place.dest,
            catalog_status=("present" if self.snapshot.roots.find(place.dest, name) else "missing"),
            notes=notes,
        )
        coming = _Coming(answer, sha256, file.id)
        self._versions[version.id] = coming
        self._names.setdefault(naming.key(name), []).append(coming)
        return answer

    @property
    def _root(self) -> Path | None:
        return self.snapshot.models_root

    def _is_taken(self, file_key: str) -> bool:
        return file_key in self._names or self.snapshot.has_file(file_key)

    def _already(self, there: Entry, file: FileRecord | None) -> AddAnswer:
        notes = []
        if file is not None and file.id is not None and there.file_id not in (None, str(file.id)):
            notes.append(
                f"the entry holds file {there.file_id} of the version; file {file.id} was not added"
            )
        if self._root is None:
            notes.append(NO_ROOT)
        return AddAnswer(
            status="already_exists",
            file=there.file,
            name=there.name,
            category=there.category_id,
            dest=there.dest,
            catalog_status=self.snapshot.status(there),
            notes=notes,
        )


def _twice(coming: _Coming, file: FileRecord | None) -> AddAnswer:
    notes = ["it stands twice in this call"]
    if file is not None and coming.file_id != file.id:
        notes.append(f"file {coming.file_id} of the version was added; file {file.id} was not")
    return coming.answer.model_copy(update={"status": "already_exists", "notes": notes})


def _refused(reason: str) -> AddAnswer:
    return AddAnswer(status="restricted", reason=reason)


def _category(version: VersionRecord, place: routing.Place, existing: list[str]) -> str:
    family = look_up(version.base_model).family
    wanted = (place.category, f"{family}_{place.category}")
    return routing.fitting(wanted, existing) or place.category


def entry_of(version: VersionRecord, file: FileRecord, *, name: str, dest: str) -> dict[str, Any]:
    """An entry in the fields and order that ComfyUI Studio writes; never a URL or a key."""
    entry: dict[str, Any] = {
        "name": naming.display_name(version, file),
        "file": name,
        "dest": dest,
        "source": "civitai",
        "civitai_version_id": version.id,
        "civitai_model_id": version.model_id,
        "civitai_file_id": file.id,
        "size_gb": gigabytes(file.size_kb),
        "base_model": text_of(version.base_model),
        "tags": [],
        "trigger_words": [text_of(word) for word in version.trigger_words if word.strip()],
        "downloads": version.downloads,
        "hash": file.hashes.get("SHA256", ""),
    }
    optional = ("civitai_model_id", "civitai_file_id", "trigger_words", "downloads", "hash")
    return {key: value for key, value in entry.items() if value or key not in optional}


def gigabytes(kibibytes: float | None) -> float:
    """10^9 bytes, three decimals; 0 when the size is unknown."""
    if kibibytes is None or not math.isfinite(kibibytes) or kibibytes < 0:
        return 0.0
    return round(kibibytes * 1024 / 1e9, 3)
