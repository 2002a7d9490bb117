"""Models and versions: by search, id, hash, and as the generator knows them."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from civit_mcp.civitai.endpoints.asking import (
    Endpoints,
    ask_all,
    chunked,
    named,
    same,
    unique_ids,
)
from civit_mcp.civitai.queries import Enums, ModelQuery, Params
from civit_mcp.civitai.seam import Call
from civit_mcp.civitai.wire.files import read_hash
from civit_mcp.civitai.wire.listings import enums_from, owners_from, page_from, versions_from
from civit_mcp.civitai.wire.models import model_from, read_model, version_from
from civit_mcp.civitai.wire.short import mini_from, resource_facts_from
from civit_mcp.errors import BadReference, NotFound, UpstreamChanged
from civit_mcp.models.records import (
    HashOwner,
    Json,
    MiniRecord,
    ModelRecord,
    Page,
    ResourceFacts,
    VersionRecord,
)
from civit_mcp.models.weights import SHA256_LENGTH

R = TypeVar("R")

_VERSIONS_PER_CALL: Final = 100
_OWNERS_PER_CALL: Final = 10_000
_RESOURCES_PER_CALL: Final = 100


class ModelEndpoints(Endpoints):
    """REST models, model-versions and enums; tRPC modelVersion.getById and the generator's."""

    async def search_models(self, query: ModelQuery) -> Page[ModelRecord]:
        """One page of `GET models`. Rows are as CivitAI picked them; it ignores some filters.

        Auth: none. Errors: `NotFound` for an unknown creator, `BadReference` for a filter or
        cursor that CivitAI refuses.
        """
        about = f"models of creator '{query.creator}'" if query.creator else "models"
        return page_from(
            await self._get(about, "models", query.params()),
            read_model,
            identity=lambda model: model.id,
            asked_cursor=query.cursor,
            about=about,
        )

    async def model(self, model_id: int) -> ModelRecord:
        """One model with all its versions, from `GET models/:id`.

        Auth: none. Errors: `BadReference` for an impossible id; `NotFound` also when the model
        is hidden.
        """
        about = named("model", model_id)
        model = model_from(await self._find(about, f"models/{model_id}"), about=about)
        same(model.id, model_id, about)
        return model

    async def version(self, version_id: int) -> VersionRecord:
        """One version with files and AIR, from `GET model-versions/:id`.

        Auth: none. Errors: `BadReference` for an impossible id; `NotFound` also when the
        version is not published.
        """
        about = named("model version", version_id)
        version = version_from(await self._find(about, f"model-versions/{version_id}"), about=about)
        same(version.id, version_id, about)
        return version

    async def mini_version(self, version_id: int, *, file_id: int | None = None) -> MiniRecord:
        """The short form of a version, from `GET model-versions/mini/:id`.

        It describes the primary file, or exactly the file named. Auth: none. Errors:
        `BadReference` for an impossible id; `NotFound` when the version is not published, has
        no public file, or has no such file.
        """
        about = named("model version", version_id)
        params: Params = ()
        if file_id is not None:
            about = f"{named('file', file_id)} of {about}"
            params = (("modelFileId", str(file_id)),)
        payload = await self._find(about, f"model-versions/mini/{version_id}", params)
        record = mini_from(payload, asked=version_id, about=about)
        same(record.version_id, version_id, about)
        return record

    async def version_by_hash(self, hash_hex: str) -> VersionRecord | None:
        """Find the earliest version that owns a file, with `GET model-versions/by-hash/:hash`.

        The hash may be of any type. None when CivitAI knows no such hash; that a text is no
        hash, or the hash of an empty file, is known without asking. Auth: none.
        """
        digest = read_hash(hash_hex)
        if digest is None:
            return None
        about = f"file with hash '{digest}'"
        try:
            payload = await self._find(about, f"model-versions/by-hash/{digest}")
        except NotFound:
            return None
        return version_from(payload, about=f"the owner of the {about}")

    async def versions_by_sha256(self, hashes: Sequence[str]) -> list[VersionRecord]:
        """Find the versions that own files, each once, with `POST model-versions/by-hash`.

        The order is CivitAI's; which hash led to which version is in the files' hashes.
        What is no SHA-256 is not asked for; 100 go into one call. Auth: none.
        """
        path = "/api/v1/model-versions/by-hash"
        found = await self._by_sha256(hashes, path, _VERSIONS_PER_CALL, versions_from)
        return list({version.id: version for version in found}.values())

    async def owners_by_sha256(self, hashes: Sequence[str]) -> list[HashOwner]:
        """Find version and model ids of files with `POST model-versions/by-hash/ids`.

        Several versions may own one file. What is no SHA-256 is not asked for; 10,000 go into
        one call. Auth: none.
        """
        path = "/api/v1/model-versions/by-hash/ids"
        return await self._by_sha256(hashes, path, _OWNERS_PER_CALL, owners_from)

    async def enums(self) -> Enums:
        """Read the words that filters take today, from `GET enums`. Auth: none."""
        return enums_from(await self._get("enumerations", "enums"))

    async def trpc_version(self, version_id: int, *, with_files: bool = False) -> VersionRecord:
        """One version whatever its status, drafts and deleted too: `modelVersion.getById`.

        Auth: none; a key needs the scope to read models. Errors: `BadReference` for an
        impossible id, `NotFound`, `Forbidden` for a key without the scope.
        """
        about = named("model version", version_id)
        asked: Json = {"id": version_id}
        if with_files:
            asked["withFiles"] = True
        opened = await self._procedure("modelVersion.getById", asked, about)
        version = version_from(opened.value, about=about)
        same(version.id, version_id, about)
        return version

    async def resources_by_version_ids(self, ids: Sequence[int]) -> list[ResourceFacts]:
        """What the generator knows of many versions: `generation.getResourceDataByIds`.

        In the order asked for, 100 in one call; a version that it does not know is left out.
        The procedure is internal to the site: whatever looks unfamiliar, a refused input
        included, is `UpstreamChanged`, and a caller should then ask for each version by
        itself. Auth: none. Errors: `BadReference` for an impossible id.
        """
        wanted = unique_ids("model version", ids)

        async def ask(chunk: list[int]) -> Sequence[ResourceFacts]:
            about = f"generator facts about {len(chunk)} model versions"
            try:
                opened = await self._query("generation.getResourceDataByIds", {"ids": chunk}, about)
            except (BadReference, NotFound) as error:
                raise UpstreamChanged(error.what) from None
            return resource_facts_from(opened.value, about=about)

        parts = await ask_all(ask, chunked(wanted, _RESOURCES_PER_CALL))
        found = {facts.version_id: facts for part in parts for facts in part}
        return [found[version_id] for version_id in wanted if version_id in found]

    async def _by_sha256(
        self, hashes: Sequence[str], path: str, most: int, read: Callable[[Any], Sequence[R]]
    ) -> list[R]:
        cleaned = (read_hash(text) for text in hashes)
        unique = dict.fromkeys(h for h in cleaned if h and len(h) == SHA256_LENGTH)

        async def ask(chunk: list[str]) -> Sequence[R]:
            body = json.dumps(chunk).encode()
            call = Call(about=f"owners of {len(chunk)} hashes", path=path, body=body)
            return read(await self._transport.ask(call))

        return [found for part in await ask_all(ask, chunked(list(unique), most)) for found in part]
