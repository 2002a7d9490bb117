"""Finding the suite, running it, and reading what it wrote."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml

PACKAGE: Final = "@modelcontextprotocol/conformance"
VERSION: Final = "0.2.0-alpha.12"
FOLDER_VARIABLE: Final = "CIVIT_MCP_CONFORMANCE"
#: the suite needs a newer Node than many machines have, so one comes along
INSTALL: Final = f"npm install --prefix DIR node@22 {PACKAGE}@{VERSION}"
MISSING: Final = f"no conformance suite: {INSTALL}, then set {FOLDER_VARIABLE}=DIR"
#: what the environment says when the program starts
FOLDER: Final = os.environ.get(FOLDER_VARIABLE, "")
Revision = Literal["2025-11-25", "2026-07-28"]
REVISIONS: Final[tuple[Revision, ...]] = ("2025-11-25", "2026-07-28")
#: seconds for a whole run, many times what it takes
TIMEOUT: Final = 120
_RESULT: Final = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


class NoSuite(RuntimeError):
    """The suite is not where it was said to be, or nobody said where it is."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the suite looked at."""

    id: str
    #: SUCCESS, FAILURE, WARNING, SKIPPED or INFO
    status: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of the suite found, scenario by scenario, and what it thinks of it."""

    found: Mapping[str, tuple[Check, ...]]
    exit_code: int
    said: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """An installed conformance suite."""

    node: str
    package: Path

    @classmethod
    def installed(cls, folder: str) -> "Suite":
        """Find the suite in the folder that the environment names.

        Raises:
            NoSuite: it is not there; the sentence says how to install it.
        """
        if not folder:
            raise NoSuite(MISSING)
        modules = Path(folder) / "node_modules"
        package = modules / PACKAGE
        if not (package / "dist" / "index.js").is_file():
            raise NoSuite(f"no conformance suite in '{modules}': {INSTALL}")
        own = modules / ".bin" / "node"
        node = str(own) if own.exists() else shutil.which("node")
        if node is None:
            raise NoSuite(f"no Node to run the conformance suite with: {INSTALL}")
        return cls(node, package)

    def required(self, revision: Revision) -> tuple[str, ...]:
        """The scenarios that a server of this revision must pass, by the suite's own list."""
        return tuple(self._list(revision)["server"])

    def not_scored(self, revision: Revision) -> Mapping[str, str]:
        """The scenarios that are run and not counted, each with the suite's reason."""
        rows = self._list(revision)["not_scored"]
        return {row["scenario"]: row["reason"] for row in rows if row["leg"] == "server"}

    def run(self, address: str, revision: Revision, output: Path, *, scenario: str = "") -> Outcome:
        """Run every scenario of a revision, or one of them, against a server."""
        which = (
            ["--scenario", scenario, "--spec-version", revision, "--force"]
            if scenario
            else ["--requirements", revision]
        )
        done = subprocess.run(
            [self.node, self.package / "dist" / "index.js", "server",
             "--url", address, "--output-dir", output, *which],
            capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        return Outcome(_read(output), done.returncode, done.stdout + done.stderr)

    def _list(self, revision: Revision) -> dict[str, Any]:
        text = (self.package / "requirements" / f"{revision}.yaml").read_text("utf-8")
        listed: dict[str, Any] = yaml.safe_load(text)
        return listed


def _read(output: Path) -> dict[str, tuple[Check, ...]]:
    found = {}
    for path in sorted(output.glob("*/checks.json")):
        named = _RESULT.fullmatch(path.parent.name)
        assert named is not None, path
        found[named[1]] = tuple(
            Check(row["id"], row["status"], row.get("errorMessage") or "")
            for row in json.loads(path.read_text("utf-8"))
        )
    return found
