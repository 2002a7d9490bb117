"""Answers that are held through a question to a person, and no further."""

import asyncio

from pydantic import SecretStr

from civit_mcp.civitai import CivitaiClient, answers_held
from civit_mcp.civitai.held import HOLD
from civit_mcp.config import Settings
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from tests.civitai_support import HandClock

VERSION = world.DEMO_LORA_VERSION


def keyed(settings: Settings) -> Settings:
    """Whoever has a key may keep nothing."""
    return settings.model_copy(update={"civitai_api_key": SecretStr(SANDBOX_KEY)})


async def test_a_held_answer_is_seen_by_its_question_alone(
    sandbox: Sandbox, settings: Settings
) -> None:
    async with CivitaiClient(keyed(settings), clock=HandClock()) as civitai:
        await civitai.version(VERSION)
        with answers_held():
            await civitai.version(VERSION)
            await civitai.version(VERSION)
        with answers_held():
            await civitai.version(VERSION)
        assert len(sandbox.seen) == 2
        await civitai.version(VERSION)
        assert len(sandbox.seen) == 3


async def test_a_held_answer_is_let_go_when_the_person_thinks_for_too_long(
    sandbox: Sandbox, settings: Settings
) -> None:
    clock = HandClock()
    async with CivitaiClient(keyed(settings), clock=clock) as civitai:
        with answers_held():
            await civitai.version(VERSION)
            clock.seconds += HOLD - 1
            await civitai.version(VERSION)
            assert len(sandbox.seen) == 1
            clock.seconds += 2
            await civitai.version(VERSION)
    assert len(sandbox.seen) == 2


async def test_who_holds_and_joins_the_question_of_one_who_does_not_holds_the_answer(
    sandbox: Sandbox, settings: Settings
) -> None:
    async with CivitaiClient(keyed(settings), clock=HandClock()) as civitai:

        async def hold() -> None:
            with answers_held():
                await civitai.version(VERSION)

        await asyncio.gather(civitai.version(VERSION), hold())
        assert len(sandbox.seen) == 1
        await hold()
    assert len(sandbox.seen) == 1
