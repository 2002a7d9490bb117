"""Keeping an answer small enough to read, and saying what was cut."""

from collections.abc import Sequence
from typing import Final, TypeVar

from pydantic import BaseModel

from civit_mcp.models.catalogued import AddAnswer, ChangeAnswer, ExchangeAnswer, PromoteAnswer
from civit_mcp.models.generated import GenerationAnswer

#: bytes of JSON; about 5,500 tokens, which leaves room for the notes
MOST_BYTES: Final = 22_000
#: characters that a prompt keeps when the whole does not fit
_PROMPT_PIECE: Final = 4_000
_NEGATIVE_PIECE: Final = 1_500
_MOST_ROWS: Final = 40
#: bytes of notes that a cut answer has
_MOST_NOTES: Final = 3_000
#: bytes of a diff in an answer
MOST_DIFF: Final = 6_000

R = TypeVar("R", bound=BaseModel)
D = TypeVar("D", AddAnswer, ChangeAnswer, ExchangeAnswer, PromoteAnswer)


def size_of(answer: BaseModel) -> int:
    """Bytes of the answer as it is sent."""
    return len(answer.model_dump_json().encode())


def take_within(rows: Sequence[R], budget: int = MOST_BYTES - 2_000) -> list[R]:
    """Take rows from the front until the budget is spent; at least one."""
    taken: list[R] = []
    spent = 0
    for row in rows:
        spent += size_of(row) + 1
        if taken and spent > budget:
            break
        taken.append(row)
    return taken


def texts_within(texts: Sequence[str], budget: int) -> list[str]:
    """Take texts from the front until the budget of bytes is spent."""
    taken: list[str] = []
    for text in texts:
        budget -= len(text.encode()) + 4
        if budget < 0:
            break
        taken.append(text)
    return taken


def with_short_diff(answer: D, rest: str, most: int = MOST_DIFF) -> D:
    """Cut a diff that would fill the reader's context; `rest` says what leads to the others."""
    diff = answer.diff
    if diff is None or len(diff.encode()) <= most:
        return answer
    head = diff.encode()[:most].decode("utf-8", "ignore")
    head = head.rpartition("\n")[0] or head
    more = diff.rstrip("\n").count("\n") - head.count("\n") or 1
    notes = [*answer.notes, f"The diff has {more} lines more: {rest}"]
    return answer.model_copy(update={"diff": head, "notes": notes})


def within_bounds(answer: GenerationAnswer) -> GenerationAnswer:
    """Cut an answer that is too long, step by step, and say where the rest is.

    The raw resource always holds everything, so nothing is lost that way.
    """
    if size_of(answer) <= MOST_BYTES:
        return answer
    cut: dict[str, str] = {}
    notes = texts_within(answer.notes, _MOST_NOTES)
    if len(notes) < len(answer.notes):
        cut["notes"] = f"{len(answer.notes) - len(notes)} of the notes"
        answer = answer.model_copy(update={"notes": notes})
    # the prompts stand in `meta` a second time, with their tags
    meta = {k: v for k, v in answer.meta.items() if k not in ("prompt", "negativePrompt")}
    if meta != answer.meta:
        answer = answer.model_copy(update={"meta": meta})
        cut["meta.prompt"] = "meta.prompt"
    for name, piece in (("clean_prompt", _PROMPT_PIECE), ("negative_prompt", _NEGATIVE_PIECE)):
        text = getattr(answer, name)
        if size_of(answer) > MOST_BYTES and len(text) > piece:
            answer = answer.model_copy(update={name: _piece(text, piece)})
            cut[name] = f"{name} after {piece} characters"
    rows = ("detected_deps", "missing", "resources")
    most = _MOST_ROWS
    while size_of(answer) > MOST_BYTES and most > 1:
        for name in rows:
            listed = getattr(answer, name)
            if len(listed) > most:
                answer = answer.model_copy(update={name: listed[:most]})
                cut[name] = f"{name} after {most} rows"
        most //= 2
    if size_of(answer) > MOST_BYTES:
        answer = answer.model_copy(update={"meta": {}})
        cut["meta.prompt"] = "meta"
    note = f"Cut to stay readable: {'; '.join(cut.values())}. The raw resource has everything"
    return answer.model_copy(update={"notes": [*notes, note]})


def _piece(text: str, limit: int) -> str:
    """The head of a prompt, with as many bytes as the limit has characters."""
    return text[:limit].encode()[: limit * 2].decode("utf-8", "ignore")
