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

#: the row that a looser spelling means: its first word, then what the rest must begin with.
#: Words are runs of letters or numbers, so `Taiwan` is not `wan`; the first fitting line counts
_SPELLINGS: Final = """
wan image|Wan Image 2.7
wan i2v|Wan Video 14B i2v 480p
wan 2.2 i2v|Wan Video 2.2 I2V-A14B
wan 2.2 ti2v|Wan Video 2.2 TI2V-5B
wan 2.2|Wan Video 2.2 T2V-A14B
wan|Wan Video
flux 2|Flux.2 D
flux 3|Flux 3 Video
flux 1 s|Flux.1 S
flux 1 krea|Flux.1 Krea
flux 1 kontext|Flux.1 Kontext
flux krea|Flux.1 Krea
flux kontext|Flux.1 Kontext
flux s|Flux.1 S
flux|Flux.1 D
hunyuan video|Hunyuan Video
hunyuanvideo|Hunyuan Video
hunyuan 3d|Hunyuan3D
hunyuan dit|Hunyuan 1
ltx 2|LTXV2
ltxv 2|LTXV2
ltx|LTXV
ltxv|LTXV
ltxvideo|LTXV
cogvideo|CogVideoX
cogvideox|CogVideoX
sd xl|SDXL 1.0
sdxl|SDXL 1.0
stable diffusion xl|SDXL 1.0
stable diffusion 1|SD 1.5
stable diffusion 2|SD 2.1
stable diffusion 3|SD 3.5
sd 1|SD 1.5
sd 2|SD 2.1
sd 3|SD 3.5
sd 15|SD 1.5
sd 21|SD 2.1
pony v 7|Pony V7
pony 7|Pony V7
pony|Pony
ponyxl|Pony
illustrious|Illustrious
illustriousxl|Illustrious
noobai|NoobAI
noob ai|NoobAI
z image turbo|ZImageTurbo
z image|ZImageBase
zimage turbo|ZImageTurbo
zimageturbo|ZImageTurbo
zimage|ZImageBase
qwen|Qwen
hidream|HiDream
chroma|Chroma
auraflow|AuraFlow
lumina|Lumina
kolors|Kolors
mochi|Mochi
ernie|Ernie
svd|SVD
stable video|SVD
"""


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


def _words(text: str) -> tuple[str, ...]:
    """Split into runs of letters and numbers; a version's dot belongs to its number."""
    return tuple(re.findall(r"[^\W\d_]+|\d+(?:\.\d+)?", _key(text)))


def _spellings() -> list[tuple[tuple[str, ...], BaseModel]]:
    lines = (line.split("|") for line in _SPELLINGS.strip().splitlines())
    return [(_words(spelling), BASE_MODELS[_key(name)]) for spelling, name in lines]


_SPELLED: Final = _spellings()


def look_up(text: str | None) -> BaseModel:
    """Find the row for a base model in any spelling; unknown texts get an open row.

    A spelling that only begins like a known one (`Wan Video 3.0`) has that family but keeps
    its own name and ecosystem: it is a relative, not the same.
    """
    key = _key(text or "")
    row = BASE_MODELS.get(key)
    if row is not None:
        return row
    words = _words(key)
    for spelling, meant in _SPELLED:
        if _begins(words, spelling):
            if words == spelling or _same_version(words[len(spelling) :]):
                return meant
            ecosystem = re.sub(r"[\s.]", "", key)
            return BaseModel(text or "", ecosystem, meant.family, meant.diffusion_only)
    return BaseModel(text or "", key, "other", diffusion_only=False)


#: words after a known spelling that say nothing new
_FILLERS: Final = frozenset(
    {"video", "v", "xl", "x", "dev", "d", "base", "model", "image", "lora", "checkpoint", "ai",
     "i", "b", "t"}
)  # fmt: skip


def _same_version(rest: tuple[str, ...]) -> bool:
    return all(word in _FILLERS or word in ("1", "1.0", "1.5", "2.1", "14") for word in rest)


def _begins(words: tuple[str, ...], spelling: tuple[str, ...]) -> bool:
    """Whether the words begin with the spelling; `1` in it is `1.5` in them."""
    return len(words) >= len(spelling) and all(
        have == want or (want.isdecimal() and have.partition(".")[0] == want)
        for have, want in zip(words, spelling, strict=False)
    )
