"""Strangers' words made safe to show: descriptions, names, notes.

Prompts never go through here. A prompt is a recipe: whoever repeats it needs every
character of it, the invisible ones too.
"""

from civit_mcp.text.markup import clean_html
from civit_mcp.text.prose import clean_prose, cut, one_line, quoted

__all__ = ["clean_html", "clean_prose", "cut", "one_line", "quoted"]
