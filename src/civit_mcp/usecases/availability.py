"""Whether versions can be downloaded now, judged by their fields, never by a status code."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from civit_mcp.catalog import Snapshot
from civit_mcp.errors import BadReference, CivitError, NotFound
from civit_mcp.models.delivery import PRIVATE, main_file
from civit_mcp.models.identified import AvailabilityAnswer, AvailabilityRow, Existence
from civit_mcp.models.levels import label
from civit_mcp.models.records import MiniRecord, VersionRecord
from civit_mcp.references.reference import shown
from civit_mcp.text import one_line
from civit_mcp.usecases import cursors
from civit_mcp.usecases.batch import each, not_too_many, one_page
from civit_mcp.usecases.desk import Desk
from civit_mcp.usecases.resolve import NO_LONGER, RefArgument, level_of, version_id_of
from civit_mcp.usecases.rows import gate_row, megabytes, status_of, word

MOST_VERSIONS: Final = 100
_TOOL: Final = "check_availability"


async def check_availability(
    desk: Desk, refs: Sequence[RefArgument], *, cursor: str | None
) -> AvailabilityAnswer:
    """Say for each version whether it can be downloaded now; what has no room, page by page.

    Raises:
        BadReference: no versions were given.
        TooLarge: more than 100.
    """
    if not refs:
        raise BadReference("no 'version_ids' were given", "pass version ids")
    not_too_many(len(refs), MOST_VERSIONS)
    snapshot, notes = await desk.snapshot_or_note()

    async def check(ref: RefArgument) -> AvailabilityRow:
        return await _check(desk, ref, snapshot)

    start = 0
    if cursor is not None:
        start = cursors.number("version", cursor, _TOOL, least=0, most=MOST_VERSIONS)
    piece = refs[start:]
    rows, failed, taken = one_page(piece, await each(piece, check))
    end = start + taken
    if end < len(refs):
        notes.append(f"{len(refs) - end} more; pass the same version_ids with next_cursor")
    if any(row.downloadable for row in rows) and not desk.client.keyed:
        notes.append("Downloads need a key: set CIVITAI_API_KEY")
    return AvailabilityAnswer(
        items=rows,
        failed=failed,
        counts=dict(Counter(row.state for row in rows)),
        next_cursor=cursors.write("version", end) if end < len(refs) else None,
        notes=notes,
    )


async def _check(desk: Desk, ref: RefArgument, snapshot: Snapshot | None) -> AvailabilityRow:
    version_id = await version_id_of(desk, ref)
    text = shown(str(ref), 120)
    try:
        version = await desk.client.version(version_id)
    except NotFound:
        state, why = await _absent(desk, version_id)
    except CivitError as error:
        state, why = "unknown", str(error)
    else:
        bits = await level_of(desk, version)
        desk.forbid_above_cap(bits, f"version '{version_id}'")
        return _present(text, version, await _mini(desk, version_id), label(bits), snapshot)
    return AvailabilityRow(
        reference=text,
        version_id=version_id,
        state=state,
        downloadable=None if state == "unknown" else False,
        catalog_status=status_of(snapshot, version_id),
        why=why,
    )


async def _absent(desk: Desk, version_id: int) -> tuple[Existence, str]:
    """Judge a version that the public interface does not have, by what the site says of it."""
    try:
        version = await desk.client.trpc_version(version_id)
    except NotFound:
        return "gone", "neither CivitAI's public interface nor its site has such a version"
    except CivitError as error:
        return "unknown", f"CivitAI's public interface does not have it, and its site: {error}"
    status = word(version.status) or "not told"
    if status in NO_LONGER:
        return "gone", f"its status is '{status}'"
    if status == "Published":
        return "unknown", "published, but not shown by the public interface; ask in ten minutes"
    return "present", f"not published: its status is '{status}'"


async def _mini(desk: Desk, version_id: int) -> MiniRecord | None:
    """The short form, which alone says whether a login is needed; None when it does not come."""
    try:
        return await desk.client.mini_version(version_id)
    except CivitError:
        return None


def _present(
    text: str,
    version: VersionRecord,
    mini: MiniRecord | None,
    level: str | None,
    snapshot: Snapshot | None,
) -> AvailabilityRow:
    if mini is not None and version.early_access_until is None and mini.early_access_until:
        version = replace(version, early_access_until=mini.early_access_until)
    if mini is not None and mini.availability == PRIVATE:
        # the long form may leave it out
        version = replace(version, availability=PRIVATE)
    gate = gate_row(version)
    file = main_file(version)
    name = f"{version.model_name or ''} {version.name}"
    return AvailabilityRow(
        reference=text,
        version_id=version.id,
        name=one_line(name, 120) or None,
        state="present",
        downloadable=gate is None,
        gate=gate,
        login_needed=mini.require_auth if mini else None,
        file=one_line(file.name, 160) if file else None,
        size_mb=megabytes(file) if file else None,
        level=level,
        catalog_status=status_of(snapshot, version.id),
        why=None if mini else "CivitAI did not say whether a login is needed",
    )
