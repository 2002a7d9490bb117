"""Argument types that several tools share, with the words a model reads."""

from typing import Annotated

from pydantic import Field

VersionRef = Annotated[
    int | str, Field(description="version id, model or version URL, AIR, id@version or hash")
]
ModelRef = Annotated[int | str, Field(description="model id, URL, AIR or hash")]
ImageRef = Annotated[int | str, Field(description="image id or URL")]
DryRun = Annotated[bool, Field(description="show the diff, write nothing")]
Cursor = Annotated[str | None, Field(description="next_cursor of the last answer")]
