"""Every error civit-mcp raises on purpose, in one tree.

    CivitError                    code
    ├── BadReference              bad_reference         also ValueError
    ├── NotFound                  not_found             also LookupError
    │   └── Gone                  gone
    ├── Restricted                restricted            also PermissionError
    ├── AboveLevel                above_level
    ├── Unauthorized              unauthorized
    ├── Forbidden                 forbidden
    ├── RateLimited               rate_limited
    ├── UpstreamUnavailable       upstream_unavailable  also ConnectionError
    ├── UpstreamChanged           upstream_changed      also ValueError
    ├── NotALora                  not_a_lora            also ValueError
    ├── Conflict                  conflict
    ├── CatalogUnreadable         catalog_unreadable    also OSError
    ├── CatalogLocked             catalog_locked        also TimeoutError
    ├── ReadOnly                  read_only             also PermissionError
    ├── NotConfigured             not_configured
    ├── Offline                   offline               also ConnectionError
    └── TooLarge                  too_large             also ValueError

An error is two sentences: what happened, and what to do next. The codes are a contract:
programs branch on them. Anything that is not a `CivitError` is a crash and stays one.
"""

from typing import ClassVar


class CivitError(Exception):
    """Base of the tree. `str(error)` is the one line that a reader gets."""

    code: ClassVar[str]
    #: said when the raiser has nothing better to suggest
    default_next: ClassVar[str]

    def __init__(self, what: str, next_step: str = "") -> None:
        """Take the sentence that says what happened and, if there is one, the next step."""
        super().__init__(what)
        self.what = what.rstrip(". ")
        self.next_step = (next_step or self.default_next).rstrip(". ")

    def __str__(self) -> str:
        return f"[{self.code}] {self.what}. Next: {self.next_step}."


class BadReference(CivitError, ValueError):
    """An argument cannot be understood or is outside what it may be."""

    code = "bad_reference"
    default_next = "correct the argument and call again"


class NotFound(CivitError, LookupError):
    """CivitAI or the catalog has no such thing."""

    code = "not_found"
    default_next = "check the id, or search by name with search_models"


class Gone(NotFound):
    """The thing existed and was deleted or unpublished upstream."""

    code = "gone"
    default_next = "look for another version of the model with search_models"


class Restricted(CivitError, PermissionError):
    """A gate stands before the thing: usage control, early access, archived, no public file."""

    code = "restricted"
    default_next = "choose another version"


class AboveLevel(CivitError):
    """The operator's level cap forbids this answer."""

    code = "above_level"
    default_next = "ask the operator to raise CIVIT_MCP_MAX_LEVEL"


class Unauthorized(CivitError):
    """CivitAI wants a key, or a better one."""

    code = "unauthorized"
    default_next = "set CIVITAI_API_KEY to a key from https://civitai.com/user/account"


class Forbidden(CivitError):
    """CivitAI refuses this key or this region."""

    code = "forbidden"
    default_next = "check on civitai.com that your account may do this"


class RateLimited(CivitError):
    """CivitAI asked for fewer requests, or this server is asked for too many."""

    code = "rate_limited"
    default_next = "wait a minute and call again"


class UpstreamUnavailable(CivitError, ConnectionError):
    """CivitAI did not answer, or answered with a fault of its own."""

    code = "upstream_unavailable"
    default_next = "try again in a few minutes"

    def __init__(self, what: str, next_step: str = "", *, sent: bool = True) -> None:
        """Take `sent`: False when the question certainly never left, so that nothing happened."""
        super().__init__(what, next_step)
        self.sent = sent


class UpstreamChanged(CivitError, ValueError):
    """CivitAI answered something that no known shape covers."""

    code = "upstream_changed"
    default_next = "try again; if it stays, update civit-mcp"


class NotALora(CivitError, ValueError):
    """Only LoRA entries can be promoted."""

    code = "not_a_lora"
    default_next = "leave the entry where it is; only LoRAs move to loras.json"


class Conflict(CivitError):
    """The catalog or the vault changed under a step in a way that makes it unsafe."""

    code = "conflict"
    default_next = "read the catalog again and repeat the step"


class CatalogUnreadable(CivitError, OSError):
    """A catalog file cannot be read or written as a catalog. It is left as it is."""

    code = "catalog_unreadable"
    default_next = "repair the file by hand; civit-mcp does not touch it until it can be read"


class CatalogLocked(CivitError, TimeoutError):
    """Another process held the catalog's lock for longer than the time-out."""

    code = "catalog_locked"
    default_next = "end the program that holds the lock, then call again"


class ReadOnly(CivitError, PermissionError):
    """The server runs read-only."""

    code = "read_only"
    default_next = "restart civit-mcp without --read-only"


class NotConfigured(CivitError):
    """A setting that this needs is not set."""

    code = "not_configured"
    default_next = "set it and restart civit-mcp; `civit-mcp check` lists the settings"


class Offline(CivitError, ConnectionError):
    """The answer is in neither cache nor catalog, and the server runs offline."""

    code = "offline"
    default_next = "restart civit-mcp without --offline"


class TooLarge(CivitError, ValueError):
    """Something exceeds a bound that protects the user's machine."""

    code = "too_large"
    default_next = "ask for less at a time"
