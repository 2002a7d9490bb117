"""Plain text: what cannot be seen goes, what is long is cut.

Not for prompts: they are shown exactly as they were stored.
"""

import re
import unicodedata
from itertools import groupby
from typing import Final

#: Characters without a shape of their own, which can hide words from a person while a model
#: reads them. Arabic and Kaithi number signs count as format characters in Unicode but are
#: drawn, so they stay.
_INVISIBLE: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls except tab and newline
    "\u00ad\u034f\u061c"  # soft hyphen, grapheme joiner, Arabic letter mark
    "\u115f\u1160\u3164\uffa0\u17b4\u17b5"  # fillers and vowels that are never drawn
    "\u180b-\u180f"  # Mongolian variation selectors and vowel separator
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f"  # zero width, direction, invisible operators
    "\u2800"  # Braille cell without dots
    "\ufe00-\ufe0f\ufeff"  # variation selectors, byte order mark
    "\ufff0-\ufffc"  # annotations and the object placeholder
    "\ufdd0-\ufdef\ufffe\uffff"  # code points that are no characters
    "\U00013430-\U0001345f"  # hieroglyph layout
    "\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"  # shorthand and music layout
    "\U000e0000-\U000e0fff"  # tags and further variation selectors
    "\ud800-\udfff"  # halves of pairs
    + "".join(f"{chr((p << 16) | 0xFFFE)}{chr((p << 16) | 0xFFFF)}" for p in range(1, 17))
    + "]+"
)
_LINE_ENDS: Final = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
#: more marks on one letter than any script uses; unbounded runs also make sorting them slow
_MARKS_PER_LETTER: Final = 30
_MAYBE_MARKS: Final = re.compile(f"[\u0300-\U0010ffff]{{{_MARKS_PER_LETTER + 1}}}")
_ELLIPSIS: Final = "…"
#: how far before the limit a cut may fall to end at a word
_SLACK: Final = 200


def clean_prose(text: str | None) -> str:
    """Remove what cannot be seen from `text` and compose its letters (NFC).

    Tabs and newlines stay; every kind of line end becomes a newline. Doing it twice changes
    nothing more. Never for prompts, which must stay exact.
    """
    if not text:
        return ""
    text = _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))
    if text.isascii():
        return text
    # composing can lengthen a run of marks, so it is limited on both sides
    return _limit_marks(unicodedata.normalize("NFC", _limit_marks(text)))


def _limit_marks(text: str) -> str:
    if _MAYBE_MARKS.search(text) is None:
        return text
    kept: list[str] = []
    for is_mark, run in groupby(text, key=lambda char: unicodedata.combining(char) != 0):
        characters = "".join(run)
        kept.append(characters[:_MARKS_PER_LETTER] if is_mark else characters)
    return "".join(kept)


def one_line(text: str | None, limit: int = 200) -> str:
    """Put a name or a label on one line of at most `limit` characters.

    Runs of white space become one space; what is cut ends in an ellipsis. Never for prompts.
    """
    words = " ".join(clean_prose(text).split())
    if len(words) <= limit:
        return words
    return words[: limit - 1].rstrip() + _ELLIPSIS if limit > 0 else ""


def quoted(text: str, limit: int = 300) -> str:
    """Put a stranger's words into a sentence of ours: on one line, unable to end the quote."""
    inner = one_line(text, limit).replace("'", "\u2019")
    return f"'{inner}'"


def cut(text: str, start: int, limit: int) -> tuple[str, int | None]:
    """Give the piece of `text` from `start` on, at most `limit` characters, and what follows.

    Returns the piece and the offset of the next one, None at the end. A piece ends after a
    line or a word when one ends near the limit. Pieces put together give `text` again: nothing
    is added, dropped or trimmed.
    """
    start, limit = max(start, 0), max(limit, 1)
    end = start + limit
    if end >= len(text):
        return text[start:], None
    end = _good_end(text, max(start + 1, end - min(_SLACK, limit // 4)), end)
    return text[start:end], end


def _good_end(text: str, earliest: int, end: int) -> int:
    for separator in ("\n", " "):
        found = text.rfind(separator, earliest - 1, end)
        if found != -1:
            return found + 1
    # a letter and its accents belong together
    back = end
    while back > earliest and unicodedata.combining(text[back]):
        back -= 1
    return back if not unicodedata.combining(text[back]) else end
