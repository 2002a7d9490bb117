"""From what a picture or video was made."""

from typing import Any

import pytest

from civit_mcp.generation import gather
from civit_mcp.models.records import GenerationRecord, ResourceRecord


def kind(meta: dict[str, Any] | None = None, **fields: Any) -> str:
    record = GenerationRecord(**{"type": "image", "meta": meta or {}, **fields})
    return gather(record).detected_type


@pytest.mark.parametrize(
    ("workflow", "found"),
    [
        ("txt2img", "t2i"), ("txt2img-hires", "t2i"), ("img2img-upscale", "i2i"),
        ("img2img:hires-fix", "i2i"), ("Image-to-Image", "i2i"), ("inpainting", "inpaint"),
    ],
)  # fmt: skip
def test_the_sites_workflow_word_decides_first(workflow: str, found: str) -> None:
    assert kind({"workflow": workflow}, process="txt2img", techniques=("inpainting",)) == found
    assert kind({"extra": {"workflow": workflow}}) == found


@pytest.mark.parametrize(
    ("workflow", "found"),
    [
        ("txt2vid", "t2v"), ("img2vid", "i2v"), ("img2vid:ref2vid", "i2v"), ("vid2vid:edit", "v2v"),
        ("image-to-video", "i2v"), ("textToVideo", "t2v"), ("wan i2v", "i2v"),
    ],
)  # fmt: skip
def test_videos_have_their_own_words(workflow: str, found: str) -> None:
    assert kind({"workflow": workflow}, type="video") == found
    assert kind({"engine": "wan", "process": workflow}, type="video") == found
    assert kind(None, type="video", process=workflow) == found


def test_techniques_come_next_and_the_stronger_word_wins() -> None:
    assert kind(None, techniques=("txt2img", "IMG2IMG"), process="txt2img") == "i2i"
    assert kind(None, techniques=("img2img", "inpainting")) == "inpaint"
    assert kind(None, type="video", techniques=("txt2img", "img2vid", "txt2vid")) == "i2v"
    objects: Any = ({"name": "img2img"}, None, 5, {"name": None})
    assert kind(None, techniques=objects) == "i2i"
    assert kind(None, techniques=None) == "unknown"


@pytest.mark.parametrize(
    ("process", "found"),
    [
        ("txt2img", "t2i"), ("txt2img + Hi-Res", "t2i"), ("txt2img + ControlNet", "t2i"),
        ("img2img + ControlNet", "i2i"), ("txt2img + img2img", "t2i"),
        ("inpainting", "inpaint"), ("comfy", "unknown"),
        ("image", "unknown"), (None, "unknown"), ("video", "unknown"),
    ],
)  # fmt: skip
def test_the_process_is_read_without_its_additions(process: str | None, found: str) -> None:
    assert kind(None, process=process) == found


def sampler(**inputs: Any) -> dict[str, Any]:
    return {"class_type": "KSampler", "inputs": {"positive": ["p", 0], **inputs}}


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def comfy(**nodes: dict[str, Any]) -> dict[str, Any]:
    return {"comfy": {"prompt": nodes}}


EMPTY = node("EmptyLatentImage", width=512)
LOAD = node("LoadImage", image="a.png")


def test_an_image_that_feeds_the_latent_makes_img2img() -> None:
    encode = node("VAEEncode", pixels=["l", 0], vae=["v", 0])
    graph = comfy(s=sampler(latent_image=["e", 0]), e=encode, l=LOAD)
    assert kind(graph, process="comfy") == "i2i"
    assert kind(graph, type="video") == "i2v"


def test_an_image_that_only_guides_does_not() -> None:
    graph = comfy(
        s=sampler(latent_image=["e", 0]),
        e=EMPTY,
        p=node("ControlNetApply", image=["l", 0]),
        l=LOAD,
    )
    assert kind(graph, process="comfy") == "t2i"
    assert kind(graph, type="video") == "t2v"


def test_a_second_pass_over_an_own_picture_stays_text_to_image() -> None:
    graph = comfy(
        s=sampler(latent_image=["e", 0]),
        e=EMPTY,
        d=node("VAEDecode", samples=["s", 0]),
        x=node("VAEEncode", pixels=["d", 0]),
        t=sampler(latent_image=["x", 0]),
    )
    assert kind(graph, process="comfy") == "t2i"


def test_masks_and_footage_are_told_apart() -> None:
    mask = node("SetLatentNoiseMask", samples=["e", 0], mask=["l", 1])
    encode = node("VAEEncode", pixels=["l", 0])
    assert kind(comfy(s=sampler(latent_image=["m", 0]), m=mask, e=encode, l=LOAD)) == "inpaint"
    footage = comfy(s=sampler(latent_image=["e", 0]), e=encode, l=node("VHS_LoadVideo"))
    assert kind(footage, type="video") == "v2v"
    start = node("WanImageToVideo", start_image=["l", 0], positive=["p", 0])
    assert kind(comfy(s=sampler(latent_image=["w", 2]), w=start, l=LOAD), type="video") == "i2v"


def test_a_graph_that_runs_in_circles_ends() -> None:
    graph = comfy(
        s=sampler(latent_image=["a", 0]),
        a=node("LatentBlend", samples1=["b", 0], samples2=["a", 0]),
        b=node("LatentBlend", samples1=["a", 0], samples2=["gone", 0]),
    )
    assert kind(graph) == "t2i"


def test_the_editors_links_are_followed_too() -> None:
    nodes = [
        {"id": 1, "type": "LoadImage"},
        {"id": 2, "type": "VAEEncode", "inputs": [{"name": "pixels", "link": 7}]},
        {"id": 3, "type": "KSampler", "inputs": [{"name": "latent_image", "link": 8}]},
    ]
    links = [[7, 1, 0, 2, 0, "IMAGE"], [8, 2, 0, 3, 3, "LATENT"]]
    assert kind({"comfy": {"workflow": {"nodes": nodes, "links": links}}}) == "i2i"
    nodes[0]["mode"] = 2
    assert kind({"comfy": {"workflow": {"nodes": nodes, "links": links}}}) == "t2i"


@pytest.mark.parametrize(
    ("meta", "found"),
    [
        ({"Mask blur": "4", "Denoising strength": "0.5"}, "inpaint"),
        ({"Denoising strength": "0.5"}, "i2i"),
        ({"Denoising strength": "0.5", "Hires upscale": "2"}, "t2i"),
        ({"Denoising strength": "0.7", "First pass size": "512x512"}, "t2i"),
        ({"denoise": 0.3}, "i2i"),
        ({"denoise": 1}, "unknown"),
        ({"sourceImage": {"url": "x"}}, "i2i"),
        ({"Model hash": "7107c05c1c", "steps": 20}, "t2i"),
        ({"steps": 20}, "unknown"),
    ],
)
def test_keys_of_the_metadata_are_the_last_hint(meta: dict[str, Any], found: str) -> None:
    assert kind(meta) == found
    assert kind(meta, process="img2img") == "i2i"


def test_a_videos_resources_are_late_evidence() -> None:
    def base(name: str) -> tuple[ResourceRecord, ...]:
        return (ResourceRecord(base_model="Other"), ResourceRecord(base_model=name))

    assert kind(None, type="video", resources=base("Wan Video 14B i2v 480p")) == "i2v"
    assert kind(None, type="video", resources=base("Wan Video 2.2 T2V-A14B")) == "t2v"
    assert kind(None, type="video", resources=base("Wan Video 2.2 TI2V-5B")) == "unknown"
    assert kind(None, type="image", resources=base("Wan Video 14B i2v 480p")) == "unknown"


def test_a_stored_image_process_of_a_video_is_the_weakest_hint() -> None:
    resources = (ResourceRecord(base_model="Wan Video 14B i2v 480p"),)
    assert kind(None, type="video", process="txt2img", resources=resources) == "i2v"
    assert kind(None, type="video", process="txt2img") == "t2v"


def test_sound_and_nothing_are_unknown() -> None:
    assert kind(None, type="audio", process="txt2img") == "unknown"
    assert kind(None, type="video") == kind() == "unknown"
    assert kind({"workflow": 5}, type=None, process="img2vid") in {"i2v", "unknown"}
