"""What a client can do besides asking."""

from typing import Final

from mcp.server.session import ServerSession

#: a question is part of a result, and no longer a request of its own, since this revision
_IN_ROUNDS: Final = "2026-07-28"


def can_ask(session: ServerSession) -> bool:
    """Whether the client shows forms to a person, and there is a way to send it one."""
    capabilities = session.client_capabilities
    asking = capabilities.elicitation if capabilities is not None else None
    if asking is None or (asking.form is None and asking.url is not None):
        return False
    return session.protocol_version >= _IN_ROUNDS or session.can_send_request
