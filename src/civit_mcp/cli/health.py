"""`civit-mcp health`: whether a server over HTTP answers; for supervisors and proxies.

It finds a token where the server finds it, so that no command line, container description or
unit file has to hold one. It imports next to nothing, because it is run every few seconds.
"""

import argparse
import json
import re
import sys
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from civit_mcp.cli.options import settings_from
from civit_mcp.config import Settings, is_loopback, tokens_of
from civit_mcp.errors import NotConfigured

#: seconds that one question may take
PATIENCE: Final = 5.0
#: seconds between two questions while a server is expected to come up
PAUSE: Final = 0.1
_LONGEST_ANSWER: Final = 64 * 1024


class _Unwell(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what: str, next_step: str, *, passing: bool = False) -> None:
        super().__init__(f"{what}. Next: {next_step}")
        #: a server that starts looks like that, too
        self.passing = passing


def run(arguments: argparse.Namespace) -> int:
    """Print one line; 1 when the server does not answer as it should."""
    settings = settings_from(arguments)
    give_up = time.monotonic() + arguments.wait
    while True:
        try:
            line = _ask(arguments.url, _first_token(settings), ready=arguments.ready)
        except _Unwell as error:
            if error.passing and time.monotonic() < give_up:
                time.sleep(PAUSE)
                continue
            print(f"civit-mcp health: {error}", file=sys.stderr)
            return 1
        print(line)
        return 0


def _first_token(settings: Settings) -> str | None:
    """Any token opens the two routes, so the first one does."""
    try:
        first = next(tokens_of(settings), None)
    except NotConfigured as error:
        raise _Unwell(error.what, error.next_step) from None
    return first[1][0] if first is not None else None


def _ask(url: str, token: str | None, *, ready: bool) -> str:
    parts = _address(url)
    # http.client follows no redirect, so the token goes to this address and nowhere else
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    assert parts.hostname is not None
    connection = kind(parts.hostname, parts.port, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection.request("GET", "/readyz" if ready else "/healthz", headers=headers)
        answer = connection.getresponse()
        status, body = answer.status, answer.read(_LONGEST_ANSWER)
    except OSError as error:
        raise _Unwell(
            f"nobody answers at {url} ({error.strerror or type(error).__name__})",
            "start the server, or correct --url",
            passing=True,
        ) from None
    except HTTPException as error:
        raise _not_ours(url, type(error).__name__) from None
    except ValueError:
        raise _Unwell(
            "the token has characters that no header can carry", "correct CIVIT_MCP_TOKEN"
        ) from None
    finally:
        connection.close()
    return _verdict(url, status, _object(body), known=token is not None)


def _address(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        # a connection would refuse such a name too, but in words that fit a wrong token as well
        name = (parts.hostname or "").encode("idna")
        usable = bool(name) and not re.search(rb"[\x00-\x20\x7f]", name)
        usable = usable and (parts.port or 0) >= 0
    except ValueError:
        usable = False
    if not usable or parts.path.strip("/") or parts.scheme not in ("http", "https"):
        raise _Unwell(f"'{url}' is no address of a server", "use one like http://127.0.0.1:8765")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise _Unwell(f"'{url}' would send the token unencrypted", "use https beyond this machine")
    return parts


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _verdict(url: str, status: int, body: dict[str, Any], *, known: bool) -> str:
    if status == 200 and body.get("status") == "ok":
        return f"ok: civit-mcp {body.get('version')} answers at {url}"
    if status == 200 and body.get("status") == "ready":
        return f"ready: {body.get('tools')} tools at {url}"
    if status == 401 and known:
        raise _Unwell(
            f"the server at {url} does not know the first token that is set here",
            "restart it (it reads its tokens at the start), or set the same tokens here",
        )
    if status == 401:
        raise _Unwell(
            f"the server at {url} asks for a token, and none is set here",
            "set CIVIT_MCP_TOKEN or CIVIT_MCP_TOKEN_FILE for both; a token made at the start "
            "is known to the server alone",
        )
    if status == 421:
        raise _Unwell(
            f"the server at {url} does not go by that name",
            "ask at a loopback address on its own machine, or add the name to "
            "CIVIT_MCP_ALLOWED_HOSTS",
        )
    if status == 503:
        why = body.get("detail") or "too many requests at once"
        raise _Unwell(f"the server at {url} is not ready: {why}", "read its log", passing=True)
    raise _not_ours(url, f"status {status}")


def _not_ours(url: str, sign: str) -> _Unwell:
    return _Unwell(f"something else answers at {url} ({sign})", "correct --url")
