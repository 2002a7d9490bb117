"""CivitAI's endpoints, one method each."""

import json
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, NoReturn, Self, TypeVar

import anyio

from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.envelope import Opened, encode_input, unwrap
from civit_mcp.civitai.faults import error_of_status
from civit_mcp.civitai.jsontext import NotJson
from civit_mcp.civitai.queries import Account, Enums, ImageQuery, ModelQuery
from civit_mcp.civitai.retry import RetryPolicy
from civit_mcp.civitai.seam import Timeouts
from civit_mcp.civitai.transport import Call, Transport
from civit_mcp.civitai.wire.fields import MOST_ID, expect
from civit_mcp.civitai.wire.files import read_hash
from civit_mcp.civitai.wire.generation import generation_from
from civit_mcp.civitai.wire.images import read_image, read_listed_image
from civit_mcp.civitai.wire.listings import (
    account_from,
    enums_from,
    owners_from,
    page_from,
    versions_from,
)
from civit_mcp.civitai.wire.models import model_from, read_model, version_from
from civit_mcp.config import Settings
from civit_mcp.errors import BadReference, NotFound, Unauthorized, UpstreamChanged
from civit_mcp.models.levels import ALL_BITS
from civit_mcp.models.records import (
    GenerationRecord,
    HashOwner,
    ImageRecord,
    Json,
    ModelRecord,
    Page,
    VersionRecord,
)

T = TypeVar("T")
R = TypeVar("R")

_VERSIONS_PER_CALL: Final = 100
_OWNERS_PER_CALL: Final = 10_000
_SHA256_LENGTH: Final = 64
_DEFAULT_TIMEOUTS: Final = Timeouts()
_DEFAULT_RETRY: Final = RetryPolicy()


class CivitaiClient:
    """Reads CivitAI over REST and tRPC.

    Every method raises a `CivitError` and nothing else when it cannot answer. Making a
    client is cheap; connections open with the first question and close with `aclose`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        max_concurrency: int = 16,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        retry: RetryPolicy = _DEFAULT_RETRY,
        clock: Clock | None = None,
    ) -> None:
        """Take base address, credentials and offline switch from `settings`."""
        self._transport = Transport(
            settings,
            max_concurrency=max_concurrency,
            timeouts=timeouts,
            retry=retry,
            clock=clock or Clock(),
        )

    def __repr__(self) -> str:
        return f"CivitaiClient(host={self._transport.host!r}, keyed={self._transport.keyed})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def prepare(self) -> None:
        """Get ready for the first question, which is then answered sooner. Asks nothing."""
        await self._transport.prepare()

    async def aclose(self) -> None:
        """End calls under way and close the connections."""
        await self._transport.aclose()

    # REST

    async def search_models(self, query: ModelQuery) -> Page[ModelRecord]:
        """One page of models. Rows are as CivitAI picked them; it ignores some filters."""
        about = f"models of creator '{query.creator}'" if query.creator else "models"
        call = Call(about=about, path="/api/v1/models", params=query.params())
        return page_from(
            await self._transport.ask(call),
            read_model,
            identity=lambda model: model.id,
            asked_cursor=query.cursor,
            about=about,
        )

    async def model(self, model_id: int) -> ModelRecord:
        """One model with all its versions. `NotFound` also when it is hidden."""
        about = _named("model", model_id)
        call = Call(about=about, path=f"/api/v1/models/{model_id}", keep_absence=True)
        model = model_from(await self._transport.ask(call), about=about)
        _same(model.id, model_id, about)
        return model

    async def version(self, version_id: int) -> VersionRecord:
        """One version with files and AIR. `NotFound` also when it is not published."""
        about = _named("model version", version_id)
        call = Call(about=about, path=f"/api/v1/model-versions/{version_id}", keep_absence=True)
        version = version_from(await self._transport.ask(call), about=about)
        _same(version.id, version_id, about)
        return version

    async def version_by_hash(self, hash_hex: str) -> VersionRecord | None:
        """Find the earliest version that owns a file with this hash, of any type.

        None when CivitAI knows no such hash; that a text is no hash, or the hash of an
        empty file, is known without asking.
        """
        digest = read_hash(hash_hex)
        if digest is None:
            return None
        about = f"file with hash '{digest}'"
        path = f"/api/v1/model-versions/by-hash/{digest}"
        try:
            payload = await self._transport.ask(Call(about=about, path=path, keep_absence=True))
        except NotFound:
            return None
        return version_from(payload, about=f"the owner of the {about}")

    async def versions_by_sha256(self, hashes: Sequence[str]) -> list[VersionRecord]:
        """Find the versions that own files with these SHA-256 hashes, each version once.

        The order is CivitAI's; which hash led to which version is in the files' hashes.
        What is no SHA-256 is not asked for.
        """
        path = "/api/v1/model-versions/by-hash"
        found = await self._by_sha256(hashes, path, _VERSIONS_PER_CALL, versions_from)
        return list({version.id: version for version in found}.values())

    async def owners_by_sha256(self, hashes: Sequence[str]) -> list[HashOwner]:
        """Find the ids of versions and models behind SHA-256 hashes; several may own one."""
        path = "/api/v1/model-versions/by-hash/ids"
        return await self._by_sha256(hashes, path, _OWNERS_PER_CALL, owners_from)

    async def images(self, query: ImageQuery) -> Page[ImageRecord]:
        """One page of gallery images."""
        call = Call(about="images", path="/api/v1/images", params=query.params())
        page = page_from(
            await self._transport.ask(call),
            read_listed_image,
            identity=lambda image: image.id,
            asked_cursor=query.cursor,
            about="images",
        )
        wanted = {*query.types, None}
        if len(query.types) < 2:
            return page
        kept = tuple(image for image in page.items if image.type in wanted)
        return Page(items=kept, next_cursor=page.next_cursor)

    async def image_from_rest(self, image_id: int) -> ImageRecord | None:
        """Read one image with its stored metadata; None when CivitAI does not show it."""
        _named("image", image_id)
        query = ImageQuery(image_id=image_id, with_meta=True, browsing_level=ALL_BITS, limit=1)
        page = await self.images(query)
        # an unknown id has been seen to give other images
        return next((image for image in page.items if image.id == image_id), None)

    async def enums(self) -> Enums:
        """Read the words that filters take today."""
        call = Call(about="enumerations", path="/api/v1/enums")
        return enums_from(await self._transport.ask(call))

    async def me(self) -> Account | None:
        """Read whose key it is; None when there is none or CivitAI does not accept it.

        The only way to tell: everywhere else a bad key is treated as no key.
        """
        try:
            payload = await self._transport.ask(Call(about="account", path="/api/v1/me"))
        except Unauthorized:
            return None
        return account_from(payload)

    # tRPC

    async def image(self, image_id: int) -> ImageRecord:
        """Read one image as the site shows it, without its generation data."""
        about = _named("image", image_id)
        opened = await self._procedure("image.get", {"id": image_id}, about)
        image = read_image(expect(opened.value, about=about))
        if image.id is None:
            raise UpstreamChanged(f"CivitAI answered an object without an id for {about}")
        _same(image.id, image_id, about)
        return image

    async def generation_data(self, image_id: int) -> GenerationRecord:
        """Read how an image was made. Hidden metadata is an answer, not an error."""
        about = f"generation data of {_named('image', image_id)}"
        opened = await self._procedure("image.getGenerationData", {"id": image_id}, about)
        return generation_from(opened.value, raw=opened.raw, about=about)

    async def trpc_version(self, version_id: int, *, with_files: bool = False) -> VersionRecord:
        """Read one version whatever its status, also drafts and deleted ones."""
        about = _named("model version", version_id)
        asked: Json = {"id": version_id}
        if with_files:
            asked["withFiles"] = True
        opened = await self._procedure("modelVersion.getById", asked, about)
        version = version_from(opened.value, about=about)
        _same(version.id, version_id, about)
        return version

    async def _procedure(self, name: str, asked: Json, about: str) -> Opened:
        call = Call(
            about=about,
            path=f"/api/trpc/{name}",
            params=(("input", encode_input(asked)),),
            trpc=True,
            keep_absence=True,
        )
        payload = await self._transport.ask(call)
        try:
            answer = unwrap(payload)
        except NotJson as error:
            raise UpstreamChanged(f"CivitAI answered {error} when asked for {about}") from None
        if not isinstance(answer, Opened):
            raise error_of_status(
                answer.status,
                self._transport.clean(answer.message),
                about=about,
                host=self._transport.host,
                keyed=self._transport.keyed,
            )
        if answer.value is None:
            raise NotFound(f"CivitAI has no {about}")
        return answer

    async def _by_sha256(
        self, hashes: Sequence[str], path: str, most: int, read: Callable[[Any], Sequence[R]]
    ) -> list[R]:
        cleaned = (read_hash(text) for text in hashes)
        unique = dict.fromkeys(h for h in cleaned if h and len(h) == _SHA256_LENGTH)
        digests = list(unique)

        async def ask(chunk: list[str]) -> Sequence[R]:
            body = json.dumps(chunk).encode()
            call = Call(about=f"owners of {len(chunk)} hashes", path=path, body=body)
            return read(await self._transport.ask(call))

        chunks = [digests[start : start + most] for start in range(0, len(digests), most)]
        return [found for part in await _all(ask, chunks) for found in part]


async def _all(ask: Callable[[list[str]], Awaitable[T]], chunks: list[list[str]]) -> list[T]:
    """Ask for all chunks at once; the first failure ends the others and is raised alone."""
    results: dict[int, T] = {}

    async def one(index: int) -> None:
        results[index] = await ask(chunks[index])

    try:
        async with anyio.create_task_group() as group:
            for index in range(len(chunks)):
                group.start_soon(one, index)
    except ExceptionGroup as failures:
        _raise_first(failures)
    return [results[index] for index in range(len(chunks))]


def _raise_first(failures: ExceptionGroup[Exception]) -> NoReturn:
    first: Exception = failures
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    raise first from None


def _named(kind: str, identity: int) -> str:
    if isinstance(identity, bool) or not 1 <= identity <= MOST_ID:
        raise BadReference(f"'{identity}' cannot be the id of a {kind}", "give a positive id")
    return f"{kind} '{identity}'"


def _same(found: int, asked: int, about: str) -> None:
    if found != asked:
        raise UpstreamChanged(f"CivitAI answered with id '{found}' when asked for {about}")
