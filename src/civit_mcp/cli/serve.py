"""`civit-mcp serve`: MCP over stdio, or over HTTP."""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from civit_mcp.cli.options import settings_from
from civit_mcp.config import Settings


def run(arguments: argparse.Namespace) -> int:
    """Serve until the client closes stdin, or until a signal; being told to stop is no failure."""
    from civit_mcp.server import run_stdio

    with contextlib.ExitStack() as stack:

        def leave() -> None:
            # a thread waits for stdin, and nothing but the client wakes it
            stack.close()
            os._exit(0)

        stack.enter_context(_when_terminated(sys.exit))
        settings = stack.enter_context(chosen_settings(arguments))
        if arguments.transport != "stdio":
            return _serve_http(settings, arguments)
        stack.enter_context(_when_terminated(leave))
        run_stdio(settings)
        return 0


@contextlib.contextmanager
def _when_terminated(act: Callable[[], object]) -> Iterator[None]:
    """Do something of our own on SIGTERM, so that what is open is closed.

    Without it the process is gone at once. uvicorn hears the signal in our place, stops, and
    then raises it once more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _serve_http(settings: Settings, arguments: argparse.Namespace) -> int:
    import gc

    from civit_mcp import web
    from civit_mcp.server import configure_logging, create_server

    configure_logging(settings)
    server = create_server(settings)
    server.on_settled = gc.freeze
    gc.freeze()
    gc.enable()
    return web.serve(server, host=arguments.host, port=arguments.port, no_auth=arguments.no_auth)


@contextlib.contextmanager
def chosen_settings(arguments: argparse.Namespace) -> Iterator[Settings]:
    """Give the settings; with `--sandbox` the stand-in runs for as long as they are used."""
    if not arguments.sandbox:
        yield settings_from(arguments)
        return
    from civit_mcp.sandbox import running_sandbox

    with (
        running_sandbox() as sandbox,
        tempfile.TemporaryDirectory(prefix="civit-mcp-") as folder,
    ):
        # the stand-in is the point of the flag, so it wins over a configured address
        arguments.civitai_url = sandbox.base_url
        yield settings_from(
            arguments,
            catalog_dir=Path(folder) / "catalog",
            models_root=Path(folder) / "models",
            cache_dir=Path(folder) / "cache",
        )
