"""Who may call: tokens, and what each of them allows.

A token file has one token a line, then what narrows it, if anything:

    s3cr3t-of-the-team
    s3cr3t-of-a-bot     name=bot read-only toolsets=core,browse

Tokens are compared in constant time, and only their digests are kept.
"""

import hashlib
import hmac
import logging
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from civit_mcp.app import Caller, Toolset, chosen_toolsets
from civit_mcp.config import Settings
from civit_mcp.errors import NotConfigured

logger = logging.getLogger(__name__)
#: shorter ones can be guessed
SHORTEST_TOKEN: Final = 16

__all__ = ["Access", "Caller"]


@dataclass(frozen=True, slots=True)
class Access:
    """The callers by the digest of their token; open to everyone when `open_to_all`."""

    callers: tuple[tuple[bytes, Caller], ...]
    open_to_all: bool = False
    #: a token that was made for this run, to be shown once
    made: str | None = None

    @classmethod
    def from_settings(cls, settings: Settings, *, no_auth: bool = False) -> "Access":
        """Read the tokens; without any, make one.

        Raises:
            NotConfigured: a token or the token file is of no use.
        """
        if no_auth:
            return cls((), open_to_all=True)
        placed: list[_Placed] = []
        if settings.token is not None:
            words = settings.token.get_secret_value().replace(",", " ").split()
            for number, token in enumerate(words, 1):
                of_several = f"token {number} of " if len(words) > 1 else ""
                placed.append((f"{of_several}CIVIT_MCP_TOKEN", [token]))
        if settings.token_file is not None:
            placed += _read_file(settings.token_file)
        if placed:
            return cls(_each_once(placed))
        made = secrets.token_urlsafe(24)
        return cls((_caller_of([made], "the token made at start"),), made=made)

    def caller(self, token: str | None) -> Caller | None:
        """Who holds the token; None for nobody. Takes as long for a wrong one as for a right."""
        if self.open_to_all:
            return Caller(name="anyone")
        found = None
        digest = _digest(token or "")
        for known, caller in self.callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found

    def warn_of_idle_limits(self, on: frozenset[Toolset]) -> None:
        """Log each token that is limited to tool sets which the server does not offer."""
        for _, caller in self.callers:
            off = caller.sets_beyond(on)
            if off:
                logger.warning(
                    "%s is limited to tool sets of which %s is off; start with --toolsets %s",
                    caller.name,
                    ", ".join(off),
                    ",".join([*sorted(on), *off]),
                )


#: where a token stands, and the token with what narrows it
_Placed = tuple[str, list[str]]


def _each_once(placed: list[_Placed]) -> tuple[tuple[bytes, Caller], ...]:
    """The callers; a token that stands twice would have the limits of one place only."""
    callers: dict[bytes, Caller] = {}
    places: dict[bytes, str] = {}
    for where, words in placed:
        digest, caller = _caller_of(words, where)
        if digest in places:
            raise NotConfigured(
                f"{places[digest]} and {where} are the same token",
                "remove one of the two; a token has one set of limits",
            )
        places[digest], callers[digest] = where, caller
    return tuple(callers.items())


def _read_file(path: Path) -> list[_Placed]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(
            f"the token file '{path}' cannot be read ({type(error).__name__})",
            "correct --token-file or its permissions",
        ) from None
    placed: list[_Placed] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            placed.append((f"line {number} of '{path}'", words))
    if not placed:
        raise NotConfigured(f"the token file '{path}' holds no token", "put one token a line in it")
    # on Windows these bits say nothing about who may
    if os.name != "nt" and mode & (stat.S_IROTH | stat.S_IWOTH):
        may = "change" if mode & stat.S_IWOTH else "read"
        logger.warning("every user of this machine may %s the token file '%s'", may, path)
    return placed


def _caller_of(words: list[str], where: str) -> tuple[bytes, Caller]:
    token, *limits = words
    if len(token) < SHORTEST_TOKEN or not all("!" <= letter <= "~" for letter in token):
        raise NotConfigured(
            f"the token of {where} is too short or has characters that no header can carry",
            f"use at least {SHORTEST_TOKEN} printable characters without spaces",
        )
    name, read_only, toolsets = f"token {_digest(token).hex()[:6]}", False, None
    for limit in limits:
        if limit.startswith("#"):
            break
        key, _, value = limit.partition("=")
        if key == "name" and value:
            name = value
        elif limit == "read-only":
            read_only = True
        elif key == "toolsets" and value:
            toolsets = chosen_toolsets(value.split(","))
        else:
            raise NotConfigured(
                f"{where} has '{limit[:40]}', which limits nothing",
                "after the token use name=…, read-only or toolsets=…",
            )
    digest = _digest(token)
    return digest, Caller(name=name, read_only=read_only, toolsets=toolsets, digest=digest)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
