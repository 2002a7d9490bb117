"""Who may call: tokens, and what each of them allows.

A token file has one token a line, then what narrows it, if anything:

    s3cr3t-of-the-team
    s3cr3t-of-a-bot     name=bot read-only toolsets=core,browse

Tokens are compared in constant time, and only their digests are kept.
"""

import contextlib
import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from civit_mcp.app import TOOLSETS, Caller, Toolset, chosen_toolsets
from civit_mcp.config import PlacedToken, Settings, tokens_of
from civit_mcp.errors import NotConfigured

logger = logging.getLogger(__name__)
#: shorter ones can be guessed
SHORTEST_TOKEN: Final = 16
#: what certainly is no token but a limit with a slip in it, so that it may be shown
_NEARLY_A_LIMIT: Final = re.compile(r"(name|read|tool)[a-z_-]{0,8}", re.IGNORECASE)

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
        placed = list(tokens_of(settings))
        if settings.token_file is not None:
            _warn_if_open_to_all(settings.token_file)
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


def _each_once(placed: list[PlacedToken]) -> tuple[tuple[bytes, Caller], ...]:
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


def _warn_if_open_to_all(path: Path) -> None:
    # on Windows these bits say nothing about who may
    if os.name == "nt":
        return
    # it has been read, so whoever took it away since has closed it
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            may = "change" if mode & stat.S_IWOTH else "read"
            logger.warning("every user of this machine may %s the token file '%s'", may, path)


def _caller_of(words: list[str], where: str) -> tuple[bytes, Caller]:
    token, *limits = words
    if len(token) < SHORTEST_TOKEN or not all("!" <= letter <= "~" for letter in token):
        raise NotConfigured(
            f"the token of {where} is too short or has characters that no header can carry",
            f"use at least {SHORTEST_TOKEN} printable characters without spaces",
        )
    name, read_only, toolsets = f"token {_digest(token).hex()[:6]}", False, None
    for number, limit in enumerate(limits, 2):
        if limit.startswith("#"):
            break
        key, equals, value = limit.partition("=")
        if key == "name" and value:
            name = value
        elif limit == "read-only":
            read_only = True
        elif key == "toolsets" and value:
            toolsets = _sets_of(value, where)
        elif _NEARLY_A_LIMIT.fullmatch(key):
            raise NotConfigured(
                f"{where} has '{key}{equals}', which limits nothing",
                "after the token use name=…, read-only or toolsets=…",
            )
        else:
            # it may be another token, so it is not shown
            raise NotConfigured(
                f"word {number} of {where} limits nothing",
                "give each token a line of its own; after it use name=…, read-only or "
                "toolsets=core,browse without spaces",
            )
    digest = _digest(token)
    return digest, Caller(name=name, read_only=read_only, toolsets=toolsets, digest=digest)


def _sets_of(value: str, where: str) -> frozenset[Toolset]:
    chosen: set[Toolset] = set()
    for word in value.lower().split(","):
        if not word:
            raise NotConfigured(
                f"{where} has a comma in 'toolsets=' that no set stands beside",
                "write the sets without spaces, such as toolsets=core,browse",
            )
        try:
            chosen |= chosen_toolsets([word])
        except NotConfigured:
            # a long one may be a token
            told = f"'{word}'" if len(word) < SHORTEST_TOKEN else "a word"
            raise NotConfigured(
                f"{where} has {told} in 'toolsets=' that is no tool set",
                f"use default, all, or some of {', '.join(TOOLSETS)}",
            ) from None
    return frozenset(chosen)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
