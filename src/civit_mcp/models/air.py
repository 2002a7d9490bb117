"""AIR, CivitAI's resource names: `urn:air:sdxl:lora:civitai:123@456+789.safetensors`."""

import re
from dataclasses import dataclass
from typing import Final

from civit_mcp.models.ids import as_id

#: sources that mark a text as an AIR even without its prefix
_SOURCES: Final = frozenset({"civitai", "civitai-r2", "huggingface", "orchestrator"})
_TYPES: Final = frozenset(
    {
        "ag", "checkpoint", "clip", "clipvision", "controlnet", "diffusionmodel", "dora",
        "embedding", "hypernet", "image", "lora", "lycoris", "motion", "other", "text_encoders",
        "unet", "unknown", "upscaler", "vae", "visionlanguage",
    }
)  # fmt: skip
_PREFIX: Final = re.compile(r"(?:urn:)?air:|urn:", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")
_CIVITAI: Final = re.compile(
    r"(?P<id>\d{1,18})(?:@(?P<version>\d{1,18}|latest))?(?:\+(?P<file>\d{1,18}))?"
    r"(?:\.(?P<format>[a-z0-9]{1,20}))?",
    re.IGNORECASE | re.ASCII,
)
_FREE: Final = re.compile(r"(?P<id>[^\s@<>\"]{1,300})(?:@(?P<version>[^\s<>\"]{1,300}))?")
_NUMERIC_TAIL: Final = re.compile(
    r"(?P<number>\d{1,18})(?:\+(?P<file>\d{1,18}))?(?:\.(?P<format>[a-z0-9]{1,20}))?",
    re.IGNORECASE | re.ASCII,
)
_MAX: Final = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class Air:
    """The parts of an AIR. Words are lower-case; `id` and `version` are text as written."""

    ecosystem: str | None = None
    type: str | None = None
    source: str = "civitai"
    id: str
    #: None means the default version
    version: str | None = None
    #: digits of the file id
    file: str | None = None
    format: str | None = None

    @property
    def file_id(self) -> int | None:
        """CivitAI's file id; None when none is named."""
        return as_id(self.file)

    @property
    def model_id(self) -> int | None:
        """CivitAI's model id; None for other sources."""
        return as_id(self.id) if self.source == "civitai" else None

    @property
    def version_id(self) -> int | None:
        """CivitAI's version id; None for other sources and for the default version."""
        return as_id(self.version) if self.source == "civitai" else None


def parse_air(text: str) -> Air | None:
    """Read an AIR in any accepted form, or `id@version`; None when the text is none."""
    text = text.strip()
    if not text or len(text) > _MAX:
        return None
    prefix = _PREFIX.match(text)
    body = text[prefix.end() :] if prefix else text
    head, at, tail = body.partition("@")
    *words, identity = head.split(":", 3)
    if at:
        identity = f"{identity}@{tail}"
    if not words:
        numeric = _CIVITAI.fullmatch(identity) if at or prefix else None
        return _civitai(numeric, None, None) if numeric else None
    if not all(_WORD.fullmatch(word) for word in words):
        return None
    *scope, source = (word.lower() for word in words)
    if not prefix and source not in _SOURCES:
        return None
    ecosystem, kind = _scope(scope)
    if source == "civitai":
        numeric = _CIVITAI.fullmatch(identity)
        return _civitai(numeric, ecosystem, kind) if numeric else None
    free = _FREE.fullmatch(identity)
    return _foreign(free, ecosystem, kind, source) if free else None


def _scope(words: list[str]) -> tuple[str | None, str | None]:
    if len(words) == 2:
        return words[0], words[1]
    if not words:
        return None, None
    return (None, words[0]) if words[0] in _TYPES else (words[0], None)


def _civitai(match: re.Match[str], ecosystem: str | None, kind: str | None) -> Air:
    version = match["version"]
    return Air(
        ecosystem=ecosystem,
        type=kind,
        id=match["id"],
        version=None if version is None or version.lower() == "latest" else version,
        file=match["file"],
        format=match["format"].lower() if match["format"] else None,
    )


def _foreign(match: re.Match[str], ecosystem: str | None, kind: str | None, source: str) -> Air:
    identity, version = match["id"], match["version"]
    # dots belong to names everywhere but behind a number
    tail = _NUMERIC_TAIL.fullmatch(identity if version is None else version)
    if tail:
        identity = tail["number"] if version is None else identity
        version = None if version is None else tail["number"]
    return Air(
        ecosystem=ecosystem,
        type=kind,
        source=source,
        id=identity,
        version=None if version is None or version.lower() == "latest" else version,
        file=tail["file"] if tail else None,
        format=tail["format"].lower() if tail and tail["format"] else None,
    )
