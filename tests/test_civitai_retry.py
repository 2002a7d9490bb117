"""When the client asks again: decided without a network and without a clock."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.civitai.cache import LONGEST, AnswerCache, lifetime
from civit_mcp.civitai.retry import RetryPolicy, Trouble, read_retry_after, trouble_of
from civit_mcp.civitai.seam import Reply
from tests.civitai_support import HandClock

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
POLICY = RetryPolicy()


@pytest.mark.parametrize("status", [502, 503, 504, 520, 521, 522, 523, 524])
def test_an_overloaded_edge_is_worth_another_try(status: int) -> None:
    assert trouble_of(status, b"<html>", retry_after=None) == Trouble("busy")


@pytest.mark.parametrize(
    "status", [200, 300, 400, 401, 403, 404, 405, 408, 410, 413, 422, 451, 499, 501, 525]
)
def test_a_final_answer_is_not_asked_for_again(status: int) -> None:
    assert trouble_of(status, b"", retry_after=2) is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":"You\'ve requested too many pages, please use cursors instead"}',
        b'{"error":"Too Many Pages"}',
        b'{"error":"please USE CURSORS"}',
    ],
)
def test_the_page_cap_is_never_asked_for_again(body: bytes) -> None:
    assert trouble_of(429, body, retry_after=1) is None


@pytest.mark.parametrize(
    ("kind", "tries"), [("network", 3), ("busy", 3), ("fault", 1), ("limited", 2), ("garbled", 1)]
)
def test_each_trouble_has_its_number_of_tries(kind: str, tries: int) -> None:
    trouble = Trouble(kind)  # type: ignore[arg-type] # the parameters are the kinds
    waits = [POLICY.wait(trouble, count=count, elapsed=0) for count in range(1, tries + 2)]
    assert all(wait is not None and wait > 0 for wait in waits[:tries])
    assert waits[tries] is None


def test_waits_double_and_a_limit_is_met_slowly() -> None:
    def wait(kind: str, count: int) -> float:
        trouble = Trouble(kind)  # type: ignore[arg-type] # as above
        seconds = POLICY.wait(trouble, count=count, elapsed=0, chance=0.5)
        assert seconds is not None
        return seconds

    assert [wait("busy", count) for count in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert [wait("limited", count) for count in (1, 2)] == [5.0, 10.0]


def test_a_wait_that_civitai_asks_for_is_honoured_up_to_a_bound() -> None:
    assert POLICY.wait(Trouble("limited", 30), count=1, elapsed=0) == 30
    assert POLICY.wait(Trouble("busy", 2), count=1, elapsed=0) == 2
    assert POLICY.wait(Trouble("limited", 31), count=1, elapsed=0) is None
    assert POLICY.wait(Trouble("busy", 1e12), count=1, elapsed=0) is None


def test_no_wait_goes_past_the_end_of_the_call() -> None:
    assert POLICY.wait(Trouble("limited", 30), count=1, elapsed=31) is None
    assert POLICY.wait(Trouble("limited", 30), count=1, elapsed=29) == 30


@given(
    asked=st.none() | st.floats(0, 30),
    count=st.integers(1, 3),
    elapsed=st.floats(0, 100),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_is_never_shorter_than_asked_nor_past_the_total(
    asked: float | None, count: int, elapsed: float, chance: float
) -> None:
    wait = POLICY.wait(Trouble("busy", asked), count=count, elapsed=elapsed, chance=chance)
    if wait is not None:
        assert wait >= (asked or 0)
        assert elapsed + wait < POLICY.total


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 20 Nov 2026 13:00:30 +0100", 30.0),
        ("Fri, 20 Nov 2026 12:00:30 -0000", 30.0),
        ("", None),
        (None, None),
        ("soon", None),
        ("-5", None),
        ("inf", None),
        ("nan", None),
        ("٣", None),
        ("9" * 40, None),
        ("Fri, 99 Nov 99999 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    text: str | None, seconds: float | None
) -> None:
    assert read_retry_after(text, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_survived(text: str) -> None:
    seconds = read_retry_after(text, NOW)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"cache-control": "public, s-maxage=300, stale-while-revalidate=150"}, 300),
        ({"cache-control": "public, max-age=60, s-maxage=30"}, 30),
        ({"cache-control": "Public, Max-Age=60"}, 60),
        ({"cache-control": 's-maxage="90"'}, 90),
        ({"cache-control": "s-maxage=300", "age": "299"}, 1),
        ({"cache-control": "s-maxage=300", "age": "301"}, 0),
        ({"cache-control": "s-maxage=999999999"}, LONGEST),
        ({"cache-control": "max-age=0, private, no-cache"}, 0),
        ({"cache-control": "no-store, s-maxage=300"}, 0),
        ({"cache-control": "private, max-age=60"}, 0),
        ({"cache-control": "max-age=60, no-cache"}, 0),
        ({"cache-control": "s-maxage=soon, max-age=7"}, 7),
        ({"cache-control": "=,=,max-age"}, 0),
    ],
)
def test_an_answer_lives_as_long_as_its_headers_say(
    headers: dict[str, str], seconds: float
) -> None:
    assert lifetime(headers) == seconds


def reply(status: int = 200, body: bytes = b"{}", control: str = "s-maxage=3600") -> Reply:
    return Reply(status=status, headers={"cache-control": control}, body=body)


def test_an_answer_is_forgotten_when_its_time_is_over() -> None:
    clock = HandClock()
    cache = AnswerCache(clock)
    cache.keep("a", reply(control="s-maxage=300"), absence_too=False)
    clock.seconds = 299
    assert cache.get("a") is not None
    clock.seconds = 301
    assert cache.get("a") is None


def test_an_absence_is_believed_for_less_long_and_other_errors_not_at_all() -> None:
    clock = HandClock()
    cache = AnswerCache(clock)
    cache.keep("absent", reply(404), absence_too=True)
    cache.keep("unwelcome", reply(404), absence_too=False)
    cache.keep("broken", reply(500), absence_too=True)
    cache.keep("refused", reply(400), absence_too=True)
    assert [cache.get(key) is None for key in ("absent", "unwelcome", "broken", "refused")] == [
        False,
        True,
        True,
        True,
    ]
    clock.seconds = 301
    assert cache.get("absent") is None


def test_the_cache_is_bounded_in_entries_and_in_bytes() -> None:
    cache = AnswerCache(HandClock(), max_bytes=1000, max_entries=10)
    for number in range(50):
        cache.keep(str(number), reply(), absence_too=False)
    assert len(cache) == 10
    cache.keep("large", reply(body=b"x" * 950), absence_too=False)
    assert cache.get("large") is not None
    assert len(cache) == 1
    cache.keep("too large", reply(body=b"x" * 1001), absence_too=False)
    assert cache.get("too large") is None
    assert cache.get("large") is not None
