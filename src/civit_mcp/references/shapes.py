"""Shapes that more than one spelling is made of."""

import re
from typing import Final

HEX: Final = re.compile(r"[0-9a-f]+", re.IGNORECASE)
UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
