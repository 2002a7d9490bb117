"""Where a file belongs: the catalog category and the folder under ComfyUI's models.

The rows follow ComfyUI's folder names and ComfyUI Studio's categories. The file's own type
decides first, then the type in CivitAI's AIR, then the model's type, and for a checkpoint
that none of them settles, the base model.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from civit_mcp.models.air import parse_air
from civit_mcp.models.base_models import look_up
from civit_mcp.models.records import FileRecord, VersionRecord


class Place(NamedTuple):
    """A category with its display name, and the folder."""

    category: str
    name: str
    dest: str


CATEGORY_NAMES: Final = {
    "checkpoints": "Checkpoints",
    "diffusion_models": "Diffusion Models",
    "loras": "LoRAs",
    "vae": "VAE",
    "text_encoders": "Text Encoders",
    "clip_vision": "CLIP Vision",
    "controlnet": "ControlNet",
    "ipadapter": "IP-Adapter",
    "upscalers": "Upscalers",
    "embeddings": "Embeddings",
    "detectors": "Detectors",
    "animatediff": "AnimateDiff",
    "segmentation": "Segmentation",
    "faceswap": "Face Swap",
}
#: folders whose name is not their category's
_DESTS: Final = {
    "upscalers": "upscale_models",
    "animatediff": "animatediff_models",
    "detectors": "ultralytics",
}

_NOTHING: Final = "none"
#: `ModelFileType` -> category; types that are not here leave the choice to the model
_FILE_TYPES: Final = {
    "diffusion model": "diffusion_models",
    "unet": "diffusion_models",
    "vae": "vae",
    "text encoder": "text_encoders",
    "vision encoder": "clip_vision",
    "clipvision": "clip_vision",
    "controlnet": "controlnet",
    "upscaler": "upscalers",
    "enhancement lora": "loras",
    "negative": "embeddings",
    "training data": _NOTHING,
    "config": _NOTHING,
    "archive": _NOTHING,
    "workflow": _NOTHING,
}
#: file types that say no more than the model does
_PLAIN_FILE_TYPES: Final = frozenset({"", "model", "pruned model", "other"})
#: AIR type -> category
_AIR_TYPES: Final = {
    "diffusionmodel": "diffusion_models",
    "unet": "diffusion_models",
}
#: `ModelType` -> category
_MODEL_TYPES: Final = {
    "checkpoint": "checkpoints",
    "lora": "loras",
    "locon": "loras",
    "dora": "loras",
    "textualinversion": "embeddings",
    "aestheticgradient": "embeddings",
    "vae": "vae",
    "controlnet": "controlnet",
    "poses": "controlnet",
    "upscaler": "upscalers",
    "unet": "diffusion_models",
    "textencoder": "text_encoders",
    "clip": "text_encoders",
    "clipvision": "clip_vision",
    "motionmodule": "animatediff",
    "detection": "detectors",
    "hypernetwork": "hypernetworks",
    "workflows": _NOTHING,
    "comfyworkflows": _NOTHING,
    "wildcards": _NOTHING,
    "llm": _NOTHING,
    "visionlanguage": _NOTHING,
    "other": _NOTHING,
}
#: AIR type -> model type, for a version whose model type nobody sent
_AIR_MODEL_TYPES: Final = {
    "ag": "aestheticgradient",
    "hypernet": "hypernetwork",
    "embedding": "textualinversion",
    "motion": "motionmodule",
    "lycoris": "locon",
    "text_encoders": "textencoder",
}

#: family -> category of loras.json
_STYLE_CATEGORIES: Final = {
    "wan": ("wan_loras", "WAN LoRAs"),
    "flux": ("flux_loras", "Flux LoRAs"),
    "flux2": ("flux_loras", "Flux LoRAs"),
    "sdxl": ("sdxl_loras", "SDXL / Pony / Illustrious LoRAs"),
    "sd15": ("sd15_loras", "SD 1.5 LoRAs"),
    "ltx": ("ltx_loras", "LTX LoRAs"),
    "hunyuan": ("hunyuan_loras", "HunyuanVideo LoRAs"),
    "cogvideo": ("cogvideo_loras", "CogVideoX LoRAs"),
    "qwen": ("qwen_loras", "Qwen LoRAs"),
    "zimage": ("zimage_loras", "Z-Image LoRAs"),
}
_OTHER_STYLES: Final = ("other_loras", "Other LoRAs")
#: base models that some catalogs give a category of their own inside the family
_OWN_STYLES: Final = {
    "Pony": "pony_loras",
    "Illustrious": "illustrious_loras",
    "NoobAI": "noobai_loras",
}


def route(version: VersionRecord, file: FileRecord, *, is_main: bool) -> Place | str:
    """Say where `file` of `version` belongs, or in a clause why it belongs nowhere."""
    file_type = file.type.strip().casefold()
    air_type = _air_type(version.air) if is_main else ""
    category = _FILE_TYPES.get(file_type)
    if file_type == "archive" and (version.model_type or "").strip().casefold() == "poses":
        # a pose collection is an archive by nature
        category = _MODEL_TYPES["poses"]
    if category is None and file_type not in _PLAIN_FILE_TYPES:
        return f"files of type '{file.type}' are not known to be model weights"
    if category is None:
        category = _AIR_TYPES.get(air_type)
    if category is None:
        sent = (version.model_type or "").strip().casefold()
        kind = sent or _AIR_MODEL_TYPES.get(air_type, air_type)
        category = _MODEL_TYPES.get(kind)
        if category is None:
            return f"models of type '{version.model_type or 'unknown'}' have no place in ComfyUI"
        if category == "checkpoints" and (
            _is_gguf(file) or look_up(version.base_model).diffusion_only
        ):
            category = "diffusion_models"
        if category == _NOTHING:
            return f"'{version.model_type}' is not a model file"
    if category == _NOTHING:
        return f"a file of type '{file.type}' is not a model file"
    dest = _DESTS.get(category, category)
    if category == "detectors":
        dest += _detector_folder(f"{file.name} {version.name} {version.model_name or ''}")
    return Place(category, category_name(category), dest)


def style_category(base_model: str, existing: Iterable[str]) -> tuple[str, str]:
    """Id and name of the loras.json category for a LoRA; one that is there already wins."""
    row = look_up(base_model)
    category, name = _STYLE_CATEGORIES.get(row.family, _OTHER_STYLES)
    own = _OWN_STYLES.get(row.name, f"{row.family}_loras")
    found = fitting((own, category), existing)
    if found is None or found == category:
        return category, name
    return found, category_name(found)


def fitting(wanted: Iterable[str], existing: Iterable[str]) -> str | None:
    """Find the first wanted category id among the existing ones, whatever their spelling."""
    spelled: dict[str, str] = {}
    for category in existing:
        spelled.setdefault(_level(category), category)
    return next((spelled[_level(one)] for one in wanted if _level(one) in spelled), None)


def category_name(category: str) -> str:
    """Display name for a category that a file does not have yet."""
    return CATEGORY_NAMES.get(category) or category.replace("_", " ").title()


def is_lora(category: str, dest: str) -> bool:
    """Whether an entry of this category and folder is a LoRA."""
    folder = dest.replace("\\", "/").strip("/").casefold()
    words = set(re.split(r"[^a-z0-9]+", category.casefold()))
    return bool(words & {"lora", "loras"}) or folder == "loras" or folder.startswith("loras/")


def _level(category: str) -> str:
    return re.sub(r"[\s_\-]+", "_", category.strip().casefold())


def _air_type(air: str | None) -> str:
    parsed = parse_air(air) if air else None
    return (parsed.type or "") if parsed is not None else ""


def _is_gguf(file: FileRecord) -> bool:
    return (file.format or "").casefold() == "gguf" or file.name.casefold().endswith(".gguf")


def _detector_folder(names: str) -> str:
    words = set(re.split(r"[^a-z0-9]+", names.casefold()))
    if words & {"segm", "seg", "segmentation"}:
        return "/segm"
    return "/bbox" if words & {"bbox", "box", "boxes"} else ""
