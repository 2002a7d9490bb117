"""Which files of a version a person could mean, when there are several."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from civit_mcp.models.delivery import MODEL_FILE_TYPES, main_file
from civit_mcp.models.records import FileRecord, VersionRecord
from civit_mcp.text import one_line
from civit_mcp.usecases.desk import Desk, on_disk
from civit_mcp.usecases.resolve import RefArgument
from civit_mcp.usecases.rows import megabytes, word
from civit_mcp.usecases.shelving import known_version, version_to_add

#: more than a person reads through
_MOST: Final = 12


@dataclass(frozen=True, slots=True)
class FileChoice:
    """The files to choose from, by id and in words; the first is what is taken unasked."""

    #: the version in words
    of: str
    files: dict[int, str]


async def files_to_choose(desk: Desk, ref: RefArgument) -> FileChoice | None:
    """The files that an add of `ref` could mean; None when there is nothing to choose.

    There is nothing to choose when the version has one candidate, is in the catalog, or may
    not be added. What is read here is read again from the cache by the add.

    Raises:
        CivitError: as the add itself would.
    """
    if await known_version(desk, ref) is not None:
        return None
    version = await version_to_add(desk, ref)
    files = _candidates(version)
    if len(files) < 2:
        return None
    unasked = await on_disk(partial(desk.catalog.add, version, None, dry_run=True))
    if unasked.status != "added":
        return None
    name = " ".join(part for part in (version.model_name, version.name) if part)
    return FileChoice(
        of=f"'{one_line(name, 120)}' ({version.id})",
        files={file.id: _in_words(file) for file in files if file.id is not None},
    )


def _candidates(version: VersionRecord) -> list[FileRecord]:
    """Model files beside the main one that differ from it in what a person chooses by."""
    main = main_file(version)
    if main is None or main.id is None or main.type.casefold() not in MODEL_FILE_TYPES:
        return []
    others = {
        file.id: file
        for file in version.files
        if file.id not in (None, main.id)
        and file.type.casefold() in MODEL_FILE_TYPES
        and _build(file) != _build(main)
        and not _is_dangerous(file)
    }
    return [main, *others.values()][:_MOST]


def _build(file: FileRecord) -> tuple[str, ...]:
    facts = (file.fp, file.size, file.format, file.quant, file.type)
    return tuple((fact or "").casefold() for fact in facts)


def _is_dangerous(file: FileRecord) -> bool:
    return "Danger" in (file.pickle_scan, file.virus_scan)


def _in_words(file: FileRecord) -> str:
    size = megabytes(file)
    shown_size = None if size is None else f"{size / 1000:.1f} GB" if size >= 1000 else f"{size} MB"
    kind = None if file.type.casefold() == "model" else file.type
    facts = (kind, shown_size, file.size, file.fp, file.quant, file.format)
    return ", ".join([one_line(file.name, 80), *(said for fact in facts if (said := word(fact)))])
