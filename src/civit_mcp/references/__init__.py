"""One parser for every spelling of a CivitAI thing that a person may paste."""

from civit_mcp.models.ids import MAX_ID
from civit_mcp.references.parser import parse_reference
from civit_mcp.references.reference import Expect, Kind, Reference

__all__ = ["MAX_ID", "Expect", "Kind", "Reference", "parse_reference"]
