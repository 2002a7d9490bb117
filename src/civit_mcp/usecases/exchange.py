"""The catalog to and from files of other programs."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from civit_mcp import files
from civit_mcp.catalog import SUFFIXES, Bundle, exported
from civit_mcp.errors import BadReference, CatalogUnreadable, Conflict, TooLarge
from civit_mcp.models.catalogued import ExchangeAnswer, ExportFormat
from civit_mcp.usecases.desk import Desk, on_disk
from civit_mcp.usecases.shelving import MOST_DIFF

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
        BadReference: the path is none to write to.
        Conflict: there is a file already.
    """
    snapshot = await desk.snapshot()
    target = _target(desk, form, path)

    def work() -> ExchangeAnswer:
        data = exported(snapshot, snapshot.entries, form).encode("utf-8", "replace")
        if not dry_run:
            disk = files.Disk()
            with files.explained(target, "write"):
                if path is None:
                    disk.make_folder(target.parent)
                _write_new(disk, target, data)
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
        if answer.diff is None or len(answer.diff) <= MOST_DIFF:
            return answer
        end = answer.diff.rfind("\n", 0, MOST_DIFF)
        notes = [*answer.notes, "the diff is cut"]
        return answer.model_copy(update={"diff": answer.diff[:end], "notes": notes})

    return await on_disk(work)


def _target(desk: Desk, form: ExportFormat, path: str | None) -> Path:
    if path is None:
        folder = desk.settings.catalog_dir / "exports"
        return _free(folder, f"{form}", SUFFIXES[form])
    target = _absolute(path)
    if target.suffix.casefold() not in {*SUFFIXES.values(), ".txt"}:
        raise BadReference(
            f"'{target}' does not end like an export", f"end it with {SUFFIXES[form]}"
        )
    return target


def _free(folder: Path, stem: str, suffix: str) -> Path:
    """The first name of a numbered row that nobody has."""
    taken: set[str] = set()
    with suppress(OSError):
        taken = set(os.listdir(folder))  # noqa: PTH208 - names are compared
    number = 1
    while f"{stem}-{number}{suffix}" in taken:
        number += 1
    return folder / f"{stem}-{number}{suffix}"


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
    if target.is_symlink() or target.exists():
        raise Conflict(f"'{target}' exists and is not replaced", "pass a path that is free")
    files.write(disk, target, data)
