"""What a parsed reference is, and how one is refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from civit_mcp.errors import BadReference
from civit_mcp.models.ids import MAX_ID, as_id
from civit_mcp.text import one_line, quoted

Kind = Literal["model", "version", "image", "post", "collection", "media", "hash", "name", "id"]
#: what the argument asks for; it decides how a bare number reads
Expect = Literal["model", "version", "image", "post", "collection", "any"]

_SHOWN: Final = 200
_SECRET_VALUE: Final = re.compile(
    r"((?:token|key|secret|signature|sig|password|cookie)=)[^&\s#]+", re.IGNORECASE
)
#: API keys are 32 hexadecimal digits; nothing that can be looked up is
_SECRET_SHAPE: Final = re.compile(r"(?<![0-9a-z])[0-9a-f]{32}(?![0-9a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One thing on CivitAI, or one way to look for it.

    `kind` says which fields are set: `version` has `version_id` and, when the spelling named
    it, `model_id`; `image` has `image_id` and, from a CDN address, `uuid`; `media` has `uuid`
    alone; `name` has `name` and, from a file name, `file_name`; `id` is a number of which
    nobody has said what it counts, and has `id` alone.
    """

    kind: Kind
    #: what was given: on one line, capped, secrets masked
    text: str
    #: the spelling in words, as in "an AIR"
    form: str
    #: set when a bare number was given, whatever it was read as
    id: int | None = None
    model_id: int | None = None
    version_id: int | None = None
    file_id: int | None = None
    image_id: int | None = None
    post_id: int | None = None
    collection_id: int | None = None
    #: upper-case hexadecimal digits: 8, 10, 12 or 64
    hash: str | None = None
    #: lower-case, with dashes
    uuid: str | None = None
    #: without folder and model file extension
    name: str | None = None
    #: the last path component as given, with its extension
    file_name: str | None = None
    #: of a prompt tag
    weight: float | None = None
    #: file format that an AIR asks for, lower-case
    format: str | None = None
    #: the CivitAI domain of a page address, for links that stay where the user is
    site: str | None = None

    def describe(self) -> str:
        """Say what was understood, as in `version 2514310 of model 827184, from an AIR`."""
        return f"{self._thing()}, from {self.form}"

    def _thing(self) -> str:
        file = f"file {self.file_id} of " if self.file_id is not None else ""
        match self.kind:
            case "model":
                return f"{file}model {self.model_id}"
            case "version":
                of = f" of model {self.model_id}" if self.model_id is not None else ""
                return f"{file}version {self.version_id}{of}"
            case "image":
                return f"image {self.image_id}"
            case "post":
                return f"post {self.post_id}"
            case "collection":
                return f"collection {self.collection_id}"
            case "media":
                return f"the picture with uuid {self.uuid}"
            case "hash":
                return f"the file with hash {self.hash}"
            case "name":
                weight = f" with weight {self.weight:g}" if self.weight is not None else ""
                return f"the name {quoted(self.name or '', 80)}{weight}"
            case "id":
                return f"number {self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A piece of text that looks like a reference and cannot be one."""

    what: str
    next_step: str
    #: the address of something else, which may stand beside a reference
    beside_the_point: bool = False

    def error(self) -> BadReference:
        return BadReference(self.what, self.next_step)


Reading = Reference | Refusal


def of_ids(
    kind: Kind,
    ids: Mapping[str, int | None],
    *,
    text: str,
    form: str,
    site: str | None = None,
    format: str | None = None,  # noqa: A002 - the field's name
) -> Reference:
    """Make a reference of ids by field name."""
    return Reference(
        kind=kind,
        text=shown(text),
        form=form,
        id=ids.get("id"),
        model_id=ids.get("model_id"),
        version_id=ids.get("version_id"),
        file_id=ids.get("file_id"),
        image_id=ids.get("image_id"),
        post_id=ids.get("post_id"),
        collection_id=ids.get("collection_id"),
        site=site,
        format=format,
    )


def shown(text: str, limit: int = _SHOWN) -> str:
    """Put what was given on one line, without secrets, for answers and errors."""
    line = one_line(text[: limit * 4], limit * 4)
    return one_line(_SECRET_SHAPE.sub("***", _SECRET_VALUE.sub(r"\1***", line)), limit)


def looks_like_a_key(text: str) -> bool:
    """Whether `text` is nothing but what API keys look like."""
    return _SECRET_SHAPE.fullmatch(text) is not None


def read_id(digits: str) -> int | None:
    """Read decimal digits as an id; None when it is out of range."""
    return as_id(digits.lstrip("0") or "0")


def out_of_range(text: str) -> Refusal:
    """Refuse a number that no id can be."""
    return Refusal(
        what=f"'{shown(text, 60)}' holds a number that is no CivitAI id",
        next_step=f"give an id from 1 to {MAX_ID}",
    )
