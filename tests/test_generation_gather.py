"""The whole reading of one image: prompts, metadata for display, notes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civit_mcp.generation import Gathered, clean_prompt, gather
from civit_mcp.generation.display import json_size, mask_urls
from civit_mcp.models.records import GenerationRecord, ResourceRecord


def read(meta: dict[str, Any] | None, **more: Any) -> Gathered:
    return gather(GenerationRecord(type="image", meta=meta), **more)


def test_both_prompts_come_without_tags() -> None:
    gathered = read({"prompt": "a fox <lora:Ink:1>, snow", "negativePrompt": "murk, <lora:Mud:1>"})
    assert (gathered.clean_prompt, gathered.negative_prompt) == ("a fox, snow", "murk")
    assert gathered.meta["prompt"] == "a fox <lora:Ink:1>, snow"


def test_hidden_metadata_is_said_and_nothing_is_made_up() -> None:
    gathered = read(None)
    assert gathered.evidence == ()
    assert (gathered.clean_prompt, gathered.negative_prompt, gathered.meta) == ("", "", {})
    assert ["hid" in note and "resources" in note for note in gathered.notes] == [True]


def test_stored_metadata_stands_in_and_fills_gaps_and_both_are_said() -> None:
    gathered = read(None, stored_meta={"prompt": "a fox", "seed": 5})
    assert gathered.clean_prompt == "a fox"
    assert "stored metadata is used" in gathered.notes[0]
    gathered = read(
        {"prompt": "a fox", "clipSkip": 2, "steps": None},
        stored_meta={"prompt": "other", "Clip skip": "2", "steps": 9, "VAE": "x.pt", "q": None},
    )
    assert gathered.meta == {"prompt": "a fox", "clipSkip": 2, "steps": 9, "VAE": "x.pt"}
    assert "'steps', 'VAE'" in gathered.notes[0]
    assert "hid" in read(None, stored_meta={}).notes[0]


@pytest.mark.parametrize("value", [5, ["a"], {"a": 1}, True, 0.5])
def test_a_prompt_that_is_no_text_is_said_and_shown(value: object) -> None:
    gathered = read({"prompt": value})
    assert gathered.clean_prompt == ""
    assert any("meta.prompt" in note for note in gathered.notes)
    assert gathered.meta["prompt"] == value


def test_values_stay_as_they_were_sent() -> None:
    meta = {
        "seed": 2**53 + 1, "steps": "30", "cfgScale": 7.5, "Size": "512x768", "clipSkip": 2,
        "draft": False, "extra": {"n": [1, "2", None]}, "null": None,
    }  # fmt: skip
    gathered = read(meta)
    assert gathered.meta == meta
    assert type(gathered.meta["seed"]) is int
    assert gathered.notes == ()
    assert list(gathered.meta) == list(meta)


def test_graphs_and_large_values_give_way_to_a_word() -> None:
    meta = {
        "comfy": {"prompt": {}},
        "big": "x" * 3_000,
        "deep": {"a": ["y" * 1_999]},
        "ok": "z" * 1_900,
    }
    gathered = read(meta)
    assert {key for key, value in gathered.meta.items() if "raw resource" in str(value)} == {
        "comfy", "big", "deep",
    }  # fmt: skip
    assert gathered.meta["ok"] == "z" * 1_900
    assert any("'comfy', 'big', 'deep'" in note for note in gathered.notes)


def test_long_prompts_are_cut_in_meta_only_and_the_cut_is_said() -> None:
    text = "fox, " * 2_000
    gathered = read({"prompt": text, "negativePrompt": text, "seed": 5})
    assert gathered.clean_prompt == gathered.negative_prompt == text
    assert gathered.meta["prompt"] == text[:6_000]
    assert gathered.meta["negativePrompt"] == text[:2_000]
    assert gathered.meta["seed"] == 5
    assert sum("is cut to" in note for note in gathered.notes) == 2
    assert read({"negativePrompt": text}).meta["negativePrompt"] == text[:6_000]


def test_the_whole_of_meta_is_bounded_and_the_important_stays() -> None:
    meta: dict[str, Any] = {f"key{number}": "x" * 500 for number in range(500)}
    meta["seed"] = 7
    gathered = read({**meta, "k" * 5_000: 1})
    assert gathered.meta["seed"] == 7
    assert len(json.dumps(gathered.meta)) < 9_000
    assert any("Left out of meta" in note and "more" in note for note in gathered.notes)
    assert max(map(len, gathered.notes)) < 600


def test_secrets_in_urls_and_under_telling_keys_are_masked() -> None:
    meta = {
        "source": "see https://x.test/a.png?width=5&token=abc&Expires=99#sig=q then",
        "nested": [{"url": "http://me:pw@x.test/?X-Amz-Signature=abc&id=7&api_key=z&key=k"}],
        "apiKey": "abc",
        "extra": {"token": "abc", "tokens": 5},
        "Token merging ratio": "0.5",
    }
    assert read(meta).meta == {
        "source": "see https://x.test/a.png?width=5&token=***&Expires=***#sig=*** then",
        "nested": [{"url": "http://***@x.test/?X-Amz-Signature=***&id=7&api_key=***&key=***"}],
        "apiKey": "***",
        "extra": {"token": "***", "tokens": 5},
        "Token merging ratio": "0.5",
    }
    assert mask_urls("no url, key=5 & token=6") == "no url, key=5 & token=6"


def test_what_json_cannot_say_is_said_in_words() -> None:
    meta = {"a": float("nan"), "b": [float("inf")], "half \ud800": "\udc00"}
    shown = read(meta).meta
    assert json.loads(json.dumps(shown, allow_nan=False)) == {
        "a": "nan", "b": ["inf"], "half \ufffd": "\ufffd",
    }  # fmt: skip
    gathered = read({"prompt": "fox \ud83d <lora:In\ud83dk:1>"})
    assert (gathered.clean_prompt + gathered.evidence[0].name).encode() != b""


def test_the_size_of_a_value_is_counted_without_walking_all_of_it() -> None:
    assert json_size("x" * 10, 2_000) == 12
    assert json_size(list(range(10**6)), 2_000) > 2_000
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert json_size(nested, 2_000) > 2_000
    assert "raw resource" in read({"nested": nested}).meta["nested"]
    shallow: list[Any] = [[[[[["a"]]]]]]
    assert read({"nested": shallow}).meta["nested"] == shallow
    for _ in range(20):
        shallow = [shallow]
    assert "raw resource" in read({"nested": shallow}).meta["nested"]


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    | st.sampled_from(["<lora:a:1>", "a: 7c6bad76eb54", "urn:air:sd1:lora:civitai:1@2", "\ud800"])
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["name", "type", "hash", "weight", "modelVersionId", "air", "x", "loras"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)
keys = st.sampled_from(
    [
        "prompt",
        "negativePrompt",
        "resources",
        "civitaiResources",
        "additionalResources",
        "hashes",
        "Lora hashes",
        "TI hashes",
        "Model",
        "Model hash",
        "VAE",
        "VAE hash",
        "Hypernet",
        "Refiner",
        "AddNet Model 1",
        "AddNet Enabled",
        "AddNet Weight A 1",
        "models",
        "vaes",
        "modelIds",
        "versionIds",
        "extra",
        "other",
        "workflow",
        "engine",
        "denoise",
        "images",
        "comfy",
        "Used embeddings",
        '"ink',
        "Civitai resources",
        "Denoising strength",
    ]
)
metas = st.dictionaries(keys | st.text(max_size=8), values, max_size=8)


@settings(max_examples=300)
@given(metas, metas | st.none(), st.sampled_from(["image", "video", "audio", None]), st.text())
def test_no_metadata_breaks_the_reading(
    meta: dict[str, Any], stored: dict[str, Any] | None, kind: str | None, process: str
) -> None:
    record = GenerationRecord(
        type=kind,
        process=process,
        meta=meta,
        resources=(ResourceRecord(version_id=2, model_type="LORA"), ResourceRecord()),
    )
    gathered = gather(record, stored_meta=stored, known_embeddings=["a", "", "b c"])
    json.dumps(gathered.meta, allow_nan=False).encode()
    "".join([*gathered.notes, *(e.name for e in gathered.evidence)]).encode()
    assert all(e.hash is None or e.hash == e.hash.upper() for e in gathered.evidence)
    gather(GenerationRecord(type=kind, process=process), stored_meta=stored)


@given(st.text(), st.text())
def test_prompts_without_tags_are_untouched(prompt: str, negative: str) -> None:
    gathered = read({"prompt": prompt, "negativePrompt": negative})
    assert gathered.clean_prompt == clean_prompt(prompt.replace("\ud800", "\ufffd"))
    assert gathered.negative_prompt == clean_prompt(negative)


def test_every_recorded_answer_is_read_and_shown_as_it_is(recorded: Path) -> None:
    files = sorted((recorded / "trpc" / "image.getGenerationData").glob("*.json"))
    assert len(files) > 200
    for file in files:
        answer = json.loads(file.read_text(encoding="utf-8"))["result"]["data"]["json"]
        meta = answer["meta"]
        record = GenerationRecord(
            type=answer["type"],
            process=answer["process"],
            meta=meta,
            techniques=tuple(row["name"] for row in answer["techniques"]),
        )
        gathered = gather(record)
        for key in ("prompt", "negativePrompt", "seed", "steps", "cfgScale", "sampler"):
            assert gathered.meta.get(key) == meta.get(key), (file.name, key)
        assert "<lora:" not in gathered.clean_prompt
        assert gathered.detected_type != "unknown"
        if "<" not in meta.get("prompt", ""):
            assert gathered.clean_prompt == meta.get("prompt", "")


def test_recorded_lists_of_resources_are_found_in_full(recorded: Path) -> None:
    lines = (
        (recorded / "meta" / "models_images_2023.jsonl").read_text(encoding="utf-8").splitlines()
    )
    assert len(lines) > 500
    for line in lines:
        meta = json.loads(line)["image"]["meta"]
        hashes = {e.hash for e in read(meta).evidence}
        for row in meta.get("resources") or []:
            found = (row.get("hash") or "").upper()
            if len(found) in {10, 12}:
                assert any(h and h.startswith(found) for h in hashes), (found, hashes)


def test_recorded_embeddings_of_a_negative_prompt_are_found_with_their_hashes(
    recorded: Path,
) -> None:
    file = recorded / "trpc" / "image.getGenerationData" / "899391.json"
    meta = json.loads(file.read_text(encoding="utf-8"))["result"]["data"]["json"]["meta"]
    found = [e for e in read(meta).evidence if e.kind == "embedding"]
    assert [e.name for e in found] == [
        "photoZooV21", "structureZooV21", "qualityZooV21", "DrD_PNTE768", "nfixer", "nartfixer",
    ]  # fmt: skip
    assert all(e.hash and e.source == "negative_prompt" for e in found)
