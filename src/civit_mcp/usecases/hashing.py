"""Finding model files under the models root, and hashing them."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from civit_mcp.errors import BadReference, NotConfigured
from civit_mcp.references.shapes import MODEL_FILE
from civit_mcp.text import one_line

_PIECE: Final = 4 * 1024 * 1024
#: longer headers than any tool writes are no headers
_MOST_HEADER: Final = 100_000_000
_MOST_FILES: Final = 20_000


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file that may be a model."""

    path: Path
    #: relative to the models root, with slashes
    shown: str
    size: int


def model_files(root: Path | None, asked: list[str]) -> list[ModelFile]:
    """Find the model files that `asked` names: files, or folders with everything below.

    A path is relative to the models root or lies under it. A link inside the root is
    followed, as ComfyUI does, because whoever put it there owns the root.

    Raises:
        NotConfigured: there is no models root.
        BadReference: a path leaves the root, or nothing readable is there.
    """
    if root is None:
        raise NotConfigured(
            "local files can only be read under the models root, and none is set",
            "set CIVIT_MCP_MODELS_ROOT to ComfyUI's models folder and restart civit-mcp",
        )
    root = Path(os.path.normpath(root))
    found: dict[str, ModelFile] = {}
    for text in asked:
        path = _inside(root, text)
        for each in _below(root, path, text):
            found.setdefault(each.shown, each)
    return sorted(found.values(), key=lambda file: file.shown)


def _inside(root: Path, text: str) -> Path:
    shown = one_line(text, 160)
    if not text.strip() or "\x00" in text:
        raise BadReference(f"'{shown}' is no path", "give a path under the models root")
    # links stay as they are: the folder behind one has no place of its own below the root
    path = Path(os.path.normpath(root / text))  # a later absolute path wins
    for top, place in ((root, path), (root.resolve(), path.resolve())):
        if place.is_relative_to(top):
            return root / place.relative_to(top)
    raise BadReference(
        f"'{shown}' is outside the models root",
        "give a path under the models root, such as 'loras'",
    )


def _below(root: Path, path: Path, text: str) -> Iterator[ModelFile]:
    shown = one_line(text, 160)
    try:
        facts = path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such path"
        raise BadReference(
            f"'{shown}' cannot be read under the models root: {reason}", "check the path"
        ) from None
    if stat.S_ISREG(facts.st_mode):
        if not MODEL_FILE.search(path.name):
            raise BadReference(f"'{shown}' is no model file", "give a .safetensors or the like")
        yield _file(root, path, facts.st_size)
        return
    if not stat.S_ISDIR(facts.st_mode):
        raise BadReference(f"'{shown}' is neither a file nor a folder", "check the path")
    count = 0
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            each = Path(folder) / name
            if not MODEL_FILE.search(name) or name.startswith("."):
                continue
            try:
                facts = each.stat()
            except OSError:
                continue
            if stat.S_ISREG(facts.st_mode):
                yield _file(root, each, facts.st_size)
                count += 1
                if count == _MOST_FILES:
                    return


def _file(root: Path, path: Path, size: int) -> ModelFile:
    return ModelFile(path, path.relative_to(root).as_posix(), size)


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
        start = _tensors_start(stream) if path.suffix.lower() in (".safetensors", ".sft") else None
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
