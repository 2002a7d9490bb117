"""Shapes that more than one spelling is made of."""

import re
from typing import Final

#: AutoV1 and CRC32, AutoV2, AutoV3, SHA256 and BLAKE3
HASH_LENGTHS: Final = (8, 10, 12, 64)
HEX: Final = re.compile(r"[0-9a-f]+", re.IGNORECASE)
UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: the end of a model file's name
MODEL_FILE: Final = re.compile(r"\.(?:safetensors|sft|ckpt|pth?|bin|gguf|onnx|zip)$", re.IGNORECASE)
