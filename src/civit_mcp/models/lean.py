"""Bases of our answers: strict when built, lean when sent.

Hosts show a model the structured content alone, so a field that says nothing costs tokens:
a `Row` drops None and empty values, an `Answer` keeps the fields its contract promises.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Answer(BaseModel):
    """A top-level answer: every declared field is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(BaseModel):
    """A part of an answer: empty fields are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_serializer(mode="wrap")
    def _lean(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        full: dict[str, Any] = handler(self)
        return {key: value for key, value in full.items() if not _says_nothing(value)}


def _says_nothing(value: object) -> bool:
    return value is None or (isinstance(value, (str, list, dict, tuple)) and not value)
