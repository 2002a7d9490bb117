"""What a route of the stand-in gets and what it gives back.

Routes are plain functions from `Call` to `Reply`; sockets, faults and recording live
around them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from civit_mcp.sandbox.store import Store

#: the one key that the stand-in accepts; plainly no secret
SANDBOX_KEY: Final = "sandbox-key-for-tests-only"
USER_ID: Final = 7
PUBLIC_CACHE: Final = "public, s-maxage=300, stale-while-revalidate=150"
HASH_CACHE: Final = "public, s-maxage=3600, stale-while-revalidate=1800"
TRPC_CACHE: Final = "public, max-age=60, s-maxage=60, stale-while-revalidate=30"
PRIVATE_CACHE: Final = "max-age=0, private, no-cache"


@dataclass(slots=True, kw_only=True)
class VaultState:
    """What the vault of the key's owner holds: version id to the item's id, in that order."""

    held: dict[int, int] = field(default_factory=dict)
    #: how many items there ever were
    added: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, read."""

    method: str
    #: decoded path
    path: str
    query: Mapping[str, list[str]]
    #: lower-case names
    headers: Mapping[str, str]
    body: bytes
    store: Store
    #: the stand-in's own address; what CivitAI calls its canonical address
    base_url: str
    storage_url: str
    api_key: str | None
    #: names of the scenarios that apply to this request
    scenarios: frozenset[str] = frozenset()
    #: the one thing that requests change
    vault: VaultState = field(default_factory=VaultState)

    def one(self, name: str) -> str | None:
        """First value of a query parameter; None when the key is absent."""
        values = self.query.get(name)
        return values[0] if values else None

    @property
    def host_url(self) -> str:
        """The address as the caller spelled it in Host; list and version links use it."""
        host = self.headers.get("host")
        return f"http://{host}" if host else self.base_url

    @property
    def session(self) -> bool:
        """Whether a valid key came along; header before query before cookie."""
        return bool(self.api_key) and self._token() == self.api_key

    @property
    def bearer(self) -> bool:
        """Whether the Authorization header holds a valid key."""
        header = self.headers.get("authorization", "")
        return bool(self.api_key) and header.partition(" ")[2].strip() == self.api_key

    def _token(self) -> str | None:
        header = self.headers.get("authorization")
        if header:
            # CivitAI takes what follows the first space and ignores the scheme word
            return header.partition(" ")[2].strip()
        token = self.one("token")
        if token is not None:
            return token
        for part in self.headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name.removeprefix("__Secure-") in ("civ-token", "civitai-token"):
                return value
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer. `payload` is JSON unless `text` is given."""

    status: int = 200
    payload: Any = None
    text: str | None = None
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Reply]


def refuse(status: int, error: str, /, **more: Any) -> Reply:
    """Answer with CivitAI's commonest error body."""
    return Reply(status=status, payload={"error": error, **more})


def html(status: int, title: str) -> Reply:
    """Answer with a web page where a program expects JSON."""
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body>"
    return Reply(status=status, text=page + "</html>", media_type="text/html; charset=utf-8")
