"""Pure readers from what CivitAI sends, in all its spellings, to our records."""
