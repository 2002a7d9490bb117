"""The seam between our words and MCP's.

An `App` is what a running server holds. A tool is a plain function of a context and its
arguments that returns an answer model: its signature is the input schema, its docstring the
description, its return type the output schema. `CivitServer` turns answers into results and
errors into refusals, here and nowhere else.
"""

import contextlib
import functools
import gc
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_type_hints

import anyio
import anyio.to_thread
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ResourceNotFoundError,
    ToolError,
    UnexpectedToolError,
)
from mcp.types import INVALID_PARAMS, CallToolResult, TextContent, ToolAnnotations
from mcp.types import Tool as ListedTool
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from civit_mcp.config import Settings
from civit_mcp.errors import BadReference, CivitError, NotConfigured, NotFound, ReadOnly

if TYPE_CHECKING:
    from civit_mcp.usecases.desk import Desk

logger = logging.getLogger(__name__)

Toolset = Literal["core", "catalog", "workflow", "browse", "files", "account"]
TOOLSETS: Final[tuple[Toolset, ...]] = (
    "core", "catalog", "workflow", "browse", "files", "account",
)  # fmt: skip
DEFAULT_TOOLSETS: Final[frozenset[Toolset]] = frozenset({"core", "catalog", "workflow"})
#: resources that a change of the catalog changes
CATALOG_URIS: Final = ("catalog://models.json", "catalog://loras.json", "catalog://summary")


@dataclass
class App:
    """What lives as long as the server, whatever the number of connections.

    The rooms behind the desk (client, catalog, readers) are loaded by the first request that
    needs them, or by `warm_up` once a client has been greeted: a server that is asked
    nothing costs little, and one that is asked something is up sooner.
    """

    settings: Settings
    _users: int = field(default=0, repr=False)

    @functools.cached_property
    def desk(self) -> "Desk":
        """What use cases work with; made once, connects to nothing."""
        from civit_mcp.usecases.desk import Desk

        return Desk.open(self.settings)

    def warm_up(self) -> None:
        """Load every room, in whatever thread calls."""
        from civit_mcp.usecases import generation, lookup, search, shelving

        logger.debug("loaded %s", [m.__name__ for m in (generation, lookup, search, shelving)])
        self.desk  # noqa: B018 - reading it makes it
        # loaded code lives until the end, so the collector need not look at it again
        gc.freeze()

    @contextlib.asynccontextmanager
    async def in_use(self) -> AsyncIterator["App"]:
        """Hold the app open; the last holder to leave closes its connections.

        A legacy SSE server runs its lifespan once per connection, so holders are counted.
        """
        self._users += 1
        try:
            yield self
        finally:
            self._users -= 1
            if self._users == 0 and "desk" in self.__dict__:
                await self.desk.client.aclose()


Ctx = Context[App]


def desk_of(ctx: Ctx) -> "Desk":
    """What use cases work with."""
    return ctx.request_context.lifespan_context.desk


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

    @property
    def name(self) -> str:
        return self.run.__name__

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


class CivitServer(MCPServer[App]):
    """The SDK's server with our result form and our errors."""

    def __init__(self, app: App, **options: Any) -> None:
        """Take the app that every connection shares."""

        @contextlib.asynccontextmanager
        async def lifespan(_: MCPServer[App]) -> AsyncIterator[App]:
            async with app.in_use(), anyio.create_task_group() as group:
                group.start_soon(self._warm_up_after_greeting)
                yield app
                group.cancel_scope.cancel()

        super().__init__(lifespan=lifespan, middleware=[self._notice_greeting], **options)
        self.app = app
        self._greeted = anyio.Event()
        self._offered: dict[str, Tool] = {}
        self._withheld: dict[str, CivitError] = {}
        self._argument_names: dict[str, frozenset[str]] = {}

    async def _notice_greeting(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        result = await call_next(ctx)
        self._greeted.set()
        return result

    async def _warm_up_after_greeting(self) -> None:
        await self._greeted.wait()
        await anyio.to_thread.run_sync(self.app.warm_up)
        await self.app.desk.client.prepare()

    def offer(self, tools: Sequence[Tool]) -> None:
        """Register the tools that the settings allow; remember why others are not there."""
        settings = self.app.settings
        chosen = chosen_toolsets(settings.toolsets)
        for tool in tools:
            if settings.read_only and tool.writes:
                self._withheld[tool.name] = ReadOnly(
                    f"'{tool.name}' writes, and this server runs read-only"
                )
            elif tool.toolset not in chosen:
                self._withheld[tool.name] = NotConfigured(
                    f"'{tool.name}' belongs to the tool set '{tool.toolset}', which is off",
                    f"start civit-mcp with --toolsets default,{tool.toolset}",
                )
            else:
                function = _as_mcp(tool)
                self._offered[tool.name] = tool
                self._argument_names[tool.name] = frozenset(
                    name for name in inspect.signature(function).parameters if name != "ctx"
                )
                self.add_tool(
                    function,
                    name=tool.name,
                    title=tool.title,
                    description=_one_paragraph(tool.run),
                    annotations=tool.annotations(),
                )

    async def list_tools(self) -> list[ListedTool]:
        """List tools with lean schemas: generated titles cost tokens and say nothing."""
        return [
            tool.model_copy(
                update={
                    "input_schema": {
                        **lean_schema(tool.input_schema),
                        "additionalProperties": False,
                    },
                    "output_schema": lean_schema(tool.output_schema or {}, _OUTPUT_NOISE) or None,
                }
            )
            for tool in await super().list_tools()
        ]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[App, Any] | None = None
    ) -> Any:
        """Call a tool; whatever goes wrong on purpose becomes one coded sentence."""
        try:
            self._check_call(name, arguments)
            return await super().call_tool(name, arguments, context)
        except CivitError as error:
            return refusal(error)
        except ToolError as error:
            cause = error.__cause__
            if isinstance(cause, CivitError):
                return refusal(cause)
            if isinstance(cause, ValidationError) and not isinstance(error, UnexpectedToolError):
                return refusal(bad_arguments(name, cause))
            raise

    def _check_call(self, name: str, arguments: Mapping[str, Any]) -> None:
        withheld = self._withheld.get(name)
        if withheld is not None:
            raise withheld
        if name not in self._offered:
            raise NotFound(
                f"there is no tool '{name[:80]}'", f"call one of: {', '.join(self._offered)}"
            )
        known = self._argument_names[name]
        strange = sorted(set(arguments) - known)
        if strange:
            listed = ", ".join(f"'{word[:40]}'" for word in strange[:5])
            raise BadReference(
                f"{name} takes no argument {listed}",
                f"use only: {', '.join(sorted(known))}",
            )

    async def read_resource(self, uri: Any, context: Context[App, Any] | None = None) -> Any:
        """Read a resource; our errors keep their sentence."""
        try:
            return await super().read_resource(uri, context)
        except ResourceError as error:
            cause = error.__cause__
            if isinstance(cause, NotFound | BadReference):
                raise ResourceNotFoundError(str(cause)) from cause
            if isinstance(cause, CivitError):
                raise ResourceError(str(cause)) from cause
            raise

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        context: Context[App, Any] | None = None,
    ) -> Any:
        """Render a prompt; a missing argument is named instead of hidden."""
        known = [prompt.name for prompt in await self.list_prompts()]
        if name not in known:
            raise MCPError(
                code=INVALID_PARAMS,
                message=f"There is no prompt '{name[:80]}'; there are: {', '.join(known)}",
            )
        try:
            return await super().get_prompt(name, arguments, context)
        except ValueError as error:
            raise MCPError(code=INVALID_PARAMS, message=_root(error)) from error


def _root(error: BaseException) -> str:
    """The sentence of the error of ours at the bottom of a chain, else the top's text."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, CivitError):
            return str(seen)
        seen = seen.__cause__
    return str(error)


def _as_mcp(tool: Tool) -> Callable[..., Awaitable[CallToolResult]]:
    """Wrap a tool so that it returns the result form: lean JSON, once as text and once as data."""
    hints = get_type_hints(tool.run, include_extras=True)
    answer = hints["return"]

    @functools.wraps(tool.run)
    async def call(**arguments: Any) -> CallToolResult:
        return result_of(await tool.run(**arguments))

    returned = Annotated[CallToolResult, answer]
    call.__annotations__ = {**hints, "return": returned}
    signature = inspect.signature(tool.run)
    parameters = [p.replace(annotation=hints[p.name]) for p in signature.parameters.values()]
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=returned
    )
    return call


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


def _one_paragraph(function: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(function) or "").split())


#: what a generated output schema repeats for every part and no reader needs
_OUTPUT_NOISE: Final = frozenset({"title", "description", "default", "additionalProperties"})


def lean_schema(schema: Any, noise: frozenset[str] = frozenset({"title"})) -> Any:
    """Drop the keywords in `noise` at every level; never a property that is called like one.

    A choice between a simple type and null is written in its short form.
    """
    if isinstance(schema, list):
        return [lean_schema(part, noise) for part in schema]
    if not isinstance(schema, dict):
        return schema
    lean: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            lean[key] = {name: lean_schema(part, noise) for name, part in value.items()}
        elif key not in noise:
            lean[key] = lean_schema(value, noise)
    return _short_choice(lean)


def _short_choice(schema: dict[str, Any]) -> dict[str, Any]:
    """`anyOf: [{type: a}, {type: b}]` says no more than `type: [a, b]`."""
    choices = schema.get("anyOf")
    if isinstance(choices, list) and all(set(choice) == {"type"} for choice in choices):
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return {"type": [choice["type"] for choice in choices], **rest}
    return schema
