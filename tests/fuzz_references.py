"""Throw odd texts at the resolver: `python -m tests.fuzz_references --count 100000`.

Texts are made of known spellings, taken apart and put together wrongly. Each must be a sound
reference or a `bad_reference`, and a number that comes out must have gone in. Prints what
does not hold, and exits 1.
"""

import argparse
import html
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from civit_mcp.errors import BadReference
from civit_mcp.references import MAX_ID, Reference, parse_reference
from civit_mcp.text import clean_prose
from tests.test_references import EXPECTS, FIELDS, SPELLINGS, is_plain_line

CORPUS: Final = tuple(dict.fromkeys(text for text, _ in SPELLINGS))
PIECES: Final = (
    "https://", "http://", "//", "civitai.com", "civitai.red", "image.civitai.com", "/models/",
    "/images/", "/posts/", "/collections/", "?modelVersionId=", "&", "#", "@", "+", ".", ":", "/",
    "\\", "urn:air:", "sdxl:lora:", "civitai:", "<lora:", "<lyco:", ">", "0x", "sha256:",
    ".safetensors", "%2F", "%", "%00", "&amp;", "[", "](", ")", '"', "'", ",", ";", "\n", "\t",
    "\u00a0", "\u200b", "\u202e", "\u0660", "\uff11", "\u00b2", "\ud800", "\x00", "\x1b[31m", "e",
    "model ", "version id ", "look at ", "-1", "0", "1e5", "99999999999", "latest", "null", "é",
)  # fmt: skip
#: the longest text that is taken to be one line of a pasted text
_LONGEST: Final = 3_000
_MOST_SHOWN: Final = 20


@dataclass(slots=True)
class Outcome:
    """How a run went."""

    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def texts(rng: random.Random) -> Iterator[str]:
    """Odd texts without end."""
    while True:
        text = rng.choice(CORPUS)
        for _ in range(rng.randrange(5)):
            text = _changed(rng, text)
        yield text[:_LONGEST]


def _changed(rng: random.Random, text: str) -> str:
    start = rng.randrange(len(text) + 1)
    end = min(len(text), start + rng.randrange(12))
    match rng.randrange(9):
        case 0:
            return text[:start] + text[end:]
        case 1:
            return text[:start] + rng.choice(PIECES) + text[start:]
        case 2:
            return text[:start] + rng.choice(PIECES) + text[end:]
        case 3:
            return text[:start] + text[start:end] * rng.randrange(2, 9) + text[end:]
        case 4:
            return text + rng.choice((" ", "", "\n", ", ", "|")) + rng.choice(CORPUS)
        case 5:
            return "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 9)))
        case 6:
            return text[:start] + chr(rng.randrange(0x110000)) + text[start:]
        case 7:
            return text[:start] + str(rng.randrange(10 ** rng.randrange(1, 24))) + text[end:]
        case _:
            return text.swapcase() if rng.random() < 0.5 else text[::-1]


def run(count: int, seed: int) -> Outcome:
    """Try `count` texts; the same seed gives the same ones."""
    rng = random.Random(seed)
    outcome = Outcome()
    source = texts(rng)
    for _ in range(count):
        text, expect = next(source), rng.choice(EXPECTS)
        try:
            found = parse_reference(text, expect)
        except BadReference as refused:
            outcome.kinds["bad_reference"] += 1
            wrong = "" if is_plain_line(str(refused)) else "the refusal is no plain line"
        except Exception as error:  # noqa: BLE001 - any other error is what this looks for
            wrong = f"{type(error).__name__}: {error}"
        else:
            outcome.kinds[found.kind] += 1
            wrong = flaw(found, text)
        if wrong:
            outcome.failures.append(f"{text!a} as {expect}: {wrong}")
    return outcome


def flaw(found: Reference, text: str) -> str:
    """What is wrong with a reference that was read from `text`; empty when nothing is."""
    if not is_plain_line(found.describe()) or not is_plain_line(found.text):
        return "its description is no plain line"
    # what cannot be seen in a pasted text does not part a number
    written = unquote(html.unescape(unquote(clean_prose(text))))
    for name in ("id", *FIELDS[:6]):
        number = getattr(found, name)
        if number is None:
            continue
        if not 1 <= number <= MAX_ID:
            return f"{name} is {number}"
        if str(number) not in text and str(number) not in written:
            return f"{name} {number} is nowhere in the text"
    if found.hash is not None and found.hash not in text.upper() + written.upper():
        return f"hash {found.hash} is nowhere in the text"
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_references", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    started = time.monotonic()
    outcome = run(chosen.count, chosen.seed)
    for line in outcome.failures[:_MOST_SHOWN]:
        print(line)
    kinds = ", ".join(f"{kind} {number}" for kind, number in outcome.kinds.most_common())
    seconds = time.monotonic() - started
    print(f"{chosen.count} texts in {seconds:.1f} s, {len(outcome.failures)} failures; {kinds}")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
