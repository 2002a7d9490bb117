"""What must hold of what the suite found."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.conformance.suite import Check, Outcome, Revision, Suite
from tests.conformance.targets import Server, Target

#: every message follows the schema, whatever it answers
ALWAYS_COUNTS: Final = "wire-schema-valid"
_NAMED: Final = "calls a tool that only a test server has"
_BY_ACCIDENT: Final = "calls a tool that only a test server has, and takes any refusal for it"
_NOT_OFFERED: Final = "wants protocol logging, which is optional and which this server has not"
#: scenarios, or single checks as `scenario:check`, that say nothing about a server without
#: the suite's own fixtures, and why; every other must pass on the product as it is
EXCUSED: Final[Mapping[str, str]] = {
    "logging-set-level": _NOT_OFFERED,
    "tools-call-with-logging": _NOT_OFFERED,
    "tools-call-simple-text": _BY_ACCIDENT,
    "tools-call-error": _BY_ACCIDENT,
    "tools-call-image": _NAMED,
    "tools-call-audio": _NAMED,
    "tools-call-embedded-resource": _NAMED,
    "tools-call-mixed-content": _NAMED,
    "tools-call-with-progress": _NAMED,
    "tools-call-sampling": _NAMED,
    "tools-call-elicitation": _NAMED,
    "elicitation-sep1034-defaults": _NAMED,
    "elicitation-sep1330-enums": _NAMED,
    "resources-read-text": "reads a resource that only a test server has",
    "resources-read-binary": "reads a resource that only a test server has",
    "resources-templates-read": "reads a resource that only a test server has",
    "prompts-get-simple": "gets a prompt that only a test server has",
    "prompts-get-with-args": "gets a prompt that only a test server has",
    "prompts-get-embedded-resource": "gets a prompt that only a test server has",
    "prompts-get-with-image": "gets a prompt that only a test server has",
    "server-stateless:sep-2575-server-rejects-undeclared-capability": _NAMED,
    "server-stateless:sep-2575-missing-capability-http-400": _NAMED,
    "server-stateless:sep-2575-http-server-no-independent-requests-on-stream": _BY_ACCIDENT,
    "server-stateless:sep-2575-server-no-log-without-loglevel": _BY_ACCIDENT,
    "input-required-result-basic-elicitation": _NAMED,
    "input-required-result-basic-sampling": _NAMED,
    "input-required-result-basic-list-roots": _NAMED,
    "input-required-result-request-state": _NAMED,
    "input-required-result-multiple-input-requests": _NAMED,
    "input-required-result-multi-round": _NAMED,
    "input-required-result-missing-input-response": _NAMED,
    "input-required-result-non-tool-request": "gets a prompt that only a test server has",
    "input-required-result-result-type": _NAMED,
    "input-required-result-tampered-state": _NAMED,
    "input-required-result-capability-check": _NAMED,
    "input-required-result-validate-input": _BY_ACCIDENT,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario in the table."""

    scenario: str
    #: passed, failed, not scored or excused
    verdict: str
    passed: int
    failed: int
    warned: int
    #: what went wrong, or why it does not count
    notes: tuple[str, ...] = ()


def ask(
    suite: Suite, target: Target, server: Server, revision: Revision, *, only: str = ""
) -> tuple[list[Row], list[str]]:
    """Run the suite at one revision; what it found, and what must not be."""
    required = [name for name in suite.required(revision) if only in ("", name)]
    not_scored = {
        name: why for name, why in suite.not_scored(revision).items() if only in ("", name)
    }
    if not required and not not_scored:
        return [], []
    with tempfile.TemporaryDirectory(prefix="civit-mcp-") as folder:
        outcome = suite.run(server.address, revision, Path(folder), scenario=only)
    rows = judge(target, outcome, required=required, not_scored=not_scored)
    # alone, a scenario that does not count would end the suite with 1
    wrong = complaints(target, outcome, rows) if required else []
    if wrong:
        wrong.append(f"the server's last words: {server.last_words().strip()}")
    return rows, wrong


def judge(
    target: Target,
    outcome: Outcome,
    *,
    required: Iterable[str],
    not_scored: Mapping[str, str],
) -> list[Row]:
    """Weigh a run. A warning counts like a failure, a missing result too."""
    needs = EXCUSED if target == "product" else {}
    rows = [_row(name, outcome.found.get(name, ()), needs) for name in required]
    for name, reason in not_scored.items():
        checks = outcome.found.get(name, ())
        rows.append(Row(name, "not scored", *_counts(checks), (reason,)))
    return rows


def complaints(target: Target, outcome: Outcome, rows: Iterable[Row]) -> list[str]:
    """What must not be; empty when all is well."""
    wrong = [
        f"{row.scenario}: {note}" for row in rows if row.verdict == "failed" for note in row.notes
    ]
    # with fixtures registered nothing is left to excuse, so the suite's own word counts too
    if target == "fixtures" and outcome.exit_code != 0 and not wrong:
        wrong.append(f"the suite ended with {outcome.exit_code}: {outcome.said[-500:].strip()}")
    return wrong


def strangers(revisions: Mapping[Revision, Iterable[str]]) -> list[str]:
    """Entries of EXCUSED that no revision requires: a list that excuses nothing lies."""
    known = {name for names in revisions.values() for name in names}
    return [entry for entry in EXCUSED if entry.partition(":")[0] not in known]


def _row(scenario: str, checks: tuple[Check, ...], needs: Mapping[str, str]) -> Row:
    whole = scenario in needs
    excused = {entry.partition(":")[2] for entry in needs if entry.startswith(f"{scenario}:")}
    counted = tuple(
        check
        for check in checks
        if check.id not in excused and (not whole or check.id == ALWAYS_COUNTS)
    )
    notes = [
        f"{check.status} {check.id}: {check.message[:300]}"
        for check in counted
        if check.status in ("FAILURE", "WARNING")
    ]
    notes += [f"{name} is excused but never made" for name in excused - {c.id for c in checks}]
    counts = _counts(counted)
    if whole and not notes:
        return Row(scenario, "excused", *counts, (needs[scenario],))
    if not counts[0] and not notes:
        notes = ["nothing was checked"]
    return Row(scenario, "failed" if notes else "passed", *counts, tuple(notes))


def _counts(checks: Iterable[Check]) -> tuple[int, int, int]:
    by_status = Counter(check.status for check in checks)
    return by_status["SUCCESS"], by_status["FAILURE"], by_status["WARNING"]
