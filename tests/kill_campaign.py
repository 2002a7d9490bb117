"""Kill a writer at every call to the disk, of every verb, and look at what is left.

`python -m tests.kill_campaign` runs thousands of points and prints the figures; the tests run
a few hundred of the same. At each point the writer's process dies for good (a write half
done), another one opens the catalog, and then: no entry is lost, none is double, both files
are valid, the change was made wholly or not at all, and it can be made again or taken back.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from civit_mcp.catalog import Address, Catalog
from tests.catalog_kit import Counting, Died, Dying, Quick, a_version, leftovers, stored

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NEXT_DAY = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Verb:
    """One thing to be killed at: how the catalog is before, and what is then done."""

    name: str
    prepare: Callable[[Catalog], object]
    act: Callable[[Catalog], object]


def _adds(*numbers: int) -> Callable[[Catalog], object]:
    return lambda catalog: [catalog.add(a_version(number)) for number in numbers]


def _then(*acts: Callable[[Catalog], object]) -> Callable[[Catalog], object]:
    return lambda catalog: [act(catalog) for act in acts]


def _bulk(*numbers: int) -> Callable[[Catalog], object]:
    kinds = ("LORA", "VAE", "Checkpoint")
    requests = [(a_version(n, model_type=kinds[n % 3]), None) for n in numbers]
    return lambda catalog: catalog.add_many(requests)


def _promote(catalog: Catalog) -> object:
    return catalog.promote(1)


def _undo(catalog: Catalog) -> object:
    return catalog.undo(catalog.history()[-1].id)


_ONE = Address(version_id=1)

VERBS = (
    Verb("add to nothing", _adds(), _adds(1)),
    Verb("add", _adds(1, 2), _adds(3)),
    Verb("promote", _adds(1, 2), _promote),
    Verb("promote beside others", _then(_adds(1, 2), lambda c: c.promote(2)), _promote),
    Verb("demote", _then(_adds(1, 2), _promote), lambda c: c.demote(_ONE)),
    Verb("remove", _adds(1, 2), lambda c: c.remove(_ONE)),
    Verb("move", _adds(1, 2), lambda c: c.move(_ONE, category="vae", dest="vae")),
    Verb("edit", _adds(1, 2), lambda c: c.edit(_ONE, {"notes": "x", "tags": ["y"]})),
    Verb("bulk", _adds(1), _bulk(*range(2, 22))),
    Verb("undo an add", _adds(1, 2), _undo),
    Verb("undo a promote", _then(_adds(1, 2), _promote), _undo),
    Verb("undo a bulk", _then(_adds(1), _bulk(*range(2, 22))), _undo),
    Verb("undo an undo", _then(_adds(1, 2), _promote, _undo), _undo),
)


@dataclass
class Tally:
    """What a campaign did and found."""

    points: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def said(folder: Path) -> list[Any]:
    """What both files say, without version and date; raises when one is not valid."""
    return [stored(folder, name)["categories"] for name in ("models", "loras")]


def versions(folder: Path) -> Counter[str]:
    return Counter(
        str(entry["civitai_version_id"])
        for categories in said(folder)
        for category in categories
        for entry in category["models"]
    )


def campaign(folder: Path, verbs: tuple[Verb, ...], *, stride: int, rounds: int) -> Tally:
    """Kill at every `stride`th call of each verb; the day's backups are due every time.

    In every other round the files are old enough to be trusted by their stamps, in the others
    so young that they are read again and again: two ways through the same verb.
    """
    tally = Tally()
    for number in range(rounds):
        for verb in verbs:
            here = folder / f"{number}-{VERBS.index(verb)}"
            for point, wrong in _killed(here, verb, stride, old=not number % 2):
                tally.points[verb.name] += 1
                tally.wrong += [f"{verb.name}, call {point}: {what}" for what in wrong]
    return tally


def _copy(start: Path, folder: Path, *, old: bool) -> None:
    shutil.copytree(start, folder)
    moment = time.time() - (3600 if old else 0)
    for path in folder.glob("*.json"):
        os.utime(path, (moment, moment))


def _killed(folder: Path, verb: Verb, stride: int, *, old: bool) -> Iterator[tuple[int, list[str]]]:
    start, done = folder / "start", folder / "done"
    verb.prepare(_at(start, Quick(), NOON))
    start.mkdir(parents=True, exist_ok=True)
    _copy(start, done, old=old)
    counting = Counting()
    verb.act(_at(done, counting, NEXT_DAY))
    before, after = said(start), said(done)
    for point in range(1, counting.calls + 1, stride):
        here = folder / str(point)
        _copy(start, here, old=old)
        yield point, list(_looked_at(here, verb, point, before, after))
        # killed once more while the next one repairs
        for again in range(1, 40, max(stride, 3)):
            there = folder / f"{point}-{again}"
            _copy(start, there, old=old)
            finished = False
            _die(there, verb, point)
            try:
                _at(there, Dying(again), NEXT_DAY).snapshot()
                finished = True
            except Died:
                pass
            yield point, list(_judged(there, before, after))
            shutil.rmtree(there)
            if finished:
                break
        shutil.rmtree(here)
    shutil.rmtree(folder)


def _at(folder: Path, disk: Quick, moment: datetime) -> Catalog:
    return Catalog(folder, disk=disk, now=lambda: moment)


def _die(folder: Path, verb: Verb, point: int) -> bool:
    try:
        verb.act(_at(folder, Dying(point), NEXT_DAY))
    except Died:
        return True
    return False


def _judged(folder: Path, before: list[Any], after: list[Any]) -> Iterator[str]:
    _at(folder, Quick(), NEXT_DAY).snapshot()
    now = said(folder)
    if now not in (before, after):
        yield f"neither before nor after: {versions(folder)}"
    double = [version for version, count in versions(folder).items() if count > 1]
    if double:
        yield f"twice: {double}"


def _looked_at(
    folder: Path, verb: Verb, point: int, before: list[Any], after: list[Any]
) -> Iterator[str]:
    if not _die(folder, verb, point):
        yield "the writer did not die"
    yield from _judged(folder, before, after)
    catalog = _at(folder, Quick(), NEXT_DAY)
    made = said(folder) == after
    ids = [change.id for change in catalog.history()]
    if len(ids) != len(set(ids)):
        yield "a change stands twice in the history"
    if made and before != after:  # what was made is known, and can be taken back
        catalog.undo(ids[-1])
        if said(folder) != before:
            yield "taking it back gave something else"
    elif not made:
        verb.act(catalog)
        if said(folder) != after:
            yield "doing it again gave something else"
    catalog.add(a_version(999))
    if left := leftovers(folder):
        yield f"left behind: {left}"


def main() -> int:
    """Run the whole campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=1, help="every how-manieth call")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = campaign(Path(folder), VERBS, stride=options.stride, rounds=options.rounds)
    figures = {
        "points": tally.points.total(),
        "wrong": len(tally.wrong),
        "seconds": round(time.monotonic() - began),
        "by_verb": dict(tally.points),
    }
    print(json.dumps(figures, indent=2))
    print("\n".join(tally.wrong[:40]))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
