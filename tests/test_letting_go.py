"""A client that gives up stops the work that was done for it, and nobody else's."""

from functools import partial

import anyio
import httpx
import pytest

from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, world
from tests.civitai_support import until
from tests.client_kit import WIRES, at_address, over
from tests.http_kit import BEARER, JSON, TOKEN, handshake

IMAGE = {"image_id": world.DEMO_IMAGE}
MODEL = {"model_id": world.DEMO_LORA_MODEL}


def in_flight(sandbox: Sandbox) -> int:
    return sandbox._desk.in_flight


@pytest.mark.parametrize("wire", WIRES)
async def test_giving_up_a_call_ends_its_requests_upstream(
    sandbox: Sandbox, settings: Settings, wire: str, era: str
) -> None:
    with at_address(settings) as base:
        async with over(wire, base, era) as assistant:
            sandbox.use("slow")
            async with anyio.create_task_group() as group:
                group.start_soon(assistant.client.call_tool, "get_generation_data", IMAGE)
                await until(lambda: in_flight(sandbox) == 3)
                group.cancel_scope.cancel()
            await until(lambda: in_flight(sandbox) == 0)

            # the connection is as good as before
            sandbox.use()
            answer = await assistant.ask("get_generation_data", **IMAGE)
            assert answer["image_id"] == world.DEMO_IMAGE


@pytest.mark.parametrize("wire", WIRES)
async def test_a_shared_request_goes_on_until_the_last_client_gives_up(
    sandbox: Sandbox, settings: Settings, wire: str, era: str
) -> None:
    with at_address(settings) as base:
        async with (
            over(wire, base, era) as one,
            over(wire, base, era) as other,
            anyio.create_task_group() as staying,
        ):
            sandbox.use("slow:/models/")
            staying.start_soon(other.client.call_tool, "get_model", MODEL)
            await until(lambda: in_flight(sandbox) == 1)
            async with anyio.create_task_group() as leaving:
                leaving.start_soon(one.client.call_tool, "get_model", MODEL)
                # the server has read the call when it answers one that was sent after it
                await one.ask("list_catalog")
                leaving.cancel_scope.cancel()
            await one.ask("list_catalog")
            assert in_flight(sandbox) == 1
            assert [request.path for request in sandbox.seen] == [
                f"/api/v1/models/{world.DEMO_LORA_MODEL}"
            ]

            staying.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await until(lambda: in_flight(sandbox) == 0)


@pytest.mark.parametrize(("wire", "era"), [("http", "auto"), ("sse", "auto"), ("sse", "legacy")])
async def test_a_client_that_hangs_up_leaves_nothing_running(
    sandbox: Sandbox, settings: Settings, wire: str, era: str
) -> None:
    with at_address(settings) as base:
        sandbox.use("slow")
        async with anyio.create_task_group() as group:

            async def call() -> None:
                async with over(wire, base, era) as assistant:
                    await assistant.client.call_tool("get_generation_data", IMAGE)

            group.start_soon(call)
            await until(lambda: in_flight(sandbox) == 3)
            group.cancel_scope.cancel()
        await until(lambda: in_flight(sandbox) == 0)


async def test_a_session_that_is_ended_leaves_nothing_running(
    sandbox: Sandbox, settings: Settings
) -> None:
    """In the older era a lost connection is no cancellation; the end of the session is."""
    call = {
        "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "get_generation_data", "arguments": IMAGE},
    }  # fmt: skip
    with at_address(settings) as base:
        session = handshake(base, TOKEN).headers["mcp-session-id"]
        headers = JSON | BEARER | {"Mcp-Session-Id": session}
        sandbox.use("slow")
        async with httpx.AsyncClient(base_url=base, headers=headers) as http:
            async with anyio.create_task_group() as group:
                group.start_soon(partial(http.post, "/mcp", json=call))
                await until(lambda: in_flight(sandbox) == 3)
                group.cancel_scope.cancel()
            await http.get("/healthz")
            assert in_flight(sandbox) == 3

            assert (await http.delete("/mcp")).status_code == 200
            await until(lambda: in_flight(sandbox) == 0)


async def test_a_reader_over_rest_who_hangs_up_leaves_nothing_running(
    sandbox: Sandbox, settings: Settings
) -> None:
    with at_address(settings) as base:
        sandbox.use("slow")
        async with httpx.AsyncClient(base_url=base, headers=BEARER) as http:
            async with anyio.create_task_group() as group:
                group.start_soon(http.get, f"/api/admin/civitai/image/{world.DEMO_IMAGE}")
                await until(lambda: in_flight(sandbox) == 3)
                group.cancel_scope.cancel()
            await until(lambda: in_flight(sandbox) == 0)
            # a refusal keeps its form
            sandbox.use()
            missing = await http.get(f"/api/admin/civitai/image/{world.NO_SUCH_IMAGE}")

    assert missing.status_code == 404
    assert missing.json()["code"] == "not_found"
