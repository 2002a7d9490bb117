"""Names, hashes, ids and AIRs: how strangers' spellings become comparable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.generation import guess_hash_type, normalise_name
from civit_mcp.generation.names import as_hash, as_name, as_weight, kind_of, stem
from civit_mcp.models.air import Air, parse_air
from civit_mcp.models.ids import MAX_ID, as_id
from civit_mcp.models.records import EMPTY_HASHES


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Film Grain", "film_grain"),
        ("styles\\Film-Grain.safetensors", "FilmGrain"),
        ("sdxl/film grain.PT", "film.grain"),
        ("ＦｉｌｍGrain", "filmgrain"),  # full-width letters
        ("Film Grain (Analogue) | XL", "film_grain_analogue_xl"),
        ("Straße", "STRASSE"),
        ("Film / Grain", "filmgrain"),
    ],
)
def test_spellings_of_one_name_compare_equal(one: str, other: str) -> None:
    assert normalise_name(one) == normalise_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("film", "grain"), ("film_v1", "film_v2"), ("🔥", "🌊"), ("ink.lora", "ink")],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert normalise_name(one) != normalise_name(other)


def test_a_stem_keeps_what_tells_versions_apart() -> None:
    assert stem("x_v1_1.safetensors") != stem("x_v11")
    assert stem("Folder/X v1.safetensors") == stem("x_V1")


@given(st.text(max_size=40))
def test_no_text_breaks_the_normaliser(text: str) -> None:
    assert bool(normalise_name(text)) <= bool(text)


@given(st.text("abXY019", min_size=1, max_size=20), st.sampled_from(["", "x/", "x\\y\\"]))
def test_case_folder_and_extension_do_not_matter(name: str, folder: str) -> None:
    spellings = {f"{folder}{name.upper()}.safetensors", f"{folder}{name.lower()}", f"_{name}.pt"}
    assert {normalise_name(spelling) for spelling in spellings} == {name.lower()}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("0x95d20eda2f", "95D20EDA2F"),
        (' 7c6bad76eb54" ', "7C6BAD76EB54"),
        ("7107c05c", "7107C05C"),
        ("ab" * 32, "AB" * 32),
        ("e3b0c44298fc", None),
        ("E3B0C442", None),
        ("None", None),
        ("", None),
        ("12345", None),
        ("zz" * 5, None),
        ("ab" * 16, None),
        (None, None),
        (1234567890, None),
        (["7107c05c"], None),
        ("7" * 100_000, None),
    ],
)
def test_a_hash_is_hex_of_a_known_length_and_not_the_hash_of_nothing(
    value: object, found: str | None
) -> None:
    assert as_hash(value) == found


def test_no_empty_hash_is_an_identity() -> None:
    assert all(as_hash(text) is None and as_hash(text.lower()) is None for text in EMPTY_HASHES)


def test_the_length_of_a_hash_tells_its_types() -> None:
    assert guess_hash_type("7107c05c1c") == ("AutoV2",)
    assert guess_hash_type("0x7C6BAD76EB54") == ("AutoV3", "SHA256")
    assert guess_hash_type("7107c05c")[0] == "AutoV1"
    assert guess_hash_type("ab" * 32)[0] == "SHA256"
    assert guess_hash_type("12") == guess_hash_type("no hash!") == guess_hash_type("") == ()


@pytest.mark.parametrize(
    ("value", "found"),
    [(5, 5), ("5", 5), (" 5 ", 5), (5.0, 5), (0, None), (-5, None), (True, None), (5.5, None),
     ("5a", None), ("9" * 30, None), (2**63, None), (None, None), ({}, None), (float("inf"), None),
     (float("nan"), None), ("٥", None)],
)  # fmt: skip
def test_an_id_is_a_positive_whole_number_or_its_digits(value: object, found: int | None) -> None:
    assert as_id(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [(0.8, 0.8), ("0.8", 0.8), (-1, -1.0), ("-.5", -0.5), (True, None), ("x", None), (None, None),
     (float("nan"), None), (float("inf"), None), (10**400, None), ("1e9", None), ([1], None)],
)  # fmt: skip
def test_a_weight_is_a_finite_number_of_human_size(value: object, found: float | None) -> None:
    assert as_weight(value) == found


def test_words_for_kinds_are_anybodys() -> None:
    words = ["LoCon", "LORA", "Textual Inversion", "embed", "Diffusion Model", "model", "VAE"]
    assert [kind_of(word) for word in words] == [
        "lyco", "lora", "embedding", "embedding", "checkpoint", "checkpoint", "vae",
    ]  # fmt: skip
    assert kind_of("upscaler") is kind_of(None) is kind_of(7) is kind_of("x" * 999) is None


def test_words_that_say_no_name_are_none() -> None:
    assert as_name("None") is as_name(" ") is as_name(7) is as_name("x" * 400) is None
    assert as_name("Automatic") is as_name("Baked VAE") is None
    assert as_name("half \ud83d") == "half \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("text", "air"),
    [
        (
            "urn:air:sdxl:checkpoint:civitai:827184@2514310+2402203",
            Air(
                ecosystem="sdxl", type="checkpoint", id="827184", version="2514310", file="2402203"
            ),
        ),
        (
            "URN:AIR:SDXL:LoRA:CivitAI:12@34.safetensors",
            Air(ecosystem="sdxl", type="lora", id="12", version="34", format="safetensors"),
        ),
        ("air:sd1:lora:civitai:12", Air(ecosystem="sd1", type="lora", id="12")),
        ("sd1:lora:civitai:12@latest", Air(ecosystem="sd1", type="lora", id="12")),
        ("lora:civitai:12@34", Air(type="lora", id="12", version="34")),
        ("sd1:civitai:12@34", Air(ecosystem="sd1", id="12", version="34")),
        ("civitai:12", Air(id="12")),
        ("12@34", Air(id="12", version="34")),
        (
            "urn:air:other:other:civitai-r2:civitai-worker-assets@sam_vit_b_01ec64.pth",
            Air(
                ecosystem="other",
                type="other",
                source="civitai-r2",
                id="civitai-worker-assets",
                version="sam_vit_b_01ec64.pth",
            ),
        ),
        (
            "urn:air:flux1:lora:huggingface:someone/ink-wash@main/v1.0",
            Air(
                ecosystem="flux1",
                type="lora",
                source="huggingface",
                id="someone/ink-wash",
                version="main/v1.0",
            ),
        ),
    ],
)
def test_every_form_of_an_air_is_read(text: str, air: Air) -> None:
    assert parse_air(text) == air


def test_only_civitais_numbers_are_ids() -> None:
    air = parse_air("urn:air:sd1:lora:civitai:12@34")
    assert air is not None
    assert (air.model_id, air.version_id) == (12, 34)
    air = parse_air("urn:air:sd1:lora:huggingface:12@34")
    assert air is not None
    assert (air.model_id, air.version_id) == (None, None)


@pytest.mark.parametrize(
    "text",
    ["", "12", "a fox", "urn:air:", "civitai:", "civitai:abc", "<lora:Ink:0.8>", "foo:bar",
     "https://civitai.com/models/12", "C:\\models\\ink.safetensors", "civitai:12@x", "@5",
     "civitai:" + "9" * 30, "urn:air:" + "a:" * 500, "12@34@56", "name: 0a1b2c3d4e"],
)  # fmt: skip
def test_what_is_no_air_is_none(text: str) -> None:
    assert parse_air(text) is None


@given(st.text("urnai:.@+civta12 /\n", max_size=60) | st.text())
def test_no_text_breaks_the_air_reader(text: str) -> None:
    air = parse_air(text)
    assert air is None or air.id


@given(
    st.sampled_from(["", "air:", "urn:air:"]),
    st.integers(1, MAX_ID),
    st.integers(1, MAX_ID) | st.none(),
    st.integers(1, MAX_ID) | st.none(),
)
def test_a_composed_air_comes_apart_again(
    prefix: str, model: int, version: int | None, file: int | None
) -> None:
    text = f"{prefix}sdxl:lora:civitai:{model}"
    text += f"@{version}" if version else ""
    text += f"+{file}" if file else ""
    air = parse_air(text)
    assert air is not None
    assert (air.model_id, air.version_id, air.file_id) == (model, version, file)
