"""One piece of evidence per real thing, however many places mention it."""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from civit_mcp.generation.names import stem
from civit_mcp.models.generated import DepKind, DepSource, DetectedType
from civit_mcp.models.records import Json

#: more than any real image has; beyond it somebody is testing us
MAX_EVIDENCE: Final = 200

_Key: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Something that text or metadata says was loaded, with whatever identifies it."""

    #: as written at the strongest place; empty when only an id is known
    name: str
    kind: DepKind
    #: the strongest place: prompt, negative_prompt, meta_resources, hashes, comfy_graph
    source: DepSource
    weight: float | None = None
    #: strength of the text encoder, when it is given beside the model's
    clip_weight: float | None = None
    #: upper-case hex of 8, 10, 12 or 64 digits
    hash: str | None = None
    version_id: int | None = None
    model_id: int | None = None
    air: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Everything that one image's own text and metadata tell."""

    #: one per real thing: prompt order, then negative prompt, then metadata
    evidence: tuple[Evidence, ...]
    #: both prompts without tags, complete
    clean_prompt: str
    negative_prompt: str
    detected_type: DetectedType
    #: the metadata for reading: bounded, secrets masked, values as sent
    meta: Json
    #: short sentences on what is hidden, odd or cut
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Slot:
    """One real thing while its mentions come in."""

    position: int
    first: Evidence
    #: the mention that this slot stands for as the picture's main model or VAE
    main: bool = False
    tag_weights: list[float] = field(default_factory=list)


class Ledger:
    """Collects mentions, strongest first, and joins those that mean the same thing.

    The same thing is: the same version; or, within a kind (LoRA and LyCORIS are one), the
    same name up to case, folder and extension, or the same hash.
    """

    def __init__(self) -> None:
        self._slots: dict[_Key, _Slot] = {}
        self._count = 0
        self.overflow = False
        self.notes: list[str] = []

    def add(self, clue: Evidence, *, main: bool = False, tag: bool = False) -> None:
        """Take one mention. `main`: the picture's checkpoint or VAE; `tag`: a prompt tag."""
        if not (clue.name or clue.hash or clue.version_id or clue.model_id or clue.air):
            return
        keys = _keys(clue, main=main)
        found = {id(slot): slot for key in keys if (slot := self._match(key, clue))}
        if not found and self._count >= MAX_EVIDENCE:
            self.overflow = True
            return
        slots = sorted(found.values(), key=lambda slot: slot.position)
        if slots:
            target, *others = slots
            target.first = _join(target.first, clue)
        else:
            target, others = _Slot(self._count, clue), []
            self._count += 1
        for other in others:
            if not _contradict(target.first, other.first):
                target.first = _join(target.first, other.first)
                self._repoint(other, target)
        for key in _keys(target.first, main=main) + keys:
            self._slots.setdefault(key, target)
        if tag and clue.weight is not None:
            target.tag_weights.append(clue.weight)

    def entries(self) -> tuple[Evidence, ...]:
        """All things in the order of their first mention; says where tags disagree."""
        slots = {id(slot): slot for slot in self._slots.values()}
        ordered = sorted(slots.values(), key=lambda slot: slot.position)
        for slot in ordered:
            weights = list(dict.fromkeys(slot.tag_weights))
            if len(weights) > 1:
                shown = ", ".join(f"{weight:g}" for weight in weights[:5])
                self.notes.append(
                    f"'{slot.first.name}' is tagged more than once with weights {shown}; "
                    "the first is listed."
                )
        return tuple(slot.first for slot in ordered)

    def _match(self, key: _Key, clue: Evidence) -> _Slot | None:
        slot = self._slots.get(key)
        if slot is None or _contradict(slot.first, clue):
            return None
        # eight digits hash one block of a file, and many files share that block
        if key[0] == "short" and slot.first.name and clue.name:
            return None
        return slot

    def _repoint(self, old: _Slot, new: _Slot) -> None:
        new.tag_weights.extend(old.tag_weights)
        for key, slot in self._slots.items():
            if slot is old:
                self._slots[key] = new


def group_of(kind: DepKind) -> str:
    """LoRA and LyCORIS share folders, tags and loaders, so they are one group."""
    return "lora" if kind == "lyco" else kind


def _keys(clue: Evidence, *, main: bool) -> list[_Key]:
    group = group_of(clue.kind)
    keys: list[_Key] = []
    if clue.version_id:
        keys.append(("version", "", str(clue.version_id)))
    if clue.name:
        keys.append(("name", group, stem(clue.name)))
    if clue.hash:
        # ten digits of a SHA-256 are its short form; forty bits do not collide by chance
        long = len(clue.hash) >= 10
        keys.append(("hash" if long else "short", group, clue.hash[:10]))
    if clue.air and not clue.version_id:
        keys.append(("air", group, clue.air.casefold()))
    if not (clue.name or clue.hash or clue.version_id or clue.air):
        keys.append(("model", group, str(clue.model_id)))
    if main:
        keys.append(("main", group, ""))
    return keys


def _contradict(one: Evidence, other: Evidence) -> bool:
    """Two different versions are two things, whatever else they share."""
    ids = (one.version_id, other.version_id)
    return None not in ids and ids[0] != ids[1]


def _join(strong: Evidence, weak: Evidence) -> Evidence:
    hashes = [h for h in (strong.hash, weak.hash) if h]
    # the two strengths of one place belong together
    weights = strong if strong.weight is not None else weak
    return Evidence(
        name=strong.name or weak.name,
        kind=strong.kind,
        source=strong.source,
        weight=weights.weight,
        clip_weight=weights.clip_weight,
        # the longer one says more
        hash=max(hashes, key=len) if hashes else None,
        version_id=strong.version_id or weak.version_id,
        model_id=strong.model_id or weak.model_id,
        air=strong.air or weak.air,
    )
