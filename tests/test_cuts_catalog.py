"""What an answer leaves out of the catalog, or of a disk, is told and can be had."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from civit_mcp.catalog import Bundle, Catalog, presence, verifying
from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.server import create_server
from tests.conftest import Assistant
from tests.door import MOST_BYTES

WORDS = [f"word {number}" for number in range(30)]
LONG = ("a long word " * 100).strip()


@pytest.fixture
async def keeper(settings: Settings) -> AsyncIterator[Assistant]:
    on = settings.model_copy(update={"toolsets": ("all",)})
    async with Client(create_server(on)) as client:
        yield Assistant(client)


@pytest.fixture
def root(settings: Settings) -> Path:
    assert settings.models_root is not None
    return settings.models_root


def entry(file: str, **fields: Any) -> dict[str, Any]:
    return {"name": file, "file": file, "dest": "loras", **fields}


def written(path: Path, *entries: dict[str, Any], category: str = "loras") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shelf = {"id": category, "name": category, "models": list(entries)}
    path.write_text(json.dumps({"version": 1, "date": "d", "categories": [shelf]}), "utf-8")
    return path


def size(answer: dict[str, Any]) -> int:
    return len(json.dumps(answer, ensure_ascii=False).encode())


async def pages(keeper: Assistant, tool: str, **asked: Any) -> list[dict[str, Any]]:
    """Every page of a listing, each one small enough to be read."""
    found = [await keeper.ask(tool, **asked)]
    while cursor := found[-1].get("next_cursor"):
        found.append(await keeper.ask(tool, **{**asked, "cursor": cursor}))
        assert len(found) < 100
    assert all(size(page) <= MOST_BYTES for page in found)
    return found


async def test_an_entry_listed_alone_or_read_as_a_resource_has_all_its_trigger_words(
    keeper: Assistant, settings: Settings
) -> None:
    words = [LONG, *WORDS]
    written(
        settings.catalog_dir / "models.json",
        entry("a.pt", trigger_words=words, civitai_version_id=7),
        entry("b.pt", trigger_words=WORDS[:8]),
    )
    both = await keeper.ask("list_catalog")
    short, whole = both["entries"]
    assert (len(short["trigger_words"]), short["more_words"]) == (8, 23)
    assert "more_words" not in whole
    assert any("query = its file, limit 1" in note for note in both["notes"])

    alone = await keeper.ask("list_catalog", query="a.pt", limit=1)
    assert alone["entries"][0]["trigger_words"][1:] == WORDS
    # one word is longer than any that a row shows whole
    assert any("catalog://models/loras has them all" in note for note in alone["notes"])
    (content,) = (await keeper.client.read_resource("catalog://entries/7")).contents
    resource = json.loads(content.text)  # type: ignore[union-attr]  # ours are text
    assert resource["trigger_words"] == words
    assert "more_words" not in resource


async def test_an_entry_of_endless_trigger_words_still_fits_an_answer(
    keeper: Assistant, settings: Settings
) -> None:
    words = [f"{number} {LONG}" for number in range(100)]
    written(settings.catalog_dir / "models.json", entry("a.pt", trigger_words=words))
    (answer,) = await pages(keeper, "list_catalog")

    (row,) = answer["entries"]
    assert len(row["trigger_words"]) > 8
    assert len(row["trigger_words"]) + row["more_words"] == len(words)


async def test_a_size_that_rounds_to_nothing_is_left_out(
    keeper: Assistant, settings: Settings
) -> None:
    written(
        settings.catalog_dir / "models.json",
        entry("small.pt", size_gb=0.0),
        entry("large.pt", size_gb=0.001),
    )
    small, large = (await keeper.ask("list_catalog"))["entries"]

    assert "size_gb" not in small
    assert large["size_gb"] == 0.001


async def test_every_file_of_a_change_is_named_page_by_page(
    keeper: Assistant, settings: Settings
) -> None:
    names = [f"{number:04} {'x' * 90}.pt" for number in range(500)]
    source = written(settings.catalog_dir / "other.json", *(entry(name) for name in names))
    await keeper.ask("exchange_catalog", action="import", path=str(source))
    await keeper.ask("edit_catalog_entry", file=names[0], fields={"notes": "x"})

    newest, change = (await keeper.ask("catalog_history"))["changes"]
    assert "files_cursor" not in newest
    assert (len(change["files"]), change["entries"]) == (5, 500)
    rest = await pages(keeper, "catalog_history", cursor=change["files_cursor"])
    assert len(rest) > 1
    rows = [row for page in rest for row in page["changes"]]
    assert {row["change_id"] for row in rows} == {change["change_id"]}
    assert change["files"] + [name for row in rows for name in row["files"]] == names
    foreign = await keeper.refused("catalog_history", cursor=change["files_cursor"][:-4])
    assert foreign.startswith("[bad_reference] ")


async def test_a_page_of_history_is_no_longer_than_an_answer(
    keeper: Assistant, settings: Settings
) -> None:
    names = [f"{number} {'x' * 110}.pt" for number in range(6)]
    source = written(settings.catalog_dir / "other.json", *(entry(name) for name in names))
    for _ in range(30):
        await keeper.ask("exchange_catalog", action="import", path=str(source))
        await keeper.ask("undo_catalog_change")
    found = await pages(keeper, "catalog_history", limit=100)

    assert len(found) > 1
    ids = [row["change_id"] for page in found for row in page["changes"]]
    assert len(set(ids)) == len(ids) == found[0]["total"] == 60


async def test_a_page_of_problems_is_no_longer_than_an_answer(
    keeper: Assistant, settings: Settings
) -> None:
    names = [f"{number} {'x' * 150}.pt" for number in range(200)]
    written(settings.catalog_dir / "models.json", *(entry(name) for name in names))
    found = await pages(keeper, "verify_catalog", limit=200)

    assert len(found) > 1
    assert [row["file"] for page in found for row in page["problems"]] == names
    assert all(page["total"] == 200 for page in found)


async def test_problems_at_civitai_are_counted_by_page_and_the_answer_says_so(
    keeper: Assistant, settings: Settings
) -> None:
    gone = [
        entry(f"{number} {'x' * 150}.pt", civitai_version_id=990_000_000 + number)
        for number in range(120)
    ]
    written(settings.catalog_dir / "models.json", *gone, entry("mine.pt"))
    found = await pages(keeper, "verify_catalog", upstream=True, limit=200)

    assert len(found) > 1
    assert [row["file"] for page in found for row in page["problems"]] == [
        each["file"] for each in gone
    ]
    for page in found:
        assert page["total"] == page["checked"] == len(page["problems"])
        said = f"total and by_problem are of the {page['checked']} entries of this page"
        assert any(note.startswith(said) and "120" in note for note in page["notes"])
    await keeper.ask("remove_from_catalog", file="mine.pt")
    written(settings.catalog_dir / "models.json", *gone[:3])
    (whole,) = await pages(keeper, "verify_catalog", upstream=True)
    assert "notes" not in whole


async def test_a_cut_diff_says_how_many_lines_are_missing_and_where_they_are(
    keeper: Assistant, settings: Settings
) -> None:
    source = written(
        settings.catalog_dir / "other.json", *(entry(f"{n}.pt", name="ä" * 50) for n in range(150))
    )
    shelf = Catalog(settings.catalog_dir, settings.models_root)
    whole = shelf.take_in(Bundle.parse(source.read_bytes(), source), dry_run=True).diff or ""
    told = await keeper.ask("exchange_catalog", action="import", path=str(source), dry_run=True)
    (note,) = told["notes"]
    more = whole.rstrip("\n").count("\n") - told["diff"].count("\n")
    assert more > 100
    assert note.startswith(f"The diff has {more} lines more: ")
    assert "in the file" in note
    assert whole.startswith(told["diff"])
    assert len(told["diff"].encode()) <= 6_000

    await keeper.ask("exchange_catalog", action="import", path=str(source))
    back = await keeper.ask("undo_catalog_change", dry_run=True)
    assert any("catalog_history names the files of change" in note for note in back["notes"])
    long = {"trigger_words": [f"{number} {LONG[:480]}" for number in range(20)]}
    await keeper.ask("edit_catalog_entry", file="1.pt", fields=long)
    for tool, asked in (
        ("remove_from_catalog", {}),
        ("edit_catalog_entry", {"category": "vae"}),
    ):
        answer = await keeper.ask(tool, file="1.pt", **asked, dry_run=True)
        assert any("catalog://models.json" in note for note in answer["notes"])


async def test_a_bulk_add_tells_every_note_and_every_row(keeper: Assistant) -> None:
    loras = list(world.TEN_LORAS_VERSIONS[:7])
    bad = [f"no version at all, number {number} {'x' * 60}" for number in range(150)]
    refs: list[Any] = [*loras, *loras, *bad]
    seen: list[dict[str, Any]] = []
    first = answer = await keeper.ask("add_to_catalog", version_ids=refs)
    while True:
        assert size(answer) <= MOST_BYTES
        seen += answer["items"]
        if len(seen) == len(refs):
            break
        (note,) = (note for note in answer["notes"] if "more rows" in note)
        assert note.startswith(f"{len(refs) - len(seen)} more rows")
        assert f"after '{seen[-1]['reference']}'" in note
        answer = await keeper.ask("add_to_catalog", version_ids=refs[len(seen) :])

    assert first["counts"] == {"added": 7, "already_exists": 7, "failed": 150}
    assert [row["reference"] for row in seen] == [str(ref) for ref in refs]
    assert "it stands twice in this call" in first["notes"]
    assert (await keeper.ask("list_catalog"))["total"] == 7


async def test_a_note_about_one_row_of_a_bulk_add_stands_in_it(
    keeper: Assistant, settings: Settings
) -> None:
    loras = list(world.TEN_LORAS_VERSIONS)
    answer = await keeper.ask("add_to_catalog", version_ids=loras, dry_run=True)
    taken = [entry(row["file"], hash="AB" * 32) for row in answer["items"]]
    written(settings.catalog_dir / "models.json", *taken)
    answer = await keeper.ask("add_to_catalog", version_ids=loras, dry_run=True)

    assert len(answer["items"]) == 10
    assert all("another entry's file" in row["notes"][0] for row in answer["items"])
    assert not any("another entry's file" in note for note in answer["notes"])


async def test_a_demotion_counts_the_entries_alike_that_it_does_not_name(
    keeper: Assistant, settings: Settings
) -> None:
    alike = [entry("a.pt", civitai_version_id=n, dest=f"loras/{n}") for n in range(1, 9)]
    written(settings.catalog_dir / "models.json", *alike)
    shelf = settings.catalog_dir / "loras.json"
    written(shelf, entry("a.pt", civitai_version_id=99), category="sdxl_loras")
    answer = await keeper.ask("edit_catalog_entry", version_id=99, demote=True, dry_run=True)

    assert sum("is not the same model" in note for note in answer["notes"]) == 5
    (more,) = (note for note in answer["notes"] if note.startswith("3 more"))
    assert "list_catalog" in more
    assert (await keeper.ask("list_catalog", query="a.pt"))["total"] == 9


async def test_categories_that_are_not_named_are_counted(
    keeper: Assistant, settings: Settings
) -> None:
    shelves = [{"id": f"shelf {n}", "models": [entry(f"{n}.pt")]} for n in range(50)]
    settings.catalog_dir.mkdir(parents=True)
    text = json.dumps({"version": 1, "categories": shelves})
    (settings.catalog_dir / "models.json").write_text(text, "utf-8")
    (note,) = (await keeper.ask("list_catalog", category="nowhere"))["notes"]

    assert note.endswith(" and 10 more, see catalog://summary")


async def test_linked_folders_are_gone_through_once_and_links_in_circles_end(
    keeper: Assistant, settings: Settings, root: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "another disk"
    for path in (root / "loras/own.pt", disk / "sets/far.pt", disk / ".hidden/no.pt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(path).encode())
    (root / "loras/a link").symlink_to(disk, target_is_directory=True)
    (root / "loras/again").symlink_to(disk / "sets", target_is_directory=True)
    (root / "a link up").symlink_to(root, target_is_directory=True)
    (disk / "sets/round").symlink_to(root / "loras", target_is_directory=True)
    (root / "into nothing").symlink_to(tmp_path / "nothing", target_is_directory=True)

    answer = await keeper.ask("identify_files", paths=["."])
    paths = [row["path"] for row in answer["items"]]
    assert "loras/own.pt" in paths
    assert sorted(Path(path).name for path in paths) == ["far.pt", "own.pt"]
    by_link = await keeper.ask("identify_files", paths=["loras/a link"])
    assert "loras/a link/sets/far.pt" in [row["path"] for row in by_link["items"]]

    written(settings.catalog_dir / "models.json", entry("far.pt", dest="vae"))
    (problem,) = (await keeper.ask("verify_catalog"))["problems"]
    assert problem["problem"] == "elsewhere"


async def test_a_walk_that_was_not_finished_is_told(
    keeper: Assistant, settings: Settings, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        (root / f"loras/{number}").mkdir(parents=True)
        (root / f"loras/{number}/{number}.pt").write_bytes(b"x")
    written(settings.catalog_dir / "models.json", entry("far.pt"))
    (problem,) = (await keeper.ask("verify_catalog"))["problems"]
    assert "detail" not in problem

    monkeypatch.setattr(verifying, "_MOST_FILES", 3)
    (problem,) = (await keeper.ask("verify_catalog"))["problems"]
    assert "only the first 3 files" in problem["detail"]
    monkeypatch.setattr(presence, "_MOST_FOLDERS", 4)
    answer = await keeper.ask("identify_files", paths=["loras"])
    assert len(answer["items"]) == 3
    assert any("gone through up to 3 model files" in note for note in answer["notes"])
