"""Gallery images: one internal form for every spelling, and the forms that go out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from civit_mcp.models.levels import LEGACY_WORDS, NSFW_BITS
from civit_mcp.sandbox.store import Found, Json, Store, extra, is_id, model_is_public, rows

_WORDS: Final = {0: "None", 1: "None", 2: "Soft", 4: "Mature", 8: "X", 16: "X", 32: "Blocked"}
_REACTIONS: Final = ("cry", "laugh", "like", "dislike", "heart", "comment")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VIDEO: Final = (".mp4", ".webm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image with all that is known of it."""

    id: int
    url: str
    #: one bit; 0 unrated
    bits: int
    type: str
    width: int | None = None
    height: int | None = None
    blurhash: str | None = None
    created_at: str | None = None
    post_id: int | None = None
    meta: Json | None = None
    hide_meta: bool = False
    username: Any = None
    base_model: str | None = None
    version_ids: tuple[int, ...] = ()
    stats: Json = field(default_factory=dict)
    #: what else tRPC knows: resources, tools, techniques, external, tags, name, process
    more: Json = field(default_factory=dict)

    @property
    def uuid(self) -> str:
        """The CDN's name for the picture; the whole URL when there is none in it."""
        found = _UUID.search(self.url)
        return found[0] if found else self.url


def bits_of(image: Json) -> int:
    """Browsing bits from `browsingLevel`, `nsfwLevel` or the older `nsfw`."""
    for key in ("browsingLevel", "nsfwLevel", "nsfw"):
        value = image.get(key)
        if isinstance(value, bool):
            return 4 if value else 1
        if isinstance(value, int):
            return value
        if isinstance(value, str) and value.casefold() in LEGACY_WORDS:
            return LEGACY_WORDS[value.casefold()]
    return 1


def model_bits(model: Json) -> int:
    """Browsing bits of a model; older answers have only `nsfw`."""
    value = model.get("nsfwLevel")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return NSFW_BITS if model.get("nsfw") is True else 1


def image_id(image: Json) -> int | None:
    """The id, or what the file name in the URL says."""
    for value in (image.get("id"), extra(image, "_image").get("id")):
        if is_id(value):
            return value
    url = image.get("url")
    stem = urlsplit(url).path.rpartition("/")[2].partition(".")[0] if isinstance(url, str) else ""
    return int(stem) if stem.isascii() and stem.isdigit() and int(stem) > 0 else None


@lru_cache(maxsize=4)
def all_pictures(store: Store) -> dict[int, Picture]:
    """Every picture of a published model, and every recorded row, by id."""
    found: dict[int, Picture] = {}
    for hit in store.versions.values():
        if not store.is_public(hit.version["id"]):
            continue
        for image in rows(hit.version, "images"):
            picture = _from_gallery(image, hit)
            if picture is not None:
                found.setdefault(picture.id, picture)
    for row in store.image_rows:
        found[row["id"]] = _from_row(row)
    return dict(sorted(found.items()))


def _from_gallery(image: Json, hit: Found) -> Picture | None:
    own_id, more = image_id(image), extra(image, "_image")
    if own_id is None or not isinstance(image.get("url"), str):
        return None
    version, model = hit.version, hit.model or {}
    row: Json = {
        "createdAt": version.get("publishedAt") or version.get("createdAt"),
        "username": extra(model, "creator").get("username"),
        "baseModel": version.get("baseModel"),
        "modelVersionIds": [version["id"]],
        **image,
        **{key: more[key] for key in ("meta", "postId", "username", "createdAt") if key in more},
        "id": own_id,
    }
    return _from_row(row)


def _from_row(row: Json) -> Picture:
    more, meta, url = extra(row, "_image"), row.get("meta"), str(row.get("url") or "")
    if isinstance(meta, dict) and set(meta) == {"id", "meta"}:
        meta = meta["meta"]
    ids = row.get("modelVersionIds")
    kind = row.get("type") or ("video" if url.lower().endswith(_VIDEO) else "image")
    return Picture(
        id=row["id"],
        url=url,
        bits=bits_of(row),
        type=str(kind),
        width=row.get("width"),
        height=row.get("height"),
        blurhash=row.get("hash"),
        created_at=row.get("createdAt"),
        post_id=row.get("postId"),
        meta=meta if isinstance(meta, dict) else None,
        hide_meta=more.get("hideMeta") is True,
        username=row.get("username"),
        base_model=row.get("baseModel"),
        version_ids=tuple(i for i in ids if is_id(i)) if isinstance(ids, list) else (),
        stats=extra(row, "stats"),
        more=more,
    )


def image_row(picture: Picture, *, with_meta: bool, wrapped: bool, with_tags: bool) -> Json:
    """A row of GET images."""
    meta: Json | None = None
    if with_meta:
        shown = None if picture.hide_meta else picture.meta
        meta = {"id": picture.id, "meta": shown} if wrapped else shown
    row: Json = {
        "id": picture.id,
        "url": picture.url,
        "hash": picture.blurhash,
        "width": picture.width,
        "height": picture.height,
        "nsfwLevel": _WORDS.get(picture.bits, "Blocked"),
        "nsfw": picture.bits >= 4,
        "browsingLevel": picture.bits,
        "type": picture.type,
        "createdAt": picture.created_at,
        "postId": picture.post_id,
        "stats": {f"{name}Count": picture.stats.get(f"{name}Count", 0) for name in _REACTIONS},
        "meta": meta,
        "username": picture.username,
        "baseModel": picture.base_model,
        "modelVersionIds": list(picture.version_ids),
    }
    if with_tags:
        row["tags"] = picture.more.get("tags", [])
    return row


def list_image(image: Json) -> Json:
    """An image inside a version of a list answer."""
    more, url = extra(image, "_image"), image.get("url")
    meta = more.get("meta", image.get("meta"))
    return {
        "id": image_id(image),
        "url": url,
        "nsfwLevel": bits_of(image),
        "width": image.get("width"),
        "height": image.get("height"),
        "hash": image.get("hash"),
        "type": _kind(image),
        "minor": False,
        "poi": False,
        "hasMeta": bool(meta),
        "hasPositivePrompt": bool(isinstance(meta, dict) and meta.get("prompt")),
        "onSite": bool(isinstance(meta, dict) and meta.get("civitaiResources")),
        "remixOfId": None,
    }


def model_image(image: Json) -> Json:
    """An image inside a version of `models/<id>`: the same without its id."""
    return {key: value for key, value in list_image(image).items() if key != "id"}


def version_image(image: Json) -> Json:
    """An image inside `model-versions/<id>`: with the stored metadata."""
    more, shown = extra(image, "_image"), model_image(image)
    meta = None if more.get("hideMeta") is True else more.get("meta", image.get("meta"))
    sizes = {key: image.get(key) for key in ("hash", "width", "height")}
    keys = ("url", "nsfwLevel", "width", "height", "hash", "type")
    return {
        **{key: shown[key] for key in keys},
        "metadata": sizes,
        "minor": False,
        "poi": False,
        "meta": meta if isinstance(meta, dict) else None,
        "availability": "Public",
        **{key: shown[key] for key in ("hasMeta", "hasPositivePrompt", "onSite", "remixOfId")},
    }


def pictures_of(
    store: Store, pictures: dict[int, Picture], model_id: int | None
) -> Iterator[Picture]:
    """Pictures made with any version of a model."""
    ids = {vid for vid, hit in store.versions.items() if _parent(hit) == model_id}
    model = store.models.get(model_id or 0)
    if model is None or model_is_public(model):
        yield from (each for each in pictures.values() if ids & set(each.version_ids))


def _parent(hit: Found) -> Any:
    return hit.model["id"] if hit.model else hit.version.get("modelId")


def _kind(image: Json) -> str:
    url = str(image.get("url") or "").lower()
    return str(image.get("type") or ("video" if url.endswith(_VIDEO) else "image"))
