"""Gallery images, as REST and tRPC list them."""

import re
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from civit_mcp.civitai.wire.fields import (
    brief,
    count,
    flag,
    ident,
    idents,
    level_bits,
    maybe_obj,
    name,
    obj,
    text,
)
from civit_mcp.models.records import ImageRecord, Json

CDN: Final = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA"
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EXTENSIONS: Final = {"video": "mp4", "audio": "mp3"}
_BASENAME_ID: Final = re.compile(r"([0-9]{1,10})\.[A-Za-z0-9]{2,5}")


def read_image(source: Json) -> ImageRecord:
    """Read an image; every field may be missing."""
    link = source.get("url")
    identity = ident(source.get("id")) or _id_in(link)
    media = text(source.get("type"))
    return ImageRecord(
        id=identity,
        url=cdn_url(link, identity, media),
        type=media,
        level_bits=level_bits(source),
        width=count(source.get("width")),
        height=count(source.get("height")),
        username=name(source.get("username")) or name(obj(source.get("user")).get("username")),
        created_at=text(source.get("createdAt")),
        post_id=ident(source.get("postId")),
        base_model=brief(source.get("baseModel")),
        version_ids=_versions(source),
        meta=unwrap_meta(source.get("meta")),
        hide_meta=flag(source.get("hideMeta")),
        has_meta=flag(source.get("hasMeta")),
    )


def read_listed_image(source: Json) -> ImageRecord | None:
    """Read an image of a listing, where one without an id is of no use."""
    image = read_image(source)
    return image if image.id is not None else None


def unwrap_meta(value: Any) -> Json | None:
    """Take the metadata out of the wrapper that one path of the API puts around it."""
    meta = maybe_obj(value)
    if meta is not None and "meta" in meta and meta.keys() <= {"id", "meta"}:
        return maybe_obj(meta["meta"])
    return meta


def cdn_url(link: Any, identity: int | None, media: str | None) -> str | None:
    """Give the absolute address: a bare uuid is completed, a query is cut."""
    if not isinstance(link, str):
        return None
    address: str = link.strip()
    if _UUID.fullmatch(address):
        extension = _EXTENSIONS.get((media or "").lower(), "jpeg")
        return f"{CDN}/{address}/original=true/{identity or address}.{extension}"
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        return None
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def _id_in(link: Any) -> int | None:
    """Some answers leave the id out; it is then the file's name."""
    if not isinstance(link, str):
        return None
    found = _BASENAME_ID.fullmatch(link.partition("?")[0].rsplit("/", 1)[-1])
    return ident(found[1]) if found else None


def _versions(source: Json) -> tuple[int, ...]:
    listed = (
        *idents(source.get("modelVersionIds")),
        *idents(source.get("modelVersionIdsManual")),
        *idents([source.get("modelVersionId")]),
    )
    return tuple(dict.fromkeys(listed))
