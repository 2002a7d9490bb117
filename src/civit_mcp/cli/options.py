"""The flags, and the settings they make."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from civit_mcp import __version__
from civit_mcp.config import Settings
from civit_mcp.models.levels import LEVELS

#: flag -> field of Settings
VALUE_FLAGS: Final = {
    "--civitai-url": "civitai_url",
    "--catalog-dir": "catalog_dir",
    "--models-root": "models_root",
    "--max-level": "max_level",
    "--toolsets": "toolsets",
    "--cache-dir": "cache_dir",
    "--token-file": "token_file",
    "--log-level": "log_level",
}
SWITCH_FLAGS: Final = {
    "--read-only": "read_only",
    "--offline": "offline",
    "--metrics": "metrics",
}
#: command -> (module, help)
COMMANDS: Final = {
    "serve": ("civit_mcp.cli.serve", "serve MCP over stdio (the default command)"),
    "call": ("civit_mcp.cli.call", "ask one tool and print its answer as JSON"),
    "check": ("civit_mcp.cli.check", "check settings, catalog, models root, CivitAI and key"),
    "health": ("civit_mcp.cli.health", "ask a server over HTTP whether it is well"),
    "demo": (
        "civit_mcp.cli.demo",
        "a told tour: read an image, add its parts, promote a LoRA, all on the stand-in",
    ),
    "sandbox": ("civit_mcp.cli.sandbox", "run the CivitAI stand-in alone on loopback"),
}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; a missing command means `serve`."""
    words = list(argv)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "serve")
    parser = argparse.ArgumentParser(prog="civit-mcp", description=_SUMMARY)
    parser.add_argument("--version", action="version", version=f"civit-mcp {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, help_text) in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        if name != "sandbox":
            _add_setting_flags(command)
        _add_own_arguments(name, command)
        command.set_defaults(run=_runner(module))
    return parser.parse_args(words)


_SUMMARY: Final = (
    "MCP server that reads CivitAI and keeps a ComfyUI catalog. Without a command it serves "
    "MCP over stdio."
)


def _runner(module: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        code: int = import_module(module).run(arguments)
        return code

    return run


def _add_setting_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings (a flag wins over the environment)")
    fields = Settings.model_fields
    for flag, name in VALUE_FLAGS.items():
        group.add_argument(
            flag,
            dest=name,
            default=None,
            metavar=name.rsplit("_", 1)[-1].upper(),
            help=fields[name].description,
            choices=LEVELS if name == "max_level" else None,
        )
    for flag, name in SWITCH_FLAGS.items():
        group.add_argument(
            flag, dest=name, action="store_true", default=None, help=fields[name].description
        )


def _add_own_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    if name in ("serve", "call"):
        parser.add_argument(
            "--sandbox",
            action="store_true",
            help="talk to the bundled stand-in; without --catalog-dir the catalog is temporary",
        )
    if name == "serve":
        parser.add_argument(
            "--transport",
            choices=("stdio", "http", "sse"),
            default="stdio",
            help="http serves every HTTP transport at once; sse is another name of it",
        )
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (http)")
        parser.add_argument("--port", type=_port, default=8765, help="0 takes a free one (http)")
        parser.add_argument(
            "--no-auth", action="store_true", help="ask for no token; loopback only (http)"
        )
    elif name == "call":
        parser.add_argument("tool", help="name of a tool, such as search_models")
        parser.add_argument(
            "arguments", nargs="?", default="{}", help="JSON object, or - for stdin"
        )
    elif name == "health":
        parser.add_argument(
            "--url", default="http://127.0.0.1:8765", help="where the server is (default: here)"
        )
        parser.add_argument(
            "--ready", action="store_true", help="also ask whether it can read the catalog"
        )
        parser.add_argument(
            "--wait", type=float, default=0.0, metavar="SECONDS", help="let it come up first"
        )
    elif name == "sandbox":
        parser.add_argument("--port", type=_port, default=0, help="0 takes a free one")
        parser.add_argument("--data", metavar="DIR", help="a folder of recorded answers")
        parser.add_argument(
            "--scenario", action="append", default=[], metavar="NAME", help="a fault; repeatable"
        )
        parser.add_argument(
            "--latency-ms", type=float, default=0.0, metavar="MS", help="wait before each answer"
        )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port; use a number from 0 to 65535")
    return int(text)


def settings_from(arguments: argparse.Namespace, **defaults: Any) -> Settings:
    """Build the settings: flags, then environment, then `defaults`; exits with 2 when wrong."""
    flags = {
        name: value
        for name in (*VALUE_FLAGS.values(), *SWITCH_FLAGS.values())
        if (value := getattr(arguments, name, None)) is not None
    }
    try:
        from_environment = Settings(**flags).model_fields_set
        return Settings(
            **{name: value for name, value in defaults.items() if name not in from_environment},
            **flags,
        )
    except ValidationError as error:
        refuse_settings(error)


def refuse_settings(error: ValidationError) -> NoReturn:
    """Name each wrong setting without its value, which may be a secret."""
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in problem["loc"]) or "settings"
        print(f"civit-mcp: setting {name}: {problem['msg']}", file=sys.stderr)
    sys.exit(2)
