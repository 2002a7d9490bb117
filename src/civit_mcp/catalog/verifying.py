"""What is wrong with a catalog: held against the disk, and against itself. Reads only."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from civit_mcp.catalog.naming import key, stem_key
from civit_mcp.catalog.presence import Below, Roots, is_model, place
from civit_mcp.catalog.snapshot import Snapshot
from civit_mcp.catalog.table import Entry, text_of
from civit_mcp.catalog.verbs import folder_key
from civit_mcp.models.catalogued import Problem, ProblemRow
from civit_mcp.models.ids import plain_id
from civit_mcp.models.weights import SHA256_LENGTH

#: told how many entries of how many are done
Progress = Callable[[int, int], None]
_PIECE: Final = 1 << 20
#: bytes between two looks at whether a file is still wanted
_WATCH: Final = 1 << 26
_HASH: Final = re.compile(rf"[0-9A-F]{{{SHA256_LENGTH}}}")
_NOISE: Final = re.compile(r"(?:^|_)(high|low)_?noise(?=_|$)|(?:^|_)(high|low)(?=_|$)")
#: files on the disk that are looked at when something is missing
_MOST_FILES: Final = 200_000
#: a size may have been worked out of KiB as if they were 1000 bytes, or in units of 2^30
_SMALLEST, _LARGEST = 0.93, 1.0738


class _Stamp(NamedTuple):
    path: Path
    size: int
    modified_ns: int


class Hasher:
    """SHA-256 of files, kept as long as size and time of a file stay as they were."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._known: dict[Path, tuple[_Stamp, str]] = {}
        self._between: Callable[[float], None] | None = None

    def watched(self, between: Callable[[float], None]) -> "Hasher":
        """The same hashes for one piece of work.

        `between` is told now and then what share of a file is read, and may raise to stop.
        """
        hasher = Hasher()
        hasher._known, hasher._between = self._known, between
        return hasher

    def of(self, path: Path) -> str | None:
        """The hash of a file in upper case; None when it cannot be read."""
        try:
            found = path.stat()
            stamp = _Stamp(path, found.st_size, found.st_mtime_ns)
            known = self._known.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            sha = hashlib.sha256()
            with path.open("rb") as stream:
                while piece := stream.read(_PIECE):
                    sha.update(piece)
                    if self._between is not None and stream.tell() % _WATCH == 0:
                        self._between(min(1.0, stream.tell() / found.st_size))
        except (OSError, ValueError):
            return None
        value = sha.hexdigest().upper()
        self._known[path] = stamp, value
        return value


def row(problem: Problem, entry: Entry, detail: str | None = None) -> ProblemRow:
    """One problem of one entry."""
    return ProblemRow(
        problem=problem,
        file=entry.file,
        catalog=entry.catalog,
        dest=entry.dest,
        version_id=plain_id(entry.version_id),
        detail=detail,
    )


def inspected(
    snapshot: Snapshot, *, hasher: Hasher | None = None, progress: Progress | None = None
) -> list[ProblemRow]:
    """Every problem that catalog and disk show; contents are read only with a `hasher`."""
    found = [*_duplicates(snapshot), *_half_pairs(snapshot)]
    if snapshot.models_root is None:
        return found
    search = _Search(snapshot.roots)
    total = len(snapshot.entries)
    for number, entry in enumerate(snapshot.entries, 1):
        found += _on_disk(entry, snapshot.roots, search, hasher)
        if progress is not None and (hasher is not None or not number % 1000):
            progress(number, total)
    return found


def _on_disk(
    entry: Entry, roots: Roots, search: "_Search", hasher: Hasher | None
) -> Iterator[ProblemRow]:
    if place(roots.root, entry.dest, entry.file) is None:
        yield row("bad_dest", entry, "the folder is not one below the models root")
        return
    path = roots.find(entry.dest, entry.file)
    size = -1 if path is None else _size(path)
    if path is None or size < 0:
        yield _absent(entry, roots, search, hasher)
        return
    if not fits(size, entry.size_gb):
        yield row("wrong_size", entry, f"{size} bytes on disk, {entry.size_gb} GB in the catalog")
    if hasher is not None and _HASH.fullmatch(entry.hash):
        there = hasher.of(path)
        if there is not None and there != entry.hash:
            yield row("wrong_hash", entry, f"{there} on disk, {entry.hash} in the catalog")


def _absent(entry: Entry, roots: Roots, search: "_Search", hasher: Hasher | None) -> ProblemRow:
    for path in roots.places(entry.dest, entry.file):
        if path.is_file():
            return row("empty", entry, f"'{path}' has no content")
    for path in search.named(entry.file):
        size = _size(path)
        if size >= 0 and fits(size, entry.size_gb):
            how = "of the same name and size" if entry.size_gb else "of the same name"
            if hasher is not None and _HASH.fullmatch(entry.hash):
                if hasher.of(path) != entry.hash:
                    continue
                how = "with the same content"
            return row("elsewhere", entry, f"a file {how} is '{path}'")
    if hasher is not None and _HASH.fullmatch(entry.hash) and entry.size_gb:
        for path in search.sized(entry.size_gb):
            if hasher.of(path) == entry.hash:
                return row("elsewhere", entry, f"the same content is '{path}'")
    return row("missing", entry, search.unfinished)


def fits(size: int, size_gb: float | None) -> bool:
    """Whether a size in bytes can be what somebody rounded to `size_gb`."""
    if not size_gb or size_gb < 0:
        return True
    decimals = len(f"{size_gb:.6f}".rstrip("0").partition(".")[2])
    slack = 0.5 * 10.0 ** -max(decimals, 1)
    return (size_gb - slack) * _SMALLEST <= size / 1e9 <= (size_gb + slack) * _LARGEST


def _size(path: Path) -> int:
    """Bytes of a file; -1 when it is gone by now."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


class _Search:
    """Files under all roots by name and size; the disk is walked when first asked."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._files: list[tuple[Path, int]] | None = None
        self._names: dict[str, list[Path]] = defaultdict(list)
        #: what is to be said where a file is not found; None when every file was looked at
        self.unfinished: str | None = None

    def named(self, file: str) -> list[Path]:
        """Files of that name in any folder."""
        self._walk()
        return self._names.get(key(file), [])

    def sized(self, size_gb: float) -> Iterable[Path]:
        """Files whose size fits."""
        return [path for path, size in self._walk() if fits(size, size_gb)]

    def _walk(self) -> list[tuple[Path, int]]:
        if self._files is None:
            self._files = []
            below = Below(self._roots.folders)
            for path in below:
                if len(self._files) >= _MOST_FILES:
                    below.cut = True
                    break
                if is_model(path):
                    self._files.append((path, _size(path)))
                    self._names[key(path.name)].append(path)
            if below.cut:
                self.unfinished = (
                    f"it may stand elsewhere: only the first {len(self._files)} files below the "
                    "models root and ComfyUI's other folders were looked at"
                )
        return self._files


def _duplicates(snapshot: Snapshot) -> Iterator[ProblemRow]:
    versions: dict[str, list[Entry]] = defaultdict(list)
    hashes: dict[str, list[Entry]] = defaultdict(list)
    names: dict[str, list[Entry]] = defaultdict(list)
    for entry in snapshot.entries:
        if entry.version_id:
            versions[f"{entry.version_id}/{entry.file_id or ''}"].append(entry)
        if _HASH.fullmatch(entry.hash):
            hashes[entry.hash].append(entry)
        if entry.file:
            names[key(entry.file)].append(entry)
    for entries in versions.values():
        for other in entries[1:]:
            yield row("duplicate_version", other, f"also {_where(entries[0])}")
    for entries in hashes.values():
        for other in entries[1:]:
            if other.version_id is None or other.version_id != entries[0].version_id:
                yield row("duplicate_hash", other, f"the same content is {_where(entries[0])}")
    for entries in names.values():
        for other in entries[1:]:
            if _other_model(entries[0], other):
                yield row("duplicate_name", other, f"another model is {_where(entries[0])}")


def _other_model(one: Entry, other: Entry) -> bool:
    """Whether two entries of one file name are two models, or one in two folders."""
    if one.hash and other.hash:
        return one.hash != other.hash
    same = one.version_id == other.version_id and folder_key(one.dest) == folder_key(other.dest)
    return not same


def _where(entry: Entry) -> str:
    return f"'{entry.file}' in {entry.catalog}.json, category '{entry.category_id}'"


def _half_pairs(snapshot: Snapshot) -> Iterator[ProblemRow]:
    """Models that work in twos, for high and low noise, of which one is not there."""
    pairs: dict[str, dict[str, Entry]] = defaultdict(dict)
    stems: dict[str, Entry] = {}
    for entry in snapshot.entries:
        pair_id = text_of(entry.raw.get("pair_id")).strip()
        role = text_of(entry.raw.get("pair_role")).strip().casefold()
        if pair_id:
            pairs[pair_id].setdefault(role, entry)
        else:
            stems.setdefault(stem_key(entry.file), entry)
    for pair_id, roles in pairs.items():
        if "both" not in roles and ("high" in roles) != ("low" in roles):
            here = "high" if "high" in roles else "low"
            other = "low" if here == "high" else "high"
            yield row("half_pair", roles[here], f"pair '{pair_id}' has no '{other}' part")
    for stem, entry in stems.items():
        found = _NOISE.search(stem)
        role = (found.group(1) or found.group(2)) if found else ""
        if found is None or (found.group(1) is None and "wan" not in stem):
            continue
        other = "low" if role == "high" else "high"
        swapped = stem[: found.start()] + found.group().replace(role, other) + stem[found.end() :]
        if swapped not in stems:
            yield row("half_pair", entry, f"no entry is its '{other}' noise part")
