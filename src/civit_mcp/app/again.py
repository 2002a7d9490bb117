"""Answers given again in the very form in which they went over the wire.

What a replayable tool answered is kept together with what it rests on. Asked the same again, it
is given again for as long as all of that is as it was: quicker than working it out, checking it
against its schema and writing it out anew, and just as true.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp_types.methods import validate_client_request
from pydantic import ValidationError

from civit_mcp.app.clients import can_ask
from civit_mcp.app.state import App
from civit_mcp.errors import CivitError
from civit_mcp.grounds import Grounds, grounds_collected
from civit_mcp.live import connection_of

#: a question that carries an answer already need not be remembered
_LONGEST_QUESTION: Final = 4000
#: A kept answer is its text, the same once more as a tree of objects, and the checks it rests on.
#: These were fitted to what tracemalloc counts: a page of 50 entries with 10,804 letters and 52
#: checks holds 95 kB, a model with 759 and two 8 kB. Answers of every kind hold between a half
#: and all of what they are charged here.
_BYTES_OF_ANY: Final = 3_000
_BYTES_A_LETTER: Final = 10
_BYTES_A_CHECK: Final = 600


class GivenAgain:
    """Middleware of the MCP server, inside whatever counts calls or knows the caller."""

    def __init__(self, app: App, may_give_again: Callable[[str], bool]) -> None:
        """Take what holds the answers, and whether a tool's may be given to who is calling."""
        self._app = app
        self._may_give_again = may_give_again

    async def __call__(
        self,
        ctx: ServerRequestContext[Any, Any],
        call_next: Callable[[Any], Awaitable[Any]],
    ) -> Any:
        """Answer as before, or have the question answered."""
        question = self._question(ctx)
        if question is None:
            return await call_next(ctx)
        with ExitStack() as stack:
            try:
                stack.enter_context(self._app.serving(ctx.request))
                kept = self._app.desk_now().answered
            except CivitError:
                # whoever answers refuses, in the form that refusals have
                return await call_next(ctx)
            answer = await kept.again(question)
            if answer is not None:
                return answer
            with grounds_collected() as grounds:
                answer = await call_next(ctx)
            if _is_an_answer(answer):
                size = _size_of(question, answer, grounds)
                kept.keep(question, answer, size=size, grounds=grounds)
            return answer

    def _question(self, ctx: ServerRequestContext[Any, Any]) -> str | None:
        """What is asked, told apart from all that would be answered otherwise; None: ask on."""
        params = ctx.params
        if ctx.method != "tools/call" or params is None:
            return None
        name = params.get("name")
        if not isinstance(name, str) or not self._may_give_again(name):
            return None
        try:
            # before it the SDK refuses every call, and what is malformed it refuses always
            greeted = connection_of(ctx.session).initialize_accepted
            validate_client_request(ctx.method, ctx.protocol_version, params)
            question = repr(
                (ctx.protocol_version, can_ask(ctx.session), name, params.get("arguments"))
            )
        except (KeyError, ValidationError, RecursionError):
            return None
        return question if greeted and len(question) <= _LONGEST_QUESTION else None


def _is_an_answer(answer: Mapping[str, Any]) -> bool:
    """Not a refusal, and no question to the client either."""
    return not answer.get("isError") and answer.get("resultType", "complete") == "complete"


def _size_of(question: str, answer: Mapping[str, Any], grounds: Grounds) -> int:
    """About how many bytes of memory are held while the answer is kept."""
    letters = sum(len(part.get("text", "")) for part in answer["content"])
    answered = letters * _BYTES_A_LETTER + grounds.checks * _BYTES_A_CHECK
    return sys.getsizeof(question) + _BYTES_OF_ANY + answered
