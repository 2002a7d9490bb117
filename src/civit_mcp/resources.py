"""Resources: the catalog as it stands, CivitAI's facts, raw generation data; and completions."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from civit_mcp.app import App, CivitServer
from civit_mcp.errors import NotFound
from civit_mcp.models.base_models import BASE_MODELS
from civit_mcp.models.catalogued import CatalogName
from civit_mcp.usecases import generation, lookup, shelving
from civit_mcp.usecases.desk import on_disk

JSON: Final = "application/json"
MAX_COMPLETIONS: Final = 100


def register(server: CivitServer) -> None:
    """Give the server every resource, template and completion."""
    app = server.app
    _register_files(server, app)
    _register_templates(server, app)
    _register_completion(server, app)


def _register_files(server: CivitServer, app: App) -> None:
    def reader(name: CatalogName) -> Callable[[], Any]:
        async def read() -> str:
            return await on_disk(partial(app.desk.catalog.raw, name))

        return read

    for name, holds in (("models", "all model kinds"), ("loras", "style LoRAs")):
        server.resource(
            f"catalog://{name}.json",
            name=f"{name}.json",
            title=f"Catalog file {name}.json",
            description=f"The catalog of {holds} as it stands on disk",
            mime_type=JSON,
        )(reader(name))  # type: ignore[arg-type]

    async def summary() -> str:
        return (await shelving.summarise(app.desk)).model_dump_json()

    server.resource(
        "catalog://summary",
        name="summary",
        title="Catalog summary",
        description="Counts by category, family and status; where the files are; the last change",
        mime_type=JSON,
    )(summary)


def _register_templates(server: CivitServer, app: App) -> None:
    async def category(name: Literal["models", "loras"], category: str) -> str:
        text = await on_disk(partial(app.desk.catalog.raw, name))
        for shelf in json.loads(text.removeprefix("\ufeff"), strict=False).get("categories") or []:
            if isinstance(shelf, dict) and str(shelf.get("id")) == category:
                return json.dumps(shelf, ensure_ascii=False)
        raise NotFound(
            f"{name}.json has no category '{category[:80]}'", "read catalog://summary for the ids"
        )

    async def models_category(category: str) -> str:
        return await _category("models", category)

    async def loras_category(category: str) -> str:
        return await _category("loras", category)

    _category = category

    async def entry(version_id: str) -> str:
        return (await shelving.catalog_entry(app.desk, version_id)).model_dump_json()

    async def raw(image_id: str) -> str:
        return json.dumps(
            await generation.raw_generation_data(app.desk, image_id), ensure_ascii=False
        )

    async def model(model_id: str) -> str:
        return (await lookup.get_model(app.desk, model_id, [])).model_dump_json()

    async def version(version_id: str) -> str:
        return (await lookup.get_model_version(app.desk, version_id, [])).model_dump_json()

    table: tuple[tuple[str, str, str, Callable[..., Any]], ...] = (
        (
            "catalog://models/{category}",
            "models-category",
            "One category of models.json",
            models_category,
        ),
        (
            "catalog://loras/{category}",
            "loras-category",
            "One category of loras.json",
            loras_category,
        ),
        ("catalog://entries/{version_id}", "entry", "The catalog entry of a version", entry),
        ("civitai://models/{model_id}", "model", "Facts about a model", model),
        (
            "civitai://model-versions/{version_id}",
            "model-version",
            "Facts about a version",
            version,
        ),
        (
            "civitai://images/{image_id}/generation-data",
            "generation-data",
            "The raw answer about how an image was made",
            raw,
        ),
    )
    for uri, name, description, function in table:
        server.resource(uri, name=name, description=description, mime_type=JSON)(function)


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
        fitting += [word for word in words if typed in word.casefold() and word not in fitting]
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
