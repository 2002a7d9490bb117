"""Who may call: tokens, and what each of them allows.

A token file has one token a line, then what narrows it, if anything:

    s3cr3t-of-the-team
    s3cr3t-of-a-bot     name=bot read-only toolsets=core,browse

Tokens are compared in constant time, and only their digests are kept.
"""

import hashlib
import hmac
import logging
import secrets
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
        callers = []
        if settings.token is not None:
            words = settings.token.get_secret_value().replace(",", " ").split()
            callers += [_caller_of([token], "CIVIT_MCP_TOKEN") for token in words]
        if settings.token_file is not None:
            callers += _read_file(settings.token_file)
        if callers:
            return cls(tuple(callers))
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


def _read_file(path: Path) -> list[tuple[bytes, Caller]]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(
            f"the token file '{path}' cannot be read ({type(error).__name__})",
            "correct --token-file or its permissions",
        ) from None
    callers = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            callers.append(_caller_of(words, f"line {number} of '{path}'"))
    if not callers:
        raise NotConfigured(f"the token file '{path}' holds no token", "put one token a line in it")
    return callers


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
    return _digest(token), Caller(name=name, read_only=read_only, toolsets=toolsets)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
