"""The catalog to and from files of other programs."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from civit_mcp import files
from civit_mcp.catalog import SUFFIXES, Bundle, exported
from civit_mcp.errors import BadReference, CatalogUnreadable, Conflict, Forbidden, TooLarge
from civit_mcp.models.catalogued import ExchangeAnswer, ExportFormat
from civit_mcp.usecases.bounds import with_short_diff
from civit_mcp.usecases.desk import Desk, on_disk

#: names in the catalog's folder that mean something there
_OUR_PLACES: Final = frozenset({"models.json", "loras.json", ".civit-mcp"})
#: bytes of a catalog that is taken in
MOST_BYTES: Final = 200_000_000


async def export_catalog(
    desk: Desk,
    form: ExportFormat,
    path: str | None,
    *,
    dry_run: bool,
) -> ExchangeAnswer:
    """Write the catalog to a new file; one that exists is never replaced.

    Raises:
        BadReference: the path is none to write to, or ends unlike the format.
        Conflict: there is a file already.
    """
    snapshot = await desk.snapshot()
    asked = None if path is None else _target(form, path)
    folder = desk.settings.catalog_dir / "exports"

    def work() -> ExchangeAnswer:
        if asked is not None:
            _must_not_be_ours(desk.settings.catalog_dir, asked)
        data = exported(snapshot, snapshot.entries, form).encode("utf-8", "replace")
        target = asked or next(_free(folder, f"{form}", SUFFIXES[form]))
        if not dry_run:
            disk = files.Disk()
            with files.explained(target, "write"):
                if asked is None:
                    disk.make_folder(folder)
                    target = _write_free(disk, folder, form, data)
                else:
                    _write_new(disk, asked, data)
        return ExchangeAnswer(
            status="exported",
            path=str(target),
            entries=len(snapshot.entries),
            dry_run=True if dry_run else None,
        )

    return await on_disk(work)


async def import_catalog(desk: Desk, path: str | None, *, dry_run: bool) -> ExchangeAnswer:
    """Take in the entries of another catalog file that this catalog does not have.

    Raises:
        BadReference: no path was given.
        CatalogUnreadable: the file cannot be read, or is no catalog.
    """
    source = _absolute(path)

    def work() -> ExchangeAnswer:
        with files.explained(source, "read"):
            found = source.stat()
            if not stat.S_ISREG(found.st_mode):
                raise BadReference(f"'{source}' is no file", "pass the path of a catalog file")
            if found.st_size > MOST_BYTES:
                raise TooLarge(f"'{source}' is larger than any catalog", "pass a catalog file")
            data = source.read_bytes()
        answer = desk.catalog.take_in(Bundle.parse(data, source), dry_run=dry_run)
        return with_short_diff(answer, "they are of entries that follow in the file, in its order")

    return await on_disk(work)


def _target(form: ExportFormat, path: str) -> Path:
    target = _absolute(path)
    if target.suffix.casefold() != SUFFIXES[form]:
        raise BadReference(
            f"'{target}' does not end like an export in the format '{form}'",
            f"end it with {SUFFIXES[form]}",
        )
    return target


def _must_not_be_ours(home: Path, target: Path) -> None:
    """An export in the catalog's own places would be read as the catalog, or as its journal."""
    place, home = target.resolve(), home.resolve()
    inside = place.relative_to(home).parts if place.is_relative_to(home) else ()
    if inside and inside[0].casefold() in _OUR_PLACES:
        raise BadReference(
            f"'{target}' is a place of the catalog's own", "pass another path, or none"
        )


def _free(folder: Path, stem: str, suffix: str) -> Iterator[Path]:
    """The names of a numbered row that nobody has by now, lowest number first."""
    taken: set[str] = set()
    with suppress(OSError):
        taken = set(os.listdir(folder))  # noqa: PTH208 - names are compared
    names = (f"{stem}-{number}{suffix}" for number in count(1))
    return (folder / name for name in names if name not in taken)


async def must_be_at_home(desk: Desk, path: str) -> None:
    """Let a caller over the network name files beside the catalog, and no others.

    Raises:
        Forbidden: the path leads elsewhere.
    """
    home = desk.settings.catalog_dir
    target = _absolute(path)
    if not await on_disk(lambda: target.resolve().is_relative_to(home.resolve())):
        raise Forbidden(
            f"'{target}' is not in the catalog's folder, and callers over HTTP reach no other",
            f"pass a path below '{home}', or no path to export to a new file there",
        )


def _absolute(path: str | None) -> Path:
    if path is None or not path.strip() or "\0" in path:
        raise BadReference("no path was given", "pass the absolute path of a file")
    try:
        whole = Path(path.strip()).expanduser()
    except RuntimeError as error:  # the home of a user whom nobody knows
        raise BadReference(f"'{path[:200]}' leads nowhere", "pass the whole path") from error
    if not whole.is_absolute():
        raise BadReference(f"'{path[:200]}' is no absolute path", "pass the whole path")
    return whole


def _write_new(disk: files.Disk, target: Path, data: bytes) -> None:
    if not target.parent.is_dir():
        raise CatalogUnreadable(
            f"the folder '{target.parent}' does not exist", "make it, or pass another path"
        )
    try:
        create(disk, target, data)
    except FileExistsError:
        raise Conflict(
            f"'{target}' exists and is not replaced", "pass a path that is free"
        ) from None


def _write_free(disk: files.Disk, folder: Path, form: ExportFormat, data: bytes) -> Path:
    """Write to the first free name; where another export took it meanwhile, to the next."""
    for target in _free(folder, f"{form}", SUFFIXES[form]):
        with suppress(FileExistsError):
            create(disk, target, data)
            return target
    raise AssertionError  # numbers have no end


def create(disk: files.Disk, target: Path, data: bytes) -> None:
    """Write `target` durably where nothing stands; raises `FileExistsError` where something does.

    The name is taken, empty, before the content is moved there: of two writers one is refused.
    """
    handle = disk.open_new(target, 0o666)
    try:
        disk.close(handle)
        files.write(disk, target, data)
    except BaseException:
        files.discard(disk, target)
        raise
