"""Base models: CivitAI's `baseModel` texts, their AIR ecosystem and their family.

The ecosystem column is CivitAI's own (the lower-cased root ecosystem of each base model).
A family is the group that shares an architecture, so that a LoRA of one member loads on
another. `diffusion_only` marks base models whose checkpoints are usually a bare diffusion
model without text encoder and VAE, which ComfyUI wants in `diffusion_models/`.

The set is open: an unknown base model keeps its text, has its own lower-cased text as
ecosystem and the family `other`.
"""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class BaseModel:
    """One row of the table."""

    name: str
    ecosystem: str
    family: str
    diffusion_only: bool


#: name | ecosystem | family | d when checkpoints are bare diffusion models
_TABLE: Final = """
Anima|anima|anima|d
AuraFlow|auraflow|auraflow|d
Chroma|chroma|chroma|d
Ernie|ernie|ernie|d
Flux.1 S|flux1|flux|d
Flux.1 D|flux1|flux|d
Flux.1 Krea|fluxkrea|flux|d
Flux.1 Kontext|flux1kontext|flux|d
Flux.2 D|flux2|flux2|d
Flux.2 Klein 9B|flux2|flux2|d
Flux.2 Klein 9B-base|flux2|flux2|d
Flux.2 Klein 4B|flux2|flux2|d
Flux.2 Klein 4B-base|flux2|flux2|d
HiDream|hidream|hidream|d
HiDream-O1|hidream-o1|hidream|d
Hunyuan 1|hydit1|hunyuandit|d
Ideogram 4.0|ideogram|other|
Boogu|boogu|other|
Illustrious|sdxl|sdxl|
Kolors|kolors|kolors|d
Krea 2|krea2|krea2|d
Lens|lens|other|
Lumina|lumina|lumina|d
MageFlow|mageflow|other|
MAI|mai|other|
NoobAI|sdxl|sdxl|
Upscaler|other|other|
Other|other|other|
PixArt a|pixarta|pixart|d
PixArt E|pixarte|pixart|d
Pony|sdxl|sdxl|
Pony V7|auraflow|auraflow|
Qwen|qwen|qwen|d
Qwen 2|qwen2|qwen|d
Qwen 3|qwen3|qwen|d
SD 1.4|sd1|sd15|
SD 1.5|sd1|sd15|
SD 1.5 LCM|sd1|sd15|
SD 1.5 Hyper|sd1|sd15|
SD 2.0|sd2|sd2|
SD 2.1|sd2|sd2|
SDXL 1.0|sdxl|sdxl|
SDXL Lightning|sdxl|sdxl|
SDXL Hyper|sdxl|sdxl|
Reve|reve|other|
Wan Image 2.7|wanimage27|other|d
ZImageTurbo|zimageturbo|zimage|d
ZImageBase|zimagebase|zimage|d
CogVideoX|cogvideox|cogvideo|d
Flux 3 Video|flux3video|other|
HappyHorse|happyhorse|other|
Hunyuan Video|hyv1|hunyuan|d
LTXV|ltxv|ltx|d
LTXV2|ltxv2|ltx|d
LTXV 2.3|ltxv23|ltx|d
Mochi|mochi|mochi|d
Wan Video 1.3B t2v|wanvideo1_3b_t2v|wan|d
Wan Video 14B t2v|wanvideo14b_t2v|wan|d
Wan Video 14B i2v 480p|wanvideo14b_i2v_480p|wan|d
Wan Video 14B i2v 720p|wanvideo14b_i2v_720p|wan|d
Wan Video 2.2 TI2V-5B|wanvideo-22-ti2v-5b|wan|d
Wan Video 2.2 I2V-A14B|wanvideo-22-i2v-a14b|wan|d
Wan Video 2.2 T2V-A14B|wanvideo-22-t2v-a14b|wan|d
Wan Video 2.5 T2V|wanvideo-25-t2v|wan|d
Wan Video 2.5 I2V|wanvideo-25-i2v|wan|d
Wan Video 2.7|wanvideo27|wan|d
MiniMax H3|minimaxh3|other|
Grok|grok|other|
ACE Audio|ace|other|
Imagen4|imagen4|other|
Nano Banana|nanobanana|other|
ODOR|odor|other|
OpenAI|openai|other|
Playground v2|playgroundv2|other|
Stable Cascade|scascade|cascade|
SD 2.0 768|sd2|sd2|
SD 2.1 768|sd2|sd2|
SD 2.1 Unclip|sd2|sd2|
SD 3|sd3|sd3|
SD 3.5|sd3|sd3|
SD 3.5 Large|sd3|sd3|
SD 3.5 Large Turbo|sd3|sd3|
SD 3.5 Medium|sd3_5m|sd3|
SDXL 0.9|sdxl|sdxl|
SDXL 1.0 LCM|sdxl|sdxl|
SDXL Turbo|sdxl|sdxl|
SDXL Distilled|sdxldistilled|sdxl|
Seedream|seedream|other|
SVD|svd|svd|d
SVD XT|svd|svd|d
PolyGen|polygen|other|
Tripo|tripo|other|
Hunyuan3D|hunyuan3d|other|
Sora 2|sora2|other|
Veo 3|veo3|other|
Wan Video|wanvideo|wan|d
Vidu Q1|vidu|other|
Kling|kling|other|
Seedance|seedance|other|
"""

#: spellings of ComfyUI Studio, of other tools and of AIRs, read as the row they mean
_ALIASES: Final = {
    "wan": "Wan Video",
    "wan 2": "Wan Video",
    "wan 2.1": "Wan Video",
    "wan 2.2": "Wan Video 2.2 T2V-A14B",
    "wan-i2v-14b": "Wan Video 14B i2v 480p",
    "flux.1": "Flux.1 D",
    "flux": "Flux.1 D",
    "flux.2": "Flux.2 D",
    "hunyuanvideo": "Hunyuan Video",
    "ltx-video": "LTXV",
    "ltx video": "LTXV",
    "ltx": "LTXV",
    "sdxl": "SDXL 1.0",
    "sd1.5": "SD 1.5",
    "sd 1.x": "SD 1.5",
    "sd15": "SD 1.5",
    "sd 2.x": "SD 2.1",
    "sd 3.x": "SD 3.5",
    "z-image": "ZImageBase",
    "z-image-turbo": "ZImageTurbo",
    "z image turbo": "ZImageTurbo",
    "qwen-image": "Qwen",
    "qwen image": "Qwen",
    "nucleus": "Nucleus",
}


def _key(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().casefold()


def _rows() -> dict[str, BaseModel]:
    rows = {}
    for line in _TABLE.strip().splitlines():
        name, ecosystem, family, mark = line.split("|")
        rows[_key(name)] = BaseModel(name, ecosystem, family, mark == "d")
    rows["nucleus"] = BaseModel("Nucleus", "nucleus", "other", diffusion_only=True)
    return rows


BASE_MODELS: Final[dict[str, BaseModel]] = _rows()
#: families whose newest members CivitAI may name before this table does
_OPEN_PREFIXES: Final = (
    ("wan video ", "wan"),
    ("flux.1 ", "flux"),
    ("flux.2 ", "flux2"),
    ("ltxv", "ltx"),
    ("qwen ", "qwen"),
    ("zimage", "zimage"),
    ("hidream", "hidream"),
    ("ernie", "ernie"),
    ("svd", "svd"),
    ("sdxl ", "sdxl"),
    ("sd 1.5 ", "sd15"),
)
_OPEN_DIFFUSION: Final = frozenset(
    {"wan", "flux", "flux2", "ltx", "qwen", "zimage", "hidream", "ernie", "svd"}
)


def look_up(text: str | None) -> BaseModel:
    """Find the row for a base model in any spelling; unknown texts get an open row."""
    key = _key(text or "")
    row = BASE_MODELS.get(key) or BASE_MODELS.get(_key(_ALIASES.get(key, "")))
    if row is not None:
        return row
    for prefix, family in _OPEN_PREFIXES:
        if key.startswith(prefix):
            ecosystem = re.sub(r"[\s.]", "", key)
            return BaseModel(text or "", ecosystem, family, family in _OPEN_DIFFUSION)
    return BaseModel(text or "", key, "other", diffusion_only=False)
