"""Finding references in a text: the certain spellings first, then the probable ones."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from civit_mcp.models.weights import HASH_LENGTHS, LENGTHS_SAID, MODEL_FILE, SHA256_LENGTH
from civit_mcp.references import pieces
from civit_mcp.references.addresses import read_address
from civit_mcp.references.airs import read_air
from civit_mcp.references.reference import Expect, Kind, Reading, Reference, Refusal, shown
from civit_mcp.references.shapes import HEX

_SEPARATORS: Final = re.compile(
    '[\\s<>"`|\\[\\](){};“”„«»‘‹›「」『』【】（）〈〉《》，。、！？；：]+|,(?=https?:|urn:|$)'  # noqa: RUF001 - the punctuation of other scripts
)
_FRAME: Final = ".,;:!?*_~'’\\="  # noqa: RUF001 - a typographic apostrophe
WRAPPING: Final = " \t\n\"'`“”„«»‘’*"  # noqa: RUF001 - quotes of other scripts
_LEAD_IN: Final = re.compile(r"\A[\w-]+[:=](?=https?:|urn:air:)", re.IGNORECASE)
_HASH_PREFIX: Final = re.compile(
    r"(?:0x|sha-?256:|autov[123]:|crc-?32:|blake3:)\s*[0-9a-f]*", re.IGNORECASE
)
#: colons and the like: before them stands something else than a folder
_NOT_IN_FILE_NAMES: Final = re.compile(r"[<>:@|\n]|//|civitai\.", re.IGNORECASE)
#: `#1` amid words is a rank
_MIN_DIGITS: Final = 4
#: different things after which nobody needs to know how many more there are
_ENOUGH: Final = 10
_IDENTITY: Final = (
    *("uuid", "model_id", "version_id", "file_id", "image_id", "post_id", "collection_id"),
    *("hash", "id", "name"),
)

#: what leads to the thing that an argument asks for
ACCEPTED: Final[dict[Expect, frozenset[Kind]]] = {
    "model": frozenset({"model", "version", "hash", "name"}),
    "version": frozenset({"model", "version", "hash", "name"}),
    "image": frozenset({"image", "media", "post"}),
    "post": frozenset({"post"}),
    "collection": frozenset({"collection"}),
    "any": frozenset(
        {"model", "version", "image", "post", "collection", "media", "hash", "name", "id"}
    ),
}


def readings_of(text: str, expect: Expect) -> list[Reading]:
    """Read by certainty: what can be nothing else, then what probably is, then numbers."""
    whole = text.strip(WRAPPING)
    alone = _read_alone(whole, expect)
    if alone is not None:
        return [alone]
    readings, rest = _certain(text)
    if readings:
        return readings
    labelled = _labelled_numbers(rest, whole, expect)
    tokens = _tokens(rest)
    kind = number_kind(expect)
    numbers = [
        pieces.numbered(digits, kind, text=token)
        for token in tokens
        if (digits := pieces.digits_of(token))
        and (_takes_numbers_only(expect) or (token[0] == "#" and len(token) > _MIN_DIGITS))
    ]
    probable: list[Reading] = []
    if not MODEL_FILE.search(whole):
        # a text that ends as file names do is one name with spaces, not a name amid words
        probable.extend(filter(None, map(_probable, tokens)))
    if _takes_numbers_only(expect):
        steps = [labelled, numbers, probable]
    else:
        steps = [labelled, [*numbers, *probable]]
    return next((step for step in steps if step), [])


def _takes_numbers_only(expect: Expect) -> bool:
    """Whether no name can be meant, so that a number amid words is the reference."""
    return "name" not in ACCEPTED[expect]


def _read_alone(whole: str, expect: Expect) -> Reading | None:
    """Read a text that is nothing but one number, hash, tag or file name."""
    bare = whole.strip(_FRAME + "()[]<>")
    digits = pieces.digits_of(bare)
    if digits is not None:
        number = pieces.numbered(digits, number_kind(expect), text=bare)
        hash_like = len(bare) in HASH_LENGTHS and bare[0] != "#"
        if hash_like and (
            len(bare) == SHA256_LENGTH or (expect == "any" and isinstance(number, Refusal))
        ):
            return pieces.hashed(bare, text=bare)
        if hash_like and expect == "any" and isinstance(number, Reference):
            return replace(number, hash=bare)
        return number
    found = pieces.read_hash(bare, alone=True) or pieces.read_uuid(bare)
    if found is not None:
        return found
    if _HASH_PREFIX.fullmatch(whole) and not pieces.LABELLED_HASH.fullmatch(whole):
        return _wrong_length(whole)
    if HEX.fullmatch(whole) and len(whole) > 20:
        return _wrong_length(whole)
    if not re.search(r"air:|civitai:", whole, re.IGNORECASE):
        tag = pieces.read_open_tag(whole)
        if tag is not None:
            return tag
    if MODEL_FILE.search(whole) and not _NOT_IN_FILE_NAMES.search(whole[3:]):
        return pieces.read_file_name(whole)
    return None


def _wrong_length(text: str) -> Refusal:
    return Refusal(
        what=f"'{shown(text, 80)}' is no hash that CivitAI keeps",
        next_step=f"give a hash of {LENGTHS_SAID} hexadecimal digits",
    )


def _certain(text: str) -> tuple[list[Reading], str]:
    """Find what can be nothing else; also give the text without it."""
    readings: list[Reading] = []

    def take(read: Callable[[re.Match[str]], Reading]) -> Callable[[re.Match[str]], str]:
        def replacement(found: re.Match[str]) -> str:
            readings.append(read(found))
            return " "

        return replacement

    rest = pieces.TAG.sub(take(pieces.read_tag), text)
    rest = pieces.LABELLED_HASH.sub(take(lambda m: pieces.hashed(m[1], text=m[0])), rest)
    left = []
    for token in _tokens(rest):
        # an AIR and the address of a resource both may begin with `civitai:`
        reading = (
            (read_air(token) if "://" not in token else None)
            or read_address(token)
            or pieces.read_uuid(token)
            or (pieces.read_hash(token, alone=False) if len(token) >= SHA256_LENGTH else None)
        )
        if reading is None:
            left.append(token)
        else:
            readings.append(reading)
    return readings, rest if len(left) == len(_tokens(rest)) else " ".join(left)


def _tokens(text: str) -> list[str]:
    parts = (_LEAD_IN.sub("", part, count=1) for part in _SEPARATORS.split(text) if part)
    return [token for part in parts if (token := part.strip(_FRAME))]


def _labelled_numbers(text: str, whole: str, expect: Expect) -> list[Reading]:
    plain = _takes_numbers_only(expect)
    readings = [
        reading
        for found in pieces.LABELLED_NUMBER.finditer(text)
        if (reading := pieces.read_labelled_number(found, plain=plain or found[0] == whole))
    ]
    references = [reading for reading in readings if isinstance(reading, Reference)]
    if plain:
        # in `image 12 of post 34` the argument says which of the two is meant
        wanted = [r for r in references if r.kind == expect]
        return list(wanted or readings)
    models = {r.model_id for r in references if r.kind == "model"}
    versions = [r for r in references if r.kind == "version"]
    if len(models) == 1 and len({r.version_id for r in versions}) == 1:
        merged = replace(versions[0], model_id=models.pop())
        return [merged, *(r for r in readings if r not in references)]
    return readings


def _probable(token: str) -> Reference | None:
    return pieces.read_hash(token, alone=False) or pieces.read_file_name(token)


def distinct(references: Iterable[Reference]) -> list[Reference]:
    """Drop repetitions: of two spellings of one thing the one that says more stays."""
    kept: list[Reference] = []
    for reference in references:
        for index, other in enumerate(kept):
            if _says(other, reference):
                break
            if _says(reference, other):
                kept[index] = reference
                break
        else:
            kept.append(reference)
        if len(kept) == _ENOUGH:
            break
    return kept


def _says(more: Reference, less: Reference) -> bool:
    """Whether `more` says everything that `less` says about what is meant."""
    if less.kind == "name" and more.kind == "name":
        return (less.name or "").casefold() == (more.name or "").casefold()
    fields = _IDENTITY if "media" in {less.kind, more.kind} else _IDENTITY[1:]
    return all(getattr(less, field) in {None, getattr(more, field)} for field in fields)


def number_kind(expect: Expect) -> Kind:
    """Say what a bare number is where `expect` is asked for."""
    return "id" if expect == "any" else expect
