"""Files of weights: how their names end, and which hashes tell them apart.

Each fact stands here alone; every room builds its patterns of it.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

#: canonical spelling of CivitAI's hash types
HashType = Literal["AutoV1", "AutoV2", "AutoV3", "SHA256", "CRC32", "BLAKE3"]
#: hexadecimal digits -> the types of that length, likeliest first
HASH_TYPES: Final[Mapping[int, tuple[HashType, ...]]] = {
    8: ("AutoV1", "CRC32"),
    10: ("AutoV2",),
    12: ("AutoV3",),
    64: ("SHA256", "BLAKE3"),
}
HASH_LENGTHS: Final = tuple(HASH_TYPES)
SHA256_LENGTH: Final = HASH_LENGTHS[-1]
#: the lengths as a sentence has them
LENGTHS_SAID: Final = f"{', '.join(map(str, HASH_LENGTHS[:-1]))} or {SHA256_LENGTH}"

SAFETENSORS: Final = ("safetensors", "sft")
PICKLES: Final = ("ckpt", "pt", "pth", "bin")
#: an ending that is no file's, but that people write
MISSPELT: Final = "safetensor"
#: how a name may end -> CivitAI's word for the format
FORMATS: Final[Mapping[str, str]] = {
    **dict.fromkeys(SAFETENSORS, "SafeTensor"),
    **dict.fromkeys(PICKLES, "PickleTensor"),
    "gguf": "GGUF",
    "onnx": "ONNX",
}


def name_ending(*endings: str) -> re.Pattern[str]:
    """A pattern that finds one of these endings, with its dot, at the end of a name."""
    return re.compile(rf"\.(?:{'|'.join(endings)})$", re.IGNORECASE)


#: the end of a model file's name; some are packed
MODEL_FILE: Final = name_ending(*FORMATS, "zip")
