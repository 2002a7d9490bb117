"""Which CivitAI version a file is: by its hash, never by its name."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.from_thread
import anyio.to_thread

from civit_mcp.catalog import Roots, Snapshot
from civit_mcp.errors import BadReference, CivitError, NotConfigured
from civit_mcp.models.identified import FoundBy, IdentifiedAnswer, IdentifiedRow
from civit_mcp.models.levels import permits
from civit_mcp.models.records import EMPTY_HASHES, FileRecord, VersionRecord
from civit_mcp.models.weights import HASH_LENGTHS, HASH_TYPES, LENGTHS_SAID, SHA256_LENGTH
from civit_mcp.references import parse_reference
from civit_mcp.references.reference import shown
from civit_mcp.text import one_line
from civit_mcp.usecases import cursors
from civit_mcp.usecases.batch import not_too_many
from civit_mcp.usecases.bounds import take_within
from civit_mcp.usecases.desk import READERS, Desk
from civit_mcp.usecases.hashing import Digests, ModelFile, digests_of, model_files
from civit_mcp.usecases.identification import owner_of
from civit_mcp.usecases.resolve import level_of
from civit_mcp.usecases.rows import in_megabytes, status_of, word

MOST_HASHES: Final = 500
#: beyond the files of any disk
_MOST_THINGS: Final = 2**53
#: owners of one file in an answer: as many as it holds when it is about nothing else
_MOST_ALSO: Final = 1_000
#: paths named in one note
_MOST_SAID: Final = 5
_WEAK: Final = "8 digits only: another file may have the same, so check the name"

#: bytes between two reports of how far a file is read
_STEP: Final = 64 * 1024 * 1024

#: told how far the work is: done, total, and what is being read; the number only grows
Progress = Callable[[float, float, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One thing to identify: the hashes to try, in order of certainty."""

    hashes: tuple[str, ...] = ()
    given: str | None = None
    #: a path that leads to no file
    path: str | None = None
    file: ModelFile | None = None
    digests: Digests | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Hit:
    digest: str
    version: VersionRecord
    also: tuple[int, ...] = ()


async def identify_files(
    desk: Desk,
    paths: Sequence[str],
    hashes: Sequence[str],
    *,
    limit: int,
    cursor: str | None,
    progress: Progress,
) -> IdentifiedAnswer:
    """Identify local files and hashes; `limit` of them a call.

    Raises:
        BadReference: the only path leads to no file, or there are neither paths nor hashes.
        NotConfigured: paths alone, without a models root.
        TooLarge: more than 500 hashes.
    """
    if not paths and not hashes:
        raise BadReference("neither 'paths' nor 'hashes' was given", "pass paths or hashes")
    not_too_many(len(hashes), MOST_HASHES)
    files: list[ModelFile | _Asked] = []
    said: list[str] = []
    if paths:
        root = desk.settings.models_root
        find = partial(_find, root, list(dict.fromkeys(paths)), alone=not hashes)
        files, said = await anyio.to_thread.run_sync(find)
    start = 0
    if cursor is not None:
        start = cursors.number("file", cursor, "identify_files", least=0, most=_MOST_THINGS)
    todo = [*files, *dict.fromkeys(text.strip() for text in hashes)]
    piece = todo[start : start + limit]
    files_of_piece = [each for each in piece if isinstance(each, ModelFile)]
    hashed = await _hash_all(desk, files_of_piece, progress)
    asked = [_asked(each, hashed) for each in piece]
    hits, failure = await _look_up(desk, asked)
    snapshot, notes = await desk.snapshot_or_note()
    rows = [await _row(desk, each, hits, snapshot, failure) for each in asked]
    kept = take_within(rows) if rows else []
    following = start + len(kept)
    notes += said
    if following < len(todo):
        notes.append(f"{len(todo) - following} more; pass next_cursor")
    return IdentifiedAnswer(
        items=kept,
        counts=dict(Counter(row.state for row in kept)),
        next_cursor=cursors.write("file", following) if following < len(todo) else None,
        notes=notes,
    )


def _find(
    root: Path | None, paths: Sequence[str], *, alone: bool
) -> tuple[list[ModelFile | _Asked], list[str]]:
    """The files of every path, each once, and what is to be said of them.

    A path that leads to none has an outcome of its own, unless nothing else was asked.
    """
    roots = Roots.at(root)
    found: dict[str, ModelFile | _Asked] = {}
    empty: list[str] = []
    notes: list[str] = []
    for text in paths:
        shown = one_line(text, 160)
        try:
            here = model_files(roots, text)
        except (BadReference, NotConfigured) as error:
            # without a models root no path can be read, however many there are
            if alone and (len(paths) == 1 or root is None):
                raise
            found[f"\0{text}"] = _Asked(path=shown, problem=str(error))
            continue
        for file in here.files:
            found.setdefault(file.shown, file)
        if not here.files:
            empty.append(f"'{shown}'")
        if here.cut:
            notes.append(
                f"'{shown}' was gone through up to {len(here.files)} model files and holds more; "
                "pass its folders one by one"
            )
    if empty:
        more = f" and {len(empty) - _MOST_SAID} more" if len(empty) > _MOST_SAID else ""
        notes.append(f"There is no model file in {', '.join(empty[:_MOST_SAID])}{more}")
    return list(found.values()), [*notes, *roots.notes]


def _asked(each: ModelFile | _Asked | str, hashed: Mapping[str, _Asked]) -> _Asked:
    match each:
        case ModelFile():
            return hashed[each.shown]
        case _Asked():
            return each
        case str():
            return _read_hash(each)


def _read_hash(text: str) -> _Asked:
    try:
        ref = parse_reference(text)
    except BadReference as error:
        return _Asked(given=shown(text, 80), problem=error.what)
    digest = ref.hash or (text.upper() if len(text) in HASH_TYPES and _is_hex(text) else None)
    if digest is None:
        problem = f"'{ref.text}' is no hash of {LENGTHS_SAID} hexadecimal digits"
        return _Asked(given=one_line(ref.text, 80), problem=problem)
    digest = digest.upper()
    return _Asked(given=digest, hashes=(digest,))


def _is_hex(text: str) -> bool:
    return all(letter in "0123456789abcdefABCDEF" for letter in text)


async def _hash_all(
    desk: Desk, files: Sequence[ModelFile], progress: Progress
) -> dict[str, _Asked]:
    """Hash files in threads; a cancelled call stops at the next piece."""
    total = sum(file.size for file in files) or 1
    #: bytes of each file, as far as told
    read: dict[str, int] = {}
    results: dict[str, _Asked] = {}
    # the rest waits here: in the line of all calls, one with few files would wait for all of them
    in_line = anyio.Semaphore(READERS)

    async def tell(file: ModelFile, position: int, verb: str) -> None:
        # a file that grows while it is read is no more than it was
        position = min(position, file.size)
        if position > read.get(file.shown, 0):
            read[file.shown] = position
            await progress(float(sum(read.values())), float(total), f"{verb} {file.shown}")

    async def one(file: ModelFile) -> None:
        position = 0

        def advance(count: int) -> None:
            nonlocal position
            anyio.from_thread.check_cancelled()
            before, position = position, position + count
            if position // _STEP > before // _STEP:
                anyio.from_thread.run(tell, file, position, "hashing")

        try:
            work = partial(digests_of, file.path, advance)
            async with in_line:
                digests = await anyio.to_thread.run_sync(work, limiter=desk.readers)
        except OSError as error:
            reason = f"the file cannot be read: {error.strerror or 'unknown reason'}"
            results[file.shown] = _Asked(file=file, problem=reason)
            return
        hashes = (digests.sha256, *((digests.autov3,) if digests.autov3 else ()))
        problem = "the file is empty" if digests.sha256 in EMPTY_HASHES else None
        results[file.shown] = _Asked(
            file=file, digests=digests, hashes=() if problem else hashes, problem=problem
        )
        await tell(file, file.size, "hashed")

    async with anyio.create_task_group() as group:
        for file in files:
            group.start_soon(one, file)
    return results


async def _look_up(
    desk: Desk, asked: Sequence[_Asked]
) -> tuple[dict[str, _Hit], dict[str, CivitError]]:
    """Find the owners: SHA-256 in batches first, then what is left one hash at a time."""
    hits: dict[str, _Hit] = {}
    failed: dict[str, CivitError] = {}
    whole = list({h: None for each in asked for h in each.hashes if len(h) == SHA256_LENGTH})
    if whole:
        try:
            hits |= await _by_sha256(desk, whole)
        except CivitError as error:
            failed = dict.fromkeys(whole, error)
    single = list(
        {
            digest: None
            for each in asked
            if not any(h in hits or h in failed for h in each.hashes)
            for digest in each.hashes
            # a file's own SHA-256 is no BLAKE3; a given one may be
            if len(digest) != SHA256_LENGTH or each.given is not None
        }
    )

    # a given one may be cut from a SHA-256; a file's own are whole
    given = {digest for each in asked if each.given is not None for digest in each.hashes}

    async def ask(digest: str) -> None:
        try:
            if digest in given:
                version = await owner_of(desk, digest)
            else:
                version = await desk.client.version_by_hash(digest)
        except CivitError as error:
            failed[digest] = error
            return
        if version is not None:
            hits[digest] = _Hit(digest, version)

    async with anyio.create_task_group() as group:
        for digest in single:
            group.start_soon(ask, digest)
    return hits, failed


async def _by_sha256(desk: Desk, digests: Sequence[str]) -> dict[str, _Hit]:
    owners = await desk.client.owners_by_sha256(digests)
    if not owners:
        return {}
    by_hash: dict[str, list[int]] = {}
    for owner in owners:
        by_hash.setdefault(owner.hash.upper(), []).append(owner.version_id)
    found = {v.id: v for v in await desk.client.versions_by_sha256(list(by_hash))}
    hits = {}
    for digest, ids in by_hash.items():
        # the lowest id is the earliest upload: the original, as CivitAI's own look-up has it
        known = [found[each] for each in sorted(set(ids)) if each in found]
        if known:
            also = tuple(each for each in sorted(set(ids)) if each != known[0].id)
            hits[digest] = _Hit(digest, known[0], also)
    return hits


async def _row(
    desk: Desk,
    asked: _Asked,
    hits: Mapping[str, _Hit],
    snapshot: Snapshot | None,
    failed: Mapping[str, CivitError],
) -> IdentifiedRow:
    row = IdentifiedRow(
        path=asked.file.shown if asked.file else asked.path,
        hash=asked.given,
        state="not_found",
        sha256=asked.digests.sha256 if asked.digests else None,
        autov2=asked.digests.autov2 if asked.digests else None,
        autov3=asked.digests.autov3 if asked.digests else None,
        size_mb=in_megabytes(asked.file.size) if asked.file else None,
        note=asked.problem,
    )
    if asked.problem is not None:
        return row.model_copy(update={"state": "unknown"})
    hit = next((hits[digest] for digest in asked.hashes if digest in hits), None)
    if hit is None:
        error = next((failed[digest] for digest in asked.hashes if digest in failed), None)
        return _not_found(row, asked, snapshot, error)
    version = hit.version
    if desk.settings.max_level is not None:
        bits = await level_of(desk, version)
        if not permits(desk.settings.max_level, bits):
            note = "identified, but above the operator's level cap (CIVIT_MCP_MAX_LEVEL)"
            return row.model_copy(update={"state": "unknown", "note": note})
    file, found_by = _matching(version, hit.digest)
    weak = len(hit.digest) == min(HASH_LENGTHS)
    return row.model_copy(
        update={
            "state": "identified",
            "found_by": found_by,
            "weak": weak or None,
            "version_id": version.id,
            "version_name": one_line(version.name, 80) or None,
            "model_id": version.model_id,
            "model_name": one_line(version.model_name, 120) or None,
            "type": word(version.model_type),
            "base_model": word(version.base_model),
            "file_id": file.id if file else None,
            "catalog_status": status_of(snapshot, version.id),
            "also": list(hit.also[:_MOST_ALSO]),
            "note": "; ".join(_remarks(hit, weak=weak)) or None,
        }
    )


def _remarks(hit: _Hit, *, weak: bool) -> Iterator[str]:
    if weak:
        yield _WEAK
    if len(hit.also) > _MOST_ALSO:
        where = "CivitAI names all at POST model-versions/by-hash/ids"
        yield f"{len(hit.also) - _MOST_ALSO} more versions own it; {where}"


def _not_found(
    row: IdentifiedRow, asked: _Asked, snapshot: Snapshot | None, error: CivitError | None
) -> IdentifiedRow:
    if error is not None:
        return row.model_copy(update={"state": "unknown", "note": str(error)})
    sha256 = next((digest for digest in asked.hashes if len(digest) == SHA256_LENGTH), None)
    entry = snapshot.by_sha256(sha256) if snapshot is not None else None
    if entry is not None and snapshot is not None:
        update = {
            "catalog_status": snapshot.status(entry),
            "note": f"CivitAI does not know it; the catalog has it as '{one_line(entry.name, 80)}'",
        }
        return row.model_copy(update=update)
    note = "CivitAI knows no such file: private, converted, self-made or from elsewhere"
    return row.model_copy(update={"note": note})


def _matching(version: VersionRecord, digest: str) -> tuple[FileRecord | None, FoundBy]:
    """Find the file that owns the hash, and which kind of hash it is."""
    kinds = HASH_TYPES.get(len(digest), ())
    for file in version.files:
        for kind in kinds:
            if file.hashes.get(kind, "").upper() == digest:
                return file, kind
    for file in version.files:
        if file.hashes.get("SHA256", "").upper().startswith(digest):
            return file, "AutoV2" if len(digest) == 10 else "prefix"
    return None, kinds[0]
