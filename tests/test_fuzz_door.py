"""Whatever CivitAI answers and whatever a tool is asked: an answer or a coded error.

Everything goes through a real MCP client, which holds each result against the tool's own
output schema. CivitAI is played by generated JSON: wild values, and true answers with some
of their parts replaced, dropped, repeated or wrapped.
"""

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from civit_mcp.sandbox import running_sandbox
from civit_mcp.tools import all_tools
from tests.door import Door, Sent, open_door
from tests.traps.kit import (
    GENERATION,
    IMAGE_GET,
    IMAGES,
    MODELS,
    SHA256,
    VERSIONS,
    envelope,
    generation,
    image_facts,
    model_row,
    resource,
    version_body,
    version_row,
)

ALL_TOOLS = all_tools()

CORE = (
    "search_models", "get_model", "get_model_version", "get_generation_data", "add_to_catalog",
    "promote_to_lora", "list_catalog",
)  # fmt: skip
quiet = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

ODD_NUMBERS = st.sampled_from(
    [-1, 0, 1, 8001, 801, 2**31, 2**53 + 1, 10**30, -(2**70), 0.5, 1e308, -1e-320, 7.0]
)
ODD_TEXTS = st.sampled_from(
    [
        "", " ", "null", "NaN", "8001", "a\x00b", "\u202eevil", "x" * 300, "<p>&amp;</p>",
        "https://civitai.com/models/801", "urn:air:sdxl:lora:civitai:801@8001", SHA256,
        "2099-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59", "{Image}", "<lora:a:1>", "../../x.pt",
        "Archived", "LORA", "Infinity", "\u0000", "[1]", '{"a":1}', "5A17ED0C5A", "1|2|3",
    ]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | ODD_NUMBERS | st.integers() | ODD_TEXTS | st.text(max_size=12)
KEYS = st.sampled_from(
    ["id", "name", "items", "metadata", "nextCursor", "result", "data", "json", "error", "meta",
     "message", "files", "modelVersions", "hashes", "resources", "type", "prompt", "0"]
) | st.text(max_size=4)  # fmt: skip
WILD = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)

META = {
    "prompt": "a quiet harbor <lora:quietHarbor:0.8>, soft",
    "negativePrompt": "text, soft",
    "seed": 5,
    "steps": 20,
    "cfgScale": 7.5,
    "Size": "512x768",
    "Model": "base",
    "Model hash": "5A17ED0C5A",
    "hashes": {"model": "5A17ED0C5A", "lora:quietHarbor": SHA256, "embed:soft": "AAAAAAAA03"},
    "TI hashes": "soft: aaaaaaaa03",
    "resources": [{"type": "lora", "name": "quietHarbor", "weight": 0.8, "hash": SHA256[:12]}],
    "civitaiResources": [{"type": "lora", "modelVersionId": 8001, "weight": 0.5}],
    "additionalResources": [{"name": "urn:air:sdxl:lora:civitai:801@8001", "strength": 1}],
    "comfy": {
        "prompt": {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "x.safetensors"}}},
        "workflow": {"nodes": [{"id": 1, "type": "KSampler", "widgets_values": [1, "fixed"]}]},
    },
    "extra": {"remixOfId": 4, "resources": [{"modelVersionId": 8001}]},
    "models": ["base.safetensors"],
    "versionIds": ["8001"],
    "Civitai resources": '[{"modelVersionId": 8001}]',
}
PAGE = {"items": [model_row(), model_row(id=802)], "metadata": {"nextCursor": "1|2|3"}}


@st.composite
def spoiled(draw: st.DrawFn, true: Any) -> Any:
    """A true answer with up to five of its parts spoiled."""
    root = [copy.deepcopy(true)]
    for _ in range(draw(st.integers(1, 5))):
        places = list(_places(root))
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.integers(0, 7)):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1:
                holder[key] = [holder[key], holder[key]]
            case 2:
                holder[key] = {"id": holder[key], "name": holder[key]}
            case 3:
                holder[key] = str(holder[key])
            case 4:
                holder[key] = None
            case _:
                holder[key] = draw(WILD)
    return root[0]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in list(pairs):
            yield value, key
            yield from _places(inner)


@st.composite
def absurd(draw: st.DrawFn, true: Any) -> Any:
    """A true answer whose numbers, texts or both are the same absurd one wherever it stands."""
    number = draw(st.none() | ODD_NUMBERS)
    text = draw(st.none() | ODD_TEXTS | st.sampled_from(["y" * 5_000, "z " * 3_000, "\ud800"]))
    return _replaced(true, number, text)


def _replaced(value: Any, number: Any, text: str | None) -> Any:
    if isinstance(value, dict):
        # ids stay, so that the answer is about what was asked
        return {
            key: inner if key in IDS else _replaced(inner, number, text)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_replaced(inner, number, text) for inner in value]
    if isinstance(value, str):
        return value if text is None else text
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if number is None else number
    return value


IDS = ("id", "modelId", "versionId", "modelVersionId", "imageId")


@st.composite
def answers(draw: st.DrawFn, true: Any) -> Sent:
    """What may come where `true` should: mostly something like it."""
    return Sent(draw(st.one_of(spoiled(true), spoiled(true), absurd(true), WILD)))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("door")) as door:
        yield door


@quiet
@given(page=answers(PAGE))
def test_no_list_of_models_does_worse_to_a_search_than_a_coded_error(
    door: Door, page: Sent
) -> None:
    door.fresh(**{MODELS: page})
    for answer in (
        door.ask("search_models", limit=5),
        door.ask("search_models", query="quiet", types=["LORA"], max_level="xxx", limit=5),
    ):
        if answer is not None:
            assert len(answer["items"]) <= 5
            assert answer["items"] or answer["why_empty"]
    assert door.site.seen


@quiet
@given(body=answers(model_row(modelVersions=[version_row(), version_row(id=8002)])))
def test_no_answer_about_a_model_does_worse_than_a_coded_error(door: Door, body: Sent) -> None:
    door.fresh(**{f"{MODELS}/801": body})

    answer = door.ask("get_model", model_id=801)

    assert answer is None or answer["id"] == 801
    several = door.ask("get_model", model_ids=[801, 802])
    assert several is not None
    assert len(several.get("items", [])) + len(several["failed"]) == 2
    assert door.site.seen


@quiet
@given(
    body=answers(version_body()),
    parent=answers(model_row()),
    by_hash=answers([None, version_body()]),
)
def test_no_answer_about_a_version_does_worse_than_a_coded_error_or_hurts_the_catalog(
    door: Door, body: Sent, parent: Sent, by_hash: Sent
) -> None:
    door.fresh(
        **{
            f"{VERSIONS}/8001": body,
            f"{MODELS}/801": parent,
            f"{VERSIONS}/by-hash": by_hash,
            f"{VERSIONS}/by-hash/{SHA256}": body,
        }
    )

    answer = door.ask("get_model_version", version_id=8001)
    assert answer is None or answer["id"] == 8001
    door.ask("get_model_version", version_id=SHA256)
    door.ask("get_model_version", version_id="https://civitai.com/models/801")
    tried = door.ask("add_to_catalog", version_id=8001, dry_run=True)
    assert list(door.catalog.glob("*.json")) == []
    added = door.ask("add_to_catalog", version_id=8001)
    assert (tried or {}).get("status") == (added or {}).get("status")
    door.catalog_is_whole()
    promoted = door.ask("promote_to_lora", version_id=8001)
    door.catalog_is_whole()
    listed = door.ask("list_catalog")
    assert listed is not None
    assert listed["total"] == (1 if added and added["status"] == "added" else 0)
    assert promoted is None or listed["entries"][0]["catalog"] == "loras"
    assert door.site.seen


@quiet
@given(
    output=answers(generation(meta=META, resources=[resource()])),
    facts=answers(image_facts()),
    row=answers({"items": [{"id": 700, "meta": META, "browsingLevel": 1}], "metadata": {}}),
    version=answers(version_body()),
    wrapped=st.booleans(),
)
def test_no_answer_about_an_image_does_worse_than_a_coded_error(
    door: Door, output: Sent, facts: Sent, row: Sent, version: Sent, wrapped: bool
) -> None:
    door.fresh(
        **{
            GENERATION: envelope(output.value) if wrapped else output,
            IMAGE_GET: envelope(facts.value) if wrapped else facts,
            IMAGES: row,
            f"{VERSIONS}/8001": version,
            f"{VERSIONS}/by-hash/5A17ED0C5A": version,
            f"{VERSIONS}/by-hash": [version.value, None],
            MODELS: PAGE,
        }
    )

    answer = door.ask("get_generation_data", image_id=700)

    assert answer is None or answer["image_id"] == 700
    assert door.site.seen


@quiet
@given(output=spoiled(envelope(generation(meta=META), meta={"values": {"x": ["undefined"]}})))
@example(output={"result": {"data": "[[1],2]"}})
@example(output={"result": {"data": '[{"meta":0}]'}})
@example(output={"result": {"data": "[-1]"}})
@example(output={"error": "[{}]"})
def test_no_envelope_does_worse_than_a_coded_error(door: Door, output: Any) -> None:
    door.fresh(**{GENERATION: output, IMAGE_GET: output})

    door.ask("get_generation_data", image_id=700)
    door.ask("get_generation_data", image_id=700, include_raw=False)

    assert door.site.seen


@settings(quiet, max_examples=40)
@given(body=st.binary(max_size=60) | st.text(max_size=60).map(str.encode), status=st.just(200))
def test_bytes_that_are_no_json_do_no_worse_than_a_coded_error(
    door: Door, body: bytes, status: int
) -> None:
    door.fresh()
    door.site.answers[f"{MODELS}/801"] = lambda _: httpx.Response(status, content=body)

    door.ask("get_model", model_id=801)

    assert door.site.seen


#: every tool there is, whatever its set, with the names of its arguments
ARGUMENTS = {
    tool.name: tuple(name for name in inspect.signature(tool.run).parameters if name != "ctx")
    for tool in ALL_TOOLS
}


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A tool with arguments of any JSON type, at times under unknown names."""
    tool = draw(st.sampled_from(sorted(ARGUMENTS)))
    names = ARGUMENTS[tool]
    known = draw(st.dictionaries(st.sampled_from(names), WILD, max_size=4)) if names else {}
    strange = draw(st.dictionaries(st.text(max_size=5), WILD, max_size=1)) if draw(RARELY) else {}
    return tool, {**strange, **known}


RARELY = st.sampled_from([False] * 9 + [True])


@pytest.fixture(scope="module")
def stand_in_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("stand-in-door")
    with (
        running_sandbox() as sandbox,
        open_door(folder, civitai_url=sandbox.base_url, toolsets=("all",)) as door,
    ):
        yield door


@settings(quiet, max_examples=200)
@given(call=calls())
def test_arguments_of_any_type_are_answered_or_refused_with_a_code(
    stand_in_door: Door, call: tuple[str, dict[str, Any]]
) -> None:
    tool, arguments = call

    stand_in_door.ask(tool, **arguments)


@settings(quiet, max_examples=60)
@given(
    tool=st.sampled_from(sorted(ARGUMENTS)), name=st.text(min_size=1, max_size=300), value=SCALARS
)
def test_arguments_that_a_tool_does_not_have_are_refused(
    stand_in_door: Door, tool: str, name: str, value: Any
) -> None:
    assume(name not in ARGUMENTS[tool])

    assert stand_in_door.ask(tool, **{name: value}) is None


def test_the_core_tools_are_all_among_those_that_are_fuzzed() -> None:
    assert {tool.name for tool in ALL_TOOLS if tool.toolset == "core"} == set(CORE)
    assert len(CORE) == 7
