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
from civit_mcp.errors import NotFound
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
        )
        for uri, name, description, function in table:
            server.resource(uri, name=name, description=description, mime_type=JSON)(function)

    async def models_file(self) -> str:
        return await self._file("models")

    async def loras_file(self) -> str:
        return await self._file("loras")

    async def summary(self) -> str:
        from civit_mcp.usecases import shelving

        return (await shelving.summarise(self.app.desk)).model_dump_json()

    async def models_category(self, category: str) -> str:
        return await self._category("models", category)

    async def loras_category(self, category: str) -> str:
        return await self._category("loras", category)

    async def entry(self, version_id: str) -> str:
        from civit_mcp.usecases import shelving

        return (await shelving.catalog_entry(self.app.desk, version_id)).model_dump_json()

    async def model(self, model_id: str) -> str:
        from civit_mcp.usecases import lookup

        return (await lookup.get_model(self.app.desk, model_id, [])).model_dump_json()

    async def version(self, version_id: str) -> str:
        from civit_mcp.usecases import lookup

        return (await lookup.get_model_version(self.app.desk, version_id, [])).model_dump_json()

    async def raw_generation_data(self, image_id: str) -> str:
        from civit_mcp.usecases import generation

        raw = await generation.raw_generation_data(self.app.desk, image_id)
        return json.dumps(raw, ensure_ascii=False)

    async def _file(self, name: CatalogName) -> str:
        from civit_mcp.usecases import shelving

        return await shelving.catalog_text(self.app.desk, name)

    async def _category(self, name: CatalogName, category: str) -> str:
        data = json.loads((await self._file(name)).removeprefix("\ufeff"), strict=False)
        for shelf in data.get("categories") or []:
            if isinstance(shelf, dict) and str(shelf.get("id")) == category:
                return json.dumps(shelf, ensure_ascii=False)
        raise NotFound(
            f"{name}.json has no category '{category[:80]}'", "read catalog://summary for the ids"
        )


def _register_completion(server: CivitServer, app: App) -> None:
    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # as the SDK ships it
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        del context
        words = await _words(app, ref, argument.name)
        typed = argument.value.casefold()
        fitting = [word for word in words if word.casefold().startswith(typed)]
        fitting += [w for w in words if typed in w.casefold() and w not in set(fitting)]
        return Completion(
            values=fitting[:MAX_COMPLETIONS],
            total=len(fitting),
            has_more=len(fitting) > MAX_COMPLETIONS,
        )


async def _words(
    app: App, ref: PromptReference | ResourceTemplateReference, argument: str
) -> list[str]:
    """What may stand in an argument: base models, the catalog's categories and version ids."""
    if argument == "base_model":
        from civit_mcp.models.base_models import BASE_MODELS

        return [row.name for row in BASE_MODELS.values()]
    if isinstance(ref, PromptReference):
        return []
    entries = (await app.desk.snapshot()).entries
    if argument == "category":
        name = "loras" if "loras" in ref.uri else "models"
        return list(dict.fromkeys(e.category_id for e in entries if e.catalog == name))
    if argument == "version_id":
        return list(dict.fromkeys(e.version_id for e in entries if e.version_id))
    return []
