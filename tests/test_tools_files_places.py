"""Local files in whichever of ComfyUI's folders, and what becomes of paths that lead nowhere."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp import Client

from civit_mcp.catalog import EXTRA_PATHS
from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.server import create_server
from civit_mcp.usecases import hashing
from tests.conftest import Assistant


@pytest.fixture
def root(settings: Settings) -> Path:
    assert settings.models_root is not None
    return settings.models_root


@pytest.fixture
def more(root: Path, tmp_path: Path) -> Path:
    """A folder that ComfyUI searches besides its own, with LoRAs and checkpoints."""
    more = tmp_path / "another disk"
    text = f"webui:\n  base_path: {more}\n  loras: Lora\n  checkpoints: SD\n"
    (root.parent / EXTRA_PATHS).write_text(text, "utf-8")
    return more


@pytest.fixture
async def keeper(settings: Settings) -> AsyncIterator[Assistant]:
    on = settings.model_copy(update={"toolsets": ("files",)})
    async with Client(create_server(on)) as client:
        yield Assistant(client)


def weight(path: Path, content: str = "") -> str:
    """Write a model file of its own content; its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = (content or str(path)).encode()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest().upper()


async def found(keeper: Assistant, *paths: str) -> dict[str, str | None]:
    """Path and SHA-256 of every row."""
    answer = await keeper.ask("identify_files", paths=list(paths))
    assert len({row["path"] for row in answer["items"]}) == len(answer["items"])
    return {row["path"]: row.get("sha256") for row in answer["items"]}


async def test_files_of_extra_folders_are_found_by_their_own_path(
    keeper: Assistant, more: Path
) -> None:
    one, two = weight(more / "Lora/a.safetensors"), weight(more / "Lora/deep/b.pt")
    weight(more / "notes/c.pt")

    assert await found(keeper, str(more / "Lora/a.safetensors")) == {
        f"{more}/Lora/a.safetensors": one
    }
    assert await found(keeper, str(more / "Lora")) == {
        f"{more}/Lora/a.safetensors": one,
        f"{more}/Lora/deep/b.pt": two,
    }
    said = await keeper.refused("identify_files", paths=[str(more / "notes/c.pt")])
    assert said.startswith("[bad_reference] ")
    assert EXTRA_PATHS in said


async def test_a_path_below_the_models_root_means_the_same_place_of_every_folder(
    keeper: Assistant, root: Path, more: Path
) -> None:
    here, there = weight(root / "loras/a.pt"), weight(more / "Lora/b.pt")
    third = weight(more / "SD/deep/c.ckpt")

    assert await found(keeper, "loras") == {"loras/a.pt": here, f"{more}/Lora/b.pt": there}
    assert await found(keeper, "loras/b.pt") == {f"{more}/Lora/b.pt": there}
    assert await found(keeper, "checkpoints/deep") == {f"{more}/SD/deep/c.ckpt": third}
    assert await found(keeper, ".") == {
        "loras/a.pt": here,
        f"{more}/Lora/b.pt": there,
        f"{more}/SD/deep/c.ckpt": third,
    }
    assert await found(keeper, str(root)) == {"loras/a.pt": here}


async def test_a_file_of_the_models_root_hides_one_of_its_name_elsewhere(
    keeper: Assistant, root: Path, more: Path
) -> None:
    here = weight(root / "loras/a.pt")
    weight(more / "Lora/a.pt")

    assert await found(keeper, "loras/a.pt") == {"loras/a.pt": here}


async def test_a_list_of_folders_that_cannot_be_read_is_said_to_be_left_out(
    keeper: Assistant, root: Path
) -> None:
    weight(root / "loras/a.pt")
    (root.parent / EXTRA_PATHS).write_text("webui: [", "utf-8")

    answer = await keeper.ask("identify_files", paths=["loras"])

    assert len(answer["items"]) == 1
    assert any(EXTRA_PATHS in note for note in answer["notes"])


async def test_a_path_that_leads_nowhere_costs_the_others_nothing(
    keeper: Assistant, root: Path
) -> None:
    sha256 = weight(root / "loras/a.pt")
    (root / "loras/notes.txt").write_text("no model", "utf-8")
    (root / "empty").mkdir()
    bad = ["/etc/passwd", "loras/nothing.pt", "loras/notes.txt", "loras\\..\\..\\..\\x.pt", " "]

    answer = await keeper.ask("identify_files", paths=[*bad, "loras/a.pt", "empty", bad[0]])

    *failed, good = answer["items"]
    assert [row["path"] for row in failed[:3]] == bad[:3]
    assert len(failed) == 5
    for row in failed:
        assert row["state"] == "unknown"
        assert row["note"].startswith("[bad_reference] ")
        assert ". Next: " in row["note"]
        assert "sha256" not in row
    assert (good["path"], good["sha256"], good["state"]) == ("loras/a.pt", sha256, "not_found")
    assert answer["counts"] == {"unknown": 5, "not_found": 1}
    assert "There is no model file in 'empty'" in answer["notes"]


async def test_without_a_models_root_hashes_are_identified_all_the_same(
    settings: Settings,
) -> None:
    rootless = settings.model_copy(update={"models_root": None, "toolsets": ("core", "files")})
    async with Client(create_server(rootless)) as client:
        who = Assistant(client)
        facts = await who.ask("get_model_version", version_id=world.DEMO_LORA_VERSION)
        digest = facts["files"][0]["hashes"]["SHA256"]
        answer = await who.ask("identify_files", paths=["a.pt", "b.pt"], hashes=[digest])
        said = await who.refused("identify_files", paths=["a.pt", "b.pt"])

    one, two, known = answer["items"]
    assert (one["path"], two["path"]) == ("a.pt", "b.pt")
    assert all(row["note"].startswith("[not_configured] ") for row in (one, two))
    assert known["version_id"] == world.DEMO_LORA_VERSION
    assert said.startswith("[not_configured] ")


async def test_files_and_bad_paths_are_read_page_by_page_each_once(
    keeper: Assistant, root: Path
) -> None:
    for number in range(4):
        weight(root / f"loras/{number}.pt")
    paths = ["nowhere", "loras", "loras/2.pt", "nowhere either"]
    seen: list[str] = []
    cursor = None
    while True:
        page = await keeper.ask("identify_files", paths=paths, limit=2, cursor=cursor)
        seen += [row["path"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == ["nowhere", *(f"loras/{n}.pt" for n in range(4)), "nowhere either"]


async def test_a_link_that_goes_round_in_circles_is_refused_and_breaks_nothing(
    keeper: Assistant, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (root / "loop.pt").symlink_to(root / "loop.pt")

    for path in (str(tmp_path / "loop"), "loop.pt"):
        said = await keeper.refused("identify_files", paths=[path])
        assert said.startswith("[bad_reference] ")


async def test_a_folder_of_more_files_than_anybody_looks_at_is_said_to_be_cut(
    keeper: Assistant, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_MOST_FILES", 3)
    for number in range(3):
        weight(root / f"loras/{number}.pt")
    whole = await keeper.ask("identify_files", paths=["loras"])
    weight(root / "loras/3.pt")
    cut = await keeper.ask("identify_files", paths=["loras"])

    assert len(whole["items"]) == len(cut["items"]) == 3
    assert not any("gone through" in note for note in whole["notes"])
    assert any("gone through up to 3 model files" in note for note in cut["notes"])


async def test_a_small_file_has_a_size(keeper: Assistant, root: Path) -> None:
    weight(root / "a.pt", "x" * 1234)
    weight(root / "b.pt", "x" * 300_000)

    answer = await keeper.ask("identify_files", paths=["."])

    assert [row["size_mb"] for row in answer["items"]] == [0.00123, 0.3]
