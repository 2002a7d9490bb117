"""What a change would do to the files, as lines gained and lost."""

from collections.abc import Container, Iterator, Mapping
from itertools import pairwise

from civit_mcp.catalog.change import NAMES, Change, Edit, apply_one
from civit_mcp.catalog.document import Document
from civit_mcp.models.catalogued import CatalogName


def diff_of(
    change: Change,
    documents: Mapping[CatalogName, Document],
    *,
    existing: Container[CatalogName],
    date: str,
) -> str:
    """Lines with `+` and `-` under a header for each file that changes; no context."""
    lines: list[str] = []
    for name in NAMES:
        edits = change.of(name)
        if not edits:
            continue
        # step by step, because one step changes one run of lines: no search is needed
        steps = [documents[name], documents[name].stamped(date)]
        for run in _runs(edits):
            step = steps[-1]
            for edit in run:
                step = apply_one(step, edit)
            steps.append(step)
        if name in existing:
            lines += [f"--- {name}.json", f"+++ {name}.json"]
            texts = [_lines(step) for step in steps]
            for old, new in pairwise(texts):
                lines += _block(old, new)
        else:
            lines += ["--- /dev/null", f"+++ {name}.json", *_block([], _lines(steps[-1]))]
    return "\n".join(lines)


def _runs(edits: tuple[Edit, ...]) -> list[list[Edit]]:
    """Edits that alter one run of lines together: entries put at the end of one category."""
    if any(edit.action != "insert" or edit.position is not None for edit in edits):
        return [[edit] for edit in edits]
    runs: dict[str, list[Edit]] = {}
    for edit in edits:
        runs.setdefault(edit.category, []).append(edit)
    return list(runs.values())


def _lines(document: Document) -> list[str]:
    lines = document.text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _block(old: list[str], new: list[str]) -> Iterator[str]:
    """The one run of lines in which two texts differ."""
    start, shorter = 0, min(len(old), len(new))
    while start < shorter and old[start] == new[start]:
        start += 1
    end = 0
    while end < shorter - start and old[-1 - end] == new[-1 - end]:
        end += 1
    yield from (f"-{line}" for line in old[start : len(old) - end])
    yield from (f"+{line}" for line in new[start : len(new) - end])
