"""The client: all endpoints over one transport, and its life."""

from types import TracebackType
from typing import Final, Self

from civit_mcp.civitai.cache import CACHE_BYTES
from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.credentials import KEY_SETTING
from civit_mcp.civitai.endpoints.gallery import GalleryEndpoints
from civit_mcp.civitai.endpoints.models import ModelEndpoints
from civit_mcp.civitai.endpoints.people import PeopleEndpoints
from civit_mcp.civitai.endpoints.vault import VaultEndpoints
from civit_mcp.civitai.retry import RetryPolicy
from civit_mcp.civitai.seam import Timeouts
from civit_mcp.civitai.shared import Listener
from civit_mcp.civitai.transport import Transport
from civit_mcp.config import Settings

_DEFAULT_TIMEOUTS: Final = Timeouts()
_DEFAULT_RETRY: Final = RetryPolicy()


class CivitaiClient(ModelEndpoints, GalleryEndpoints, PeopleEndpoints, VaultEndpoints):
    """Reads CivitAI over REST and tRPC, one method per endpoint.

    Every method raises a `CivitError` and nothing else when it cannot answer. Making a
    client is cheap; connections open with the first question and close with `aclose`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        max_concurrency: int = 16,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        retry: RetryPolicy = _DEFAULT_RETRY,
        clock: Clock | None = None,
        beside: "CivitaiClient | None" = None,
        key_name: str = KEY_SETTING,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """Take base address, credentials and offline switch from `settings`.

        `beside`: the client whose limits and file this one uses too, for another account; it
        has to outlive this one. `key_name`: what errors call the place the key comes from.
        `cache_bytes`: of answers that are kept in memory.
        """
        super().__init__(
            Transport(
                settings,
                max_concurrency=max_concurrency,
                timeouts=timeouts,
                retry=retry,
                clock=clock or Clock(),
                shared=beside._transport.shared if beside is not None else None,  # noqa: SLF001 - of its own kind
                key_name=key_name,
                cache_bytes=cache_bytes,
            )
        )

    def __repr__(self) -> str:
        return f"CivitaiClient(host={self._transport.host!r}, keyed={self.keyed})"

    @property
    def keyed(self) -> bool:
        """Whether CivitAI is told who asks: a key or a session cookie is set."""
        return self._transport.key_name is not None

    @property
    def key_name(self) -> str:
        """Where a key belongs that this client should use."""
        return self._transport.key_name or KEY_SETTING

    def report_to(self, listener: Listener) -> None:
        """Have somebody hear what becomes of questions, of every client that shares the limits."""
        self._transport.shared.listener = listener

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def prepare(self) -> None:
        """Get ready for the first question, which is then answered sooner. Asks nothing."""
        await self._transport.prepare()

    async def aclose(self) -> None:
        """End calls under way and close the connections."""
        await self._transport.aclose()
