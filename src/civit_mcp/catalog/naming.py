"""Names: what an entry is called, and what its file may be called on every system."""

import re
import unicodedata
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Final

from civit_mcp.files import STAGE_ROOM
from civit_mcp.models.records import FileRecord, VersionRecord
from civit_mcp.models.weights import MODEL_FILE

#: bytes that a file name may have: the usual 255, less what a partial download adds
NAME_BYTES: Final = 255 - STAGE_ROOM
_DISPLAY_CHARACTERS: Final = 300
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"}
)
#: without a shape of their own, but needed to write: some scripts and pictures join with them
_JOINERS: Final = frozenset("\u200c\u200d")
_DROPPED: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,16}$")


def clean(text: str) -> str:
    """One line of text that can be stored and shown: no control or direction characters."""
    shown = "".join(
        " " if character.isspace() or unicodedata.category(character) in _DROPPED else character
        for character in text
        if not _hides(character)
    )
    return " ".join(shown.split())


def _hides(character: str) -> bool:
    """Whether it can hide words, or turn the reading direction and so disguise an extension."""
    return unicodedata.category(character) == "Cf" and character not in _JOINERS


def display_name(version: VersionRecord, file: FileRecord) -> str:
    """`Model version [base FP]`, from the parts there are."""
    model, name = clean(version.model_name or ""), clean(version.name)
    if name.casefold() == model.casefold():
        name = ""
    facts = (clean(version.base_model), clean(file.fp or "").upper())
    bracket = " ".join(part for part in facts if part)
    title = " ".join(part for part in (model, name) if part)
    title = title or PurePosixPath(safe_file_name(file.name)).stem
    suffix = f"[{bracket}]" if bracket else ""
    room = _DISPLAY_CHARACTERS - len(suffix)
    return " ".join(part for part in (title[:room].strip(), suffix) if part)


def safe_file_name(text: str) -> str:
    """Make a stranger's file name one that stays in its folder on every system.

    Empty when nothing of it is a name. What is already safe stays as it is.
    """
    last = re.split(r"[/\\]", text)[-1]
    last = re.sub(r"^\s*[A-Za-z]:", "", last)
    kept = "".join(
        character
        for character in last
        if not _hides(character) and unicodedata.category(character) not in _DROPPED
    )
    kept = re.sub(r'[<>:"|?*]', "_", kept).rstrip(". ")
    suffix = _suffix(kept)
    stem = kept[: len(kept) - len(suffix)].lstrip(". ").rstrip(". ")
    if not stem:
        return ""
    if stem.split(".")[0].rstrip(" ").casefold() in _RESERVED:
        stem = f"_{stem}"
    return _cut(stem, suffix)


def unique(name: str, version_id: int, *, is_taken: Callable[[str], bool]) -> str:
    """Choose a name that nobody in the catalogs has; `is_taken` is asked for `key`s."""
    suffix = _suffix(name)
    stem = name[: len(name) - len(suffix)]
    chosen = _cut(stem, f"_{version_id}{suffix}")
    count = 2
    while is_taken(key(chosen)):
        chosen = _cut(stem, f"_{version_id}_{count}{suffix}")
        count += 1
    return chosen


def key(name: str) -> str:
    """What two file names share when some file system takes them for one."""
    if name.isascii():  # nearly all are, and a large catalog asks for each of its names
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def stem_key(text: str) -> str:
    """A name as people type it: no folder, no extension, case and separators levelled."""
    last = re.split(r"[/\\]", text.strip())[-1]
    bare = MODEL_FILE.sub("", last)
    levelled = unicodedata.normalize("NFKC", bare).casefold()
    return re.sub(r"[\s_\-.]+", "_", levelled).strip("_")


def _suffix(name: str) -> str:
    found = _SUFFIX.search(name)
    return found.group() if found else ""


def _cut(stem: str, suffix: str) -> str:
    room = NAME_BYTES - len(suffix.encode())
    short = stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ")
    return short + suffix
