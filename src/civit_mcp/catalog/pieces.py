"""The pieces of a catalog file's text, and how it is cut into them.

A piece keeps its own text and the text before it, so joining them gives the file back.
"""

import math
import re
from collections.abc import Callable, Mapping
from json.decoder import JSONDecodeError, JSONDecoder
from typing import Any, Final, NamedTuple

_SPACE: Final = re.compile(r"[ \t\n\r]*")


def _number(text: str) -> int | float | None:
    """Read an integer; one that is too long to be anything is unknown, its text is kept."""
    return int(text) if len(text) < 400 else None


def _fraction(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


DECODER: Final = JSONDecoder(
    parse_int=_number, parse_float=_fraction, parse_constant=lambda _name: None
)


# Named tuples, because a large catalog has a hundred thousand of each of the first two.
class Raw(NamedTuple):
    """A value whose inside does not matter to the file's structure."""

    text: str
    value: Any


class Item(NamedTuple):
    """An item of an array; `lead` is the comma and the space before it."""

    lead: str
    node: "Raw | Array | Object"


class Array(NamedTuple):
    """An array cut into items; `close` is the space before the bracket and the bracket."""

    items: tuple[Item, ...]
    close: str


class Member(NamedTuple):
    """A member of an object; `label` is the key with its colon and the space around it."""

    lead: str
    label: str
    key: str
    node: "Raw | Array | Object"


class Object(NamedTuple):
    """An object cut into members."""

    members: tuple[Member, ...]
    close: str

    def last(self, key: str) -> int | None:
        """Find the member that counts for `key`."""
        hits = [index for index, member in enumerate(self.members) if member.key == key]
        return hits[-1] if hits else None

    def get(self, key: str) -> "Node | None":
        """Find the value that counts for `key`."""
        index = self.last(key)
        return None if index is None else self.members[index].node

    def put(self, key: str, node: "Node") -> "Object":
        """Give an existing key another value."""
        index = self.last(key)
        assert index is not None
        members = list(self.members)
        members[index] = members[index]._replace(node=node)
        return self._replace(members=tuple(members))


Node = Raw | Array | Object
Reader = Callable[[str, int], tuple[Node, int]]


def source_of(node: Node) -> str:
    """Join a piece into the text it was cut from."""
    if isinstance(node, Raw):
        return node.text
    parts: list[str] = []
    join(node, parts)
    return "".join(parts)


def join(node: Node, parts: list[str]) -> None:
    """Put the texts of a piece behind `parts`, in order."""
    match node:
        case Raw():
            parts.append(node.text)
        case Array():
            parts.append("[")
            for lead, item in node.items:
                parts.append(lead)
                join(item, parts)
            parts.append(node.close)
        case Object():
            parts.append("{")
            for member in node.members:
                parts += (member.lead, member.label)
                join(member.node, parts)
            parts.append(node.close)


def skip(text: str, start: int) -> int:
    """Find the first character from `start` on that is no space."""
    match = _SPACE.match(text, start)
    assert match is not None
    return match.end()


def read_raw(text: str, start: int) -> tuple[Raw, int]:
    """Read one value whole; its piece and where it ends."""
    value, end = DECODER.raw_decode(text, start)
    return Raw(text[start:end], value), end


def read_object(text: str, start: int, inner: Mapping[str, Reader]) -> tuple[Node, int]:
    """Cut an object into members; those named in `inner` are cut further."""
    if not text.startswith("{", start):
        return read_raw(text, start)
    members: list[Member] = []
    spot, here = start + 1, skip(text, start + 1)
    if text.startswith("}", here):
        return Object((), text[spot : here + 1]), here + 1
    while True:
        if not text.startswith('"', here):
            raise JSONDecodeError("Expecting property name enclosed in double quotes", text, here)
        key, end = read_raw(text, here)
        colon = skip(text, end)
        if not text.startswith(":", colon):
            raise JSONDecodeError("Expecting ':' delimiter", text, colon)
        value = skip(text, colon + 1)
        node, end = inner.get(key.value, read_raw)(text, value)
        members.append(Member(text[spot:here], text[here:value], key.value, node))
        spot, here = end, skip(text, end)
        if text.startswith("}", here):
            return Object(tuple(members), text[spot : here + 1]), here + 1
        if not text.startswith(",", here):
            raise JSONDecodeError("Expecting ',' delimiter", text, here)
        here = skip(text, here + 1)


def read_array(text: str, start: int, item: Reader) -> tuple[Node, int]:
    """Cut an array into items."""
    if not text.startswith("[", start):
        return read_raw(text, start)
    items: list[Item] = []
    spot, here = start + 1, skip(text, start + 1)
    if text.startswith("]", here):
        return Array((), text[spot : here + 1]), here + 1
    while True:
        node, end = item(text, here)
        items.append(Item(text[spot:here], node))
        spot, here = end, skip(text, end)
        if text.startswith("]", here):
            return Array(tuple(items), text[spot : here + 1]), here + 1
        if not text.startswith(",", here):
            raise JSONDecodeError("Expecting ',' delimiter", text, here)
        here = skip(text, here + 1)


def _read_entries(text: str, start: int) -> tuple[Node, int]:
    return read_array(text, start, read_raw)


def read_category(text: str, start: int) -> tuple[Node, int]:
    """Cut one category into members, its models into entries."""
    return read_object(text, start, {"models": _read_entries})


def read_categories(text: str, start: int) -> tuple[Node, int]:
    """Cut the list of categories."""
    return read_array(text, start, read_category)
