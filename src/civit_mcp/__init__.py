"""civit-mcp: from a CivitAI image to something its user can run at home."""

__version__ = "0.1.0"
