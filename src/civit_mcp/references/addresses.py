"""Addresses: pages, API, downloads and pictures of CivitAI, on any of its domains.

Nothing is fetched from an address that was pasted: it is read for its ids alone. Even so an
address whose host only resembles CivitAI is refused, because whoever pasted it should know.
"""

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from civit_mcp.models.weights import HASH_LENGTHS, LENGTHS_SAID, MODEL_FILE
from civit_mcp.references.reference import (
    Kind,
    Reading,
    Reference,
    Refusal,
    of_ids,
    out_of_range,
    read_id,
    shown,
)
from civit_mcp.references.shapes import HEX, UUID

_SITES: Final = ("civitai.com", "civitai.red", "civitai.green", "civitai.blue")
_PAGE_PREFIXES: Final = ("", "www.", "api.")
_SCHEME: Final = re.compile(r"(https?):[/\\]*", re.IGNORECASE)
_OTHER_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
#: for addresses without a scheme; a closed set, because `v1.5/portraits` is a name
_DOMAIN: Final = re.compile(
    r"(?:[^\s./@:]+\.)+(?:com|org|net|co|io|ai|dev|app|art|gg|info|me|site|xyz|example)"
    r"\.?(?::[0-9]*)?",
    re.IGNORECASE,
)
_ID_PARAMETERS: Final = frozenset({"modelversionid", "fileid", "modelfileid", "imageid", "postid"})
_LOCALE: Final = re.compile(r"[a-z]{2}(?:-[a-z]{2,4})?", re.IGNORECASE)
_OUR_URIS: Final = ("civitai://", "catalog://")

_NEXT: Final = (
    "give an address such as 'https://civitai.com/models/58390', "
    "'https://civitai.com/images/123456', or the number in it"
)


def read_address(token: str) -> Reading | None:
    """Read `token` as an address, with or without its scheme; None when it is none."""
    if token.lower().startswith(("https%3a", "http%3a")):
        token = unquote(token, errors="replace")
    if token.lower().startswith(_OUR_URIS):
        return _our_uri(token)
    scheme = _SCHEME.match(token)
    if scheme is None:
        other = _OTHER_SCHEME.match(token)
        if other is not None:
            return _elsewhere(token, other[1])
        if not token.startswith("//") and not _is_bare_address(token):
            return None
    rest = token[scheme.end() :] if scheme else token.lstrip("/")
    try:
        parts = urlsplit(f"https://{rest}")
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        return _elsewhere(token, rest)
    authority = parts.netloc
    if "@" in authority or "\\" in authority or port not in {None, 80, 443}:
        return _elsewhere(token, authority)
    site = next((s for s in _SITES if host == s or host.endswith(f".{s}")), None)
    if site is None:
        return _elsewhere(token, host)
    if host.removesuffix(site) in _PAGE_PREFIXES:
        return _page(token, parts, site)
    return _picture(token, parts.path)


def _is_bare_address(token: str) -> bool:
    """Whether a token without a scheme begins with a host: `civitai.com/models/1`."""
    head = re.split(r"[/?#\\]", token, maxsplit=1)[0]
    if "civitai" in head.casefold() and len(head) < len(token) and ("." in head or "@" in head):
        return True
    if head.casefold().removeprefix("www.") in _SITES:
        return True
    return (
        len(head) < len(token)
        and _DOMAIN.fullmatch(head.rpartition("@")[2]) is not None
        and MODEL_FILE.search(token) is None
    )


def _elsewhere(token: str, host: str) -> Refusal:
    # a look-alike is never passed over in silence
    posing = not host or "civit" in token.casefold()
    return Refusal(
        what=f"'{shown(token, 120)}' is no address of CivitAI: its host is "
        f"'{shown(host, 60)}', not civitai.com, .red, .green or .blue alone",
        next_step=_NEXT,
        beside_the_point=not posing,
    )


def _no_thing(token: str) -> Refusal:
    return Refusal(
        what=f"'{shown(token, 120)}' is on CivitAI, but names no model, version, image, post "
        "or collection",
        next_step=_NEXT,
        beside_the_point=True,
    )


def _reference(token: str, form: str, site: str | None = None, **digits: str | None) -> Reading:
    """Make the reference that `digits` stand for; its kind is the most exact id among them."""
    ids = {field: read_id(text) for field, text in digits.items() if text is not None}
    if None in ids.values():
        return out_of_range(token)
    kinds: tuple[Kind, ...] = ("version", "model", "image", "post", "collection")
    for kind in kinds:
        if f"{kind}_id" in ids:
            return of_ids(kind, ids, text=token, form=form, site=site)
    return _no_thing(token)


def _page(token: str, parts: SplitResult, site: str) -> Reading:
    path = [unquote(part, errors="replace") for part in parts.path.split("/") if part]
    query = _query(parts.query)
    if query is None:
        return Refusal(
            what=f"'{shown(token, 120)}' gives two different values for one parameter",
            next_step=_NEXT,
        )
    if path and _LOCALE.fullmatch(path[0]) and len(path) > 1:
        path = path[1:]
    lowered = [part.casefold() for part in path]
    if lowered[:2] == ["api", "v1"]:
        return _rest(token, lowered[2:], query, site)
    if lowered[:1] == ["api"]:
        lowered = lowered[1:]
    match lowered:
        case ["download", "models", number]:
            return _numbered(
                token, "a download address", site, version_id=number, file_id=query.get("fileid")
            )
        case ["models", number, *_]:
            return _numbered(
                token,
                "a page address",
                site,
                model_id=number,
                version_id=query.get("modelversionid"),
            )
        case ["model-versions", number, *_]:
            return _numbered(token, "a page address", site, version_id=number)
        case ["images", number, *_]:
            return _numbered(token, "a page address", site, image_id=number)
        case ["posts", number, *_]:
            return _numbered(token, "a page address", site, post_id=number)
        case ["collections", number, *_]:
            return _numbered(token, "a page address", site, collection_id=number)
        case _:
            return _no_thing(token)


def _rest(token: str, path: list[str], query: dict[str, str], site: str) -> Reading:
    form = "an API address"
    match path:
        case ["models", number]:
            return _numbered(token, form, site, model_id=number)
        case ["model-versions", "by-hash", digits]:
            if len(digits) in HASH_LENGTHS and HEX.fullmatch(digits):
                return Reference(
                    kind="hash", text=shown(token), form=form, hash=digits.upper(), site=site
                )
            return Refusal(
                what=f"'{shown(token, 120)}' holds no hash that CivitAI keeps",
                next_step=f"give a hash of {LENGTHS_SAID} hexadecimal digits",
            )
        case ["model-versions", number] | ["model-versions", "mini", number]:
            return _numbered(token, form, site, version_id=number, file_id=query.get("modelfileid"))
        case ["images"] if "imageid" in query:
            return _numbered(token, form, site, image_id=query["imageid"])
        case ["images"] if "postid" in query:
            return _numbered(token, form, site, post_id=query["postid"])
        case _:
            return _no_thing(token)


def _numbered(token: str, form: str, site: str | None, **texts: str | None) -> Reading:
    for text in texts.values():
        if text is not None and not (text.isascii() and text.isdigit()):
            return Refusal(
                what=f"'{shown(token, 120)}' has '{shown(text, 40)}' where an id belongs",
                next_step=_NEXT,
            )
    return _reference(token, form, site, **texts)


def _query(text: str) -> dict[str, str] | None:
    """Read the parameters, names in lower case; None when one has two different values."""
    values: dict[str, str] = {}
    for name, value in parse_qsl(text, errors="replace"):
        key = name.casefold()
        if key in _ID_PARAMETERS and values.get(key, value) != value:
            return None
        values[key] = value.strip()
    return values


def _picture(token: str, path: str) -> Reading:
    """Read a CDN address: `/{account}/{uuid}/{transformation}/{name}.{extension}`."""
    parts = [part for part in path.split("/") if part]
    found = next((i for i, part in enumerate(parts) if UUID.fullmatch(part)), None)
    if found is None:
        return _no_thing(token)
    uuid = parts[found].lower()
    # our own names are not padded; `00012.png` is what the uploader's program counted
    stem = parts[-1].partition(".")[0] if found < len(parts) - 1 else ""
    digits = stem.isascii() and stem.isdigit() and not stem.startswith("0")
    image_id = read_id(stem) if digits else None
    return Reference(
        kind="media" if image_id is None else "image",
        text=shown(token),
        form="a picture address",
        image_id=image_id,
        uuid=uuid,
    )


def _our_uri(token: str) -> Reading:
    """Read the address of one of our own resources."""
    path = token.partition("://")[2].split("/")
    match [part.casefold() for part in path]:
        case ["models", number]:
            return _numbered(token, "a resource address", None, model_id=number)
        case ["model-versions" | "entries", number]:
            return _numbered(token, "a resource address", None, version_id=number)
        case ["images", number, *_]:
            return _numbered(token, "a resource address", None, image_id=number)
        case _:
            return _no_thing(token)
