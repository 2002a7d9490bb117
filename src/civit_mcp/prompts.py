"""The prompts that the server offers, one file each in `prompts/` of the repository.

A file is TOML between two lines of `+++`, then the body. In the body `{{name}}` stands for an
argument and `{{name|words}}` for an optional one with what to say when it is not given.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from civit_mcp.errors import BadReference, NotConfigured

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

#: where the wheel keeps the files
_PACKAGED: Final = "_prompts"
_FENCE: Final = "+++"
_PLACE: Final = re.compile(r"\{\{([a-z_]+)(?:\|([^{}]*))?\}\}")
_MAX_VALUE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptArgument:
    """One argument of a prompt."""

    name: str
    description: str
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptText:
    """One prompt as written in its file."""

    name: str
    title: str
    description: str
    arguments: tuple[PromptArgument, ...]
    body: str

    def render(self, arguments: Mapping[str, str]) -> str:
        """Put the argument values into the body.

        Values are data: one line, at most 500 characters, without characters that could end
        the quotes around them or open a place of their own. Unknown names are ignored. Raises
        `BadReference` for a required argument that is missing or blank.
        """
        values = {
            argument.name: _as_data(arguments.get(argument.name, "")) for argument in self.arguments
        }
        for argument in self.arguments:
            if argument.required and not values[argument.name]:
                raise BadReference(
                    f"the prompt '{self.name}' needs the argument '{argument.name}'",
                    f"give it: {argument.description}",
                )
        # one pass: what a value holds is never looked at again
        return _PLACE.sub(lambda place: values.get(place[1]) or place[2] or "", self.body)


def load_prompts() -> list[PromptText]:
    """Read every prompt, by name. Raises `NotConfigured` when a file is broken or none is there."""
    folder: Traversable = files(__package__) / _PACKAGED
    if not folder.is_dir():
        folder = Path(__file__).parents[2] / "prompts"
    there = folder.iterdir() if folder.is_dir() else iter(())
    names = sorted(file.name for file in there if file.name.endswith(".md"))
    if not names:
        raise NotConfigured("the prompt files are missing from the package", "reinstall civit-mcp")
    return [
        parse_prompt(name.removesuffix(".md"), (folder / name).read_text(encoding="utf-8"))
        for name in names
    ]


def parse_prompt(name: str, text: str) -> PromptText:
    """Read one file. Raises `NotConfigured` saying what is wrong with it."""
    opening, _, rest = text.replace("\r\n", "\n").partition("\n")
    front, fence, body = rest.partition(f"\n{_FENCE}\n")
    if opening.strip() != _FENCE or not fence:
        raise _broken(name, "it does not begin with TOML between two lines of '+++'")
    try:
        head = tomllib.loads(front)
        return PromptText(
            name=name,
            title=_words(head, "title"),
            description=_words(head, "description"),
            arguments=tuple(
                PromptArgument(
                    name=_words(row, "name"),
                    description=_words(row, "description"),
                    required=row.get("required") is True,
                )
                for row in head.get("arguments", [])
            ),
            body=body.strip() + "\n",
        )
    except (tomllib.TOMLDecodeError, TypeError, AttributeError) as problem:
        raise _broken(name, f"its front matter cannot be read ({problem})") from problem


def _words(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"'{key}' has to be text")
    return value.strip()


def _broken(name: str, why: str) -> NotConfigured:
    return NotConfigured(f"the prompt file '{name}.md' is broken: {why}", "reinstall civit-mcp")


def _as_data(value: object) -> str:
    """Make of a value one line that cannot be taken for a part of the prompt around it."""
    # a letter, mark, number, sign or plain space is kept; everything that is not drawn goes
    drawn = "".join(char if char.isprintable() else " " for char in str(value)[: _MAX_VALUE * 4])
    line = " ".join(drawn.split())[:_MAX_VALUE].rstrip()
    return line.translate({ord('"'): "'", ord("`"): "'", ord("{"): "(", ord("}"): ")"})
