"""Every place of A1111-like metadata that ties a name to a hash."""

import json
import re
from collections.abc import Iterator
from typing import Final

from civit_mcp.generation.evidence import Evidence
from civit_mcp.generation.names import (
    MAX_NAME,
    as_dict,
    as_hash,
    as_list,
    as_name,
    as_weight,
    kind_of,
    stem,
)
from civit_mcp.models.generated import DepKind
from civit_mcp.models.ids import as_id
from civit_mcp.models.records import Json

_MAX_TEXT: Final = 100_000
_MAX_ROWS: Final = 1_000

#: metadata keys that hold `name: hash, name: hash`, as text or as an object
_HASH_LISTS: Final[dict[str, DepKind]] = {
    "Lora hashes": "lora",
    "Lyco hashes": "lyco",
    "TI hashes": "embedding",
    "Hypernet hashes": "hypernet",
}
_NAME_WITH_HASH: Final = re.compile(r"(?P<name>.+?)\s*\((?P<hash>[0-9a-fA-F]{8,64})\)")
_REFINER: Final = re.compile(r"(?P<name>[^\[\]]*[^\[\]\s])\s*\[(?P<hash>[0-9a-fA-F]{8,64})\]")
_NESTED_LORA: Final = re.compile(r"<([^<>:\r\n]{1,300}):([^<>:\r\n]{1,40})>")
_FOLDERS: Final[tuple[tuple[str, DepKind], ...]] = (
    ("embedding", "embedding"),
    ("hypernet", "hypernet"),
    ("lycoris", "lyco"),
    ("lora", "lora"),
    ("vae", "vae"),
    ("checkpoint", "checkpoint"),
    ("stable-diffusion", "checkpoint"),
    ("stable_diffusion", "checkpoint"),
    ("diffusion_models", "checkpoint"),
    ("unet", "checkpoint"),
)


def from_resources(meta: Json) -> Iterator[Evidence]:
    """Read `resources`: A1111's own list of type, name, weight and hash."""
    for row in as_list(meta.get("resources"))[:_MAX_ROWS]:
        entry = as_dict(row)
        kind = kind_of(entry.get("type"))
        if kind is None:
            continue
        yield Evidence(
            name=as_name(entry.get("name")) or "",
            kind=kind,
            source="meta_resources",
            weight=as_weight(entry.get("weight")),
            hash=as_hash(entry.get("hash")),
            version_id=as_id(entry.get("modelVersionId")),
            model_id=as_id(entry.get("modelId")),
        )


def from_additional_networks(meta: Json) -> Iterator[Evidence]:
    """Read the numbered `AddNet Model N` keys, whose values are `name(hash)`."""
    if meta.get("AddNet Enabled") in (False, "False", "false"):
        return
    for number in range(1, 21):
        value = meta.get(f"AddNet Model {number}")
        if not isinstance(value, str) or len(value) > MAX_NAME:
            continue
        match = _NAME_WITH_HASH.fullmatch(value.strip())
        name = as_name(match["name"] if match else value)
        weight = as_weight(meta.get(f"AddNet Weight A {number}"))
        if name:
            yield Evidence(
                name=name,
                kind=kind_of(meta.get(f"AddNet Module {number}")) or "lora",
                source="meta_resources",
                weight=weight
                if weight is not None
                else as_weight(meta.get(f"AddNet Weight {number}")),
                clip_weight=as_weight(meta.get(f"AddNet Weight B {number}")),
                hash=as_hash(match["hash"]) if match else None,
            )


def from_other(meta: Json) -> Iterator[Evidence]:
    """Read the `other` object of RuinedFooocus: `Loras:<file:weight>,<None:0.5>`."""
    text = as_dict(meta.get("other")).get("loras")
    if not isinstance(text, str):
        return
    for match in _NESTED_LORA.finditer(text[:_MAX_TEXT]):
        if name := as_name(match[1]):
            weight = as_weight(match[2])
            yield Evidence(name=name, kind="lora", source="meta_resources", weight=weight)


def main_model(meta: Json) -> Evidence | None:
    """Read `Model` with `Model hash`, the picture's checkpoint."""
    model = meta.get("Model")
    return _named("checkpoint", model, meta.get("Model hash"))


def main_vae(meta: Json) -> Evidence | None:
    """Read `VAE` with `VAE hash`."""
    return _named("vae", meta.get("VAE"), meta.get("VAE hash"))


def from_single_keys(meta: Json) -> Iterator[Evidence]:
    """Read `Hypernet` and `Refiner`, each with its hash."""
    hypernet = _named("hypernet", meta.get("Hypernet"), meta.get("Hypernet hash"))
    if hypernet:
        yield Evidence(
            name=hypernet.name,
            kind="hypernet",
            source="hashes",
            hash=hypernet.hash,
            weight=as_weight(meta.get("Hypernet strength")),
        )
    refiner = meta.get("Refiner")
    if isinstance(refiner, str) and len(refiner) <= MAX_NAME:
        match = _REFINER.fullmatch(refiner.strip())
        found = _named("checkpoint", match["name"], match["hash"]) if match else None
        found = found or _named("checkpoint", refiner, None)
        if found:
            yield found


def from_map(meta: Json) -> Iterator[tuple[Evidence, bool]]:
    """Read the `hashes` map. The flag says that the entry is the picture's main model or VAE.

    Keys are a kind, `kind:name`, or a bare name or path, whose kind its folders tell or
    which is most likely a LoRA.
    """
    for key, value in list(as_dict(meta.get("hashes")).items())[:_MAX_ROWS]:
        found = as_hash(value)
        if found is None or len(key) > MAX_NAME:
            continue
        word, colon, rest = key.partition(":")
        kind = kind_of(word)
        if kind is None:
            kind, name = _kind_of_path(key), as_name(key)
        else:
            name = as_name(rest) if colon else None
        main = not colon and word.strip().casefold() in {"model", "vae"}
        yield Evidence(name=name or "", kind=kind, source="hashes", hash=found), main


def from_hash_lists(meta: Json) -> Iterator[Evidence]:
    """Read `Lora hashes`, `TI hashes` and their like."""
    for key, kind in _HASH_LISTS.items():
        for name, found in _pairs(meta.get(key)):
            yield Evidence(name=name, kind=kind, source="hashes", hash=found)


def embedding_names(meta: Json) -> tuple[str, ...]:
    """Name the embeddings that an old A1111 says it used: `name [2a38], other [91bc]`."""
    text = meta.get("Used embeddings")
    if not isinstance(text, str):
        return ()
    names = (as_name(part.rpartition("[")[0]) for part in text[:_MAX_TEXT].split(","))
    return tuple(name for name in names if name)


def split_pairs(meta: Json) -> list[tuple[str, str]]:
    """Find names and hashes that a careless reader of `Lora hashes` left as top-level keys.

    A quoted list cut at its commas gives keys like `"add_detail` and values like
    `7c6bad76eb54"`. Twelve digits with a letter among them, and a stray quote somewhere, are
    such a list and nothing else.
    """
    pairs: list[tuple[str, str]] = []
    quoted = False
    for key, value in meta.items():
        if not isinstance(value, str) or len(value) > 20 or len(key) > MAX_NAME:
            continue
        found = as_hash(value)
        name = as_name(key)
        if found and len(found) == 12 and not found.isdigit() and name and "hash" not in key:
            pairs.append((name, found))
            quoted = quoted or '"' in key or '"' in value
    return pairs if quoted else []


def _named(kind: DepKind, name: object, found: object) -> Evidence | None:
    text, digest = as_name(name), as_hash(found)
    if text is None and digest is None:
        return None
    return Evidence(name=text or "", kind=kind, source="hashes", hash=digest)


def _kind_of_path(key: str) -> DepKind:
    folder = _folder(key)
    return next((kind for word, kind in _FOLDERS if word in folder), "lora")


def _folder(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[0].casefold()


def _pairs(value: object) -> Iterator[tuple[str, str | None]]:
    """Read `name: hash, name: hash`, the same as JSON text, or an object."""
    if isinstance(value, str):
        text = value[:_MAX_TEXT].strip()
        if text.startswith("{"):
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                value = None
        else:
            yield from _text_pairs(text)
    for name, found in list(as_dict(value).items())[:_MAX_ROWS]:
        if proper := as_name(name):
            yield proper, as_hash(found)


def _text_pairs(text: str) -> Iterator[tuple[str, str]]:
    pending = ""
    for part in text.strip("\"'").split(","):
        head, colon, tail = part.rpartition(":")
        found = as_hash(tail) if colon else None
        if found is None:
            # a comma inside a name
            pending = f"{pending}{part},"[-MAX_NAME:]
            continue
        name = as_name(f"{pending}{head}")
        pending = ""
        if name and stem(name):
            yield name, found
