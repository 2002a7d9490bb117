"""The resolver under thousands of odd texts; `python -m tests.fuzz_references` tries more."""

import pytest

from civit_mcp.references import parse_reference
from tests import fuzz_references
from tests.fuzz_references import CORPUS, flaw


def test_the_corpus_has_at_least_300_different_spellings() -> None:
    assert len(CORPUS) >= 300
    assert len({text.casefold() for text in CORPUS}) >= 280


def test_two_thousand_odd_texts_are_references_or_refused() -> None:
    outcome = fuzz_references.run(2_000, seed=7)

    assert outcome.failures == []
    assert outcome.kinds.total() == 2_000
    # odd enough to be refused at times, and sound enough to be understood at times
    assert {"bad_reference", "version", "model", "image", "hash", "name"} <= outcome.kinds.keys()


def test_the_command_says_how_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz_references.main(["--count", "50", "--seed", "3"]) == 0
    assert "50 texts" in capsys.readouterr().out


def test_a_number_that_was_not_in_the_text_is_a_flaw() -> None:
    found = parse_reference("https://civitai.com/models/827184")

    assert flaw(found, "https://civitai.com/models/827184") == ""
    assert "nowhere" in flaw(found, "https://civitai.com/models/1")
