"""Fields of one entry changed in its own text; whatever is not named stays as it is written."""

import json
from collections.abc import Mapping
from typing import Any

from civit_mcp.catalog.pieces import (
    Member,
    Node,
    Object,
    Raw,
    read_object,
    read_raw,
    source_of,
)


def amended(text: str, fields: Mapping[str, Any]) -> str:
    """Write `fields` into the entry `text`; None takes a field out.

    An existing field keeps its place, a new one comes last. A value that says the same as
    before is left as it is written.
    """
    node, _ = read_object(text, 0, {})
    assert isinstance(node, Object)
    for key, value in fields.items():
        node = _without(node, key) if value is None else _with(node, key, value)
    return source_of(node)


def _with(owner: Object, key: str, value: Any) -> Object:
    index = owner.last(key)
    if index is None:
        return _added(owner, key, value)
    old = owner.members[index].node
    if isinstance(old, Raw) and type(old.value) is type(value) and old.value == value:
        return owner
    on_lines = "\n" in source_of(old) or _is_empty(old)
    return owner.put(key, _spelled(value, owner, on_lines=on_lines))


def _is_empty(node: Node) -> bool:
    return isinstance(node, Raw) and node.value in ([], {}, None, "")


def _added(owner: Object, key: str, value: Any) -> Object:
    if not owner.members:
        node = read_raw(json.dumps(value, ensure_ascii=False), 0)[0]
        return Object((Member("", f"{json.dumps(key)}: ", key, node),), "}")
    near = owner.members[-1]
    space = near.lead.partition(",")[2] if len(owner.members) > 1 else near.lead
    colon = near.label[near.label.rfind('"') + 1 :] or ": "
    if "\n" not in space and not space and ": " in colon:
        space = " "
    member = Member(
        f",{space}",
        json.dumps(key, ensure_ascii=False) + colon,
        key,
        _spelled(value, owner, on_lines=True),
    )
    return owner._replace(members=(*owner.members, member))


def _spelled(value: Any, owner: Object, *, on_lines: bool) -> Raw:
    lead = owner.members[0].lead
    label = owner.members[0].label
    if not on_lines or "\n" not in lead:
        colon = label[label.rfind('"') + 1 :] or ": "
        gap = ", " if colon.endswith(" ") else ","
        text = json.dumps(value, ensure_ascii=False, separators=(gap, colon.strip() + gap[1:]))
        return read_raw(text, 0)[0]
    newline = "\r\n" if "\r\n" in lead else "\n"
    indent = lead[lead.rfind("\n") + 1 :]
    outer = owner.close[owner.close.rfind("\n") + 1 : -1] if "\n" in owner.close else ""
    unit = indent.removeprefix(outer) or "  "
    text = json.dumps(value, ensure_ascii=False, indent=unit)
    return read_raw(text.replace("\n", newline + indent), 0)[0]


def _without(owner: Object, key: str) -> Object:
    first = owner.members[0].lead if owner.members else ""
    kept = [member for member in owner.members if member.key != key]
    if len(kept) == len(owner.members):
        return owner
    if not kept:
        return Object((), "}")
    kept[0] = kept[0]._replace(lead=first)
    return owner._replace(members=tuple(kept))
