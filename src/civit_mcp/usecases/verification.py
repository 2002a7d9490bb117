"""Whether the catalog tells the truth: held against the disk, itself, and CivitAI."""

from collections import Counter
from functools import partial
from typing import Final

import anyio
import anyio.from_thread

from civit_mcp.catalog import Entry, Snapshot, inspected, row
from civit_mcp.errors import CivitError, NotFound
from civit_mcp.models.base_models import look_up
from civit_mcp.models.catalogued import ProblemRow, VerifyAnswer
from civit_mcp.models.delivery import main_file
from civit_mcp.models.records import ModelRecord, VersionRecord
from civit_mcp.text import one_line
from civit_mcp.usecases.bounds import take_within
from civit_mcp.usecases.desk import NO_ROOT_NOTE, Desk, on_disk
from civit_mcp.usecases.inventory import read_cursor, write_cursor
from civit_mcp.usecases.shelving import Progress

#: questions to CivitAI at a time
_AT_ONCE: Final = 6


async def verify_catalog(
    desk: Desk,
    *,
    hashes: bool,
    upstream: bool,
    limit: int,
    cursor: str | None,
    progress: Progress | None = None,
) -> VerifyAnswer:
    """Look for what is wrong; changes nothing.

    A page is of problems; with `upstream` it is of entries, and the problems are CivitAI's.
    """
    start = read_cursor(cursor, "verify_catalog")
    snapshot = await desk.snapshot()
    if upstream:
        return await _upstream(desk, snapshot, start=start, limit=limit, progress=progress)

    whole, told = len(snapshot.entries), 0.0

    def report(done: float, words: str) -> None:
        nonlocal told
        anyio.from_thread.check_cancelled()
        if progress is not None and done > told:
            told = done
            anyio.from_thread.run(progress, done, whole, words)

    def looked(done: int, total: int) -> None:
        report(done, f"looked at {done} of {total} entries")

    def hashing(share: float) -> None:
        # one entry may have several files hashed; the last one is told by `looked`
        number = int(told)
        report(min(number + share, number + 0.99), f"hashing for entry {number + 1} of {whole}")

    hasher = desk.catalog.hasher.watched(hashing) if hashes else None
    work = partial(inspected, snapshot, hasher=hasher, progress=looked)
    problems = await on_disk(work)
    page = take_within([_shown(problem) for problem in problems[start : start + limit]])
    end = start + len(page)
    notes = list(snapshot.roots.notes)
    if snapshot.models_root is None:
        notes.append(NO_ROOT_NOTE)
    return VerifyAnswer(
        problems=page,
        total=len(problems),
        by_problem=dict(Counter(problem.problem for problem in problems)),
        checked=len(snapshot.entries),
        next_cursor=write_cursor(end) if end < len(problems) else None,
        notes=notes,
    )


async def _upstream(
    desk: Desk,
    snapshot: Snapshot,
    *,
    start: int,
    limit: int,
    progress: Progress | None,
) -> VerifyAnswer:
    known = [entry for entry in snapshot.entries if (entry.version_id or "").isdecimal()]
    page = known[start : start + limit]
    found: list[list[ProblemRow]] = [[] for _ in page]
    slots = anyio.CapacityLimiter(_AT_ONCE)
    done = 0

    async def look(index: int) -> None:
        nonlocal done
        async with slots:
            found[index] = await _asked(desk, page[index])
        done += 1
        if progress is not None:
            await progress(done, len(page), f"asked about {done} of {len(page)} entries")

    async with anyio.create_task_group() as group:
        for index in range(len(page)):
            group.start_soon(look, index)
    told = _told(found)
    problems = [problem for group in told for problem in group]
    end = start + len(told)
    others = len(snapshot.entries) - len(known)
    notes = [f"{others} entries have no CivitAI id and were not asked for"] if others else []
    if start or end < len(known):
        notes.append(
            f"total and by_problem are of the {len(told)} entries of this page, the catalog has "
            f"{len(known)} with a CivitAI id"
        )
    return VerifyAnswer(
        problems=problems,
        total=len(problems),
        by_problem=dict(Counter(problem.problem for problem in problems)),
        checked=len(told),
        next_cursor=write_cursor(end) if end < len(known) else None,
        notes=notes,
    )


def _told(found: list[list[ProblemRow]]) -> list[list[ProblemRow]]:
    """What was found of each entry, of as many as an answer has room for; at least of one."""
    groups = [[_shown(problem) for problem in problems] for problems in found]
    room = len(take_within([problem for group in groups for problem in group]))
    told: list[list[ProblemRow]] = []
    for group in groups:
        room -= len(group)
        if told and room < 0:
            break
        told.append(group)
    return told


async def _asked(desk: Desk, entry: Entry) -> list[ProblemRow]:
    """What CivitAI says of one entry: gone, unknown, another size, a newer version."""
    version_id = int(entry.version_id or 0)
    try:
        version = await _version(desk, entry, version_id)
    except CivitError as error:
        return [row("unknown_upstream", entry, f"CivitAI could not be asked: {error.what}")]
    if version is None:
        return [row("gone_upstream", entry, "CivitAI has neither the version nor a trace of it")]
    problems = []
    files = [file for file in version.files if str(file.id) == entry.file_id]
    file = files[0] if files else main_file(version)
    if file is not None and file.size_kb and entry.file_id in (None, str(file.id)):
        there = await on_disk(partial(_size_on_disk, desk, entry))
        exact = round(file.size_kb * 1024)
        if there is not None and abs(there - exact) > 1:
            problems.append(row("wrong_size", entry, f"{there} bytes on disk, {exact} at CivitAI"))
    if version.model_id is None:
        return problems
    try:
        newer = _newer(await desk.client.model(version.model_id), version)
    except NotFound:
        return problems
    except CivitError as error:
        return [*problems, row("unknown_upstream", entry, f"its model: {error.what}")]
    if newer is not None:
        name = one_line(newer.name, 80)
        problems.append(row("newer_version", entry, f"version '{newer.id}' ({name}) is newer"))
    return problems


async def _version(desk: Desk, entry: Entry, version_id: int) -> VersionRecord | None:
    """Read a version; None when CivitAI denies it twice, of itself and through its model."""
    try:
        return await desk.client.version(version_id)
    except NotFound:
        pass
    model_id = entry.model_id or ""
    if model_id.isdecimal():
        try:
            model = await desk.client.model(int(model_id))
        except NotFound:
            return None
        return next((one for one in model.versions if one.id == version_id), None)
    try:
        return await desk.client.version(version_id)
    except NotFound:
        return None


def _newer(model: ModelRecord, ours: VersionRecord) -> VersionRecord | None:
    """The newest version for the same family with a file of the same kind, if it is not ours."""
    family = look_up(ours.base_model).family
    kind = _kind(ours)
    listed = [one for one in model.versions if look_up(one.base_model).family == family]
    fitting = [one for one in listed if one.id == ours.id or _kind(one) == kind]
    here = next((one for one in fitting if one.id == ours.id), ours)
    later = [
        one
        for one in fitting
        if one.id != ours.id and (one.published_at or "") > (here.published_at or "~")
    ]
    return max(later, key=lambda one: one.published_at or "") if later else None


def _kind(version: VersionRecord) -> tuple[str, str]:
    file = main_file(version)
    return ("", "") if file is None else (file.type.casefold(), (file.format or "").casefold())


def _size_on_disk(desk: Desk, entry: Entry) -> int | None:
    path = desk.catalog.snapshot().roots.find(entry.dest, entry.file)
    try:
        return None if path is None else path.stat().st_size
    except OSError:  # gone by now
        return None


def _shown(problem: ProblemRow) -> ProblemRow:
    detail = problem.detail
    return problem.model_copy(
        update={
            "file": one_line(problem.file, 200),
            "detail": None if detail is None else one_line(detail, 400),
        }
    )
