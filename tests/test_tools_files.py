"""Identifying files and checking availability, as a client sees them."""

import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from pydantic import SecretStr

from civit_mcp.catalog import Roots
from civit_mcp.config import Settings
from civit_mcp.errors import BadReference, NotConfigured
from civit_mcp.sandbox import Sandbox, world
from civit_mcp.server import create_server
from civit_mcp.usecases.hashing import digests_of, model_files
from tests.conftest import Assistant


@pytest.fixture
def root(settings: Settings) -> Path:
    assert settings.models_root is not None
    (settings.models_root / "loras").mkdir(parents=True)
    return settings.models_root


@pytest.fixture
async def keeper(settings: Settings) -> AsyncIterator[Assistant]:
    # the token that opens this server is no key of CivitAI's
    token = SecretStr("opens-this-server-only")
    on = settings.model_copy(update={"toolsets": ("default", "files"), "token": token})
    async with Client(create_server(on)) as client:
        yield Assistant(client)


def safetensors(tensors: bytes, header: bytes = b'{"__metadata__":{}}') -> bytes:
    return len(header).to_bytes(8, "little") + header + tensors


async def hashes_of(who: Assistant, version_id: int) -> dict[str, str]:
    facts = await who.ask("get_model_version", version_id=version_id)
    return dict(facts["files"][0]["hashes"])


@pytest.mark.parametrize("kind", ["SHA256", "BLAKE3", "AutoV2", "AutoV1", "CRC32"])
async def test_a_hash_of_any_kind_leads_to_its_version(keeper: Assistant, kind: str) -> None:
    digest = (await hashes_of(keeper, world.DEMO_LORA_VERSION))[kind]

    for spelling in (digest, digest.lower(), f"  {digest} "):
        answer = await keeper.ask("identify_files", hashes=[spelling])

        (row,) = answer["items"]
        assert row["state"] == "identified"
        assert row["version_id"] == world.DEMO_LORA_VERSION
        assert row["model_id"] == world.DEMO_LORA_MODEL
        assert row["found_by"] == kind
        assert row.get("weak", False) is (kind in ("AutoV1", "CRC32"))
        assert row["catalog_status"] == "not_found"
        assert row["file_id"]
        assert answer["counts"] == {"identified": 1}


async def test_whole_hashes_are_asked_for_in_one_batch_and_each_once(
    keeper: Assistant, sandbox: Sandbox
) -> None:
    digests = [(await hashes_of(keeper, version))["SHA256"] for version in world.TEN_LORAS_VERSIONS]
    sandbox.clear()

    answer = await keeper.ask("identify_files", hashes=[*digests, *digests[:3]], limit=100)

    assert [row["version_id"] for row in answer["items"]] == list(world.TEN_LORAS_VERSIONS)
    asked = [seen.path for seen in sandbox.seen if "by-hash" in seen.path]
    assert sorted(asked) == ["/api/v1/model-versions/by-hash", "/api/v1/model-versions/by-hash/ids"]


async def test_a_file_that_several_versions_own_names_them_all(keeper: Assistant) -> None:
    first, second = world.SHARED_HASH_VERSIONS
    digest = (await hashes_of(keeper, first))["SHA256"]

    (row,) = (await keeper.ask("identify_files", hashes=[digest]))["items"]

    assert row["version_id"] == first
    assert row["also"] == [second]


async def test_the_catalog_status_is_that_of_the_identified_version(keeper: Assistant) -> None:
    await keeper.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)
    digest = (await hashes_of(keeper, world.DEMO_LORA_VERSION))["SHA256"]

    (row,) = (await keeper.ask("identify_files", hashes=[digest]))["items"]

    assert row["catalog_status"] == "missing"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("E3B0C44298FC", "unknown"),
        ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "unknown"),
        ("zz", "unknown"),
        ("", "unknown"),
        ("a" * 32, "unknown"),
        ("https://example.com/x", "unknown"),
        ("12345678", "not_found"),
        ("deadbeefdeadbeef", "unknown"),
        ("d" * 64, "not_found"),
        ("d" * 5000, "unknown"),
    ],
)
async def test_what_is_no_known_hash_says_so_and_hides_no_other(
    keeper: Assistant, text: str, state: str
) -> None:
    good = (await hashes_of(keeper, world.DEMO_LORA_VERSION))["AutoV2"]

    answer = await keeper.ask("identify_files", hashes=[text, good])

    assert [row["state"] for row in answer["items"]] == [state, "identified"]
    assert answer["items"][0]["note"]
    assert "a" * 32 not in json.dumps(answer)


async def test_a_failed_look_up_is_unknown_and_not_absent(
    keeper: Assistant, sandbox: Sandbox
) -> None:
    sandbox.use("forbidden-html:by-hash")

    answer = await keeper.ask("identify_files", hashes=["d" * 64, "d" * 10])

    assert [row["state"] for row in answer["items"]] == ["unknown", "unknown"]
    assert all("[forbidden]" in row["note"] for row in answer["items"])


async def test_local_files_are_hashed_and_unknown_ones_are_said_to_be(
    keeper: Assistant, root: Path
) -> None:
    tensors = b"tensor data" * 999
    (root / "loras" / "mine.safetensors").write_bytes(safetensors(tensors))
    (root / "loras" / "notes.txt").write_text("not a model", "utf-8")
    (root / "loras" / "empty.ckpt").touch()

    answer = await keeper.ask("identify_files", paths=["loras"])

    empty, mine = answer["items"]
    sha256 = hashlib.sha256(safetensors(tensors)).hexdigest().upper()
    assert mine["path"] == "loras/mine.safetensors"
    assert mine["sha256"] == sha256
    assert mine["autov2"] == sha256[:10]
    assert mine["autov3"] == hashlib.sha256(tensors).hexdigest()[:12].upper()
    assert mine["state"] == "not_found"
    assert empty["state"] == "unknown"
    assert "empty" in empty["note"]


async def test_a_local_file_that_civitai_knows_is_identified(
    keeper: Assistant, root: Path, sandbox: Sandbox
) -> None:
    link = f"{sandbox.storage_url}/storage/{world.DEMO_LORA_VERSION}/61002"
    content = _download(link, sandbox)
    (root / "loras" / "renamed by me.safetensors").write_bytes(content)

    (row,) = (await keeper.ask("identify_files", paths=["loras/renamed by me.safetensors"]))[
        "items"
    ]

    assert row["version_id"] == world.DEMO_LORA_VERSION
    assert row["found_by"] == "SHA256"


def _download(link: str, sandbox: Sandbox) -> bytes:
    import httpx

    with httpx.Client(follow_redirects=True) as client:
        address = f"{sandbox.base_url}/api/download/models/{world.DEMO_LORA_VERSION}"
        answer = client.get(address, headers={"User-Agent": "test/1"})
        assert answer.status_code == 200, link
        return answer.content


async def test_a_long_list_goes_on_with_a_cursor(keeper: Assistant, root: Path) -> None:
    for number in range(7):
        (root / "loras" / f"{number}.safetensors").write_bytes(safetensors(bytes([number]) * 9))
    found: list[str] = []
    cursor = None
    while True:
        page = await keeper.ask("identify_files", paths=["loras"], limit=3, cursor=cursor)
        found += [row["path"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert any("more" in note for note in page["notes"])

    assert found == [f"loras/{number}.safetensors" for number in range(7)]


async def test_progress_is_told_for_every_file(settings: Settings, root: Path) -> None:
    for number in range(3):
        (root / "loras" / f"{number}.safetensors").write_bytes(safetensors(b"x" * 100))
    told: list[tuple[float, float | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total))

    on = settings.model_copy(update={"toolsets": ("files",)})
    async with Client(create_server(on)) as client:
        await client.call_tool("identify_files", {"paths": ["."]}, progress_callback=hear)

    assert len(told) == 3
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


@pytest.mark.parametrize(
    "path",
    [
        "..", "../models-twin/x.safetensors", "loras/../../x.safetensors", "/etc/passwd", "/",
        "~/x.safetensors", "nothing/here", "loras/notes.txt", "\x00", "", "a" * 5000,
        "loras\\..\\..\\x", "C:\\Windows\\x.safetensors", "//server/share/x.safetensors",
    ],
)  # fmt: skip
async def test_nothing_outside_the_models_root_is_read(
    keeper: Assistant, root: Path, path: str
) -> None:
    (root.parent / "models-twin").mkdir()
    (root.parent / "models-twin" / "x.safetensors").write_bytes(b"secret")
    (root / "loras" / "notes.txt").write_text("not a model", "utf-8")

    sentence = await keeper.refused("identify_files", paths=[path])

    assert sentence.startswith("[bad_reference] ")
    assert len(sentence) < 600


async def test_without_a_models_root_local_files_are_refused(settings: Settings) -> None:
    rootless = settings.model_copy(update={"models_root": None, "toolsets": ("files",)})
    async with Client(create_server(rootless)) as client:
        sentence = await Assistant(client).refused("identify_files", paths=["loras"])
        neither = await Assistant(client).refused("identify_files")

    assert sentence.startswith("[not_configured] ")
    assert "CIVIT_MCP_MODELS_ROOT" in sentence
    assert neither.startswith("[bad_reference] ")


def test_a_link_inside_the_root_is_followed_and_a_pipe_is_not_read(tmp_path: Path) -> None:
    root, disk = tmp_path / "models", tmp_path / "disk"
    root.mkdir()
    disk.mkdir()
    (disk / "big.safetensors").write_bytes(b"x")
    (root / "linked.safetensors").symlink_to(disk / "big.safetensors")
    (root / "gone.safetensors").symlink_to(disk / "no such file")
    os.mkfifo(root / "pipe.safetensors")

    roots = Roots.at(root)
    assert [file.shown for file in model_files(roots, ".").files] == ["linked.safetensors"]
    with pytest.raises(BadReference):
        model_files(roots, "pipe.safetensors")
    with pytest.raises(BadReference):
        model_files(roots, str(disk / "big.safetensors"))
    with pytest.raises(NotConfigured):
        model_files(Roots.at(None), ".")


@given(st.text(max_size=60))
def test_any_path_is_inside_or_refused(text: str) -> None:
    root = Path(__file__).parent / "surface"
    try:
        found = model_files(Roots.at(root), text)
    except BadReference:
        return
    assert all(file.path.is_relative_to(root) for file in found.files)


@given(header=st.binary(max_size=40), tensors=st.binary(max_size=200))
def test_any_content_has_its_hashes(
    header: bytes, tensors: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.safetensors"
    path.write_bytes(header + tensors)
    told: list[int] = []

    digests = digests_of(path, told.append)

    assert digests.sha256 == hashlib.sha256(header + tensors).hexdigest().upper()
    assert sum(told) == len(header + tensors)


async def test_availability_tells_present_gone_and_gates_apart(keeper: Assistant) -> None:
    asked = [
        world.DEMO_LORA_VERSION,
        world.DELETED_VERSION,
        59999999,
        world.EARLY_ACCESS_VERSION,
        world.GENERATION_ONLY_VERSION,
        world.ARCHIVED_VERSION,
        world.LOGIN_VERSION,
    ]
    answer = await keeper.ask("check_availability", version_ids=asked)

    rows = {row["version_id"]: row for row in answer["items"]}
    assert list(rows) == asked
    assert rows[world.DEMO_LORA_VERSION]["downloadable"] is True
    assert rows[world.DEMO_LORA_VERSION]["size_mb"] > 0
    assert rows[world.DELETED_VERSION]["state"] == "gone"
    assert "Deleted" in rows[world.DELETED_VERSION]["why"]
    assert rows[59999999]["state"] == "gone"
    assert rows[world.EARLY_ACCESS_VERSION]["gate"]["kind"] == "early_access"
    assert rows[world.GENERATION_ONLY_VERSION]["gate"]["kind"] == "usage_control"
    assert rows[world.ARCHIVED_VERSION]["gate"]["kind"] == "archived"
    assert rows[world.LOGIN_VERSION]["login_needed"] is True
    blocked = [row for row in answer["items"] if "gate" in row or row["state"] == "gone"]
    assert all(row["downloadable"] is False for row in blocked)
    assert answer["counts"] == {"present": 5, "gone": 2}
    assert any("CIVITAI_API_KEY" in note for note in answer["notes"])


async def test_a_version_that_cannot_be_asked_about_is_unknown_and_not_gone(
    keeper: Assistant, sandbox: Sandbox
) -> None:
    sandbox.use("not-found:/api/v1/model-versions", "forbidden-html:/api/trpc")

    answer = await keeper.ask(
        "check_availability", version_ids=[world.DEMO_LORA_VERSION, "https://example.com/5"]
    )

    (row,) = answer["items"]
    assert row["state"] == "unknown"
    assert "downloadable" not in row
    assert "[forbidden]" in row["why"]
    assert [failed["reference"] for failed in answer["failed"]] == ["https://example.com/5"]


async def test_availability_survives_without_the_short_form(
    keeper: Assistant, sandbox: Sandbox
) -> None:
    sandbox.use("not-found:/mini/")

    (row,) = (await keeper.ask("check_availability", version_ids=[world.DEMO_LORA_VERSION]))[
        "items"
    ]

    assert row["downloadable"] is True
    assert "login_needed" not in row
    assert "login" in row["why"]


async def test_the_operators_cap_holds_for_files(settings: Settings, keeper: Assistant) -> None:
    facts = await keeper.ask("get_model", model_id=world.R_MODEL)
    version = facts["versions"][0]["id"]
    digest = (await hashes_of(keeper, version))["SHA256"]
    capped = settings.model_copy(update={"max_level": "pg", "toolsets": ("all",)})

    async with Client(create_server(capped)) as client:
        available = await Assistant(client).ask("check_availability", version_ids=[version])
        (row,) = (await Assistant(client).ask("identify_files", hashes=[digest]))["items"]

    assert available["items"] == []
    assert available["failed"][0]["error"].startswith("[above_level] ")
    assert row["state"] == "unknown"
    assert facts["name"] not in json.dumps(row)


@pytest.mark.parametrize(
    ("tool", "arguments", "hint"),
    [
        ("check_availability", {"version_ids": []}, "version_ids"),
        ("check_availability", {"version_ids": list(range(1, 102))}, "version_ids"),
        ("check_availability", {"version_ids": [None]}, "version_ids"),
        ("identify_files", {"hashes": ["a" * 10] * 501}, "hashes"),
        ("identify_files", {"hashes": ["a" * 10], "cursor": "x"}, "cursor"),
        ("identify_files", {"paths": "loras"}, "paths"),
    ],
)
async def test_bad_arguments_are_named(
    keeper: Assistant, tool: str, arguments: dict[str, Any], hint: str
) -> None:
    sentence = await keeper.refused(tool, **arguments)

    assert sentence.startswith("[bad_reference] ")
    assert hint in sentence
