"""Embeddings in prompts: a name in the text that something else proves to be a file."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from civit_mcp.generation.names import MAX_NAME, as_name, as_weight, stem
from civit_mcp.generation.tags import Tag

_EXPLICIT: Final = re.compile(
    r"\bembedding:[ \t]*+([^\s,()\[\]{}<>|:\"']++)(?::([^\s,()\[\]{}<>|:]{1,40}+))?", re.IGNORECASE
)
# pieces that an emphasis or a list holds; what ends a piece is kept to read the weight
_PIECE: Final = re.compile(r"[^,\n\r()\[\]{}<>|]+")
_WORD: Final = re.compile(r"\S+")
_EDGE: Final = ".;:!?\"'"
#: names of more words than this are titles, no file names
_MAX_WORDS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """One embedding named in a text."""

    name: str
    weight: float | None
    start: int


def blank_tags(text: str, tags: tuple[Tag, ...]) -> str:
    """Put commas where the tags are, so that places stay and names inside do not count."""
    pieces: list[str] = []
    done = 0
    for tag in tags:
        pieces += (text[done : tag.start], "," * (tag.end - tag.start))
        done = tag.end
    return "".join(pieces) + text[done:]


def find_mentions(text: str, proven: Collection[str]) -> tuple[Mention, ...]:
    """Find the embeddings that `text` names, in order, each once.

    `embedding:NAME` speaks for itself. A bare word, or a few of them, counts only when it is
    one of `proven`: names that the metadata or the user's disk says are embeddings. The name
    of such a mention is the proven one.
    """
    known = {stem(name): name for name in proven if as_name(name)}
    found: dict[str, Mention] = {}
    mentions = sorted([*_explicit(text), *_bare(text, known)], key=lambda mention: mention.start)
    for mention in mentions:
        found.setdefault(stem(mention.name), mention)
    return tuple(found.values())


def _explicit(text: str) -> Iterator[Mention]:
    for match in _EXPLICIT.finditer(text):
        name = as_name(match[1].rstrip(_EDGE))
        if name:
            yield Mention(name=name, weight=as_weight(match[2]), start=match.start())


def _bare(text: str, known: dict[str, str]) -> Iterator[Mention]:
    if not known:
        return
    longest = min(_MAX_WORDS, max(len(re.split(r"[\s_]+", key)) for key in known))
    for piece in _PIECE.finditer(text):
        content, weight = _emphasis(text, piece)
        words = [
            (word.start() + piece.start(), word[0].strip(_EDGE)) for word in _WORD.finditer(content)
        ]
        position = 0
        while position < len(words):
            for length in range(min(longest, len(words) - position), 0, -1):
                phrase = " ".join(word for _, word in words[position : position + length])
                name = known.get(stem(phrase)) if len(phrase) <= MAX_NAME else None
                if name and not phrase.casefold().startswith("embedding:"):
                    whole = length == len(words)
                    yield Mention(
                        name=name, weight=weight if whole else None, start=words[position][0]
                    )
                    position += length - 1
                    break
            position += 1


def _emphasis(text: str, piece: re.Match[str]) -> tuple[str, float | None]:
    """Split `name:1.2` as it stands before a closing bracket."""
    content = piece[0]
    if text[piece.end() : piece.end() + 1] == ")":
        head, colon, tail = content.rpartition(":")
        weight = as_weight(tail) if colon else None
        if weight is not None:
            return head, weight
    return content, None
