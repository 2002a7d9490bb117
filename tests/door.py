"""A real MCP client in front of a server whose CivitAI a test plays, for property tests.

Server and client live in another thread, so that one pair serves every example.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp.types import CallToolResult, TextContent

from civit_mcp import errors
from tests import civitai_support
from tests.conftest import Assistant
from tests.traps.kit import OddSite, odd_site, serving

CODES = {
    kind.code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.CivitError) and hasattr(kind, "code")
}
REFUSAL = re.compile(r"\[(\w+)\] .+\. Next: .+\.", re.DOTALL)
#: the most that one answer may hold, about four bytes a token
MOST_BYTES = 24_000


class Sent:
    """JSON that CivitAI sends; a report of a failure need not hold all of it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)[:2_000]


@dataclass(frozen=True, slots=True)
class Door:
    """A client in another thread, and the folder of the catalog behind its server."""

    portal: BlockingPortal
    assistant: Assistant
    site: OddSite
    catalog: Path

    def ask(self, tool: str, **arguments: Any) -> dict[str, Any] | None:
        """Call a tool; its answer, or None when it refused with a code."""

        async def call() -> CallToolResult:
            return await self.assistant.client.call_tool(tool, arguments)

        return sound(self.portal.call(call))

    def fresh(self, **upstream: Any) -> None:
        """Forget the catalog and let CivitAI answer this."""
        shutil.rmtree(self.catalog, ignore_errors=True)
        self.site.seen.clear()
        self.site.answers = {path: _always(answer) for path, answer in upstream.items()}

    def catalog_is_whole(self) -> None:
        """Whatever was written can be read by any other program."""
        for path in self.catalog.glob("*.json"):
            strict(path.read_text("utf-8"))


def _always(answer: Any) -> Callable[[httpx.Request], httpx.Response]:
    body = json.dumps(answer.value if isinstance(answer, Sent) else answer).encode()
    return lambda _: httpx.Response(200, content=body)


def strict(text: str) -> Any:
    """Read JSON as programs do that know no `NaN` and `Infinity`."""

    def refuse(word: str) -> NoReturn:
        pytest.fail(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def sound(result: CallToolResult) -> dict[str, Any] | None:
    """Check what a tool gave: an answer, or a refusal with a code (None)."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    if result.is_error:
        refusal = REFUSAL.fullmatch(content.text)
        assert refusal is not None, content.text
        assert refusal[1] in CODES
        assert len(content.text) < 2_000
        return None
    assert result.structured_content is not None
    assert strict(content.text) == result.structured_content
    assert len(content.text.encode()) <= MOST_BYTES
    return dict(result.structured_content)


@contextmanager
def open_door(folder: Path, **chosen: Any) -> Iterator[Door]:
    """A door over CivitAI's address, or over the address that `chosen` names."""
    settings = civitai_support.settings(
        catalog_dir=folder / "catalog", models_root=folder / "models", **chosen
    )
    with ExitStack() as stack:
        site = OddSite() if "civitai_url" in chosen else stack.enter_context(odd_site())
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        assistant = stack.enter_context(portal.wrap_async_context_manager(serving(settings)))
        yield Door(portal, assistant, site, folder / "catalog")
