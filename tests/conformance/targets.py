"""Servers as processes of their own: the two that the suite is run against, and others."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).parents[2]
Target = Literal["product", "fixtures"]
#: the product with default settings over the stand-in, and the same with fixtures registered
COMMANDS: Final[dict[Target, tuple[str, ...]]] = {
    "product": (
        "-m", "civit_mcp", "serve", "--transport", "http", "--port", "0", "--no-auth", "--sandbox",
    ),
    "fixtures": ("-m", "tests.conformance.fixtures"),
}  # fmt: skip
#: seconds for a server to be there, and for it to be gone
PATIENCE: Final = 30
_ADDRESS: Final = re.compile(r"serves (http://\S+/mcp)")
_OURS: Final = ("CIVITAI_", "CIVIT_MCP_", "COMFYUI_")


@contextmanager
def running(
    command: Sequence[str], *, settings: Mapping[str, str] | None = None
) -> Iterator["Server"]:
    """Run a Python command that serves; the user's own settings are kept out.

    Raises:
        RuntimeError: it did not start.
    """
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
            **(settings or {}),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = Server(process)
    try:
        server.wait_until_there()
        yield server
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        server.join()


class Server(threading.Thread):
    """A running server; the thread reads what it says, so that it never waits for a reader."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._lines: list[str] = []
        self._there = threading.Event()
        #: of its /mcp endpoint
        self.address = ""
        self.start()

    def run(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                self._lines.append(line)
                found = _ADDRESS.search(line)
                if found is not None:
                    self.address = found[1]
                    self._there.set()
        self._there.set()

    def wait_until_there(self) -> None:
        self._there.wait(PATIENCE)
        if not self.address:
            raise RuntimeError("the server did not start:\n" + self.last_words())

    def last_words(self) -> str:
        """The end of what it said on stderr."""
        return "".join(self._lines[-20:])
