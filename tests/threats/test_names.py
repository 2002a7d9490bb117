"""Names as a way out of the folders: those that callers write, and those that CivitAI tells.

The list of arguments is taken from what the server offers, so that a new one is not forgotten.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import httpx
import httpx2
import pytest
from mcp import MCPError
from mcp.types import TextContent
from pydantic import SecretStr

from civit_mcp.app import App
from civit_mcp.catalog import Catalog
from civit_mcp.civitai import CivitaiClient
from civit_mcp.config import Settings
from civit_mcp.sandbox import SANDBOX_KEY, world
from civit_mcp.server import create_server
from civit_mcp.usecases.desk import Desk
from tests.civitai_support import HandClock
from tests.door import CODES, REFUSAL
from tests.http_kit import BEARER, TOKEN, call_over, served, visitor
from tests.traps.kit import (
    MODELS,
    VERSIONS,
    at_civitai,
    file_row,
    model_row,
    odd_site,
    serving,
    version_body,
    version_row,
)

CANARY = "canary-of-the-quiet-harbor"
DIGEST = hashlib.sha256(CANARY.encode()).hexdigest()


def hostile(outside: Path) -> list[str]:
    """What somebody writes who wants to be elsewhere."""
    return [
        "../../etc/passwd", "../outside.json", "..\\..\\outside.json", str(outside),
        f"file://{outside}", f"~/../../..{outside}", "/etc/passwd", "file:///etc/passwd",
        "//host/share/x.json", "\\\\host\\share\\x.json", "C:\\x.json", "C:x.json",
        "%2e%2e%2foutside.json", "..%2foutside.json", "..%252foutside.json", "%00", "a\x00b",
        "CON", "nul.json", "LPT1.safetensors", "x.json:stream", "․․/outside.json",
        "．．／outside.json", "..\u2215outside.json", "\u202egnp.exe", ".", "..", "./..", "~",
        "~root/x.json", "$HOME/x.json", "${CIVITAI_API_KEY}", "`id`", "$(id)", "| id", "-rf",
        "x" * 5_000, "../" * 2_000 + "etc/passwd", "\ud7ff\ue000", ".civit-mcp/journal.json",
    ]  # fmt: skip


#: what a tool needs before it looks at anything else
NEEDED: dict[str, Any] = {
    "version_id": world.DEMO_LORA_VERSION, "version_ids": [world.DEMO_LORA_VERSION],
    "image_id": world.DEMO_IMAGE, "post_id": world.DEMO_POST, "collection_id": 1,
    "query": "mist", "action": "export",
}  # fmt: skip


class Place:
    """A folder with the server's places in it, and a canary beside them."""

    def __init__(self, folder: Path) -> None:
        self.outside = folder / "outside.json"
        entry = {"name": CANARY, "file": "x.safetensors", "dest": "loras", "version_id": 1}
        catalog = {"version": 1, "date": "", "categories": [{"id": "loras", "models": [entry]}]}
        self.outside.write_text(json.dumps(catalog), "utf-8")
        (folder / "secret.safetensors").write_text(CANARY, "utf-8")
        (folder / "here").mkdir()
        self._folder = folder
        self._own = [folder / name for name in ("catalog", "cache", "models")]
        self._before = self._beyond()

    def _beyond(self) -> dict[str, bytes]:
        return {
            str(path): path.read_bytes() if path.is_file() else b""
            for path in sorted(self._folder.rglob("*"))
            if not any(path.is_relative_to(own) for own in self._own)
        }

    def must_be_untouched(self) -> None:
        """Nothing is outside that was not there, and what was there is as it was."""
        assert self._beyond() == self._before


@pytest.fixture
def place(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    # a path that is taken as relative leads into this folder, where it is seen
    monkeypatch.chdir(tmp_path / "here")
    return place


@pytest.fixture
def base(settings: Settings) -> Iterator[str]:
    chosen = settings.model_copy(
        update={
            "token": SecretStr(TOKEN),
            "toolsets": ("all",),
            "civitai_api_key": SecretStr(SANDBOX_KEY),
        }
    )
    app = App(chosen)
    # thousands of questions would wait for their turn
    client = CivitaiClient(chosen, clock=HandClock())
    catalog = Catalog(chosen.catalog_dir, chosen.models_root)
    app.__dict__["desk"] = Desk(chosen, client, catalog)
    with served(chosen, server=create_server(chosen, app=app)) as address:
        yield address


def attempts(schema: dict[str, Any], word: str) -> Iterator[dict[str, Any]]:
    """Every argument that can carry a text, one after the other, with the word in it."""
    needed = {name: NEEDED[name] for name in schema.get("required", ())}
    for name, about in schema["properties"].items():
        parts = (about, *about.get("anyOf", ()))
        types = [part.get("type") for part in parts]
        kinds = {kind for each in types for kind in (each if isinstance(each, list) else [each])}
        if "array" in kinds:
            yield {**needed, name: [word]}
        if "object" in kinds:
            yield {**needed, name: {word: word, "notes": word, "tags": [word]}}
        if kinds & {"string", None} or "enum" in about:
            yield {**needed, name: word}


async def test_no_argument_of_any_tool_leads_out_of_the_folders(base: str, place: Place) -> None:
    tried = 0
    async with visitor(base) as client:
        tools = (await client.list_tools()).tools
        assert len(tools) >= 26
        for tool, word in itertools.product(tools, hostile(place.outside)):
            for arguments in attempts(tool.input_schema, word):
                result = await client.call_tool(tool.name, arguments)
                tried += 1
                (content,) = result.content
                assert isinstance(content, TextContent)
                if result.is_error:
                    refused = REFUSAL.fullmatch(content.text)
                    assert refused, (tool.name, arguments, content.text)
                    assert refused[1] in CODES
                    assert len(content.text) < 1_000, (tool.name, arguments)
                for secret in (CANARY, DIGEST[:10], DIGEST[:10].upper(), "root:x:", SANDBOX_KEY):
                    assert secret not in content.text, (tool.name, arguments)
    place.must_be_untouched()
    assert tried > 1_500


@pytest.mark.parametrize("form", ["catalog", "lock", "csv", "comfyui-manager", "comfy-cli"])
async def test_no_export_or_import_over_http_leads_out_or_into_the_catalogs_own_places(
    base: str, place: Place, settings: Settings, form: str
) -> None:
    home = settings.catalog_dir
    await call_over(base, "http", "auto", "add_to_catalog", {"version_id": world.DEMO_LORA_VERSION})
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    own = [
        home / ".civit-mcp" / "journal.json", home / ".civit-mcp" / "backups" / "x.json",
        home / "models.json", home / "loras.json", home / "LORAS.JSON",
        home / ".CIVIT-MCP" / "x.json",
    ]  # fmt: skip
    (home / "way-out").symlink_to(home.parent)
    words = [*map(str, own), *hostile(place.outside), str(home / "way-out" / "x.json"),
             f"{home}/../x.json", f"{home}/x/../../x.json"]  # fmt: skip
    async with visitor(base) as client:
        for action, word in itertools.product(("import", "export"), words):
            arguments = {"action": action, "path": word, "format": form}
            result = await client.call_tool("exchange_catalog", arguments)
            # what is the catalog already may be taken in: that changes nothing
            if action == "export":
                assert result.is_error, arguments
    (home / "way-out").unlink()

    place.must_be_untouched()
    after = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert after == before


async def test_no_uri_of_a_resource_leads_out_of_the_folders(base: str, place: Place) -> None:
    starts = (
        "catalog://", "catalog://models/", "catalog://loras/", "catalog://entries/",
        "civitai://models/", "civitai://model-versions/", "civitai://images/", "civitai://enums/",
        "file://", "",
    )  # fmt: skip
    words = [*hostile(place.outside), "..%2f..%2foutside.json", "../..", "..%2f..", "%2e%2e"]
    async with visitor(base) as client:
        for start, word in itertools.product(starts, words):
            try:
                result = await client.read_resource(start + word)
            except (MCPError, UnicodeEncodeError, httpx2.HTTPError) as error:
                text = str(error)
            else:
                text = str(result)
            for secret in (CANARY, "root:x:", "Traceback"):
                assert secret not in text, start + word
        assert (await client.read_resource("catalog://summary")).contents
    place.must_be_untouched()


async def test_no_word_in_an_address_of_the_admin_routes_leads_out(base: str, place: Place) -> None:
    async with httpx.AsyncClient(headers=BEARER) as http:
        for word in hostile(place.outside):
            shown = httpx.QueryParams({"w": word}).__str__().partition("=")[2]
            for way in ("image", "add", "promote-to-lora"):
                method = "GET" if way == "image" else "POST"
                for name in (shown, word.replace("\x00", "").replace("\n", "")[:1_000]):
                    try:
                        url = f"{base}/api/admin/civitai/{way}/{name}"
                        answer = await http.request(method, url)
                    except httpx.InvalidURL:
                        continue
                    assert 400 <= answer.status_code < 500, (way, name)
                    assert CANARY not in answer.text
    place.must_be_untouched()


# names that CivitAI tells


STRANGE = [
    "../../evil.safetensors", "..\\..\\evil.safetensors", "/etc/cron.d/evil.safetensors",
    "C:\\Windows\\evil.safetensors", "\\\\host\\share\\evil.safetensors", "a\x00b.safetensors",
    "CON.safetensors", "nul", "evil.safetensors:stream.safetensors", "~/evil.safetensors",
    "․․／evil.safetensors", "．．／evil.safetensors", "%2e%2e%2fevil.safetensors",
    "file:///etc/evil.safetensors", "x" * 500 + ".safetensors", "evil\u202esrosnetefas.safetensors",
    "..", ".", "", " ", "...safetensors", "-rf.safetensors", "$(id).safetensors",
    "evil.safetensors\n../x", ".civit-mcp", "models.json", "lora\ud83d/../x.safetensors",
]  # fmt: skip
RESERVED = re.compile(r"(?i)(con|nul|prn|aux|com\d|lpt\d)(\..*)?")


def is_one_plain_name(name: str) -> bool:
    return (
        name == PurePosixPath(name).name == PureWindowsPath(name).name
        and name not in (".", "..", "")
        and not RESERVED.fullmatch(name)
        and not re.search(r'[\x00-\x1f\x7f<>:"/\\|?*\u200b-\u200f\u202a-\u202e]', name)
        and len(name.encode()) <= 255
    )


@pytest.mark.parametrize("field", ["file", "model", "version", "creator", "base_model", "type"])
async def test_no_name_that_civitai_tells_leads_a_catalog_entry_out_of_the_models_root(
    settings: Settings, field: str
) -> None:
    names = [n.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for n in STRANGE]
    with odd_site() as site:
        async with serving(at_civitai(settings)) as assistant:
            for number, name in enumerate(names):
                told: dict[str, Any] = {
                    "file": f"quietHarbor{number}.safetensors", "model": "Quiet Harbor",
                    "version": "v1", "creator": "harbor", "base_model": "SDXL 1.0", "type": "LORA",
                    field: name,
                }  # fmt: skip
                version = {
                    "id": 8001 + number, "name": told["version"], "baseModel": told["base_model"],
                    "files": [file_row(id=90_000 + number, name=told["file"])],
                }  # fmt: skip
                model = {"name": told["model"], "type": told["type"]}
                site.answers = {
                    f"{VERSIONS}/{8001 + number}": version_body(**version, model=model),
                    f"{MODELS}/801": model_row(
                        **model,
                        creator={"username": told["creator"]},
                        modelVersions=[version_row(**version)],
                    ),
                }
                for tool in ("add_to_catalog", "promote_to_lora"):
                    await assistant.client.call_tool(tool, {"version_id": 8001 + number})
            await assistant.client.call_tool("verify_catalog", {})

    root = settings.models_root
    assert root is not None
    entries = [
        entry
        for path in settings.catalog_dir.glob("*.json")
        for shelf in json.loads(path.read_text("utf-8"))["categories"]
        for entry in shelf["models"]
    ]
    # a name of which nothing is left, or a type of which nothing is known, has no entry
    assert len(entries) > len(STRANGE) // 2 or field == "type"
    for entry in entries:
        assert is_one_plain_name(entry["file"]), entry["file"]
        assert all(is_one_plain_name(part) for part in PurePosixPath(entry["dest"]).parts)
        whole = (root / entry["dest"] / entry["file"]).resolve()
        assert whole.is_relative_to(root.resolve())
    # whatever it is called, nothing but the catalog was written
    assert {path.name for path in settings.catalog_dir.parent.iterdir()} <= {
        "catalog", "cache", "models",
    }  # fmt: skip
    assert not list(root.iterdir())
