"""Who asks what was answered before gets what they would have got, whoever asked first."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client

from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.server import create_server
from tests.client_kit import at_address, over
from tests.conftest import Assistant
from tests.http_kit import (
    BEARER,
    OTHER,
    TOKEN,
    bearer,
    call_over,
    connected,
    handshake,
    head,
    initialize,
    modern,
    served,
    sse_place,
)
from tests.test_asking import ABOVE, Person

CATALOG: dict[str, Any] = {"name": "list_catalog", "arguments": {}}


@pytest.fixture
def base(settings: Settings) -> Iterator[str]:
    with at_address(settings) as address:
        yield address


async def warm(base: str, era: str) -> None:
    """Have the catalog listed, so that it is answered again from here on."""
    async with over("http", base, era) as assistant:
        for _ in range(2):
            await assistant.ask("list_catalog")


async def test_who_can_be_asked_is_asked_although_others_had_an_answer(base: str, era: str) -> None:
    person = Person("accept", "r")

    async def search(somebody: Person | None) -> Any:
        async with over("http", base, era, elicitation_callback=somebody) as assistant:
            return await assistant.ask("search_models", **ABOVE)

    empty = [await search(None), await search(None)]
    shown = [await search(person), await search(person)]
    empty.append(await search(None))

    assert len(person.asked) == 2
    assert [[row["id"] for row in answer["items"]] for answer in shown] == [[world.R_MODEL]] * 2
    assert [answer["items"] for answer in empty] == [[], [], []]


async def test_what_is_kept_for_one_token_is_no_news_to_a_token_that_may_not_ask(
    settings: Settings, tmp_path: Path, era: str
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n{OTHER} toolsets=browse\n", "utf-8")
    update = {"token_file": tokens, "toolsets": ("all",)}
    with served(settings.model_copy(update=update)) as base:
        await warm(base, era)
        refused = await call_over(base, "http", era, "list_catalog", {}, **bearer(OTHER))

    assert refused.content[0].text.startswith("[forbidden] ")


def test_each_era_gets_an_answer_in_its_own_form(base: str) -> None:
    headers, body = modern("tools/call", **CATALOG)
    session = {"Mcp-Session-Id": handshake(base, TOKEN).headers["mcp-session-id"]}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    older = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": CATALOG}
    sent = {"Accept": headers["Accept"], **BEARER}
    new, old = [], []
    with httpx.Client(base_url=base, headers=sent) as http:
        http.post("/mcp", headers=session, json=ready)
        for _ in range(2):
            new.append(http.post("/mcp", headers=headers, json=body).json()["result"])
            events = http.post("/mcp", headers=session, json=older).text
            old.append(json.loads(events.split("data: ")[-1])["result"])

    assert new[0] == new[1]
    assert old[0] == old[1]
    assert new[0].items() >= old[0].items()
    assert new[0].keys() - old[0].keys() == {"resultType", "_meta"}


async def test_nothing_is_answered_again_to_who_was_not_greeted_or_asks_in_a_wrong_form(
    base: str,
) -> None:
    await warm(base, "legacy")
    with connected(base) as stream, httpx.Client(base_url=base, headers=BEARER) as http:
        stream.sendall(head("GET", "/sse"))
        place = sse_place(stream)
        events = stream.makefile("rb")

        def say(method: str, number: int | None = None, **params: Any) -> dict[str, Any]:
            message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
            if number is not None:
                message["id"] = number
            assert http.post(place, json=message).status_code == 202
            while number is not None:
                line = events.readline()
                if line.startswith(b"data: {"):
                    heard: dict[str, Any] = json.loads(line[6:])
                    return heard
            return {}

        # the protocol of this stream is settled by its first message
        too_early = say("tools/call", 1, **CATALOG)
        say("initialize", 2, **initialize()["params"])
        say("notifications/initialized")
        malformed = say("tools/call", 3, **CATALOG, _meta=5)
        well_formed = say("tools/call", 4, **CATALOG)

    assert "error" in too_early
    assert malformed["error"]["code"] == -32602
    assert not well_formed["result"]["isError"]


async def test_a_refusal_is_not_kept(settings: Settings) -> None:
    server = create_server(settings)
    async with Client(server) as client:
        for _ in range(2):
            await client.call_tool("get_model", {"model_id": "no reference"})
        refused = len(server.app.desk.answered)
        await Assistant(client).ask("list_catalog")

        assert (refused, len(server.app.desk.answered)) == (0, 1)


async def test_arguments_that_never_end_are_refused_and_not_remembered(settings: Settings) -> None:
    deep: Any = []
    for _ in range(150):
        deep = [deep]
    server = create_server(settings)
    async with Client(server) as client:
        nested = await client.call_tool("search_models", {"query": deep})
        long = await client.call_tool("search_models", {"query": "x" * 5000})

        assert nested.is_error
        assert not [r for r in (nested, long) if r.content[0].text.startswith("Error")]  # type: ignore[union-attr]
        assert len(server.app.desk.answered) == 0
