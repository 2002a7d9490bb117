"""Print the catalog's speeds at 100, 10,000 and 100,000 entries: `python -m bench.catalog`.

Beside each write stands the floor: reading, parsing and writing the same bytes with the fastest
JSON library there is, durably, in the same run and turn about. Every figure is a median.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from civit_mcp import files
from civit_mcp.catalog import Catalog
from civit_mcp.models.records import FileRecord, VersionRecord

SIZES = (100, 10_000, 100_000)
#: a file this old is trusted by its stamp, as a catalog at rest is
_REST = 3600.0


def main() -> None:
    """Measure every size and print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--cold-add", metavar="FOLDER", help="one add in this process; its time")
    options = parser.parse_args()
    if options.cold_add:
        print(_timed(lambda: Catalog(Path(options.cold_add)).add(version(10**9 + os.getpid()))))
        return
    print("| entries | MB | figure | civit-mcp | floor | ratio |\n|---|---|---|---|---|---|")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            for row in measured(Path(folder), size, runs=options.runs):
                print(f"| {' | '.join(row)} |", flush=True)


def measured(folder: Path, size: int, *, runs: int) -> list[tuple[str, ...]]:
    """Every figure of one size."""
    make(folder, size)
    megabytes = f"{(folder / 'models.json').stat().st_size / 1e6:.1f}"
    Catalog(folder).add(version(10**9))  # the day's backup is made
    catalog = Catalog(folder)
    times: dict[str, list[float]] = {}

    def run(name: str, work: Callable[[], Any]) -> None:
        times.setdefault(name, []).append(_timed(work))

    for turn in range(runs):
        rest(folder)
        run("floor", lambda: floor(folder / "models.json"))
        rest(folder)
        times.setdefault("add, another process", []).append(_cold_add(folder))
        rest(folder)
        catalog.snapshot().by_version(1)
        run("add", partial(catalog.add, version(2 * 10**9 + turn)))
        run("add again at once", partial(catalog.add, version(3 * 10**9 + turn)))
        rest(folder)
        catalog.snapshot().by_version(1)
        run("promote", partial(catalog.promote, size // 2 + turn))
        rest(folder)
        catalog.snapshot().by_version(1)
        run("undo", catalog.undo)
        rest(folder)
        catalog.snapshot().by_version(1)
        run("status of 50", lambda: statuses(catalog, size))
        run("a page of 20", lambda: page(catalog))
    base = statistics.median(times.pop("floor"))
    rows: list[tuple[str, ...]] = []
    for name, taken in times.items():
        mine = statistics.median(taken)
        beside = (f"{base * 1000:.1f} ms", f"{mine / base:.2f}") if "of" not in name else ("", "")
        rows.append((f"{size:,}", megabytes, name, f"{mine * 1000:.1f} ms", *beside))
    return rows


def floor(path: Path) -> None:
    """Read, parse and write the same bytes, with orjson and as durably as we do."""
    value = orjson.loads(path.read_bytes())
    data = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    files.write(files.Disk(), path.with_name("floor.json"), data)


def statuses(catalog: Catalog, size: int) -> list[str]:
    """Look fifty resources up, as an answer about an image does."""
    snapshot = catalog.snapshot()
    return [
        snapshot.status(snapshot.by_version(1 + n * max(size // 50, 1) % size)) for n in range(50)
    ]


def page(catalog: Catalog) -> list[str]:
    """The first twenty entries with their status."""
    snapshot = catalog.snapshot()
    return [snapshot.status(entry) for entry in snapshot.part(0, 20)]


def rest(folder: Path) -> None:
    """Let the files look as if nobody had touched them for an hour."""
    for path in folder.glob("*.json"):
        moment = path.stat().st_mtime - _REST
        os.utime(path, (moment, moment))


def _cold_add(folder: Path) -> float:
    command = [sys.executable, "-m", "bench.catalog", "--cold-add", str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def version(number: int) -> VersionRecord:
    """A version that can be added."""
    file = FileRecord(
        id=number,
        name=f"bench_{number}.safetensors",
        type="Model",
        size_kb=228_000.0,
        hashes={"SHA256": f"{number:064X}"},
    )
    return VersionRecord(
        id=number,
        model_id=number,
        name="v1",
        base_model="SDXL 1.0",
        model_name=f"Bench {number}",
        model_type="LORA",
        trigger_words=("bench",),
        files=(file,),
    )


def make(folder: Path, size: int) -> None:
    """Write a catalog like people have: most entries LoRAs, some words with emoji."""
    entries = [
        {
            "name": f"Style {n} v1 [SDXL 1.0]" + (" ✨" if n % 9 == 0 else ""),
            "file": f"lora_{n}.safetensors",
            "dest": "loras/sdxl",
            "source": "civitai",
            "civitai_version_id": n,
            "civitai_model_id": n + 5,
            "civitai_file_id": n * 3,
            "size_gb": 0.228,
            "base_model": "SDXL 1.0",
            "tags": ["style"],
            "trigger_words": ["a style", f"word {n}"],
            "downloads": n,
            "hash": f"{n:064X}",
        }
        for n in range(1, size + 1)
    ]
    shelves = [
        {"id": "checkpoints", "name": "Checkpoints", "models": entries[: size // 10]},
        {"id": "loras", "name": "LoRAs", "models": entries[size // 10 :]},
    ]
    catalog = {"version": 1, "date": "2026-01-01 00:00", "categories": shelves}
    text = json.dumps(catalog, indent=2, ensure_ascii=False) + "\n"
    (folder / "models.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
