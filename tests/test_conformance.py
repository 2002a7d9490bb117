"""The protocol's own conformance suite, against the product and against fixtures on its stack.

CI installs the suite and names its folder in CIVIT_MCP_CONFORMANCE; where it is not installed
these tests say so. How its findings are weighed is tested everywhere.
"""

from collections.abc import Iterator, Mapping
from typing import get_args

import pytest
from mcp import Client

from civit_mcp.config import Settings
from civit_mcp.server import create_server
from tests.conformance.suite import (
    FOLDER,
    MISSING,
    REVISIONS,
    Check,
    NoSuite,
    Outcome,
    Revision,
    Suite,
)
from tests.conformance.targets import COMMANDS, Server, Target, running
from tests.conformance.verdict import EXCUSED, ask, complaints, judge, strangers

needs_suite = pytest.mark.skipif(not FOLDER, reason=MISSING)


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite.installed(FOLDER)


@pytest.fixture(scope="module", params=get_args(Target))
def target(request: pytest.FixtureRequest) -> Target:
    chosen: Target = request.param
    return chosen


@pytest.fixture(scope="module")
def server(target: Target) -> Iterator[Server]:
    with running(COMMANDS[target]) as server:
        yield server


@needs_suite
@pytest.mark.parametrize("revision", REVISIONS)
def test_everything_that_a_revision_requires_holds(
    suite: Suite, target: Target, server: Server, revision: Revision
) -> None:
    rows, wrong = ask(suite, target, server, revision)

    assert not wrong
    passed = {row.scenario for row in rows if row.verdict == "passed"}
    assert passed >= {"tools-list", "resources-list", "prompts-list", "dns-rebinding-protection"}


@needs_suite
def test_nothing_is_excused_that_the_suite_does_not_require(suite: Suite) -> None:
    assert not strangers({revision: suite.required(revision) for revision in REVISIONS})


@pytest.mark.parametrize("folder", ["", "/no/such/folder"])
def test_a_missing_suite_is_told_with_how_to_install_it(folder: str) -> None:
    with pytest.raises(NoSuite, match="npm install"):
        Suite.installed(folder)


GOOD = Check("c", "SUCCESS")


def verdicts(
    target: Target, checks: Mapping[str, tuple[Check, ...]], *, exit_code: int = 0
) -> list[str]:
    outcome = Outcome(checks, exit_code)
    rows = judge(target, outcome, required=["ping", "tools-call-image"], not_scored={})
    return complaints(target, outcome, rows)


@pytest.mark.parametrize(
    "found",
    [
        (GOOD, Check("c", "FAILURE")),
        (GOOD, Check("c", "WARNING")),
        (Check("c", "SKIPPED"),),
        (),
    ],
    ids=["a failure", "a warning", "nothing but skips", "no result"],
)
def test_what_is_not_a_clean_pass_is_complained_about(found: tuple[Check, ...]) -> None:
    assert verdicts("product", {"ping": found, "tools-call-image": (GOOD,)})


def test_only_the_product_is_excused_for_what_needs_fixtures() -> None:
    assert "tools-call-image" in EXCUSED
    found = {"ping": (GOOD,), "tools-call-image": (Check("c", "FAILURE"),)}

    assert not verdicts("product", found, exit_code=1)
    assert verdicts("fixtures", found, exit_code=1)


def test_a_single_check_that_needs_fixtures_excuses_no_other_of_its_scenario() -> None:
    scenario, _, excused = next(name for name in EXCUSED if ":" in name).partition(":")

    excuses = [name.partition(":")[2] for name in EXCUSED if name.startswith(scenario)]

    def wrong(check: Check) -> list[str]:
        others = tuple(Check(name, "FAILURE") for name in excuses if name != check.id)
        outcome = Outcome({scenario: (GOOD, *others, check)}, 1)
        rows = judge("product", outcome, required=[scenario], not_scored={})
        return complaints("product", outcome, rows)

    assert not wrong(Check(excused, "FAILURE"))
    assert wrong(Check("another", "FAILURE"))


def test_what_needs_fixtures_must_still_speak_the_protocol() -> None:
    found = {"ping": (GOOD,), "tools-call-image": (Check("wire-schema-valid", "FAILURE"),)}

    assert verdicts("product", found, exit_code=1)


def test_an_excuse_for_a_check_that_is_never_made_is_complained_about() -> None:
    scenario = next(name for name in EXCUSED if ":" in name).partition(":")[0]
    outcome = Outcome({scenario: (GOOD,)}, 0)

    assert complaints(
        "product", outcome, judge("product", outcome, required=[scenario], not_scored={})
    )


def test_the_fixture_servers_run_must_satisfy_the_suite_itself() -> None:
    found = {"ping": (GOOD,), "tools-call-image": (GOOD,)}

    assert not verdicts("fixtures", found)
    assert verdicts("fixtures", found, exit_code=1)


async def test_no_news_is_promised_of_lists_that_never_change(settings: Settings, era: str) -> None:
    async with Client(create_server(settings), mode=era) as client:
        offered = client.server_capabilities

    assert offered.tools is not None
    assert offered.prompts is not None
    assert offered.resources is not None
    assert not offered.tools.list_changed
    assert not offered.prompts.list_changed
    assert not offered.resources.list_changed
    assert offered.resources.subscribe
