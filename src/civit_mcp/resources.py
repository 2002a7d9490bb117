"""Resources: the catalog as it stands, CivitAI's facts, raw generation data; and completions."""

import json
from collections.abc import Awaitable, Callable
from typing import Final

from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from civit_mcp.app import App, CivitServer
from civit_mcp.errors import CivitError
from civit_mcp.models.catalogued import CatalogName

JSON: Final = "application/json"
MAX_COMPLETIONS: Final = 100


def register(server: CivitServer) -> None:
    """Give the server every resource, template and completion."""
    _Readers(server.app).register(server)
    _register_completion(server, server.app)


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
            server.resource(uri, name=name, description=description, mime_type=JSON)(function)

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

        return (await lookup.get_model(self.app.desk_now(), model_id, [])).model_dump_json()

    async def version(self, version_id: str) -> str:
        from civit_mcp.usecases import lookup

        desk = self.app.desk_now()
        return (await lookup.get_model_version(desk, version_id, [])).model_dump_json()

    async def raw_generation_data(self, image_id: str) -> str:
        from civit_mcp.usecases import generation

        raw = await generation.raw_generation_data(self.app.desk_now(), image_id)
        return json.dumps(raw, ensure_ascii=False)

    async def enums(self) -> str:
        from civit_mcp.usecases import directory

        return (await directory.list_enums(self.app.desk_now())).model_dump_json()

    async def enums_of_kind(self, kind: str) -> str:
        from civit_mcp.usecases import directory

        known = directory.known_kind(kind)
        return (await directory.list_enums(self.app.desk_now(), known)).model_dump_json()

    async def _file(self, name: CatalogName) -> str:
        from civit_mcp.usecases import shelving

        return await shelving.catalog_text(self.app.desk_now(), name)

    async def _category(self, name: CatalogName, category: str) -> str:
        from civit_mcp.usecases import inventory

        return await inventory.category_text(self.app.desk_now(), name, category)


def _register_completion(server: CivitServer, app: App) -> None:
    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # as the SDK ships it
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        del context
        try:
            words = await _words(app, ref, argument.name)
        except CivitError:
            # a catalog that cannot be read suggests nothing; reading it says why
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
    app: App, ref: PromptReference | ResourceTemplateReference, argument: str
) -> list[str]:
    """What may stand in an argument: filter words, the catalog's categories and version ids."""
    from civit_mcp.usecases import directory

    words = directory.filter_words(argument)
    if words or isinstance(ref, PromptReference):
        return list(words)
    entries = (await app.desk_now().snapshot()).entries
    if argument == "category":
        name = "loras" if "loras" in ref.uri else "models"
        return list(dict.fromkeys(e.category_id for e in entries if e.catalog == name))
    if argument == "version_id":
        return list(dict.fromkeys(e.version_id for e in entries if e.version_id))
    return []
