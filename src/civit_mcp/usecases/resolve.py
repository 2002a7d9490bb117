"""From any spelling of a thing to CivitAI's id of it."""

from dataclasses import replace
from typing import Final

from civit_mcp.civitai import ImageQuery
from civit_mcp.errors import BadReference, CivitError, Gone, NotFound
from civit_mcp.models.records import VersionRecord
from civit_mcp.references import Reference, parse_reference
from civit_mcp.references.reference import shown
from civit_mcp.text import quoted
from civit_mcp.usecases.desk import Desk

RefArgument = int | str
#: what CivitAI calls a version that was there once
NO_LONGER: Final = frozenset({"Deleted", "Unpublished", "UnpublishedViolation"})


async def version_id_of(desk: Desk, value: RefArgument) -> int:
    """Find the version that a reference leads to; a model leads to its newest.

    Raises:
        BadReference: nobody can tell which version is meant.
        NotFound: CivitAI does not have it.
    """
    ref = parse_reference(value, "version")
    known = ref.version_id or ref.id
    if known is not None:
        return known
    if ref.model_id is not None:
        return (await _default_version(desk, ref.model_id)).id
    if ref.hash is not None:
        return (await _version_by_hash(desk, ref.hash)).id
    return await _version_by_name(desk, ref)


async def published_version(desk: Desk, version_id: int) -> VersionRecord:
    """Read a version that the site shows.

    Raises:
        Gone: it was deleted or unpublished.
        NotFound: CivitAI does not have it, or does not show it.
    """
    try:
        return await desk.client.version(version_id)
    except NotFound as absent:
        raise await _why_absent(desk, version_id, absent) from None


async def _why_absent(desk: Desk, version_id: int, absent: NotFound) -> NotFound:
    """Ask the site's own interface, which answers whatever a version's status is."""
    try:
        version = await desk.client.trpc_version(version_id)
    except CivitError:
        return absent
    thing, status = f"version '{version_id}'", shown(version.status or "", 80) or "unknown"
    if status in NO_LONGER:
        next_step = "look for another version of the model"
        if version.model_id is not None:
            next_step += f": get_model with model_id {version.model_id}"
        return Gone(f"{thing} is no longer on CivitAI: its status is '{status}'", next_step)
    if status == "Published":
        return NotFound(
            f"{thing} exists, but CivitAI does not show it here", "try again in ten minutes"
        )
    return NotFound(f"{thing} is not published: its status is '{status}'", "choose another version")


async def version_with_parent(desk: Desk, version_id: int) -> VersionRecord:
    """Read a version; what its answer lacks of the model comes from the model's own.

    Raises:
        NotFound: CivitAI does not have the version.
    """
    version = await published_version(desk, version_id)
    if (version.model_name and version.model_type) or version.model_id is None:
        return version
    try:
        model = await desk.client.model(version.model_id)
    except NotFound:
        return version
    return replace(
        version,
        model_name=version.model_name or model.name,
        model_type=version.model_type or model.type,
        model_mode=version.model_mode or model.mode,
        level_bits=model.level_bits if version.level_bits is None else version.level_bits,
    )


async def model_id_of(desk: Desk, value: RefArgument) -> int:
    """Find the model that a reference leads to.

    Raises:
        BadReference: nobody can tell which model is meant.
        NotFound: CivitAI does not have it.
    """
    ref = parse_reference(value, "model")
    known = ref.model_id or ref.id
    if known is not None:
        return known
    if ref.version_id is not None:
        version = await desk.client.version(ref.version_id)
    elif ref.hash is not None:
        version = await _version_by_hash(desk, ref.hash)
    else:
        version = await desk.client.version(await _version_by_name(desk, ref))
    if version.model_id is None:
        raise NotFound(f"CivitAI does not say which model version '{version.id}' belongs to")
    return version.model_id


async def post_id_of(desk: Desk, value: RefArgument) -> int:
    """Find the post that a reference leads to; an image leads to its own.

    Raises:
        BadReference: nobody can tell which post is meant.
        NotFound: CivitAI does not have it.
    """
    try:
        ref = parse_reference(value, "post")
    except BadReference:
        image_id = _image_named_by(value)
        if image_id is None:
            raise
        image = await desk.client.image(image_id)
        if image.post_id is None:
            raise NotFound(
                f"image '{image_id}' is in no post", "pass it to get_generation_data"
            ) from None
        return image.post_id
    known = ref.post_id or ref.id
    assert known is not None
    return known


def _image_named_by(value: RefArgument) -> int | None:
    try:
        return parse_reference(value).image_id
    except BadReference:
        return None


def collection_id_of(value: RefArgument) -> int:
    """Read the collection that a reference names.

    Raises:
        BadReference: it names none.
    """
    ref = parse_reference(value, "collection")
    known = ref.collection_id or ref.id
    assert known is not None
    return known


async def level_of(desk: Desk, version: VersionRecord) -> int | None:
    """Browsing bits of a version; those of its model when its own are unknown."""
    if version.level_bits is not None or version.model_id is None:
        return version.level_bits
    try:
        return (await desk.client.model(version.model_id)).level_bits
    except NotFound:
        return None


async def image_id_of(desk: Desk, value: RefArgument) -> int:
    """Find the image that a reference leads to; a post with one image leads to it.

    Raises:
        BadReference: the reference leads to no image, or to several.
    """
    ref = parse_reference(value, "image")
    known = ref.image_id or ref.id
    if known is not None:
        return known
    if ref.post_id is not None:
        return await _only_image_of_post(desk, ref.post_id)
    raise BadReference(
        f"{quoted(ref.text)} is {ref.describe()}, which does not tell an image id",
        "open the image on civitai.com and pass its page address (https://civitai.com/images/ID)",
    )


async def _default_version(desk: Desk, model_id: int) -> VersionRecord:
    model = await desk.client.model(model_id)
    if not model.versions:
        raise NotFound(
            f"model '{model_id}' has no published version", "look for another model by name"
        )
    return model.versions[0]


async def _version_by_hash(desk: Desk, hash_hex: str) -> VersionRecord:
    version = await desk.client.version_by_hash(hash_hex)
    if version is None:
        raise NotFound(
            f"CivitAI knows no file with hash '{hash_hex}'",
            "the file may be private, converted or from elsewhere; search by name instead",
        )
    return version


async def _version_by_name(desk: Desk, ref: Reference) -> int:
    """A file name identifies only what the user's own catalog has under exactly it."""
    name = ref.name or ref.text
    snapshot = await desk.snapshot()
    entries = snapshot.by_file(ref.file_name or name)
    ids = {entry.version_id for entry in entries if entry.version_id is not None}
    if len(ids) == 1:
        only = ids.pop()
        if only.isdecimal():
            return int(only)
    close = [entry for entry in snapshot.by_stem(name) if entry.version_id is not None]
    listed = ", ".join(
        f"{shown(e.version_id or '', 20)} ({quoted(shown(e.file, 80))})" for e in close[:5]
    )
    near = f"; or pass one that the catalog has: {listed}" if listed else ""
    raise BadReference(
        f"{quoted(ref.text)} is only a name, and names do not identify a version",
        f"call search_models with query {quoted(shown(name))} and pass the version_id of the right"
        f" row{near}",
    )


async def _only_image_of_post(desk: Desk, post_id: int) -> int:
    page = await desk.client.images(ImageQuery(post_id=post_id, limit=20, browsing_level=31))
    ids = [image.id for image in page.items if image.id is not None]
    if not ids:
        raise NotFound(f"CivitAI shows no images of post '{post_id}'")
    if len(ids) > 1:
        listed = ", ".join(str(image_id) for image_id in ids)
        raise BadReference(f"post '{post_id}' has several images: {listed}", "pass one of them")
    return ids[0]
