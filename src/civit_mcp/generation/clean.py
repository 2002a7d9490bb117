"""A prompt without its tags, otherwise as its author wrote it."""

import re
from dataclasses import dataclass
from typing import Final

from civit_mcp.generation.tags import Tag, scan

_SPACE: Final = " \t"
_SEPARATORS: Final = " \t,"
_OUTER: Final = " \t\r\n,"
_NEWLINES: Final = "\r\n"
_BRACKETS: Final = {"(": ")", "[": "]", "{": "}"}
_EMPHASIS: Final = re.compile(r":[ \t]*+[\d.]{1,10}+[ \t]*+\)")
_CLOSING: Final = frozenset(")]}.;!?")


@dataclass(slots=True)
class _Hole:
    """A run of tags with nothing but separators and now empty brackets between them."""

    start: int
    end: int
    #: a comma or a space stood between its tags
    comma: bool = False
    space: bool = False


def clean_prompt(text: str) -> str:
    """Remove the tags of `text` together with the separator around each.

    Without tags the text comes back as it is. Newlines stay, words are never glued, and
    nothing changes that does not stand next to a tag; at an end of the text where a tag
    stood, the loose separators and blanks go too.
    """
    return without(text, scan(text))


def without(text: str, tags: tuple[Tag, ...]) -> str:
    """Remove `tags`, which are those of `text` in order."""
    if not tags:
        return text
    pieces: list[str] = []
    last = ""  # the character before the hole, "" at the start of the text
    done = 0
    for hole in _holes(text, tags):
        before = text[done : hole.start]
        body = before.rstrip(_SEPARATORS)
        if not last and not body.strip(_OUTER):
            body = ""
        rest = _skip(text, hole.end, _SEPARATORS if last or body else _OUTER)
        if body:
            pieces.append(body)
            last = body[-1]
        following = text[rest] if rest < len(text) else ""
        if last:
            left = before[len(body) :]
            right = text[hole.end : rest]
            pieces.append(_joint(last, following, left, right, hole))
        done = rest
    tail = text[done:]
    joined = "".join(pieces)
    if not tail.strip(_OUTER):
        return joined.rstrip(_OUTER)
    return joined + tail


def _holes(text: str, tags: tuple[Tag, ...]) -> list[_Hole]:
    holes: list[_Hole] = []
    for tag in tags:
        hole = _Hole(tag.start, tag.end)
        while True:
            floor = holes[-1].end if holes else 0
            left = _skip_back(text, hole.start, floor)
            if holes and left == floor:
                previous = holes.pop()
                gap = text[previous.end : hole.start]
                hole = _Hole(
                    previous.start,
                    hole.end,
                    comma=previous.comma or hole.comma or "," in gap,
                    space=previous.space or hole.space or gap.strip(",") != "",
                )
                continue
            right = _skip(text, hole.end, _SEPARATORS)
            opening = text[left - 1] if left > floor else ""
            close = _EMPHASIS.match(text, right) if opening == "(" else None
            closing = close.end() - 1 if close else right
            if not opening or text[closing : closing + 1] != _BRACKETS.get(opening):
                break
            # "( <tag> )" and "(<tag>:1.2)" would leave an empty pair
            hole = _Hole(left - 1, closing + 1)
        holes.append(hole)
    return holes


def _joint(last: str, following: str, left: str, right: str, hole: _Hole) -> str:
    """Say what stands between the texts on both sides of a hole."""
    spaced = hole.space or any(c in _SPACE for c in left + right)
    comma = hole.comma or "," in left or "," in right
    if last in _NEWLINES or last in _BRACKETS:
        return ""
    if not following or following in _NEWLINES:
        return "," if comma and following else ""
    if following in _CLOSING:
        return ""
    if comma:
        tight = not spaced or ("," in right and not right.endswith(tuple(_SPACE)))
        return "," if tight else ", "
    glued = last.isalnum() and following.isalnum()
    return " " if spaced or glued else ""


def _skip(text: str, start: int, chars: str) -> int:
    while start < len(text) and text[start] in chars:
        start += 1
    return start


def _skip_back(text: str, end: int, floor: int) -> int:
    while end > floor and text[end - 1] in _SEPARATORS:
        end -= 1
    return end
