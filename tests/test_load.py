"""What the table of load lets pass. `python -m bench.load` makes the table."""

import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from bench.clients import OVER_HTTP, checked, is_refused, stdio
from bench.load import TOKEN, _round, our_http_server, past_the_bars
from bench.wire import OURS

Env = dict[str, str]


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Env:
    """Of a server that is asked nothing about CivitAI."""
    folder: Path = tmp_path_factory.mktemp("load")
    return {
        **os.environ,
        "CIVIT_MCP_CATALOG_DIR": str(folder / "catalog"),
        "CIVIT_MCP_CACHE_DIR": str(folder / "cache"),
        "CIVIT_MCP_TOKEN": TOKEN,
    }


@pytest.fixture(scope="module")
def base(env: Env) -> Iterator[str]:
    with our_http_server(env) as (address, _):
        yield address


@pytest.mark.parametrize("transport", ["stdio", *OVER_HTTP])
async def test_a_refusal_is_no_answer_however_quick_it_comes(
    env: Env, base: str, transport: str
) -> None:
    async with AsyncExitStack() as stack:
        if transport == "stdio":
            call = await stack.enter_async_context(stdio(OURS, env))
        else:
            call = await stack.enter_async_context(OVER_HTTP[transport](base, TOKEN))
        took, _ = await _round([call], "list_catalog", {}, 3)

        assert len(took) == 3
        assert not is_refused(checked(await call("list_catalog", {})))
        with pytest.raises(ExceptionGroup) as failed:
            await _round([call], "get_model", {"model_id": "no such thing"}, 3)
        assert "[bad_reference]" in str(failed.value.exceptions[0])


def test_a_ratio_past_its_bar_is_named_and_one_at_it_is_not() -> None:
    assert list(past_the_bars(0.6, 2.0)) == []
    assert list(past_the_bars(0.59, 2.0)) == ["the rate ratio 0.59 is below 0.6"]
    assert list(past_the_bars(0.6, 2.01)) == ["the p99 ratio 2.01 is above 2.0"]
    assert len(list(past_the_bars(0.1, 9.0))) == 2
