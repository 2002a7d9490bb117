"""Argument types that several tools share, with the words a model reads."""

from typing import Annotated, Final, cast

from pydantic import Field, StrictInt

from civit_mcp.models.levels import Level

#: a number as JSON number or text; true is neither
Ref = StrictInt | str
VersionRef = Annotated[
    Ref, Field(description="version id, model or version URL, AIR, id@version or hash")
]
ModelRef = Annotated[Ref, Field(description="model id, URL, AIR or hash")]
ImageRef = Annotated[Ref, Field(description="image id or URL")]
PostRef = Annotated[Ref, Field(description="post id or URL")]
CollectionRef = Annotated[Ref, Field(description="collection id or URL")]
DryRun = Annotated[bool, Field(description="show the diff, write nothing")]
Cursor = Annotated[str | None, Field(description="next_cursor of the last answer")]


class _Unsaid(str):
    """A default that can be told from the same word in a call."""

    __slots__ = ()


USUAL_LEVEL: Final = cast("Level", _Unsaid("pg13"))


def was_said(level: Level) -> bool:
    """Whether a call named its level, even if it named the usual one."""
    return not isinstance(level, _Unsaid)
