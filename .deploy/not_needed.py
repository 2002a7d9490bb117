"""Print the installed packages that civit-mcp can run without, one a line.

The pins hold what CI installs, tools among it. What is installed by hash and then taken out
again leaves the run-time packages in exactly the versions that the tests saw.
"""

import re
from importlib.metadata import distribution, distributions

from packaging.requirements import Requirement


def plain(name: str) -> str:
    """Spell a package's name in the one way that compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(root: str) -> set[str]:
    """Name `root`, what it requires, what that requires, and so on, with the extras asked for."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(root, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found.add(name)
        for text in distribution(name).requires or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                waiting += [(plain(wanted.name), e) for e in ("", *wanted.extras)]
    return found


if __name__ == "__main__":
    installed = {plain(item.metadata["Name"]) for item in distributions()}
    # whoever takes them out needs pip until the end
    print(
        "\n".join(sorted(installed - needed("civit-mcp"), key=lambda name: (name == "pip", name)))
    )
