"""The list of traps has no gap, and every test of one says which."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
NUMBERED = re.compile(r"test_trap_(\d\d)_\w{20,}")


def _tests() -> list[str]:
    trees = [ast.parse(path.read_text("utf-8")) for path in sorted(HERE.glob("test_traps_*.py"))]
    return [
        node.name
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]


def test_every_trap_from_1_to_90_has_a_test() -> None:
    numbers = {int(match[1]) for name in _tests() if (match := NUMBERED.fullmatch(name))}

    assert numbers == set(range(1, 91))


def test_every_test_in_these_files_is_named_after_its_trap() -> None:
    assert [name for name in _tests() if NUMBERED.fullmatch(name) is None] == []


def test_no_two_tests_share_a_name() -> None:
    names = _tests()

    assert len(names) == len(set(names))
