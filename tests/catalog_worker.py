"""Processes that the durability tests start: writers, readers, and writers that get killed."""

import json
import os
import random
import select
import signal
import sys
import threading
import traceback
from pathlib import Path

from civit_mcp.catalog import Catalog
from tests.catalog_kit import Quick, a_version, stored


def add(folder: Path, first: int, count: int) -> int:
    catalog = Catalog(folder, disk=Quick())
    for number in range(first, first + count):
        catalog.add(a_version(number))
    return 0


def watch(folder: Path, first: int, count: int) -> int:
    """Read until everything has moved; say what was seen nowhere or twice."""
    wrong = 0
    numbers = range(first, first + count)
    catalog = Catalog(folder)
    print("ready", flush=True)
    while True:
        snapshot = catalog.snapshot()
        places = {n: [e.catalog for e in snapshot.all_of_version(n)] for n in numbers}
        for number, found in places.items():
            if len(found) != 1:
                print(number, found, flush=True)
                wrong = 1
        if wrong or all(found == ["loras"] for found in places.values()):
            return wrong


def grind(folder: Path, first: int, report: int) -> None:
    """Add and promote for ever; say what was done once it was done."""
    catalog = Catalog(folder, disk=Quick())
    number = first
    while True:
        catalog.add(a_version(number))
        os.write(report, b"a%d\n" % number)
        catalog.promote(number)
        os.write(report, b"p%d\n" % number)
        number += 1


def kills(folder: Path, count: int, seed: int) -> int:
    """Fork a writer, kill it somewhere, look at the folder; again and again."""
    dice = random.Random(seed)
    wrong: list[str] = []
    made: dict[int, str] = {}
    for turn in range(count):
        first = (turn + 1) * 1000
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(reading)
                grind(folder, first, writing)
            except BaseException:  # noqa: BLE001 - the child may not come back into the loop
                traceback.print_exc()
            os._exit(3)
        os.close(writing)
        # the kill comes a random while after a random report, or before any
        for _ in range(dice.randrange(4)):
            os.read(reading, 1)
        select.select([], [], [], dice.random() * 0.012)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            wrong.append(f"the writer of turn {turn} ended by itself")
        said = b""
        while chunk := os.read(reading, 65536):
            said += chunk
        os.close(reading)
        for word in said.decode().split():
            if word[0] in "ap" and len(word) > 4:
                made[int(word[1:])] = "loras" if word[0] == "p" else "either"
        wrong += check(folder, made, turn)
        made = {}
    print(json.dumps({"kills": count, "wrong": wrong[:20], "made": len(places(folder))}))
    return bool(wrong)


def places(folder: Path) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name in ("models", "loras"):
        for category in stored(folder, name)["categories"]:
            for entry in category["models"]:
                found.setdefault(entry["civitai_version_id"], []).append(name)
    return found


def check(folder: Path, made: dict[int, str], turn: int) -> list[str]:
    Catalog(folder).snapshot()
    found = places(folder)
    wrong = [f"turn {turn}: {n} is in {where}" for n, where in found.items() if len(where) != 1]
    for number, wanted in made.items():
        where = found.get(number, [])
        if not where or (wanted == "loras" and where != ["loras"]):
            wrong.append(f"turn {turn}: {number} was reported {wanted}, is in {where}")
    return wrong


if __name__ == "__main__":
    assert threading.active_count() == 1, "a fork copies one thread only"
    job = {"add": add, "watch": watch, "kills": kills}[sys.argv[1]]
    sys.exit(job(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
