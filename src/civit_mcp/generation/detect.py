"""From what an image or video was made: text, an image, or another video."""

import re
from collections.abc import Mapping
from typing import Any, Final

from civit_mcp.generation.graphs import Graph, Node
from civit_mcp.generation.names import as_dict, as_list, as_weight
from civit_mcp.models.generated import DetectedType
from civit_mcp.models.records import GenerationRecord, Json

_TO: Final = r"[\s_-]*(?:2|to)[\s_-]*"
#: asked from top to bottom; a word of a video is looked for before that of its first frame
_WORDS: Final[tuple[tuple[str, DetectedType], ...]] = (
    (r"inpaint|outpaint", "inpaint"),
    (rf"(?:vid|video){_TO}vid|(?<![a-z])v2v", "v2v"),
    (rf"(?:img|image|ref|reference|frame)s?{_TO}vid|(?<![a-z])i2v", "i2v"),
    (rf"(?:txt|text){_TO}vid|(?<![a-z])t2v", "t2v"),
    (rf"(?:img|image){_TO}im|(?<![a-z])i2i", "i2i"),
    (rf"(?:txt|text){_TO}im|(?<![a-z])t2i", "t2i"),
)
_VIDEO: Final[frozenset[DetectedType]] = frozenset({"t2v", "i2v", "v2v"})
#: a video made by a process whose word is an image's
_AS_VIDEO: Final[dict[DetectedType, DetectedType]] = {"t2i": "t2v", "i2i": "i2v", "inpaint": "v2v"}
#: when several words fit, the one that needs more wins
_RANK: Final[tuple[DetectedType, ...]] = ("inpaint", "v2v", "i2v", "i2i", "t2v", "t2i")

#: inputs that carry a model or a condition, not the picture that is worked on
_NO_PICTURE: Final = frozenset(
    {
        "model", "clip", "vae", "positive", "negative", "conditioning", "control_net", "noise",
        "guider", "sampler", "sigmas", "clip_vision", "clip_vision_output", "style_model",
        "upscale_model", "text_embeds", "cfg", "seed", "steps", "width", "height", "denoise",
    }
)  # fmt: skip
_SAMPLED: Final = frozenset({"latent", "samples", "image_embeds"})
_HIRES_KEYS: Final = ("Hires upscale", "Hires upscaler", "Hires resize", "First pass strength",
                      "First pass size")  # fmt: skip


def detect_type(record: GenerationRecord, meta: Json, graph: Graph) -> DetectedType:
    """Name the kind of generation; `unknown` when nothing tells.

    Asked in this order: the site's workflow word, techniques, process, the graph, sources and
    masks in the metadata; for a video also the base models of its resources.
    """
    kind = (record.type or "").casefold()
    if kind == "audio":
        return "unknown"
    video = kind == "video"
    extra = as_dict(meta.get("extra"))
    words = (meta.get("workflow"), extra.get("workflow"), *_engine_words(meta))
    for text in (*words, extra.get("process")):
        found = _fit(_read(text), video=video, strict=bool(kind))
        if found:
            return found
    techniques = [_fit(_read(word), video=video, strict=True) for word in _techniques(record)]
    for candidate in _RANK:
        if candidate in techniques:
            return candidate
    process = _read((record.process or "").partition(" + ")[0])
    # CivitAI stores txt2img when it does not know, so for a video that word proves nothing yet
    if process and (process in _VIDEO) == video:
        return process
    return (
        _from_graph(graph, video=video)
        or _from_keys(meta, video=video)
        or (_from_base_models(record) if video else None)
        or (_AS_VIDEO.get(process) if video and process else None)
        or "unknown"
    )


def _engine_words(meta: Json) -> tuple[object, ...]:
    # with an engine, `process` and `type` are the generator's own words
    return (meta.get("process"), meta.get("type")) if "engine" in meta else ()


def _techniques(record: GenerationRecord) -> list[object]:
    names: list[object] = []
    for row in record.techniques or ():
        word: Any = row
        names.append(word.get("name") if isinstance(word, Mapping) else word)
    return names


def _read(text: object) -> DetectedType | None:
    if not isinstance(text, str):
        return None
    folded = text[:200].casefold()
    return next((found for pattern, found in _WORDS if re.search(pattern, folded)), None)


def _fit(found: DetectedType | None, *, video: bool, strict: bool) -> DetectedType | None:
    """Drop what contradicts the medium; an image is no video's result, nor the reverse."""
    if found is None or not strict:
        return found
    return found if (found in _VIDEO) == video else None


def _from_graph(graph: Graph, *, video: bool) -> DetectedType | None:
    samplers = [node for node in graph.nodes.values() if _is_sampler(node)]
    if not samplers:
        return None
    seen: set[str] = set()
    image = footage = mask = False
    waiting = [source for node in samplers for source in _picture_links(node)]
    while waiting:
        number = waiting.pop()
        node = graph.nodes.get(number)
        if node is None or number in seen:
            continue
        seen.add(number)
        kind = re.sub(r"[\s_]", "", node.type.casefold())
        footage = footage or "loadvideo" in kind
        image = image or _is_picture_source(kind)
        mask = mask or "inpaint" in kind or "setlatentnoisemask" in kind
        waiting += _picture_links(node)
    if video:
        return "v2v" if footage else "i2v" if image else "t2v"
    if mask:
        return "inpaint"
    return "i2i" if image or footage else "t2i"


def _is_picture_source(kind: str) -> bool:
    """Tell a node that brings a picture from outside; `kind` is its class, folded and tight."""
    return "loadimage" in kind or (
        "image" in kind and any(word in kind for word in ("request", "upload", "fromurl"))
    )


def _is_sampler(node: Node) -> bool:
    kind = node.type.casefold()
    if "latent_image" in node.links or "ultimatesdupscale" in kind or "detailer" in kind:
        return True
    return "sampler" in kind and not node.links.keys().isdisjoint(_SAMPLED)


def _picture_links(node: Node) -> list[str]:
    return [source for name, source in node.links.items() if name not in _NO_PICTURE]


def _from_keys(meta: Json, *, video: bool) -> DetectedType | None:
    if meta.get("sourceVideo"):
        return "v2v"
    if meta.get("sourceImage") or as_list(meta.get("images")):
        return "i2v" if video else "i2i"
    if video:
        return None
    if "Mask blur" in meta or meta.get("mask") or meta.get("maskImage"):
        return "inpaint"
    if as_weight(meta.get("Denoising strength")) is not None:
        return "t2i" if any(key in meta for key in _HIRES_KEYS) else "i2i"
    denoise = as_weight(meta.get("denoise"))
    if denoise is not None and 0 < denoise < 1:
        return "i2i"
    # A1111 always writes the denoising strength of an img2img run
    return "t2i" if "Model hash" in meta and "comfy" not in meta else None


def _from_base_models(record: GenerationRecord) -> DetectedType | None:
    found = {_read(row.base_model) for row in record.resources}
    return "i2v" if "i2v" in found else "t2v" if "t2v" in found else None
