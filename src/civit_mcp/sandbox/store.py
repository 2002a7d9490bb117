"""The stand-in's facts, read from a folder of answers.

    rest/models/<id>[_note].json                models, in any of CivitAI's shapes
    rest/models_pages/*.json                    list answers; their items count as models
    rest/model_versions/<id>[_note].json        answers about one version
    rest/model_versions_entries/<id>_<date>.json  versions whose model was not recorded
    rest/by_hash/<versionId>.json               answers to a hash look-up
    rest/images/*.json                          one image row, or {"items": [row, ...]}
    rest/enums/*.json, rest/tags/limit_<n>.json, rest/creators/limit_<n>.json
    trpc/<procedure>/<id>.json                  whole envelopes

`<id>.json` beats `<id>_note.json`; among entries the newest date wins. A file that cannot be
read is named on stderr and skipped. Facts that CivitAI knows but shows at other addresses
only are in keys that never leave the stand-in as they are: `_model`, `_version`, `_file` and
`_image`, each an object. A model with a `_model` key is a source to derive every answer from;
one without is a recorded answer to `models/<id>`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A version with what is known around it."""

    version: Json
    model: Json | None = None


class Store:
    """Everything under one folder, read on first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def models(self) -> dict[int, Json]:
        """All models by id."""
        found: dict[int, Json] = {}
        for path in self._files("rest/models_pages"):
            for item in _rows(self._read(path)):
                _keep(found, item, "modelVersions")
        for path in self._files("rest/models"):
            _keep(found, self._read(path), "modelVersions")
        return dict(sorted(found.items()))

    @cached_property
    def recorded_versions(self) -> dict[int, Json]:
        """Recorded whole bodies of versions; those asked for by id win."""
        found: dict[int, Json] = {}
        for folder in ("rest/by_hash", "rest/model_versions"):
            for path in self._files(folder):
                _keep(found, self._read(path), "files")
        return found

    @cached_property
    def versions(self) -> dict[int, Found]:
        """All versions by id, richest source first."""
        found: dict[int, Found] = {}
        for model in self.models.values():
            for version in rows(model, "modelVersions"):
                version_id = id_of(version)
                if version_id is not None:
                    found.setdefault(version_id, Found(version=version, model=model))
        lonely: dict[int, Json] = {}
        # sorted by name, so the last one of an id has the newest date
        for path in self._files("rest/model_versions_entries"):
            _keep(lonely, self._read(path), "files")
        for version_id, version in {**lonely, **self.recorded_versions}.items():
            parent = self.models.get(version.get("modelId") or 0)
            found.setdefault(version_id, Found(version=version, model=parent))
        return found

    @cached_property
    def owners(self) -> dict[str, list[int]]:
        """Upper-case hash to the ids of published versions that own it, earliest first."""
        found: dict[str, list[int]] = {}
        for version_id, hit in sorted(self.versions.items(), key=_age):
            if not self.is_public(version_id):
                continue
            for file in rows(hit.version, "files"):
                hashes = file.get("hashes")
                for value in hashes.values() if isinstance(hashes, dict) else ():
                    if isinstance(value, str) and value:
                        owners = found.setdefault(value.upper(), [])
                        if version_id not in owners:
                            owners.append(version_id)
        return found

    @cached_property
    def image_rows(self) -> list[Json]:
        """Recorded image rows as they are in the files."""
        found: dict[int, Json] = {}
        for path in self._files("rest/images"):
            read = self._read(path)
            for row in _rows(read) or ([read] if read else []):
                image_id = id_of(row)
                if image_id is not None:
                    found[image_id] = row
        return list(found.values())

    @cached_property
    def enums(self) -> Json | None:
        """A recorded answer to `enums`."""
        return next(filter(None, map(self._read, self._files("rest/enums"))), None)

    def is_public(self, version_id: int) -> bool:
        """Whether REST shows the version: it and its model are published."""
        hit = self.versions.get(version_id)
        if hit is None or extra(hit.version, "_version").get("status", "Published") != "Published":
            return False
        if hit.version.get("nsfwLevel") == 0 and "_version" in hit.version:
            return False
        return hit.model is None or model_is_public(hit.model)

    def listing(self, name: str, limit: str) -> Json | None:
        """A recorded answer to `<name>?limit=<limit>`."""
        path = self._folder / "rest" / name / f"limit_{limit}.json"
        return self._read(path) if limit.isdigit() and path.is_file() else None

    def envelope(self, procedure: str, item_id: int) -> Json | None:
        """A recorded tRPC answer."""
        if not procedure.replace(".", "").isalnum():
            return None
        path = self._folder / "trpc" / procedure / f"{item_id}.json"
        return self._read(path) if path.is_file() else None

    def _files(self, folder: str) -> Iterator[Path]:
        """JSON files of a folder, those with a note first, so that exact names win."""
        paths = (self._folder / folder).glob("*.json")
        return iter(sorted(paths, key=lambda path: ("_" not in path.stem, path.stem)))

    def _read(self, path: Path) -> Json | None:
        try:
            value = json.loads(path.read_text(encoding="utf-8"), strict=False)
        except (OSError, ValueError, RecursionError) as error:
            print(f"civit-mcp sandbox: skipped '{path}': {error}", file=sys.stderr)  # noqa: T201 - the operator has no other channel here
            return None
        if isinstance(value, dict):
            return value
        print(f"civit-mcp sandbox: skipped '{path}': no JSON object", file=sys.stderr)  # noqa: T201 - as above
        return None


def rows(parent: Json, key: str) -> list[Json]:
    """Objects of a list that may be missing, null or mixed."""
    value = parent.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def extra(owner: Json, key: str) -> Json:
    """One of the inner keys; empty when there is none."""
    value = owner.get(key)
    return value if isinstance(value, dict) else {}


def id_of(value: Json) -> int | None:
    """The id of a recorded thing; some recordings hold ids as text."""
    found = value.get("id")
    if isinstance(found, str) and found.isascii() and found.isdecimal():
        found = int(found)
    return found if is_id(found) else None


def is_id(value: object) -> TypeGuard[int]:
    """Whether `value` can be an id of CivitAI."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def model_is_public(model: Json) -> bool:
    """Whether the model is published."""
    return bool(extra(model, "_model").get("status", "Published") == "Published")


def _rows(value: Json | None) -> list[Json]:
    return rows(value, "items") if value else []


def _keep(found: dict[int, Json], value: Json | None, needs: str) -> None:
    """Keep what has an id and looks like its kind; a null list is one of CivitAI's shapes."""
    found_id = id_of(value) if value else None
    if value and found_id is not None and isinstance(value.get(needs) or [], list):
        found[found_id] = value


def _age(entry: tuple[int, Found]) -> tuple[str, int]:
    version_id, hit = entry
    stamp = hit.version.get("publishedAt") or hit.version.get("createdAt")
    return (stamp if isinstance(stamp, str) else "9999", version_id)
