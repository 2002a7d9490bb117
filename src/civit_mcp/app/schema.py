"""JSON schemas as a client needs them: without what generators add."""

from typing import Any, Final

#: what a generated output schema repeats for every part and no reader needs
OUTPUT_NOISE: Final = frozenset({"title", "description", "default", "additionalProperties"})


def lean_schema(schema: Any, noise: frozenset[str] = frozenset({"title"})) -> Any:
    """Drop the keywords in `noise` at every level; never a property that is called like one.

    A choice between a simple type and null is written in its short form.
    """
    if isinstance(schema, list):
        return [lean_schema(part, noise) for part in schema]
    if not isinstance(schema, dict):
        return schema
    lean: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            lean[key] = {name: lean_schema(part, noise) for name, part in value.items()}
        elif key not in noise:
            lean[key] = lean_schema(value, noise)
    return _short_choice(lean)


def _short_choice(schema: dict[str, Any]) -> dict[str, Any]:
    """`anyOf: [{type: a}, {type: b}]` says no more than `type: [a, b]`."""
    choices = schema.get("anyOf")
    if isinstance(choices, list) and all(set(choice) == {"type"} for choice in choices):
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return {"type": [choice["type"] for choice in choices], **rest}
    return schema
