"""Listeners hear of every change of the catalog, whoever made it."""

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import ResourceUpdatedNotification

from civit_mcp import live
from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.server import create_server
from tests.client_kit import listen_once
from tests.conftest import ERAS

MODELS = "catalog://models.json"


def write_as_another_program(settings: Settings, version: int) -> None:
    settings.catalog_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"version": version, "date": "", "categories": []})
    (settings.catalog_dir / "models.json").write_text(text, "utf-8")


@asynccontextmanager
async def legacy_listener(settings: Settings) -> AsyncIterator[tuple[Client, Any]]:
    send, receive = anyio.create_memory_object_stream[str](100)

    async def handle(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            await send.send(str(message.params.uri))

    async with Client(create_server(settings), mode="legacy", message_handler=handle) as client:
        yield client, receive
    send.close()
    receive.close()


@pytest.mark.parametrize("uri", [MODELS, "catalog://models/loras"])
async def test_a_stream_hears_of_our_own_change(settings: Settings, uri: str) -> None:
    async with (
        Client(create_server(settings)) as client,
        client.listen(resource_subscriptions=[uri]) as events,
    ):
        await client.call_tool("add_to_catalog", {"version_id": world.DEMO_LORA_VERSION})
        with anyio.fail_after(5):
            assert uri in str(await anext(aiter(events)))


async def test_a_stream_hears_of_another_programs_change_within_a_second(
    settings: Settings,
) -> None:
    async with (
        Client(create_server(settings)) as client,
        client.listen(resource_subscriptions=[MODELS]) as events,
    ):
        write_as_another_program(settings, 7)
        with anyio.fail_after(1):
            assert MODELS in str(await anext(aiter(events)))


# the older revisions' subscriptions are deprecated in the client, and served all the same
@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_a_subscriber_of_an_older_revision_hears_of_both(settings: Settings) -> None:
    async with legacy_listener(settings) as (client, told):
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.resources.subscribe is True
        for _ in range(3):
            await client.subscribe_resource(MODELS)
        await client.call_tool("add_to_catalog", {"version_id": world.DEMO_LORA_VERSION})
        with anyio.fail_after(5):
            assert await told.receive() == MODELS
        write_as_another_program(settings, 9)
        with anyio.fail_after(1):
            assert await told.receive() == MODELS
        assert told.statistics().current_buffer_used == 0


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_who_unsubscribed_hears_nothing_more(settings: Settings) -> None:
    async with legacy_listener(settings) as (client, told):
        await client.subscribe_resource(MODELS)
        await client.unsubscribe_resource(MODELS)
        await client.unsubscribe_resource(MODELS)
        await client.call_tool("add_to_catalog", {"version_id": world.DEMO_LORA_VERSION})
        await client.list_tools()
        assert told.statistics().current_buffer_used == 0


async def test_nobody_looks_at_the_files_while_nobody_listens(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # without a pause between two looks, every answer below would leave room for many
    monkeypatch.setattr(live, "INTERVAL", 0)
    server = create_server(settings)
    looks = 0

    def count() -> int:
        nonlocal looks
        looks += 1
        return 0

    monkeypatch.setattr(server.live, "_fingerprint", count)
    async with Client(server) as client:
        await client.list_tools()
        idle = looks
        async with client.listen(resource_subscriptions=[MODELS]):
            for _ in range(20):
                await client.call_tool("list_catalog", {})
        listened = looks
        for _ in range(20):
            await client.call_tool("list_catalog", {})

    assert idle == 0
    assert listened > 3
    assert looks <= listened + 1


async def test_who_begins_beside_another_takes_no_news_from_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the files are looked at when they are said to have changed, and at no time in between
    monkeypatch.setattr(live, "INTERVAL", 3600)
    server = create_server(settings)
    look = server.live._fingerprint
    both_begin, written = threading.Barrier(2), threading.Event()
    # the first to look sees what is there before the other program writes, the second what is after
    places = iter(range(2))

    def look_in_turn() -> object:
        place = next(places, None)
        if place == 0:
            seen = look()
            both_begin.wait(10)
            return seen
        if place == 1:
            both_begin.wait(10)
            assert written.wait(10)
        return look()

    monkeypatch.setattr(server.live, "_fingerprint", look_in_turn)
    acknowledged, told = anyio.Event(), anyio.Event()
    begun: list[int] = []

    async with Client(server) as client:

        async def listen(which: int) -> None:
            async with client.listen(resource_subscriptions=[MODELS]) as events:
                begun.append(which)
                acknowledged.set()
                await anext(aiter(events))
                if which == begun[0]:
                    told.set()

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(listen, 0)
                group.start_soon(listen, 1)
                await acknowledged.wait()
                write_as_another_program(settings, 7)
                written.set()
                while len(begun) < 2:
                    await client.list_tools()
                server.live.changed()
                await told.wait()
                group.cancel_scope.cancel()


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
@pytest.mark.parametrize("era", ERAS)
async def test_who_could_not_begin_to_listen_is_not_listened_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, era: str
) -> None:
    monkeypatch.setattr(live, "INTERVAL", 0)
    server = create_server(settings)
    looks = 0

    def fail_once() -> int:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("a fault that nobody thought of")
        return 0

    monkeypatch.setattr(server.live, "_fingerprint", fail_once)
    async with Client(server, mode=era) as client:
        with pytest.raises(MCPError):
            await listen_once(client, era)
        await listen_once(client, era, "catalog://loras.json")
        await client.list_tools()
        listened = looks
        for _ in range(20):
            await client.call_tool("list_catalog", {})

    assert listened >= 2
    assert looks <= listened + 1


async def test_a_stream_is_told_what_it_will_hear_of_and_what_not(settings: Settings) -> None:
    wanted = [MODELS, "civitai://models/1", "catalog://loras.json", MODELS, "x://elsewhere"]
    async with (
        Client(create_server(settings)) as client,
        client.listen(resource_subscriptions=wanted, tools_list_changed=True) as events,
    ):
        assert events.honored.resource_subscriptions == [MODELS, "catalog://loras.json"]
        assert events.honored.tools_list_changed is True
    async with (
        Client(create_server(settings)) as client,
        client.listen(resource_subscriptions=["x://elsewhere"]) as events,
    ):
        assert events.honored.resource_subscriptions is None


async def test_a_stream_that_asks_for_all_it_may_is_served(settings: Settings) -> None:
    uris = [f"catalog://{number}".ljust(live.LONGEST_URI, "x") for number in range(live.MAX_URIS)]
    async with (
        Client(create_server(settings)) as client,
        client.listen(resource_subscriptions=uris) as events,
    ):
        assert events.honored.resource_subscriptions == uris
