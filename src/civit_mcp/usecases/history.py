"""What was done to the catalog: its changes, newest first, and the files of each."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from civit_mcp.catalog import Change, undone
from civit_mcp.errors import BadReference
from civit_mcp.models.catalogued import HistoryAnswer, HistoryRow
from civit_mcp.text import one_line
from civit_mcp.usecases import cursors
from civit_mcp.usecases.bounds import MOST_BYTES, take_within, texts_within
from civit_mcp.usecases.desk import Desk, on_disk
from civit_mcp.usecases.inventory import read_cursor, write_cursor

_TOOL: Final = "catalog_history"
#: file names shown of one change among others
_FILES_SHOWN: Final = 5
#: bytes of file names where the answer is about nothing else
_FILES_ALONE: Final = MOST_BYTES - 4_000
#: beyond the files of any change
_MOST_FILES: Final = 2**53


async def catalog_history(desk: Desk, *, limit: int, cursor: str | None) -> HistoryAnswer:
    """List the changes that were made through civit-mcp, newest first.

    The cursor of a change's files leads to that change alone, with more of its files.
    """
    one = None if cursor is None else _read_files_cursor(cursor)
    start = 0 if one else read_cursor(cursor, _TOOL)
    changes = await on_disk(desk.catalog.history)
    gone = undone(changes)
    if one is not None:
        return await on_disk(partial(_one_change, changes, gone, *one))
    page = changes[::-1][start : start + limit]
    rows = await on_disk(
        lambda: take_within([_history_row(change, gone.get(change.id)) for change in page])
    )
    end = start + len(rows)
    return HistoryAnswer(
        changes=rows,
        total=len(changes),
        next_cursor=write_cursor(end) if end < len(changes) else None,
    )


def _one_change(
    changes: Sequence[Change], gone: Mapping[str, str], change_id: str, first: int
) -> HistoryAnswer:
    change = next((one for one in changes if one.id == change_id), None)
    if change is None:
        raise cursors.foreign(_TOOL)
    names = _files_of(change)[first:]
    shown = texts_within(names, _FILES_ALONE)
    more = first + len(shown) if len(shown) < len(names) else None
    row = _history_row(change, gone.get(change.id))
    return HistoryAnswer(
        changes=[row.model_copy(update={"files": shown, "files_cursor": None})],
        total=len(changes),
        next_cursor=None if more is None else _write_files_cursor(change, more),
    )


def _history_row(change: Change, undone_by: str | None) -> HistoryRow:
    files = _files_of(change)
    more = len(files) > _FILES_SHOWN
    return HistoryRow(
        change_id=change.id,
        time=change.time,
        verb=change.verb,
        version_id=change.version_id,
        files=files[:_FILES_SHOWN],
        entries=len(files) if len(files) > 1 else None,
        files_cursor=_write_files_cursor(change, _FILES_SHOWN) if more else None,
        undoes=change.undoes,
        undone_by=undone_by,
    )


def _files_of(change: Change) -> list[str]:
    return [one_line(file, 120) for file in dict.fromkeys(change.files)]


def _write_files_cursor(change: Change, first: int) -> str:
    return cursors.write("files", change.id, first)


def _read_files_cursor(cursor: str) -> tuple[str, int] | None:
    """The change, and which of its files is the first to show; None for another cursor."""
    try:
        found = cursors.read("files", cursor, _TOOL)
    except BadReference:
        return None
    match found:
        case [str(change_id), int(first)] if type(first) is int and 0 <= first <= _MOST_FILES:
            return change_id, first
    raise cursors.foreign(_TOOL)
