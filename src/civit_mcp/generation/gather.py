"""Read everything that an image's prompt and metadata reveal."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final

from civit_mcp.generation import comfy, hashes, listed
from civit_mcp.generation.clean import without
from civit_mcp.generation.detect import detect_type
from civit_mcp.generation.display import for_display
from civit_mcp.generation.embeddings import blank_tags, find_mentions
from civit_mcp.generation.evidence import MAX_EVIDENCE, Evidence, Gathered, Ledger
from civit_mcp.generation.graphs import read_graph
from civit_mcp.generation.names import as_dict, as_hash, as_name, readable, stem
from civit_mcp.generation.tags import Tag, scan
from civit_mcp.models.generated import DepKind, DepSource
from civit_mcp.models.records import EMPTY_HASHES, GenerationRecord, Json

#: said when the site gave its answer and metadata was not part of it
NO_METADATA: Final = (
    "No metadata: the creator hid it or CivitAI could not read it; resources are still listed."
)

#: characters of a prompt that are searched for embeddings' names
_MAX_SEARCHED: Final = 50_000
#: mentions that are looked at per prompt and per graph, before they are joined
_MAX_CLUES: Final = 2_000
_MAX_ODD: Final = 5
#: raw spellings of fields that CivitAI answers under another name
_RENAMED: Final = {"Clip skip": "clipSkip", "CFG scale": "cfgScale"}


def gather(
    record: GenerationRecord,
    *,
    stored_meta: Json | None = None,
    known_embeddings: Collection[str] = (),
) -> Gathered:
    """Collect the evidence of one image.

    `stored_meta` is the metadata that REST publishes, used where `record.meta` is hidden or
    lacks keys. `known_embeddings` are file stems of embeddings that the user has: a bare
    word of the prompt counts as an embedding only when these or the metadata prove it.
    """
    notes: list[str] = []
    meta = _meta(record, stored_meta, notes)
    prompt = _text(meta, "prompt", notes)
    negative = _text(meta, "negativePrompt", notes)
    graph = read_graph(meta.get("comfy"))
    if graph.cut:
        notes.append("The graph is very large; only its first nodes were read.")
    ledger = Ledger()
    prompt_tags, negative_tags = scan(prompt), scan(negative)
    split = _assign_split(meta, (*prompt_tags, *negative_tags), f"{prompt}\n{negative}")
    proven = [*known_embeddings, *_proven_embeddings(meta, split)]
    for text, tags, source in _prompts(prompt, prompt_tags, negative, negative_tags):
        for clue, is_tag in _from_prompt(text, tags, source, proven):
            ledger.add(clue, tag=is_tag)
    notes += _weight_notes((*prompt_tags, *negative_tags))
    _from_meta(ledger, meta, record)
    for clue in split:
        ledger.add(clue)
    for clue in islice(comfy.from_graph(graph), _MAX_CLUES):
        ledger.add(clue)
    evidence = ledger.entries()
    notes += ledger.notes[:_MAX_ODD]
    if ledger.overflow:
        notes.append(f"More than {MAX_EVIDENCE} different parts are named; the rest is left out.")
    notes += _odd_hashes(meta)
    shown, cuts = for_display(meta)
    return Gathered(
        evidence=evidence,
        clean_prompt=without(prompt, prompt_tags),
        negative_prompt=without(negative, negative_tags),
        detected_type=detect_type(record, meta, graph),
        meta=shown,
        notes=tuple(dict.fromkeys([*notes, *cuts])),
    )


def _meta(record: GenerationRecord, stored: Json | None, notes: list[str]) -> Json:
    own = record.meta if isinstance(record.meta, dict) else None
    stored = stored if isinstance(stored, dict) else None
    if own is None:
        if stored:
            notes.append(
                "CivitAI's generation data has no metadata; the image's stored metadata is used."
            )
            return stored
        notes.append(NO_METADATA)
        return {}
    if not stored:
        return own
    added = {
        key: value
        for key, value in stored.items()
        if value is not None and own.get(key) is None and _RENAMED.get(key, "") not in own
    }
    if added:
        names = ", ".join(f"'{readable(key)[:40]}'" for key in list(added)[:_MAX_ODD])
        notes.append(f"From the image's stored metadata: {names}.")
    return {**own, **added}


def _text(meta: Json, key: str, notes: list[str]) -> str:
    value = meta.get(key)
    if isinstance(value, str):
        return readable(value)
    if value is not None:
        notes.append(f"meta.{key} is no text and was not read as a prompt.")
    return ""


def _prompts(
    prompt: str, prompt_tags: tuple[Tag, ...], negative: str, negative_tags: tuple[Tag, ...]
) -> Iterator[tuple[str, tuple[Tag, ...], DepSource]]:
    yield prompt, prompt_tags, "prompt"
    yield negative, negative_tags, "negative_prompt"


def _from_prompt(
    text: str, tags: tuple[Tag, ...], source: DepSource, proven: list[str]
) -> Iterator[tuple[Evidence, bool]]:
    """Yield tags and embeddings in the order of the text; the flag marks tags."""
    found: list[tuple[int, Evidence, bool]] = []
    for tag in tags[:_MAX_CLUES]:
        if name := as_name(tag.name):
            clue = Evidence(
                name=name,
                kind=tag.kind,
                source=source,
                weight=tag.weight,
                clip_weight=tag.clip_weight,
            )
            found.append((tag.start, clue, True))
    searched = blank_tags(text, tags)[:_MAX_SEARCHED]
    for mention in find_mentions(searched, proven):
        clue = Evidence(name=mention.name, kind="embedding", source=source, weight=mention.weight)
        found.append((mention.start, clue, False))
    found.sort(key=lambda row: row[0])
    for _, clue, is_tag in found:
        yield clue, is_tag


def _from_meta(ledger: Ledger, meta: Json, record: GenerationRecord) -> None:
    model, vae = hashes.main_model(meta), hashes.main_vae(meta)
    for clue in hashes.from_resources(meta):
        ledger.add(clue)
    for clue in listed.from_civitai_resources(meta, record.resources):
        ledger.add(clue)
    for clue in listed.from_additional(meta):
        ledger.add(clue)
    for clue in hashes.from_additional_networks(meta):
        ledger.add(clue)
    for clue in hashes.from_other(meta):
        ledger.add(clue)
    for clue in listed.from_file_lists(meta):
        ledger.add(clue)
    for clue in listed.from_id_lists(meta, record.resources):
        ledger.add(clue)
    for main in (model, vae):
        if main is not None:
            ledger.add(_with_air(main), main=True)
    for clue, is_main in hashes.from_map(meta):
        ledger.add(clue, main=is_main)
    for clue in hashes.from_hash_lists(meta):
        ledger.add(clue)
    for clue in hashes.from_single_keys(meta):
        ledger.add(clue)
    for name in hashes.embedding_names(meta):
        ledger.add(Evidence(name=name, kind="embedding", source="hashes"))


def _with_air(main: Evidence) -> Evidence:
    """`Model` of an on-site image is an AIR."""
    found = listed.from_text(main.name, kind=main.kind, source="hashes")
    if found is None or found.air is None:
        return main
    return Evidence(
        name="",
        kind=main.kind,
        source="hashes",
        hash=main.hash,
        version_id=found.version_id,
        model_id=found.model_id,
        air=found.air,
    )


def _assign_split(meta: Json, tags: tuple[Tag, ...], text: str) -> list[Evidence]:
    """Give each name of a broken hash list its kind: a tag's, an embedding's, else LoRA.

    Such names are themselves often cut, so one that begins or ends exactly one tag is it.
    """
    by_stem = {stem(tag.name): tag for tag in tags}
    found: list[Evidence] = []
    loose: list[tuple[str, str]] = []
    for name, digest in hashes.split_pairs(meta):
        key = stem(name)
        near = [tag for s, tag in by_stem.items() if s.startswith(key) or s.endswith(key)]
        tag = by_stem.get(key) or (near[0] if len(near) == 1 and len(key) >= 4 else None)
        if tag is None:
            loose.append((name, digest))
        else:
            found.append(Evidence(name=tag.name, kind=tag.kind, source="hashes", hash=digest))
        if len(found) + len(loose) >= MAX_EVIDENCE:
            break
    if not loose:
        return found
    spoken = find_mentions(blank_tags(text, scan(text))[:_MAX_SEARCHED], [n for n, _ in loose])
    words = {stem(mention.name) for mention in spoken}
    for name, digest in loose:
        kind: DepKind = "embedding" if stem(name) in words else "lora"
        found.append(Evidence(name=name, kind=kind, source="hashes", hash=digest))
    return found


def _proven_embeddings(meta: Json, split: list[Evidence]) -> Iterator[str]:
    clues = [
        *hashes.from_resources(meta),
        *(clue for clue, _ in hashes.from_map(meta)),
        *hashes.from_hash_lists(meta),
        *split,
    ]
    for clue in clues:
        if clue.kind == "embedding" and clue.name:
            yield clue.name
    yield from hashes.embedding_names(meta)


def _weight_notes(tags: tuple[Tag, ...]) -> list[str]:
    odd = [tag for tag in tags if tag.odd_weight is not None]
    return [
        f"The weight '{(tag.odd_weight or '')[:30]}' of '{tag.name[:80]}' is no number; "
        "1.0 is assumed."
        for tag in odd[:_MAX_ODD]
    ]


def _odd_hashes(meta: Json) -> list[str]:
    odd = [key for key, value in as_dict(meta.get("hashes")).items() if _is_odd_hash(value)]
    if not odd:
        return []
    names = ", ".join(f"'{readable(key)[:40]}'" for key in odd[:_MAX_ODD])
    return [f"No usable hash under {names}."]


def _is_odd_hash(value: object) -> bool:
    """Whether something stands where a hash belongs; the hash of nothing is no surprise."""
    if isinstance(value, str):
        empty = value.strip().upper().removeprefix("0X") in EMPTY_HASHES
        return as_hash(value) is None and as_name(value) is not None and not empty
    return value is not None
