"""What every use case works with: the settings, CivitAI, and the user's catalog."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from civit_mcp.catalog import Catalog, Snapshot
from civit_mcp.civitai import CivitaiClient
from civit_mcp.config import Settings
from civit_mcp.errors import AboveLevel, CatalogUnreadable
from civit_mcp.grounds import current_grounds
from civit_mcp.models.levels import LEVELS, Level, label, permits
from civit_mcp.usecases.answered import Answered
from civit_mcp.usecases.paging import Trails

T = TypeVar("T")

#: files hashed at the same time; more only make one disk seek
READERS: Final = 2

NO_ROOT_NOTE = (
    "No models root is set, so files on disk cannot be seen and every entry reads 'missing'; "
    "set CIVIT_MCP_MODELS_ROOT to ComfyUI's models folder"
)


@dataclass(frozen=True, slots=True)
class Desk:
    """One per server, and one per caller's key beside it; safe to share between requests."""

    settings: Settings
    client: CivitaiClient
    catalog: Catalog
    #: where recent listings have been
    trails: Trails = field(default_factory=Trails, repr=False, compare=False)
    #: what was answered lately
    answered: Answered = field(default_factory=Answered, repr=False, compare=False)
    #: who hashes files: the threads and the disk are the server's, so all desks share it
    readers: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(READERS), repr=False, compare=False
    )

    @classmethod
    def open(cls, settings: Settings, *, catalog: Catalog | None = None) -> "Desk":
        """Make client and catalog; neither connects or reads before it is asked."""
        shared = catalog or Catalog(settings.catalog_dir, settings.models_root)
        return cls(settings, CivitaiClient(settings), shared)

    async def snapshot(self) -> Snapshot:
        """Read both catalog files as they stand, off the event loop."""
        snapshot = await on_disk(self.catalog.snapshot)
        grounds = current_grounds()
        if grounds is not None:
            is_same, look = snapshot.recognizer(), self.catalog.snapshot
            grounds.add(lambda: is_same(look()), on_disk=True)
        return snapshot

    async def snapshot_or_note(self) -> tuple[Snapshot | None, list[str]]:
        """Read the catalog for an answer that is about something else.

        A catalog that cannot be read then costs the statuses, not the answer.
        """
        try:
            return await self.snapshot(), []
        except CatalogUnreadable as error:
            grounds = current_grounds()
            if grounds is not None:
                grounds.give_up()
            return None, [f"The catalog cannot be read, so every status is unknown: {error}"]

    def root_notes(self) -> list[str]:
        """What explains that files read as missing; looks at the disk."""
        root = self.settings.models_root
        if root is None:
            return [NO_ROOT_NOTE]
        there = root.is_dir()
        grounds = current_grounds()
        if grounds is not None:
            grounds.add(lambda: root.is_dir() is there, on_disk=True)
        if not there:
            return [f"The models root '{root}' is no folder, so every entry reads 'missing'"]
        return []

    def effective_level(self, asked: Level) -> Level:
        """Lower the level that was asked for to the operator's cap."""
        cap = self.settings.max_level
        return asked if cap is None else min(asked, cap, key=LEVELS.index)

    def forbid_above_cap(self, bits: int | None, thing: str) -> None:
        """Refuse a thing that the operator's cap does not allow.

        Raises:
            AboveLevel: the thing is rated above the cap, or nobody knows its rating.
        """
        cap = self.settings.max_level
        if permits(cap, bits):
            return
        rated = label(bits)
        how = f"is rated '{rated}'" if rated else "has no known level"
        raise AboveLevel(f"{thing} {how} and this server answers up to '{cap}'")


async def on_disk(work: Callable[[], T]) -> T:
    """Run blocking catalog work in one thread hop; a cancelled caller waits for its end.

    A write that has begun is not abandoned half-way: the thread finishes, then the
    cancellation is delivered.
    """
    return await anyio.to_thread.run_sync(work)
