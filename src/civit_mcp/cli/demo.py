"""`civit-mcp demo`: a tour of what an assistant can do, told for a person to follow.

Everything runs for real: a stand-in of CivitAI on loopback, this package's MCP server, and the
official MCP client. The catalog is a temporary one. Each step checks what it got.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from mcp import Client
from mcp.types import TextContent, TextResourceContents
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table

from civit_mcp.config import Settings
from civit_mcp.sandbox import running_sandbox, world
from civit_mcp.server import create_server

Answer: TypeAlias = dict[str, Any]
_COLOURS = {"present": "green", "missing": "yellow", "not_found": "red", "unknown": "magenta"}


class StepFailed(Exception):
    """A step did not do what it should."""


def run(arguments: argparse.Namespace) -> int:
    """Tell the story; 1 when a step did not do what it should."""
    del arguments
    console = Console(highlight=False)
    began = time.perf_counter()
    with running_sandbox() as sandbox, tempfile.TemporaryDirectory(prefix="civit-mcp-") as folder:
        (Path(folder) / "ComfyUI" / "models").mkdir(parents=True)
        settings = Settings(
            civitai_url=sandbox.base_url,
            catalog_dir=Path(folder) / "catalog",
            models_root=Path(folder) / "ComfyUI" / "models",
            cache_dir=Path(folder) / "cache",
            civitai_api_key=None,
            max_level=None,
            read_only=False,
            offline=False,
            toolsets=("default",),
        )
        failure = anyio.run(_tell, console, settings)
    if failure:
        console.print(f"\n[bold red]The demo failed:[/] {escape(failure)}")
        return 1
    console.print(
        f"\n[bold green]Every step did what it should[/] ({time.perf_counter() - began:.1f} s). "
        "The README shows how to add civit-mcp to your assistant."
    )
    return 0


async def _tell(console: Console, settings: Settings) -> str:
    """Tell the story; what failed, or nothing."""
    async with Client(create_server(settings)) as client:
        story = _Story(console, client, settings)
        try:
            await story.search()
            parts = await story.read_image()
            await story.show_catalog("The catalog before")
            await story.add(parts)
            await story.promote(parts)
            await story.refuse()
            await story.download_one(parts)
            await story.show_catalog("The catalog after")
        except StepFailed as failure:
            return str(failure)
    return ""


class _Story:
    def __init__(self, console: Console, client: Client, settings: Settings) -> None:
        self.console = console
        self.client = client
        self.settings = settings
        self.number = 0

    def heading(self, title: str, call: str) -> None:
        self.number += 1
        self.console.print(f"\n[bold cyan]{self.number}. {escape(title)}[/]")
        self.console.print(f"   [dim]{escape(call)}[/]")

    async def call(self, tool: str, **arguments: Any) -> Answer:
        result = await self.client.call_tool(tool, arguments)
        if result.is_error or result.structured_content is None:
            texts = [part.text for part in result.content if isinstance(part, TextContent)]
            raise StepFailed(f"{tool}: {' '.join(texts)}")
        answer: Answer = result.structured_content
        return answer

    async def search(self) -> None:
        self.heading("Search", f"search_models(query={world.DEMO_QUERY!r}, types=['LORA'])")
        answer = await self.call("search_models", query=world.DEMO_QUERY, types=["LORA"], limit=4)
        _must(bool(answer["items"]), "the search found nothing")
        table = _table("model", "base model", "trigger words", "file", "catalog")
        for row in answer["items"]:
            file = row.get("file", {})
            size = f" ({file['size_mb']} MB)" if "size_mb" in file else ""
            table.add_row(
                escape(row["name"]),
                row.get("base_model", ""),
                escape(", ".join(row.get("trigger_words", []))),
                escape(file.get("name", "") + size),
                _status(row["catalog_status"]),
            )
        self.console.print(Padding(table, (0, 0, 0, 2)))

    async def read_image(self) -> Answer:
        self.heading("How was this image made?", f"get_generation_data({world.DEMO_IMAGE})")
        answer = await self.call("get_generation_data", image_id=world.DEMO_IMAGE)
        _must(bool(answer["resources"]) and bool(answer["detected_deps"]), "parts were not found")
        meta = answer["meta"]
        told = ("sampler", "steps", "cfgScale", "seed", "Size")
        facts = Table.grid(padding=(0, 2, 0, 0))
        facts.add_row("[dim]prompt[/]", escape(answer["clean_prompt"]))
        facts.add_row("[dim]negative[/]", escape(answer["negative_prompt"]))
        facts.add_row("[dim]settings[/]", ", ".join(f"{k} {meta[k]}" for k in told if k in meta))
        self.console.print(Padding(facts, (0, 0, 1, 3)))
        table = _table("part", "kind", "strength", "how it was found", "catalog")
        for row in answer["resources"]:
            table.add_row(
                escape(row["modelName"]),
                row["modelType"],
                str(row.get("strength", "")),
                "listed by CivitAI",
                _status(row["catalog_status"]),
            )
        for row in answer["detected_deps"]:
            found = f"{row['source']}, by {row['resolved_by']}"
            name = f"{row['name']} = {row['civitai_model_name']}"
            table.add_row(
                escape(name),
                row["kind"],
                str(row.get("weight", "")),
                found,
                _status(row["catalog_status"]),
            )
        self.console.print(Padding(table, (0, 0, 0, 2)))
        self.console.print(f"   {len(answer['missing'])} parts are not here yet:")
        for part in answer["missing"]:
            self.console.print(f"   - {escape(part['name'])}: {escape(part['next'])}")
        return answer

    async def add(self, parts: Answer) -> None:
        wanted = [part["version_id"] for part in parts["missing"] if part.get("version_id")]
        _must(len(wanted) >= 3, "fewer parts than expected can be added")
        self.heading("Add what is missing", f"add_to_catalog({wanted[0]}, dry_run=True), then all")
        preview = await self.call("add_to_catalog", version_id=wanted[0], dry_run=True)
        _must(not (await self.call("list_catalog"))["entries"], "a dry run wrote something")
        self.console.print(Syntax(preview["diff"], "diff", background_color="default"))
        for version_id in wanted:
            answer = await self.call("add_to_catalog", version_id=version_id)
            _must(answer["status"] == "added", f"version {version_id} was not added: {answer}")
            self.console.print(
                f"   [green]added[/] {escape(answer['name'])} -> "
                f"{escape(answer['dest'])}/{escape(answer['file'])}"
            )
        again = await self.call("add_to_catalog", version_id=wanted[0])
        _must(again["status"] == "already_exists", "a second add doubled the entry")
        self.console.print(f"   a second add answers [bold]{again['status']}[/]")

    async def promote(self, parts: Answer) -> None:
        lora = world.DEMO_LORA_VERSION
        self.heading("Put the LoRA with the style LoRAs", f"promote_to_lora({lora})")
        answer = await self.call("promote_to_lora", version_id=lora)
        _must(answer["status"] == "promoted", f"not promoted: {answer}")
        self.console.print(f"   models.json -> loras.json, category {answer['category']}")
        entries = (await self.call("list_catalog"))["entries"]
        homes = [e["catalog"] for e in entries if e.get("version_id") == lora]
        _must(homes == ["loras"], f"the LoRA is in {homes}")
        _must(len(entries) == len([p for p in parts["missing"] if p.get("version_id")]), "lost one")

    async def refuse(self) -> None:
        version_id = world.GENERATION_ONLY_VERSION
        self.heading("What may not be downloaded is not added", f"add_to_catalog({version_id})")
        answer = await self.call("add_to_catalog", version_id=version_id)
        _must(answer["status"] == "restricted", f"expected a restriction: {answer}")
        self.console.print(f"   [yellow]restricted[/]: {escape(answer['reason'])}")

    async def download_one(self, parts: Answer) -> None:
        entry = (await self.call("list_catalog", status="missing", limit=1))["entries"][0]
        place = f"models/{entry['dest']}/{entry['file']}"
        self.heading("A file arrives on disk", place)
        root = self.settings.models_root
        assert root is not None
        folder = root / entry["dest"]
        folder.mkdir(parents=True)
        (folder / entry["file"]).write_bytes(b"weights")
        answer = await self.call("get_generation_data", image_id=parts["image_id"])
        _must(len(answer["missing"]) == len(parts["missing"]) - 1, "presence was not noticed")
        self.console.print(f"   now {len(answer['missing'])} parts are missing")

    async def show_catalog(self, title: str) -> None:
        self.heading(title, "list_catalog(), catalog://summary")
        answer = await self.call("list_catalog", limit=50)
        summary = await self.client.read_resource("catalog://summary")
        _must(isinstance(summary.contents[0], TextResourceContents), "the summary is not text")
        if not answer["entries"]:
            self.console.print("   empty")
            return
        table = _table("file", "category", "folder", "base model", "status")
        for entry in answer["entries"]:
            table.add_row(
                escape(entry["file"]),
                f"{entry['catalog']}.json: {entry['category']}",
                entry["dest"],
                entry.get("base_model", ""),
                _status(entry["status"]),
            )
        self.console.print(Padding(table, (0, 0, 0, 2)))


def _must(condition: bool, otherwise: str) -> None:
    if not condition:
        raise StepFailed(otherwise)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 1), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _status(word: str) -> str:
    return f"[{_COLOURS[word]}]{word}[/]"
