"""Resources: the catalog as it stands, CivitAI's facts, raw generation data; and completions."""

import json
from collections.abc import Awaitable, Callable
from typing import Final

from mcp.server.mcpserver import ResourceSecurity
from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from civit_mcp.app import App, CivitServer, current_caller, icons
from civit_mcp.errors import CivitError
from civit_mcp.models.catalogued import CatalogName

JSON: Final = "application/json"
MAX_COMPLETIONS: Final = 100
#: a category is looked up by its name, which other programs may have made of anything; no file
#: is opened by it
_AS_WRITTEN: Final = ResourceSecurity(exempt_params={"category"})


def register(server: CivitServer) -> None:
    """Give the server every resource, template and completion."""
    _Readers(server.app).register(server)
    _register_completion(server)


class _Readers:
    """One method a resource; the method's parameters are the template's."""

    def __init__(self, app: App) -> None:
        self.app = app

    def register(self, server: CivitServer) -> None:
        table: tuple[tuple[str, str, str, Callable[..., Awaitable[str]]], ...] = (
            ("catalog://models.json", "models.json", "models.json as it stands", self.models_file),
            ("catalog://loras.json", "loras.json", "loras.json as it stands", self.loras_file),
            (
                "catalog://summary",
                "summary",
                "Counts by category, family and status; places; the last change",
                self.summary,
            ),
            (
                "catalog://models/{category}",
                "models-category",
                "One category of models.json",
                self.models_category,
            ),
            (
                "catalog://loras/{category}",
                "loras-category",
                "One category of loras.json",
                self.loras_category,
            ),
            (
                "catalog://entries/{version_id}",
                "entry",
                "The catalog entry of a version, with its status",
                self.entry,
            ),
            ("civitai://models/{model_id}", "model", "Facts about a model", self.model),
            (
                "civitai://model-versions/{version_id}",
                "model-version",
                "Facts about a version",
                self.version,
            ),
            (
                "civitai://images/{image_id}/generation-data",
                "generation-data",
                "CivitAI's whole answer about how an image was made",
                self.raw_generation_data,
            ),
            (
                "civitai://enums",
                "enums",
                "The words that filters take: types, base models, sorts, periods, levels",
                self.enums,
            ),
            (
                "civitai://enums/{kind}",
                "enums-kind",
                "One list of filter words: types, base_models, sorts, periods, levels, file_types",
                self.enums_of_kind,
            ),
        )
        for uri, name, description, function in table:
            icon = icons.CATALOG if uri.startswith("catalog:") else icons.CIVITAI
            server.resource(
                uri,
                name=name,
                description=description,
                mime_type=JSON,
                icons=icon,
                security=_AS_WRITTEN if "{category}" in uri else None,
            )(function)

    async def models_file(self) -> str:
        return await self._file("models")

    async def loras_file(self) -> str:
        return await self._file("loras")

    async def summary(self) -> str:
        from civit_mcp.usecases import shelving

        return (await shelving.summarise(self.app.desk_now())).model_dump_json()

    async def models_category(self, category: str) -> str:
        return await self._category("models", category)

    async def loras_category(self, category: str) -> str:
        return await self._category("loras", category)

    async def entry(self, version_id: str) -> str:
        from civit_mcp.usecases import shelving

        return (await shelving.catalog_entry(self.app.desk_now(), version_id)).model_dump_json()

    async def model(self, model_id: str) -> str:
        from civit_mcp.usecases import lookup

        return (
            await lookup.get_model(self.app.desk_now(), model_id, [], whole=True)
        ).model_dump_json()

    async def version(self, version_id: str) -> str:
        from civit_mcp.usecases import lookup

        desk = self.app.desk_now()
        return (await lookup.get_model_version(desk, version_id, [], whole=True)).model_dump_json()

    async def raw_generation_data(self, image_id: str) -> str:
        from civit_mcp.usecases import generation

        raw = await generation.raw_generation_data(self.app.desk_now(), image_id)
        return json.dumps(raw, ensure_ascii=False)

    async def enums(self) -> str:
        from civit_mcp.usecases import directory

        return (await directory.list_enums(self.app.desk_now(), whole=True)).model_dump_json()

    async def enums_of_kind(self, kind: str) -> str:
        from civit_mcp.usecases import directory

        known = directory.known_kind(kind)
        return (
            await directory.list_enums(self.app.desk_now(), known, whole=True)
        ).model_dump_json()

    async def _file(self, name: CatalogName) -> str:
        from civit_mcp.usecases import shelving

        return await shelving.catalog_text(self.app.desk_now(), name)

    async def _category(self, name: CatalogName, category: str) -> str:
        from civit_mcp.usecases import inventory

        return await inventory.category_text(self.app.desk_now(), name, category)


def _register_completion(server: CivitServer) -> None:
    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # as the SDK ships it
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        del context
        try:
            words = await _words(server, ref, argument.name)
        except CivitError:
            # a catalog that cannot be read, or may not be, suggests nothing; reading it says why
            return None
        typed = argument.value.casefold()
        holding = [word for word in words if typed in word.casefold()]
        # those that begin with what was typed go first; sorting keeps the order within both
        fitting = sorted(holding, key=lambda word: not word.casefold().startswith(typed))
        return Completion(
            values=fitting[:MAX_COMPLETIONS],
            total=len(fitting),
            has_more=len(fitting) > MAX_COMPLETIONS,
        )


async def _words(
    server: CivitServer, ref: PromptReference | ResourceTemplateReference, argument: str
) -> list[str]:
    """What may stand in an argument: filter words, else what the catalog has of the kind."""
    from civit_mcp.usecases import directory

    words = directory.filter_words(argument)
    if words:
        return list(words)
    # what the catalog holds is not told by the back door
    server.must_allow_what_tells("list_catalog", current_caller.get())
    entries = (await server.app.desk_now().snapshot()).entries
    found: list[str | None] = []
    if argument == "category" and isinstance(ref, ResourceTemplateReference):
        name = "loras" if "loras" in ref.uri else "models"
        found = [entry.category_id for entry in entries if entry.catalog == name]
    elif argument == "version_id":
        found = [entry.version_id for entry in entries]
    elif argument == "model_id":
        found = [entry.model_id for entry in entries]
    elif argument == "focus":
        found = [*(e.category_id for e in entries), *(e.base_model for e in entries)]
    return list(dict.fromkeys(word for word in found if word))
