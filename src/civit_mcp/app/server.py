"""The SDK's server with our result form, our errors and our watch over the catalog."""

import asyncio
import contextlib
import functools
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.context import ServerMiddleware
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ResourceNotFoundError,
    ToolError,
    UnexpectedToolError,
)
from mcp.types import (
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from mcp.types import Tool as ListedTool
from pydantic import ValidationError

from civit_mcp.app.again import GivenAgain
from civit_mcp.app.callers import Caller, audit_write, caller_of, current_caller
from civit_mcp.app.schema import OUTPUT_NOISE, lean_schema
from civit_mcp.app.state import App
from civit_mcp.app.tool import (
    Tool,
    as_mcp,
    bad_arguments,
    chosen_toolsets,
    one_paragraph,
    refusal,
)
from civit_mcp.errors import (
    BadReference,
    CivitError,
    Forbidden,
    NotConfigured,
    NotFound,
    ReadOnly,
)
from civit_mcp.live import LiveCatalog
from civit_mcp.text import quoted

logger = logging.getLogger(__name__)
#: resources by the tool that tells the same
_SAME_AS: Final = (
    ("catalog://", "list_catalog"),
    ("civitai://models/", "get_model"),
    ("civitai://model-versions/", "get_model_version"),
    ("civitai://images/", "get_generation_data"),
)


class CivitServer(MCPServer[App]):
    """The SDK's server with our result form and our errors."""

    def __init__(self, app: App, **options: Any) -> None:
        """Take the app that every connection shares."""
        self.app = app
        self.live = LiveCatalog(self._catalog_state, self._must_allow_reading)
        #: called once every room is loaded
        self.on_settled: Callable[[], None] | None = None
        super().__init__(
            lifespan=self._lifespan,
            middleware=[self._observe, GivenAgain(app, self._may_give_again)],
            subscriptions=self.live.bus,
            **options,
        )
        # the SDK has no public door for what older revisions call a subscription
        low = self._lowlevel_server
        low.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        low.add_request_handler(
            "resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe
        )
        #: whether tools, prompts or resources come and go while this server runs
        self.lists_change = False
        self._greeted = asyncio.Event()
        self._connections = 0
        self._offered: dict[str, Tool] = {}
        self._withheld: dict[str, Callable[[], CivitError]] = {}
        self._argument_names: dict[str, frozenset[str]] = {}
        self._set_of: dict[str, str] = {}
        self._answer_schemas: dict[str, dict[str, Any] | None] = {}

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: MCPServer[App]) -> AsyncIterator[App]:
        """Serve one connection, or all of them: transports differ in how often they ask.

        The attendant belongs to the first connection and outlives it until the last.
        """
        async with self.app.in_use():
            if self._connections == 0:
                self._attendant = asyncio.create_task(self._attend())
            self._connections += 1
            try:
                yield self.app
            finally:
                self._connections -= 1
                if self._connections == 0:
                    self._attendant.cancel()
                    await asyncio.wait([self._attendant])

    async def _attend(self) -> None:
        """Load the rooms once a client was greeted, then watch the catalog for listeners."""
        await self._greeted.wait()
        try:
            await asyncio.to_thread(self.app.load_rooms)
            await self.app.desk.client.prepare()
        except CivitError as error:
            # whoever asks for something gets the same refusal, with a code
            logger.info("not ready: %s", error)
        except Exception:
            # the next call meets the same fault and answers for it; the watch below goes on
            logger.exception("could not get ready")
        if self.on_settled is not None:
            self.on_settled()
        await self.live.watch()

    async def _observe(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        calling = current_caller.set(caller_of(ctx.request))
        try:
            if ctx.method == "subscriptions/listen":
                self._greeted.set()
                return await self.live.during_stream(ctx, call_next)
            answer = await call_next(ctx)
            if ctx.method == "server/discover" and not self.lists_change:
                return _without_list_news(answer)
            return answer
        finally:
            current_caller.reset(calling)
            self._greeted.set()

    def add_middleware(self, middleware: ServerMiddleware[Any]) -> None:
        """Put something around every request of a known caller, answered before or not."""
        self.middleware.insert(-1, middleware)

    def _may_give_again(self, name: str) -> bool:
        tool, caller = self._offered.get(name), current_caller.get()
        return tool is not None and tool.replayable and (caller is None or caller.may_see(tool))

    def _catalog_state(self) -> object:
        return self.app.desk.catalog.fingerprint()

    async def _subscribe(self, ctx: Any, params: SubscribeRequestParams) -> EmptyResult:
        await self.live.subscribe(ctx.session, str(params.uri))
        return EmptyResult()

    async def _unsubscribe(self, ctx: Any, params: UnsubscribeRequestParams) -> EmptyResult:
        self.live.unsubscribe(ctx.session, str(params.uri))
        return EmptyResult()

    def offer(self, tools: Sequence[Tool], set_of: Mapping[str, str]) -> None:
        """Register the tools that the settings allow; remember why others are not there.

        `set_of` names every tool, also those that are not even loaded, with its set.
        """
        settings = self.app.settings
        chosen = chosen_toolsets(settings.toolsets)
        self._set_of.update(set_of)
        for name, toolset in set_of.items():
            self._withheld[name] = _switched_off(name, toolset)
        for tool in tools:
            self._withheld.pop(tool.name, None)
            if settings.read_only and tool.writes:
                self._withheld[tool.name] = functools.partial(
                    ReadOnly, f"'{tool.name}' writes, and this server runs read-only"
                )
            elif tool.toolset not in chosen:
                self._withheld[tool.name] = _switched_off(tool.name, tool.toolset)
            else:
                function = as_mcp(tool)
                self._offered[tool.name] = tool
                self._argument_names[tool.name] = frozenset(
                    name
                    for name, parameter in inspect.signature(function).parameters.items()
                    # what is keyword-only is filled by a resolver, never by a caller
                    if name != "ctx" and parameter.kind is not parameter.KEYWORD_ONLY
                )
                self.add_tool(
                    function,
                    name=tool.name,
                    title=tool.title,
                    description=one_paragraph(tool.run),
                    annotations=tool.annotations(),
                    # answers are models when they get here; the SDK would check them once more
                    structured_output=False,
                )

    @property
    def tool_names(self) -> frozenset[str]:
        """Every tool, those that are switched off too."""
        return frozenset(self._offered.keys() | self._withheld.keys())

    async def list_tools(self) -> list[ListedTool]:
        """List the caller's tools with lean schemas: generated titles cost tokens for nothing."""
        caller = current_caller.get()
        return [
            tool.model_copy(
                update={
                    "input_schema": {
                        **lean_schema(tool.input_schema),
                        "additionalProperties": False,
                    },
                    "output_schema": self._answer_schema(tool.name),
                }
            )
            for tool in await super().list_tools()
            if caller is None or caller.may_see(self._offered[tool.name])
        ]

    def _answer_schema(self, name: str) -> dict[str, Any] | None:
        if name not in self._answer_schemas:
            whole = self._offered[name].answer_schema()
            self._answer_schemas[name] = lean_schema(whole, OUTPUT_NOISE) if whole else None
        return self._answer_schemas[name]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[App, Any] | None = None
    ) -> Any:
        """Call a tool; whatever goes wrong on purpose becomes one coded sentence."""
        caller = current_caller.get()
        request = context.request_context.request if context is not None else None
        try:
            self.must_allow(name, caller)
            self._check_arguments(name, arguments)
            with self.app.serving(request):
                result = await super().call_tool(name, arguments, context)
        except CivitError as error:
            return refusal(error)
        except ToolError as error:
            cause = error.__cause__
            if isinstance(cause, CivitError):
                return refusal(cause)
            if isinstance(cause, ValidationError) and not isinstance(error, UnexpectedToolError):
                return refusal(bad_arguments(name, cause))
            if isinstance(cause, ToolError):
                # no tool of ours raises it: it is a client's answer that fits no question
                return refusal(
                    BadReference("the answer to the question is none of its choices", "call again")
                )
            raise
        if caller is not None and self._offered[name].writes:
            audit_write(name, caller, getattr(result, "structured_content", None))
        return result

    def must_allow(self, name: str, caller: Caller | None) -> None:
        """Check that a tool, or what is the same by another door, is there for a caller.

        Raises:
            CivitError: it is not, and why.
        """
        withheld = self._withheld.get(name)
        if withheld is not None:
            raise withheld()
        if name not in self._offered:
            seen = [n for n, t in self._offered.items() if caller is None or caller.may_see(t)]
            raise NotFound(
                f"there is no tool {quoted(name, 80)}", f"call one of: {', '.join(seen)}"
            )
        if caller is None or caller.may_see(self._offered[name]):
            return
        if caller.read_only and self._offered[name].writes:
            raise ReadOnly(
                f"'{name}' writes, and this token may only read", "use a token that may write"
            )
        raise self._beyond(name, caller)

    def must_allow_what_tells(self, name: str, caller: Caller | None) -> None:
        """Check that a caller may know what a tool tells; whether it is offered does not matter.

        Raises:
            Forbidden: the caller's token is limited to other tools.
        """
        limit = caller.toolsets if caller is not None else None
        if caller is not None and limit is not None and self._set_of.get(name) not in limit:
            raise self._beyond(name, caller)

    def _must_allow_reading(self, uri: str) -> None:
        """A resource is another door to what a tool tells, so the tool's limits hold for it."""
        tool = next((t for start, t in _SAME_AS if uri.startswith(start)), None)
        if tool is not None:
            self.must_allow_what_tells(tool, current_caller.get())

    def _beyond(self, name: str, caller: Caller) -> Forbidden:
        off = ", ".join(caller.sets_beyond(chosen_toolsets(self.app.settings.toolsets)))
        return Forbidden(
            f"'{name}' is not among the tools that this token may call"
            + (f"; it is limited to tool sets of which {off} is off here" if off else ""),
            "use a token without that limit",
        )

    def _check_arguments(self, name: str, arguments: Mapping[str, Any]) -> None:
        known = self._argument_names[name]
        strange = sorted(set(arguments) - known)
        if strange:
            listed = ", ".join(quoted(word, 40) for word in strange[:5])
            raise BadReference(
                f"{name} takes no argument {listed}",
                f"use only: {', '.join(sorted(known))}",
            )

    async def read_resource(self, uri: Any, context: Context[App, Any] | None = None) -> Any:
        """Read a resource; our errors keep their sentence."""
        request = context.request_context.request if context is not None else None
        try:
            self._must_allow_reading(str(uri))
            with self.app.serving(request):
                return await super().read_resource(uri, context)
        except CivitError as error:
            raise ResourceError(str(error)) from error
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
                message=f"There is no prompt {quoted(name, 80)}; there are: {', '.join(known)}",
            )
        try:
            return await super().get_prompt(name, arguments, context)
        except ValueError as error:
            raise MCPError(code=INVALID_PARAMS, message=_root(error)) from error


def _without_list_news(discovered: dict[str, Any]) -> dict[str, Any]:
    """Promise no news of changed lists.

    The SDK promises every kind of news as soon as one can be listened to; a client that
    believes it would hold a stream open for nothing.
    """
    capabilities = {
        name: {**what, "listChanged": False} if "listChanged" in what else what
        for name, what in discovered["capabilities"].items()
    }
    return {**discovered, "capabilities": capabilities}


def _switched_off(name: str, toolset: str) -> Callable[[], CivitError]:
    return functools.partial(
        NotConfigured,
        f"'{name}' belongs to the tool set '{toolset}', which is off",
        f"start civit-mcp with --toolsets default,{toolset}",
    )


def _root(error: BaseException) -> str:
    """The sentence of the error of ours at the bottom of a chain, else the top's text."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, CivitError):
            return str(seen)
        seen = seen.__cause__
    return str(error)
