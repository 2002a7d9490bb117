"""What the loader nodes of a ComfyUI graph load."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from civit_mcp.generation.embeddings import find_mentions
from civit_mcp.generation.evidence import Evidence
from civit_mcp.generation.graphs import Graph, Node
from civit_mcp.generation.listed import from_text
from civit_mcp.generation.names import MAX_NAME, as_list, as_weight
from civit_mcp.generation.tags import scan
from civit_mcp.models.air import parse_air
from civit_mcp.models.generated import DepKind
from civit_mcp.models.weights import MISSPELT, PICKLES, SAFETENSORS, name_ending

_MAX_TEXT: Final = 100_000
#: what loaders load; other nodes have their own files, as onnx detectors
_MODEL_FILE: Final = name_ending(*SAFETENSORS, MISSPELT, *PICKLES, "gguf")
#: API field names that hold a file, whatever the node is called
_FIELDS: Final[dict[str, DepKind]] = {
    "ckpt_name": "checkpoint",
    "base_ckpt_name": "checkpoint",
    "refiner_ckpt_name": "checkpoint",
    "unet_name": "checkpoint",
    "vae_name": "vae",
    "hypernetwork_name": "hypernet",
}
_LORA_FIELD: Final = re.compile(r"(?:lora|lora_name)(?:_?(\d{1,3}))?", re.IGNORECASE)
#: where the strengths of a LoRA stand; {} is the number of its row, if rows are numbered
_MODEL_STRENGTHS: Final = (
    "strength_model{}", "model_weight{}", "model_str{}", "lora_model_strength{}",
    "strength{}", "lora_wt{}", "lora_weight{}", "lora_strength{}", "weight{}",
)  # fmt: skip
_CLIP_STRENGTHS: Final = (
    "strength_clip{}", "clip_weight{}", "clip_str{}", "lora_clip_strength{}",
)  # fmt: skip

#: editor nodes: words in the class name -> what their file widgets are; first hit wins
_CLASSES: Final[tuple[tuple[str, DepKind | None], ...]] = (
    ("efficient loader", "checkpoint"),
    ("easy fullloader", "checkpoint"),
    ("controlnet", None),
    ("clipvision", None),
    ("clip_vision", None),
    ("ipadapter", None),
    ("upscale", None),
    ("animatediff", None),
    ("save", None),
    ("detector", None),
    ("textencoder", None),
    ("lora", "lora"),
    ("hypernetwork", "hypernet"),
    ("checkpoint", "checkpoint"),
    ("ckpt", "checkpoint"),
    ("unet", "checkpoint"),
    ("diffusionmodel", "checkpoint"),
    ("wanvideomodel", "checkpoint"),
    ("vae", "vae"),
)
_MODEL_LOADERS: Final = ("wanvideomodelloader", "hyvideomodelloader", "diffusersloader")
_VAE_LOADERS: Final = ("wanvideovaeloader", "hyvideovaeloader")


def from_graph(graph: Graph) -> Iterator[Evidence]:
    """Yield what each running loader loads, in the graph's order."""
    for node in graph.nodes.values():
        yield from _from_fields(node)
        if node.widgets:
            yield from _from_widgets(node)


def _from_fields(node: Node) -> Iterator[Evidence]:
    kind = node.type.casefold()
    for name, raw in node.values.items():
        value = _content(raw)
        if name in _FIELDS:
            yield from _one(value, _FIELDS[name])
        elif _LORA_FIELD.fullmatch(name) and isinstance(value, str):
            yield from _numbered_lora(node.values, name, value)
        elif name == "model" and any(word in kind for word in _MODEL_LOADERS):
            yield from _one(value, "checkpoint")
        elif name == "model_name" and any(word in kind for word in _VAE_LOADERS):
            yield from _one(value, "vae")
        elif isinstance(raw, dict) and "lora" in raw:
            yield from _stack_row(raw)
        elif name in {"loras", "lora_stack", "lora_data"}:
            rows = raw.get("__value__") if isinstance(raw, dict) else raw
            yield from _stack(rows)
        elif isinstance(value, str) and "embedding:" in value:
            yield from _embeddings(value)
    if "lora" in kind and not _has_rows(node.values.get("loras")):
        for value in node.values.values():
            yield from _tags(value)


def _numbered_lora(values: Mapping[str, Any], name: str, file: str) -> Iterator[Evidence]:
    match = _LORA_FIELD.fullmatch(name)
    number = match[1] if match else None
    suffix = "" if number is None else f"_{number}"
    if str(values.get(f"switch{suffix}", "On")).casefold() == "off":
        return
    count = values.get("lora_count")
    if number and isinstance(count, int) and int(number) > count:
        return
    yield from _one(
        file,
        "lora",
        _strength(values, _MODEL_STRENGTHS, suffix),
        _strength(values, _CLIP_STRENGTHS, suffix),
    )


def _strength(values: Mapping[str, Any], names: tuple[str, ...], suffix: str) -> float | None:
    for name in names:
        number = as_weight(values.get(name.format(suffix)))
        if number is not None:
            return number
    return None


def _stack(rows: object) -> Iterator[Evidence]:
    for row in as_list(rows)[:MAX_NAME]:
        if isinstance(row, dict):
            yield from _stack_row(row)


def _has_rows(value: object) -> bool:
    rows = value.get("__value__") if isinstance(value, dict) else value
    return any(isinstance(row, dict) for row in as_list(rows))


def _stack_row(row: Mapping[str, Any]) -> Iterator[Evidence]:
    """One row of a stack: `{on, lora, strength, strengthTwo}` or `{active, name, strength}`."""
    if row.get("on", row.get("active", True)) is False:
        return
    file = row.get("lora") if "lora" in row else row.get("name")
    clip = row.get("strengthTwo", row.get("clipStrength", row.get("strength_clip")))
    weight = as_weight(row.get("strength", row.get("strength_model")))
    yield from _one(_content(file), "lora", weight, as_weight(clip))


def _from_widgets(node: Node) -> Iterator[Evidence]:
    kind = node.type.casefold()
    for value in node.widgets:
        if isinstance(value, str) and "embedding:" in value:
            yield from _embeddings(value)
    found = next((dep for word, dep in _CLASSES if word in kind), None)
    if found is None:
        return
    if found == "lora":
        yield from _lora_widgets(node)
        return
    files = [
        (index, value)
        for index, raw in enumerate(node.widgets)
        if isinstance(value := _content(raw), str) and _is_file(value)
    ]
    if "efficient loader" in kind or "easy fullloader" in kind:
        # checkpoint, then VAE ("Baked VAE" when there is none), then a LoRA
        for index, file in files:
            as_kind: DepKind = "checkpoint" if index == 0 else "vae" if index <= 2 else "lora"
            weights = _following_numbers(node, index) if as_kind == "lora" else (None, None)
            yield from _one(file, as_kind, *weights)
        return
    if found == "vae" and "load" not in kind:
        return
    for _, file in files:
        yield from _one(file, found)


def _lora_widgets(node: Node) -> Iterator[Evidence]:
    rows = [row for row in node.widgets if isinstance(row, dict)]
    loras = [row for row in rows if "lora" in row or "active" in row]
    if loras:
        yield from _stack(loras)
        return
    for index, raw in enumerate(node.widgets):
        value = _content(raw)
        if not isinstance(value, str):
            continue
        if _is_file(value):
            before = node.widgets[index - 1] if index else None
            if isinstance(before, str) and before.casefold() == "off":
                continue
            yield from _one(value, "lora", *_following_numbers(node, index))
        else:
            yield from _tags(value)


def _following_numbers(node: Node, index: int) -> tuple[float | None, float | None]:
    numbers: list[float | None] = []
    for value in node.widgets[index + 1 : index + 3]:
        number = as_weight(value) if not isinstance(value, str) else None
        if number is None:
            break
        numbers.append(number)
    first, second = [*numbers, None, None][:2]
    return first, second


def _is_file(value: str) -> bool:
    if len(value) > MAX_NAME:
        return False
    return bool(_MODEL_FILE.search(value)) or parse_air(value) is not None


def _content(value: object) -> object:
    """Some loaders wrap the file name to carry a preview picture with it."""
    return value.get("content") if isinstance(value, dict) and "content" in value else value


def _one(
    value: object, kind: DepKind, weight: float | None = None, clip: float | None = None
) -> Iterator[Evidence]:
    found = from_text(value, kind=kind, source="comfy_graph", weight=weight, clip_weight=clip)
    if found is not None:
        yield found


def _embeddings(text: str) -> Iterator[Evidence]:
    for mention in find_mentions(text[:_MAX_TEXT], ()):
        yield Evidence(
            name=mention.name, kind="embedding", source="comfy_graph", weight=mention.weight
        )


def _tags(value: object) -> Iterator[Evidence]:
    if isinstance(value, str):
        for tag in scan(value[:_MAX_TEXT]):
            yield Evidence(
                name=tag.name,
                kind=tag.kind,
                source="comfy_graph",
                weight=tag.weight,
                clip_weight=tag.clip_weight,
            )
