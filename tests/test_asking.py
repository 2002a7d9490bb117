"""What the person at the client is asked, and what becomes of the answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import ElicitResult
from pydantic import SecretStr

from civit_mcp.config import Settings
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from civit_mcp.server import create_server
from tests.client_kit import WIRES, at_address, over
from tests.conftest import ERAS, Assistant
from tests.traps.kit import OddWorld, file_row

#: pruned fp16 is the main file, full fp32 and pruned fp8 are beside it
SEVERAL = world.SAME_NAME_VERSION
MAIN, FULL, SMALL = "61463", "61464", "61465"
#: what a form holds that was sent without a choice
EMPTY = object()
#: nothing by this creator is rated below R
ABOVE = {"query": "Dramatic Shadow Study"}


class Person:
    """Sits at the client: remembers what was asked, and answers as told."""

    def __init__(self, action: Any, choice: Any = None) -> None:
        self.asked: list[Any] = []
        self._action, self._choice = action, choice

    async def __call__(self, context: Any, params: Any) -> ElicitResult:
        self.asked.append(params)
        content = None if self._choice is None else {"choice": self._choice}
        if self._choice is EMPTY:
            content = {}
        return ElicitResult(action=self._action, content=content)

    @property
    def choices(self) -> dict[str, str]:
        """Value and title of what could be picked in the only question."""
        [params] = self.asked
        shape = params.requested_schema["properties"]["choice"]
        assert shape["default"] == shape["oneOf"][0]["const"]
        return {option["const"]: option["title"] for option in shape["oneOf"]}


@asynccontextmanager
async def at_client(
    settings: Settings, era: str, person: Person | None, **changes: Any
) -> AsyncIterator[Assistant]:
    chosen = settings.model_copy(update={"toolsets": ("all",), **changes})
    async with Client(create_server(chosen), mode=era, elicitation_callback=person) as client:
        yield Assistant(client)


async def catalogued(assistant: Assistant) -> list[str]:
    return [entry["name"] for entry in (await assistant.ask("list_catalog"))["entries"]]


def addresses(sandbox: Sandbox) -> list[str]:
    """What CivitAI was asked, in order."""
    return [f"{request.path} {request.query}" for request in sandbox.seen]


# which file


async def test_the_file_that_the_user_picks_is_added(
    sandbox: Sandbox, settings: Settings, era: str
) -> None:
    person = Person("accept", FULL)
    async with at_client(settings, era, person) as assistant:
        answer = await assistant.ask("add_to_catalog", version_id=SEVERAL)

    assert list(person.choices) == [MAIN, FULL, SMALL]
    assert person.choices[FULL] == "oneNameForAll_v1.safetensors, 6.1 MB, full, fp32, SafeTensor"
    assert "'One Name For All v1' (51403)" in person.asked[0].message
    assert (answer["status"], answer["name"]) == ("added", "One Name For All v1 [SDXL 1.0 FP32]")
    assert [request.path for request in sandbox.seen] == [f"/api/v1/model-versions/{SEVERAL}"]


@pytest.mark.parametrize(("action", "choice"), [("decline", None), ("accept", EMPTY)])
async def test_who_picks_nothing_gets_the_main_file_and_is_told(
    settings: Settings, era: str, action: str, choice: object
) -> None:
    person = Person(action, choice)
    async with at_client(settings, era, person) as assistant:
        answer = await assistant.ask("add_to_catalog", version_id=SEVERAL)

    assert len(person.asked) == 1
    assert answer["name"] == "One Name For All v1 [SDXL 1.0 FP16]"
    assert "The user chose no file" in answer["notes"][-1]


async def test_a_question_that_is_closed_adds_nothing(settings: Settings, era: str) -> None:
    async with at_client(settings, era, Person("cancel")) as assistant:
        sentence = await assistant.refused("add_to_catalog", version_id=SEVERAL)
        assert await catalogued(assistant) == []

    assert sentence.startswith("[bad_reference] the version has several files")
    assert "pass its file_id" in sentence


@pytest.mark.parametrize("content", ["99999", 7, None, ""])
async def test_an_answer_that_is_none_of_the_choices_adds_nothing(
    settings: Settings, era: str, content: Any
) -> None:
    async with at_client(settings, era, Person("accept", content)) as assistant:
        sentence = await assistant.refused("add_to_catalog", version_id=SEVERAL)
        assert await catalogued(assistant) == []

    assert sentence.startswith("[bad_reference] the answer to the question is none of its choices")


async def test_a_client_that_cannot_ask_gets_the_main_file_without_a_word(
    settings: Settings, era: str
) -> None:
    async with at_client(settings, era, None) as assistant:
        answer = await assistant.ask("add_to_catalog", version_id=SEVERAL)

    assert answer["name"] == "One Name For All v1 [SDXL 1.0 FP16]"
    assert "notes" not in answer


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({"version_id": SEVERAL, "dry_run": True}, "added"),
        ({"version_id": SEVERAL, "file_id": int(SMALL)}, "added"),
        ({"version_ids": [SEVERAL]}, "done"),
        ({"version_id": SEVERAL, "version_ids": [world.DEMO_LORA_VERSION]}, "done"),
        ({"version_id": world.DEMO_LORA_VERSION}, "added"),
        ({"version_id": world.TWO_PRIMARIES_VERSION}, "added"),
        ({"version_id": world.TRAINING_FIRST_VERSION}, "added"),
        ({"version_id": world.VAE_FIRST_VERSION}, "added"),
        ({"version_id": world.EARLY_ACCESS_VERSION}, "restricted"),
        ({"version_id": world.GENERATION_ONLY_VERSION}, "restricted"),
    ],
)
async def test_nobody_is_asked_where_there_is_nothing_to_choose(
    settings: Settings, arguments: dict[str, Any], status: str
) -> None:
    person = Person("cancel")
    async with at_client(settings, "auto", person) as assistant:
        answer = await assistant.ask("add_to_catalog", **arguments)

    assert answer["status"] == status
    assert person.asked == []


@pytest.mark.parametrize(
    ("gate", "second", "status", "questions"),
    [
        ({}, {}, "added", 1),
        ({"usageControl": "Generation"}, {}, "restricted", 0),
        ({}, {"pickleScanResult": "Danger"}, "added", 0),
        ({}, {"virusScanResult": "Danger"}, "added", 0),
        ({}, {"type": "Pruned Model"}, "added", 1),
        ({}, {"type": "Training Data"}, "added", 0),
    ],
)
async def test_only_files_that_may_be_had_and_trusted_are_a_choice(
    settings: Settings,
    tmp_path: Path,
    gate: dict[str, Any],
    second: dict[str, Any],
    status: str,
    questions: int,
) -> None:
    odd = OddWorld(tmp_path / "odd")
    full = {"format": "SafeTensor", "size": "full", "fp": "fp32"}
    other = file_row(id=90002, primary=False, metadata=full, **second)
    odd.version(files=[file_row(), other], **gate)
    person = Person("decline")
    with odd.running() as world_of_odds:
        async with at_client(
            settings, "auto", person, civitai_url=world_of_odds.base_url
        ) as assistant:
            answer = await assistant.ask("add_to_catalog", version_id=8001)

    assert (answer["status"], len(person.asked)) == (status, questions)


async def test_nobody_is_asked_about_what_is_in_the_catalog(
    sandbox: Sandbox, settings: Settings, era: str
) -> None:
    person = Person("cancel")
    keyed = {"civitai_api_key": SecretStr(SANDBOX_KEY)}
    async with at_client(settings, era, None) as assistant:
        await assistant.ask("add_to_catalog", version_id=SEVERAL, file_id=int(FULL))
    sandbox.clear()
    async with at_client(settings, era, person, **keyed) as assistant:
        answer = await assistant.ask("add_to_catalog", version_id=SEVERAL)

    assert answer["status"] == "already_exists"
    assert person.asked == []
    assert sandbox.seen == []


async def test_looking_for_a_question_fails_as_the_add_itself(settings: Settings, era: str) -> None:
    refusals = []
    for person in (Person("accept", MAIN), None):
        async with at_client(settings, era, person, max_level="pg") as assistant:
            refusals.append(
                [
                    await assistant.refused("add_to_catalog", version_id=reference)
                    for reference in (world.DELETED_VERSION, 999_999_999, "no such thing", "")
                ]
            )

    assert refusals[0] == refusals[1]
    assert [text.split("]")[0] for text in refusals[0]] == [
        "[gone", "[not_found", "[bad_reference", "[bad_reference"
    ]  # fmt: skip


async def test_the_answer_to_a_question_is_no_argument(settings: Settings, era: str) -> None:
    async with at_client(settings, era, Person("decline")) as assistant:
        tools = {tool.name: tool for tool in (await assistant.client.list_tools()).tools}
        sentence = await assistant.refused("add_to_catalog", version_id=SEVERAL, chosen=FULL)

    assert "takes no argument 'chosen'" in sentence
    assert "chosen" not in tools["add_to_catalog"].input_schema["properties"]
    for name in ("search_models", "search_images"):
        properties = tools[name].input_schema["properties"]
        assert not {"asked", "level"} & set(properties)
        assert properties["max_level"]["default"] == "pg13"


async def test_a_client_of_an_older_revision_gets_titles_in_its_own_form(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp.client.session.LATEST_HANDSHAKE_VERSION", "2025-06-18")
    person = Person("accept", SMALL)
    async with at_client(settings, "legacy", person) as assistant:
        assert assistant.client.protocol_version == "2025-06-18"
        answer = await assistant.ask("add_to_catalog", version_id=SEVERAL)

    shape = person.asked[0].requested_schema["properties"]["choice"]
    assert shape["enum"] == [MAIN, FULL, SMALL]
    assert shape["enumNames"][0].endswith("3.1 MB, pruned, fp16, SafeTensor")
    assert answer["name"] == "One Name For All v1 [SDXL 1.0 FP8]"


# how high


async def test_a_search_that_only_the_level_empties_is_shown_as_high_as_the_user_picks(
    sandbox: Sandbox, settings: Settings, era: str
) -> None:
    person = Person("accept", "r")
    async with at_client(settings, era, person) as assistant:
        answer = await assistant.ask("search_models", **ABOVE)
        asked_for = addresses(sandbox)
        said = await assistant.ask("search_models", **ABOVE, max_level="r")

    assert person.choices == {"r": "up to R", "x": "up to X", "xxx": "up to XXX"}
    assert [row["id"] for row in answer["items"]] == [world.R_MODEL]
    assert answer["filters_applied"]["max_level"] == "r"
    assert "max_level 'r'" in answer["notes"][-1]
    assert {**answer, "notes": answer["notes"][:-1]} == said
    assert len(asked_for) == len(set(asked_for))


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_who_wants_nothing_higher_gets_the_empty_answer_with_its_reason(
    sandbox: Sandbox, settings: Settings, era: str, action: str
) -> None:
    person = Person(action)
    async with at_client(settings, era, person) as assistant:
        answer = await assistant.ask("search_models", **ABOVE)
    async with at_client(settings, era, None) as assistant:
        unasked = await assistant.ask("search_models", **ABOVE)

    assert len(person.asked) == 1
    assert answer == unasked
    assert answer["items"] == []
    assert "hidden by level 'pg13'" in answer["why_empty"]
    assert sum(request.path == "/api/v1/models" for request in sandbox.seen) <= 2


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        ({**ABOVE, "max_level": "pg13"}, {}),
        (ABOVE, {"max_level": "pg13"}),
        (ABOVE, {"max_level": "pg"}),
        ({"query": world.DEMO_QUERY}, {}),
        ({"types": ["LORA"], "limit": 100}, {}),
        ({"query": "nothing is called like this"}, {}),
    ],
)
async def test_nobody_is_asked_for_a_level_that_was_said_or_would_not_help(
    settings: Settings, arguments: dict[str, Any], changes: dict[str, Any]
) -> None:
    person = Person("accept", "xxx")
    async with at_client(settings, "auto", person, **changes) as assistant:
        answer = await assistant.ask("search_models", **arguments)
    async with at_client(settings, "auto", None, **changes) as assistant:
        assert await assistant.ask("search_models", **arguments) == answer

    assert person.asked == []


async def test_no_choice_goes_beyond_the_operators_cap(settings: Settings, era: str) -> None:
    person = Person("accept", "xxx")
    async with at_client(settings, era, person, max_level="x") as assistant:
        sentence = await assistant.refused("search_models", **ABOVE)

    assert list(person.choices) == ["r", "x"]
    assert sentence.startswith("[bad_reference]")


async def test_images_are_asked_about_in_the_same_way(
    sandbox: Sandbox, settings: Settings, era: str
) -> None:
    picture = {"post_id": world.R_IMAGE + 1_000_000}
    person = Person("accept", "x")
    async with at_client(settings, era, person) as assistant:
        answer = await assistant.ask("search_images", **picture)
        asked_for = addresses(sandbox)
    async with at_client(settings, era, Person("decline")) as assistant:
        declined = await assistant.ask("search_images", **picture)
    async with at_client(settings, era, Person("accept", EMPTY)) as assistant:
        assert await assistant.ask("search_images", **picture) == declined

    assert list(person.choices) == ["r", "x", "xxx"]
    assert [row["id"] for row in answer["items"]] == [world.R_IMAGE]
    assert "max_level 'x'" in answer["notes"][-1]
    assert len(asked_for) == len(set(asked_for))
    assert declined["items"] == []
    assert "hidden by level 'pg13'" in declined["why_empty"]


async def test_an_answer_from_the_cache_says_so_to_who_can_be_asked_too(
    sandbox: Sandbox, settings: Settings
) -> None:
    person = Person("cancel")
    async with at_client(settings, "auto", person) as assistant:
        await assistant.ask("search_models", query=world.DEMO_QUERY)
    async with at_client(settings, "auto", person, offline=True) as assistant:
        answer = await assistant.ask("search_models", query=world.DEMO_QUERY)

    assert sum(note.startswith("Answered from the cache") for note in answer["notes"]) == 1


@pytest.mark.parametrize("action", ["accept", "decline"])
async def test_nothing_is_asked_of_civitai_twice_although_a_key_forbids_caching(
    sandbox: Sandbox, settings: Settings, era: str, action: str
) -> None:
    keyed = {"civitai_api_key": SecretStr(SANDBOX_KEY)}
    async with at_client(settings, era, Person(action, FULL), **keyed) as assistant:
        await assistant.ask("add_to_catalog", version_id=SEVERAL)
    assert addresses(sandbox) == [f"/api/v1/model-versions/{SEVERAL} {{}}"]

    sandbox.clear()
    async with at_client(settings, era, Person(action, "r"), **keyed) as assistant:
        await assistant.ask("search_models", **ABOVE)
        asked_for = addresses(sandbox)
        assert asked_for
        assert len(asked_for) == len(set(asked_for))
        # what is no part of a question is asked anew, as CivitAI wants it
        await assistant.ask("search_models", **ABOVE, max_level="r")
        assert addresses(sandbox) == asked_for * 2


# over the network


@pytest.mark.parametrize("wire", WIRES)
async def test_the_question_comes_over_the_network_and_under_the_callers_own_key(
    sandbox: Sandbox, settings: Settings, wire: str
) -> None:
    key = {"X-Civitai-Api-Key": SANDBOX_KEY}
    with at_address(settings) as base:
        for era in ERAS:
            person = Person("accept", FULL)
            async with over(wire, base, era, headers=key, elicitation_callback=person) as assistant:
                answer = await assistant.ask("add_to_catalog", version_id=SEVERAL)
                assert answer["name"] == "One Name For All v1 [SDXL 1.0 FP32]"
                assert len(person.asked) == 1
                await assistant.ask("undo_catalog_change")
            async with over(wire, base, era, elicitation_callback=Person("cancel")) as assistant:
                assert "was closed" in await assistant.refused("add_to_catalog", version_id=SEVERAL)

    keys = [request.headers.get("authorization") for request in sandbox.seen]
    assert keys == [f"Bearer {SANDBOX_KEY}", None]
