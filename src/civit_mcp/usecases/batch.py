"""Several references in one call: one that fails is reported and hides no other."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
from pydantic import BaseModel

from civit_mcp.errors import CivitError, TooLarge
from civit_mcp.models.facts import Failure
from civit_mcp.references.reference import shown
from civit_mcp.usecases.bounds import MOST_BYTES, size_of, take_within
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
    full = TooLarge("this answer is full", "ask for it by itself")
    instead = [
        failure(ref, result if isinstance(result, CivitError) else full)
        for ref, result in zip(asked, results, strict=True)
    ]
    items: list[R] = []
    failed: list[Failure] = []
    # a row takes the place of the failure that it would be
    spent = sum(size_of(each_failure) for each_failure in instead)
    for each_failure, result in zip(instead, results, strict=True):
        room = budget - spent + size_of(each_failure)
        if isinstance(result, CivitError) or (items and size_of(result) > room):
            failed.append(each_failure)
        else:
            items.append(result)
            spent += size_of(result) - size_of(each_failure)
    return items, failed


def one_page(
    asked: Sequence[RefArgument], results: Sequence[R | CivitError]
) -> tuple[list[R], list[Failure], int]:
    """Part rows from failures, as many from the front as an answer has room for; how many."""
    outcomes: list[R | Failure] = [
        failure(ref, result) if isinstance(result, CivitError) else result
        for ref, result in zip(asked, results, strict=True)
    ]
    taken = take_within(outcomes)
    failed = [outcome for outcome in taken if isinstance(outcome, Failure)]
    rows = [outcome for outcome in taken if not isinstance(outcome, Failure)]
    return rows, failed, len(taken)


def not_too_many(count: int, most: int) -> None:
    """Refuse a batch that is too large.

    Raises:
        TooLarge: more than `most`.
    """
    if count > most:
        raise TooLarge(
            f"{count} references in one call, at most {most} are read", f"pass {most} at a time"
        )
