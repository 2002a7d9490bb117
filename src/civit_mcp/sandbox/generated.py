"""What tRPC says of an image, worked out from the stored facts the way the site does it.

The site reads the stored metadata through a schema; a single odd value makes all of it
disappear, while resources, tools and techniques stay.
"""

import json
import math
from typing import Any, Final

from civit_mcp.sandbox.pictures import Picture
from civit_mcp.sandbox.store import Json, Store, extra, is_id

_WITH_STRENGTH: Final = ("TextualInversion", "LORA", "DoRA", "LoCon")
_NUMBERS: Final = ("cfgScale", "steps", "seed", "clipSkip")
_PROCESSES: Final = {
    "txt2imgHiRes": "txt2img + Hi-Res",
    "txt2img": "txt2img",
    "img2img": "img2img",
    "inpainting": "inpainting",
}


def generation_data(store: Store, picture: Picture) -> tuple[Json, list[str]]:
    """Output of `image.getGenerationData`, and the names of its undefined keys."""
    stored = picture.meta
    meta = _checked(stored) if stored is not None and not picture.hide_meta else None
    valid = stored is None or _checked(stored) is not None
    process = None if meta is None else _process(meta, picture)
    output: Json = {
        "type": picture.type,
        "onSite": meta is not None and _on_site(meta),
        "process": process,
        "meta": meta,
        "resources": [_resource(store, picture.id, row) for row in _resources(picture)],
        "tools": picture.more.get("tools", []),
        "techniques": picture.more.get("techniques", []),
        "external": picture.more.get("external") if valid else None,
        "canRemix": bool(meta and meta.get("prompt")),
        "remixOfId": extra(meta or {}, "extra").get("remixOfId"),
    }
    names = ("process", "meta", "external", "remixOfId")
    return output, [name for name in names if output[name] is None]


def _resources(picture: Picture) -> list[Json]:
    listed = picture.more.get("resources")
    if isinstance(listed, list):
        return [row for row in listed if isinstance(row, dict)]
    return [{"modelVersionId": version_id} for version_id in picture.version_ids]


def _resource(store: Store, image_id: int, row: Json) -> Json:
    version_id = row.get("modelVersionId")
    hit = store.versions.get(version_id) if is_id(version_id) else None
    model = (hit.model if hit else None) or {}
    kind, strength = model.get("type"), row.get("strength")
    shown: Json = {"imageId": image_id, "modelVersionId": version_id}
    if kind in _WITH_STRENGTH and strength:
        shown["strength"] = strength
    return {
        **shown,
        "modelId": model.get("id"),
        "modelName": model.get("name"),
        "modelType": kind,
        "versionId": version_id,
        "versionName": hit.version.get("name") if hit else None,
        "baseModel": hit.version.get("baseModel") if hit else None,
    }


def _checked(stored: Json) -> Json | None:
    """The metadata after the site's schema; None when it fails there."""
    meta = {key: value for key, value in stored.items() if value is not None and value != []}
    for key in ("prompt", "negativePrompt", "sampler"):
        if key in meta and not meta[key]:
            del meta[key]
        elif key in meta and not isinstance(meta[key], str):
            return None
    if "Clip skip" in meta:
        meta.setdefault("clipSkip", meta["Clip skip"])
        del meta["Clip skip"]
    for key in _NUMBERS:
        if key in meta:
            meta[key] = _number(meta[key])
            if meta[key] is None:
                return None
    hashes = meta.get("hashes", {})
    if not isinstance(hashes, dict) or not all(isinstance(v, str) for v in hashes.values()):
        return None
    for row in _listed(meta.get("resources")):
        if not isinstance(row.get("type"), str) or isinstance(row.get("weight"), str):
            return None
    for row in _listed(meta.get("civitaiResources")):
        if not isinstance(row.get("modelVersionId"), int):
            return None
    if isinstance(meta.get("comfy"), str):
        meta["comfy"] = _graphs(meta["comfy"])
    nodes = extra(extra(meta, "comfy"), "workflow").get("nodes", [])
    if not isinstance(nodes, list) or not all(isinstance(each, dict) for each in nodes):
        return None
    made_at = extra(meta, "external").get("createUrl")
    if made_at is not None and not str(made_at).startswith(("https://", "http://")):
        return None
    controls = meta.get("controlNets", [])
    if not isinstance(controls, list) or not all(isinstance(each, str) for each in controls):
        return None
    return meta


def _graphs(text: str) -> Json:
    """Comfy's two graphs out of the stored text, with the site's own repairs."""
    repaired = text.replace('"workflow": undefined', '"workflow": {}').replace("[NaN]", "[]", 1)
    try:
        value = json.loads(repaired, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return {}
    return {key: extra(value, key) for key in ("prompt", "workflow") if key in value}


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _number(value: Any) -> int | float | None:
    """A number as JavaScript's coercion makes it; None when it makes NaN."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        # JavaScript has no integers past 2**53
        return int(float(value)) if abs(value) > 2**53 and abs(value) < 2**1000 else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        try:
            number = float(value.strip() or "0")
        except ValueError:
            return None
        if not math.isfinite(number):
            return None
        return int(number) if number.is_integer() else number
    return None


def _listed(value: Any) -> list[Json]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _on_site(meta: Json) -> bool:
    model = meta.get("Model")
    local = model is None or (isinstance(model, str) and model.startswith("urn:air:"))
    return bool(meta.get("civitaiResources")) and "Version" not in meta and local


def _process(meta: Json, picture: Picture) -> str | None:
    if "engine" in meta:
        named = meta.get("process") or meta.get("type")
        if named:
            return str(named)
    if "comfy" in meta:
        base = "comfy"
        control = bool(meta.get("controlNets"))
    else:
        stored = picture.more.get("process", _inferred(meta))
        known = _PROCESSES.get(str(stored))
        if known is None:
            return None
        base = known
        control = any(key.casefold().startswith("controlnet") for key in meta)
    return f"{base} + ControlNet" if control else base


def _inferred(meta: Json) -> str:
    """The process that the site stores, from the keys that A1111 writes."""
    if "Mask blur" in meta:
        return "inpainting"
    if "Denoising strength" in meta:
        hires = ("Hires upscale", "Hires upscaler", "First pass strength")
        return "txt2imgHiRes" if any(key in meta for key in hires) else "img2img"
    return "txt2img"


def image_facts(picture: Picture) -> Json:
    """Output of `image.get`."""
    name = f"{picture.id}.{'mp4' if picture.type == 'video' else 'png'}"
    counts = ("like", "laugh", "heart", "cry", "comment", "dislike")
    stats = {f"{each}CountAllTime": picture.stats.get(f"{each}Count", 0) for each in counts}
    return {
        "id": picture.id,
        "name": picture.more.get("name", name),
        "url": picture.uuid,
        "height": picture.height,
        "width": picture.width,
        "index": 0,
        "hash": picture.blurhash,
        "hideMeta": picture.hide_meta,
        "createdAt": picture.created_at,
        "mimeType": "video/mp4" if picture.type == "video" else "image/png",
        "scannedAt": picture.created_at,
        "needsReview": None,
        "postId": picture.post_id,
        "ingestion": "Scanned",
        "blockedFor": None,
        "type": picture.type,
        "metadata": {"width": picture.width, "height": picture.height, "hash": picture.blurhash},
        "nsfwLevel": picture.bits,
        "minor": False,
        "poi": False,
        "acceptableMinor": False,
        "hasMeta": picture.meta is not None,
        "hasPositivePrompt": bool((picture.meta or {}).get("prompt")),
        "onSite": bool((picture.meta or {}).get("civitaiResources")),
        "remixOfId": None,
        "profilePictureId": None,
        "availability": "Public",
        "publishedAt": picture.created_at,
        "model3dId": None,
        "cosmetic": None,
        "user": {
            "id": picture.more.get("userId", 1),
            "username": picture.username,
            "image": None,
            "deletedAt": None,
            "cosmetics": [],
            "profilePicture": None,
        },
        "stats": stats
        | {"collectedCountAllTime": 0, "tippedAmountCountAllTime": 0, "viewCountAllTime": 0},
        "reactions": [],
    }
