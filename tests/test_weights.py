"""How model files end and how long hashes are is written once, and every room goes by it."""

import ast
import re
from pathlib import Path

import pytest
from mcp import Client

from civit_mcp.config import Settings
from civit_mcp.models.weights import FORMATS, HASH_LENGTHS, HASH_TYPES
from civit_mcp.server import create_server
from tests.conftest import Assistant
from tests.traps.kit import VERSIONS, at_civitai, file_row, odd_site, serving, version_body

SOURCE = Path(__file__).parents[1] / "src" / "civit_mcp"
#: the stand-in is CivitAI's side, and tells its own
ELSEWHERE = ("sandbox", "models/weights.py")
ENDING = re.compile(r"(?<![a-z])(?:safetensors\??|sft|ckpt|pth\??|gguf|onnx)(?![a-z_])")


def _texts(tree: ast.Module) -> list[str]:
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str)]


def _tables(tree: ast.Module) -> list[set[object]]:
    """The constants that stand together in a table, a list or a set; of a table its keys."""
    parts = [
        node.keys if isinstance(node, ast.Dict) else node.elts
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict | ast.Tuple | ast.List | ast.Set)
    ]
    return [{each.value for each in part if isinstance(each, ast.Constant)} for part in parts]


def test_no_other_room_has_a_table_of_endings_or_lengths() -> None:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name.startswith(ELSEWHERE):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        texts = _texts(tree)
        if len({word for text in texts if len(text) < 80 for word in ENDING.findall(text)}) > 2:
            found.append(f"{name} has endings")
        if any("8, 10, 12" in text for text in texts):
            found.append(f"{name} says the lengths")
        if any(set(HASH_LENGTHS) <= table for table in _tables(tree)):
            found.append(f"{name} has lengths")
    assert found == []


@pytest.mark.parametrize("ending", [*FORMATS, "zip", "SafeTensors"])
async def test_every_ending_of_a_model_file_is_one_in_every_room(
    settings: Settings, ending: str
) -> None:
    assert settings.models_root is not None
    file = f"quietHarbor.{ending}"
    (settings.models_root / file).write_bytes(b"x")
    on = settings.model_copy(update={"toolsets": ("all",)})
    with odd_site() as site:
        files = [file_row(name=file, metadata={})]
        site.answers[f"{VERSIONS}/8001"] = version_body(files=files)
        async with serving(at_civitai(on)) as who:
            facts = await who.ask("get_model_version", version_id=8001)
            added = await who.ask("add_to_catalog", version_id=8001)
            by_name = await who.ask("add_to_catalog", version_id=file)
            local = await who.ask("identify_files", paths=["."])

    assert facts["files"][0].get("format") == FORMATS.get(ending.lower())
    assert added["file"] == file
    assert by_name["status"] == "already_exists"
    assert [row["path"] for row in local["items"]] == [file]


@pytest.mark.parametrize("length", range(6, 67))
async def test_a_hash_has_one_of_the_lengths_that_its_types_have(
    settings: Settings, length: int
) -> None:
    on = settings.model_copy(update={"toolsets": ("files",)})
    async with Client(create_server(on)) as client:
        answer = await Assistant(client).ask("identify_files", hashes=["d" * length])

    (row,) = answer["items"]
    assert row["state"] == ("not_found" if length in HASH_LENGTHS else "unknown")
    assert sorted(kind for kinds in HASH_TYPES.values() for kind in kinds) == [
        "AutoV1", "AutoV2", "AutoV3", "BLAKE3", "CRC32", "SHA256",
    ]  # fmt: skip
