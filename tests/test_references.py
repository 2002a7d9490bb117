"""Every spelling that a person may paste, and everything that only looks like one."""

import re
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civit_mcp.errors import BadReference
from civit_mcp.references import MAX_ID, Expect, Reference, parse_reference

UUID = "0e7c1c5f-6a1e-4b5c-9d7a-0123456789ab"
KEY = "xG1nkqKTMzGDvpLrqFT7WA"
SHA = "A1B2C3D4" * 8
SITES = ("civitai.com", "civitai.red", "civitai.green", "civitai.blue")
EXPECTS: tuple[Expect, ...] = ("any", "model", "version", "image", "post", "collection")

VERSION = {"kind": "version", "model_id": 827184, "version_id": 2514310}
FILE = {**VERSION, "file_id": 2402203}
MODEL = {"kind": "model", "model_id": 827184}
IMAGE = {"kind": "image", "image_id": 123}
ONLY_VERSION = {"kind": "version", "version_id": 2514310}


def short(value: object) -> str | None:
    """Name a test case; a megabyte is no name."""
    if isinstance(value, int) and abs(value) > 10**20:
        return "huge"
    if type(value) is object:
        # its own name has an address in it
        return "object"
    return ascii(value)[:60]


def is_plain_line(text: str) -> bool:
    """Whether nothing in `text` breaks a line or hides."""
    return all(category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in text)


FIELDS = (
    *("model_id", "version_id", "file_id", "image_id", "post_id", "collection_id"),
    *("hash", "uuid", "name"),
)


def understood(reference: Reference) -> dict[str, Any]:
    """What a reference says, without what it does not say."""
    said = {field: getattr(reference, field) for field in FIELDS}
    return {"kind": reference.kind, **{k: v for k, v in said.items() if v is not None}}


# path under a site -> what it means
PAGES: list[tuple[str, dict[str, Any]]] = [
    ("/models/827184", MODEL),
    ("/models/827184/", MODEL),
    ("/models/827184/juggernaut-xl", MODEL),
    ("/models/827184/juggernaut-xl/", MODEL),
    ("/MODELS/827184", MODEL),
    ("/de/models/827184/juggernaut-xl", MODEL),
    ("/pt-BR/models/827184", MODEL),
    ("/models/827184#comments", MODEL),
    ("/models/827184?modelVersionId=", MODEL),
    ("/models/827184?dialog=commentThread&commentId=5", MODEL),
    ("/models/827184/reviews?rating=5", MODEL),
    ("/models/827184?modelVersionId=2514310", VERSION),
    ("/models/827184?modelversionid=2514310", VERSION),
    ("/models/827184/slug?modelVersionId=2514310", VERSION),
    ("/models/827184/slug?a=b&modelVersionId=2514310#x", VERSION),
    ("/models/827184?a=b&amp;modelVersionId=2514310", VERSION),
    ("/models/827184?modelVersionId=2514310&modelVersionId=2514310", VERSION),
    ("/fr/models/827184/slug?modelVersionId=2514310", VERSION),
    ("/model-versions/2514310", ONLY_VERSION),
    ("/ja/model-versions/2514310", ONLY_VERSION),
    ("/images/123", IMAGE),
    ("/images/123?period=AllTime&modelId=5&postId=9", IMAGE),
    ("/images/0123", IMAGE),
    ("/zh/images/123", IMAGE),
    ("/posts/7890", {"kind": "post", "post_id": 7890}),
    ("/posts/7890/edit", {"kind": "post", "post_id": 7890}),
    ("/collections/4567", {"kind": "collection", "collection_id": 4567}),
    ("/collections/4567?sort=Newest", {"kind": "collection", "collection_id": 4567}),
    ("/api/v1/models/827184", MODEL),
    ("/api/v1/model-versions/2514310", ONLY_VERSION),
    ("/api/v1/model-versions/mini/2514310", ONLY_VERSION),
    (
        "/api/v1/model-versions/mini/2514310?modelFileId=7",
        {"kind": "version", "version_id": 2514310, "file_id": 7},
    ),
    ("/api/v1/model-versions/by-hash/abcdef1234", {"kind": "hash", "hash": "ABCDEF1234"}),
    (f"/api/v1/model-versions/by-hash/{SHA}", {"kind": "hash", "hash": SHA}),
    ("/api/v1/images?imageId=123", IMAGE),
    ("/api/v1/images?limit=1&postId=7890", {"kind": "post", "post_id": 7890}),
    ("/api/download/models/2514310", ONLY_VERSION),
    (
        "/api/download/models/2514310?fileId=7",
        {"kind": "version", "version_id": 2514310, "file_id": 7},
    ),
    ("/api/download/models/2514310?type=Model&format=SafeTensor&fp=fp16", ONLY_VERSION),
]
STARTS = ("https://{}", "http://{}", "{}", "www.{}", "HTTPS://WWW.{}", "//{}", "https://{}:443")

CDN: list[tuple[str, dict[str, Any]]] = [
    (f"{host}/{KEY}/{UUID}{tail}", expected)
    for host in ("https://image.civitai.com", "imagecache.civitai.com", "image.civitai.red")
    for tail, expected in (
        ("/original=true/123.jpeg", {**IMAGE, "uuid": UUID}),
        ("/width=450/123.jpeg", {**IMAGE, "uuid": UUID}),
        ("/anim=false,transcode=true,width=450/123.mp4", {**IMAGE, "uuid": UUID}),
        ("/width=450/00012.jpeg", {"kind": "media", "uuid": UUID}),
        ("/width=450/forest.jpeg", {"kind": "media", "uuid": UUID}),
        ("/width=450/20240101120000.jpeg", {"kind": "media", "uuid": UUID}),
        (f"/width=450/{UUID}", {"kind": "media", "uuid": UUID}),
        ("/width=450", {"kind": "media", "uuid": UUID}),
        ("", {"kind": "media", "uuid": UUID}),
    )
]

BARE: list[tuple[str, dict[str, Any]]] = [
    ("827184@2514310", VERSION),
    (" 827184@2514310 ", VERSION),
    ("827184@2514310+2402203", FILE),
    ("827184@latest", MODEL),
    ("civitai:827184", MODEL),
    ("civitai:827184@2514310", VERSION),
    ("CivitAI:827184@2514310", VERSION),
    ("checkpoint:civitai:827184@2514310", VERSION),
    ("sdxl:checkpoint:civitai:827184@2514310", VERSION),
    ("air:sdxl:checkpoint:civitai:827184@2514310", VERSION),
    ("urn:sdxl:checkpoint:civitai:827184@2514310", VERSION),
    ("urn:air:sdxl:checkpoint:civitai:827184", MODEL),
    ("urn:air:sdxl:checkpoint:civitai:827184@latest", MODEL),
    ("urn:air:sdxl:checkpoint:civitai:827184@2514310", VERSION),
    ("URN:AIR:SDXL:CHECKPOINT:CIVITAI:827184@2514310", VERSION),
    ("urn:air:sdxl:checkpoint:civitai:827184@2514310+2402203", FILE),
    ("urn:air:sdxl:checkpoint:civitai:827184@2514310.safetensors", VERSION),
    ("urn:air:sdxl:checkpoint:civitai:827184@2514310+2402203.safetensors", FILE),
    ("urn:air:wanvideo-22-t2v-a14b:lora:civitai:827184@2514310", VERSION),
    ("urn:air:boogu:diffusionmodel:civitai:827184@2514310", VERSION),
    ("urn:air:civitai:827184@2514310", VERSION),
    (UUID, {"kind": "media", "uuid": UUID}),
    (UUID.upper(), {"kind": "media", "uuid": UUID}),
    ("1a2b3c4d", {"kind": "hash", "hash": "1A2B3C4D"}),
    ("deadbeef", {"kind": "hash", "hash": "DEADBEEF"}),
    ("8A7B9C0D1E", {"kind": "hash", "hash": "8A7B9C0D1E"}),
    ("8a7b9c0d1e2f", {"kind": "hash", "hash": "8A7B9C0D1E2F"}),
    (SHA, {"kind": "hash", "hash": SHA}),
    (SHA.lower(), {"kind": "hash", "hash": SHA}),
    ("1" * 64, {"kind": "hash", "hash": "1" * 64}),
    ("0x8A7B9C0D1E", {"kind": "hash", "hash": "8A7B9C0D1E"}),
    ("0x12345678", {"kind": "hash", "hash": "12345678"}),
    (f"sha256:{SHA}", {"kind": "hash", "hash": SHA}),
    (f"SHA256: {SHA}", {"kind": "hash", "hash": SHA}),
    (f"sha-256 {SHA}", {"kind": "hash", "hash": SHA}),
    (f"blake3:{SHA}", {"kind": "hash", "hash": SHA}),
    ("AutoV2: 8A7B9C0D1E", {"kind": "hash", "hash": "8A7B9C0D1E"}),
    ("autov3=8A7B9C0D1E2F", {"kind": "hash", "hash": "8A7B9C0D1E2F"}),
    ("crc32:12345678", {"kind": "hash", "hash": "12345678"}),
    ("Model hash: 8a7b9c0d1e", {"kind": "hash", "hash": "8A7B9C0D1E"}),
    ('"hash": "8a7b9c0d1e"', {"kind": "hash", "hash": "8A7B9C0D1E"}),
    ("inkwash_v9 [8a7b9c0d1e]", {"kind": "hash", "hash": "8A7B9C0D1E"}),
    ("<lora:DetailTweaker:0.8>", {"kind": "name", "name": "DetailTweaker"}),
    ("<LORA:DetailTweaker:0.8>", {"kind": "name", "name": "DetailTweaker"}),
    ("<lora:Detail Tweaker>", {"kind": "name", "name": "Detail Tweaker"}),
    ("< lora : Detail Tweaker : 1 >", {"kind": "name", "name": "Detail Tweaker"}),
    ("<lora:styles/Ink:1>", {"kind": "name", "name": "Ink"}),
    ("<lora:styles\\Ink.safetensors:1>", {"kind": "name", "name": "Ink"}),
    ("<lora:墨絵:1>", {"kind": "name", "name": "墨絵"}),
    ("<lyco:Ink:1>", {"kind": "name", "name": "Ink"}),
    ("<hypernet:Ink:1>", {"kind": "name", "name": "Ink"}),
    ("lora:Ink:0.5", {"kind": "name", "name": "Ink"}),
    ("<lora:Ink:0.5", {"kind": "name", "name": "Ink"}),
    ("embedding:easyink", {"kind": "name", "name": "easyink"}),
    ("ink.safetensors", {"kind": "name", "name": "ink"}),
    ("INK.SAFETENSORS", {"kind": "name", "name": "INK"}),
    ("ink.v2.ckpt", {"kind": "name", "name": "ink.v2"}),
    ("ink wash v2.gguf", {"kind": "name", "name": "ink wash v2"}),
    ("ink (1).safetensors", {"kind": "name", "name": "ink (1)"}),
    ("loras/styles/ink.pt", {"kind": "name", "name": "ink"}),
    ("loras\\styles\\ink.pt", {"kind": "name", "name": "ink"}),
    ("D:\\models\\ink.sft", {"kind": "name", "name": "ink"}),
    ("do I have ink.safetensors?", {"kind": "name", "name": "ink"}),
    ("Detail Tweaker XL", {"kind": "name", "name": "Detail Tweaker XL"}),
    ('"Detail Tweaker XL"', {"kind": "name", "name": "Detail Tweaker XL"}),
    ("AC/DC stage light", {"kind": "name", "name": "AC/DC stage light"}),
    ("8-bit pixel art", {"kind": "name", "name": "8-bit pixel art"}),
    ("#1 landscape style", {"kind": "name", "name": "#1 landscape style"}),
    ("v1.5/portraits", {"kind": "name", "name": "v1.5/portraits"}),
    ("墨絵スタイル", {"kind": "name", "name": "墨絵スタイル"}),
    ("Ink & Wash: the 2nd", {"kind": "name", "name": "Ink & Wash: the 2nd"}),
    ("version 2.0 of ink", {"kind": "name", "name": "version 2.0 of ink"}),
    ("decade facade", {"kind": "name", "name": "decade facade"}),
    ("a deadbeef print", {"kind": "name", "name": "a deadbeef print"}),
    ("ink version 2 remake", {"kind": "name", "name": "ink version 2 remake"}),
    ("style: ink wash v2.safetensors", {"kind": "name", "name": "style: ink wash v2"}),
    ("posters of 20240101", {"kind": "name", "name": "posters of 20240101"}),
    ("model 827184", MODEL),
    ("model #827184", MODEL),
    ("model id 827184", MODEL),
    ("modelId=827184", MODEL),
    ('"modelId": 827184', MODEL),
    ("version 2514310", ONLY_VERSION),
    ("model version 2514310", ONLY_VERSION),
    ("modelVersionId: 2514310", ONLY_VERSION),
    ("model_version_id=2514310", ONLY_VERSION),
    ("version 2514310 of model 827184", VERSION),
    ("modelId=827184&modelVersionId=2514310", VERSION),
    ("image id: 123", IMAGE),
    ("picture #123", IMAGE),
    ("post id 7890", {"kind": "post", "post_id": 7890}),
    ("collection #4567", {"kind": "collection", "collection_id": 4567}),
    ("civitai://models/827184", MODEL),
    ("civitai://model-versions/2514310", ONLY_VERSION),
    ("civitai://images/123/generation-data", IMAGE),
    ("catalog://entries/2514310", ONLY_VERSION),
    ("https%3A%2F%2Fcivitai.com%2Fmodels%2F827184", MODEL),
    ("https:/civitai.com/models/827184", MODEL),
    ("https://civitai.com./models/827184", MODEL),
    ("https://api.civitai.com/download/models/2514310", ONLY_VERSION),
    ("https://api.civitai.com/api/download/models/2514310", ONLY_VERSION),
    ("civitai.com/models/827184\u200b", MODEL),
]

SPELLINGS = [
    *[(f"{start.format(SITES[0])}{path}", means) for start in STARTS for path, means in PAGES],
    *[(f"https://{site}{path}", means) for site in SITES[1:] for path, means in PAGES],
    *CDN,
    *BARE,
]

SENTENCES = [
    "{}",
    "  {}\n",
    "can you check {}, please?",
    "look: {}.",
    "What is {}?",
    "({})",
    "[this one]({})",
    "[{0}]({0})",
    "<{}>",
    '"{}"',
    "'{}'",
    "`{}`",
    "**{}**",
    "“{}”",
    "see {}; it has 2 versions and 3 images!",
    "url={}",
    "{0} {0}",
    "これ「{}」を見て。",
    "> {}",
    "1. {}",
]
WELL_MARKED = [
    ("https://civitai.com/images/123", IMAGE),
    ("civitai.com/images/123", IMAGE),
    ("https://civitai.com/models/827184/slug?modelVersionId=2514310", VERSION),
    ("urn:air:sdxl:checkpoint:civitai:827184@2514310", VERSION),
]


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len({text for text, _ in SPELLINGS}) >= 300


@pytest.mark.parametrize(("text", "means"), SPELLINGS)
def test_each_spelling_means_one_thing(text: str, means: dict[str, Any]) -> None:
    assert understood(parse_reference(text)) == means


@pytest.mark.parametrize(
    ("sentence", "text", "means"),
    [
        (sentence, text, means)
        for sentence in SENTENCES
        for text, means in WELL_MARKED
        # a lead-in needs a scheme behind it
        if sentence != "url={}" or text.startswith(("http", "urn"))
    ],
)
def test_words_around_one_reference_do_not_hurt_it(
    sentence: str, text: str, means: dict[str, Any]
) -> None:
    assert understood(parse_reference(sentence.format(text))) == means


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (123, 123),
        ("123", 123),
        (" 123\n", 123),
        ("#123", 123),
        ("# 123", 123),
        ("000123", 123),
        ("'123'", 123),
        ("123.", 123),
        ("(123)?", 123),
        ("1", 1),
        (MAX_ID, MAX_ID),
        (str(MAX_ID), MAX_ID),
        ("12345678", 12345678),
        ("0012345678", 12345678),
    ],
)
@pytest.mark.parametrize("expect", ["model", "version", "image", "post", "collection"])
def test_a_bare_number_is_what_the_argument_asks_for(
    value: int | str, number: int, expect: Expect
) -> None:
    reference = parse_reference(value, expect)
    assert understood(reference) == {"kind": expect, f"{expect}_id": number}
    assert reference.id == number


def test_a_bare_number_stays_undecided_where_anything_may_stand() -> None:
    reference = parse_reference("12345678")
    assert (reference.kind, reference.id, reference.hash) == ("id", 12345678, "12345678")
    assert parse_reference(77).hash is None


def test_digits_too_large_for_an_id_are_a_hash_only_where_anything_may_stand() -> None:
    assert parse_reference("9876543210").hash == "9876543210"
    with pytest.raises(BadReference, match="2147483647"):
        parse_reference("9876543210", "version")


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, MAX_ID + 1, 10**19, 10**5000, -(10**5000), True, False, None, 1.5, float("nan")),
        *([], {}, b"123", object()),
        *("", " ", "\n\t", "#", "?", "()", '""', "\u200b", "\u202e\u2066"),
        *(
            "0",
            "000",
            "-5",
            "+5",
            "1.5",
            "1,234",
            "1_000",
            "1e5",
            "1 234 567",
            "12345678901",
        ),
        *("nan", "NaN", "inf", "-inf", "true", "False", "None", "null", "undefined"),
        *("\x00", "1\x0023", "abc\x1b[31m", "\ud800", "123\udfff", "\x85\x9f"),
        *("x" * 201, "a b " * 500, "y" * 5_000, "z" * 1_000_000, "9" * 1_000_000),
        *("ab" * 16, "c" * 40, "sha256:", "sha256:abcd", "0x", "0xabc", "autov2:123"),
        *("e3b0c442", "E3B0C44298", "e3b0c44298fc"),
        "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        *("urn:air:", "air:x", "urn:air:sdxl:lora:civitai:", "urn:air:sdxl:lora:civitai:x@y"),
        *("urn:air:a:b:civitai:1@2@3", "urn:air:sdxl:lora:civitai:0@1", "0@0", "1@99999999999"),
        *("urn:air:a:b:c:d:civitai:1@2", "civitai:1@", "civitai:-1@2"),
        "urn:air:flux1:lora:huggingface:someone/ink@main",
        "urn:air:other:other:civitai-r2:civitai-worker-assets@sam_vit_b_01ec64.pth",
        "huggingface:someone/ink",
        "urn:air:oci:image:registry:repo@sha256:abc",
        *("https://civitai.com", "civitai.com", "https://civitai.com/", "www.civitai.red"),
        *("https://civitai.com/user/someone", "https://civitai.com/articles/5"),
        *("https://civitai.com/models", "https://civitai.com/models/train"),
        *("https://civitai.com/models/0", "https://civitai.com/images/99999999999"),
        *("https://civitai.com/models/-5", "https://civitai.com/models/1.5"),
        *("https://civitai.com/models/٣", "https://civitai.com/models/%00"),
        "https://civitai.com/models/1?modelVersionId=abc",
        "https://civitai.com/models/1?modelVersionId=0",
        "https://civitai.com/models/1?modelVersionId=2&modelVersionId=3",
        "https://civitai.com/api/v1/model-versions/by-hash/xyz",
        "https://civitai.com/api/v1/models?ids=5",
        "https://orchestration.civitai.com/v2/consumer/blobs/ABC.jpeg",
        "https://civitai.com.evil.example/models/1",
        "civitai.com.evil.example/models/1",
        "https://evilcivitai.com/models/1",
        "evilcivitai.com/models/1",
        "https://civitai.com-evil.example/models/1",
        "https://civitai.co/models/1",
        "https://civitai.comm/models/1",
        "https://civitai.org/models/1",
        "https://user@civitai.com/models/1",
        "https://user:word@civitai.com/models/1",
        "https://civitai.com@evil.example/models/1",
        "civitai.com@evil.example/models/1",
        "https://civitai.com:word@evil.example/models/1",
        "https://civitai.com\\@evil.example/models/1",
        "https://evil.example\\@civitai.com/models/1",
        "https://evil.example/?next=https://civitai.com/models/1",
        "https://evil.example/civitai.com/models/1",
        "https://evil.example/https://civitai.com/models/1",
        "https://evil.example#civitai.com/models/1",
        "https://evil.example?civitai.com/models/1",
        "evil.example?u=https://civitai.com/models/1",
        "https://civitai.com:8080/models/1",
        "https://civitai.com:99999999/models/1",
        "https://civitai.com:x/models/1",
        "ftp://civitai.com/models/1",
        "javascript://civitai.com/models/1",
        "file:///civitai.com/models/1",
        "https://[::1]/models/1",
        "https://[civitai.com/models/1",
        "https://127.0.0.1/models/1",
        "https://сivitai.com/models/1",
        "https://ｃivitai.com/models/1",
        "https://civitaI.com／models/1",
        "https://civitai。com/models/1",
        "https://xn--ivitai-sxf.com/models/1",
        "https://example.com/models/1",
        "example.com/models/1",
        "https://",
        "http://?",
        "check https://civitai.com/models/1 at https://civitai.com.evil.example/models/1",
        "[https://civitai.com/models/1](https://evilcivitai.com/models/2)",
    ],
    ids=short,
)
@pytest.mark.parametrize("expect", EXPECTS)
def test_what_names_nothing_on_civitai_is_refused_with_an_example(
    value: Any, expect: Expect
) -> None:
    with pytest.raises(BadReference) as caught:
        parse_reference(value, expect)
    line = str(caught.value)
    assert line.startswith("[bad_reference] ")
    assert len(line) < 700
    assert is_plain_line(line)
    assert re.search(r"Next: (?:give|only|keep|hash|pass)", line)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("https://civitai.com/models/1 https://civitai.com/models/2", ("model 1", "model 2")),
        ("https://civitai.com/images/5,https://civitai.com/images/6", ("image 5", "image 6")),
        ("[https://civitai.com/models/1](https://civitai.com/models/2)", ("model 1", "model 2")),
        ("https://civitai.com/models/1 or urn:air:a:lora:civitai:2@3", ("model 1", "version 3")),
        ("an ink wash <lora:A:0.8> <lora:B:0.5>", ("'A'", "'B'")),
        ("1@2 3@4", ("version 2", "version 4")),
        ("8a7b9c0d1e or 8a7b9c0d1f", ("8A7B9C0D1E", "8A7B9C0D1F")),
        ("model 1111 and model 2222", ("model 1111", "model 2222")),
        (f"{UUID} {UUID[:-1]}0", (UUID, f"{UUID[:-1]}0")),
        ("is a.safetensors the same as b.safetensors?", ("'a'", "'b'")),
        ("1@2+3 1@2+4", ("file 3 of version 2", "file 4 of version 2")),
    ],
)
def test_two_different_things_in_one_text_are_both_named(text: str, named: tuple[str, str]) -> None:
    with pytest.raises(BadReference, match="one reference at a time") as caught:
        parse_reference(text)
    assert all(part in str(caught.value) for part in named)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("https://civitai.com/models/827184 urn:air:sdxl:lora:civitai:827184@2514310", VERSION),
        ("827184@2514310 https://civitai.com/models/827184", VERSION),
        ("https://civitai.red/models/827184 = https://civitai.com/models/827184", MODEL),
        ("827184@2514310 and 827184@2514310+2402203", FILE),
        (
            f"https://civitai.com/images/123 https://image.civitai.com/{KEY}/{UUID}/w/123.jpeg",
            IMAGE,
        ),
        (f"{UUID} https://image.civitai.com/{KEY}/{UUID}/w/123.jpeg", {**IMAGE, "uuid": UUID}),
        ("my page https://example.com/x links https://civitai.com/images/123", IMAGE),
        ("by https://civitai.com/user/someone: https://civitai.com/images/123", IMAGE),
    ],
)
def test_two_spellings_of_one_thing_are_one_reference(text: str, means: dict[str, Any]) -> None:
    assert understood(parse_reference(text)) == means


@pytest.mark.parametrize(
    ("text", "expect", "tool"),
    [
        ("https://civitai.com/models/1", "image", "get_model"),
        ("1@2", "image", "get_model_version"),
        ("https://civitai.com/images/1", "model", "get_generation_data"),
        ("https://civitai.com/images/1", "version", "get_generation_data"),
        (UUID, "version", "get_generation_data"),
        ("https://civitai.com/posts/1", "version", "get_post"),
        ("https://civitai.com/collections/1", "image", "get_collection"),
        ("https://civitai.com/images/1", "post", "get_generation_data"),
    ],
)
def test_a_thing_of_another_kind_is_refused_with_the_tool_that_takes_it(
    text: str, expect: Expect, tool: str
) -> None:
    with pytest.raises(BadReference, match=f"pass it to {tool}, or give"):
        parse_reference(text, expect)


@pytest.mark.parametrize(
    "text", ["Detail Tweaker", "ink.safetensors", "<lora:Ink:1>", "8a7b9c0d1e"]
)
def test_a_name_or_hash_is_no_image(text: str) -> None:
    with pytest.raises(BadReference, match="where an image belongs"):
        parse_reference(text, "image")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("image 123", 123),
        ("please look at 123!", 123),
        ("image 123 of post 456", 123),
        ("the picture no. 123", 123),
        ("imageId=123", 123),
    ],
)
def test_where_only_a_number_can_stand_one_amid_words_is_found(text: str, number: int) -> None:
    assert parse_reference(text, "image").image_id == number


def test_a_number_that_says_what_it_counts_is_not_read_as_what_the_argument_asks_for() -> None:
    reference = parse_reference("model 827184", "version")
    assert understood(reference) == MODEL
    assert reference.id is None


@pytest.mark.parametrize(
    ("tag", "weight"),
    [
        ("<lora:Ink:0.8>", 0.8),
        ("<lora:Ink:.8>", 0.8),
        ("<lora:Ink:-0.5>", -0.5),
        ("<lora:Ink:1:0.5>", 1.0),
        ("<lora:Ink:te=0.5:unet=0.8>", 0.5),
        ("<lora:Ink:0.7:lbw=A>", 0.7),
        ("<lora:Ink>", 1.0),
        ("<lora:Ink:>", 1.0),
        ("<lora:Ink:abc>", 1.0),
        ("<lora:Ink:1e999>", 1.0),
        ("<lora:Ink:nan>", 1.0),
    ],
)
def test_a_tag_brings_its_weight(tag: str, weight: float) -> None:
    assert parse_reference(tag).weight == weight


def test_details_of_a_spelling_are_kept() -> None:
    air = parse_reference("urn:air:sdxl:lora:civitai:1@2+3.SafeTensor")
    assert (air.format, air.describe()) == (
        "safetensor",
        "file 3 of version 2 of model 1, from an AIR",
    )
    assert parse_reference("https://www.civitai.red/images/5").site == "civitai.red"
    assert parse_reference("styles/ink.safetensors").file_name == "ink.safetensors"
    assert parse_reference("827184@2514310").describe() == (
        "version 2514310 of model 827184, from an id with a version"
    )


def test_secrets_in_what_was_pasted_are_not_repeated() -> None:
    key = "0123456789abcdef" * 2
    with pytest.raises(BadReference, match="may be an API key"):
        parse_reference(f" {key} ")
    with pytest.raises(BadReference, match=r"token=\*\*\*"):
        parse_reference("https://example.com/x?token=Zq-9_word&a=b")
    reference = parse_reference(f"https://civitai.com/api/download/models/5?token={key}&fileId=6")
    assert reference.file_id == 6
    assert key not in repr(reference)
    for text in (
        key,
        f"https://example.com/?token={key}",
        f"https://civitai.com/models/x?key={key}",
    ):
        with pytest.raises(BadReference) as caught:
            parse_reference(text)
        assert key not in str(caught.value)


ids = st.integers(min_value=1, max_value=MAX_ID)


@given(model=ids, version=ids, file=st.none() | ids, site=st.sampled_from(SITES))
def test_ids_come_back_from_every_spelling_made_of_them(
    model: int, version: int, file: int | None, site: str
) -> None:
    plus = f"+{file}" if file else ""
    for text in (
        f"urn:air:sdxl:lora:civitai:{model}@{version}{plus}",
        f"{model}@{version}{plus}",
        f"please: civitai:{model}@{version}{plus}.",
    ):
        found = parse_reference(text)
        assert (found.model_id, found.version_id, found.file_id) == (model, version, file)
    if min(model, version) >= 1000:  # amid words, a shorter number is taken for part of a name
        again = parse_reference(f"it was version {version} of model {model}, from an AIR")
        assert (again.model_id, again.version_id) == (model, version)
    page = parse_reference(f"https://{site}/models/{model}/x?modelVersionId={version}", "version")
    assert (page.model_id, page.version_id, page.site) == (model, version, site)
    assert parse_reference(f"{site}/images/{model}", "image").image_id == model


@given(st.text(alphabet="0123456789abcdefABCDEF", min_size=64, max_size=64))
def test_a_long_hash_comes_back_in_capitals(digits: str) -> None:
    assert parse_reference(f"0x{digits}").hash == digits.upper()
    assert parse_reference(f"is {digits} known?").hash == digits.upper()


FRAGMENTS = st.sampled_from(
    [
        *(
            "https://",
            "civitai.com",
            "/models/",
            "/images/",
            "?modelVersionId=",
            "@",
            ":",
            "urn:air:",
        ),
        *(
            "<lora:",
            ">",
            "0x",
            "#",
            "123",
            "99999999999",
            UUID,
            "sha256:",
            "civitai:",
            ".safetensors",
        ),
        *(
            "[",
            "](",
            ")",
            "%2F",
            "%",
            "&amp;",
            "\\",
            "//",
            "huggingface",
            "model ",
            "version id ",
            " ",
        ),
        *(
            "\u202e",
            "\u0660",
            "é",
            "\ud800",
            "\x00",
            "8a7b9c0d1e",
            "evil.example",
            "+",
            "-",
            "latest",
        ),
    ]
)


@settings(max_examples=400)
@given(
    value=st.text(max_size=300)
    | st.lists(FRAGMENTS, max_size=14).map("".join)
    | st.integers()
    | st.lists(FRAGMENTS | st.text(max_size=5), max_size=10).map("".join),
    expect=st.sampled_from(EXPECTS),
)
def test_anything_is_either_a_sound_reference_or_a_bad_reference(
    value: int | str, expect: Expect
) -> None:
    try:
        found = parse_reference(value, expect)
    except BadReference as refused:
        line = str(refused)
    else:
        line = found.describe()
        assert_sound(found, expect)
    assert is_plain_line(line)


def assert_sound(found: Reference, expect: Expect) -> None:
    numbers = (found.id, *(getattr(found, name) for name in FIELDS[:6]))
    assert all(number is None or 1 <= number <= MAX_ID for number in numbers)
    assert is_plain_line(found.text)
    assert len(found.text) <= 200
    assert found.kind != "name" or found.name
    assert found.kind != "id" or (expect == "any" and found.id is not None)


@given(st.sampled_from(SITES), st.text(alphabet="abcdefgh.-", max_size=12))
def test_only_the_exact_sites_are_pages_of_civitai(site: str, extra: str) -> None:
    for host in (f"{extra}x{site}", f"{site}x{extra}", f"{site}.{extra}x"):
        with pytest.raises(BadReference):
            parse_reference(f"https://{host}/models/5")


@pytest.mark.parametrize(
    "piece",
    [
        *("<lora:", "https://civitai.com/models/", "model ", "hash:", "@", "1@", "0x", "a/", "%2"),
        *("1 ", "urn:air:", "civitai:", "[](", "-", "model 1-", "\\", ",http", ". ", "8a7b9c0d1e "),
        "é\u0301",
    ],
)
def test_the_longest_text_that_is_read_is_read_at_once(piece: str) -> None:
    """Without quadratic work the slowest of these takes a few milliseconds."""
    text = (piece * 4096)[:4096]
    for expect in EXPECTS:
        try:
            parse_reference(text, expect)
        except BadReference:
            continue
