"""The key's owner and the vault, as a client sees them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from pydantic import SecretStr

from civit_mcp.config import Settings
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from civit_mcp.server import create_server
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
    async with served(settings, None) as who:
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
