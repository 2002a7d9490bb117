"""Many processes, random verbs, one catalog: the result is that of some serial order.

`python -m tests.serial_order` runs 16 processes of 200 verbs each and prints the figures; the
tests run a smaller one. The history is the order. It is played from the beginning by a few
lines that know nothing of our own code, and held against what every worker was told and
against the files.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from civit_mcp.catalog import Address, Catalog
from civit_mcp.errors import CivitError
from tests.catalog_kit import Quick, a_version, stored

ROOT = Path(__file__).parents[1]
#: version -> file, category and what the entry says
State = dict[int, tuple[str, str, str]]
NUMBERS = 40


def work(folder: Path, seed: int, count: int) -> None:
    """Do random verbs and say what came of each."""
    dice = random.Random(seed)
    catalog = Catalog(folder, disk=Quick())
    for _ in range(count):
        verb = dice.choice(["add", "add", "promote", "demote", "remove", "edit", "move", "undo"])
        number = dice.randrange(1, NUMBERS + 1)
        began = time.monotonic()
        try:
            status, change_id = _done(catalog, verb, number, dice)
        except CivitError as error:
            status, change_id = error.code, None
        took = round(time.monotonic() - began, 4)
        print(json.dumps([verb, number, status, change_id, took]), flush=True)


def _done(catalog: Catalog, verb: str, number: int, dice: random.Random) -> tuple[str, str | None]:
    address = Address(version_id=number)
    answer: Any
    match verb:
        case "add":
            answer = catalog.add(a_version(number))
        case "promote":
            answer = catalog.promote(number)
        case "demote":
            answer = catalog.demote(address)
        case "remove":
            answer = catalog.remove(address)
        case "edit":
            answer = catalog.edit(address, {"notes": dice.choice("abc")})
        case "move":
            answer = catalog.move(address, category=dice.choice(["loras", "shelf_loras"]))
        case _:
            changes = catalog.history()
            change_id = dice.choice(changes[-20:]).id if changes else None
            answer = catalog.undo(change_id)
    return answer.status, answer.change_id


def campaign(folder: Path, *, processes: int, verbs: int) -> tuple[list[list[list[Any]]], float]:
    """Run the workers; what each was told, and the longest wait of all."""
    command = [sys.executable, "-m", "tests.serial_order", "--work", str(folder)]
    workers = [
        subprocess.Popen(
            [*command, str(seed), str(verbs)], stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        for seed in range(processes)
    ]
    told = []
    for worker in workers:
        out, _ = worker.communicate(timeout=900)
        assert worker.returncode == 0
        told.append([json.loads(line) for line in out.splitlines()])
    return told, max(step[4] for steps in told for step in steps)


def judge(folder: Path, told: list[list[list[Any]]]) -> list[str]:
    """What cannot be explained by the order of the history."""
    order, states, wrong = [], [State()], []
    for change in _history(folder):
        order.append(change["change_id"])
        states.append(_played(states[-1], change))
    place = {change_id: number for number, change_id in enumerate(order, 1)}
    if len(place) != len(order):
        wrong.append("a change stands twice in the history")
    made = [step[3] for steps in told for step in steps if step[3]]
    if sorted(made) != sorted(order):
        wrong.append(f"{len(made)} changes were told, {len(order)} are in the history")
    for steps in told:
        wrong += _of_worker(steps, place, states)
    wrong += _of_files(folder, states[-1])
    return wrong


def _history(folder: Path) -> Iterator[dict[str, Any]]:
    for name in ("history.1.jsonl", "history.jsonl"):
        path = folder / ".civit-mcp" / name
        for line in path.read_text("utf-8").splitlines() if path.exists() else ():
            yield json.loads(line)


def _played(state: State, change: dict[str, Any]) -> State:
    after = dict(state)
    for edit in sorted(change["edits"], key=lambda edit: edit["action"] == "insert"):
        entry = json.loads(edit["entry"])
        number = entry["civitai_version_id"]
        if edit["action"] == "remove":
            assert number in after, f"{change['change_id']} removes {number}, which is not there"
            del after[number]
        else:
            twice = edit["action"] == "insert" and number in after
            assert not twice, f"{change['change_id']} doubles {number}"
            spelled = json.dumps(entry, sort_keys=True)
            after[number] = edit["catalog"], edit["category"], spelled
    return after


def _of_worker(steps: list[list[Any]], place: dict[str, int], states: list[State]) -> Iterator[str]:
    """Each answer must fit a state between the worker's own changes around it."""
    spots = [place.get(step[3]) if step[3] else None for step in steps]
    reached = 0
    for index, (verb, number, status, change_id, _) in enumerate(steps):
        spot = spots[index]
        if spot is not None:
            if spot <= reached:
                yield f"{change_id} came before an earlier one of the same worker"
            reached = spot
            if not _fits(verb, number, status, states[spot - 1], states[spot]):
                yield f"{verb} {number} said {status}, which {change_id} does not show"
            continue
        ahead = [later for later in spots[index:] if later is not None]
        window = states[reached : (ahead[0] if ahead else len(states))]
        if not any(_fits(verb, number, status, state, state) for state in window):
            yield f"{verb} {number} said {status}, which no state between explains"


def _fits(verb: str, number: int, status: str, before: State, after: State) -> bool:
    was, now = before.get(number), after.get(number)
    match verb, status:
        case "add", "added":
            return was is None and now is not None and now[:2] == ("models", "loras")
        case "add", "already_exists":
            return was is not None
        case "promote", "promoted":
            return was is not None and now == ("loras", "sdxl_loras", was[2])
        case "promote", "already_exists":
            return was is not None and was[0] == "loras"
        case "demote", "demoted":
            return was is not None and now == ("models", "loras", was[2]) and was[0] == "loras"
        case "demote", "not_found":
            return was is None or was[0] == "models"
        case "remove", "removed":
            return was is not None and now is None
        case ("edit", "edited") | ("move", "moved"):
            return was is not None and now is not None and was != now
        case (("edit" | "move"), "unchanged"):
            return was is not None
        case _, "not_found":
            return was is None or verb == "undo"
        case "undo", _:
            return status in ("undone", "conflict")
    return False


def _of_files(folder: Path, last: State) -> Iterator[str]:
    found = State()
    for name in ("models", "loras"):
        for category in stored(folder, name)["categories"]:
            for entry in category["models"]:
                number = entry["civitai_version_id"]
                if number in found:
                    yield f"{number} is there twice"
                found[number] = name, category["id"], json.dumps(entry, sort_keys=True)
    if found != last:
        odd = [n for n in {*found, *last} if found.get(n) != last.get(n)]
        yield f"the files say something else about {odd}"


def main() -> int:
    """Run a campaign, or one of its workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", nargs=3, metavar=("FOLDER", "SEED", "COUNT"))
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--verbs", type=int, default=200)
    options = parser.parse_args()
    if options.work:
        work(Path(options.work[0]), int(options.work[1]), int(options.work[2]))
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told, longest = campaign(folder, processes=options.processes, verbs=options.verbs)
        wrong = judge(folder, told)
    figures = {
        "verbs": sum(map(len, told)),
        "changes": sum(bool(step[3]) for steps in told for step in steps),
        "longest_wait_seconds": longest,
        "seconds": round(time.monotonic() - began),
        "wrong": wrong[:40],
    }
    print(json.dumps(figures, indent=2))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
