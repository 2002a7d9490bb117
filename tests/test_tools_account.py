"""The key's owner and the vault, as a client sees them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from mcp import Client
from pydantic import SecretStr

from civit_mcp.catalog import Catalog
from civit_mcp.civitai import ModelQuery, RetryPolicy
from civit_mcp.config import Settings
from civit_mcp.errors import CivitError, Conflict, UpstreamUnavailable
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from civit_mcp.server import create_server
from civit_mcp.usecases.account import Place, toggle_vault
from civit_mcp.usecases.desk import Desk
from tests import civitai_support
from tests.civitai_support import BASE, TurnedClock, settle, until
from tests.conftest import Assistant

TOOLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("whoami", {}),
    ("check_permissions", {"version_ids": [world.DEMO_LORA_VERSION]}),
    ("list_vault", {}),
    ("toggle_vault", {"version_id": world.DEMO_LORA_VERSION}),
)


@asynccontextmanager
async def served(settings: Settings, key: str | None, **more: Any) -> AsyncIterator[Assistant]:
    secret = SecretStr(key) if key else None
    on = settings.model_copy(
        update={"toolsets": ("default", "account"), "civitai_api_key": secret, **more}
    )
    async with Client(create_server(on)) as client:
        yield Assistant(client)


@pytest.fixture
async def owner(settings: Settings) -> AsyncIterator[Assistant]:
    """A client of a server with a member's key; the vault is empty again afterwards."""
    async with served(settings, SANDBOX_KEY) as who:
        yield who
        for row in (await who.ask("list_vault", limit=100))["items"]:
            await who.ask("toggle_vault", version_id=row["version_id"], want="out")


def toggles(sandbox: Sandbox) -> int:
    return len([seen for seen in sandbox.seen if seen.path.endswith("/toggle-version")])


async def test_the_key_tells_its_owner_and_never_an_email(owner: Assistant) -> None:
    answer = await owner.ask("whoami")

    assert answer["username"] == "sandbox_user"
    assert answer["status"] == "active"
    assert "read models" in answer["may"]
    assert "email" not in json.dumps(answer).casefold()
    assert "@" not in json.dumps(answer)


@pytest.mark.parametrize(("tool", "arguments"), TOOLS)
async def test_without_a_key_the_setting_is_named(
    settings: Settings, sandbox: Sandbox, tool: str, arguments: dict[str, Any]
) -> None:
    # the token that opens this server is no key of CivitAI's
    async with served(settings, None, token=SecretStr("opens-this-server-only")) as who:
        sentence = await who.refused(tool, **arguments)

    assert sentence.startswith("[not_configured] ")
    assert "CIVITAI_API_KEY" in sentence
    assert not sandbox.seen


@pytest.mark.parametrize(("tool", "arguments"), TOOLS)
async def test_a_key_that_civitai_does_not_accept_is_unauthorized(
    settings: Settings, tool: str, arguments: dict[str, Any]
) -> None:
    async with served(settings, "wrong-key-5511") as who:
        sentence = await who.refused(tool, **arguments)

    assert sentence.startswith("[unauthorized] ")
    assert "CIVITAI_API_KEY" in sentence
    assert "wrong-key-5511" not in sentence


async def test_permissions_are_the_owners_and_say_what_they_are_about(
    owner: Assistant, sandbox: Sandbox
) -> None:
    answer = await owner.ask(
        "check_permissions",
        version_ids=[world.DEMO_LORA_VERSION, str(world.DEMO_CHECKPOINT_VERSION), "two words"],
    )

    assert [row["version_id"] for row in answer["items"]] == [
        world.DEMO_LORA_VERSION,
        world.DEMO_CHECKPOINT_VERSION,
    ]
    assert all(isinstance(row["may_generate"], bool) for row in answer["items"])
    assert answer["failed"][0]["reference"] == "two words"
    asked = next(seen for seen in sandbox.seen if "permissions" in seen.path)
    me = await owner.ask("whoami")
    assert f"{me['id']}" in str(asked.query)


async def test_a_version_goes_into_the_vault_and_out_again(owner: Assistant) -> None:
    before = await owner.ask("list_vault")
    put = await owner.ask("toggle_vault", version_id=world.DEMO_LORA_VERSION, want="in")
    held = await owner.ask("list_vault")
    taken = await owner.ask("toggle_vault", version_id=world.DEMO_LORA_VERSION, want="out")
    after = await owner.ask("list_vault")

    assert before["items"] == []
    assert before["why_empty"]
    assert (put["vault"], put["changed"]) == ("in", True)
    (row,) = held["items"]
    assert row["version_id"] == world.DEMO_LORA_VERSION
    assert row["model_name"]
    assert held["total"] == 1
    assert held["used_gb"] > 0
    assert (taken["vault"], taken["changed"]) == ("out", True)
    assert after["items"] == []


async def test_a_repeated_wish_does_not_flip_back(owner: Assistant, sandbox: Sandbox) -> None:
    for _ in range(3):
        answer = await owner.ask("toggle_vault", version_id=world.DEMO_LORA_VERSION, want="in")
        assert answer["vault"] == "in"

    assert toggles(sandbox) == 1
    flipped = await owner.ask("toggle_vault", version_id=world.DEMO_LORA_VERSION)
    assert (flipped["vault"], flipped["changed"]) == ("out", True)


async def test_the_same_wish_twice_at_once_toggles_once(owner: Assistant, sandbox: Sandbox) -> None:
    answers = await asyncio.gather(
        *(
            owner.ask("toggle_vault", version_id=world.DEMO_LORA_VERSION, want="in")
            for _ in range(4)
        )
    )

    assert [answer["vault"] for answer in answers] == ["in"] * 4
    assert [answer["changed"] for answer in answers].count(True) == 1
    assert toggles(sandbox) == 1
    assert len((await owner.ask("list_vault"))["items"]) == 1


@pytest.mark.parametrize("scenario", ["error-500", "busy", "drop", "drop-mid-body", "not-json"])
async def test_a_toggle_is_sent_once_whatever_goes_wrong(
    owner: Assistant, sandbox: Sandbox, scenario: str
) -> None:
    sandbox.use(f"{scenario}:/toggle-version")

    sentence = await owner.refused("toggle_vault", version_id=world.DEMO_LORA_VERSION, want="in")
    sandbox.use()

    assert toggles(sandbox) == 1
    assert sentence.startswith(("[upstream_unavailable] ", "[upstream_changed] "))
    assert "list_vault" in sentence


async def test_the_vault_is_listed_page_by_page_and_searched(owner: Assistant) -> None:
    versions = [world.DEMO_LORA_VERSION, world.DEMO_TAG_LORA_VERSION, *world.TEN_LORAS_VERSIONS[:3]]
    for version in versions:
        await owner.ask("toggle_vault", version_id=version, want="in")
    found: list[int] = []
    cursor = None
    while True:
        page = await owner.ask("list_vault", sort="Model Name", limit=2, cursor=cursor)
        found += [row["version_id"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    searched = await owner.ask("list_vault", query="pastel mist")
    nothing = await owner.ask("list_vault", query="zzqx")

    assert sorted(found) == sorted(versions)
    assert [row["version_id"] for row in searched["items"]] == [world.DEMO_TAG_LORA_VERSION]
    assert nothing["items"] == []
    assert "zzqx" in nothing["why_empty"]


async def test_what_may_be_a_key_is_not_sent_as_a_query(owner: Assistant, sandbox: Sandbox) -> None:
    sentence = await owner.refused("list_vault", query="0123456789abcdef0123456789ABCDEF")

    assert sentence.startswith("[bad_reference] ")
    assert "CIVITAI_API_KEY" in sentence
    assert not any("0123456789" in str(seen.query) for seen in sandbox.seen)


async def test_who_is_no_member_has_no_vault(settings: Settings, sandbox: Sandbox) -> None:
    sandbox.use("no-membership")

    async with served(settings, SANDBOX_KEY) as who:
        listed = await who.ask("list_vault")
        sentence = await who.refused("toggle_vault", version_id=world.DEMO_LORA_VERSION)

    assert "membership" in listed["why_empty"]
    assert sentence.startswith("[restricted] ")
    assert toggles(sandbox) == 0


async def test_a_read_only_server_toggles_nothing(settings: Settings, sandbox: Sandbox) -> None:
    async with served(settings, SANDBOX_KEY, read_only=True) as who:
        names = [tool.name for tool in (await who.client.list_tools()).tools]
        sentence = await who.refused("toggle_vault", version_id=world.DEMO_LORA_VERSION)

    assert "toggle_vault" not in names
    assert "list_vault" in names
    assert sentence.startswith("[read_only] ")
    assert toggles(sandbox) == 0


@pytest.mark.parametrize(
    ("tool", "arguments", "hint"),
    [
        ("list_vault", {"sort": "Newest"}, "sort"),
        ("list_vault", {"cursor": "p2"}, "cursor"),
        ("toggle_vault", {"version_id": world.DEMO_LORA_VERSION, "want": "maybe"}, "want"),
        ("toggle_vault", {"version_id": "-1"}, "-1"),
        ("check_permissions", {"version_ids": []}, "version_ids"),
    ],
)
async def test_bad_arguments_are_named(
    owner: Assistant, tool: str, arguments: dict[str, Any], hint: str
) -> None:
    sentence = await owner.refused(tool, **arguments)

    assert sentence.startswith("[bad_reference] ")
    assert hint in sentence


# what happens between the look and the request


VAULT = f"{BASE}/api/v1/vault"


def looked_at(router: respx.MockRouter, *, held: bool = False) -> respx.Route:
    router.get(f"{VAULT}/get").mock(
        return_value=httpx.Response(200, json={"vault": {"userId": 1, "storageKb": 9}})
    )
    item = {"id": 1, "modelVersionId": 5} if held else None
    return router.get(f"{VAULT}/check-vault").mock(
        return_value=httpx.Response(200, json=[{"modelVersionId": 5, "vaultItem": item}])
    )


def desk(folder: Path, clock: TurnedClock, retry: RetryPolicy) -> Desk:
    client = civitai_support.client(clock, retry=retry, civitai_api_key=civitai_support.KEY)
    return Desk(civitai_support.settings(), client, Catalog(folder, None))


@pytest.mark.parametrize("want", ["in", None])
async def test_a_toggle_that_another_program_undid_is_a_conflict(
    respx_mock: respx.MockRouter, tmp_path: Path, want: Place | None
) -> None:
    looked_at(respx_mock)
    # success without the id of a new item: the version was taken out
    respx_mock.post(f"{VAULT}/toggle-version").mock(
        return_value=httpx.Response(200, json={"success": True})
    )
    here = desk(tmp_path, TurnedClock(), RetryPolicy())
    async with here.client:
        with pytest.raises(Conflict, match=r"version '5'.* now 'out', not 'in'") as caught:
            await toggle_vault(here, 5, want)

    assert "want='in'" in caught.value.next_step


async def test_a_toggle_that_the_breaker_held_back_is_not_open(
    respx_mock: respx.MockRouter, tmp_path: Path
) -> None:
    clock = TurnedClock()
    here = desk(tmp_path, clock, RetryPolicy(busy_retries=0, limited_retries=0))
    looked = looked_at(respx_mock)
    respx_mock.get(f"{BASE}/api/v1/models/8").mock(
        return_value=httpx.Response(429, headers={"Retry-After": "10"})
    )
    respx_mock.get(f"{BASE}/api/v1/models").mock(side_effect=httpx.ConnectError)
    answer = looked.return_value

    async def close_the_lane(_: httpx.Request) -> httpx.Response | None:
        with pytest.raises(CivitError):
            await here.client.model(8)
        return answer

    looked.mock(side_effect=close_the_lane)
    async with here.client:
        toggling = asyncio.create_task(toggle_vault(here, 5, "in"))
        await until(lambda: bool(clock.sleepers))
        for _ in range(5):
            with pytest.raises(UpstreamUnavailable):
                await here.client.search_models(ModelQuery(query="x"))
        await settle()
        await clock.turn(11)
        with pytest.raises(UpstreamUnavailable, match="was not asked") as caught:
            await toggling

    assert not caught.value.sent
    assert "open" not in str(caught.value)
    assert "try again in" in caught.value.next_step
