"""Asking the person at the client, where the client can ask and the question is worth it.

A question is a resolver of a tool's keyword-only parameter: the SDK runs it before the tool, in
either era's way. Without a question to ask it resolves to None, or to an answer that is whole
already; so whoever cannot be asked gets what they always got.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, cast

from mcp.server.mcpserver import (
    AcceptedElicitation,
    CancelledElicitation,
    DeclinedElicitation,
    Elicit,
    ElicitationResult,
)
from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema, create_model

from civit_mcp.app import Ctx, can_ask, desk_of
from civit_mcp.app.tool import with_note
from civit_mcp.errors import BadReference
from civit_mcp.grounds import current_grounds
from civit_mcp.models.catalogued import AddAnswer
from civit_mcp.models.levels import LEVELS, Level
from civit_mcp.tools.arguments import Ref, was_said

if TYPE_CHECKING:
    from civit_mcp.usecases.emptiness import Looked
    from civit_mcp.usecases.filters import ModelSearch
    from civit_mcp.usecases.gallery import ImageSearch

S = TypeVar("S", "ModelSearch", "ImageSearch")
A = TypeVar("A", bound=BaseModel)

#: choices have their titles beside them since this revision; before, in a list of their own
_TITLED: Final = "2025-11-25"
_LEVEL_NAMES: Final[Mapping[Level, str]] = {
    "pg": "PG", "pg13": "PG-13", "r": "R", "x": "X", "xxx": "XXX",
}  # fmt: skip


class Picked(BaseModel):
    """What a person picked; nothing, if they sent the form without a choice."""

    choice: str


#: what became of a question; what a resolver gave instead of one is `accept` with that as data
Outcome = ElicitationResult[Any]


@contextmanager
def one_question(ctx: Ctx) -> Iterator[None]:
    """What looks for a question, and what is done with its answer, ask CivitAI once together."""
    if not can_ask(ctx.session):
        yield
        return
    from civit_mcp.civitai import answers_held

    with answers_held():
        yield


def _question(ctx: Ctx, message: str, title: str, options: Mapping[str, str]) -> Elicit[Picked]:
    """Ask for one of the options, given by value and title; the first is offered as the usual."""
    grounds = current_grounds()
    if grounds is not None:
        # a person may choose otherwise the next time
        grounds.give_up()
    words = list(options)
    shape: dict[str, Any] = {"type": "string", "title": title}
    if (ctx.protocol_version or "") >= _TITLED:
        shape["oneOf"] = [{"const": word, "title": text} for word, text in options.items()]
    else:
        shape |= {"enum": words, "enumNames": list(options.values())}

    def known(word: str) -> str:
        if word not in options:
            raise ValueError("not one of the choices")
        return word

    # the default is for the form to show; a form that comes back empty has chosen nothing
    shape["default"] = words[0]
    choice = Annotated[str, AfterValidator(known), WithJsonSchema(shape)]
    nothing = Field(default_factory=str)
    return Elicit(message, create_model("Choice", __base__=Picked, choice=(choice, nothing)))


def _picked(outcome: Outcome) -> str:
    """What was picked; nothing when nobody was asked, or nobody chose."""
    match outcome:
        case AcceptedElicitation(data=Picked() as picked):
            return picked.choice
    return ""


async def which_file(
    ctx: Ctx, version_id: Ref | None, file_id: int | None, version_ids: list[Ref], dry_run: bool
) -> Elicit[Picked] | None:
    """Ask which file of a version is meant, if an add could mean several."""
    if version_id is None or version_ids or file_id is not None or dry_run:
        return None
    if not can_ask(ctx.session):
        return None
    from civit_mcp.usecases.choosing import files_to_choose

    with one_question(ctx):
        found = await files_to_choose(desk_of(ctx), version_id)
    if found is None:
        return None
    options = {str(number): text for number, text in found.files.items()}
    message = f"Version {found.of} has several files. Which one is to be added to the catalog?"
    return _question(ctx, message, "File", options)


def chosen_file(outcome: Outcome, file_id: int | None) -> int | None:
    """The file that was picked; `file_id` when nobody was asked or nobody wanted to choose.

    Raises:
        BadReference: the question was closed.
    """
    match outcome:
        case CancelledElicitation():
            raise BadReference(
                "the version has several files, and the question which one is meant was closed; "
                "nothing was added",
                "when the user names a file, pass its file_id; get_model_version lists them",
            )
    picked = _picked(outcome)
    return int(picked) if picked else file_id


def with_file_note(outcome: Outcome, answer: AddAnswer) -> AddAnswer:
    """Say that nobody chose the file that was added."""
    asked = isinstance(outcome, DeclinedElicitation) or (
        isinstance(outcome, AcceptedElicitation) and isinstance(outcome.data, Picked)
    )
    if answer.status != "added" or not asked or _picked(outcome):
        return answer
    note = "The user chose no file, so this is the one that CivitAI gives without a choice"
    return answer.model_copy(update={"notes": [*answer.notes, note]})


async def level_above_usual(
    ctx: Ctx, max_level: Level, look: Callable[[], Awaitable["Looked[A]"]]
) -> A | Elicit[Picked] | None:
    """Ask up to which level to show, if the usual level is all that makes an answer empty.

    An answer that leaves nothing to ask is given as it is, so that it is looked up once.
    """
    if was_said(max_level) or not can_ask(ctx.session):
        return None
    from civit_mcp.civitai import answers_observed

    with answers_observed() as seen, one_question(ctx):
        found = await look()
    if not found.levels:
        return cast("A", with_note(found.answer, seen.note()))
    options: dict[str, str] = {level: f"up to {_LEVEL_NAMES[level]}" for level in found.levels}
    message = (
        f"Nothing up to level {_LEVEL_NAMES[max_level]} fits, but {found.hidden} of higher levels "
        "would. Show them, and up to which level?"
    )
    return _question(ctx, message, "Level", options)


async def at_level(ctx: Ctx, outcome: Outcome, asked: S, search: Callable[[S], Awaitable[A]]) -> A:
    """Search as asked, or up to the level that was picked."""
    match outcome:
        case AcceptedElicitation(data=Picked() as picked) if picked.choice:
            level = next(level for level in LEVELS if level == picked.choice)
            with one_question(ctx):
                answer = await search(replace(asked, max_level=level))
            note = f"Up to '{level}', as the user chose; pass max_level '{level}' with next_cursor"
            return cast("A", with_note(answer, note))
        case AcceptedElicitation(data=BaseModel() as whole) if not isinstance(whole, Picked):
            return cast("A", whole)
        case AcceptedElicitation(data=None):
            return await search(asked)
    with one_question(ctx):
        return await search(asked)
