"""What can go wrong on purpose: names, and which of them hold for a request.

A name alone holds for the whole API, or for all of storage where it speaks of storage;
`name:fragment` holds for paths that contain the
fragment, on either port (storage paths begin with `/storage/`). Several may hold at once.
A scenario that happens once happens once to each path.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from civit_mcp.errors import BadReference

SCENARIOS: Final[Mapping[str, str]] = {
    "unauthorized": "every answer is 401 Unauthorized",
    "forbidden-html": "every answer is 403 with a web page",
    "not-found": "every answer is 404",
    "rate-limit": "the first request to each path gets 429 with Retry-After: 1",
    "rate-limit-forever": "every answer is 429 with a web page and no Retry-After",
    "page-cap": "every answer is the 429 of pages that are too deep",
    "error-500": "every answer is 500 in plain text",
    "error-500-once": "the first request to each path gets 500",
    "busy": "every answer is 503 with Retry-After: 2",
    "busy-once": "the first request to each path gets 503 with Retry-After: 1",
    "busy-retry-date": "the first request to each path gets 503 with Retry-After as a date",
    "cloudflare-524": "every answer is 524 with a web page",
    "html-200": "every answer is 200 with a web page",
    "not-json": "every answer is 200 and says JSON, but is none",
    "redirect-away": "every answer is a redirect to another host",
    "region-blocked": "every answer is 451",
    "key-echo": "every answer is 403 and repeats the key it was asked with",
    "huge": "every answer is a JSON object of more than 64 MiB",
    "drop": "the connection closes before an answer",
    "drop-mid-body": "the connection closes in the middle of the body",
    "truncated": "Content-Length promises more than the body holds",
    "slow": "answers come after 30 seconds",
    "slow-body": "bodies come in small pieces over 30 seconds",
    "devalue": "tRPC results and errors are devalue text",
    "bare-trpc": "tRPC results and errors lack the `json` level",
    "null-fields": "optional fields are null",
    "control-chars": "texts hold raw control characters",
    "origin-gate-off": "tRPC answers anybody",
    "empty-pages": "lists have empty pages between the others",
    "repeat-cursor": "lists give the same cursor again and again",
    "wrong-image": "asking for one image gives another",
    "no-membership": "the key's owner is no member and has no vault",
    "filename-utf8": "storage gives the file's name in the extended form only",
    "filename-both": "storage gives the file's name in both forms",
    "filename-path": "storage gives a name with folders in it",
    "filename-missing": "storage gives no name for the file",
}
#: hold on the storage port without a fragment
STORAGE: Final = frozenset({"filename-utf8", "filename-both", "filename-path", "filename-missing"})
ONCE: Final = frozenset({"rate-limit", "error-500-once", "busy-once", "busy-retry-date"})


@dataclass(frozen=True, slots=True)
class Active:
    """A scenario that is switched on."""

    name: str
    fragment: str = ""

    def holds(self, path: str, role: str) -> bool:
        """Whether it is meant for a request to `path` on the `api` or `storage` port."""
        if self.fragment:
            return self.fragment in path
        return role == ("storage" if self.name in STORAGE else "api")


def parse(names: Iterable[str]) -> tuple[Active, ...]:
    """Read scenario names; an unknown one raises `BadReference`."""
    active = []
    for text in names:
        name, _, fragment = text.strip().partition(":")
        if name not in SCENARIOS:
            known = ", ".join(sorted(SCENARIOS))
            raise BadReference(f"there is no scenario '{name}'", f"choose from: {known}")
        active.append(Active(name, fragment))
    return tuple(active)


class Switchboard:
    """The scenarios that are on, and what already happened once."""

    def __init__(self, names: Iterable[str]) -> None:
        self._active = parse(names)
        self._done: set[tuple[str, str]] = set()

    @property
    def names(self) -> list[str]:
        """What is on, as it was spelled."""
        return [f"{a.name}:{a.fragment}" if a.fragment else a.name for a in self._active]

    def use(self, names: Iterable[str]) -> None:
        """Replace what is on and forget what happened."""
        self._active = parse(names)
        self._done = set()

    def holding(self, path: str, role: str) -> frozenset[str]:
        """Names that hold for one request; asking counts as the once of a path."""
        found = set()
        for each in self._active:
            if not each.holds(path, role):
                continue
            if each.name in ONCE:
                if (each.name, path) in self._done:
                    continue
                self._done.add((each.name, path))
            found.add(each.name)
        return frozenset(found)
