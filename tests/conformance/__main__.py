"""Run the conformance suite against the product and against the fixture server."""

import argparse
import sys
from collections.abc import Iterable
from typing import get_args

from tests.conformance.suite import FOLDER, REVISIONS, NoSuite, Suite
from tests.conformance.targets import COMMANDS, Target, running
from tests.conformance.verdict import Row, ask, strangers


def main() -> int:
    """Print a table for every server and revision; 1 when something must not be."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--scenario", default="", help="run this one only")
    only = parser.parse_args().scenario
    try:
        suite = Suite.installed(FOLDER)
    except NoSuite as error:
        print(error, file=sys.stderr)
        return 2
    wrong = [
        f"EXCUSED names '{entry}', which nothing requires"
        for entry in strangers({revision: suite.required(revision) for revision in REVISIONS})
    ]
    ran = 0
    for target in get_args(Target):
        with running(COMMANDS[target]) as server:
            for revision in REVISIONS:
                rows, found = ask(suite, target, server, revision, only=only)
                if rows:
                    _print(f"{target} at {revision}", rows)
                ran += len(rows)
                wrong += [f"{target} at {revision}: {what}" for what in found]
    if not ran:
        wrong.append(f"no revision has a scenario '{only}'")
    print("\n".join(["", *wrong]) if wrong else "\nall that is required holds")
    return 1 if wrong else 0


def _print(title: str, rows: Iterable[Row]) -> None:
    print(f"\n{title}\n{'scenario':<46} {'passed':>6} {'failed':>6} {'warned':>6}  verdict")
    for row in rows:
        why = f": {row.notes[0]}" if row.notes else ""
        print(
            f"{row.scenario:<46} {row.passed:>6} {row.failed:>6} {row.warned:>6}"
            f"  {row.verdict}{why}"[:160]
        )


if __name__ == "__main__":
    sys.exit(main())
