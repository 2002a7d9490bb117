"""Several references in one call: one that fails is reported and hides no other."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
from pydantic import BaseModel

from civit_mcp.errors import CivitError, TooLarge
from civit_mcp.models.facts import Failure
from civit_mcp.references.reference import shown
from civit_mcp.usecases.bounds import MOST_BYTES, size_of
from civit_mcp.usecases.resolve import RefArgument

A = TypeVar("A")
F = TypeVar("F")
R = TypeVar("R", bound=BaseModel)


async def each(asked: Sequence[A], read: Callable[[A], Awaitable[F]]) -> list[F | CivitError]:
    """Read all at once; the outcome of each in the order asked."""
    results: dict[int, F | CivitError] = {}

    async def run(index: int) -> None:
        try:
            results[index] = await read(asked[index])
        except CivitError as error:
            results[index] = error

    async with anyio.create_task_group() as group:
        for index in range(len(asked)):
            group.start_soon(run, index)
    return [results[index] for index in range(len(asked))]


def failure(ref: RefArgument, error: CivitError) -> Failure:
    """Report one reference; what looks like a secret in it is masked."""
    text = str(ref) if isinstance(ref, str) or abs(ref) < 10**20 else "a huge number"
    return Failure(reference=shown(text, 120), error=str(error))


def sorted_out(
    asked: Sequence[RefArgument], results: Sequence[R | CivitError], budget: int = MOST_BYTES
) -> tuple[list[R], list[Failure]]:
    """Part rows from failures. A row for which the answer has no room becomes a failure too."""
    items: list[R] = []
    failed: list[Failure] = []
    spent = 0
    for ref, result in zip(asked, results, strict=True):
        if isinstance(result, CivitError):
            failed.append(failure(ref, result))
            continue
        spent += size_of(result)
        if items and spent > budget:
            failed.append(failure(ref, TooLarge("this answer is full", "ask for it by itself")))
        else:
            items.append(result)
    return items, failed


def not_too_many(count: int, most: int) -> None:
    """Refuse a batch that is too large.

    Raises:
        TooLarge: more than `most`.
    """
    if count > most:
        raise TooLarge(
            f"{count} references in one call, at most {most} are read", f"pass {most} at a time"
        )
