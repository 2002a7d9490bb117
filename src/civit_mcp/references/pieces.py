"""The spellings that are no address and no AIR: hashes, uuids, tags, file names, numbers."""

import re
from typing import Final

from civit_mcp.models.weights import HASH_LENGTHS, MODEL_FILE, SHA256_LENGTH
from civit_mcp.references.reference import (
    Kind,
    Reading,
    Reference,
    of_ids,
    out_of_range,
    read_id,
    shown,
)
from civit_mcp.references.shapes import UUID

_TAG_KINDS: Final = "lora|lyco|lycoris|locon|dora|hypernet|embedding"
TAG: Final = re.compile(
    rf"<\s*(?:{_TAG_KINDS})\s*:\s*([^<>:\s][^<>:]{{0,299}})((?::[^<>:]{{0,100}}){{0,8}})>",
    re.IGNORECASE,
)
_OPEN_TAG: Final = re.compile(
    rf"<?\s*(?:{_TAG_KINDS})\s*:\s*([^<>:\s][^<>:]{{0,299}})((?::[^<>:]{{0,100}}){{0,8}})>?",
    re.IGNORECASE,
)
_WEIGHT: Final = re.compile(r"[+-]?(?:[0-9]{1,6}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})")
_LENGTHS: Final = "|".join(f"[0-9a-f]{{{length}}}" for length in HASH_LENGTHS)
_HASH: Final = re.compile(rf"(0x)?({_LENGTHS})", re.IGNORECASE)
LABELLED_HASH: Final = re.compile(
    r"(?<![0-9a-z])(?:sha-?256|autov[123]|crc-?32|blake3|(?:(?:model|vae|lora)[ _])?hash)"
    rf"[\"']?[ \t]?[:=]?[ \t]?[\"']?(?:0x)?({_LENGTHS})(?![0-9a-z])",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"#[ \t]?([0-9]+)|([0-9]+)")
#: a number beside the word for what it counts; short ones only where a mark makes it plain
LABELLED_NUMBER: Final = re.compile(
    r"(?<![0-9a-z])(?P<word>model[ _-]?version|model|version|image|picture|photo|video|post|"
    r"collection)"
    r"(?:(?P<mark>[ _-]?id\b[\"']?[ \t]?[:=#]?|[\"']?[ \t]?[:=#])[ \t]?[\"']?"
    r"|[ \t](?:(?:no|nr|number)\.?[ \t])?)"
    r"(?P<digits>[0-9]+)(?![0-9a-z.@_-]*[0-9a-z])",
    re.IGNORECASE,
)
_MIN_DIGITS: Final = 4
_KIND_OF_WORD: Final[dict[str, Kind]] = {
    "model": "model",
    "version": "version",
    "modelversion": "version",
    "image": "image",
    "picture": "image",
    "photo": "image",
    "video": "image",
    "post": "post",
    "collection": "collection",
}


def read_tag(found: re.Match[str]) -> Reference:
    """Read a match of `TAG`; a tag without a readable weight counts fully."""
    weights = (part.strip().rpartition("=")[2] for part in found[2].split(":"))
    weight = next((float(text) for text in weights if _WEIGHT.fullmatch(text)), 1.0)
    return named(found[1], text=found[0], form="a prompt tag", weight=weight)


def read_open_tag(text: str) -> Reference | None:
    """Read a whole text as a tag that lost its brackets."""
    found = _OPEN_TAG.fullmatch(text)
    return read_tag(found) if found else None


def named(
    name: str,
    *,
    text: str,
    form: str,
    weight: float | None = None,
    is_path: bool = True,
    is_file: bool = False,
) -> Reference:
    """Make a reference of a name, without the folders and the extension of a model file."""
    last = (re.split(r"[/\\]", name)[-1] if is_path else name).strip() or name.strip()
    return Reference(
        kind="name",
        text=shown(text),
        form=form,
        name=MODEL_FILE.sub("", last) or last,
        file_name=last if is_file else None,
        weight=weight,
    )


def read_uuid(token: str) -> Reference | None:
    """Read the uuid under which the CDN keeps a picture."""
    if not UUID.fullmatch(token):
        return None
    return Reference(kind="media", text=token, form="a uuid", uuid=token.lower())


def read_hash(token: str, *, alone: bool) -> Reference | None:
    """Read a hash; amid words a short one needs a digit and a letter to be told from a word."""
    found = _HASH.fullmatch(token)
    if found is None:
        return None
    digits = found[2]
    plain = digits.isdigit() or digits.isalpha()
    if plain and not alone and not found[1] and len(digits) != SHA256_LENGTH:
        return None
    return hashed(digits, text=token)


def hashed(digits: str, *, text: str) -> Reference:
    """Make a reference of a hash."""
    return Reference(kind="hash", text=shown(text), form="its hash", hash=digits.upper())


def read_file_name(token: str) -> Reference | None:
    """Read the file name of a model, with or without folders before it."""
    if not MODEL_FILE.search(token) or MODEL_FILE.sub("", token).strip("./\\ ") == "":
        return None
    return named(token, text=token, form="a file name", is_file=True)


def digits_of(token: str) -> str | None:
    """Give the digits of `123` or `#123`."""
    found = _NUMBER.fullmatch(token)
    return (found[1] or found[2]) if found else None


def numbered(digits: str, kind: Kind, *, text: str, form: str = "a bare number") -> Reading:
    """Make a reference of a bare number that stands for a `kind`."""
    number = read_id(digits)
    if number is None:
        return out_of_range(text)
    return of_ids(kind, {"id": number, f"{kind}_id": number}, text=text, form=form)


def read_labelled_number(found: re.Match[str], *, plain: bool) -> Reading | None:
    """Read a match of `LABELLED_NUMBER`; None when it is more likely part of a name."""
    if not plain and not found["mark"] and len(found["digits"]) < _MIN_DIGITS:
        return None
    kind = _KIND_OF_WORD[re.sub(r"[ _-]", "", found["word"].casefold())]
    number = read_id(found["digits"])
    if number is None:
        return out_of_range(found[0])
    # not a bare number: its word says what it counts, whatever the argument asks for
    return of_ids(kind, {f"{kind}_id": number}, text=found[0], form=f"a number called {kind}")
