"""Which category and folder a file goes to, and whether its file is there."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.catalog.presence import Roots
from civit_mcp.catalog.routing import Place, is_lora, route, style_category
from tests.catalog_kit import a_file, a_version


def status_of(root: Path | None, dest: str, file: str) -> str:
    return "present" if Roots.at(root).find(dest, file) else "missing"


def routed(*, main: bool = True, file: dict[str, Any] | None = None, **version: Any) -> Any:
    made = a_file(**(file or {}))
    return route(a_version(files=(made,), **version), made, is_main=main)


@pytest.mark.parametrize(
    ("model_type", "base_model", "category", "dest"),
    [
        ("Checkpoint", "SD 1.5", "checkpoints", "checkpoints"),
        ("Checkpoint", "Pony", "checkpoints", "checkpoints"),
        ("Checkpoint", "Flux.1 D", "diffusion_models", "diffusion_models"),
        ("Checkpoint", "Wan Video 2.2 I2V-A14B", "diffusion_models", "diffusion_models"),
        ("Checkpoint", "Flux.2 Klein 9B", "diffusion_models", "diffusion_models"),
        ("Checkpoint", "", "checkpoints", "checkpoints"),
        ("LORA", "Flux.1 D", "loras", "loras"),
        ("LoCon", "SD 1.5", "loras", "loras"),
        ("DoRA", "SD 1.5", "loras", "loras"),
        ("TextualInversion", "SD 1.5", "embeddings", "embeddings"),
        ("AestheticGradient", "SD 1.5", "embeddings", "embeddings"),
        ("VAE", "SD 1.5", "vae", "vae"),
        ("Controlnet", "SD 1.5", "controlnet", "controlnet"),
        ("Poses", "SD 1.5", "controlnet", "controlnet"),
        ("Upscaler", "Other", "upscalers", "upscale_models"),
        ("UNet", "Flux.1 D", "diffusion_models", "diffusion_models"),
        ("TextEncoder", "Flux.1 D", "text_encoders", "text_encoders"),
        ("CLIP", "Flux.1 D", "text_encoders", "text_encoders"),
        ("CLIPVision", "Flux.1 D", "clip_vision", "clip_vision"),
        ("MotionModule", "SD 1.5", "animatediff", "animatediff_models"),
        ("Detection", "Other", "detectors", "ultralytics"),
        ("Hypernetwork", "SD 1.5", "hypernetworks", "hypernetworks"),
    ],
)
def test_a_plain_file_goes_where_its_model_type_goes(
    model_type: str, base_model: str, category: str, dest: str
) -> None:
    place = routed(model_type=model_type, base_model=base_model)
    assert (place.category, place.dest) == (category, dest)


@pytest.mark.parametrize(
    ("file_type", "category"),
    [
        ("Diffusion Model", "diffusion_models"),
        ("UNet", "diffusion_models"),
        ("VAE", "vae"),
        ("Text Encoder", "text_encoders"),
        ("Vision Encoder", "clip_vision"),
        ("Enhancement LoRA", "loras"),
        ("Pruned Model", "checkpoints"),
        ("", "checkpoints"),
    ],
)
def test_the_files_own_type_decides_first(file_type: str, category: str) -> None:
    place = routed(model_type="Checkpoint", base_model="SD 1.5", file={"type": file_type})
    assert place.category == category


def test_air_and_gguf_make_a_checkpoint_a_diffusion_model() -> None:
    air = "urn:air:flux1:diffusionmodel:civitai:1@2"
    place = Place("diffusion_models", "Diffusion Models", "diffusion_models")
    assert routed(model_type="Checkpoint", base_model="SD 1.5", air=air) == place
    gguf = {"format": "GGUF"}
    assert routed(model_type="Checkpoint", base_model="SD 1.5", file=gguf) == place
    other = routed(model_type="Checkpoint", base_model="SD 1.5", air=air, main=False)
    assert other.category == "checkpoints"


def test_air_names_the_type_of_a_model_that_came_without_one() -> None:
    place = routed(model_type=None, air="urn:air:sdxl:lycoris:civitai:1@2")
    assert place.category == "loras"


@pytest.mark.parametrize(
    ("name", "dest"),
    [
        ("face_bbox_v8.pt", "ultralytics/bbox"),
        ("hand-segm.pt", "ultralytics/segm"),
        ("passegment.pt", "ultralytics"),
    ],
)
def test_a_detector_goes_below_ultralytics_by_its_name(name: str, dest: str) -> None:
    assert routed(model_type="Detection", file={"name": name}).dest == dest


@pytest.mark.parametrize(
    "fields",
    [
        {"model_type": "Workflows"},
        {"model_type": "Wildcards"},
        {"model_type": "LLM"},
        {"model_type": "Other"},
        {"model_type": "Never Seen"},
        {"model_type": None},
        {"model_type": "Checkpoint", "file": {"type": "Training Data"}},
        {"model_type": "Checkpoint", "file": {"type": "Config"}},
        {"model_type": "Checkpoint", "file": {"type": "Never Seen"}},
    ],
)
def test_what_is_no_model_file_has_no_place_and_a_reason(fields: dict[str, Any]) -> None:
    assert isinstance(routed(**fields), str)


@given(st.text() | st.none(), st.text(), st.text() | st.none(), st.text())
def test_no_text_crashes_the_router(
    model_type: str | None, base: str, air: str | None, file_type: str
) -> None:
    place = routed(model_type=model_type, base_model=base, air=air, file={"type": file_type})
    assert isinstance(place, str) or ".." not in place.dest


@pytest.mark.parametrize(
    ("base_model", "category", "name"),
    [
        ("Wan Video 14B t2v", "wan_loras", "WAN LoRAs"),
        ("WAN", "wan_loras", "WAN LoRAs"),
        ("Flux.1 Kontext", "flux_loras", "Flux LoRAs"),
        ("Flux.2 D", "flux_loras", "Flux LoRAs"),
        ("NoobAI", "sdxl_loras", "SDXL / Pony / Illustrious LoRAs"),
        ("SD 1.4", "sd15_loras", "SD 1.5 LoRAs"),
        ("LTXV 2.3", "ltx_loras", "LTX LoRAs"),
        ("Hunyuan Video", "hunyuan_loras", "HunyuanVideo LoRAs"),
        ("CogVideoX", "cogvideo_loras", "CogVideoX LoRAs"),
        ("Qwen 2", "qwen_loras", "Qwen LoRAs"),
        ("ZImageTurbo", "zimage_loras", "Z-Image LoRAs"),
        ("Taiwan Street", "other_loras", "Other LoRAs"),
        ("Wan Image 2.7", "other_loras", "Other LoRAs"),
        ("", "other_loras", "Other LoRAs"),
    ],
)
def test_a_style_lora_goes_to_its_family(base_model: str, category: str, name: str) -> None:
    assert style_category(base_model, []) == (category, name)


def test_a_category_that_is_there_already_takes_the_lora_under_its_own_spelling() -> None:
    assert style_category("WAN", ["x", "wan-loras"])[0] == "wan-loras"
    assert style_category("Pony", ["sdxl_loras", "pony_loras"])[0] == "pony_loras"
    assert style_category("Illustrious", ["sdxl_loras", "pony_loras"])[0] == "sdxl_loras"
    assert style_category("Flux.2 D", ["flux_loras", "flux2_loras"])[0] == "flux2_loras"


def test_loras_are_known_by_category_or_folder() -> None:
    assert is_lora("wan-loras", "")
    assert is_lora("x", "loras")
    assert is_lora("x", "loras\\wan")
    assert not is_lora("checkpoints", "checkpoints/loras_merge")
    assert not is_lora("", "lorasx")


def test_present_is_a_regular_file_with_content_inside_the_root(tmp_path: Path) -> None:
    root = tmp_path / "models"
    (root / "loras" / "wan").mkdir(parents=True)
    (root / "loras" / "a.pt").write_bytes(b"x")
    (root / "loras" / "wan" / "b.pt").write_bytes(b"x")
    (root / "loras" / "empty.pt").touch()
    (root / "top.pt").write_bytes(b"x")
    (tmp_path / "outside.pt").write_bytes(b"x")
    present = [("loras", "a.pt"), ("loras/wan", "b.pt"), ("loras\\wan", "b.pt"), ("", "top.pt")]
    for dest, file in present:
        assert status_of(root, dest, file) == "present", (dest, file)
    missing = [
        ("loras", "empty.pt"),
        ("loras", "none.pt"),
        ("loras", ""),
        ("", ""),
        ("loras", "wan"),
        ("..", "outside.pt"),
        ("loras/../..", "outside.pt"),
        ("", "../outside.pt"),
        (str(tmp_path), "outside.pt"),
        ("loras", "a\0.pt"),
        ("loras", "\ud800.pt"),
        ("loras", "x" * 5000),
        ("C:/x", "a.pt"),
    ]
    for dest, file in missing:
        assert status_of(root, dest, file) == "missing", (dest, file)
    assert status_of(None, "loras", "a.pt") == "missing"


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_a_link_counts_for_what_it_leads_to(tmp_path: Path) -> None:
    root = tmp_path / "models"
    root.mkdir()
    (tmp_path / "store.pt").write_bytes(b"x")
    (root / "good.pt").symlink_to(tmp_path / "store.pt")
    (root / "bad.pt").symlink_to(tmp_path / "gone.pt")
    (root / "loop.pt").symlink_to(root / "loop.pt")
    assert [status_of(root, "", f"{n}.pt") for n in ("good", "bad", "loop")] == [
        "present",
        "missing",
        "missing",
    ]
