"""Who is calling over HTTP, and what that allows. Over stdio there is one caller, unlimited."""

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from civit_mcp.app.tool import Tool, Toolset
from civit_mcp.errors import BadReference

#: where the gate puts the caller in a request's state
CALLER_KEY: Final = "civit_mcp_caller"
#: the header that carries a caller's own CivitAI key
KEY_HEADER: Final = "X-Civitai-Api-Key"
#: CivitAI's keys have 32; what is far from that is a mistake, and not to be searched for in logs
_SHORTEST_KEY: Final = 8
_LONGEST_KEY: Final = 512


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a token, and what the token allows."""

    name: str
    read_only: bool = False
    #: None: the sets that the server offers
    toolsets: frozenset[Toolset] | None = None
    #: of the token: two of the same name and limits are two callers all the same
    digest: bytes = field(default=b"", repr=False)

    def may_see(self, tool: Tool) -> bool:
        """Whether the tool is there for this caller."""
        if self.read_only and tool.writes:
            return False
        return self.toolsets is None or tool.toolset in self.toolsets

    def sets_beyond(self, on: frozenset[Toolset]) -> list[str]:
        """The sets that the token allows although the server does not offer them."""
        return sorted(self.toolsets - on) if self.toolsets is not None else []


#: who the request that is being answered comes from
current_caller: ContextVar[Caller | None] = ContextVar("current_caller", default=None)


#: one line per write over HTTP, whatever the log level hides
_audit = logging.getLogger("civit_mcp.audit")
# a level of its own: it would have the root's otherwise, which may be higher
_audit.setLevel(logging.WARNING)


def audit_write(tool: str, caller: Caller, answer: Mapping[str, Any] | None) -> None:
    """Note who wrote what; an answer that changed nothing leaves no line."""
    what = _written(answer or {})
    if what is not None:
        _audit.warning("%s by %s: %s", tool, caller.name, what)


def audit_request(tool: str, what: str) -> None:
    """Note who is about to ask CivitAI for a change: how it ends may never be known."""
    caller = current_caller.get()
    if caller is not None:
        _audit.warning("%s by %s: %s", tool, caller.name, what)


def _written(facts: Mapping[str, Any]) -> str | None:
    """What an answer says was written, in the catalog or into a file."""
    if facts.get("change_id"):
        return f"{facts['status']} {facts['change_id']}"
    if facts.get("status") == "exported" and not facts.get("dry_run"):
        # as a literal: a name may have an end of line in it
        return f"exported {facts['path']!r}"
    return None


def caller_of(request: Any) -> Caller | None:
    """The caller of an HTTP request; None where there is no request, as over stdio."""
    state = request.scope.get("state", {}) if request is not None else {}
    found = state.get(CALLER_KEY)
    return found if isinstance(found, Caller) else None


def key_of(request: Any) -> str | None:
    """The CivitAI key that a request brings along.

    Raises:
        BadReference: what it brings cannot be a key.
    """
    value = request.headers.get(KEY_HEADER, "").strip() if request is not None else ""
    if not value:
        return None
    plain = all("!" <= letter <= "~" for letter in value)
    if not plain or not _SHORTEST_KEY <= len(value) <= _LONGEST_KEY:
        raise BadReference(
            f"the header '{KEY_HEADER}' holds no CivitAI key",
            f"send a key from https://civitai.com/user/account in '{KEY_HEADER}', or leave it out",
        )
    return value
