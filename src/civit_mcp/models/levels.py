"""Content levels: CivitAI's browsing bits under the names people use.

A model's `nsfwLevel` is the OR of the levels found in it; an image's is one bit
(0 means nobody has rated it yet).
"""

from typing import Final, Literal, get_args

Level = Literal["pg", "pg13", "r", "x", "xxx"]

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
BITS: Final[dict[Level, int]] = {level: 1 << index for index, level in enumerate(LEVELS)}
ALL_BITS: Final = 31
#: what CivitAI's `nsfw: true` says when no bit mask stands beside it: R or above
NSFW_BITS: Final = 28

#: the words that older answers use instead of a bit
LEGACY_WORDS: Final[dict[str, int]] = {"none": 1, "soft": 2, "mature": 4, "x": 8, "blocked": 32}


def mask_up_to(level: Level) -> int:
    """All bits from PG to `level`, as CivitAI's `browsingLevel` wants them."""
    return (BITS[level] << 1) - 1


def label(bits: int | None) -> Level | None:
    """Name the highest level in `bits`; None when unrated or unknown."""
    found = None if not bits else bits & ALL_BITS
    return LEVELS[found.bit_length() - 1] if found else None


def permits(cap: Level | None, bits: int | None) -> bool:
    """Whether something rated `bits` may be shown under `cap`.

    One level in common is enough, as on the site: a model is more than its cover. What
    nobody rated, or what CivitAI blocked, is not shown under a cap, because a cap that
    lets the unknown through is none.
    """
    return cap is None or bool((bits or 0) & mask_up_to(cap))
