"""Tools as plain functions, and the form their answers and refusals take in MCP."""

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_type_hints

from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from civit_mcp.errors import BadReference, CivitError, NotConfigured

logger = logging.getLogger(__name__)

Toolset = Literal["core", "catalog", "workflow", "browse", "files", "account"]
TOOLSETS: Final[tuple[Toolset, ...]] = (
    "core", "catalog", "workflow", "browse", "files", "account",
)  # fmt: skip
DEFAULT_TOOLSETS: Final[frozenset[Toolset]] = frozenset({"core", "catalog", "workflow"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One row of the tool table."""

    run: Callable[..., Awaitable[BaseModel]]
    title: str
    toolset: Toolset
    #: writes the catalog or the user's account
    writes: bool = False
    destructive: bool = False
    idempotent: bool = True
    #: talks to CivitAI
    open_world: bool = True
    #: its answer rests on CivitAI's answers and the catalog alone, so it may be given again
    #: while those are what they were
    replayable: bool = False

    @property
    def name(self) -> str:
        return self.run.__name__

    def answer_schema(self) -> dict[str, Any] | None:
        """JSON schema of the answer; None when it is no model."""
        answer = get_type_hints(self.run).get("return")
        if not (isinstance(answer, type) and issubclass(answer, BaseModel)):
            return None
        return answer.model_json_schema()

    def annotations(self) -> ToolAnnotations:
        """The hints a host shows before it calls; each is stated, none is left to default."""
        return ToolAnnotations(
            title=self.title,
            read_only_hint=not self.writes,
            destructive_hint=self.destructive,
            idempotent_hint=self.idempotent,
            open_world_hint=self.open_world,
        )


def chosen_toolsets(words: Sequence[str]) -> frozenset[Toolset]:
    """Read the toolsets setting.

    Raises:
        NotConfigured: a word is no set.
    """
    chosen: set[Toolset] = set()
    for word in words:
        if word == "all":
            chosen.update(TOOLSETS)
        elif word == "default":
            chosen.update(DEFAULT_TOOLSETS)
        else:
            known = [name for name in TOOLSETS if name == word]
            if not known:
                raise NotConfigured(
                    f"'{word}' is no tool set",
                    f"set CIVIT_MCP_TOOLSETS to default, all, or some of {', '.join(TOOLSETS)}",
                )
            chosen.update(known)
    return frozenset(chosen) or DEFAULT_TOOLSETS


def as_mcp(tool: Tool) -> Callable[..., Awaitable[CallToolResult]]:
    """Wrap a tool so that it returns the result form: lean JSON, once as text and once as data."""
    hints = get_type_hints(tool.run, include_extras=True)

    @functools.wraps(tool.run)
    async def call(**arguments: Any) -> CallToolResult:
        # the client is loaded by the first call, so that the server is up sooner
        from civit_mcp.civitai import answers_observed

        with answers_observed() as seen:
            answer = await tool.run(**arguments)
        return result_of(with_note(answer, seen.note()))

    call.__annotations__ = {**hints, "return": CallToolResult}
    signature = inspect.signature(tool.run)
    parameters = [p.replace(annotation=hints[p.name]) for p in signature.parameters.values()]
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=CallToolResult
    )
    return call


def with_note(answer: BaseModel, note: str | None) -> BaseModel:
    """Add to the notes of an answer that has them; None adds nothing."""
    notes = getattr(answer, "notes", None)
    if note is None or not isinstance(notes, list):
        return answer
    return answer.model_copy(update={"notes": [*notes, note]})


def result_of(answer: BaseModel) -> CallToolResult:
    """Form the result: hosts show the model either the text or the data, so both are whole."""
    data = answer.model_dump(mode="json")
    return CallToolResult(
        content=[TextContent(type="text", text=to_json(data).decode())], structured_content=data
    )


def refusal(error: CivitError) -> CallToolResult:
    """Form the result that says what happened and what to do."""
    logger.info("refused: %s", error.code)
    return CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True)


def bad_arguments(name: str, error: ValidationError) -> BadReference:
    """Word a failed validation without the values' repr and the validator's web address."""
    parts = []
    for problem in error.errors(include_url=False, include_input=False)[:4]:
        where = (
            ".".join(str(part) for part in problem["loc"] if not _is_branch(part)) or "arguments"
        )
        text = f"'{where}': {problem['msg'][0].lower()}{problem['msg'][1:]}"
        if text not in parts:
            parts.append(text)
    return BadReference(f"{name} cannot use these arguments: {'; '.join(parts)}")


def _is_branch(part: int | str) -> bool:
    """Pydantic adds the union member it tried to the path; a reader has no use for it."""
    return part in ("int", "str", "list[int]", "list[str]") or (
        isinstance(part, str) and ("[" in part or "-" in part)
    )


def one_paragraph(function: Callable[..., Any]) -> str:
    """The docstring as one line: what a model reads of a tool."""
    return " ".join((inspect.getdoc(function) or "").split())
