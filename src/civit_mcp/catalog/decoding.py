"""JSON values read out of a text, as quickly as the standard library can."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from json.decoder import JSONDecodeError, JSONDecoder
from typing import Any, Final


def _number(text: str) -> int | float | None:
    """Read an integer; one that is too long to be anything is unknown, its text is kept."""
    return int(text) if len(text) < 400 else None


def _nothing(_name: str) -> None:
    """NaN and the infinities, which JSON does not have, are unknown."""


#: numbers are read by the decoder's own C code, which refuses integers of thousands of digits
_QUICK: Final = JSONDecoder(parse_constant=_nothing)
_PATIENT: Final = JSONDecoder(parse_int=_number, parse_constant=_nothing)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the collector from scanning a million new objects again and again, none of them waste.

    It is off for the whole process while one file is read; threads that read at the same time
    find it off and leave it so.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def decode(text: str, start: int) -> tuple[Any, int]:
    """Read the value at `start`; it and where it ends. Raises JSONDecodeError."""
    try:
        return _QUICK.raw_decode(text, start)
    except JSONDecodeError:
        raise
    except ValueError:  # an integer too long for Python's own limit
        return _PATIENT.raw_decode(text, start)
