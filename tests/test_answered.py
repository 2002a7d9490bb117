"""An answer is given again only while everything that it rests on is as it was.

A server that answered before must never differ from one that was started a moment ago.
"""

import asyncio
import contextvars
import gc
import json
import shutil
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from mcp import Client

from civit_mcp.app import CivitServer
from civit_mcp.civitai import CivitaiClient
from civit_mcp.config import Settings
from civit_mcp.grounds import Grounds, current_grounds, grounds_collected
from civit_mcp.sandbox import Sandbox, running_sandbox, world
from civit_mcp.server import create_server
from civit_mcp.usecases.answered import Answered, Glances
from tests.conftest import Assistant

LORA = {"version_id": world.DEMO_LORA_VERSION}
IMAGE = {"image_id": world.DEMO_IMAGE}
MODELS = [world.DEMO_LORA_MODEL, world.DEMO_CHECKPOINT_MODEL]
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("get_generation_data", IMAGE),
    ("get_model_version", LORA),
    ("get_model", {"model_id": world.DEMO_LORA_MODEL}),
    ("list_catalog", {}),
    ("list_catalog", {"status": "present"}),
    ("search_models", {"query": "lantern"}),
]


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[tuple[Assistant, CivitServer]]:
    server = create_server(settings)
    async with Client(server) as client:
        yield Assistant(client), server


def shelve(settings: Settings, folder: str = "loras", version: int = 1, *, copies: int = 1) -> str:
    """Write a catalog by hand, as another program does; gives the file name in it."""
    entry = {
        "name": "Lantern Glow", "file": "lantern_glow.safetensors", "dest": folder,
        "source": "civitai", "civitai_version_id": world.DEMO_LORA_VERSION,
    }  # fmt: skip
    shelf = {"id": "loras", "name": "LoRAs", "models": [entry] * copies}
    settings.catalog_dir.mkdir(exist_ok=True)
    text = json.dumps({"version": version, "date": "", "categories": [shelf]}, indent=2)
    (settings.catalog_dir / "models.json").write_text(text + "\n", "utf-8")
    return str(entry["file"])


@pytest.mark.parametrize(("tool", "arguments"), ASKED[:4], ids=lambda value: str(value)[:30])
async def test_what_was_answered_is_kept_and_given_again(
    settings: Settings, tool: str, arguments: dict[str, Any]
) -> None:
    async with served(settings) as (assistant, server):
        first = await assistant.ask(tool, **arguments)
        kept = len(server.app.desk.answered)
        second = await assistant.ask(tool, **arguments)

        assert first == second
        assert kept == len(server.app.desk.answered) == 1


async def test_another_question_is_not_answered_with_the_last_answer(settings: Settings) -> None:
    shelve(settings)
    async with served(settings) as (assistant, _):
        whole = await assistant.ask("get_generation_data", **IMAGE, include_raw=True)
        short = await assistant.ask("get_generation_data", **IMAGE)
        all_of_it = await assistant.ask("list_catalog", limit=1)
        none = await assistant.ask("list_catalog", limit=1, status="present")

    assert whole["raw"] is not None
    assert short["raw"] is None
    assert (all_of_it["total"], none["total"]) == (1, 0)


Change = Callable[[Settings], object]


def _add_file(settings: Settings) -> None:
    assert settings.models_root is not None
    place = settings.models_root / "loras" / "lantern_glow.safetensors"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"weights")


def _empty_file(settings: Settings) -> None:
    _add_file(settings)
    assert settings.models_root is not None
    (settings.models_root / "loras" / "lantern_glow.safetensors").write_bytes(b"")


def _drop_files(settings: Settings) -> None:
    assert settings.models_root is not None
    shutil.rmtree(settings.models_root / "loras", ignore_errors=True)


def _move_root(settings: Settings) -> None:
    assert settings.models_root is not None
    if settings.models_root.exists():
        shutil.rmtree(settings.models_root)
    else:
        settings.models_root.mkdir()


def _more_folders(settings: Settings) -> None:
    assert settings.models_root is not None
    settings.models_root.mkdir(exist_ok=True)
    other = settings.models_root.parent / "elsewhere"
    other.mkdir(exist_ok=True)
    (other / "lantern_glow.safetensors").write_bytes(b"weights")
    text = f"comfyui:\n  loras: {other.as_posix()}\n"
    (settings.models_root / "extra_model_paths.yaml").write_text(text, "utf-8")


def _break_catalog(settings: Settings) -> None:
    shelve(settings)
    (settings.catalog_dir / "models.json").write_text('{"version": 1, "categ', "utf-8")


def _drop_catalog(settings: Settings) -> None:
    shutil.rmtree(settings.catalog_dir, ignore_errors=True)


CHANGES: dict[str, Change] = {
    "another program writes the catalog": shelve,
    "another program writes it again": lambda s: shelve(s, version=7),
    "another program moves the entry": lambda s: shelve(s, folder="loras/style"),
    "the catalog breaks": _break_catalog,
    "the catalog goes": _drop_catalog,
    "the file appears": _add_file,
    "the file is emptied": _empty_file,
    "the file goes": _drop_files,
    "the models root comes or goes": _move_root,
    "more folders are named": _more_folders,
}


async def answers(settings: Settings, server: CivitServer | None = None) -> list[Any]:
    """What a server says to every question; a new server unless one is given."""
    async with Client(server or create_server(settings)) as client:
        return [
            (result.is_error, result.structured_content or str(result.content))
            for result in [await client.call_tool(tool, given) for tool, given in ASKED]
        ]


@pytest.fixture(scope="module")
def world_at_rest() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@examples(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@example(steps=["another program writes the catalog", "the models root comes or goes"])
@example(steps=["the catalog breaks", "another program writes the catalog"])
@example(
    steps=[
        "another program writes the catalog",
        "the file appears",
        "the file is emptied",
        "the file goes",
        "more folders are named",
    ]
)
@given(steps=st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=5))
def test_a_server_that_answered_before_says_what_a_new_one_says(
    world_at_rest: Sandbox, tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("answered")
    (folder / "models").mkdir()
    settings = Settings(
        civitai_url=world_at_rest.base_url,
        catalog_dir=folder / "catalog",
        models_root=folder / "models",
        cache_dir=folder / "cache",
    )

    async def compare() -> None:
        server = create_server(settings)
        async with Client(server) as client:
            for step in steps:
                for tool, given_ in ASKED:
                    await client.call_tool(tool, given_)
                CHANGES[step](settings)
                now = []
                for tool, given_ in ASKED:
                    result = await client.call_tool(tool, given_)
                    now.append((result.is_error, result.structured_content or str(result.content)))
                assert now == await answers(settings), step

    with start_blocking_portal("asyncio") as portal:
        portal.call(compare)


@pytest.mark.parametrize(
    ("tool", "questions"),
    [
        ("list_catalog", [{"limit": n} for n in range(40, 51)]),
        ("list_catalog", [{"limit": n} for n in range(1, 11)]),
        ("get_model", [{"model_id": n} for n in MODELS]),
        ("search_models", [{"query": q, "limit": n} for q in ("mist", "") for n in (1, 5, 20)]),
        ("get_generation_data", [{**IMAGE, "include_raw": raw} for raw in (True, False)]),
        ("search_models", [{"query": "none such", "limit": n} for n in range(1, 11)]),
        ("list_catalog", [{"status": "present", "limit": n} for n in range(1, 11)]),
    ],
    ids=["long pages", "short pages", "models", "searches", "images", "nothing", "many looks"],
)
async def test_a_kept_answer_is_charged_what_it_holds(
    settings: Settings, tool: str, questions: list[dict[str, Any]]
) -> None:
    shelve(settings, copies=50)
    tracemalloc.start()
    try:
        async with served(settings) as (assistant, server):
            for question in questions:
                await assistant.ask(tool, **question)
            kept = server.app.desk.answered._kept
            count, charged = len(kept), kept.currsize
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            kept.clear()
            gc.collect()
            held = before - tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert count == len(questions)
    assert 0.9 * held <= charged <= 3 * held


async def test_an_answer_that_lacks_what_failed_is_not_given_again(
    settings: Settings, sandbox: Sandbox
) -> None:
    async with served(settings) as (assistant, server):
        sandbox.use("html-200:getGenerationData")
        lacking = await assistant.ask("get_generation_data", **IMAGE)
        kept = len(server.app.desk.answered)
        sandbox.use()
        whole = await assistant.ask("get_generation_data", **IMAGE)

    assert kept == 0
    assert lacking != whole
    assert not [note for note in whole["notes"] if "could not be read" in note]


def test_grounds_hold_while_each_check_does() -> None:
    state = {"fact": True, "disk": True}
    grounds = Grounds()
    grounds.add(lambda: state["fact"])
    grounds.add(lambda: state["disk"], on_disk=True)

    assert grounds.firm
    assert grounds.hold()
    assert grounds.look is not None
    assert grounds.look()
    state.update(fact=False, disk=False)
    assert not grounds.hold()
    assert not grounds.look()


def test_grounds_that_cannot_all_be_checked_are_not_firm() -> None:
    unsure, wide = Grounds(), Grounds()
    unsure.give_up()
    for _ in range(1000):
        wide.add(lambda: True, on_disk=True)

    assert not unsure.firm
    assert not wide.firm


async def test_grounds_are_collected_over_tasks_and_threads() -> None:
    def look() -> None:
        grounds = current_grounds()
        assert grounds is not None
        grounds.add(lambda: True, on_disk=True)

    async def in_a_thread() -> None:
        await anyio.to_thread.run_sync(look)

    with grounds_collected() as grounds:
        async with anyio.create_task_group() as group:
            group.start_soon(in_a_thread)

    assert grounds.look is not None
    assert contextvars.copy_context().run(current_grounds) is None


async def test_an_answer_without_firm_grounds_is_not_kept() -> None:
    answered, grounds = Answered(), Grounds()
    grounds.give_up()
    answered.keep("question", "answer", size=1, grounds=grounds)

    assert await answered.again("question") is None


async def test_a_disk_that_cannot_be_looked_at_is_not_as_it_was() -> None:
    def broken() -> bool:
        raise PermissionError

    answered, grounds = Answered(), Grounds()
    grounds.add(broken, on_disk=True)
    answered.keep("question", "answer", size=1, grounds=grounds)

    assert await answered.again("question") is None


async def test_a_look_sees_what_was_written_before_it_was_asked_for() -> None:
    glances, written, gate = Glances(), threading.Event(), threading.Event()
    begun = threading.Event()
    seen: list[bool] = []

    def slow() -> bool:
        begun.set()
        return gate.wait(5)

    async def ask() -> None:
        seen.append(await glances.take(written.is_set))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(glances.take, slow)
            await anyio.to_thread.run_sync(begun.wait)
            # the hop under way has begun before the write, so it may not answer for us
            written.set()
            group.start_soon(ask)
            gate.set()

    assert seen == [True]


async def test_who_leaves_while_waiting_for_a_look_leaves_the_others_alone() -> None:
    glances, gate = Glances(), threading.Event()
    seen: list[bool] = []

    async def stay() -> None:
        seen.append(await glances.take(lambda: gate.wait(5)))

    async with anyio.create_task_group() as group:
        group.start_soon(stay)
        with anyio.move_on_after(0.01):
            await glances.take(lambda: True)
        gate.set()

    assert seen == [True]


async def test_a_look_that_fails_fails_for_who_asked_and_for_nobody_else() -> None:
    glances, gate = Glances(), threading.Event()
    seen: list[bool | str] = []

    def broken() -> bool:
        raise ZeroDivisionError

    async def ask(look: Callable[[], bool]) -> None:
        try:
            seen.append(await glances.take(look))
        except ZeroDivisionError:
            seen.append("broken")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, lambda: gate.wait(5))
            for look in (broken, lambda: True, broken):
                group.start_soon(ask, look)
            gate.set()
        seen.append(await glances.take(lambda: True))

    assert sorted(map(str, seen)) == ["True", "True", "True", "broken", "broken"]


async def test_nobody_waits_for_a_look_that_was_given_up() -> None:
    glances, begun, gate = Glances(), threading.Event(), threading.Event()

    def slow() -> bool:
        begun.set()
        return gate.wait(5)

    others = asyncio.all_tasks()
    first = asyncio.create_task(glances.take(slow))
    await anyio.to_thread.run_sync(begun.wait)
    second = asyncio.create_task(glances.take(lambda: True))
    await anyio.lowlevel.checkpoint()
    (serving,) = asyncio.all_tasks() - others - {first, second}
    serving.cancel()
    gate.set()
    done, _ = await asyncio.wait([first, second], timeout=10)

    assert done == {first, second}
    assert first.cancelled()
    assert second.cancelled()
    assert await asyncio.wait_for(glances.take(lambda: True), 10)


async def test_an_answer_that_stood_in_for_a_missing_one_rests_on_nothing(
    settings: Settings, sandbox: Sandbox
) -> None:
    online = CivitaiClient(settings)
    await online.model(world.DEMO_LORA_MODEL)
    await online.aclose()
    offline = CivitaiClient(settings.model_copy(update={"offline": True}))
    with grounds_collected() as grounds:
        await offline.model(world.DEMO_LORA_MODEL)
    await offline.aclose()

    assert not (grounds.firm and grounds.hold())
