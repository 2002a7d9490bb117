"""The catalog: two plain JSON files, kept with the care of a database.

`Catalog` is the whole public face; a `Snapshot` is what it says at one moment. An `Address`
names an entry, a `Bundle` is another catalog to take in, `exported` and `inspected` say what a
snapshot looks like to other programs and what is wrong with it.
"""

from civit_mcp.catalog.change import Change
from civit_mcp.catalog.exporting import SUFFIXES, exported
from civit_mcp.catalog.importing import Bundle
from civit_mcp.catalog.presence import EXTRA_PATHS, Below, Roots
from civit_mcp.catalog.repository import NO_ROOT, Catalog
from civit_mcp.catalog.snapshot import CategoryInfo, DocumentInfo, Snapshot
from civit_mcp.catalog.table import Entry
from civit_mcp.catalog.undoing import undone
from civit_mcp.catalog.verbs import Address
from civit_mcp.catalog.verifying import Hasher, inspected, row

__all__ = [
    "EXTRA_PATHS",
    "NO_ROOT",
    "SUFFIXES",
    "Address",
    "Below",
    "Bundle",
    "Catalog",
    "CategoryInfo",
    "Change",
    "DocumentInfo",
    "Entry",
    "Hasher",
    "Roots",
    "Snapshot",
    "exported",
    "inspected",
    "row",
    "undone",
]
