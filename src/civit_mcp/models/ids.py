"""CivitAI's ids: positive numbers of 31 bits, often sent or pasted as text."""

import re
from typing import Final

MAX_ID: Final = 2**31 - 1
#: digits of a number that every reader of JSON holds exactly are fewer
_LONGEST: Final = 16


def as_id(value: object) -> int | None:
    """Read an id that CivitAI could have given: a positive whole number or its digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*0*\d{1,10}\s*", value, re.ASCII):
        value = int(value)
    return value if isinstance(value, int) and 0 < value <= MAX_ID else None


def plain_id(text: str | None) -> int | str | None:
    """A stored id as a number where it is one; files of other programs hold other texts."""
    if text and len(text) < _LONGEST and text.isascii() and text.isdecimal() and text[0] != "0":
        return int(text)
    return text
