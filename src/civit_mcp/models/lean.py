"""Bases of our answers: strict when built, lean when sent.

Hosts show a model the structured content alone, so a field that says nothing costs tokens:
a `Row` leaves out the fields that are empty and not required, an `Answer` sends them all.
"""

from typing import Any, ClassVar

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
    _required: ClassVar[frozenset[str]] = frozenset()

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

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Know once which fields are sent whatever they hold."""
        super().__pydantic_init_subclass__(**kwargs)
        cls._required = frozenset(
            name for name, field in cls.model_fields.items() if field.is_required()
        )

    @model_serializer(mode="wrap")
    def _lean(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        required = self._required
        return {
            key: value
            for key, value in handler(self).items()
            # what is false or zero says something all the same
            if value or key in required or value is False or value == 0
        }
