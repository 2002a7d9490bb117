"""Finding model files where ComfyUI looks for them, and hashing them."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from civit_mcp.catalog import EXTRA_PATHS, Below, Roots
from civit_mcp.errors import BadReference, NotConfigured
from civit_mcp.models.weights import MODEL_FILE, SAFETENSORS, name_ending
from civit_mcp.text import one_line

_PIECE: Final = 4 * 1024 * 1024
#: longer headers than any tool writes are no headers
_MOST_HEADER: Final = 100_000_000
_MOST_FILES: Final = 20_000
_TENSORS: Final = name_ending(*SAFETENSORS)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file that may be a model."""

    path: Path
    #: relative to the models root, with slashes; whole in the other folders
    shown: str
    size: int


@dataclass(frozen=True, slots=True)
class Found:
    """The model files at one path."""

    files: tuple[ModelFile, ...]
    #: there are more than anybody looks at
    cut: bool = False


def model_files(roots: Roots, text: str) -> Found:
    """Find the model files that a path names: a file, or a folder with everything below.

    A path is relative to the models root, where it means the same place of the other folders
    that ComfyUI searches too; or it is absolute and lies under one of them. A link inside is
    followed, as ComfyUI does, because whoever put it there owns the folder.

    Raises:
        NotConfigured: there is no models root.
        BadReference: a path leaves the folders, or nothing readable is there.
    """
    if roots.root is None:
        raise NotConfigured(
            "local files can only be read under the models root, and none is set",
            "set CIVIT_MCP_MODELS_ROOT to ComfyUI's models folder and restart civit-mcp",
        )
    root, shown = Path(os.path.normpath(roots.root)), one_line(text, 160)
    where = "the models root"
    if roots.extra:
        where += f" and the folders of {EXTRA_PATHS}"
    there: list[tuple[Path, os.stat_result]] = []
    reason = ""
    for place in _places(root, roots, text, where):
        try:
            there.append((place, place.stat()))
        except (OSError, ValueError) as error:
            problem = error.strerror if isinstance(error, OSError) else "no such path"
            reason = reason or f"{problem}"
    if not there:
        raise BadReference(f"'{shown}' cannot be read under {where}: {reason}", "check the path")
    # as ComfyUI has it, a file in an earlier folder hides one of its name in a later one
    path, facts = there[0]
    if stat.S_ISREG(facts.st_mode):
        if not MODEL_FILE.search(path.name):
            raise BadReference(f"'{shown}' is no model file", "give a .safetensors or the like")
        return Found((ModelFile(path, _shown(root, path), facts.st_size),))
    if not stat.S_ISDIR(facts.st_mode):
        raise BadReference(f"'{shown}' is neither a file nor a folder", "check the path")
    folders = [folder for folder, facts in there if stat.S_ISDIR(facts.st_mode)]
    found: dict[Path, ModelFile] = {}
    below = Below(folders)
    for each in below:
        size = _model_size(each)
        if size is None:
            continue
        if len(found) == _MOST_FILES:
            return Found(_sorted(found.values()), cut=True)
        found.setdefault(each, ModelFile(each, _shown(root, each), size))
    return Found(_sorted(found.values()), cut=below.cut)


def _places(root: Path, roots: Roots, text: str, where: str) -> Iterator[Path]:
    shown = one_line(text, 160)
    if not text.strip() or "\x00" in text:
        raise BadReference(f"'{shown}' is no path", f"give a path under {where}")
    # links stay as they are: the folder behind one has no place of its own below the root
    path = Path(os.path.normpath(root / text))  # a later absolute path wins
    inside = _inside((root, *roots.folders), path)
    if inside is None:
        raise BadReference(
            f"'{shown}' is outside {where}",
            "give a path under the models root, such as 'loras'",
        )
    yield inside
    if not Path(text).is_absolute() and inside.is_relative_to(root):
        yield from roots.beside(inside.relative_to(root))


def _inside(folders: Sequence[Path], path: Path) -> Path | None:
    """The path below one of the folders, as it is written or where its links lead."""
    for folder in folders:
        if path.is_relative_to(folder):
            return path
    # unlike Path.resolve this leaves links that go round in circles alone
    real = Path(os.path.realpath(path))
    for folder in folders:
        top = Path(os.path.realpath(folder))
        if real.is_relative_to(top):
            return folder / real.relative_to(top)
    return None


def _model_size(path: Path) -> int | None:
    """Bytes of a file whose name is a model's; None for anything else."""
    if not MODEL_FILE.search(path.name):
        return None
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


def _shown(root: Path, path: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _sorted(files: Iterable[ModelFile]) -> tuple[ModelFile, ...]:
    return tuple(sorted(files, key=lambda file: file.shown))


@dataclass(frozen=True, slots=True)
class Digests:
    """Hashes of one file, in upper case."""

    sha256: str
    #: of the tensors alone; only safetensors files have one
    autov3: str | None

    @property
    def autov2(self) -> str:
        return self.sha256[:10]


def digests_of(path: Path, advance: Callable[[int], None]) -> Digests:
    """Hash a file in one pass. `advance` is told of every piece read, and may raise to stop.

    Raises:
        OSError: the file cannot be read.
    """
    whole, tensors = hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as stream:
        start = _tensors_start(stream) if _TENSORS.search(path.name) else None
        stream.seek(0)
        position = 0
        while piece := stream.read(_PIECE):
            whole.update(piece)
            end = position + len(piece)
            if start is not None and end > start:
                tensors.update(memoryview(piece)[max(start - position, 0) :])
            position = end
            advance(len(piece))
    autov3 = tensors.hexdigest()[:12].upper() if start is not None and position > start else None
    return Digests(whole.hexdigest().upper(), autov3)


def _tensors_start(stream: BinaryIO) -> int | None:
    """Where a safetensors file's header ends; None when it has none."""
    length = int.from_bytes(stream.read(8), "little")
    return 8 + length if 0 < length <= _MOST_HEADER and stream.read(1) == b"{" else None
