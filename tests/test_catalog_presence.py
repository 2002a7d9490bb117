"""Files are found in every folder that ComfyUI searches, and nowhere outside of them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.catalog import Catalog, Roots
from civit_mcp.catalog.presence import EXTRA_PATHS, place
from tests.catalog_kit import a_version


def comfy(tmp_path: Path, text: str, *, beside: bool = True) -> Roots:
    root = tmp_path / "ComfyUI" / "models"
    root.mkdir(parents=True, exist_ok=True)
    ((root.parent if beside else root) / EXTRA_PATHS).write_text(text, "utf-8")
    return Roots.at(root)


def weight(path: Path, size: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_the_models_root_comes_first(tmp_path: Path) -> None:
    roots = comfy(tmp_path, f"more:\n  base_path: {tmp_path}/more\n  loras: loras\n")
    there = weight(tmp_path / "more/loras/a.pt")
    assert roots.find("loras", "a.pt") == there
    here = weight(tmp_path / "ComfyUI/models/loras/a.pt")
    assert roots.find("loras", "a.pt") == here


def test_a_key_may_hold_several_lines_and_sub_folders_follow(tmp_path: Path) -> None:
    text = f"""
a111:
    base_path: {tmp_path}/webui
    checkpoints: models/Stable-diffusion
    loras: |
        models/Lora
        models/LyCORIS
    embeddings: embeddings
"""
    roots = comfy(tmp_path, text)
    one = weight(tmp_path / "webui/models/LyCORIS/deep/a.pt")
    two = weight(tmp_path / "webui/models/Stable-diffusion/b.ckpt")
    three = weight(tmp_path / "webui/embeddings/c.pt")
    assert roots.find("loras/deep", "a.pt") == one
    assert roots.find("checkpoints", "b.ckpt") == two
    assert roots.find("embeddings", "c.pt") == three
    assert roots.find("vae", "a.pt") is None
    assert roots.notes == ()


def test_a_default_section_goes_before_the_others(tmp_path: Path) -> None:
    text = f"""
first: {{base_path: {tmp_path}/one, loras: l}}
second: {{base_path: {tmp_path}/two, loras: l, is_default: true}}
"""
    roots = comfy(tmp_path, text)
    weight(tmp_path / "one/l/a.pt")
    assert roots.find("loras", "a.pt") == tmp_path / "one/l/a.pt"
    weight(tmp_path / "two/l/a.pt")
    assert roots.find("loras", "a.pt") == tmp_path / "two/l/a.pt"


def test_home_variables_and_relative_paths_are_resolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("MY_MODELS", str(tmp_path / "mine"))
    text = "a: {base_path: ~/x, loras: l}\nb: {vae: $MY_MODELS/v}\nc: {base_path: ../up, clip: c}\n"
    roots = comfy(tmp_path, text)
    assert roots.find("loras", "a.pt") is None
    weight(tmp_path / "home/x/l/a.pt")
    weight(tmp_path / "mine/v/b.pt")
    weight(tmp_path / "up/c/c.pt")
    assert roots.find("loras", "a.pt") is not None
    assert roots.find("vae", "b.pt") is not None
    assert roots.find("text_encoders", "c.pt") is not None, "clip is its old name"


def test_old_folder_names_count_under_the_root_too(tmp_path: Path) -> None:
    weight(tmp_path / "models/unet/a.gguf")
    assert Roots.at(tmp_path / "models").find("diffusion_models", "a.gguf") is not None
    assert Roots.at(tmp_path / "models").find("unet", "a.gguf") is not None
    assert Roots.at(tmp_path / "models").find("loras", "a.gguf") is None


@pytest.mark.parametrize(
    "text", ["a: [", "- 1\n- 2\n", "3", "", "a: null", "a: {loras: 5}", "!!python/object:x {}",
             'a: {loras: "x\\0y"}', "a: {1: b, loras: [x, 2]}", "a: &x [*x]"],
)  # fmt: skip
def test_a_file_of_paths_that_makes_no_sense_harms_nothing(tmp_path: Path, text: str) -> None:
    roots = comfy(tmp_path, text)
    here = weight(tmp_path / "ComfyUI/models/loras/a.pt")
    assert roots.find("loras", "a.pt") == here
    assert roots.find("loras", "b.pt") is None
    broken = text in ("a: [", "!!python/object:x {}", 'a: {loras: "x\\0y"}')
    assert bool(roots.notes) is broken


def test_the_status_follows_the_file_of_paths(tmp_path: Path) -> None:
    root = tmp_path / "ComfyUI/models"
    root.mkdir(parents=True)
    weight(tmp_path / "more/loras/lora_1.safetensors")
    catalog = Catalog(tmp_path / "catalog", root)
    catalog.add(a_version())
    snapshot = catalog.snapshot()
    assert snapshot.status(snapshot.by_version(1)) == "missing"
    comfy(tmp_path, f"more: {{base_path: {tmp_path}/more, loras: loras}}")
    os.utime(root.parent / EXTRA_PATHS, (1_700_000_000, 1_700_000_000))
    snapshot = catalog.snapshot()
    assert snapshot.status(snapshot.by_version(1)) == "present"
    assert catalog.snapshot() is snapshot


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_place_lies_outside_the_root(dest: str, file: str) -> None:
    root = Path("somewhere/models")
    found = place(root, dest, file)
    if found is not None:
        assert os.path.normpath(found).startswith(os.path.normpath(root) + os.sep)


def test_folders_are_named_once_outermost_first(tmp_path: Path) -> None:
    text = f"a: {{base_path: {tmp_path}, loras: 'x', vae: x/y}}\nb: {{vae: {tmp_path}/x}}\n"
    roots = comfy(tmp_path, text)
    assert set(roots.folders) == {tmp_path / "ComfyUI/models", tmp_path / "x"}
