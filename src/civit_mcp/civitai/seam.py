"""What the two sides of the network seam agree on, without the HTTP library."""

from dataclasses import dataclass

from civit_mcp.errors import CivitError


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds to wait for a connection and for the next piece of an answer."""

    connect: float = 5.0
    read: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
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
