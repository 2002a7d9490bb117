"""The pieces of a catalog file's text, and how it is cut into them.

A piece keeps its own text and the text before it, so joining them gives the file back.
"""

import re
import threading
from collections.abc import Callable, Mapping
from json.decoder import JSONDecodeError
from typing import Any, Final, NamedTuple

from civit_mcp.catalog.decoding import decode

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_BLANK: Final = " \t\n\r"
#: how many places are tried for the beginning of a list's last item
_GUESSES: Final = 60
_MARKING: Final = threading.Lock()


# Named tuples, because a large catalog has a hundred thousand of each of the first two.
class Raw(NamedTuple):
    """A value whose inside does not matter to the file's structure."""

    text: str
    value: Any


class Item(NamedTuple):
    """An item of an array; `lead` is the comma and the space before it."""

    lead: str
    node: "Raw | Array | Object | Entries"


class Array(NamedTuple):
    """An array cut into items; `close` is the space before the bracket and the bracket."""

    items: tuple[Item, ...]
    close: str


class Member(NamedTuple):
    """A member of an object; `label` is the key with its colon and the space around it."""

    lead: str
    label: str
    key: str
    node: "Raw | Array | Object | Entries"


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


class Run(NamedTuple):
    """Neighbouring items left in one piece of text, from the first one's lead on.

    `marks` are the ends of the items as far as somebody needed them, shared by all runs that
    were cut from one; the first item here begins at mark number `first`.
    """

    text: str
    start: int
    end: int
    size: int
    marks: list[int]
    first: int = 0

    def cut(self, size: int) -> "tuple[Run, Run]":
        """The first `size` items and the rest."""
        spot = self._mark(self.first + size) if size < self.size else self.end
        return (
            self._replace(end=spot, size=size),
            self._replace(start=spot, size=self.size - size, first=self.first + size),
        )

    def _mark(self, number: int) -> int:
        with _MARKING:
            while len(self.marks) <= number:
                self.marks.append(self._item_at(self.marks[-1])[1])
        return self.marks[number]

    def items(self) -> list[Item]:
        """Every item."""
        found, spot = [], self.start
        for _ in range(self.size):
            start = self._item_at(spot)[0]
            raw, end = read_raw(self.text, start)
            found.append(Item(self.text[spot:start], raw))
            spot = end
        return found

    def only(self, value: Any) -> Item:
        """The item of a run of one."""
        start, end = self._item_at(self.start)
        return Item(self.text[self.start : start], Raw(self.text[start:end], value))

    def last(self, value: Any) -> Item:
        """The last item, looked for from the end as far as that is easy."""
        start = self.end
        for _ in range(_GUESSES if isinstance(value, dict) else 0):
            start = self.text.rfind("{", self.start, start)
            if start < 0:
                break
            try:
                found, stop = decode(self.text, start)
            except (JSONDecodeError, RecursionError):
                continue
            if stop == self.end and found == value and (lead := self._lead(start)) is not None:
                return Item(lead, Raw(self.text[start : self.end], value))
        return self.cut(self.size - 1)[1].only(value)

    def _item_at(self, spot: int) -> tuple[int, int]:
        """Where the item whose lead begins at `spot` begins and ends."""
        here = skip(self.text, spot)
        if self.text.startswith(",", here):
            here = skip(self.text, here + 1)
        return here, decode(self.text, here)[1]

    def _lead(self, start: int) -> str | None:
        before = blank_before(self.text, start)
        if before == self.start and self.text[before - 1] == "[":
            return self.text[before:start]
        if self.text[before - 1] != ",":
            return None
        return self.text[blank_before(self.text, before - 1) : start]


class Entries:
    """The items of a category's list, left in pieces of text until somebody needs one of them.

    A large catalog has a hundred thousand of them and an edit is about one. Never empty,
    immutable.
    """

    __slots__ = ("_runs", "close", "values")

    def __init__(self, runs: "tuple[Run | Item, ...]", values: list[Any], close: str) -> None:
        """Take the pieces, what their items say, and the end: space and bracket."""
        self._runs = runs
        self.values = values
        self.close = close

    @classmethod
    def of(cls, items: tuple[Item, ...], close: str) -> "Entries":
        """Take items that are cut already."""
        values = [item.node.value if isinstance(item.node, Raw) else None for item in items]
        return cls(items, values, close)

    @property
    def items(self) -> tuple[Item, ...]:
        """Every item."""
        found: list[Item] = []
        for run in self._runs:
            found += [run] if isinstance(run, Item) else run.items()
        return tuple(found)

    def item(self, position: int) -> Item:
        """One item."""
        _, rest = _cut(self._runs, position)
        return _one(rest[0], self.values[position])[0]

    def last(self) -> Item:
        """The last item."""
        run = self._runs[-1]
        return run if isinstance(run, Item) else run.last(self.values[-1])

    def parts(self) -> list[str]:
        """The texts that it is made of, in order."""
        parts = ["["]
        for run in self._runs:
            if isinstance(run, Item):
                parts += (run.lead, source_of(run.node))
            else:
                parts.append(run.text[run.start : run.end])
        parts.append(self.close)
        return parts

    def edited(
        self, position: int, *, gone: int = 0, new: tuple[Item, ...] = (), after: str | None = None
    ) -> "Entries | Array":
        """Put `new` items where `gone` ones were; `after` is the next one's lead, if it changes."""
        before, rest = _cut(self._runs, position)
        _, rest = _cut(rest, gone)
        values = list(self.values)
        values[position : position + gone] = [
            item.node.value if isinstance(item.node, Raw) else None for item in new
        ]
        if not values:
            return Array((), "]")
        if after is not None and rest:
            first, others = _one(rest[0], values[position + len(new)])
            rest = (first._replace(lead=after), *others, *rest[1:])
        return Entries((*before, *new, *rest), values, self.close)


_Runs = tuple[Run | Item, ...]


def _cut(runs: _Runs, count: int) -> tuple[_Runs, _Runs]:
    """The pieces with the first `count` items, and the rest."""
    for index, run in enumerate(runs):
        size = 1 if isinstance(run, Item) else run.size
        if count == 0:
            return runs[:index], runs[index:]
        if count < size:
            assert isinstance(run, Run)
            head, tail = run.cut(count)
            return (*runs[:index], head), (tail, *runs[index + 1 :])
        count -= size
    return runs, ()


def _one(run: Run | Item, value: Any) -> tuple[Item, _Runs]:
    """The first item of a piece, and what is left of the piece."""
    if isinstance(run, Item):
        return run, ()
    head, tail = run.cut(1)
    return head.only(value), (tail,) if tail.size else ()


def blank_before(text: str, end: int) -> int:
    """Where the space that ends at `end` begins."""
    while text[end - 1] in _BLANK:
        end -= 1
    return end


Node = Raw | Array | Object | Entries
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
        case Entries():
            parts += node.parts()
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
    value, end = decode(text, start)
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
    if not text.startswith("[", start):
        return read_raw(text, start)
    values, end = decode(text, start)
    if not values:
        return read_array(text, start, read_raw)
    body = blank_before(text, end - 1)
    run = Run(text, start + 1, body, len(values), [start + 1])
    return Entries((run,), values, text[body:end]), end


def read_category(text: str, start: int) -> tuple[Node, int]:
    """Cut one category into members, its models into entries."""
    return read_object(text, start, {"models": _read_entries})


def read_categories(text: str, start: int) -> tuple[Node, int]:
    """Cut the list of categories."""
    return read_array(text, start, read_category)
