"""Base models in CivitAI's spelling, ComfyUI Studio's, and people's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.models.base_models import BASE_MODELS, look_up


@pytest.mark.parametrize(
    ("spelling", "family"),
    [
        ("WAN", "wan"), ("wan-i2v-14b", "wan"), ("Wan2.1", "wan"), ("Wan 2.1 I2V", "wan"),
        ("Wan Video 9.9 T2V", "wan"), ("Taiwan style", "other"), ("swan lake", "other"),
        ("Wan Image 2.7", "other"), ("Wan Image 3", "other"),
        ("FLUX.1", "flux"), ("flux1-dev", "flux"), ("Flux.1 Kontext", "flux"),
        ("Flux.2 Klein 4B", "flux2"), ("Flux 3 Video", "other"), ("influx", "other"),
        ("SD1", "sd15"), ("SD 1.4", "sd15"), ("sd 1.x", "sd15"), ("SD 2.1 768", "sd2"),
        ("SD 3.5 Large", "sd3"), ("SD XL", "sdxl"), ("Illustrious XL", "sdxl"),
        ("Pony", "sdxl"), ("Pony XL", "sdxl"), ("NoobAI", "sdxl"), ("Pony V7", "auraflow"),
        ("HunyuanVideo", "hunyuan"), ("Hunyuan Video 2", "hunyuan"), ("Hunyuan 1", "hunyuandit"),
        ("LTX-Video", "ltx"), ("LTXV 2.3", "ltx"), ("CogVideoX-5B", "cogvideo"),
        ("Qwen-Image", "qwen"), ("Qwen 2", "qwen"), ("Z-Image-Turbo", "zimage"),
        ("", "other"), ("Other", "other"), ("a model of tomorrow", "other"),
    ],
)  # fmt: skip
def test_a_spelling_has_its_family(spelling: str, family: str) -> None:
    assert look_up(spelling).family == family
    assert look_up(f"  {spelling.upper()} ").family == family


def test_every_row_is_found_by_its_own_name() -> None:
    assert all(look_up(row.name) is row for row in BASE_MODELS.values())


@given(st.text())
def test_any_text_has_a_row_and_an_unknown_one_keeps_its_name(text: str) -> None:
    row = look_up(text)

    assert row.family
    assert row.name == text or row in BASE_MODELS.values()
