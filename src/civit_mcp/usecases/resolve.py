"""From any spelling of a thing to CivitAI's id of it."""

from dataclasses import replace

from civit_mcp.civitai import ImageQuery
from civit_mcp.errors import BadReference, NotFound
from civit_mcp.models.records import VersionRecord
from civit_mcp.references import Reference, parse_reference
from civit_mcp.usecases.desk import Desk

RefArgument = int | str


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


async def version_with_parent(desk: Desk, version_id: int) -> VersionRecord:
    """Read a version; what its answer lacks of the model comes from the model's own.

    Raises:
        NotFound: CivitAI does not have the version.
    """
    version = await desk.client.version(version_id)
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
        f"'{ref.text}' is {ref.describe()}, which does not tell an image id",
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
    """A file name identifies only what the user's own catalog has under it."""
    name = ref.name or ref.text
    entries = (await desk.snapshot()).by_stem(name)
    ids = {entry.version_id for entry in entries if entry.version_id is not None}
    if len(ids) == 1:
        only = ids.pop()
        if only.isdecimal():
            return int(only)
    raise BadReference(
        f"'{ref.text}' is only a name, and names do not identify a version",
        f"call search_models with query '{name}' and pass the version_id of the right row",
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
