"""The tool table: one module a subject, each ending in its `TOOLS`.

Modules of sets that are off are not loaded: their answer models take time at every start.
"""

from collections.abc import Collection
from importlib import import_module
from types import MappingProxyType
from typing import Final

from civit_mcp.app import TOOLSETS, Tool, Toolset

#: module -> the sets that its tools belong to, in the order in which tools are listed
_MODULES: Final[dict[str, tuple[Toolset, ...]]] = {
    "search": ("core",),
    "facts": ("core",),
    "generation": ("core",),
    "catalog": ("core", "catalog"),
    "browse": ("browse",),
    "files": ("files",),
    "account": ("account",),
}
_NAMES: Final[dict[Toolset, tuple[str, ...]]] = {
    "core": (
        "search_models", "get_model", "get_model_version", "get_generation_data",
        "add_to_catalog", "promote_to_lora", "list_catalog",
    ),
    "catalog": (
        "remove_from_catalog", "edit_catalog_entry", "undo_catalog_change", "catalog_history",
        "verify_catalog", "exchange_catalog",
    ),
    "browse": (
        "search_images", "get_image_tags", "get_post", "get_collection", "search_creators",
        "search_tags", "list_enums",
    ),
    "files": ("identify_files", "check_availability"),
    "account": ("whoami", "check_permissions", "list_vault", "toggle_vault"),
}  # fmt: skip
#: every tool with its set, so that a call of one that is off can be told how to switch it on
SET_OF: Final = MappingProxyType({name: one for one, names in _NAMES.items() for name in names})


def tools_of(sets: Collection[Toolset]) -> tuple[Tool, ...]:
    """Every tool of the modules that have something to do with the sets."""
    found: list[Tool] = []
    for name, belongs_to in _MODULES.items():
        if set(belongs_to) & set(sets):
            found += import_module(f"civit_mcp.tools.{name}").TOOLS
    return tuple(found)


def all_tools() -> tuple[Tool, ...]:
    """Every tool there is."""
    return tools_of(TOOLSETS)
