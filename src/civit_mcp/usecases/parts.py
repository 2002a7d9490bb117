"""The parts of an image as rows: what each is, whether it is here, how to get it."""

from typing import Any

from civit_mcp.catalog import Entry, Snapshot
from civit_mcp.generation import Evidence
from civit_mcp.generation.merge import Dependency, Found
from civit_mcp.models.delivery import gate_of
from civit_mcp.models.facts import CatalogStatus
from civit_mcp.models.generated import DepRow, MissingRow, ResourceRow
from civit_mcp.models.records import ResourceRecord
from civit_mcp.text import one_line
from civit_mcp.usecases.rows import place_of, status_of, word


def resource_row(resource: ResourceRecord, snapshot: Snapshot | None) -> ResourceRow:
    """One resource that CivitAI lists."""
    version_id = resource.version_id
    entry = snapshot.by_version(version_id) if snapshot is not None else None
    return ResourceRow(
        modelName=_shown(resource.model_name),
        modelType=word(resource.model_type),
        modelId=resource.model_id,
        versionId=version_id,
        versionName=_shown(resource.version_name),
        baseModel=word(resource.base_model),
        strength=resource.strength,
        catalog_status=status_of(snapshot, version_id),
        **place_of(entry),
    )


def _shown(name: str | None, limit: int = 160) -> str | None:
    """A stranger's name on one line, without what cannot be seen."""
    return one_line(name or "", limit) or None


def dep_row(dep: Dependency, snapshot: Snapshot | None) -> DepRow:
    """One thing that only text or metadata reveals, with what it was identified as."""
    item, version = dep.evidence, dep.version
    common: dict[str, Any] = {
        "name": _shown(item.name, 255) or _nameless(item),
        "kind": item.kind,
        "weight": item.weight,
        "source": item.source,
        "hash": item.hash or "",
        "resolved_by": dep.resolved_by,
    }
    if version is None:
        entry = _own_entry(dep, snapshot)
        hints = snapshot.by_stem(item.name) if snapshot and item.name and entry is None else ()
        return DepRow(
            **common,
            catalog_status=_status_of_unresolved(dep, entry, snapshot),
            civitai_version_id=item.version_id,
            civitai_model_id=item.model_id,
            candidate=f"catalog file '{hints[0].file}' has the same name" if hints else None,
            **place_of(entry),
        )
    candidate = None
    entry = snapshot.by_version(version.id) if snapshot is not None else None
    status = status_of(snapshot, version.id)
    if dep.resolved_by == "name":
        candidate = "same file name only; compare before adding"
        entry, status = None, "unknown"
    return DepRow(
        **common,
        catalog_status=status,
        civitai_model_id=version.model_id,
        civitai_version_id=version.id,
        civitai_model_name=_shown(version.model_name),
        civitai_version_name=_shown(version.name),
        civitai_base_model=word(version.base_model),
        civitai_type=word(version.model_type),
        civitai_file=_shown(dep.file, 255),
        candidate=candidate,
        **place_of(entry),
    )


def _nameless(item: Evidence) -> str:
    if item.version_id is not None:
        return f"version {item.version_id}"
    return f"unnamed {item.kind} with hash {item.hash}" if item.hash else f"unnamed {item.kind}"


def _status_of_unresolved(
    dep: Dependency, entry: Entry | None, snapshot: Snapshot | None
) -> CatalogStatus:
    """An id that CivitAI no longer answers for is still an id: the catalog has it or not."""
    if snapshot is None:
        return "unknown"
    if entry is not None:
        return snapshot.status(entry)
    return "not_found" if dep.evidence.version_id is not None else "unknown"


def _own_entry(dep: Dependency, snapshot: Snapshot | None) -> Entry | None:
    """An entry that the catalog itself identifies, by version id or SHA256."""
    item = dep.evidence
    if snapshot is None:
        return None
    if item.version_id is not None:
        return snapshot.by_version(item.version_id)
    return snapshot.by_sha256(item.hash)


def missing_rows(
    resources: list[ResourceRow],
    deps: list[DepRow],
    found: Found,
    snapshot: Snapshot | None,
) -> list[MissingRow]:
    """List what the user lacks, with the call that gets it."""

    def row(name: str, kind: str, version_id: int | None, status: CatalogStatus) -> MissingRow:
        return MissingRow(
            name=one_line(name, 120),
            kind=kind,
            version_id=version_id,
            catalog_status=status,
            next=_next(version_id, status, found, snapshot),
        )

    rows = [
        row(
            r.modelName or f"version {r.versionId}",
            (r.modelType or "unknown").lower(),
            r.versionId,
            r.catalog_status,
        )
        for r in resources
        if r.catalog_status != "present"
    ]
    rows += [
        row(
            d.name,
            d.kind,
            d.civitai_version_id if d.resolved_by != "name" else None,
            d.catalog_status,
        )
        for d in deps
        if d.catalog_status != "present"
    ]
    return rows


def _next(
    version_id: int | None, status: CatalogStatus, found: Found, snapshot: Snapshot | None
) -> str:
    if version_id is None:
        return "search_models by name"
    entry = snapshot.by_version(version_id) if snapshot is not None else None
    if status == "missing" and entry is not None:
        return f"download into {entry.dest}"
    if version_id in found.gone:
        return "gone from CivitAI; search_models by name"
    version = found.by_version.get(version_id)
    gate = gate_of(version) if version is not None else None
    if gate is not None:
        return f"not downloadable: {gate.reason}"
    return "add_to_catalog, which also tells of a gate"
