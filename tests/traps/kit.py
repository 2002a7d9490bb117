"""What the tests of the traps share: odd worlds, odd sites, and servers over them."""

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import respx
from mcp import Client

from civit_mcp.app import App
from civit_mcp.catalog import Catalog
from civit_mcp.civitai import CivitaiClient
from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, running_sandbox
from civit_mcp.server import create_server
from civit_mcp.usecases.desk import Desk
from tests.civitai_support import BASE, HandClock
from tests.conftest import Assistant

Json = dict[str, Any]
#: a hash of no file, in the length of each type that is cut from it
SHA256 = "5A17ED0C" * 8
#: where a REST answer about one thing, and tRPC's about one image, are asked for
MODELS = "/api/v1/models"
VERSIONS = "/api/v1/model-versions"
IMAGES = "/api/v1/images"
GENERATION = "/api/trpc/image.getGenerationData"
IMAGE_GET = "/api/trpc/image.get"
#: the answer to a search that finds nothing
EMPTY_PAGE: Json = {"items": [], "metadata": {}}


def file_row(**changes: Any) -> Json:
    """A file of a version as CivitAI lists it."""
    row = {
        "id": 90001,
        "sizeKB": 1024.0,
        "name": "quietHarbor.safetensors",
        "type": "Model",
        "pickleScanResult": "Success",
        "virusScanResult": "Success",
        "scannedAt": "2025-03-04T09:20:00.000Z",
        "metadata": {"format": "SafeTensor", "size": "pruned", "fp": "fp16"},
        "hashes": {"SHA256": SHA256, "AutoV2": SHA256[:10]},
        "primary": True,
    }
    return row | changes


def version_row(**changes: Any) -> Json:
    """A version inside its model."""
    row = {
        "id": 8001,
        "index": 0,
        "name": "v1",
        "baseModel": "SDXL 1.0",
        "createdAt": "2025-03-04T09:02:11.118Z",
        "publishedAt": "2025-03-04T09:15:00.402Z",
        "trainedWords": ["harbor"],
        "nsfwLevel": 1,
        "stats": {"downloadCount": 12, "thumbsUpCount": 3},
        "files": [file_row()],
        "images": [],
    }
    return row | changes


def model_row(**changes: Any) -> Json:
    """A model as `models/<id>` answers it."""
    row = {
        "id": 801,
        "name": "Quiet Harbor",
        "type": "LORA",
        "nsfw": False,
        "nsfwLevel": 1,
        "description": "<p>Harbors at dawn.</p>",
        "allowCommercialUse": "{Image}",
        "stats": {"downloadCount": 120, "thumbsUpCount": 30},
        "creator": {"username": "harbor_lantern", "image": None},
        "tags": ["landscape"],
        "modelVersions": [version_row()],
    }
    return row | changes


def version_body(**changes: Any) -> Json:
    """A version as `model-versions/<id>` answers it."""
    body = version_row(
        modelId=801,
        status="Published",
        usageControl="Download",
        air="urn:air:sdxl:lora:civitai:801@8001",
        model={"name": "Quiet Harbor", "type": "LORA", "nsfw": False, "poi": False},
    )
    return body | changes


def generation(**changes: Any) -> Json:
    """The output of `image.getGenerationData`."""
    output: Json = {
        "type": "image",
        "onSite": False,
        "process": "txt2img",
        "meta": {"prompt": "a quiet harbor", "steps": 20},
        "resources": [],
        "tools": [],
        "techniques": [],
        "external": None,
        "canRemix": True,
        "remixOfId": None,
    }
    return output | changes


def resource(**changes: Any) -> Json:
    """One of its resources."""
    row = {
        "imageId": 700,
        "modelVersionId": 8001,
        "strength": 0.8,
        "modelId": 801,
        "modelName": "Quiet Harbor",
        "modelType": "LORA",
        "versionId": 8001,
        "versionName": "v1",
        "baseModel": "SDXL 1.0",
    }
    return row | changes


def image_facts(**changes: Any) -> Json:
    """The output of `image.get`."""
    facts: Json = {
        "id": 700,
        "name": "harbor.png",
        "url": "252fe70b-06bb-f149-4136-85dbd995877d",
        "type": "image",
        "nsfwLevel": 1,
        "hideMeta": False,
        "user": {"id": 9, "username": "harbor_lantern"},
        "stats": {"likeCountAllTime": 4},
    }
    return facts | changes


def envelope(output: Any, **meta: Any) -> Json:
    """What tRPC puts around an output."""
    return {"result": {"data": {"json": output, **meta}}}


def without(row: Json, *keys: str) -> Json:
    """The row without some of its keys."""
    return {key: value for key, value in row.items() if key not in keys}


class OddWorld:
    """A folder of answers in the layout of `sandbox --data`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def model(self, **changes: Any) -> None:
        """Let `models/<id>` answer this."""
        row = model_row(**changes)
        self._write(f"rest/models/{row['id']}.json", row)

    def version(self, **changes: Any) -> None:
        """Let `model-versions/<id>` answer this."""
        body = version_body(**changes)
        self._write(f"rest/model_versions/{body['id']}.json", body)

    def generation(self, image_id: int = 700, **changes: Any) -> None:
        """Let tRPC tell this of an image."""
        output = generation(**changes)
        self._write(f"trpc/image.getGenerationData/{image_id}.json", envelope(output))

    def generation_output(self, image_id: int, output: Any) -> None:
        """Let tRPC tell exactly this of an image."""
        self._write(f"trpc/image.getGenerationData/{image_id}.json", envelope(output))

    def image(self, **changes: Any) -> None:
        """Let `image.get` answer this."""
        facts = image_facts(**changes)
        self._write(f"trpc/image.get/{facts['id']}.json", envelope(facts))

    def _write(self, path: str, value: Any) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(value), encoding="utf-8")

    @contextmanager
    def running(self, *scenarios: str) -> Iterator[Sandbox]:
        """The stand-in over this folder."""
        with running_sandbox(data=self.folder, scenarios=scenarios) as sandbox:
            yield sandbox


Answer = Any | httpx.Response | Callable[[httpx.Request], Any]


class OddSite:
    """CivitAI at its real address as a test writes it; for what the stand-in cannot say.

    An answer is JSON, a whole response, or a function of the request that gives either. What
    has no answer is 404.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.seen: list[httpx.Request] = []

    def reply(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.answers.get(request.url.path)
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, httpx.Response):
            return answer
        if answer is None:
            return httpx.Response(404, json={"error": "Model not found"})
        return httpx.Response(200, content=json.dumps(answer).encode())

    def paths(self) -> list[str]:
        return [request.url.path for request in self.seen]


@contextmanager
def odd_site() -> Iterator[OddSite]:
    """Put an `OddSite` in the network's place."""
    site = OddSite()
    with respx.mock(assert_all_called=False) as router:
        router.route().mock(side_effect=site.reply)
        yield site


@asynccontextmanager
async def serving(settings: Settings, clock: HandClock | None = None) -> AsyncIterator[Assistant]:
    """A client of a server whose waits pass in no time."""
    # no folder can be there, so that no server remembers another's answers
    settings = settings.model_copy(update={"cache_dir": Path(os.devnull) / "cache"})
    app = App(settings)
    client = CivitaiClient(settings, clock=clock or HandClock())
    app.__dict__["desk"] = Desk(
        settings, client, Catalog(settings.catalog_dir, settings.models_root)
    )
    async with Client(create_server(settings, app=app)) as connection:
        yield Assistant(connection)


@asynccontextmanager
async def asking(
    world: OddWorld, settings: Settings, scenarios: Sequence[str] = ()
) -> AsyncIterator[Assistant]:
    """A client of a server over an odd world."""
    with world.running(*scenarios) as sandbox:
        async with serving(settings.model_copy(update={"civitai_url": sandbox.base_url})) as who:
            yield who


def at_civitai(settings: Settings) -> Settings:
    """The same settings with the address that an `OddSite` stands at."""
    return settings.model_copy(update={"civitai_url": BASE})


def code_of(sentence: str) -> str:
    """The code in front of a refusal; a refusal always has one, and a next step."""
    assert sentence.startswith("[")
    assert ". Next: " in sentence
    return sentence[1:].partition("]")[0]
