"""A server that is kept busy for a while does not grow. `python -m bench.soak` is the long form."""

import sys

import pytest
from bench.soak import soak


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_memory_stays_where_it_settled() -> None:
    seen = soak(seconds=36, settle=18)

    assert seen.visits > 32
    assert seen.calls > 300
    # wider than the bar of the long form, as caches still fill after so short a time; a leak of one
    # session or one answer a visit shows as far more than this
    assert seen.growth < 0.1, seen.levels
