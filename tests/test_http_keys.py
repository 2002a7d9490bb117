"""Callers over HTTP who bring a CivitAI key of their own: apart from each other, within bounds."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from pydantic import SecretStr

from civit_mcp.app import App, state
from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, running_sandbox, world
from civit_mcp.server import create_server
from tests.civitai_support import until
from tests.http_kit import BEARER, OTHER, TOKEN, bearer, call_over, served


def key_of_caller(number: int) -> dict[str, str]:
    return {"X-Civitai-Api-Key": f"the-key-of-caller-{number}"}


async def models_of(base: str, callers: range, token: str = TOKEN) -> list[httpx.Response]:
    """Each caller asks, with a key of their own, for a model of their own; all at once."""
    async with httpx.AsyncClient(base_url=base, headers=bearer(token), timeout=30) as http:
        path = "/api/admin/civitai/image/{}"
        return await asyncio.gather(
            *(http.get(path.format(n + 1), headers=key_of_caller(n)) for n in callers)
        )


async def test_many_keys_do_not_make_more_requests_at_once_than_one(guarded: Settings) -> None:
    with running_sandbox(latency=0.02, api_key=None) as sandbox:
        settings = guarded.model_copy(update={"civitai_url": sandbox.base_url})
        with served(settings) as base:
            await models_of(base, range(state.MOST_KEYS_OF_ONE))

        assert len({seen.headers["authorization"] for seen in sandbox.seen}) == 32
        assert 2 <= sandbox.max_in_flight <= 16


async def test_the_key_that_was_idle_for_longest_makes_room(
    guarded: Settings, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MOST_KEYS", 2)
    app = App(guarded)
    with served(guarded, server=create_server(guarded, app=app)) as base:
        for callers in (range(1), range(1, 2), range(1), range(2, 3)):
            await models_of(base, callers)
        kept = [key.rpartition("-")[2] for _, key in app._keyed]

    assert kept == ["0", "2"]


@pytest.fixture
def two(guarded: Settings, tmp_path: Path) -> Iterator[tuple[str, App]]:
    """A server that two tokens share, and what it holds."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n{OTHER}\n", "utf-8")
    shared = guarded.model_copy(update={"token": None, "token_file": tokens})
    app = App(shared)
    with served(shared, server=create_server(shared, app=app)) as base:
        yield base, app


async def test_a_token_that_brings_too_many_keys_is_told_so_and_others_bring_theirs(
    two: tuple[str, App], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MOST_KEYS", 4)
    monkeypatch.setattr(state, "MOST_KEYS_OF_ONE", 2)
    sandbox.use("slow")
    base, app = two
    async with anyio.create_task_group() as group:
        group.start_soon(models_of, base, range(2), OTHER)
        await until(lambda: len(app._keyed) == 2)
        (greedy,) = await models_of(base, range(2, 3), OTHER)
        async with httpx.AsyncClient(headers={**BEARER, **key_of_caller(4)}) as http:
            honest = await http.get(f"{base}/api/admin/models/civitai-map")
        group.cancel_scope.cancel()

    assert greedy.status_code == 429
    assert "this token has 2 CivitAI keys in use" in greedy.json()["detail"]
    assert honest.status_code == 200


@pytest.mark.parametrize(("most", "kept"), [(9, ["0", "2", "3"]), (2, ["0", "3"])])
async def test_keys_that_somebody_makes_up_take_the_places_of_their_own(
    two: tuple[str, App],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    kept: list[str],
) -> None:
    monkeypatch.setattr(state, "MOST_KEYS", most)
    monkeypatch.setattr(state, "MOST_KEYS_OF_ONE", 2)
    base, app = two
    await models_of(base, range(1))
    for number in (1, 2, 3):
        await models_of(base, range(number, number + 1), OTHER)

    assert [key.rpartition("-")[2] for _, key in app._keyed] == kept


async def test_what_all_keys_keep_in_memory_is_a_fraction_of_what_the_container_has(
    two: tuple[str, App], sandbox: Sandbox
) -> None:
    base, app = two
    await models_of(base, range(1))
    (held,) = app._keyed.values()
    transport = held.desk.client._transport
    kept = (transport._cache, transport._held, held.desk.answered)
    bytes_of_one = sum(int(cache._kept.maxsize) for cache in kept)
    own = app.desk.client._transport
    bytes_of_the_first = sum(
        int(cache._kept.maxsize) for cache in (own._cache, own._held, app.desk.answered)
    )

    # the container has 512, of which an idle server takes 80
    assert state.MOST_KEYS * bytes_of_one + bytes_of_the_first <= 280 * 1024 * 1024


async def test_who_comes_when_every_place_for_a_key_is_taken_is_told_to_wait(
    guarded: Settings, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MOST_KEYS", 1)
    sandbox.use("slow")
    app = App(guarded)
    with served(guarded, server=create_server(guarded, app=app)) as base:
        async with anyio.create_task_group() as group:
            group.start_soon(models_of, base, range(1))
            await until(lambda: bool(sandbox.seen))
            (refused,) = await models_of(base, range(1, 2))
            # one who brings no key has a place that nobody can take
            async with httpx.AsyncClient(headers=BEARER) as http:
                keyless = await http.get(f"{base}/api/admin/models/civitai-map")
            group.cancel_scope.cancel()

    assert refused.status_code == 429
    assert refused.json()["code"] == "rate_limited"
    assert keyless.status_code == 200


async def test_a_caller_with_a_key_is_nobody_else_to_civitai_whatever_the_operator_has_set(
    guarded: Settings, sandbox: Sandbox
) -> None:
    operators = {"civitai_session_token": SecretStr("the-session-of-the-operator")}
    image = f"/api/admin/civitai/image/{world.DEMO_IMAGE}"
    with served(guarded.model_copy(update=operators)) as base:
        async with httpx.AsyncClient(base_url=base, headers=BEARER) as http:
            await http.get(image)
            of_the_operator = list(sandbox.seen)
            sandbox.clear()
            await http.get(image, headers=key_of_caller(1))
        result = await call_over(
            base, "http", "auto", "get_model", {"model_id": world.DEMO_LORA_MODEL},
            **key_of_caller(1),
        )  # fmt: skip
    of_the_caller = sandbox.seen

    assert not result.is_error
    assert of_the_operator
    assert all("the-session-of" in seen.headers["cookie"] for seen in of_the_operator)
    assert len(of_the_caller) > 1
    assert not [seen for seen in of_the_caller if "cookie" in seen.headers]
    assert {seen.headers["authorization"] for seen in of_the_caller} == {
        "Bearer the-key-of-caller-1"
    }


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_refused_key_of_a_caller_is_named_by_its_header(
    base: str, sandbox: Sandbox, transport: str
) -> None:
    sandbox.use("unauthorized")
    result = await call_over(
        base, transport, "auto", "get_model", {"model_id": world.DEMO_LORA_MODEL},
        **key_of_caller(1),
    )  # fmt: skip

    assert result.content[0].text.startswith("[unauthorized] ")
    assert "X-Civitai-Api-Key" in result.content[0].text
    assert "CIVITAI_API_KEY" not in result.content[0].text


async def test_a_refused_key_is_named_by_its_header_when_its_owner_is_asked_for(
    guarded: Settings, sandbox: Sandbox
) -> None:
    with served(guarded.model_copy(update={"toolsets": ("account",)})) as base:
        result = await call_over(base, "http", "auto", "whoami", {}, **key_of_caller(1))

    assert result.content[0].text.startswith("[unauthorized] ")
    assert "X-Civitai-Api-Key" in result.content[0].text


@pytest.mark.parametrize("key", ["short", "two words of it", "k\xe9y-with-an-accent", "x" * 600])
async def test_what_cannot_be_a_key_is_refused_without_being_repeated(
    base: str, sandbox: Sandbox, key: str
) -> None:
    async with httpx.AsyncClient(headers=BEARER) as http:
        answer = await http.get(
            f"{base}/api/admin/models/civitai-map",
            headers=[(b"X-Civitai-Api-Key", key.encode("latin-1"))],
        )

    assert answer.status_code == 422
    assert "X-Civitai-Api-Key" in answer.json()["detail"]
    assert key not in answer.text
    assert not sandbox.seen
