"""Fixtures that ask: of an older client in the middle of the call, of a newer one by rounds."""

from typing import Annotated, Any, Final, Literal

from mcp.server.mcpserver import Context, Elicit, Resolve, Sample
from mcp.shared.message import ServerMessageMetadata
from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel


class Person(BaseModel):
    """What the client's user is asked for."""

    username: str
    email: str


class WithDefaults(BaseModel):
    """The suite's own defaults, one of each kind."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


def _words(*names: str) -> list[dict[str, str]]:
    return [{"const": name, "title": f"The {name}"} for name in names]


#: a choice in each of the five forms there are
CHOICES: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2"]},
        "titledSingle": {"type": "string", "oneOf": _words("value1", "value2")},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2"],
            "enumNames": ["The first", "The second"],
        },
        "untitledMulti": {
            "type": "array",
            "items": {"type": "string", "enum": ["option1", "option2"]},
        },
        "titledMulti": {"type": "array", "items": {"anyOf": _words("value1", "value2")}},
    },
}


def _sampling(text: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[message], max_tokens=100)
    )


def _question(message: str, name: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _answer(ctx: Context[Any], key: str) -> Any:
    """What the client sent for one of our questions; None before it did."""
    return (ctx.input_responses or {}).get(key)


async def test_sampling(prompt: str, ctx: Context[Any]) -> str:
    """Have the client's model say something, in the middle of the call."""
    said = await ctx.session.send_request(
        _sampling(prompt),
        CreateMessageResult,
        metadata=ServerMessageMetadata(related_request_id=ctx.request_id),
    )
    return f"The model said: {said.content}"


async def test_elicitation(message: str, ctx: Context[Any]) -> str:
    """Ask the client's user, in the middle of the call."""
    return f"The user said: {await ctx.elicit(message, Person)}"


async def test_elicitation_sep1034_defaults(ctx: Context[Any]) -> str:
    """Ask with something filled in already."""
    return f"The user said: {await ctx.elicit('Is this right?', WithDefaults)}"


async def test_elicitation_sep1330_enums(ctx: Context[Any]) -> str:
    """Ask for choices."""
    said = await ctx.session.elicit_form("Which?", CHOICES, related_request_id=ctx.request_id)
    return f"The user said: {said}"


def _who() -> Elicit[Person]:
    return Elicit("Who are you?", Person)


def _capital() -> Sample:
    message = SamplingMessage(role="user", content=TextContent(type="text", text="A capital?"))
    return Sample([message], max_tokens=10)


async def test_streaming_elicitation(who: Annotated[Person, Resolve(_who)]) -> str:
    """Ask before the call; the same question serves clients of both eras."""
    return f"Hello, {who.username}"


async def test_missing_capability(
    capital: Annotated[CreateMessageResult, Resolve(_capital)],
) -> str:
    """Need a client that can sample."""
    return str(capital.content)


async def test_input_required_result_elicitation(ctx: Context[Any]) -> str | InputRequiredResult:
    """Ask the user for a name."""
    said = _answer(ctx, "user_name")
    if not isinstance(said, ElicitResult):
        return InputRequiredResult(
            input_requests={"user_name": _question("What is your name?", "name")}
        )
    return f"Hello, {(said.content or {}).get('name')}"


async def test_input_required_result_sampling(ctx: Context[Any]) -> str | InputRequiredResult:
    """Ask the model for a capital."""
    said = _answer(ctx, "capital_question")
    if not isinstance(said, CreateMessageResult):
        return InputRequiredResult(
            input_requests={"capital_question": _sampling("What is the capital of France?")}
        )
    return str(said.content)


async def test_input_required_result_list_roots(ctx: Context[Any]) -> str | InputRequiredResult:
    """Ask the client for its folders."""
    said = _answer(ctx, "client_roots")
    if not isinstance(said, ListRootsResult):
        return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})
    return ", ".join(str(root.uri) for root in said.roots)


def _confirmed(ctx: Context[Any]) -> str | InputRequiredResult:
    if not isinstance(_answer(ctx, "confirm"), ElicitResult):
        return InputRequiredResult(
            input_requests={"confirm": _question("Go on?", "ok", "boolean")},
            request_state="asked",
        )
    return "state-ok" if ctx.request_state == "asked" else "the state was lost"


async def test_input_required_result_request_state(
    ctx: Context[Any],
) -> str | InputRequiredResult:
    """Ask, and have the client keep our state meanwhile."""
    return _confirmed(ctx)


async def test_input_required_result_tampered_state(
    ctx: Context[Any],
) -> str | InputRequiredResult:
    """Ask, and find out whether the state came back as it went."""
    return _confirmed(ctx)


async def test_input_required_result_multiple_inputs(
    ctx: Context[Any],
) -> str | InputRequiredResult:
    """Ask three things at once."""
    questions: dict[str, ElicitRequest | CreateMessageRequest | ListRootsRequest] = {
        "user_name": _question("What is your name?", "name"),
        "greeting": _sampling("Say hello"),
        "client_roots": ListRootsRequest(),
    }
    if not questions.keys() <= (ctx.input_responses or {}).keys():
        return InputRequiredResult(input_requests=questions, request_state="asked")
    return "all three were answered"


async def test_input_required_result_multi_round(
    ctx: Context[Any],
) -> str | InputRequiredResult:
    """Ask one thing after the other."""
    if isinstance(_answer(ctx, "step2"), ElicitResult) and ctx.request_state == "second":
        return "both were answered"
    if isinstance(_answer(ctx, "step1"), ElicitResult) and ctx.request_state == "first":
        return InputRequiredResult(
            input_requests={"step2": _question("Which colour?", "color")}, request_state="second"
        )
    return InputRequiredResult(
        input_requests={"step1": _question("What is your name?", "name")}, request_state="first"
    )


async def test_input_required_result_capabilities(
    ctx: Context[Any],
) -> str | InputRequiredResult:
    """Ask only what the client says it can answer."""
    declared = ctx.client_capabilities
    questions: dict[str, ElicitRequest | CreateMessageRequest | ListRootsRequest] = {}
    if declared is not None and declared.elicitation is not None:
        questions["user_name"] = _question("What is your name?", "name")
    if declared is not None and declared.sampling is not None:
        questions["greeting"] = _sampling("Say hello")
    return InputRequiredResult(input_requests=questions) if questions else "nothing to ask"


async def test_input_required_result_prompt(ctx: Context[Any]) -> str | InputRequiredResult:
    """A prompt that asks what it is for."""
    said = _answer(ctx, "user_context")
    if not isinstance(said, ElicitResult):
        return InputRequiredResult(
            input_requests={"user_context": _question("What is it for?", "context")}
        )
    return f"A prompt for: {(said.content or {}).get('context')}"


TOOLS: Final = (
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    test_streaming_elicitation,
    test_missing_capability,
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_tampered_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
)
PROMPTS: Final = (test_input_required_result_prompt,)
