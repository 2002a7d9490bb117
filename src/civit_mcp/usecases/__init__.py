"""What an assistant asks for, one module a question; no word of MCP in here."""
