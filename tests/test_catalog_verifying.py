"""What is wrong with a catalog is found, and what is right is not called wrong."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civit_mcp.catalog import Catalog, Hasher, Snapshot, inspected
from civit_mcp.catalog.presence import Roots
from civit_mcp.catalog.verifying import fits
from civit_mcp.config import Settings
from civit_mcp.sandbox import world
from civit_mcp.usecases.desk import Desk
from civit_mcp.usecases.verification import verify_catalog


def put(folder: Path, *entries: dict[str, Any], name: str = "models") -> None:
    catalog = {"version": 1, "date": "d", "categories": [{"id": "loras", "models": list(entries)}]}
    (folder / f"{name}.json").write_text(json.dumps(catalog), "utf-8")


def entry(file: str, **fields: Any) -> dict[str, Any]:
    return {"name": file, "file": file, "dest": "loras", **fields}


def weight(root: Path, place: str, content: bytes = b"weights") -> str:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest().upper()


def found(tmp_path: Path, *, hashes: bool = False) -> list[tuple[str, str]]:
    snapshot = Catalog(tmp_path, tmp_path / "models").snapshot()
    rows = inspected(snapshot, hasher=Hasher() if hashes else None)
    return [(row.problem, row.file) for row in rows]


def test_a_sound_catalog_has_no_problems(tmp_path: Path) -> None:
    sha = weight(tmp_path / "models", "loras/a.pt")
    put(tmp_path, entry("a.pt", hash=sha, civitai_version_id=1))
    assert found(tmp_path, hashes=True) == []


def test_missing_empty_moved_and_unreachable_files_are_told_apart(tmp_path: Path) -> None:
    weight(tmp_path / "models", "loras/empty.pt", b"")
    weight(tmp_path / "models", "loras/deep/moved.pt")
    put(
        tmp_path,
        entry("missing.pt"),
        entry("empty.pt"),
        entry("moved.pt"),
        {**entry("out.pt"), "dest": "../elsewhere"},
        entry(""),
    )
    assert found(tmp_path) == [
        ("missing", "missing.pt"),
        ("empty", "empty.pt"),
        ("elsewhere", "moved.pt"),
        ("bad_dest", "out.pt"),
        ("bad_dest", ""),
    ]


def test_a_renamed_file_is_recognised_by_its_content_only_when_asked(tmp_path: Path) -> None:
    content = b"x" * 2_000_000
    sha = weight(tmp_path / "models", "vae/other_name.pt", content)
    put(tmp_path, entry("a.pt", hash=sha, size_gb=0.002))
    assert found(tmp_path) == [("missing", "a.pt")]
    assert found(tmp_path, hashes=True) == [("elsewhere", "a.pt")]


def test_a_file_of_the_same_name_but_other_content_is_not_the_one(tmp_path: Path) -> None:
    weight(tmp_path / "models", "loras/deep/a.pt", b"others")
    put(tmp_path, entry("a.pt", hash="AB" * 32))
    assert found(tmp_path) == [("elsewhere", "a.pt")]
    assert found(tmp_path, hashes=True) == [("missing", "a.pt")]


def test_a_wrong_hash_is_told_with_both_values(tmp_path: Path) -> None:
    sha = weight(tmp_path / "models", "loras/a.pt")
    put(tmp_path, entry("a.pt", hash="cd" * 32))
    rows = inspected(Catalog(tmp_path, tmp_path / "models").snapshot(), hasher=Hasher())
    assert [row.problem for row in rows] == ["wrong_hash"]
    assert sha in str(rows[0].detail)
    assert "CD" * 32 in str(rows[0].detail)
    assert found(tmp_path) == []


def test_a_hash_is_reckoned_anew_when_the_file_changed(tmp_path: Path) -> None:
    first = weight(tmp_path, "a.pt", b"one")
    hasher = Hasher()
    assert hasher.of(tmp_path / "a.pt") == first
    second = weight(tmp_path, "a.pt", b"other")
    assert hasher.of(tmp_path / "a.pt") == second
    assert hasher.of(tmp_path / "none.pt") is None


def test_a_wrong_size_is_one_that_no_rounding_explains(tmp_path: Path) -> None:
    weight(tmp_path / "models", "loras/a.pt", b"x" * 3_000_000)
    put(tmp_path, entry("a.pt", size_gb=0.003))
    assert found(tmp_path) == []
    put(tmp_path, entry("a.pt", size_gb=0.03))
    assert found(tmp_path) == [("wrong_size", "a.pt")]


@given(st.integers(10**6, 2 * 10**10), st.integers(1, 3), st.sampled_from([1e9, 2.0**30, 1.024e9]))
def test_every_way_of_rounding_a_size_fits(size: int, decimals: int, unit: float) -> None:
    assert fits(size, round(size / unit, decimals))


@pytest.mark.parametrize("size_gb", [None, 0, -1.0, 0.0])
def test_an_unknown_size_fits_anything(size_gb: float | None) -> None:
    assert fits(5, size_gb)


def test_duplicates_are_found_by_version_by_content_and_by_name(tmp_path: Path) -> None:
    one = entry("a.pt", civitai_version_id=1, hash="11" * 32)
    put(
        tmp_path,
        one,
        entry("b.pt", civitai_version_id="1", hash="22" * 32),
        entry("c.pt", civitai_version_id=3, hash="11" * 32),
        entry("A.pt", civitai_version_id=4, hash="44" * 32),
        entry("hf.pt"),
        entry("hf2.pt"),
    )
    put(tmp_path, {**one, "dest": "loras/x"}, name="loras")
    problems = [row for row in found(tmp_path) if row[0].startswith("duplicate")]
    assert problems == [
        ("duplicate_version", "b.pt"),
        ("duplicate_version", "a.pt"),
        ("duplicate_hash", "c.pt"),
        ("duplicate_name", "A.pt"),
    ]


def test_two_files_of_one_version_are_no_duplicates(tmp_path: Path) -> None:
    put(
        tmp_path,
        entry("a.pt", civitai_version_id=1, civitai_file_id=1),
        entry("b.pt", civitai_version_id=1, civitai_file_id=2),
    )
    assert "duplicate_version" not in dict(found(tmp_path))


def test_half_a_pair_is_found_by_its_id_and_by_its_name(tmp_path: Path) -> None:
    put(
        tmp_path,
        entry("one.pt", pair_id="p", pair_role="high"),
        entry("two.pt", pair_id="q", pair_role="high"),
        entry("three.pt", pair_id="q", pair_role="low"),
        entry("four.pt", pair_id="r", pair_role="both"),
        entry("wan2.2_t2v_high_noise_14B.safetensors"),
        entry("wan2.2_i2v_high_noise_14B.safetensors"),
        entry("wan2.2_i2v_low_noise_14B.safetensors"),
        entry("high_contrast.pt"),
    )
    halves = [file for problem, file in found(tmp_path) if problem == "half_pair"]
    assert halves == ["one.pt", "wan2.2_t2v_high_noise_14B.safetensors"]


def test_without_a_models_root_only_the_catalog_itself_is_judged(tmp_path: Path) -> None:
    put(tmp_path, entry("a.pt", civitai_version_id=1), entry("b.pt", civitai_version_id=1))
    rows = inspected(Catalog(tmp_path).snapshot())
    assert [row.problem for row in rows] == ["duplicate_version"]


def test_nothing_is_written_by_looking(tmp_path: Path) -> None:
    weight(tmp_path / "models", "loras/a.pt")
    put(tmp_path, entry("a.pt"), entry("b.pt"))
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    found(tmp_path, hashes=True)
    assert sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before


class Vanishing(Roots):
    """Folders in which another program deletes each file just after it was found."""

    def find(self, dest: str, file: str) -> Path | None:
        path = super().find(dest, file)
        if path is not None:
            path.unlink()
        return path


class Haunted(Catalog):
    """A catalog over such folders."""

    def snapshot(self) -> Snapshot:
        return replace(super().snapshot(), roots=Vanishing(self.models_root))


@pytest.mark.parametrize("hashes", [False, True])
def test_a_file_that_goes_away_while_it_is_looked_at_is_missing(
    tmp_path: Path, *, hashes: bool
) -> None:
    sha = weight(tmp_path / "models", "loras/b.pt")
    weight(tmp_path / "models", "loras/c.pt")
    # looking for the first one notes the others, which go before they are looked at
    put(tmp_path, entry("a.pt"), entry("b.pt", hash=sha), entry("c.pt"))
    snapshot = Haunted(tmp_path, tmp_path / "models").snapshot()
    rows = inspected(snapshot, hasher=Hasher() if hashes else None)
    assert [(row.problem, row.file) for row in rows] == [
        ("missing", "a.pt"), ("missing", "b.pt"), ("missing", "c.pt"),
    ]  # fmt: skip


async def test_a_file_that_goes_away_has_no_size_to_hold_against_civitai(
    settings: Settings,
) -> None:
    assert settings.models_root is not None
    settings.catalog_dir.mkdir()
    weight(settings.models_root, "loras/a.pt")
    put(settings.catalog_dir, entry("a.pt", civitai_version_id=world.DEMO_LORA_VERSION))
    for shelf, expected in ((Catalog, {"wrong_size"}), (Haunted, set())):
        desk = Desk.open(settings, catalog=shelf(settings.catalog_dir, settings.models_root))
        async with desk.client:
            found = await verify_catalog(desk, hashes=False, upstream=True, limit=10, cursor=None)
        assert set(found.by_problem) - {"newer_version"} == expected
