"""Fixtures that every room shares."""

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import TextContent
from pydantic import SecretStr

from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, running_sandbox
from civit_mcp.server import create_server
from tests.http_kit import TOKEN, served

#: recorded CivitAI answers; a checkout may have them beside it
RECORDED = Path(
    os.environ.get("CIVIT_MCP_RECORDED", Path(__file__).parents[2] / "shared" / "civitai-data")
)
#: no test finds the answers of another
_NUMBERS = itertools.count()
#: the modern era, found by asking, and the one that begins with a handshake
ERAS = ("auto", "legacy")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Folder of recorded answers; tests that need it say so where it is absent."""
    if not RECORDED.is_dir():
        pytest.skip(f"no recorded CivitAI answers at {RECORDED}; set CIVIT_MCP_RECORDED")
    return RECORDED


@pytest.fixture(autouse=True)
def _no_settings_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The developer's own key and folders stay out of the tests, and the tests out of them."""
    for name in list(os.environ):
        if name.startswith(("CIVITAI_", "CIVIT_MCP_", "COMFYUI_")):
            monkeypatch.delenv(name)
    cache = tmp_path_factory.getbasetemp() / "caches" / str(next(_NUMBERS))
    monkeypatch.setenv("CIVIT_MCP_CACHE_DIR", str(cache))


@pytest.fixture(scope="session")
def _stand_in() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_stand_in: Sandbox) -> Iterator[Sandbox]:
    """The stand-in of CivitAI with its bundled world and no faults."""
    _stand_in.use()
    _stand_in.clear()
    yield _stand_in
    _stand_in.use()


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> Settings:
    """A server's settings: the stand-in as CivitAI, everything else in a fresh folder."""
    (tmp_path / "models").mkdir()
    return Settings(
        civitai_url=sandbox.base_url,
        catalog_dir=tmp_path / "catalog",
        models_root=tmp_path / "models",
        cache_dir=tmp_path / "cache",
    )


@pytest.fixture
def guarded(settings: Settings) -> Settings:
    """The same with the tests' token, for a server over HTTP."""
    return settings.model_copy(update={"token": SecretStr(TOKEN)})


@pytest.fixture
def base(guarded: Settings) -> Iterator[str]:
    """The address of such a server."""
    with served(guarded) as address:
        yield address


class Assistant:
    """A real MCP client, with the two things a test asks of it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that is expected to answer."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, _text(result)
        assert result.structured_content is not None
        return dict(result.structured_content)

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Call a tool that is expected to refuse; its sentence."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        return _text(result)


def _text(result: Any) -> str:
    return " ".join(part.text for part in result.content if isinstance(part, TextContent))


Connect = Callable[..., AbstractAsyncContextManager[Assistant]]


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def assistant(settings: Settings) -> AsyncIterator[Assistant]:
    """A client of a server over the stand-in, in the modern era."""
    async with Client(create_server(settings)) as client:
        yield Assistant(client)
