"""The tool table: one module a subject, each ending in its `TOOLS`."""

from civit_mcp.app import Tool
from civit_mcp.tools import account, browse, catalog, facts, files, generation, search

ALL_TOOLS: tuple[Tool, ...] = (
    *search.TOOLS,
    *facts.TOOLS,
    *generation.TOOLS,
    *catalog.TOOLS,
    *browse.TOOLS,
    *files.TOOLS,
    *account.TOOLS,
)
