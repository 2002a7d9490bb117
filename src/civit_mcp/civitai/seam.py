"""What questions and replies are, on both sides of the network seam; no HTTP library here."""

from dataclasses import dataclass

from civit_mcp.civitai.queries import Params
from civit_mcp.errors import CivitError


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One question to CivitAI. `about` names its subject in errors: "model '123'"."""

    about: str
    path: str
    params: Params = ()
    #: JSON to send; makes it a POST
    body: bytes | None = None
    #: False for what changes something: sent once, never kept, never shared with another caller
    repeatable: bool = True
    trpc: bool = False
    #: whether a 404 is an answer worth keeping
    keep_absence: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds to wait for a connection and for the next piece of an answer."""

    connect: float = 5.0
    read: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Reply:
    """What came back, after redaction. `headers` holds the few that are read, lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Unanswered(Exception):
    """No whole reply came back. `retryable` says whether another try makes sense."""

    def __init__(self, error: CivitError, *, garbled: bool = False, retryable: bool = True) -> None:
        super().__init__(error.what)
        self.error = error
        self.garbled = garbled
        self.retryable = retryable
