"""From whatever was pasted to one reference, or to a sentence that says why not."""

import re
from typing import Final

from civit_mcp.errors import BadReference
from civit_mcp.models.records import EMPTY_HASHES
from civit_mcp.references import pieces
from civit_mcp.references.finding import (
    ACCEPTED,
    WRAPPING,
    distinct,
    number_kind,
    readings_of,
)
from civit_mcp.references.reference import (
    Expect,
    Kind,
    Reading,
    Reference,
    Refusal,
    looks_like_a_key,
    shown,
)
from civit_mcp.text import clean_prose, quoted

#: longer than any sentence around a reference
_MAX_TEXT: Final = 4_096
_MAX_NAME: Final = 200
_CONTROLS: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LIKE_A_NUMBER: Final = re.compile(
    r"[+-]?[0-9][0-9.,_' ]*(?:e[+-]?[0-9]*)?|[+-]?\.[0-9]+", re.IGNORECASE
)
_NO_VALUE: Final = frozenset(
    {"nan", "inf", "infinity", "true", "false", "null", "none", "undefined", "nil", "n/a"}
)

_EXAMPLES: Final[dict[Expect, str]] = {
    "model": "give a model id such as 58390, or a page address such as "
    "'https://civitai.com/models/58390'",
    "version": "give a version id such as 62833, or an address such as "
    "'https://civitai.com/models/58390?modelVersionId=62833'",
    "image": "give an image id such as 123456, or 'https://civitai.com/images/123456'",
    "post": "give a post id such as 7890, or 'https://civitai.com/posts/7890'",
    "collection": "give a collection id such as 4567, or 'https://civitai.com/collections/4567'",
    "any": "give an id, an address such as 'https://civitai.com/models/58390', an AIR, a file "
    "hash or a name",
}
_TOOL_FOR: Final[dict[Kind, str]] = {
    "model": "get_model",
    "version": "get_model_version",
    "image": "get_generation_data",
    "media": "get_generation_data",
    "post": "get_post",
    "collection": "get_collection",
    "hash": "get_model_version",
    "name": "search_models",
    "id": "get_model",
}


def parse_reference(value: int | str, expect: Expect = "any") -> Reference:
    """Read `value` as a reference to what `expect` says.

    `model` and `version` accept whatever leads to one: model, version, hash or name; `image`
    also a uuid and a post, which may hold just one. `any` accepts everything and leaves a bare
    number undecided (kind `id`). Words around one reference are skipped. Raises
    `BadReference`, and nothing else, whatever comes in.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        # a huge int has no decimal text: Python refuses to write it
        text = str(value) if abs(value) < 10**20 else "a number of more than 20 digits"
        if not 0 < value < 10**20:
            raise BadReference(f"'{text}' is no CivitAI id", _EXAMPLES[expect])
        return _finish(pieces.numbered(text, number_kind(expect), text=text), expect)
    text = _readable(value, expect)
    readings = readings_of(text, expect)
    refused = [reading for reading in readings if isinstance(reading, Refusal)]
    found = distinct(reading for reading in readings if isinstance(reading, Reference))
    for refusal in refused:
        if not found or not refusal.beside_the_point:
            raise refusal.error()
    if len(found) > 1:
        more = f" (and {len(found) - 2} more)" if len(found) > 2 else ""
        raise BadReference(
            f"the text names different things: {found[0].describe()}; {found[1].describe()}{more}",
            "give one reference at a time",
        )
    return _finish(found[0] if found else _name(text, expect), expect)


def _readable(value: object, expect: Expect) -> str:
    if not isinstance(value, str):
        raise BadReference(
            f"a reference is a number or text, not {type(value).__name__}", _EXAMPLES[expect]
        )
    if len(value) > _MAX_TEXT:
        raise BadReference(
            f"the reference has {len(value)} characters; {_MAX_TEXT} are read", _EXAMPLES[expect]
        )
    if _CONTROLS.search(value):
        raise BadReference(
            f"the reference '{shown(value, 60)}' holds control characters", _EXAMPLES[expect]
        )
    # addresses are often copied out of HTML
    text = clean_prose(value).strip().replace("&amp;", "&")
    if not text.strip(WRAPPING + "<>[]()#.,;:!?-_"):
        raise BadReference("the reference is empty", _EXAMPLES[expect])
    if looks_like_a_key(text.strip(WRAPPING)):
        raise BadReference(
            "the argument is 32 hexadecimal digits, which is no hash that CivitAI keeps and "
            "may be an API key",
            "keep keys in the environment (CIVITAI_API_KEY); " + _EXAMPLES[expect],
        )
    return text


def _name(text: str, expect: Expect) -> Reference:
    words = " ".join(text.split()).strip(WRAPPING)
    plain = words.casefold()
    if (
        not any(char.isalpha() for char in words)
        or _LIKE_A_NUMBER.fullmatch(words)
        or plain in _NO_VALUE
        or plain.lstrip("+-") in _NO_VALUE
    ):
        raise BadReference(f"'{shown(text, 80)}' is neither an id nor a name", _EXAMPLES[expect])
    if len(words) > _MAX_NAME:
        raise BadReference(
            f"the text of {len(text)} characters holds no reference and is too long for a name",
            _EXAMPLES[expect],
        )
    return pieces.named(words, text=words, form="words", is_path=False)


def _finish(reading: Reading, expect: Expect) -> Reference:
    if isinstance(reading, Refusal):
        raise reading.error()
    if reading.hash in EMPTY_HASHES:
        raise BadReference(
            f"'{reading.hash}' is the hash of an empty file and identifies nothing",
            "hash the whole file, or " + _EXAMPLES[expect],
        )
    if reading.kind in ACCEPTED[expect]:
        return reading
    # a name where a number belongs is no wish for another tool
    elsewhere = reading.kind not in {"name", "hash"}
    tool = _TOOL_FOR[reading.kind]
    given = quoted(shown(reading.text, 120))
    raise BadReference(
        f"{given} is {reading.describe()}, where {_article(expect)} belongs",
        f"{f'pass it to {tool}, or ' if elsewhere else ''}{_EXAMPLES[expect]}",
    )


def _article(expect: Expect) -> str:
    return f"{'an' if expect == 'image' else 'a'} {expect}"
