"""What a generation's own text tells: tags, embeddings, hashes, ids, graphs. Pure functions."""

from civit_mcp.generation.clean import clean_prompt
from civit_mcp.generation.evidence import Evidence, Gathered
from civit_mcp.generation.gather import gather
from civit_mcp.generation.names import guess_hash_type, normalise_name
from civit_mcp.generation.tags import Tag, scan

__all__ = [
    "Evidence",
    "Gathered",
    "Tag",
    "clean_prompt",
    "gather",
    "guess_hash_type",
    "normalise_name",
    "scan",
]
