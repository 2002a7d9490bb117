"""Whether an entry's file is on the disk."""

import re
import stat
from pathlib import Path
from typing import Literal


def status_of(models_root: Path | None, dest: str, file: str) -> Literal["present", "missing"]:
    """`present` for a non-empty regular file at its place under the models root.

    The place stays inside the root. A link counts for what it leads to, wherever that is:
    people keep their weights on other disks and link to them.
    """
    path = place(models_root, dest, file)
    if path is None:
        return "missing"
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: NUL or a lone surrogate in the name
        return "missing"
    return "present" if stat.S_ISREG(found.st_mode) and found.st_size > 0 else "missing"


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
