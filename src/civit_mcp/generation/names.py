"""How the same file is recognised under different spellings, hashes and words for its kind."""

import math
import re
import unicodedata
from typing import Any, Final

from civit_mcp.models.generated import DepKind
from civit_mcp.models.records import EMPTY_HASHES
from civit_mcp.models.weights import FORMATS, HASH_TYPES, MISSPELT, name_ending

#: longest name that is taken for one; file systems stop at 255 bytes
MAX_NAME: Final = 300
_MAX_WEIGHT: Final = 10_000.0

# a model's settings have its name
_EXTENSION: Final = name_ending(*FORMATS, MISSPELT, "yaml")
# a slash between spaces belongs to a title, any other to a path
_FOLDERS: Final = re.compile(r"^.*(?:(?<! )[\\/]|[\\/](?! ))", re.DOTALL)
_HEX: Final = re.compile(r"[0-9A-F]+")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NUMBER: Final = re.compile(
    r"[+-]?(?:\d{1,20}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII
)

#: where some tools cut a SHA256
_CUT: Final = 12
_KINDS: Final[dict[str, DepKind]] = {
    "model": "checkpoint",
    "checkpoint": "checkpoint",
    "checkpoints": "checkpoint",
    "ckpt": "checkpoint",
    "refiner": "checkpoint",
    "unet": "checkpoint",
    "diffusionmodel": "checkpoint",
    "lora": "lora",
    "loras": "lora",
    "dora": "lora",
    "lyco": "lyco",
    "lycoris": "lyco",
    "locon": "lyco",
    "loha": "lyco",
    "lokr": "lyco",
    "hypernet": "hypernet",
    "hypernetwork": "hypernet",
    "embed": "embedding",
    "embeds": "embedding",
    "embedding": "embedding",
    "embeddings": "embedding",
    "textualinversion": "embedding",
    "ti": "embedding",
    "vae": "vae",
}
_NO_NAMES: Final = frozenset(
    {
        "", "none", "null", "undefined", "nan", "automatic", "auto", "default", "unknown",
        "baked vae", "baked-in", "baked in", "baked",
    }
)  # fmt: skip


def kind_of(word: object) -> DepKind | None:
    """Translate anybody's word for a kind (`LoCon`, `embed`, `Diffusion Model`); None = no dep."""
    if not isinstance(word, str) or len(word) > 40:
        return None
    return _KINDS.get(re.sub(r"[\s_-]", "", word).casefold())


def stem(text: str) -> str:
    """Last path component without a model file's extension, in NFKC and folded case.

    Spaces and underscores are one. Everything else counts, so that `x_v1_1` and `x_v11` stay
    two things.
    """
    folded = unicodedata.normalize("NFKC", text[:MAX_NAME]).casefold().strip()
    bare = _EXTENSION.sub("", _FOLDERS.sub("", folded)).strip()
    return re.sub(r"[\s_]+", "_", bare or folded)


def normalise_name(text: str) -> str:
    """Reduce a file stem or a title to what both have in common, for comparing them.

    Last path component, no extension, NFKC, folded case, letters and digits only. A name
    made of signs alone keeps its signs. Coarse on purpose: equality is a hint, no identity.
    """
    bare = stem(text)
    kept = "".join(c for c in bare if unicodedata.category(c)[0] in "LNM")
    # letters and marks that a sign kept apart may have met
    return unicodedata.normalize("NFC", kept) or bare


def readable(text: str) -> str:
    """Replace what cannot be written as UTF-8 (half of a surrogate pair)."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def as_name(value: object) -> str | None:
    """Read a file name or title; None for other types, for too long and for "None" words."""
    if not isinstance(value, str) or len(value) > MAX_NAME:
        return None
    name = readable(value).strip().strip("\"'").strip()
    return None if name.casefold() in _NO_NAMES else name


def as_hash(value: object) -> str | None:
    """Read a hash as upper-case hex of one of the usual lengths; None for all else."""
    if not isinstance(value, str) or len(value) > 80:
        return None
    text = value.strip().strip("\"'").strip().upper().removeprefix("0X")
    if len(text) not in HASH_TYPES or not _HEX.fullmatch(text) or text in EMPTY_HASHES:
        return None
    return text


def guess_hash_type(hash_hex: str) -> tuple[str, ...]:
    """Name the hash types that a hash of this length may be, likeliest first; () for none."""
    text = hash_hex.strip().upper().removeprefix("0X")
    if not _HEX.fullmatch(text):
        return ()
    return (*HASH_TYPES.get(len(text), ()), *(("SHA256",) if len(text) == _CUT else ()))


def as_weight(value: object) -> float | None:
    """Read a strength from a number or its text; None when it is none or out of all bounds."""
    if isinstance(value, str):
        text = value.strip().strip("\"'").strip()
        if not _NUMBER.fullmatch(text):
            return None
        number = float(text)
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    else:
        # comparing before converting: a huge int has no float
        if isinstance(value, int) and abs(value) > _MAX_WEIGHT:
            return None
        number = float(value)
    return number if math.isfinite(number) and abs(number) <= _MAX_WEIGHT else None


def as_list(value: object) -> list[Any]:
    """Take a list as it is, anything else as empty."""
    return value if isinstance(value, list) else []


def as_dict(value: object) -> dict[str, Any]:
    """Take an object as it is, anything else as empty."""
    return value if isinstance(value, dict) else {}
