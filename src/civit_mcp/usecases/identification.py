"""The one bounded round of look-ups that identifies the parts of an image."""

from typing import Final

import anyio

from civit_mcp.civitai import ModelQuery
from civit_mcp.errors import CivitError, NotFound
from civit_mcp.generation import normalise_name
from civit_mcp.generation.merge import Found, LookUps
from civit_mcp.models.generated import DepKind
from civit_mcp.models.records import ModelRecord, VersionRecord
from civit_mcp.text import one_line
from civit_mcp.usecases.desk import Desk

_SEARCH_TYPES: Final[dict[DepKind, tuple[str, ...]]] = {
    "lora": ("LORA", "LoCon", "DoRA"),
    "lyco": ("LORA", "LoCon", "DoRA"),
    "hypernet": ("Hypernetwork",),
    "embedding": ("TextualInversion",),
    "checkpoint": ("Checkpoint",),
    "vae": ("VAE",),
}


async def look_up(desk: Desk, look_ups: LookUps) -> Found:
    """Ask everything at once; the client bounds how much is on the wire."""
    found = Found()

    async def batch() -> None:
        wanted = set(look_ups.sha256)
        try:
            for version in await desk.client.versions_by_sha256(look_ups.sha256):
                for file in version.files:
                    for value in wanted.intersection(file.hashes.values()):
                        found.by_hash.setdefault(value, version)
        except CivitError as error:
            found.failed.update(dict.fromkeys(look_ups.sha256, error.what))

    async def by_hash(value: str) -> None:
        try:
            found.by_hash[value] = await owner_of(desk, value)
        except CivitError as error:
            found.failed[value] = error.what

    async def by_version(version_id: int) -> None:
        try:
            found.by_version[version_id] = await desk.client.version(version_id)
        except NotFound:
            found.gone.add(version_id)
        except CivitError as error:
            found.failed[str(version_id)] = error.what

    async def by_name(name: str, kind: DepKind) -> None:
        try:
            page = await desk.client.search_models(
                ModelQuery(query=name, types=_SEARCH_TYPES[kind], nsfw=True, limit=10)
            )
        except CivitError as error:
            found.failed[name] = error.what
            return
        candidate = _same_name(name, page.items)
        if candidate is not None:
            found.by_name[name] = candidate

    async with anyio.create_task_group() as group:
        if look_ups.sha256:
            group.start_soon(batch)
        for value in look_ups.short_hashes:
            group.start_soon(by_hash, value)
        for version_id in look_ups.version_ids:
            group.start_soon(by_version, version_id)
        for name, kind in look_ups.names:
            group.start_soon(by_name, name, kind)
    return found


async def owner_of(desk: Desk, value: str) -> VersionRecord | None:
    """Whose hash this is. Twelve digits are AutoV3, but some tools cut SHA256 there."""
    version = await desk.client.version_by_hash(value)
    if version is not None or len(value) != 12:
        return version
    version = await desk.client.version_by_hash(value[:10])
    whole = [file.hashes.get("SHA256", "") for file in version.files] if version else []
    return version if any(sha256.startswith(value) for sha256 in whole) else None


def _same_name(name: str, models: tuple[ModelRecord, ...]) -> VersionRecord | None:
    """The version with a file of exactly this stem; a title alone proves too little."""
    wanted = normalise_name(name)
    for model in models:
        for version in model.versions:
            if any(normalise_name(file.name) == wanted for file in version.files):
                return version
    return None


def look_up_notes(look_ups: LookUps, found: Found) -> list[str]:
    """Say what the round could not tell, and why."""
    notes = []
    if found.gone:
        # look-ups are bounded, and so are those that found nothing
        ids = ", ".join(str(version_id) for version_id in sorted(found.gone))
        notes.append(f"CivitAI no longer has: version {ids}")
    if found.failed:
        what, why = next(iter(found.failed.items()))
        count = len(found.failed)
        notes.append(
            f"{count} look-up{'s' if count > 1 else ''} failed, so what they would identify is "
            f"unknown ('{one_line(what, 60)}': {why}); call again later"
        )
    if look_ups.left_out > 0:
        notes.append(f"{look_ups.left_out} look-ups were left out to stay within bounds")
    return notes
