"""The server over a stand-in that misbehaves: bounded, honest, and quick to let go."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from civit_mcp.civitai import CivitaiClient, RetryPolicy, Timeouts
from civit_mcp.config import Settings
from civit_mcp.errors import (
    CivitError,
    Offline,
    TooLarge,
    UpstreamChanged,
    UpstreamUnavailable,
)
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, running_sandbox, world
from civit_mcp.server import create_server
from tests.civitai_support import HandClock, until
from tests.conftest import Assistant

MODEL = world.DEMO_LORA_MODEL


def one_try(settings: Settings, clock: HandClock | None = None, **values: Any) -> CivitaiClient:
    """A client whose waits cost no time."""
    return CivitaiClient(settings, clock=clock or HandClock(), **values)


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "civit_mcp", *arguments],
        capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip


def in_flight(sandbox: Sandbox) -> int:
    return sandbox._desk.in_flight


@asynccontextmanager
async def serving(settings: Settings, **changes: Any) -> AsyncIterator[Assistant]:
    async with Client(create_server(settings.model_copy(update=changes))) as client:
        yield Assistant(client)


# what the stand-in does to connections


@pytest.mark.parametrize(
    ("scenario", "error", "words", "requests"),
    [
        ("huge", TooLarge, "exceeds 64 MiB", 1),
        ("redirect-away", UpstreamChanged, "redirected .* not followed", 1),
        ("truncated", UpstreamUnavailable, "broke", 4),
        ("drop", UpstreamUnavailable, "broke", 4),
        ("drop-mid-body", UpstreamUnavailable, "broke", 4),
        ("busy", UpstreamUnavailable, "503", 4),
        ("cloudflare-524", UpstreamUnavailable, "524", 4),
        ("error-500", UpstreamUnavailable, "500", 2),
        ("html-200", UpstreamChanged, "web page|HTML|expected", 2),
    ],
)
async def test_each_way_to_fail_is_one_coded_error_within_its_tries(
    sandbox: Sandbox,
    settings: Settings,
    scenario: str,
    error: type[CivitError],
    words: str,
    requests: int,
) -> None:
    sandbox.use(scenario)
    keyed = settings.model_copy(update={"civitai_api_key": None})
    async with one_try(keyed) as civitai:
        with pytest.raises(error, match=words):
            await civitai.model(MODEL)
    assert len(sandbox.seen) == requests


async def test_a_redirect_away_carries_no_key_to_the_other_host(
    sandbox: Sandbox, settings: Settings
) -> None:
    sandbox.use("redirect-away")
    keyed = Settings(**{**settings.model_dump(), "civitai_api_key": SANDBOX_KEY})
    async with one_try(keyed) as civitai:
        with pytest.raises(UpstreamChanged, match="keep credentials where they belong"):
            await civitai.model(MODEL)
    assert [request.host_role for request in sandbox.seen] == ["api"]
    assert sandbox.seen[0].headers["authorization"] == f"Bearer {SANDBOX_KEY}"


@pytest.mark.parametrize("scenario", ["rate-limit", "busy-once", "error-500-once"])
async def test_what_passes_is_waited_out(
    sandbox: Sandbox, settings: Settings, scenario: str
) -> None:
    sandbox.use(scenario)
    clock = HandClock()
    async with one_try(settings, clock) as civitai:
        assert (await civitai.model(MODEL)).id == MODEL
    assert len(sandbox.seen) == 2
    assert clock.seconds >= 0.5


@pytest.mark.parametrize("scenario", ["slow", "slow-body"])
async def test_a_slow_answer_ends_with_its_time_out_and_its_connection(
    sandbox: Sandbox, settings: Settings, scenario: str
) -> None:
    sandbox.use(scenario)
    async with one_try(
        settings, timeouts=Timeouts(read=0.15), retry=RetryPolicy(total=0.5, busy_retries=0)
    ) as civitai:
        with pytest.raises(UpstreamUnavailable, match=r"silent for 0.15|within 0.5"):
            await civitai.model(MODEL)
        await until(lambda: in_flight(sandbox) == 0)


# sharing and bounds


async def test_fifty_who_ask_the_same_make_one_request(
    sandbox: Sandbox, settings: Settings
) -> None:
    async with one_try(settings) as civitai:
        models = await asyncio.gather(*(civitai.model(MODEL) for _ in range(50)))
    assert {model.id for model in models} == {MODEL}
    assert len(sandbox.seen) == 1


async def test_fifty_calls_of_a_tool_with_one_question_make_one_round_of_requests(
    sandbox: Sandbox, settings: Settings
) -> None:
    async with serving(settings) as assistant:
        answers = await asyncio.gather(
            *(assistant.ask("get_model", model_id=MODEL) for _ in range(50))
        )
    assert len({str(answer) for answer in answers}) == 1
    assert len(sandbox.seen) == 1


async def test_a_thousand_different_questions_stay_within_the_bound(settings: Settings) -> None:
    with running_sandbox(latency=0.005) as sandbox:
        await ask_a_thousand(sandbox, settings.model_copy(update={"civitai_url": sandbox.base_url}))


async def ask_a_thousand(sandbox: Sandbox, settings: Settings) -> None:
    async with one_try(settings) as civitai:
        outcomes = await asyncio.gather(
            *(civitai.version_by_hash(f"{number:010X}") for number in range(1, 1001)),
            return_exceptions=True,
        )
    assert outcomes == [None] * 1000
    assert len(sandbox.seen) == 1000
    assert 2 <= sandbox.max_in_flight <= 16


# letting go


async def test_cancelling_a_tool_call_closes_its_connections_upstream(
    sandbox: Sandbox, settings: Settings
) -> None:
    sandbox.use("slow")
    async with serving(settings) as assistant:
        async with anyio.create_task_group() as group:
            group.start_soon(
                assistant.client.call_tool, "get_generation_data", {"image_id": world.DEMO_IMAGE}
            )
            await until(lambda: in_flight(sandbox) == 3)
            group.cancel_scope.cancel()
        await until(lambda: in_flight(sandbox) == 0)
        sandbox.use()
        answer = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)
        assert answer["image_id"] == world.DEMO_IMAGE


async def test_one_of_two_calls_that_share_a_request_may_be_cancelled(
    sandbox: Sandbox, settings: Settings
) -> None:
    sandbox.use("slow:/models/")
    async with one_try(settings) as civitai:
        first, second = (asyncio.create_task(civitai.model(MODEL)) for _ in range(2))
        await until(lambda: in_flight(sandbox) == 1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        # a whole round trip later the shared request still stands
        await civitai.enums()
        await until(lambda: in_flight(sandbox) == 1)
        assert not second.done()
        second.cancel()
        await until(lambda: in_flight(sandbox) == 0)


async def test_closing_the_server_closes_what_is_under_way(
    sandbox: Sandbox, settings: Settings
) -> None:
    sandbox.use("slow")
    civitai = one_try(settings)
    asking = [asyncio.create_task(civitai.model(number)) for number in (1, 2, 3)]
    await until(lambda: in_flight(sandbox) == 3)
    await civitai.aclose()
    await until(lambda: in_flight(sandbox) == 0)
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {UpstreamUnavailable}


# without CivitAI

QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("get_generation_data", {"image_id": world.DEMO_IMAGE}),
    ("search_models", {"query": world.DEMO_QUERY, "types": ["LORA"]}),
    ("get_model", {"model_id": MODEL}),
    ("get_model_version", {"version_id": world.DEMO_LORA_VERSION}),
)


async def test_offline_the_tools_answer_from_the_cache_and_say_how_old_it_is(
    sandbox: Sandbox, settings: Settings
) -> None:
    async with serving(settings) as assistant:
        before = [await assistant.ask(tool, **arguments) for tool, arguments in QUESTIONS]
    sandbox.clear()
    async with serving(settings, offline=True) as assistant:
        after = [await assistant.ask(tool, **arguments) for tool, arguments in QUESTIONS]
        added = await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)
        shelf = await assistant.ask("list_catalog")
    assert sandbox.seen == []
    for online, offline in zip(before, after, strict=True):
        note = offline["notes"][-1]
        assert note.startswith("Answered from the cache, up to ")
        assert note.endswith(" old (offline)")
        assert not any("cache" in text for text in online.get("notes", []))
        assert offline.keys() - {"notes"} == online.keys() - {"notes"}
        assert {**offline, "notes": offline["notes"][:-1]} == {"notes": [], **online}
    assert added["status"] == "added"
    assert "(offline)" in added["notes"][-1]
    assert len(shelf["entries"]) == 1
    assert not any("offline" in note for note in shelf.get("notes", []))


async def test_offline_and_never_asked_is_the_offline_error(
    sandbox: Sandbox, settings: Settings
) -> None:
    async with serving(settings, offline=True) as assistant:
        for tool, arguments in QUESTIONS:
            text = await assistant.refused(tool, **arguments)
            assert text.startswith("[offline]"), text
            assert "--offline" in text
        assert (await assistant.ask("list_catalog"))["entries"] == []
    assert sandbox.seen == []


async def test_the_catalog_needs_neither_civitai_nor_a_cache(
    sandbox: Sandbox, settings: Settings
) -> None:
    version_id = world.DEMO_LORA_VERSION
    async with serving(settings) as assistant:
        await assistant.ask("add_to_catalog", version_id=version_id)
    await anyio.to_thread.run_sync(shutil.rmtree, settings.cache_dir)
    sandbox.clear()
    async with serving(settings, offline=True) as assistant:
        assert (await assistant.ask("promote_to_lora", version_id=version_id))["status"]
        entries = (await assistant.ask("list_catalog"))["entries"]
        assert [entry["catalog"] for entry in entries] == ["loras"]
        summary = await assistant.client.read_resource("catalog://summary")
        assert summary.contents
    assert sandbox.seen == []


async def test_when_civitai_is_down_the_tools_answer_from_the_cache(
    sandbox: Sandbox, settings: Settings
) -> None:
    async with one_try(settings) as civitai:
        await civitai.model(MODEL)
    sandbox.use("error-500")
    clock = HandClock()
    clock.seconds = 3600.0
    async with one_try(settings, clock) as civitai:
        assert (await civitai.model(MODEL)).id == MODEL
        with pytest.raises(UpstreamUnavailable):
            await civitai.model(1)
        assert (await civitai.model(MODEL)).id == MODEL


async def test_an_offline_client_opens_no_connection(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    nowhere = {"civitai_url": "http://127.0.0.1:9", "offline": True, "cache_dir": tmp_path / "x"}
    async with one_try(settings.model_copy(update=nowhere)) as civitai:
        await civitai.prepare()
        with pytest.raises(Offline):
            await civitai.model(MODEL)
    assert sandbox.seen == []


def test_check_tells_what_the_cache_holds(sandbox: Sandbox, tmp_path: Path) -> None:
    where = ("--catalog-dir", str(tmp_path / "catalog"), "--cache-dir", str(tmp_path / "cache"))
    address = ("--civitai-url", sandbox.base_url)
    empty = run_cli("check", *where, *address, "--offline").stdout
    assert "not asked: offline" in empty
    assert "warning answer cache: empty" in empty
    assert (
        run_cli("call", "get_model", f'{{"model_id": {MODEL}}}', *where, *address).returncode == 0
    )
    full = run_cli("check", *where, *address, "--offline").stdout
    assert "ok      answer cache: 1 answers, up to " in full
    told = run_cli("call", "get_model", f'{{"model_id": {MODEL}}}', *where, *address, "--offline")
    assert "(offline)" in told.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="folders are protected in another way")
def test_check_tells_when_nothing_can_be_kept(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    report = run_cli(
        "check", "--catalog-dir", str(tmp_path / "catalog"),
        "--cache-dir", str(tmp_path / "file" / "cache"), "--civitai-url", sandbox.base_url,
    ).stdout  # fmt: skip
    assert "warning answer cache" in report
    assert "forgotten at every restart" in report
