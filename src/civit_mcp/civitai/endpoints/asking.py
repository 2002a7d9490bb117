"""What every endpoint needs: asking over REST or tRPC, batches, and checks of ids."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NoReturn, TypeVar

import anyio

from civit_mcp.civitai.envelope import Opened, encode_input, unwrap
from civit_mcp.civitai.faults import error_of_status
from civit_mcp.civitai.jsontext import NotJson
from civit_mcp.civitai.queries import Params
from civit_mcp.civitai.seam import Call
from civit_mcp.civitai.transport import Transport
from civit_mcp.errors import BadReference, NotFound, UpstreamChanged
from civit_mcp.models.ids import MAX_ID
from civit_mcp.models.records import Json
from civit_mcp.text import quoted

T = TypeVar("T")
K = TypeVar("K")

#: REST reads page numbers as 32-bit numbers
_MOST_PAGE: Final = MAX_ID
MOST_ROWS: Final = 200


class Endpoints:
    """Base of all groups of endpoints.

    Every method of a group raises a `CivitError` and nothing else when it cannot answer:
    beside those that its docstring names, `RateLimited`, `UpstreamUnavailable`, `Offline`,
    `Forbidden` (region) and `UpstreamChanged` (an answer of no known shape) may come from
    any of them.
    """

    def __init__(self, transport: Transport) -> None:
        """Ask through `transport`, which holds credentials, cache and retries."""
        self._transport = transport

    async def _get(self, about: str, path: str, params: Params = ()) -> Any:
        call = Call(about=about, path=f"/api/v1/{path}", params=params)
        return await self._transport.ask(call)

    async def _find(self, about: str, path: str, params: Params = ()) -> Any:
        """Ask for one thing by its id or hash, where a 404 says that there is none."""
        call = Call(about=about, path=f"/api/v1/{path}", params=params, keep_absence=True)
        return await self._transport.ask(call)

    async def _procedure(self, name: str, asked: Json, about: str) -> Opened:
        """Ask tRPC for something that has to be there: null is `NotFound` too."""
        answer = await self._query(name, asked, about)
        if answer.value is None:
            raise NotFound(f"CivitAI has no {about}")
        return answer

    async def _query(self, name: str, asked: Json, about: str) -> Opened:
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
        if isinstance(answer, Opened):
            return answer
        text = self._transport.clean(answer.message)
        if text.startswith("No procedure found"):
            raise UpstreamChanged(
                f"CivitAI no longer offers the procedure for {about}: {quoted(text)}"
            )
        raise error_of_status(
            answer.status,
            text,
            about=about,
            host=self._transport.host,
            key_name=self._transport.key_name,
        )


def chunked(values: Sequence[K], most: int) -> list[list[K]]:
    """Cut `values` into pieces of at most `most`."""
    return [list(values[start : start + most]) for start in range(0, len(values), most)]


async def ask_all(ask: Callable[[list[K]], Awaitable[T]], chunks: list[list[K]]) -> list[T]:
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


def named(kind: str, identity: int) -> str:
    """Name a thing for errors, once its id is known to be possible. Else `BadReference`."""
    if isinstance(identity, bool) or not 1 <= identity <= MAX_ID:
        raise BadReference(f"'{identity}' cannot be the id of a {kind}", "give a positive id")
    return f"{kind} '{identity}'"


def unique_ids(kind: str, ids: Sequence[int]) -> list[int]:
    """Each id once, in order. `BadReference` for one that is impossible."""
    for identity in ids:
        named(kind, identity)
    return list(dict.fromkeys(ids))


def same(found: int, asked: int, about: str) -> None:
    """Insist that the answer is about the thing asked for. Else `UpstreamChanged`."""
    if found != asked:
        raise UpstreamChanged(f"CivitAI answered with id '{found}' when asked for {about}")


def page_params(limit: int, page: int, **words: str) -> Params:
    """Spell a page by number. A limit outside 1 to 200 is moved inside, a word left out if empty.

    Raises `BadReference` for a page that no listing has.
    """
    if isinstance(page, bool) or not 1 <= page <= _MOST_PAGE:
        raise BadReference(f"there is no page '{page}'", "pages begin with 1")
    return (
        ("limit", str(within(limit))),
        ("page", str(page)),
        *((name, word) for name, word in words.items() if word),
    )


def within(limit: int) -> int:
    """The limit that is really sent."""
    return min(max(limit, 1), MOST_ROWS)
