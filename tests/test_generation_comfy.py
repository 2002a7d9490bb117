"""What ComfyUI graphs load, in both forms and in every state of damage."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.generation import gather
from civit_mcp.generation.graphs import MAX_NODES, read_graph
from civit_mcp.models.records import GenerationRecord


def loads(comfy: object) -> list[tuple[str, str, float | None, float | None]]:
    gathered = gather(GenerationRecord(type="image", meta={"comfy": comfy}))
    assert all(e.source == "comfy_graph" for e in gathered.evidence)
    return [(e.kind, e.name, e.weight, e.clip_weight) for e in gathered.evidence]


def api(**nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "prompt": {
            key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()
        }
    }


def editor(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"workflow": {"nodes": list(nodes), "links": [], **more}}


def test_loaders_of_the_api_form_are_read() -> None:
    graph = api(
        a=("CheckpointLoaderSimple", {"ckpt_name": "base.safetensors"}),
        b=("LoraLoader", {
            "lora_name": "ink.safetensors", "strength_model": 0.8, "strength_clip": 0.6,
            "model": ["a", 0], "clip": ["a", 1],
        }),
        c=("VAELoader", {"vae_name": "soft.pt"}),
        d=("UnetLoaderGGUF", {"unet_name": "flux.gguf"}),
        e=("HypernetworkLoader", {"hypernetwork_name": "pix.pt", "strength": 1}),
        f=("CLIPLoader", {"clip_name": "t5.safetensors"}),
        g=("UpscaleModelLoader", {"model_name": "4x.pth"}),
        h=("ControlNetLoader", {"control_net_name": "canny.pth"}),
        i=("CLIPTextEncode", {"text": "fox, (embedding:murk:1.1)", "clip": ["b", 1]}),
        j=("WanVideoModelLoader", {"model": "wan.safetensors"}),
        k=("WanVideoLoraSelect", {"lora": "fast.safetensors", "strength": 0.9}),
        l=("VAELoader", {"vae_name": ["c", 0]}),
    )  # fmt: skip
    assert loads(graph) == [
        ("checkpoint", "base.safetensors", None, None),
        ("lora", "ink.safetensors", 0.8, 0.6),
        ("vae", "soft.pt", None, None),
        ("checkpoint", "flux.gguf", None, None),
        ("hypernet", "pix.pt", None, None),
        ("embedding", "murk", 1.1, None),
        ("checkpoint", "wan.safetensors", None, None),
        ("lora", "fast.safetensors", 0.9, None),
    ]


def test_airs_in_loader_fields_give_ids() -> None:
    graph = api(
        a=("CheckpointLoaderSimple", {"ckpt_name": "urn:air:sdxl:checkpoint:civitai:1@11"}),
        b=("LoraLoader", {"lora_name": "urn:air:sdxl:lora:civitai:2@22", "strength_model": 0.7}),
        c=("LoraLoader", {"lora_name": "urn:air:sdxl:embedding:civitai:3@33"}),
    )
    gathered = gather(GenerationRecord(meta={"comfy": graph}))
    assert [(e.kind, e.version_id, e.weight) for e in gathered.evidence] == [
        ("checkpoint", 11, None), ("lora", 22, 0.7), ("embedding", 33, None),
    ]  # fmt: skip


def test_stacks_load_only_their_switched_on_rows() -> None:
    graph = api(
        a=("Power Lora Loader (rgthree)", {
            "PowerLoraLoaderHeaderWidget": {"type": "PowerLoraLoaderHeaderWidget"},
            "lora_1": {"on": True, "lora": "one.safetensors", "strength": 0.5, "strengthTwo": None},
            "lora_2": {"on": False, "lora": "two.safetensors", "strength": 1},
            "lora_3": {"on": True, "lora": "three.safetensors", "strength": 1, "strengthTwo": 0.2},
            "lora_4": {"on": [], "lora": ["x"], "strength": {}},
            "\u2795 Add Lora": "",
        }),
        b=("CR LoRA Stack", {
            "switch_1": "On", "lora_name_1": "four.safetensors", "model_weight_1": 0.4,
            "clip_weight_1": 0.3, "switch_2": "Off", "lora_name_2": "five.safetensors",
            "switch_3": "On", "lora_name_3": "None",
        }),
        c=("LoRA Stacker", {
            "lora_count": 1, "lora_name_1": "six.safetensors", "lora_wt_1": 0.9,
            "lora_name_2": "seven.safetensors", "lora_wt_2": 0.9,
        }),
        d=("Lora Loader (LoraManager)", {
            "text": "<lora:eight:1> <lora:nine:1>",
            "loras": {"__value__": [
                {"name": "eight", "strength": "0.90", "active": True},
                {"name": "nine", "strength": 1, "active": False},
            ]},
        }),
        e=("Lora Text Loader", {"text": "<lora:ten:0.5:0.4>"}),
        f=("LoraLoader|pysssss", {
            "lora_name": {"content": "eleven.safetensors", "image": None}, "strength_model": 1}),
        g=("Efficient Loader", {
            "ckpt_name": "base.ckpt", "vae_name": "Baked VAE", "lora_name": "twelve.pt",
            "lora_model_strength": 0.6, "lora_clip_strength": 0.5}),
    )  # fmt: skip
    assert loads(graph) == [
        ("lora", "one.safetensors", 0.5, None),
        ("lora", "three.safetensors", 1.0, 0.2),
        ("lora", "four.safetensors", 0.4, 0.3),
        ("lora", "six.safetensors", 0.9, None),
        ("lora", "eight", 0.9, None),
        ("lora", "ten", 0.5, 0.4),
        ("lora", "eleven.safetensors", 1.0, None),
        ("checkpoint", "base.ckpt", None, None),
        ("lora", "twelve.pt", 0.6, 0.5),
    ]


def test_loaders_of_the_editor_form_are_read_and_sleeping_ones_are_not() -> None:
    graph = editor(
        {"id": 1, "type": "CheckpointLoaderSimple", "widgets_values": ["base.safetensors"]},
        {"id": 2, "type": "LoraLoader", "mode": 0, "widgets_values": ["ink.pt", 0.8, 0.6]},
        {"id": 3, "type": "LoraLoader", "mode": 2, "widgets_values": ["muted.pt", 1, 1]},
        {"id": 4, "type": "LoraLoader", "mode": 4, "widgets_values": ["bypassed.pt", 1, 1]},
        {"id": 5, "type": "LoraLoaderModelOnly"},
        {"id": 6, "type": "VAELoader", "widgets_values": ["soft.safetensors"]},
        {"id": 7, "type": "VAEDecode", "widgets_values": []},
        {"id": 8, "type": "CLIPTextEncode", "widgets_values": ["fox, embedding:murk"]},
        {
            "id": 9,
            "type": "Power Lora Loader (rgthree)",
            "widgets_values": [
                {},
                {"type": "x"},
                {"on": True, "lora": "one.pt", "strength": 0.5, "strengthTwo": None},
                {"on": False, "lora": "two.pt", "strength": 1},
                {},
                "",
            ],
        },
        {
            "id": 10,
            "type": "CR LoRA Stack",
            "widgets_values": [
                "On",
                "three.pt",
                0.4,
                0.3,
                "Off",
                "four.pt",
                1,
                1,
                "On",
                "None",
                1,
                1,
            ],
        },
        {
            "id": 11,
            "type": "Efficient Loader",
            "widgets_values": ["eff.ckpt", "Baked VAE", -1, "five.pt", 0.6, 0.5],
        },
        {
            "id": 12,
            "type": "Lora Loader (LoraManager)",
            "widgets_values": ["<lora:six:1>", [{"name": "six", "strength": 0.5, "active": True}]],
        },
        {"id": 13, "type": "UpscaleModelLoader", "widgets_values": ["4x.pth"]},
        {"id": 14, "type": "ControlNetLoader", "widgets_values": ["canny.safetensors"]},
        {"id": 15, "type": "VHS_LoadVideo", "widgets_values": {"video": "a.mp4"}},
        {
            "id": 16,
            "type": "LoraLoader",
            "widgets_values": {"lora_name": "seven.pt", "strength_model": 2},
        },
    )
    assert loads(graph) == [
        ("checkpoint", "base.safetensors", None, None),
        ("lora", "ink.pt", 0.8, 0.6),
        ("vae", "soft.safetensors", None, None),
        ("embedding", "murk", None, None),
        ("lora", "one.pt", 0.5, None),
        ("lora", "three.pt", 0.4, 0.3),
        ("checkpoint", "eff.ckpt", None, None),
        ("lora", "five.pt", 0.6, 0.5),
        ("lora", "six", 0.5, None),
        ("lora", "seven.pt", 2.0, None),
    ]


def test_subgraphs_and_groups_are_opened_unless_their_instance_sleeps() -> None:
    def inner(name: str) -> dict[str, Any]:
        return {"nodes": [{"id": 1, "type": "VAELoader", "widgets_values": [name]}]}

    graph = editor(
        {"id": 1, "type": "aaa"},
        {"id": 2, "type": "bbb", "mode": 4},
        {"id": 3, "type": "workflow/Group"},
        definitions={
            "subgraphs": [
                {"id": "aaa", **inner("a.pt")}, {"id": "bbb", **inner("b.pt")}, None, {"id": 5},
            ]
        },
        extra={"groupNodes": {"Group": inner("g.pt"), "Unused": inner("u.pt")}},
    )  # fmt: skip
    assert [name for _, name, _, _ in loads(graph)] == ["a.pt", "g.pt"]


def test_a_subgraph_within_itself_ends() -> None:
    loop = {"id": "aaa", "nodes": [{"id": 1, "type": "aaa"}]}
    assert loads(editor({"id": 1, "type": "aaa"}, definitions={"subgraphs": [loop]})) == []


def test_what_ran_wins_over_the_editors_graph() -> None:
    both = {
        **api(a=("VAELoader", {"vae_name": "ran.pt"})),
        **editor({"id": 1, "type": "VAELoader", "widgets_values": ["drawn.pt"]}),
    }
    assert [name for _, name, _, _ in loads(both)] == ["ran.pt"]
    assert [name for _, name, _, _ in loads({**both, "prompt": {}})] == ["drawn.pt"]


def test_graphs_come_as_text_with_words_that_are_no_json() -> None:
    ran = '{"a": {"class_type": "VAELoader", "inputs": {"vae_name": "soft.pt", "x": [NaN]}}}'
    for text in (
        f'{{"prompt": {ran}, "workflow": undefined}}',
        json.dumps({"prompt": ran, "workflow": None}),
        ran,
    ):
        assert [name for _, name, _, _ in loads(text)] == ["soft.pt"]


@pytest.mark.parametrize(
    "comfy",
    [
        None,
        5,
        "",
        "{",
        "[]",
        [],
        {},
        {"prompt": None},
        {"prompt": [1]},
        {"workflow": {"nodes": {}}},
        {"workflow": {"nodes": "x", "links": 5}},
        {"workflow": {"nodes": [None, 5, {}, {"type": None}]}},
        {"prompt": {"a": None, "b": {"class_type": 5}, "c": {"class_type": "LoraLoader"}}},
        {"prompt": {"c": {"class_type": "LoraLoader", "inputs": [1]}}},
        {"workflow": {"nodes": [{"type": "LoraLoader", "mode": "x", "id": {}, "inputs": [None]}]}},
        {
            "workflow": {
                "nodes": [{"type": "LoraLoader", "mode": [2]}],
                "links": [[], [1], None, {}],
            }
        },
        '{"a":' * 100_000,
        "[" * 100_000,
        {"definitions": {"subgraphs": 5}, "nodes": []},
    ],
)
def test_a_broken_graph_loads_nothing_and_breaks_nothing(comfy: object) -> None:
    assert loads(comfy) == []


def test_a_huge_graph_is_read_up_to_a_bound_and_says_so() -> None:
    nodes = {str(i): {"class_type": "Note", "inputs": {}} for i in range(MAX_NODES * 3)}
    graph = read_graph({"prompt": nodes})
    assert len(graph.nodes) == MAX_NODES
    assert graph.cut
    record = GenerationRecord(meta={"comfy": {"prompt": nodes}})
    assert any("graph is very large" in note for note in gather(record).notes)
    rows = [{"id": i, "type": "Note"} for i in range(MAX_NODES * 3)]
    assert len(read_graph({"workflow": {"nodes": rows}}).nodes) == MAX_NODES


leaves = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=12)
json_values = st.recursive(
    leaves | st.sampled_from(["a.safetensors", "<lora:a:1>", "embedding:a", "LoraLoader"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "nodes",
                    "links",
                    "type",
                    "class_type",
                    "inputs",
                    "widgets_values",
                    "mode",
                    "id",
                    "lora",
                    "lora_1",
                    "on",
                    "loras",
                    "__value__",
                    "name",
                    "definitions",
                    "subgraphs",
                    "link",
                    "extra",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_no_json_breaks_the_graph_reader(value: object) -> None:
    for comfy in (value, {"prompt": value}, {"workflow": value}, {"prompt": {"1": value}}):
        gather(GenerationRecord(type="video", meta={"comfy": comfy}))
    gather(
        GenerationRecord(meta={"comfy": {"workflow": {"nodes": [value, value], "links": value}}})
    )


def test_every_recorded_graph_is_read(recorded: Path) -> None:
    files = sorted((recorded / "meta" / "comfy").glob("*.json"))
    assert len(files) > 100
    named = 0
    for file in files:
        graph = json.loads(file.read_text(encoding="utf-8"))
        form = "workflow" if file.name.endswith(".workflow.json") else "prompt"
        text = json.dumps({form: graph})
        evidence = gather(GenerationRecord(meta={"comfy": {form: graph}})).evidence
        assert evidence == gather(GenerationRecord(meta={"comfy": text})).evidence
        named += bool(evidence)
        for node in graph.values():
            inputs = node.get("inputs") if isinstance(node, dict) else None
            loaded = inputs.get("ckpt_name") if isinstance(inputs, dict) else None
            if isinstance(loaded, str):
                assert loaded in {e.name for e in evidence}, file.name
    assert named > 110
