"""Whether an entry's file is on the disk, in whichever of ComfyUI's model folders.

ComfyUI looks for models below its own `models` folder and, where `extra_model_paths.yaml`
names more folders, there too. A section of that file has a `base_path` and, per kind of model,
one or several folders, a line each.
"""

import os
import re
import stat
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple

from civit_mcp.catalog.reader import YOUNG_NS, Stamp

EXTRA_PATHS: Final = "extra_model_paths.yaml"
#: a file of paths this large is something else
_MAX_BYTES: Final = 1_000_000
#: folders that one walk goes into; a link may lead to a whole disk
_MOST_FOLDERS: Final = 50_000
#: two names that ComfyUI has for the same kind of model
_SAME_KIND: Final = (frozenset({"text_encoders", "clip"}), frozenset({"diffusion_models", "unet"}))


class _Extra(NamedTuple):
    """What the files of extra paths say."""

    folders: dict[str, tuple[Path, ...]]
    notes: tuple[str, ...]
    #: every file that is there could be opened
    whole: bool


@dataclass(frozen=True)
class Roots:
    """The models root and the folders that ComfyUI searches besides it."""

    root: Path | None
    #: what tells whether the files of extra paths changed
    stamp: tuple[tuple[Path, Stamp], ...] = field(default=(), repr=False)
    #: old enough that the same stamp means the same content
    settled: bool = field(default=True, repr=False, compare=False)

    @classmethod
    def at(cls, root: Path | None) -> "Roots":
        """Look which files name extra folders; they are read when a file is looked for."""
        found = []
        moment = time.time_ns()
        for folder in (root, root.parent) if root is not None else ():
            path = folder / EXTRA_PATHS
            try:
                seen = path.stat()
            except (OSError, ValueError):
                continue
            stamp = Stamp(seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
            found.append((path, stamp))
        last = max((stamp.modified_ns for _, stamp in found), default=0)
        return cls(root, tuple(found), abs(moment - last) > YOUNG_NS)

    def stand_for(self, others: "Roots") -> bool:
        """Whether what was read here is what others would read.

        What could not be opened may be opened the next time, and nothing tells when.
        """
        opened = "_extra" not in self.__dict__ or self._extra.whole
        return self == others and self.settled and opened

    def find(self, dest: str, file: str) -> Path | None:
        """Where an entry's file is: a regular one that is not empty; None when it is nowhere."""
        return next((path for path in self.places(dest, file) if is_model(path)), None)

    def places(self, dest: str, file: str) -> Iterator[Path]:
        """Everywhere an entry's file may be. A place stays inside the folder it begins with."""
        first = place(self.root, dest, file)
        if first is None:
            return
        yield first
        assert self.root is not None
        yield from self.beside(first.relative_to(self.root))

    def beside(self, place: PurePath) -> Iterator[Path]:
        """Where ComfyUI looks besides the root for what is at `place` below the root."""
        if self.root is None or not place.parts:
            yield from (folder for folder in self.folders if folder != self.root)
            return
        kind, *below = place.parts
        for name in _names_of(kind):
            if name != kind:
                yield self.root.joinpath(name, *below)
            for folder in self.extra.get(name, ()):
                yield folder.joinpath(*below)

    @cached_property
    def extra(self) -> Mapping[str, tuple[Path, ...]]:
        """Kind of model -> the folders that the files of extra paths name for it, in order."""
        return self._extra.folders

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What could not be read of the files of extra paths."""
        return self._extra.notes

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that holds models, outermost only."""
        named = [self.root] if self.root is not None else []
        named += [folder for folders in self.extra.values() for folder in folders]
        kept: list[Path] = []
        for folder in sorted(dict.fromkeys(named), key=lambda path: len(path.parts)):
            if not any(folder.is_relative_to(outer) for outer in kept):
                kept.append(folder)
        return tuple(kept)

    @cached_property
    def _extra(self) -> _Extra:
        found: list[tuple[bool, str, Path]] = []
        notes: list[str] = []
        whole = True
        for path, stamp in self.stamp:
            if stamp.size > _MAX_BYTES:
                notes.append(f"'{path}' is too large to be a list of folders and was not read")
                continue
            try:
                found += _folders(_loaded(path), path.parent)
            except (OSError, ValueError, RecursionError) as error:
                whole = whole and not isinstance(error, OSError)
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                notes.append(f"'{path}' could not be read, so its folders are left out: {reason}")
        kinds: dict[str, list[Path]] = {}
        # a default section goes before the others, as in ComfyUI
        for _, kind, folder in sorted(found, key=lambda row: not row[0]):
            if folder not in kinds.setdefault(kind, []):
                kinds[kind].append(folder)
        named = {kind: tuple(folders) for kind, folders in kinds.items()}
        return _Extra(named, tuple(notes), whole)


class Below:
    """Every file below some folders, but no hidden ones.

    Links to folders are followed, as ComfyUI does. A folder that is reached in several ways is
    gone through once, by its own path where that is below the folders too: links that go round
    in circles end.
    """

    def __init__(self, tops: Sequence[Path]) -> None:
        """Take the folders; nothing is looked at before somebody iterates."""
        self._tops = tops
        self._seen: set[tuple[int, int]] = set()
        #: there were more folders than anybody goes through
        self.cut = False

    def __iter__(self) -> Iterator[Path]:
        waiting = deque(self._tops)
        while waiting:
            for where, folders, names in os.walk(waiting.popleft(), followlinks=True):
                if not self._is_new(where):
                    folders.clear()
                    continue
                if len(self._seen) > _MOST_FOLDERS:
                    self.cut = True
                    return
                shown = sorted(name for name in folders if not name.startswith("."))
                links = [name for name in shown if _is_link(Path(where, name))]
                # links go last, so that a folder is known by its own path
                waiting.extend(Path(where, name) for name in links)
                folders[:] = [name for name in shown if name not in links]
                yield from (Path(where, name) for name in sorted(names) if name[0] != ".")

    def _is_new(self, folder: str) -> bool:
        try:
            found = Path(folder).stat()
        except OSError:  # gone by now
            return False
        before = len(self._seen)
        self._seen.add((found.st_dev, found.st_ino))
        return len(self._seen) > before


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:  # its folder may be listed, but not entered
        return False


def is_model(path: Path) -> bool:
    """Whether a regular, non-empty file is there.

    A link counts for what it leads to, wherever that is: people keep their weights on other
    disks and link to them.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: NUL or a lone surrogate in the name
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def place(models_root: Path | None, dest: str, file: str) -> Path | None:
    """Where an entry's file belongs; None without a root or when it would lie outside."""
    if models_root is None or not file:
        return None
    whole = f"{dest}/{file}".replace("\\", "/")
    parts = [part for part in whole.split("/") if part not in ("", ".")]
    if dest.startswith(("/", "\\")) or file.endswith(("/", "\\")) or not parts:
        return None
    if ".." in parts or re.match(r"\s*[A-Za-z]:", dest):
        return None
    return models_root.joinpath(*parts)


def _names_of(kind: str) -> tuple[str, ...]:
    same = next((names for names in _SAME_KIND if kind in names), frozenset())
    return (kind, *sorted(same - {kind}))


def _loaded(path: Path) -> Any:
    import yaml  # noqa: PLC0415 - most people have no such file, and starting should be quick

    try:
        return yaml.safe_load(path.read_text("utf-8-sig"))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error


def _folders(data: Any, here: Path) -> Iterator[tuple[bool, str, Path]]:
    """(is it a default section, kind of model, folder) for each folder that is named."""
    for section in data.values() if isinstance(data, dict) else ():
        if not isinstance(section, dict):
            continue
        base = section.get("base_path")
        start = _resolved(base, here) if isinstance(base, str) and base.strip() else here
        default = section.get("is_default") is True
        for kind, lines in section.items():
            if kind in ("base_path", "is_default") or not isinstance(kind, str):
                continue
            texts = lines if isinstance(lines, list) else [lines]
            for text in texts:
                for line in text.splitlines() if isinstance(text, str) else ():
                    if line.strip():
                        yield default, kind, _resolved(line, start)


def _resolved(text: str, start: Path) -> Path:
    if "\0" in text:
        raise ValueError("a path in it has a NUL character")
    named = os.path.expandvars(os.path.expanduser(text.strip()))  # noqa: PTH111 - a name with no home stays
    return Path(os.path.normpath(start / named))
