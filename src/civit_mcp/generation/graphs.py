"""ComfyUI graphs of both forms, read into one neutral shape.

The API form (`prompt`) maps ids to `{class_type, inputs}` and holds what ran. The editor form
(`workflow`) lists nodes with positional widget values, links, modes and subgraphs.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from civit_mcp.generation.names import as_dict, as_list
from civit_mcp.models.records import Json

#: more nodes than this are not read; the largest real graphs have some hundreds
MAX_NODES: Final = 3_000
_MAX_WIDGETS: Final = 300
_MAX_TEXT: Final = 8_000_000
#: editor modes of a node that does not run: muted, bypassed
_ASLEEP: Final = frozenset({2, 4})
_UNDEFINED: Final = re.compile(r"(?<=[:,\[])(\s*+)undefined(?=\s*+[,}\]])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node that runs."""

    id: str
    #: class name as written
    type: str
    #: input name -> literal value; the editor form has names only for dict widgets
    values: Mapping[str, Any] = field(default_factory=dict)
    #: positional widget values, editor form only
    widgets: tuple[Any, ...] = ()
    #: input name -> id of the node that feeds it
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The running nodes of a graph. `cut` tells that it had more than were read."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    cut: bool = False


def read_graph(comfy: object) -> Graph:
    """Read `meta.comfy`: an object or its JSON text, with `prompt`, `workflow` or both.

    What ran wins; the editor's graph is read when there is nothing else. Anything unreadable
    is an empty graph.
    """
    both = _object(comfy)
    for candidate in (both.get("prompt"), both, both.get("workflow")):
        graph = _api(_object(candidate))
        if graph.nodes:
            return graph
    for candidate in (both.get("workflow"), both, both.get("prompt")):
        graph = _editor(_object(candidate))
        if graph.nodes:
            return graph
    return Graph()


def _object(value: object) -> Json:
    if isinstance(value, str):
        return _parse(value)
    return as_dict(value)


def _parse(text: str) -> Json:
    if len(text) > _MAX_TEXT or not text.lstrip().startswith("{"):
        return {}
    # ComfyUI writes NaN, and some exporters the word undefined; neither is JSON
    for attempt in (text, _UNDEFINED.sub(r"\1null", text)):
        try:
            return as_dict(json.loads(attempt, strict=False))
        except (ValueError, RecursionError):
            continue
    return {}


def _api(graph: Json) -> Graph:
    nodes: dict[str, Node] = {}
    for key, value in graph.items():
        node = as_dict(value)
        kind = node.get("class_type")
        if not isinstance(kind, str):
            continue
        if len(nodes) >= MAX_NODES:
            return Graph(nodes=nodes, cut=True)
        inputs = list(as_dict(node.get("inputs")).items())[:_MAX_WIDGETS]
        links = {name: source for name, v in inputs if (source := _link_source(v)) is not None}
        nodes[key] = Node(
            id=key,
            type=kind,
            values={name: v for name, v in inputs if name not in links},
            links=links,
        )
    return Graph(nodes=nodes)


def _link_source(value: object) -> str | None:
    """`[node id, output index]` is a link; any other list is a value."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    source, slot = value
    if isinstance(slot, bool) or not isinstance(slot, int):
        return None
    if isinstance(source, str) and len(source) <= 100:
        return source
    return str(source) if isinstance(source, int) and abs(source) < 2**63 else None


def _editor(graph: Json) -> Graph:
    if not isinstance(graph.get("nodes"), list):
        return Graph()
    nodes: dict[str, Node] = {}
    inner = _subgraphs(graph)
    opened: set[str] = set()
    # (prefix of ids, nodes, links); each subgraph is opened once, so cycles end
    waiting: list[tuple[str, list[Any], object]] = [("", graph["nodes"], graph.get("links"))]
    while waiting:
        prefix, rows, links = waiting.pop(0)
        sources = _link_table(links)
        for index, row in enumerate(rows):
            node = as_dict(row)
            kind = node.get("type")
            if not isinstance(kind, str) or _asleep(node):
                continue
            if len(nodes) >= MAX_NODES:
                return Graph(nodes=nodes, cut=True)
            if kind in inner and kind not in opened:
                opened.add(kind)
                definition = inner[kind]
                waiting.append(
                    (f"{kind}:", as_list(definition.get("nodes")), definition.get("links"))
                )
            number = f"{prefix}{_id(node.get('id'), index)}"
            nodes[number] = _editor_node(number, kind, node, sources, prefix)
    return Graph(nodes=nodes)


def _asleep(node: Json) -> bool:
    mode = node.get("mode")
    return isinstance(mode, (int, float)) and mode in _ASLEEP


def _id(value: object, index: int) -> str:
    text = str(value)[:100] if isinstance(value, (str, float)) else ""
    if isinstance(value, int) and abs(value) < 2**63:
        text = str(value)
    return text or f"#{index}"


def _subgraphs(graph: Json) -> dict[str, Json]:
    found: dict[str, Json] = {}
    definitions = as_list(as_dict(graph.get("definitions")).get("subgraphs"))
    for definition in definitions[:MAX_NODES]:
        key = as_dict(definition).get("id")
        if isinstance(key, str):
            found[key] = definition
    # the older kind of group; its instances are called workflow/NAME or workflow>NAME
    for name, group in as_dict(as_dict(graph.get("extra")).get("groupNodes")).items():
        if isinstance(group, dict):
            found[f"workflow/{name}"] = found[f"workflow>{name}"] = group
    return found


def _link_table(links: object) -> dict[str, str]:
    """Map link id to the id of the node where the link starts."""
    table: dict[str, str] = {}
    for row in as_list(links)[: MAX_NODES * 10]:
        if isinstance(row, list) and len(row) >= 2:
            table[_id(row[0], -1)] = _id(row[1], -1)
        elif isinstance(row, dict):
            table[_id(row.get("id"), -1)] = _id(row.get("origin_id"), -1)
    return table


def _editor_node(
    number: str, kind: str, node: Json, sources: Mapping[str, str], prefix: str
) -> Node:
    values = node.get("widgets_values")
    links: dict[str, str] = {}
    for entry in as_list(node.get("inputs"))[:_MAX_WIDGETS]:
        slot = as_dict(entry)
        name, link = slot.get("name"), slot.get("link")
        source = sources.get(_id(link, -1)) if link is not None else None
        if isinstance(name, str) and source is not None:
            links[name] = f"{prefix}{source}"
    return Node(
        id=number,
        type=kind,
        values=dict(list(values.items())[:_MAX_WIDGETS]) if isinstance(values, dict) else {},
        widgets=tuple(_flat(values)),
        links=links,
    )


def _flat(values: object) -> Iterator[Any]:
    """Positional values; a list that holds rows of a stack is opened one level."""
    for value in as_list(values)[:_MAX_WIDGETS]:
        if isinstance(value, list) and any(isinstance(row, dict) for row in value):
            yield from value[:_MAX_WIDGETS]
        else:
            yield value
