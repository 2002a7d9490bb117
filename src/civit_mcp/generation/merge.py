"""Join what CivitAI lists with what the metadata reveals, and say what to look up.

Two pure steps around one round of look-ups: `plan` names every look-up once, `settle`
turns the answers into resources and dependencies. A thing that CivitAI lists is not
repeated as a dependency; a hash whose owner is of another kind identifies nothing; a name
alone is a candidate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from civit_mcp.generation.evidence import Evidence, Gathered
from civit_mcp.generation.names import normalise_name
from civit_mcp.models.delivery import main_file
from civit_mcp.models.generated import DepKind, ResolvedBy
from civit_mcp.models.records import GenerationRecord, ResourceRecord, VersionRecord
from civit_mcp.models.weights import SHA256_LENGTH

T = TypeVar("T")

#: how many look-ups one image may cost; the rest is reported as not looked up
MAX_LOOK_UPS: Final = 60
MAX_NAME_SEARCHES: Final = 8

_LORA_TYPES: Final = frozenset({"lora", "locon", "dora"})
#: which model types can be what a piece of evidence calls itself
_TYPES_OF_KIND: Final[Mapping[DepKind, frozenset[str]]] = {
    "lora": _LORA_TYPES,
    "lyco": _LORA_TYPES,
    "hypernet": frozenset({"hypernetwork"}),
    "embedding": frozenset({"textualinversion", "aestheticgradient"}),
    "checkpoint": frozenset({"checkpoint", "unet"}),
    "vae": frozenset({"vae", "checkpoint"}),
}
_KIND_OF_TYPE: Final[Mapping[str, DepKind]] = {
    "lora": "lora",
    "locon": "lyco",
    "dora": "lora",
    "hypernetwork": "hypernet",
    "textualinversion": "embedding",
    "aestheticgradient": "embedding",
    "checkpoint": "checkpoint",
    "unet": "checkpoint",
    "vae": "vae",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUps:
    """Everything to ask CivitAI about one image, each thing once."""

    sha256: tuple[str, ...] = ()
    short_hashes: tuple[str, ...] = ()
    version_ids: tuple[int, ...] = ()
    #: (name, kind) pairs that nothing but a search by name can help
    names: tuple[tuple[str, DepKind], ...] = ()
    #: how many look-ups the bound cut off
    left_out: int = 0


@dataclass(slots=True, kw_only=True)
class Found:
    """What the look-ups gave. A key that is absent was not asked or failed."""

    by_hash: dict[str, VersionRecord | None] = field(default_factory=dict)
    by_version: dict[int, VersionRecord] = field(default_factory=dict)
    by_name: dict[str, VersionRecord] = field(default_factory=dict)
    #: versions that CivitAI has no more
    gone: set[int] = field(default_factory=set)
    #: hash, version id or name -> why its look-up failed
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One piece of evidence with what it was identified as."""

    evidence: Evidence
    version: VersionRecord | None = None
    resolved_by: ResolvedBy | None = None
    #: the file of `version` that the hash names, else its main file
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Resources and dependencies, in reading order."""

    resources: tuple[ResourceRecord, ...]
    dependencies: tuple[Dependency, ...]
    notes: tuple[str, ...]


def plan(record: GenerationRecord, gathered: Gathered) -> LookUps:
    """Name the look-ups that the evidence needs, each once and bounded."""
    listed = {resource.version_id for resource in record.resources}
    hashes: dict[str, None] = {}
    versions: dict[int, None] = {}
    names: dict[str, DepKind] = {}
    nameless = False
    for item in gathered.evidence:
        if item.version_id is not None:
            if item.version_id not in listed:
                versions[item.version_id] = None
        elif item.hash is not None:
            # even where a listed title fits: a hash can prove that it is another thing
            hashes[item.hash] = None
        elif _listed_by_name(item, record.resources) is not None:
            continue
        elif item.kind not in ("checkpoint", "vae") and item.name:
            names.setdefault(item.name, item.kind)
            nameless = True
    if nameless:
        # a tag names a file; the files of the listed resources of that kind settle it
        for resource in record.resources:
            if resource.version_id is not None and _kind(resource.model_type) is not None:
                versions[resource.version_id] = None
    long = tuple(value for value in hashes if len(value) == SHA256_LENGTH)
    room = MAX_LOOK_UPS
    short, room = _take([value for value in hashes if len(value) != SHA256_LENGTH], room)
    version_ids, room = _take(list(versions), room)
    searches = list(names.items())[: min(MAX_NAME_SEARCHES, room)]
    asked = len(short) + len(version_ids) + len(searches)
    wanted = len(hashes) - len(long) + len(versions) + len(names)
    return LookUps(
        sha256=long,
        short_hashes=tuple(short),
        version_ids=tuple(version_ids),
        names=tuple(searches),
        left_out=wanted - asked,
    )


def settle(record: GenerationRecord, gathered: Gathered, found: Found) -> Settled:
    """Turn evidence and answers into resources and dependencies."""
    notes: list[str] = []
    resources = _distinct(record.resources, notes)
    dependencies: list[Dependency] = []
    known: set[int] = set()
    for item in gathered.evidence:
        where = _listed(item, resources, found)
        if where is not None:
            _learn_strength(resources, where, item)
            continue
        dependency = _identify(item, found, notes)
        version = dependency.version if dependency.resolved_by != "name" else None
        if version is not None and version.id in known:
            continue
        if version is not None:
            known.add(version.id)
        dependencies.append(dependency)
    return Settled(resources=tuple(resources), dependencies=tuple(dependencies), notes=tuple(notes))


def _listed(item: Evidence, resources: Sequence[ResourceRecord], found: Found) -> int | None:
    """Index of the listed resource that this evidence is; what is proven goes before names."""
    proven = item.version_id
    if proven is None and item.hash is not None:
        owner = found.by_hash.get(item.hash)
        proven = owner.id if owner is not None and _fits(item.kind, owner.model_type) else None
    if proven is not None:
        return next((i for i, r in enumerate(resources) if r.version_id == proven), None)
    by_title = _listed_by_name(item, resources)
    if by_title is not None or item.kind in ("checkpoint", "vae"):
        return by_title
    return _listed_by_file(item, resources, found)


def _take(values: list[T], room: int) -> tuple[list[T], int]:
    taken = values[: max(room, 0)]
    return taken, room - len(taken)


def _kind(model_type: str | None) -> DepKind | None:
    return _KIND_OF_TYPE.get((model_type or "").casefold())


def _fits(kind: DepKind, model_type: str | None) -> bool:
    """Whether a model of this type can be what the evidence calls itself; unknown may."""
    return not model_type or model_type.casefold() in _TYPES_OF_KIND[kind]


def _distinct(resources: Iterable[ResourceRecord], notes: list[str]) -> list[ResourceRecord]:
    """CivitAI lists a version twice at times; the first strength stands, the other is told."""
    kept: dict[object, ResourceRecord] = {}
    for index, resource in enumerate(resources):
        key: object = resource.version_id if resource.version_id is not None else ("row", index)
        before = kept.get(key)
        if before is None:
            kept[key] = resource
        elif before.strength is None:
            kept[key] = replace(before, strength=resource.strength)
        elif resource.strength not in (None, before.strength):
            notes.append(
                f"CivitAI lists version {resource.version_id} twice, with strengths "
                f"{before.strength:g} and {resource.strength:g}; the first is shown"
            )
    return list(kept.values())


def _listed_by_name(item: Evidence, resources: Iterable[ResourceRecord]) -> int | None:
    """Index of the listed resource that has this evidence's name as its title."""
    name = normalise_name(item.name)
    if not name:
        return None
    for index, resource in enumerate(resources):
        if not _fits(item.kind, resource.model_type) or not resource.model_type:
            continue
        model = normalise_name(resource.model_name or "")
        version = normalise_name(resource.version_name or "")
        if name in {model, model + version} - {""}:
            return index
    return None


def _listed_by_file(
    item: Evidence, resources: Iterable[ResourceRecord], found: Found
) -> int | None:
    """Index of the listed resource that has a file of this evidence's name or hash."""
    name = normalise_name(item.name)
    for index, resource in enumerate(resources):
        version = found.by_version.get(resource.version_id or 0)
        if version is None or not _fits(item.kind, resource.model_type):
            continue
        for file in version.files:
            if item.hash is not None and item.hash in file.hashes.values():
                return index
            if name and normalise_name(file.name) == name:
                return index
    return None


def _learn_strength(resources: list[ResourceRecord], index: int, item: Evidence) -> None:
    """The prompt knows a weight that CivitAI dropped."""
    if item.weight is None or resources[index].strength is not None:
        return
    if _kind(resources[index].model_type) in ("lora", "lyco", "embedding", "hypernet"):
        resources[index] = replace(resources[index], strength=item.weight)


def _identify(item: Evidence, found: Found, notes: list[str]) -> Dependency:
    """Find the version behind one piece of evidence, in order of certainty."""
    if item.version_id is not None:
        version = found.by_version.get(item.version_id)
        if version is None:
            return Dependency(evidence=item)
        named = item if item.name else replace(item, name=version.model_name or version.name)
        if _kind(version.model_type) is not None and not _fits(item.kind, version.model_type):
            named = replace(named, kind=_kind(version.model_type) or item.kind)
        by: ResolvedBy = "air" if item.air else "version_id"
        return Dependency(
            evidence=named, version=version, resolved_by=by, file=_file_name(version, item.hash)
        )
    if item.hash is not None:
        version = found.by_hash.get(item.hash)
        if version is not None and _fits(item.kind, version.model_type):
            return Dependency(
                evidence=item if item.name else replace(item, name=version.model_name or ""),
                version=version,
                resolved_by="hash",
                file=_file_name(version, item.hash),
            )
        if version is not None:
            notes.append(
                f"Hash {item.hash} of '{item.name}' belongs to a {version.model_type}, "
                f"not to a {item.kind}, so it identifies nothing"
            )
    candidate = found.by_name.get(item.name)
    if candidate is not None:
        return Dependency(
            evidence=item,
            version=candidate,
            resolved_by="name",
            file=_file_name(candidate, None),
        )
    return Dependency(evidence=item)


def _file_name(version: VersionRecord, hash_hex: str | None) -> str | None:
    if hash_hex is not None:
        for file in version.files:
            values = file.hashes.values()
            if hash_hex in values or any(value.startswith(hash_hex) for value in values):
                return file.name
    chosen = main_file(version)
    return chosen.name if chosen else None
