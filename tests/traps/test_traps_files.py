"""Traps 39 to 55: files of a version, and what downloading them meets.

civit-mcp itself does not move model files. Where a trap is about the bytes, the stand-in's
side of it is held here, and what the tools say about the version beforehand.
"""

import json
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from civit_mcp.civitai.transport import USER_AGENT
from civit_mcp.config import Settings
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world
from tests.conftest import Assistant
from tests.traps.kit import (
    SHA256,
    Json,
    OddSite,
    OddWorld,
    asking,
    at_civitai,
    file_row,
    serving,
    version_body,
    without,
)

BEARER = {"authorization": f"Bearer {SANDBOX_KEY}"}
EMPTY_SHA256 = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"


async def files_of(odd: OddWorld, settings: Settings, *files: Json) -> list[Json]:
    """What `get_model_version` says of these files."""
    odd.version(files=list(files))
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model_version", version_id=8001)
    return list(answer["files"])


async def added_file(odd: OddWorld, settings: Settings, *files: Json, **changes: Any) -> Json:
    """What `add_to_catalog` makes of a version with these files."""
    odd.version(files=list(files), **changes)
    async with asking(odd, settings) as assistant:
        return await assistant.ask("add_to_catalog", version_id=8001)


async def download(http: httpx.AsyncClient, version_id: int, **params: Any) -> httpx.Response:
    return await http.get(f"/api/download/models/{version_id}", params=params, headers=BEARER)


async def test_trap_39_a_version_without_public_files_has_a_gate_and_no_entry(
    odd: OddWorld, settings: Settings
) -> None:
    odd.version(files=[])
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model_version", version_id=8001)
        added = await assistant.ask("add_to_catalog", version_id=8001)
        entries = await assistant.ask("list_catalog")

    assert answer["gate"]["kind"] == "no_public_file"
    assert "files" not in answer
    assert added["status"] == "restricted"
    assert entries["total"] == 0


async def test_trap_39_files_of_which_none_is_flagged_are_chosen_from_by_type(
    odd: OddWorld, settings: Settings
) -> None:
    config = file_row(id=90001, name="harbor.yaml", type="Config", primary=False)
    weights = file_row(id=90002, name="harbor.safetensors", primary=False)

    added = await added_file(odd, settings, config, weights)

    assert added["file"] == "harbor.safetensors"


async def test_trap_40_of_two_files_flagged_primary_the_model_counts(
    odd: OddWorld, settings: Settings, assistant: Assistant
) -> None:
    vae = file_row(id=90001, name="harbor.vae.pt", type="VAE")
    weights = file_row(id=90002, name="harbor.safetensors")

    added = await added_file(odd, settings, vae, weights)
    bundled = await assistant.ask("get_model_version", version_id=world.TWO_PRIMARIES_VERSION)

    assert added["file"] == "harbor.safetensors"
    assert [file["primary"] for file in bundled["files"]] == [True, True]


@pytest.mark.parametrize("kind", ["Training Data", "VAE", "Config", "Archive", "Text Encoder"])
async def test_trap_41_the_model_is_catalogued_though_another_file_comes_first(
    odd: OddWorld, settings: Settings, kind: str
) -> None:
    first = without(file_row(id=90001, name="first.zip", type=kind), "primary")
    second = without(file_row(id=90002, name="harbor.safetensors"), "primary")

    added = await added_file(odd, settings, first, second)

    assert added["file"] == "harbor.safetensors"
    assert added["dest"] == "loras"


async def test_trap_42_files_of_one_name_are_told_apart_by_id(
    assistant: Assistant,
) -> None:
    answer = await assistant.ask("get_model_version", version_id=world.SAME_NAME_VERSION)
    files = answer["files"]

    assert len({file["name"] for file in files}) < len(files)
    for file in files:
        added = await assistant.ask(
            "add_to_catalog",
            version_id=world.SAME_NAME_VERSION,
            file_id=file["id"],
            dry_run=True,
        )
        assert added["status"] == "added"
        assert f'"civitai_file_id": {file["id"]}' in added["diff"]


async def test_trap_43_files_of_one_address_get_addresses_of_their_own(
    odd: OddWorld, settings: Settings
) -> None:
    same = "https://civitai.com/api/download/models/8001?type=Model&format=SafeTensor"
    files = await files_of(
        odd,
        settings,
        file_row(id=90001, downloadUrl=same),
        file_row(id=90002, downloadUrl=same, primary=False),
    )

    addresses = [urlsplit(file["download_url"]) for file in files]
    assert [parse_qs(address.query) for address in addresses] == [
        {"fileId": ["90001"]},
        {"fileId": ["90002"]},
    ]


@pytest.mark.parametrize(
    ("name", "metadata", "expected"),
    [
        ("a.safetensors", None, ("SafeTensor", None, None)),
        ("a.safetensors", {}, ("SafeTensor", None, None)),
        ("a.bin", {"fp": None, "format": None, "size": None}, ("PickleTensor", None, None)),
        ("a.safetensors", {"fp": "fp8_e4m3fn"}, ("SafeTensor", "fp8_e4m3fn", None)),
        ("a.safetensors", {"format": "Other", "size": "full"}, ("Other", None, "full")),
        ("a", {"format": 5, "fp": ["fp16"]}, (None, None, None)),
        ("a.gguf", "none", ("GGUF", None, None)),
    ],
)
async def test_trap_44_a_file_says_of_its_format_what_civitai_or_else_its_ending_says(
    odd: OddWorld, settings: Settings, name: str, metadata: Any, expected: tuple[Any, ...]
) -> None:
    (file,) = await files_of(odd, settings, file_row(name=name, metadata=metadata))

    assert (file.get("format"), file.get("fp"), file.get("size")) == expected


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"sizeKB": 0}, 0.0),
        ({"sizeKB": 0.5}, 0.000512),
        ({"sizeKB": 15.4321}, 0.0158),
        ({"sizeKB": 54}, 0.1),
        ({"sizeKB": 2048}, 2.1),
        ({"sizeKB": 2048.75}, 2.1),
        ({"sizeKB": "2048"}, 2.1),
        ({"sizeKB": None, "sizeKb": 2048}, 2.1),
        ({"sizeKB": None}, None),
        ({"sizeKB": -5}, None),
        ({"sizeKB": "large"}, None),
        ({"sizeKB": 1e308}, None),
    ],
)
async def test_trap_45_sizes_of_any_make_are_megabytes_or_left_out(
    odd: OddWorld, settings: Settings, fields: Json, size: float | None
) -> None:
    odd.version(files=[file_row(**fields)])
    async with asking(odd, settings) as assistant:
        answer = await assistant.ask("get_model_version", version_id=8001)
        added = await assistant.ask("add_to_catalog", version_id=8001)
        entry = (await assistant.ask("list_catalog"))["entries"][0]

    (file,) = answer["files"]
    assert file.get("size_mb") == size
    assert added["status"] == "added"
    assert entry.get("size_gb", 0) < 10
    if size is not None:
        # what rounds to nothing is left out
        assert entry.get("size_gb", 0) == pytest.approx(size / 1000, abs=0.001)


async def test_trap_45_a_size_beyond_all_numbers_leaves_the_catalog_readable(
    odd: OddWorld, settings: Settings
) -> None:
    await added_file(odd, settings, file_row(sizeKB=1e308))

    written = (settings.catalog_dir / "models.json").read_text("utf-8")
    assert json.loads(written)["categories"]
    assert "Infinity" not in written


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({}, {}),
        (None, {}),
        ({"SHA256": SHA256.lower(), "AutoV2": None}, {"SHA256": SHA256}),
        ({"Blake3": SHA256}, {"BLAKE3": SHA256}),
        ({"blake3": SHA256, "CRC32": "0a1b2c3d"}, {"BLAKE3": SHA256, "CRC32": "0A1B2C3D"}),
        ({"SHA256": EMPTY_SHA256, "AutoV3": EMPTY_SHA256[:12]}, {}),
        ({"SHA256": "no hash", "AutoV1": 12345678, "Odd": SHA256}, {}),
        ([{"type": "AutoV2", "hash": SHA256[:10]}], {"AutoV2": SHA256[:10]}),
    ],
)
async def test_trap_46_hashes_are_upper_case_under_one_spelling_and_that_of_nothing_is_none(
    odd: OddWorld, settings: Settings, sent: Any, shown: Json
) -> None:
    (file,) = await files_of(odd, settings, file_row(hashes=sent))

    assert file.get("hashes", {}) == shown


@pytest.mark.parametrize(
    ("pickle", "virus", "word"),
    [
        ("Success", "Success", "Success"),
        ("Danger", "Success", "Danger"),
        ("Success", "Danger", "Danger"),
        ("Pending", "Success", "Pending"),
        ("Success", None, "Success"),
        (None, None, None),
        ("Success", "Haunted", "Haunted"),
    ],
)
async def test_trap_47_the_worse_scan_result_is_shown_and_none_is_no_success(
    odd: OddWorld, settings: Settings, pickle: str | None, virus: str | None, word: str | None
) -> None:
    (file,) = await files_of(
        odd,
        settings,
        file_row(pickleScanResult=pickle, virusScanResult=virus, scannedAt=None),
    )

    assert file.get("scan") == word


@pytest.mark.parametrize(
    "name", ["%E6%B8%AF.safetensors", "%25E6%25B8%25AF.safetensors", "100%25 harbor.safetensors"]
)
async def test_trap_48_a_percent_encoded_name_is_shown_as_stored_and_stays_a_safe_name(
    odd: OddWorld, settings: Settings, name: str
) -> None:
    odd.version(files=[file_row(name=name)])
    async with asking(odd, settings) as assistant:
        (file,) = (await assistant.ask("get_model_version", version_id=8001))["files"]
        added = await assistant.ask("add_to_catalog", version_id=8001)

    assert file["name"] == name
    assert added["file"] == name


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../evil.safetensors", "evil.safetensors"),
        ("sub/dir\\harbor.ckpt", "harbor.ckpt"),
        ("C:harbor.pt", "harbor.pt"),
        (
            "Harbor, the second  edition .safetensors",
            "Harbor, the second  edition.safetensors",
        ),
        ("harbor", "harbor"),
        ("harbor.gguf", "harbor.gguf"),
        ("harbor.bin", "harbor.bin"),
        ("harbor.pth", "harbor.pth"),
        ("harbor.", "harbor"),
        ("con.safetensors", "_con.safetensors"),
    ],
)
async def test_trap_49_a_hostile_file_name_becomes_one_name_inside_the_folder(
    odd: OddWorld, settings: Settings, name: str, kept: str
) -> None:
    added = await added_file(odd, settings, file_row(name=name))

    assert added["status"] == "added"
    assert added["file"] == kept
    assert added["dest"] == "loras"


@pytest.mark.parametrize("name", ["..", "///", ". .", "\x00", ""])
async def test_trap_49_a_file_name_of_which_nothing_is_left_gets_no_entry_without_a_name(
    odd: OddWorld, settings: Settings, name: str
) -> None:
    added = await added_file(odd, settings, file_row(name=name))

    if added["status"] == "added":
        assert added["file"].strip(". ")
        assert added["file"] == PurePosixPath(added["file"]).name
    else:
        assert added["status"] == "restricted"
        assert added["reason"]


async def test_trap_50_the_name_of_an_entry_never_comes_from_the_header_that_storage_sends(
    assistant: Assistant, http: httpx.AsyncClient
) -> None:
    facts = await assistant.ask("get_model_version", version_id=world.DEMO_LORA_VERSION)
    stored = await http.get((await download(http, world.DEMO_LORA_VERSION)).headers["location"])
    added = await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)

    assert stored.headers["content-disposition"].startswith("attachment")
    assert added["file"] == facts["files"][0]["name"]


async def test_trap_51_the_stand_ins_storage_answers_ranges_as_storage_does(
    http: httpx.AsyncClient,
) -> None:
    link = (await download(http, world.DEMO_LORA_VERSION)).headers["location"]
    whole = await http.get(link)
    size = len(whole.content)
    part = await http.get(link, headers={"range": "bytes=100-"})
    done = await http.get(link, headers={"range": f"bytes={size}-"})
    other = await http.get(link, headers={"range": "bytes=100-", "if-range": '"another"'})

    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 100-{size - 1}/{size}"
    assert whole.content[:100] + part.content == whole.content
    assert (done.status_code, done.headers["content-range"]) == (416, f"bytes */{size}")
    # a file that changed meanwhile comes whole, so that nobody appends it to the old half
    assert (other.status_code, other.content) == (200, whole.content)


@pytest.mark.parametrize("scenario", ["drop-mid-body:/storage/", "truncated:/storage/"])
async def test_trap_51_the_stand_ins_storage_can_break_off_and_then_go_on(
    sandbox: Sandbox, http: httpx.AsyncClient, scenario: str
) -> None:
    link = (await download(http, world.DEMO_LORA_VERSION)).headers["location"]
    sandbox.use(scenario)
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get(link)
    sandbox.use()

    assert (await http.get(link)).status_code == 200


async def test_trap_52_downloads_that_the_creator_disabled_are_not_blamed_on_the_key(
    assistant: Assistant, http: httpx.AsyncClient
) -> None:
    answer = await download(http, world.GENERATION_ONLY_VERSION)
    facts = await assistant.ask("get_model_version", version_id=world.GENERATION_ONLY_VERSION)
    added = await assistant.ask("add_to_catalog", version_id=world.GENERATION_ONLY_VERSION)

    assert answer.status_code == 401
    assert "disabled downloads" in answer.json()["message"]
    assert facts["gate"]["kind"] == "usage_control"
    assert "downloads are disabled" in added["reason"]
    assert "key" not in added["reason"]


async def test_trap_53_a_passing_404_of_the_download_changes_nothing_of_what_the_tools_say(
    sandbox: Sandbox, assistant: Assistant, http: httpx.AsyncClient
) -> None:
    before = (await download(http, world.DEMO_LORA_VERSION)).status_code
    sandbox.use("not-found:/api/download/")
    during = (await download(http, world.DEMO_LORA_VERSION)).status_code
    facts = await assistant.ask("get_model_version", version_id=world.DEMO_LORA_VERSION)
    added = await assistant.ask("add_to_catalog", version_id=world.DEMO_LORA_VERSION)
    sandbox.use()

    assert (before, during) == (307, 404)
    assert "gate" not in facts
    assert added["status"] == "added"
    assert (await download(http, world.DEMO_LORA_VERSION)).status_code == 307


@pytest.mark.parametrize(
    ("version", "status", "kind"),
    [
        (world.ARCHIVED_VERSION, 410, "archived"),
        (world.EARLY_ACCESS_VERSION, 403, "early_access"),
        (world.PAST_EARLY_ACCESS_VERSION, 307, None),
    ],
)
async def test_trap_54_the_gate_is_told_before_a_download_would_meet_it(
    assistant: Assistant, http: httpx.AsyncClient, version: int, status: int, kind: str | None
) -> None:
    answer = await download(http, version)
    facts = await assistant.ask("get_model_version", version_id=version)
    gate = facts.get("gate", {})

    assert answer.status_code == status
    assert gate.get("kind") == kind
    if status == 403:
        assert answer.json()["deadline"][:10] == gate["until"][:10]


async def test_trap_55_a_page_instead_of_a_file_is_for_browsers_and_we_do_not_look_like_one(
    http: httpx.AsyncClient, assistant: Assistant
) -> None:
    path = f"/api/download/models/{world.LOGIN_VERSION}"
    browser = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64)"}
    page = await http.get(path, headers=browser, follow_redirects=True)
    plain = await http.get(path, headers={"user-agent": USER_AGENT})
    facts = await assistant.ask("get_model_version", version_id=world.LOGIN_VERSION)

    assert (page.status_code, page.headers["content-type"][:9]) == (200, "text/html")
    assert plain.status_code in {401, 403}
    words = ("mozilla", "chrome", "safari", "firefox", "opera", "edge")
    assert not any(word in USER_AGENT.casefold() for word in words)
    # size and hash to check a download against are there before it begins
    assert facts["files"][0]["size_mb"] > 0
    assert facts["files"][0]["hashes"]["SHA256"]


async def test_trap_55_addresses_to_download_from_carry_no_key(
    sandbox: Sandbox, settings: Settings, site: OddSite
) -> None:
    keyed = Settings(**(settings.model_dump() | {"civitai_api_key": SANDBOX_KEY}))
    link = f"https://civitai.com/api/download/models/8001?token={SANDBOX_KEY}"
    site.answers["/api/v1/model-versions/8001"] = version_body(
        downloadUrl=link, files=[file_row(downloadUrl=link)]
    )
    async with serving(at_civitai(keyed)) as assistant:
        answer = await assistant.ask("get_model_version", version_id=8001)

    assert answer["files"][0]["download_url"].startswith("https://civitai.com/api/download/")
    assert SANDBOX_KEY not in json.dumps(answer)
