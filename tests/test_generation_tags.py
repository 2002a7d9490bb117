"""Prompt tags: what is one, what it says, and what a prompt looks like without them."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from civit_mcp.generation import Tag, clean_prompt, scan


def only(text: str) -> Tag:
    (tag,) = scan(text)
    return tag


@pytest.mark.parametrize(
    ("text", "kind", "name", "weight", "clip"),
    [
        ("<lora:Ink:0.8>", "lora", "Ink", 0.8, None),
        ("<lora:Ink:.8>", "lora", "Ink", 0.8, None),
        ("<lora:Ink:-0.5>", "lora", "Ink", -0.5, None),
        ("<lora:Ink:1.>", "lora", "Ink", 1.0, None),
        ("<lora:Ink>", "lora", "Ink", 1.0, None),
        ("<LORA:Ink:0.8>", "lora", "Ink", 0.8, None),
        ("< lora : Ink wash : 0.8 >", "lora", "Ink wash", 0.8, None),
        ("<lora:Ink:0.8:0.4>", "lora", "Ink", 0.8, 0.4),
        ("<lora:Ink:te=0.5:unet=0.8>", "lora", "Ink", 0.8, 0.5),
        ("<lora:Ink:te=0.5>", "lora", "Ink", 0.5, 0.5),
        ("<lora:Ink:1:lbw=1,0,0,0.5>", "lora", "Ink", 1.0, None),
        ("<lora:Ink:0.3:NIN>", "lora", "Ink", 0.3, None),
        ("<lora:Ink:0.3:NIN:0.6>", "lora", "Ink", 0.3, 0.6),
        ("<lyco:Ink:0.8>", "lyco", "Ink", 0.8, None),
        ("<lycoris:Ink:0.8>", "lyco", "Ink", 0.8, None),
        ("<locon:Ink:0.8>", "lyco", "Ink", 0.8, None),
        ("<dora:Ink:0.8>", "lora", "Ink", 0.8, None),
        ("<hypernet:Ink:0.7>", "hypernet", "Ink", 0.7, None),
        ("<embed:Ink>", "embedding", "Ink", 1.0, None),
        ("<lora:styles\\ink/wash_v1.2:1>", "lora", "styles\\ink/wash_v1.2", 1.0, None),
        ("<lora:剪纸:1.2>", "lora", "剪纸", 1.2, None),
        ("<lora:Ink (v2), wet & dry:0.8>", "lora", "Ink (v2), wet & dry", 0.8, None),
    ],
)
def test_every_form_of_a_tag_is_read(
    text: str, kind: str, name: str, weight: float, clip: float | None
) -> None:
    tag = only(f"a fox, {text} in snow")
    assert (tag.kind, tag.name, tag.weight, tag.clip_weight) == (kind, name, weight, clip)
    assert tag.odd_weight is None


@pytest.mark.parametrize(
    "weight", ["1.2.3", "strong", "", "nan", "inf", "1e999", "0,8", "[0.1@0.5]", "9" * 30]
)
def test_a_weight_that_is_no_number_counts_as_one_and_is_said(weight: str) -> None:
    tag = only(f"<lora:Ink:{weight}>")
    assert tag.weight == 1.0
    assert tag.odd_weight


@pytest.mark.parametrize(
    "text",
    [
        "<lora:Ink:0.8", "lora:Ink:0.8>", "<lora:>", "<lora::0.8>", "<lora: :1>", "<b>bold</b>",
        "<3 cats", "<colora:Ink:1>", "<loras:Ink:1>", "<lora Ink>", "<lora:Ink\n:0.8>",
        "<(realistic:1.3), intricate>", "<lora:" + "x" * 400 + ":1>",
    ],
)  # fmt: skip
def test_what_is_no_tag_stays_text(text: str) -> None:
    assert scan(text) == ()
    assert clean_prompt(text) == text


def test_an_unclosed_tag_does_not_swallow_the_next_one() -> None:
    assert [tag.name for tag in scan("<lora:Ink, a fox <lora:Wash:0.5> runs")] == ["Wash"]


def test_hostile_repetition_is_read_in_one_pass() -> None:
    size = 1_000_000
    for text in (
        "<lora:" * (size // 6),
        "<lora:" + "x" * size,
        "<" + " " * size,
        "<lora:a" * 99_999,
    ):
        assert scan(text) == ()
        assert clean_prompt(text) == text
    many = "<lora:a:1>" * 20_000
    assert len(scan(many)) == 20_000
    assert clean_prompt(many) == ""
    wide = ("<lora:a:1>" + " ," * 50) * 2_000
    assert clean_prompt(f"fox {wide}bear") == "fox,bear"
    deep = "(" * 20_000 + "<lora:a:1>" + ")" * 20_000
    assert clean_prompt(deep) == ""


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (
            "a portrait of a woman <lora:DetailTweaker:0.8> <lora:FilmGrain:0.5>, soft lighting",
            "a portrait of a woman, soft lighting",
        ),
        ("a fox, <lora:Ink:1>, snow", "a fox, snow"),
        ("a fox,<lora:Ink:1>,snow", "a fox,snow"),
        ("a fox, <lora:Ink:1> snow", "a fox, snow"),
        ("a fox , <lora:Ink:1> , snow", "a fox, snow"),
        ("a fox <lora:Ink:1>, <lora:Wash:1> snow", "a fox, snow"),
        ("a fox <lora:Ink:1> in snow", "a fox in snow"),
        ("a fox<lora:Ink:1>snow", "a fox snow"),
        ("a fox<lora:Ink:1>, snow", "a fox, snow"),
        ("a fox <lora:Ink:1>. Snow", "a fox. Snow"),
        ("<lora:Ink:1>, a fox", "a fox"),
        ("<lora:Ink:1> a fox", "a fox"),
        ("a fox, <lora:Ink:1>", "a fox"),
        ("a fox, <lora:Ink:1>, <lyco:Wash:1>,\n", "a fox"),
        ("<lora:Ink:1>", ""),
        ("(a fox <lora:Ink:1>), snow", "(a fox), snow"),
        ("(<lora:Ink:1> a fox), snow", "(a fox), snow"),
        ("a fox, (<lora:Ink:1>), snow", "a fox, snow"),
        ("a fox, (<lora:Ink:1>:1.2), snow", "a fox, snow"),
        ("a fox, ((<lora:Ink:1>, <lora:Wash:1>)), snow", "a fox, snow"),
        ("[<lora:Ink:1>|a fox]", "[|a fox]"),
        ("a fox,\n<lora:Ink:1>\nsnow", "a fox,\n\nsnow"),
        ("a fox, <lora:Ink:1>\nsnow", "a fox,\nsnow"),
        ("a fox\n<lora:Ink:1> snow", "a fox\nsnow"),
        ("a fox\r\n<lora:Ink:1>, snow", "a fox\r\nsnow"),
        ("<lora:Ink:1>\n<lora:Wash:1>\na fox", "a fox"),
        ("<embed:Ink> a  fox ,, snow", "a  fox ,, snow"),
        ("  a  fox ,, <lora:Ink:1>  snow  ", "  a  fox, snow  "),
    ],
)
def test_a_tag_goes_with_the_separator_around_it(text: str, clean: str) -> None:
    assert clean_prompt(text) == clean


@given(st.text())
@example("a fox ,, in  snow,\n\n ")
def test_a_prompt_without_tags_comes_back_as_it_is(text: str) -> None:
    if not scan(text):
        assert clean_prompt(text) == text


names = st.text(
    st.characters(exclude_characters=":<>\r\n", exclude_categories=["Cs", "Cc"]),
    min_size=1,
    max_size=40,
).filter(lambda name: name.strip() != "")
weights = st.floats(-4, 4).map(lambda number: round(number, 3))
kinds = st.sampled_from(["lora", "lyco", "hypernet", "LoRA", "lycoris"])
tags = st.tuples(kinds, names, weights)
words = st.text("abc xyz,.()\n-1é剪", max_size=20)


@given(st.lists(st.tuples(words, tags), max_size=6), words)
def test_the_scanner_finds_what_a_generator_composed(
    parts: list[tuple[str, tuple[str, str, float]]], tail: str
) -> None:
    text = "".join(f"{word}<{kind}:{name}:{weight}>" for word, (kind, name, weight) in parts) + tail
    found = scan(text)
    assert [(tag.name, tag.weight) for tag in found] == [
        (name.strip(), weight) for _, (_, name, weight) in parts
    ]
    assert all(text[tag.start] == "<" and text[tag.end - 1] == ">" for tag in found)


@given(st.lists(st.tuples(words, tags), min_size=1, max_size=6), words)
def test_removing_tags_keeps_every_word_and_every_line(
    parts: list[tuple[str, tuple[str, str, float]]], tail: str
) -> None:
    text = "".join(f"{word}<{kind}:{name}:{weight}>" for word, (kind, name, weight) in parts) + tail
    blanked = "".join(f"{word} " for word, _ in parts) + tail
    clean = clean_prompt(text)
    assert re.findall(r"\w+", clean) == re.findall(r"\w+", blanked)
    outer = blanked.strip(" ,\t\r\n")
    if clean.strip(" ,\t\r\n") and "()" not in re.sub(r"[ ,]", "", blanked):
        assert clean.strip(" ,\t\r\n").count("\n") == outer.count("\n")
    assert scan(clean) == ()


@given(st.text("<>lora:,() \n.8=x", max_size=200))
def test_no_text_breaks_the_scanner(text: str) -> None:
    clean_prompt(text)
    for tag in scan(text):
        assert text[tag.start : tag.end].startswith("<")
