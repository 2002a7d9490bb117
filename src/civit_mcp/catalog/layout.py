"""How new text is laid out so that it looks like the file around it."""

import json
import re
from dataclasses import dataclass
from typing import Any

_BREAK = re.compile(r"\r\n|\n|\r")
#: strings, punctuation, literals: all that JSON is made of besides space
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
_FIRST_INDENT = re.compile(r"(?:\r\n|\n|\r)([ \t]*)\S")


@dataclass(frozen=True, slots=True)
class Style:
    """A file's manner: its line end and indent (both empty on one line), colon and gap."""

    newline: str
    indent: str
    colon: str
    gap: str

    @classmethod
    def of(cls, lead: str, *, label: str, after: str) -> "Style":
        """Read the manner from the space before the first member, its label and what follows."""
        found = _BREAK.search(lead)
        colon = label[label.rfind('"') + 1 :] or ": "
        if found is None:
            gap = after.partition(",")[2] if after else colon.partition(":")[2]
            return cls("", "", colon, gap)
        return cls(found.group(), lead[_last_break(lead) :], colon, " ")

    def frame(self, depth: int, bracket: str) -> tuple[str, str]:
        """Space before the first thing in an empty list or object, and its closing part."""
        if not self.newline:
            return "", bracket
        return (
            self.newline + self.indent * depth,
            self.newline + self.indent * (depth - 1) + bracket,
        )


def _last_break(text: str) -> int:
    return max(text.rfind("\n"), text.rfind("\r")) + 1


def compact(value: Any) -> str:
    """Write a value on one line."""
    return json.dumps(value, ensure_ascii=False)


def block(value: Any, style: Style, *, depth: int) -> str:
    """Write a value as a file of this style would at `depth`."""
    if not style.newline:
        return json.dumps(value, ensure_ascii=False, separators=(f",{style.gap}", style.colon))
    text = json.dumps(value, ensure_ascii=False, indent=style.indent)
    return text.replace("\n", style.newline + style.indent * depth)


def fit(text: str, style: Style, *, lead: str, neighbour: str | None) -> str:
    """Lay out an entry's text for its place; every value stays as it is written.

    `lead` is the space that will stand before it, `neighbour` an item of the same list.
    JSON strings hold no raw line ends, so every line end is between two parts of the entry.
    """
    broken = _BREAK.search(lead)
    alone = neighbour is None or len(neighbour) <= len("{}")
    if broken is None or not (alone or _BREAK.search(neighbour or "")):
        model = neighbour or ""
        colon = style.colon if alone else ": " if '": ' in model else ":"
        gap = style.gap if alone else " " if '": ' in model or '", "' in model else ""
        return _one_line(text, colon, gap)
    base = lead[_last_break(lead) :]
    found = _FIRST_INDENT.search(neighbour) if neighbour else None
    unit = (found.group(1).removeprefix(base) if found else style.indent) or "  "
    if _BREAK.search(text) is None:
        text = _many_lines(text, unit)
    return _indent(text, newline=broken.group(), base=base, unit=unit)


def _one_line(text: str, colon: str, gap: str) -> str:
    spelled = {":": colon, ",": f",{gap}"}
    return "".join(spelled.get(part, part) for part in _TOKEN.findall(text))


def _many_lines(text: str, unit: str) -> str:
    parts: list[str] = []
    tokens = _TOKEN.findall(text)
    depth = 0
    for before, here in zip(["", *tokens], tokens, strict=False):
        closes, opened = here in "}]", before in ("{", "[")
        if opened and not closes:
            depth += 1
            parts.append("\n" + unit * depth)
        elif closes and not opened:
            depth -= 1
            parts.append("\n" + unit * depth)
        parts.append({",": ",\n" + unit * depth, ":": ": "}.get(here, here))
    return "".join(parts)


def _indent(text: str, *, newline: str, base: str, unit: str) -> str:
    lines = _BREAK.split(text)
    old_base = lines[-1][: len(lines[-1]) - len(lines[-1].lstrip(" \t"))]
    first = lines[1]
    inner = first[: len(first) - len(first.lstrip(" \t"))]
    old_unit = inner.removeprefix(old_base)
    moved = [lines[0]]
    for line in lines[1:]:
        bare = line.lstrip(" \t")
        space = line[: len(line) - len(bare)].removeprefix(old_base)
        if old_unit and not space.replace(old_unit, ""):
            space = unit * (len(space) // len(old_unit))
        moved.append(base + space + bare)
    return newline.join(moved)
