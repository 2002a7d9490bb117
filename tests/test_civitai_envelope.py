"""JSON from strangers, tRPC envelopes, devalue, and the many shapes of an error."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.civitai.devalue import undevalue
from civit_mcp.civitai.envelope import Opened, Refused, encode_input, unwrap
from civit_mcp.civitai.faults import message_of
from civit_mcp.civitai.jsontext import NotJson, parse
from civit_mcp.civitai.redaction import Redactor

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def test_control_characters_byte_order_mark_and_bad_utf8_are_read() -> None:
    assert parse(b'\xef\xbb\xbf{"a": "x\ny\x01"}') == {"a": "x\ny\x01"}
    assert parse(b'{"a": "\xff"}') == {"a": "\ufffd"}


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999", "-1e4000", "9" * 5000])
def test_a_number_that_json_cannot_carry_on_becomes_null(token: str) -> None:
    assert parse(f'{{"a": [{token}], "b": 3, "c": 0.5}}') == {"a": [None], "b": 3, "c": 0.5}


def test_what_nests_no_deeper_than_allowed_is_read() -> None:
    assert parse(b"[" * 100 + b"]" * 100) is not None


def test_half_a_surrogate_pair_becomes_writable_and_a_whole_one_stays() -> None:
    value = parse(r'{"\ud800k": ["a\udc00", "\ud83d\ude00", "\\ud800"]}')
    assert value == {"\ufffdk": ["a\ufffd", "\U0001f600", "\\ud800"]}
    json.dumps(value, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"  <html>", "HTML"),
        (b"Internal Server Error", "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b"[" + b"9" * 5000 + b", oops", "not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"[" * 101 + b"]" * 101, "nested too deep"),
        (b'["]",' * 200 + b"1" + b',"["]' * 200, "nested too deep"),
        (b"[" + b"9" * 5000 + b"," + b"[" * 50_000, "nested too deep"),
        (b"[" * 400 + b"]" * 400, "nested too deep"),
        (b'{"a":' * 400 + b"1" + b"}" * 400, "nested too deep"),
    ],
)
def test_what_is_no_json_is_named(body: bytes, reason: str) -> None:
    with pytest.raises(NotJson, match=reason):
        parse(body)


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(NotJson):
        parse(body)


def test_input_is_encoded_once_and_says_nothing_about_a_cursor() -> None:
    assert encode_input({"id": 7}) == '{"json":{"id":7}}'


@pytest.mark.parametrize(
    "payload",
    [
        {"result": {"data": {"json": {"id": 1}}}},
        {"result": {"data": {"json": {"id": 1}, "meta": {"values": {"x": ["undefined"]}}}}},
        {"result": {"data": {"id": 1}}},
        [{"result": {"data": {"json": {"id": 1}}}}],
        {"result": {"data": '[{"id":1},1]'}},
        {"result": {"data": '[{"json":1},{"id":2},1]'}},
    ],
)
def test_every_make_of_envelope_opens_to_the_same(payload: Any) -> None:
    opened = unwrap(payload)
    assert isinstance(opened, Opened)
    assert opened.value == {"id": 1}
    assert opened.raw["result"]["data"]["json"] == {"id": 1}


def test_the_raw_form_keeps_what_was_sent() -> None:
    payload = {"result": {"data": {"json": {"a": None}, "meta": {"values": {"a": ["undefined"]}}}}}
    opened = unwrap(payload)
    assert isinstance(opened, Opened)
    assert opened.raw == payload


@pytest.mark.parametrize(
    "payload",
    [None, 3, "text", [], [1, 2], {}, {"result": 1}, {"result": {}}, {"result": {"data": "oops"}}],
)
def test_what_is_no_envelope_is_refused(payload: Any) -> None:
    with pytest.raises(NotJson):
        unwrap(payload)


NOT_FOUND = {
    "message": "No image with id 1",
    "code": -32004,
    "data": {"code": "NOT_FOUND", "httpStatus": 404, "path": "image.get"},
}
DEVALUED_NOT_FOUND = json.dumps(
    [
        {"json": 1},
        {"message": 2, "code": 3, "data": 4},
        "No image with id 1",
        -32004,
        {"httpStatus": 5},
        404,
    ]
)


@pytest.mark.parametrize(
    "error", [{"json": NOT_FOUND}, NOT_FOUND, DEVALUED_NOT_FOUND], ids=["json", "bare", "devalue"]
)
@pytest.mark.parametrize("batch", [False, True])
def test_an_error_envelope_tells_status_and_message(error: Any, *, batch: bool) -> None:
    payload = {"error": error}
    assert unwrap([payload] if batch else payload) == Refused(404, "No image with id 1")


@pytest.mark.parametrize("status", [None, "404", True, 200, 10**30])
def test_an_error_envelope_without_a_usable_status_is_a_fault_of_theirs(status: Any) -> None:
    assert unwrap({"error": {"message": "m", "data": {"httpStatus": status}}}) == Refused(500, "m")


@given(JSON)
def test_any_json_is_an_envelope_or_refused(payload: Any) -> None:
    for form in (payload, {"result": {"data": payload}}, {"error": payload}):
        with contextlib.suppress(NotJson):
            unwrap(form)


def test_devalue_tags_and_constants_are_decoded() -> None:
    flat: list[Any] = [
        {"when": 1, "big": 2, "set": 3, "map": 6, "none": -1, "hole": 9, "bare": 10, "re": 11},
        ["Date", "2026-01-02T03:04:05.000Z"],
        ["BigInt", "-12345678901234567890"],
        ["Set", 4, 5],
        "a",
        "b",
        ["Map", 4, 7, 8, 5],
        1.5,
        3,
        [-2, -3, -4, -5, -6, 7],
        ["null", "k", 4],
        ["RegExp", "x+", "gi"],
    ]
    value = undevalue(json.dumps(flat))
    assert value == {
        "when": "2026-01-02T03:04:05.000Z",
        "big": -12345678901234567890,
        "set": ["a", "b"],
        "map": {"a": 1.5, "3": "b"},
        "none": None,
        "hole": [None, None, None, None, -0.0, 1.5],
        "bare": {"k": "a"},
        "re": "/x+/gi",
    }
    assert math.copysign(1, value["hole"][4]) == -1


def test_a_repeated_value_is_decoded_at_each_place() -> None:
    assert undevalue('[[1,1],{"a":2},"x"]') == [{"a": "x"}, {"a": "x"}]


@pytest.mark.parametrize("text", ["-1", "-3"])
def test_a_lone_constant_is_decoded(text: str) -> None:
    assert undevalue(text) is None


def test_unknown_tags_and_odd_parts_are_nothing() -> None:
    assert undevalue('[["Uint8Array","AAA="]]') is None
    assert undevalue('[["Date"]]') is None
    assert undevalue('[["BigInt","12x"]]') is None
    assert undevalue('[["Map",1],5]') == {}
    assert undevalue('[["RegExp"]]') == "//"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "7",
        "null",
        "[]",
        "[[5]]",
        '[{"a":"x"}]',
        "[[true]]",
        "[[0]]",
        '[{"a":0}]',
        json.dumps([[index + 1, index + 1] for index in range(60)] + [0]),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_devalue_that_is_broken_circular_or_explosive_is_refused(text: str) -> None:
    with pytest.raises(NotJson):
        undevalue(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists) | JSON)
def test_any_text_is_devalue_or_refused(value: Any) -> None:
    with contextlib.suppress(NotJson):
        undevalue(json.dumps(value))


ISSUES = [
    {"code": "invalid_type", "path": ["ids", 0], "message": "expected number"},
    {"path": [], "message": "at the root"},
]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"error": "No model with id 123"}, "No model with id 123"),
        (
            {"error": {"name": "ZodError", "message": json.dumps(ISSUES)}},
            "ids.0: expected number; at the root",
        ),
        (
            {"error": {"issues": ISSUES, "name": "ZodError"}},
            "ids.0: expected number; at the root",
        ),
        ({"error": ISSUES}, "ids.0: expected number; at the root"),
        (
            {"name": "ZodError", "message": json.dumps(ISSUES)},
            "ids.0: expected number; at the root",
        ),
        (ISSUES, "ids.0: expected number; at the root"),
        (
            {"error": "✖ Invalid input: expected number, received NaN\n  → at id"},
            "id: Invalid input: expected number, received NaN",
        ),
        (
            {"error": "✖ One\n  → at a.b\n✖ Two"},
            "a.b: One; Two",
        ),
        (
            {"error": f"Request must include an array of SHA256 Hashes. {json.dumps(ISSUES)}"},
            "Request must include an array of SHA256 Hashes. ids.0: expected number; at the root",
        ),
        ({"message": "User not found"}, "User not found"),
        ({"error": "Early Access", "code": "X"}, "Early Access"),
        (
            {"error": "Unauthorized", "message": "The creator requires a login"},
            "The creator requires a login",
        ),
        ({"error": "Unauthorized"}, "Unauthorized"),
        ({"error": {"json": {"message": "Could not find entity"}}}, "Could not find entity"),
        (
            {"error": {"json": {"message": json.dumps(ISSUES), "data": {"code": "BAD_REQUEST"}}}},
            "ids.0: expected number; at the root",
        ),
        ({"code": "UNAUTHORIZED", "message": "m", "issues": ISSUES}, None),
        ({"error": DEVALUED_NOT_FOUND}, "No image with id 1"),
        ({"error": None, "message": None}, ""),
        ({}, ""),
        ([], ""),
        (None, ""),
        (12, ""),
        ({"error": {"error": {"error": {"error": {"error": {"error": {"error": "x"}}}}}}}, ""),
    ],
)
def test_the_message_is_found_in_every_known_shape(payload: Any, message: str | None) -> None:
    expected = "ids.0: expected number; at the root" if message is None else message
    assert message_of(payload) == expected


def test_a_message_is_one_clean_line_of_bounded_length() -> None:
    message = message_of({"error": "a\n\tb\x00\u202ec\u200b " + "x" * 1000})
    assert message.startswith("a b c x")
    assert len(message) == 300
    many = [{"path": ["p"], "message": "m"}] * 9
    assert message_of(many).endswith("p: m; and 4 more")


@given(JSON)
def test_any_error_body_has_a_message_or_none(payload: Any) -> None:
    for form in (payload, {"error": payload}, {"message": json.dumps(payload)}):
        assert len(message_of(form)) <= 300


def test_secrets_are_masked_in_every_spelling() -> None:
    clean = Redactor(["p@ss word/1", ""])
    for text in (
        "the key p@ss word/1 is bad",
        "seen as p%40ss%20word%2F1 somewhere",
        "https://x/?a=1&token=p%40ss%20word%2F1",
        "Authorization: Bearer p@ss",
        "https://x/y?Token=zzz#f",
        "Cookie: __Secure-civ-token=zzz; other=1",
    ):
        masked = clean.text(text)
        assert "[secret]" in masked
        assert not {"p@ss", "p%40ss", "zzz"} & set(masked.replace("=", " ").split())


def test_a_body_stays_json_when_it_is_cleaned() -> None:
    clean = Redactor(["12345678"])
    body = json.dumps(
        {
            "a": "https://x/?token=abc",
            "b": "?x=1&TOKEN=abc&y=2",
            "c": "holds 12345678",
            "d": r"\"?token=abc\"",
            "e": "no secret: token = 5",
        }
    ).encode()
    assert json.loads(clean.body(body)) == {
        "a": "https://x/?token=[secret]",
        "b": "?x=1&TOKEN=[secret]&y=2",
        "c": "holds [secret]",
        "d": r"\"?token=[secret]\"",
        "e": "no secret: token = 5",
    }
