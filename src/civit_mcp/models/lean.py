"""Bases of our answers: strict when built, lean when sent.

Hosts show a model the structured content alone, so a field that says nothing costs tokens:
a `Row` leaves out the fields that are empty and not required, an `Answer` sends them all.
"""

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Answer(BaseModel):
    """A top-level answer: every declared field is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(BaseModel):
    """A part of an answer: an empty field is left out, unless it is required."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say what is sent: an empty optional field is absent, so it is never null."""
        schema = handler(core_schema)
        shape = handler.resolve_ref_schema(schema)
        for name, part in shape.get("properties", {}).items():
            if name in shape.get("required", ()):
                continue
            choices = [choice for choice in part.get("anyOf", ()) if choice != {"type": "null"}]
            if len(choices) == 1:
                del part["anyOf"]
                part.update(choices[0])
            elif choices:
                part["anyOf"] = choices
        return schema

    @model_serializer(mode="wrap")
    def _lean(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        full: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {
            key: value
            for key, value in full.items()
            if fields[key].is_required() or not _says_nothing(value)
        }


def _says_nothing(value: object) -> bool:
    return value is None or (isinstance(value, (str, list, dict, tuple)) and not value)
