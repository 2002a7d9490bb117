"""Names that fit every disk, and what an entry is called."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.catalog.naming import (
    NAME_BYTES,
    display_name,
    key,
    safe_file_name,
    stem_key,
    unique,
)
from tests.catalog_kit import a_file, a_version


@pytest.mark.parametrize(
    ("stored", "safe"),
    [
        ("detail, tweaker .safetensors", "detail, tweaker.safetensors"),
        ("плёнка ✨ 映画.safetensors", "плёнка ✨ 映画.safetensors"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\evil.dll", "evil.dll"),
        ("C:\\models\\a.ckpt", "a.ckpt"),
        ("C:a.ckpt", "a.ckpt"),
        ("a%2F..%2Fb.safetensors", "a%2F..%2Fb.safetensors"),
        ("CON.safetensors", "_CON.safetensors"),
        ("nul .tar.pt", "_nul .tar.pt"),
        ("com¹.pt", "_com¹.pt"),
        ("console.pt", "console.pt"),
        ("...hidden.pt", "hidden.pt"),
        ("a\x00b\nc\u202etxt.pt", "abctxt.pt"),
        ("a.pt. . ", "a.pt"),
        ('a<b>:"|?*.pt', "a_b______.pt"),
        (".safetensors", ""),
        ("..", ""),
        ("", ""),
        ("folder/", ""),
        (" \t", ""),
    ],
)
def test_a_file_name_loses_what_is_dangerous_and_nothing_else(stored: str, safe: str) -> None:
    assert safe_file_name(stored) == safe


@given(st.text() | st.text(alphabet='./\\:CONnul \x00é\u202e"'))
def test_every_safe_name_is_one_component_that_fits(text: str) -> None:
    name = safe_file_name(text)
    assert safe_file_name(name) == name
    if name:
        assert not set(name) & set('/\\:*?"<>|\x00')
        assert name[0] not in ". "
        assert name[-1] not in ". "
        assert len(name.encode()) <= NAME_BYTES
        assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)


def test_a_long_name_is_cut_between_characters_and_keeps_its_extension() -> None:
    name = safe_file_name("映" * 200 + ".safetensors")
    assert name.endswith("映.safetensors")
    assert NAME_BYTES - 3 < len(name.encode()) <= NAME_BYTES


def test_a_unique_name_carries_the_version_then_a_number() -> None:
    taken = {key("a.pt"), key("A_5.PT")}
    assert unique("a.pt", 5, is_taken=taken.__contains__) == "a_5_2.pt"
    assert unique("b.pt", 5, is_taken=taken.__contains__) == "b_5.pt"
    long = safe_file_name("x" * 400 + ".pt")
    assert unique(long, 123456, is_taken={key(long)}.__contains__).endswith("_123456.pt")
    assert len(unique(long, 123456, is_taken={key(long)}.__contains__).encode()) <= NAME_BYTES


def test_names_that_a_file_system_may_confuse_share_a_key() -> None:
    assert key("Café.PT") == key("cafe\u0301.pt")
    assert key("STRASSE.pt") == key("straße.pt")


def test_names_as_people_type_them_share_a_stem() -> None:
    wanted = stem_key("Detail Tweaker-XL.safetensors")
    assert stem_key("loras\\detail_tweaker_xl") == wanted
    assert stem_key("detail.tweaker.xl.CKPT") == wanted
    assert stem_key("detail_tweaker_xxl") != wanted


@pytest.mark.parametrize(
    ("fields", "fp", "name"),
    [
        (
            {"model_name": "Model Name", "name": "v1", "base_model": "SDXL"},
            "fp16",
            "Model Name v1 [SDXL FP16]",
        ),
        ({"model_name": "Same", "name": "SAME", "base_model": "Pony"}, None, "Same [Pony]"),
        ({"model_name": "A", "name": "", "base_model": ""}, "bf16", "A [BF16]"),
        ({"model_name": "A", "name": "v2", "base_model": ""}, None, "A v2"),
        ({"model_name": None, "name": "v2", "base_model": "Pony"}, None, "v2 [Pony]"),
        ({"model_name": None, "name": "", "base_model": ""}, None, "lora_1"),
        ({"model_name": "a\n\u202eb ✨", "name": "v1", "base_model": ""}, None, "a b ✨ v1"),
    ],
)
def test_a_display_name_joins_the_parts_there_are(
    fields: dict[str, Any], fp: str | None, name: str
) -> None:
    assert display_name(a_version(**fields), a_file(fp=fp)) == name
