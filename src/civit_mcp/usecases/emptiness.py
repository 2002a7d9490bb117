"""Why a search found nothing, with one call that may find something.

Five kinds of nothing are told apart: hidden by level, filtered away, gone upstream, look-up
failed (an error, not an answer), and truly none.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from civit_mcp.models.levels import ALL_BITS, LEVELS, Level
from civit_mcp.usecases.filters import ModelSearch, similar_base_model

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Looked(Generic[A]):
    """What a listing came to."""

    answer: A
    #: when it is empty for its level alone: the levels at which it would not be, lowest first
    levels: tuple[Level, ...] = ()
    #: rows of this page that only the level left out
    hidden: int = 0


@dataclass(slots=True)
class Hidden:
    """What was left out, and for which reason."""

    reasons: Counter[str] = field(default_factory=Counter)
    #: the lowest level that would show something more
    lowest: Level | None = None

    def add(self, reason: str, bits: int | None = None) -> None:
        """Count one row; `bits` is its rating when the level hid it."""
        self.reasons[reason] += 1
        known = (bits or 0) & ALL_BITS
        if reason == "level" and known:
            level = LEVELS[(known & -known).bit_length() - 1]
            self.lowest = min(level, self.lowest or level, key=LEVELS.index)

    def looked(self, answer: A, rows: Sequence[object], cap: Level | None) -> Looked[A]:
        """Tell with an answer at which levels, within the operator's cap, it had rows."""
        if rows or self.lowest is None:
            return Looked(answer)
        highest = LEVELS.index(cap or LEVELS[-1])
        levels = LEVELS[LEVELS.index(self.lowest) : highest + 1]
        return Looked(answer, levels, self.reasons["level"])


def as_call(tool: str, arguments: dict[str, Any]) -> str:
    """Write a call down as a reader can repeat it."""
    spelled = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items()
    )
    return f"{tool}({spelled})"


def worth_saying(applied: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a call has to name, because they are not what is usual."""
    return {
        name: value
        for name, value in applied.items()
        if value != usual.get(name)
        and not (isinstance(usual.get(name), tuple) and value in usual[name])
    }


def level_hint(hidden: Hidden, cap: Level | None, tool: str, asked: dict[str, Any]) -> str:
    """Say how to see what the level hid."""
    if hidden.lowest is None:
        return "Nobody has rated them; open them on civitai.com"
    if cap is not None and LEVELS.index(hidden.lowest) > LEVELS.index(cap):
        return f"This server answers up to '{cap}'; ask the operator to raise CIVIT_MCP_MAX_LEVEL"
    return f"Next, if that is wanted: {as_call(tool, {**asked, 'max_level': hidden.lowest})}"


#: a text query is sorted by relevance, which is no value of the argument
_USUAL_SORTS: Final = ("Highest Rated", "relevance")
_LEFT_OUT: Final = {
    "tag": ("lack the tag; CivitAI ignores one that it does not know", "tag"),
    "base_model": ("have no version for that base model", "base_models"),
    "type": ("are of another type", "types"),
    "creator": ("are by someone else", "creator"),
    "licence": ("do not allow selling images made with them", "commercial_ok"),
}


def why_no_models(search: ModelSearch, hidden: Hidden, cap: Level | None, *, more: bool) -> str:
    """Explain an empty list of models in two sentences."""
    asked = worth_saying(search.applied(), {**ModelSearch().applied(), "sort": _USUAL_SORTS})
    count = hidden.reasons.total()
    if hidden.reasons["level"]:
        several = hidden.reasons["level"]
        hint = level_hint(hidden, cap, "search_models", asked)
        return f"{several} that fit are hidden by level '{search.max_level}'. {hint}"
    unknown = next(
        ((name, close) for name in search.base_models if (close := similar_base_model(name))), None
    )
    if unknown is not None:
        name, close = unknown
        call = as_call("search_models", {**asked, "base_models": [close]})
        return f"'{name}' is no base model that CivitAI is known to have. Next: {call}"
    if count:
        reason, most = hidden.reasons.most_common(1)[0]
        words, argument = _LEFT_OUT[reason]
        start = f"{most} of {count} rows {words}"
        if more:
            return f"{start}. Next: the same call with next_cursor looks further"
        if reason == "tag" and not search.query:
            return f"{start}. Next: {_words_for_tag(search, asked)}"
        return f"{start}. Next: {_without(asked, argument)}"
    if more:
        return "CivitAI sent empty pages. Next: the same call with next_cursor looks further"
    if asked.get("period", "AllTime") != "AllTime":
        call = as_call("search_models", {**asked, "period": "AllTime"})
        return f"Nothing fits in period '{search.period}'. Next: {call}"
    return _truly_none(search, asked)


def _truly_none(search: ModelSearch, asked: dict[str, Any]) -> str:
    narrowing = ("tag", "commercial_ok", "creator", "base_models", "types")
    used = [name for name in narrowing if name in asked]
    if used and (len(used) > 1 or search.query):
        return f"CivitAI has nothing for these together. Next: {_without(asked, used[0])}"
    if search.query:
        words = search.query.split()
        shorter = {**asked, "query": max(words, key=len) if len(words) > 1 else words[0][:-1]}
        if shorter["query"]:
            return f"CivitAI has nothing for this. Next: {as_call('search_models', shorter)}"
    if search.tag:
        return f"No model has that tag. Next: {_words_for_tag(search, asked)}"
    if used:
        return f"CivitAI has nothing for this. Next: {_without(asked, used[0])}"
    return "CivitAI sent an empty list. Next: the same call in a minute"


def _words_for_tag(search: ModelSearch, asked: dict[str, Any]) -> str:
    rest = {key: value for key, value in asked.items() if key != "tag"}
    return as_call("search_models", {"query": search.tag, **rest})


def _without(asked: dict[str, Any], argument: str) -> str:
    rest = {key: value for key, value in asked.items() if key != argument}
    return as_call("search_models", rest)
