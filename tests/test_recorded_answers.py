"""Tools tell what CivitAI said: ids and numbers of an answer are those of the record.

Once over every recorded answer, where a checkout has them, and once over generated ones.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civit_mcp.sandbox import running_sandbox
from tests.door import Door, open_door
from tests.faithful import same_generation, same_model, same_version
from tests.traps.kit import (
    GENERATION,
    IMAGE_GET,
    MODELS,
    VERSIONS,
    envelope,
    file_row,
    generation,
    image_facts,
    model_row,
    resource,
    version_body,
    version_row,
)


def read(folder: Path) -> list[dict[str, Any]]:
    """The recorded answers of a folder that are named by an id alone."""
    paths = sorted(path for path in folder.glob("*.json") if path.stem.isdigit())
    return [json.loads(path.read_text("utf-8"), strict=False) for path in paths]


@pytest.fixture(scope="module")
def door(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A client of a server whose CivitAI is the recorded one."""
    with (
        running_sandbox(data=recorded) as sandbox,
        open_door(tmp_path_factory.mktemp("recorded"), civitai_url=sandbox.base_url) as door,
    ):
        yield door


def test_every_recorded_model_is_told_as_it_was_recorded(door: Door, recorded: Path) -> None:
    models = read(recorded / "rest" / "models")
    for sent in models:
        answer = door.ask("get_model", model_id=sent["id"])
        assert answer is not None, sent["id"]
        same_model(answer, sent)

    assert len(models) > 200


def test_every_recorded_version_is_told_as_it_was_recorded(door: Door, recorded: Path) -> None:
    whole = {
        v["id"]: v for name in ("by_hash", "model_versions") for v in read_rest(recorded, name)
    }
    newest = sorted((recorded / "rest" / "model_versions_entries").glob("*.json"))
    models = read_rest(recorded, "models")
    inside = {v["id"]: v for model in models for v in model.get("modelVersions") or []}
    lonely = {}
    for path in newest:
        sent = json.loads(path.read_text("utf-8"), strict=False)
        lonely[sent["id"]] = sent
    first = {m["modelVersions"][0]["id"] for m in models if m.get("modelVersions")}
    asked = {**lonely, **{key: inside[key] for key in first}, **whole}
    for version_id, sent in asked.items():
        source = whole.get(version_id) or inside.get(version_id) or sent
        answer = door.ask("get_model_version", version_id=version_id)
        assert answer is not None, version_id
        same_version(answer, source)

    assert len(asked) > 200


def read_rest(recorded: Path, name: str) -> list[dict[str, Any]]:
    return read(recorded / "rest" / name)


def test_every_recorded_image_is_told_as_it_was_recorded(door: Door, recorded: Path) -> None:
    folder = recorded / "trpc" / "image.getGenerationData"
    paths = sorted(path for path in folder.glob("*.json") if re.fullmatch(r"\d+", path.stem))
    for path in paths:
        sent = json.loads(path.read_text("utf-8"), strict=False)["result"]["data"]["json"]
        answer = door.ask("get_generation_data", image_id=int(path.stem))
        assert answer is not None, path.stem
        same_generation(answer, sent, int(path.stem))

    assert len(paths) > 200


# generated records

IDS = st.integers(1, 2**31 - 1)
COUNTS = st.none() | st.integers(0, 2**53)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF), min_size=1, max_size=30)
HEX = st.text("0123456789abcdefABCDEF", min_size=64, max_size=64)
SIZES = st.none() | st.integers(0, 10**9) | st.floats(0, 1e9)
FILES = st.builds(
    lambda **fields: file_row(primary=False, **fields),
    id=IDS,
    sizeKB=SIZES,
    name=NAMES.map(lambda name: f"{name}.safetensors"),
    hashes=st.fixed_dictionaries({}, optional={"SHA256": HEX, "AutoV2": HEX.map(lambda h: h[:10])}),
)
STATS = st.fixed_dictionaries({"downloadCount": COUNTS, "thumbsUpCount": COUNTS})
WORDS = st.lists(st.text("abc xyz", min_size=1, max_size=12).map(str.strip), max_size=4)
VERSION_FIELDS: dict[str, Any] = {
    "name": NAMES,
    "baseModel": st.sampled_from(["SDXL 1.0", "Flux.1 D", "Pony", "Zeta 9"]),
    "stats": STATS,
    "trainedWords": WORDS,
    "files": st.lists(FILES, max_size=4, unique_by=lambda file: file["id"]),
}
STRENGTHS = st.none() | st.floats(-5, 5).map(lambda number: round(number, 2))
#: no digit in a text, so that every number of an answer has one place to come from
PLAIN = st.text("abcdefgh ,", max_size=40)
META = st.fixed_dictionaries(
    {"prompt": PLAIN},
    optional={
        "seed": st.integers(-(2**70), 2**70),
        "steps": st.integers(1, 150) | st.integers(1, 150).map(str),
        "cfgScale": st.floats(0, 30),
        "odd": st.booleans() | st.none() | st.integers(),
        "list": st.lists(st.integers() | PLAIN, max_size=3),
    },
)
quiet = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A client of a server whose CivitAI a test writes."""
    with open_door(tmp_path_factory.mktemp("written")) as door:
        yield door


@quiet
@given(
    stats=STATS,
    name=NAMES,
    tags=st.lists(NAMES, max_size=5, unique=True),
    versions=st.lists(
        st.builds(version_row, id=IDS, **VERSION_FIELDS),
        max_size=15,
        unique_by=lambda version: version["id"],
    ),
)
def test_a_generated_model_is_told_as_it_was_sent(written: Door, **fields: Any) -> None:
    sent = model_row(modelVersions=fields.pop("versions"), **fields)
    written.fresh(**{f"{MODELS}/801": sent})

    answer = written.ask("get_model", model_id=801)

    assert answer is not None
    same_model(answer, sent)


@quiet
@given(**VERSION_FIELDS, model=IDS)
def test_a_generated_version_is_told_as_it_was_sent(
    written: Door, model: int, **fields: Any
) -> None:
    sent = version_body(modelId=model, **fields)
    written.fresh(**{f"{VERSIONS}/8001": sent})

    answer = written.ask("get_model_version", version_id=8001)

    assert answer is not None
    same_version(answer, sent)
    assert len(answer.get("files", [])) == len(sent["files"])


@quiet
@given(
    meta=META,
    resources=st.lists(
        st.builds(
            lambda version, **fields: resource(modelVersionId=version, versionId=version, **fields),
            version=IDS,
            modelId=IDS,
            strength=STRENGTHS,
            modelName=NAMES,
        ),
        max_size=5,
        unique_by=lambda row: row["versionId"],
    ),
    process=st.none() | st.sampled_from(["txt2img", "comfy", "img2img + ControlNet"]),
)
def test_a_generated_image_is_told_as_it_was_sent(written: Door, **fields: Any) -> None:
    sent = generation(**fields)
    written.fresh(**{GENERATION: envelope(sent), IMAGE_GET: envelope(image_facts())})

    answer = written.ask("get_generation_data", image_id=700)

    assert answer is not None
    same_generation(answer, sent, 700)
    assert [row["versionId"] for row in answer["resources"]] == [
        row["versionId"] for row in sent["resources"]
    ]
