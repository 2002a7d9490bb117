"""Strangers' words: what may not be shown goes, what is long is cut without loss."""

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civit_mcp.text import clean_html, clean_prose, cut, one_line

#: format characters that are drawn
DRAWN = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
INVISIBLE = {
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "byte order mark": "\ufeff",
    "right-to-left override": "\u202e",
    "isolate": "\u2066",
    "soft hyphen": "\u00ad",
    "tag letter": "\U000e0041",
    "unassigned tag": "\U000e0080",
    "variation selector": "\ufe0f",
    "variation selector 17": "\U000e0100",
    "Hangul filler": "\u3164",
    "grapheme joiner": "\u034f",
    "blank Braille": "\u2800",
    "escape": "\x1b",
    "nul": "\x00",
    "delete": "\x7f",
    "lone surrogate": "\ud83d",
    "noncharacter": "\uffff",
}


def forbidden(text: str) -> set[str]:
    return {
        char
        for char in text
        if char not in "\n\t"
        and char not in DRAWN
        and unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    }


@pytest.mark.parametrize("char", INVISIBLE.values(), ids=list(INVISIBLE))
def test_characters_that_nobody_sees_are_removed(char: str) -> None:
    assert clean_prose(f"in{char}k") == "ink"
    assert one_line(f"in{char}k") == "ink"
    assert clean_html(f"<p>in{char}k</p>") == "ink"
    assert clean_html(f"in{char}k") == "ink"


def test_every_format_and_control_character_of_unicode_is_removed_or_drawn() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert not forbidden(clean_prose(everything))


def test_what_people_write_stays() -> None:
    text = "Ink\twash — 墨絵, naïve, 10 € (½)\nمرحبا"
    assert clean_prose(text) == text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_every_line_end_becomes_a_newline(end: str) -> None:
    assert clean_prose(f"a{end}b") == "a\nb"


def test_letters_are_composed() -> None:
    assert clean_prose("cafe\u0301") == "café"


def test_nothing_is_nothing() -> None:
    assert (clean_prose(None), clean_html(None), one_line(None)) == ("", "", "")
    assert (clean_prose(""), clean_html(""), one_line("")) == ("", "", "")


def test_accents_that_composing_multiplies_are_limited_too() -> None:
    cleaned = clean_prose("a" + "\u0344" * 30)
    assert len(cleaned) == 31
    assert clean_prose(cleaned) == cleaned


def test_towers_of_accents_are_cut_to_what_scripts_use() -> None:
    tower = clean_prose("a" + "\u0301\u0316" * 300_000 + "b")
    assert len(tower) < 40
    assert tower.endswith("b")


@given(st.text(max_size=400))
def test_cleaning_leaves_nothing_hidden_and_nothing_to_clean(text: str) -> None:
    cleaned = clean_prose(text)
    assert not forbidden(cleaned)
    assert clean_prose(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)


@given(st.text(alphabet="ab\u0301\u0316\u0344\u0338=\u1100\u1161\u11a8", max_size=200))
def test_cleaning_twice_is_cleaning_once_whatever_the_accents(text: str) -> None:
    cleaned = clean_prose(text)
    assert clean_prose(cleaned) == cleaned


@given(st.text(max_size=300), st.integers(min_value=-5, max_value=80))
def test_a_line_is_one_line_within_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= max(limit, 0)
    assert not forbidden(line)
    assert "\n" not in line
    assert "\t" not in line
    assert "  " not in line
    assert line == line.strip()
    assert one_line(line, limit) == line


def test_a_cut_name_says_so() -> None:
    assert one_line("ink wash landscape", 9) == "ink wash…"
    assert one_line("  ink \n\t wash ", 9) == "ink wash"


@given(
    st.text(alphabet=st.sampled_from("abc \n\u0301é"), max_size=600) | st.text(max_size=300),
    st.integers(min_value=-3, max_value=120),
)
def test_pieces_put_together_are_the_whole(text: str, limit: int) -> None:
    pieces = []
    offset: int | None = 0
    while offset is not None:
        piece, following = cut(text, offset, limit)
        assert len(piece) <= max(limit, 1)
        assert following is None or following > offset
        pieces.append(piece)
        offset = following
    assert "".join(pieces) == text


def test_a_piece_ends_with_a_line_before_a_word_before_a_letter() -> None:
    assert cut("a" * 90 + "\n" + "b" * 5 + " " + "c" * 50, 0, 100) == ("a" * 90 + "\n", 91)
    assert cut("a" * 90 + " " + "b" * 50, 0, 100) == ("a" * 90 + " ", 91)
    assert cut("a" * 200, 0, 100) == ("a" * 100, 100)
    assert cut("a" * 99 + "e\u0301" + "b" * 50, 0, 100) == ("a" * 99, 99)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (-5, ("text", None)),
        (0, ("text", None)),
        (2, ("xt", None)),
        (4, ("", None)),
        (99, ("", None)),
    ],
)
def test_an_offset_outside_the_text_is_no_error(start: int, expected: tuple[str, None]) -> None:
    assert cut("text", start, 10) == expected


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("plain", "plain"),
        ("a &lt;b&gt; &amp;amp; &eacute;", "a <b> &amp; é"),
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("one<br><br><br><br>two", "one\n\ntwo"),
        ("<div><div><p>one</p></div></div><div>two</div>", "one\ntwo"),
        ("<b>bo</b>ld and <i> it </i> alic", "bold and it alic"),
        ("<p>one\n   two\t three</p>", "one two three"),
        ("&nbsp;one&nbsp;&nbsp;two&nbsp;", "one  two"),
        ("<p>&nbsp;one&nbsp;&nbsp;two</p>", "one two"),
        ("<h1>Title</h1>text", "Title\ntext"),
        ("<ul><li>one</li><li>two</li></ul>after", "- one\n- two\nafter"),
        ("<ul><li><p>one</p></li><li></li></ul><p>after</p>", "- one\nafter"),
        ("<ol><li>one<ul><li>in</li></ul></li><li>two</li></ol>", "- one\n- in\n- two"),
        ("<li><br>late</li>", "- late"),
        ("<table><tr><th>a</th><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<pre>one\n  two</pre>three", "one\ntwo\nthree"),
        ("a<script>alert('x')</script><style>p{}</style>b", "ab"),
        ("a<script>never closed <p>b</p>", "a"),
        ("a<!-- no --><!----><!-->b", "ab"),
        ("a<!-- never closed <p>b</p>", "a"),
        ("a<!-- one <!-- two -->b", "ab"),
        ("a<!-- one <!-->b<!--->c<!-- -->d", "abcd"),
        ("a<template><p>b</p></template><iframe src=x></iframe>c", "ac"),
        ("<img src=x alt='words'>", ""),
        ("3 < 5 and 7 > 6", "3 < 5 and 7 > 6"),
        ("<p>a < b</p>", "a < b"),
        ("<unknown>kept</unknown>", "kept"),
        ("</p></div>stray", "stray"),
        ("<p title='a > b'>one</p>", "one"),
        ("<?php echo 1 ?>x<![CDATA[y]]>", "<?php echo 1 ?>x<![CDATA[y]]>"),
        ('<a href="https://example.com/x">see</a>', "see (https://example.com/x)"),
        ('<a href="https://example.com/x">https://example.com/x</a>', "https://example.com/x"),
        ('<a href="https://example.com/">www.example.com</a>', "www.example.com"),
        (
            '<a href="https://example.com/x"><b>bold</b> link</a>',
            "bold link (https://example.com/x)",
        ),
        ('<a href="javascript:alert(1)">see</a>', "see"),
        ('<a href="/models/5">see</a>', "see"),
        ('<a href="ftp://example.com/x">see</a>', "see"),
        ('<a href="https:///">see</a>', "see"),
        ('<a href="https://[x">see</a>', "see"),
        ('<a href="https://exam ple.com">see</a>', "see"),
        ('<a href="https://e.example/\u202ex">see</a>', "see"),
        (f'<a href="https://e.example/{"x" * 600}">see</a>', "see"),
        ("<a>see</a>", "see"),
        ("&#x110000;&#99999999999;&#0;x", "\ufffd\ufffdx"),
        ("<p>&#" + "9" * 5000 + ";x</p>", "x"),
        ("https://example.com/x", "https://example.com/x"),
        ("file.html", "file.html"),
    ],
)
def test_html_becomes_text(markup: str, text: str) -> None:
    assert clean_html(markup) == text


@pytest.mark.parametrize(
    "markup",
    [
        *("<div>" * 60_000, "<b>" * 60_000, "<div>" * 30_000 + "</b>" * 30_000),
        *("<ul><li>" * 20_000 + "deep", '<a href="https://e.example">' * 20_000 + "deep"),
        *("<" * 1_000_000, "</" * 500_000, "<a " * 300_000, '<a "' * 250_000, "<?" * 500_000),
        *("<!--" * 250_000, "<!-- -->" * 120_000, "<![CDATA[" * 100_000, "<script>" * 100_000),
        *("&" * 1_000_000, "<b>" + "&amp" * 200_000, "<b>&" + "a" * 1_000_000),
        *("<a " + "x " * 400_000 + ">", "<b>" + " " * 1_000_000, "\n" * 1_000_000 + "<b>"),
        *("a" + "\u0301\u0316" * 400_000, "<p>" + "\u202e" * 900_000, "\x00" * 1_000_000),
    ],
    ids=lambda markup: ascii(markup[:12]),
)
def test_a_hostile_megabyte_is_read_without_recursion_or_quadratic_work(markup: str) -> None:
    """Quadratic work on any of these would take minutes."""
    assert not forbidden(clean_html(markup))


tags = st.sampled_from(
    [
        *("<p>", "</p>", "<li>", "</li>", "<ul>", "<pre>", "</pre>", "<br>", "<a>", "</a>", "<td>"),
        *("<script>", "</script>", "<!--", "-->", "<", ">", "<a href='", "<![", "&#", ";"),
        *('<a href="https://e.example/x">', "&amp;", "&nbsp;", "\u202e"),
    ]
)


@settings(max_examples=200)
@given(st.lists(tags | st.text(max_size=6), max_size=25).map("".join))
def test_any_markup_becomes_clean_text(markup: str) -> None:
    text = clean_html(markup)
    assert not forbidden(text)
    assert clean_prose(text) == text
    assert "\n\n\n" not in text
    assert text == text.strip("\n")


def test_recorded_descriptions_become_readable_text(recorded: Path) -> None:
    texts = []
    for path in sorted((recorded / "rest" / "models").glob("*.json"))[:300]:
        answer = json.loads(path.read_text(encoding="utf-8"))
        texts.append(clean_html(answer.get("description")))
    assert any(texts)
    for text in texts:
        assert not forbidden(text)
        assert not re.search(r"</?(?:p|strong|a|br|ul|li|h[1-6])[ >/]|&(?:nbsp|amp|quot);", text)
