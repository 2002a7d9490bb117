"""The catalog: two plain JSON files, kept with the care of a database.

`Catalog` is the whole public face; a `Snapshot` is what it says at one moment.
"""

from civit_mcp.catalog.repository import NO_ROOT, Catalog
from civit_mcp.catalog.snapshot import CategoryInfo, DocumentInfo, Entry, Snapshot

__all__ = ["NO_ROOT", "Catalog", "CategoryInfo", "DocumentInfo", "Entry", "Snapshot"]
