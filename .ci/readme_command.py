"""Print one of the README's marked commands, so that CI runs what a reader would paste.

A command is the fenced block after a line `<!-- command: NAME -->`.
"""

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
PATTERN = r"<!-- command: {} -->\s*```(?:console|sh|bash)\n(.*?)```"


def command(name: str) -> str:
    """Find the command called `name`."""
    found = re.search(PATTERN.format(re.escape(name)), README.read_text("utf-8"), re.DOTALL)
    if found is None:
        sys.exit(f"README.md marks no command '{name}'")
    return found.group(1).strip()


if __name__ == "__main__":
    print(command(sys.argv[1]))
