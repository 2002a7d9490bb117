"""Listeners hear of every change of the catalog, whoever made it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import ResourceUpdatedNotification

from civit_mcp import live
from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.server import create_server

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
