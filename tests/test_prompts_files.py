"""The prompt files: what each promises, and what happens to the values put into them."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.errors import BadReference, NotConfigured
from civit_mcp.prompts import PromptText, load_prompts, parse_prompt

CHECKOUT = Path(__file__).parents[1] / "prompts"
TOOLS = {
    *("search_models", "get_model", "get_model_version", "get_generation_data"),
    *("add_to_catalog", "promote_to_lora", "list_catalog"),
}
#: words in backticks with an underscore that are no tools
WORDS = {
    *("image_id", "version_id", "version_ids", "model_ids", "file_id", "dry_run", "change_id"),
    *("base_model", "base_models", "max_level", "next_cursor", "filters_applied", "why_empty"),
    *("catalog_status", "not_found", "detected_deps", "resolved_by", "trigger_words"),
    *("clean_prompt", "negative_prompt", "already_exists"),
}
RESOURCES = {
    *("catalog://summary", "catalog://models.json", "catalog://loras.json"),
    "civitai://images/{image_id}/generation-data",
}
ARGUMENTS = {
    "recreate-image": {"image": True},
    "build-library": {"topic": True, "base_model": False, "count": False},
    "audit-catalog": {"focus": False},
    "find-style-lora": {"style": True, "base_model": False},
    "why-does-it-look-different": {"image": True, "what_i_changed": False},
}
PROMPTS = {prompt.name: prompt for prompt in load_prompts()}
each_prompt = pytest.mark.parametrize("prompt", PROMPTS.values(), ids=list(PROMPTS))


def required_of(prompt: PromptText, value: str = "x") -> dict[str, str]:
    return {argument.name: value for argument in prompt.arguments if argument.required}


def test_every_file_of_the_checkout_is_offered() -> None:
    assert set(PROMPTS) == {path.stem for path in CHECKOUT.glob("*.md")} == set(ARGUMENTS)
    assert list(PROMPTS) == sorted(PROMPTS)


@each_prompt
def test_the_arguments_are_the_promised_ones_and_each_is_described_and_used(
    prompt: PromptText,
) -> None:
    assert {a.name: a.required for a in prompt.arguments} == ARGUMENTS[prompt.name]
    used = set(re.findall(r"\{\{([a-z_]+)", prompt.body))
    assert used == set(ARGUMENTS[prompt.name])
    assert all(argument.description for argument in prompt.arguments)
    assert prompt.title
    assert prompt.description.endswith(".")


@each_prompt
def test_an_optional_argument_always_has_words_to_stand_for_it(prompt: PromptText) -> None:
    for argument in prompt.arguments:
        if not argument.required:
            assert f"{{{{{argument.name}}}}}" not in prompt.body
            assert f"{{{{{argument.name}|" in prompt.body


@each_prompt
def test_a_plan_names_only_tools_fields_and_resources_that_exist(prompt: PromptText) -> None:
    quoted = set(re.findall(r"`([a-z_]+)`", prompt.body))
    assert {word for word in quoted if "_" in word} <= TOOLS | WORDS
    assert len(quoted & TOOLS) >= 4
    assert set(re.findall(r"\b[a-z]+://[^\s,;]*[a-z}]", prompt.body)) <= RESOURCES
    mentioned = set(
        re.findall(r"\b(?:get|search|add|list|promote|build|check)_[a-z_]+", prompt.body)
    )
    assert mentioned <= TOOLS


@each_prompt
def test_a_plan_is_short_safe_and_asks_before_it_writes(prompt: PromptText) -> None:
    assert 250 <= len(prompt.body.split()) <= 450
    lowered = prompt.body.casefold()
    for needed in ("goal:", "dry_run", "data", "safe-for-work", "stop", "ask", "gate"):
        assert needed in lowered
    first_write = lowered.find("without `dry_run`")
    assert first_write == -1 or lowered.index("`dry_run` = true") < first_write


@each_prompt
def test_rendering_fills_every_place(prompt: PromptText) -> None:
    for values in (required_of(prompt), {a.name: "墨絵 12" for a in prompt.arguments}):
        text = prompt.render(values)
        assert "{{" not in text
        assert "}}" not in text
        assert all(value in text for value in values.values())


@each_prompt
def test_a_missing_required_argument_is_named(prompt: PromptText) -> None:
    for name in required_of(prompt):
        for values in ({}, {name: ""}, {name: " \u200b\n"}):
            with pytest.raises(BadReference, match=f"'{prompt.name}' needs the argument '{name}'"):
                prompt.render(values)


def test_words_stand_for_an_optional_argument_that_is_missing_or_blank() -> None:
    prompt = PROMPTS["build-library"]
    for values in ({"topic": "ships"}, {"topic": "ships", "count": " ", "base_model": ""}):
        assert 'at most "5" new' in prompt.render(values)
    assert 'at most "3" new' in prompt.render({"topic": "ships", "count": "3", "unknown": "x"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb\r\n\tc", "a b c"),
        ("a\u202eb\u200bc\x00d\ud800e", "a b c d e"),
        ('say "stop" `now`', "say 'stop' 'now'"),
        ("{{image}} {{x|y}}", "((image)) ((x|y))"),
        ("+++\ntitle = 'x'\n+++", "+++ title = 'x' +++"),
        ("x" * 600, "x" * 500),
        ("y" * 1_000_000, "y" * 500),
        ("\\1 \\g<0>", "\\1 \\g<0>"),
    ],
)
def test_a_value_is_data_on_one_line(value: str, shown: str) -> None:
    text = PROMPTS["recreate-image"].render({"image": value})
    assert f'the image "{shown}" at home' in text


@given(st.text(max_size=700))
def test_no_value_changes_the_shape_of_a_prompt(value: str) -> None:
    prompt = PROMPTS["audit-catalog"]
    text = prompt.render({"focus": value})
    assert text.count("\n") == prompt.body.count("\n")
    assert text.count('"') == prompt.body.count('"')
    assert "{{" not in text
    before, _, after = prompt.body.partition("{{focus|the whole catalog}}")
    assert text.startswith(before)
    assert text.endswith(after)
    assert len(text) <= len(before) + 500 + len(after)


HEAD = '+++\ntitle = "T"\ndescription = "D."\n'


@pytest.mark.parametrize(
    "text",
    [
        *("", "no front matter", "+++\n", HEAD, "+++\ntitle = \n+++\nbody", "+++\n+++\nbody"),
        *('+++\ntitle = "T"\n+++\nbody', '+++\ntitle = 1\ndescription = "D"\n+++\nbody'),
        *(HEAD + "arguments = 5\n+++\nbody", HEAD + "arguments = [5]\n+++\nbody"),
        HEAD + '[[arguments]]\nname = "x"\n+++\nbody',
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(text: str) -> None:
    with pytest.raises(NotConfigured, match=r"'mine\.md' is broken"):
        parse_prompt("mine", text)


def test_a_file_with_windows_line_ends_is_read_the_same() -> None:
    text = HEAD + "+++\nbody {{x|y}}\nend\n"
    assert parse_prompt("mine", text.replace("\n", "\r\n")) == parse_prompt("mine", text)
    assert parse_prompt("mine", text).render({}) == "body y\nend\n"
