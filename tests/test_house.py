"""Rules of the house that no linter holds."""

import ast
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from civit_mcp import errors
from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from tests.conftest import Assistant

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "civit_mcp"
MODULES = sorted(SOURCE.rglob("*.py"))
#: files longer than 400 lines, each with the reason why it is not two
LONG_FILES: dict[str, str] = {}


def tracked() -> list[Path]:
    """Files that would be committed; all of the checkout's text where git is not at hand."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    paths = [ROOT / name for name in listed.stdout.splitlines()]
    return [path for path in paths if path.is_file()] or MODULES


def test_no_source_file_grows_past_its_budget() -> None:
    long = {
        str(path.relative_to(SOURCE))
        for path in MODULES
        if len(path.read_text("utf-8").splitlines()) > 400
    }

    assert long == set(LONG_FILES)


def test_no_room_is_called_utils_or_manager() -> None:
    vague = {"utils", "util", "helpers", "manager", "common", "misc"}

    assert not [path for path in MODULES if set(path.with_suffix("").parts) & vague]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_module_and_public_face_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    silent = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]

    assert ast.get_docstring(tree), "the module has no docstring"
    assert not silent


def test_the_error_tree_in_the_docstring_is_the_tree() -> None:
    drawn = dict(re.findall(r"── (\w+) +(\w+)", errors.__doc__ or ""))
    defined = {
        cls.__name__: cls.code
        for cls in vars(errors).values()
        if isinstance(cls, type)
        and issubclass(cls, errors.CivitError)
        and cls is not errors.CivitError
    }

    assert drawn == defined
    assert len(set(defined.values())) == len(defined) == 18


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    pattern = re.compile(
        r"https?://[a-z0-9.-]+/(?:simple|packages/[0-9a-f]{2})"
        r"|(?:^|[\s\"'=(])/(?:work|farm|home|Users)/[a-z]"
    )
    told = {
        str(path.relative_to(ROOT)): found.group()
        for path in tracked()
        if path.name != "test_house.py"
        and (found := pattern.search(path.read_text("utf-8", "replace")))
    }

    assert not told
    assert not [path for path in tracked() if path.name == "uv.lock"]


@pytest.fixture
def opened_on_the_loop() -> Iterator[list[str]]:
    """Paths that the event loop's own thread opens while the test runs."""
    seen: list[str] = []
    watching = threading.Event()
    watching.set()
    thread = threading.get_ident()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watching.is_set() and event == "open" and threading.get_ident() == thread:
            seen.append(str(arguments[0]))

    # an audit hook cannot be taken out again, so it is only told to stop watching
    sys.addaudithook(hook)
    yield seen
    watching.clear()


async def test_no_tool_touches_the_disk_on_the_event_loop(
    assistant: Assistant, settings: Settings, opened_on_the_loop: list[str]
) -> None:
    await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)
    await assistant.ask("promote_to_lora", version_id=world.DEMO_LORA_VERSION)
    await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)
    await assistant.ask("list_catalog", status="missing")
    for uri in ("catalog://models.json", "catalog://summary", "catalog://loras/sdxl_loras"):
        await assistant.client.read_resource(uri)

    folder = str(settings.catalog_dir)
    assert (settings.catalog_dir / "loras.json").is_file()
    assert not [path for path in opened_on_the_loop if path.startswith(folder)]
