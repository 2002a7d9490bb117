"""Evidence from prompts, hashes, lists and ids: one piece per real thing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.generation import Evidence, gather
from civit_mcp.models.records import GenerationRecord, ResourceRecord

H10, H12, H64 = "7107C05C1C", "7C6BAD76EB54", "AB" * 32


def found(meta: dict[str, Any], **more: Any) -> list[Evidence]:
    return list(gather(GenerationRecord(type="image", meta=meta), **more).evidence)


def rows(meta: dict[str, Any], **more: Any) -> list[tuple[str, str, str, float | None]]:
    return [(e.kind, e.name, e.source, e.weight) for e in found(meta, **more)]


def test_tag_hash_and_list_entry_of_one_lora_are_one() -> None:
    evidence = found(
        {
            "prompt": "a fox <lora:Ink Wash:0.8>",
            "hashes": {"lora:ink_wash": H12.lower()},
            "resources": [
                {"type": "lora", "name": "styles\\INK WASH.safetensors", "hash": H10, "weight": 0.5}
            ],
            "Lora hashes": f"Ink Wash: {H12}",
        }
    )
    assert evidence == [
        Evidence(name="Ink Wash", kind="lora", source="prompt", weight=0.8, hash=H12)
    ]


def test_lora_and_lyco_are_one_group_but_other_kinds_are_not() -> None:
    meta = {
        "prompt": "<lora:Ink:0.8>",
        "hashes": {"lyco:Ink": H12, "embed:Ink": H10, "vae": "0123456789"},
    }
    assert [(e.kind, e.hash) for e in found(meta)] == [
        ("lora", H12), ("embedding", H10), ("vae", "0123456789"),
    ]  # fmt: skip


def test_order_is_prompt_then_negative_prompt_then_metadata() -> None:
    meta = {
        "resources": [{"type": "model", "name": "Base", "hash": H10}],
        "prompt": "glow <lora:B:1> <lora:A:1>",
        "negativePrompt": "murk, <lora:C:-1>",
        "hashes": {"embed:glow": H12, "embed:murk": "0123456789AB"},
        "Model": "Base",
    }
    assert rows(meta) == [
        ("embedding", "glow", "prompt", None),
        ("lora", "B", "prompt", 1.0),
        ("lora", "A", "prompt", 1.0),
        ("embedding", "murk", "negative_prompt", None),
        ("lora", "C", "negative_prompt", -1.0),
        ("checkpoint", "Base", "meta_resources", None),
    ]


def test_the_same_tag_twice_is_one_with_the_first_weight_and_a_note() -> None:
    record = GenerationRecord(meta={"prompt": "<lora:Ink:0.8> fox <lora:ink:0.5> <lora:INK:0.8>"})
    gathered = gather(record)
    assert [(e.name, e.weight) for e in gathered.evidence] == [("Ink", 0.8)]
    assert any("'Ink'" in note and "0.8, 0.5" in note for note in gathered.notes)


def test_the_same_tag_twice_at_one_weight_needs_no_note() -> None:
    assert gather(GenerationRecord(meta={"prompt": "<lora:Ink:1> <lora:Ink:1>"})).notes == ()


def test_versions_of_a_file_are_two_things() -> None:
    assert len(found({"prompt": "<lora:Ink_v1_1:1> <lora:Ink_v11:1>"})) == 2


def test_an_unreadable_weight_is_noted_with_its_tag() -> None:
    notes = gather(GenerationRecord(meta={"prompt": "<lora:Ink:1.2.3>"})).notes
    assert any("'1.2.3'" in note and "'Ink'" in note for note in notes)


def test_the_checkpoint_of_model_and_model_hash_is_evidence() -> None:
    assert found({"Model": "Base", "Model hash": f"0x{H10.lower()}"}) == [
        Evidence(name="Base", kind="checkpoint", source="hashes", hash=H10)
    ]
    # the same file under its long hash, or without a name
    assert len(found({"Model": "Base", "Model hash": H10, "hashes": {"model": H64}})) == 1
    assert found({"Model hash": H10})[0].name == ""


def test_short_and_long_sha256_are_one_and_the_longer_is_kept() -> None:
    meta = {
        "resources": [{"type": "model", "name": "Base", "hash": H64[:10]}],
        "hashes": {"model": H64},
    }
    assert [(e.name, e.hash) for e in found(meta)] == [("Base", H64)]


def test_eight_digits_do_not_make_two_named_files_one() -> None:
    meta = {
        "resources": [
            {"type": "lora", "name": "Ink", "hash": "7107c05c"},
            {"type": "lora", "name": "Wash", "hash": "7107c05c"},
        ]
    }
    assert [e.name for e in found(meta)] == ["Ink", "Wash"]


def test_a_vae_counts_unless_its_name_says_none() -> None:
    assert rows({"VAE": "kl-f8.vae.pt", "VAE hash": "7107c05c"})[0][:2] == ("vae", "kl-f8.vae.pt")
    assert found({"VAE": "Automatic"}) == found({"VAE": "None", "VAE hash": "e3b0c44298"}) == []


def test_additional_networks_give_name_hash_and_both_weights() -> None:
    meta = {
        "AddNet Enabled": "True",
        "AddNet Module 1": "LoRA",
        "AddNet Model 1": f"ink(v2)({H12.lower()})",
        "AddNet Weight A 1": "0.95",
        "AddNet Weight B 1": "0.5",
        "AddNet Model 2": "None",
        "AddNet Module 3": "LoRA",
        "AddNet Model 3": "wash(7107c05c)",
        "AddNet Weight 3": "0.7",
    }
    assert [(e.name, e.hash, e.weight, e.clip_weight) for e in found(meta)] == [
        ("ink(v2)", H12, 0.95, 0.5),
        ("wash", "7107C05C", 0.7, None),
    ]
    assert found({**meta, "AddNet Enabled": "False"}) == []


def test_a_hypernetwork_has_its_own_keys() -> None:
    meta = {"Hypernet": "pixel art", "Hypernet hash": "59546a82", "Hypernet strength": "0.7"}
    assert found(meta) == [
        Evidence(name="pixel art", kind="hypernet", source="hashes", weight=0.7, hash="59546A82")
    ]


def test_hash_lists_come_as_text_json_or_object() -> None:
    pairs = {"ink, wash": H12, "a:b": H10}
    texts: list[Any] = [
        f'"ink, wash: {H12}, a:b: {H10}"',
        pairs,
        f'{{"ink, wash": "{H12}", "a:b": "{H10}"}}',
    ]
    for value in texts:
        assert {e.name: e.hash for e in found({"Lora hashes": value})} == pairs


def test_a_list_that_someone_cut_at_its_commas_is_put_together_again() -> None:
    meta = {
        "prompt": "a fox, glow <lora:add_detail:0.5> <lora:loong-000015:1>",
        '"add_detail': H12.lower(),
        "loong": "0123456789ab",
        "glow": "ba9876543210",
        "stray": 'c0ffee123456"',
        "Seed resize from": "512x512",
    }
    assert {(e.kind, e.name, e.hash) for e in found(meta)} == {
        ("lora", "add_detail", H12),
        ("lora", "loong-000015", "0123456789AB"),
        ("embedding", "glow", "BA9876543210"),
        ("lora", "stray", "C0FFEE123456"),
    }


def test_twelve_digits_under_any_key_are_no_hash_without_that_damage() -> None:
    assert found({"prompt": "a fox", "job": "c0ffee123456", "fox": "0123456789ab"}) == []


def test_the_hashes_map_splits_at_a_known_kind_only() -> None:
    meta = {
        "hashes": {
            "LORA:styles\\ink:wash": H12,
            "unknown:thing": H10,
            "models/VAE/soft.pt": "0123456789",
            "embed:": "9876543210",
            "lora:empty": "",
            "lora:none": "None",
            "lora:nothing": "E3B0C44298FC",
            "refiner": "AAAAAAAAAA",
        }
    }
    assert [(e.kind, e.name) for e in found(meta)] == [
        ("lora", "styles\\ink:wash"),
        ("lora", "unknown:thing"),
        ("vae", "models/VAE/soft.pt"),
        ("embedding", ""),
        ("checkpoint", ""),
    ]


def test_wrong_hash_values_are_named_in_a_note() -> None:
    gathered = gather(
        GenerationRecord(meta={"hashes": {"lora:ink": 5, "model": "zz", "vae": None}})
    )
    assert gathered.evidence == ()
    assert [note for note in gathered.notes if "'lora:ink', 'model'" in note]


def test_nulls_and_wrong_types_in_lists_are_stepped_over() -> None:
    meta: dict[str, Any] = {
        "resources": [
            None, 5, [], {}, {"type": None}, {"type": "lora", "name": None, "hash": None},
            {"type": "LORA", "name": "Ink", "weight": "0.7"}, {"type": "upscaler", "name": "x4"},
            {"type": "Lycoris", "name": "Wash", "weight": None},
        ]
    }  # fmt: skip
    assert rows(meta) == [
        ("lora", "Ink", "meta_resources", 0.7), ("lyco", "Wash", "meta_resources", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["glow, fox", "fox\nGLOW", "(glow:1.2)", "[glow|fox]", "((fox, glow))", "fox glow."]
)
def test_a_bare_word_is_an_embedding_when_something_proves_it(text: str) -> None:
    proofs: list[dict[str, Any]] = [
        {"TI hashes": f"glow: {H12}"},
        {"TI hashes": {"glow": H12}},
        {"hashes": {"embed:glow": H12}},
        {"resources": [{"type": "embed", "name": "glow"}]},
        {"Used embeddings": "glow [2a38]"},
    ]
    for proof in proofs:
        (one,) = found({"negativePrompt": text, **proof})
        assert (one.kind, one.name, one.source) == ("embedding", "glow", "negative_prompt")
    (one,) = found({"prompt": text}, known_embeddings=["Glow", "other"])
    assert (one.name, one.source) == ("Glow", "prompt")
    assert found({"prompt": text, "negativePrompt": "blurry"}) == []


def test_part_of_a_word_or_of_a_tag_is_no_embedding() -> None:
    meta = {"prompt": "glowing, glow-worm, <lora:glow:1>"}
    assert [e.kind for e in found(meta, known_embeddings=["glow"])] == ["lora"]


def test_an_embedding_of_several_words_is_found_with_its_weight() -> None:
    meta = {"negativePrompt": "blurry, (bad hands v5:1.3)", "hashes": {"embed:bad_hands_v5": H12}}
    assert [(e.name, e.weight, e.hash) for e in found(meta)] == [("bad_hands_v5", 1.3, H12)]


@pytest.mark.parametrize(
    ("text", "name", "weight"),
    [
        ("embedding:glow", "glow", None),
        ("(embedding:glow.pt:1.2), fox", "glow.pt", 1.2),
        ("EMBEDDING: styles\\glow.safetensors fox", "styles\\glow.safetensors", None),
        ("a embedding:glow.", "glow", None),
    ],
)
def test_the_comfyui_form_needs_no_proof(text: str, name: str, weight: float | None) -> None:
    assert [(e.name, e.weight) for e in found({"prompt": text})] == [(name, weight)]


def test_site_resources_become_evidence_with_ids() -> None:
    meta = {
        "civitaiResources": [
            {"type": "checkpoint", "modelVersionId": 11},
            {"type": "lycoris", "weight": 0.6, "modelVersionId": "12"},
            {"type": "upscaler", "modelVersionId": 13},
            {"type": "embed", "weight": "1", "modelVersionId": 14},
            {"type": "lora", "modelVersionId": None},
            {"type": "lora", "weight": 0.9, "modelVersionId": 12},
            "nonsense",
        ],
        "extra": {"resources": [{"type": "LORA", "strength": 0.3, "modelVersionId": 15}]},
    }
    assert [(e.kind, e.name, e.version_id, e.weight) for e in found(meta)] == [
        ("checkpoint", "", 11, None),
        ("lyco", "", 12, 0.6),
        ("embedding", "", 14, 1.0),
        ("lora", "", 15, 0.3),
    ]


def test_a_site_resource_without_type_takes_it_from_what_civitai_lists() -> None:
    meta = {
        "civitaiResources": [{"modelVersionId": number, "weight": 1} for number in (1, 2, 3, 4)]
    }
    record = GenerationRecord(
        meta=meta,
        resources=(
            ResourceRecord(version_id=2, model_type="TextualInversion"),
            ResourceRecord(version_id=3, model_type="Upscaler"),
        ),
    )
    assert [(e.version_id, e.kind) for e in gather(record).evidence] == [
        (1, "checkpoint"), (2, "embedding"), (4, "lora"),
    ]  # fmt: skip


def test_airs_and_files_of_comfy_lists_are_evidence_but_upscalers_are_not() -> None:
    meta = {
        "Model": "urn:air:sdxl:checkpoint:civitai:1@11",
        "additionalResources": [
            {"name": "urn:air:sdxl:lora:civitai:2@22", "type": "lora", "strength": 0.4},
            {"name": "ink.safetensors", "type": "lora", "strength": 1, "strengthClip": 0.5},
            {"air": "urn:air:other:upscaler:civitai:3@33"},
        ],
        "models": ["sdxl\\base.safetensors", "urn:air:sdxl:checkpoint:civitai:1@11", None],
        "vaes": ["soft.vae.pt"],
        "upscalers": ["urn:air:other:upscaler:civitai:3@33", "4x.pth"],
    }
    assert [(e.kind, e.name, e.version_id, e.model_id, e.weight) for e in found(meta)] == [
        ("lora", "", 22, 2, 0.4),
        ("lora", "ink.safetensors", None, None, 1.0),
        ("checkpoint", "sdxl\\base.safetensors", None, None, None),
        ("checkpoint", "", 11, 1, None),
        ("vae", "soft.vae.pt", None, None, None),
    ]


def test_one_name_with_two_versions_is_two_things() -> None:
    rows = [
        {"name": "ink", "air": f"urn:air:sdxl:lora:civitai:2@{number}", "strength": 1}
        for number in (22, 23)
    ]
    assert [e.version_id for e in found({"additionalResources": rows})] == [22, 23]


def test_id_lists_pair_up_and_join_what_is_known() -> None:
    meta = {
        "civitaiResources": [{"type": "checkpoint", "modelVersionId": 11}],
        "versionIds": ["11", 12, None],
        "modelIds": [1, "2", None],
    }
    assert [(e.kind, e.version_id, e.model_id) for e in found(meta)] == [
        ("checkpoint", 11, 1), ("lora", 12, 2),
    ]  # fmt: skip


def test_the_loras_of_another_generator_are_read_from_its_own_text() -> None:
    meta = {"other": {"loras": "Loras:<dir\\Ink.safetensors:1>,<None:0.5>,<None:0.5>"}}
    assert rows(meta) == [("lora", "dir\\Ink.safetensors", "meta_resources", 1.0)]


def test_more_parts_than_any_picture_has_are_cut_and_said() -> None:
    gathered = gather(
        GenerationRecord(meta={"prompt": "".join(f"<lora:n{i}:1>" for i in range(5000))})
    )
    assert len(gathered.evidence) == 200
    assert any("200" in note for note in gathered.notes)


@given(
    st.lists(
        st.tuples(st.sampled_from(["Ink", "Wash", "Glow"]), st.sampled_from(["lora", "lyco"])),
        max_size=8,
    ),
    st.dictionaries(
        st.sampled_from(["lora:INK", "lyco:wash", "lora:x/Glow.pt", "LORA:ink"]),
        st.sampled_from([H10, H12, H64, "0123456789"]),
    ),
)
def test_a_name_is_never_listed_twice_within_its_group(
    tags: list[tuple[str, str]], hashes: dict[str, str]
) -> None:
    prompt = " ".join(f"<{kind}:{name}:1>" for name, kind in tags)
    names = [
        e.name.rpartition("/")[2].casefold().removesuffix(".pt")
        for e in found({"prompt": prompt, "hashes": hashes})
    ]
    assert len(names) == len(set(names))
    digests = [e.hash for e in found({"prompt": prompt, "hashes": hashes}) if e.hash]
    assert len(digests) == len(set(digests))
