"""The command line: argv and environment become settings, settings become a command."""

import gc
import sys
from collections.abc import Sequence

from civit_mcp.cli.options import parse
from civit_mcp.errors import CivitError


def main(argv: Sequence[str] | None = None) -> int:
    """Run `civit-mcp`; returns the exit code (2: the command line or a setting is wrong)."""
    # start-up allocates a few hundred thousand objects that all stay; scanning them is waste
    gc.disable()
    arguments = parse(sys.argv[1:] if argv is None else argv)
    if arguments.command != "serve":
        # `serve` turns it on again by itself, once the server stands
        gc.enable()
    try:
        code: int = arguments.run(arguments)
    except CivitError as error:
        print(f"civit-mcp: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        gc.enable()
    return code
