"""Fixtures that answer: the names are the suite's, whatever they say is ours."""

import base64
import io
import json
import struct
import wave
import zlib
from typing import Annotated, Any, Final

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.types import (
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

#: what the suite looks for, keyword by keyword, in the schema of one tool
SCHEMA_TOOL: Final = "json_schema_2020_12_tool"
SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def _png() -> bytes:
    """One red dot."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    dot = zlib.compress(b"\x00\xff\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", dot) + chunk(b"IEND", b"")


def _wav() -> bytes:
    """A hundredth of a second of silence."""
    kept = io.BytesIO()
    with wave.open(kept, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(160))
    return kept.getvalue()


PNG: Final = _png()


def _image() -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")


def _embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(
        type="resource",
        resource=TextResourceContents(uri=uri, text=text, mime_type=mime_type),
    )


async def test_simple_text() -> str:
    """Say one sentence."""
    return "A sentence, as asked for."


async def test_image_content() -> list[ContentBlock]:
    """Show a picture."""
    return [_image()]


async def test_audio_content() -> list[ContentBlock]:
    """Play a sound."""
    data = base64.b64encode(_wav()).decode()
    return [AudioContent(type="audio", data=data, mime_type="audio/wav")]


async def test_embedded_resource() -> list[ContentBlock]:
    """Hand over a resource."""
    return [_embedded("test://embedded-resource", "What the resource holds.")]


async def test_multiple_content_types() -> list[ContentBlock]:
    """Say, show and hand over at once."""
    data = json.dumps({"parts": 3})
    return [
        TextContent(type="text", text="Three parts:"),
        _image(),
        _embedded("test://mixed-content-resource", data, "application/json"),
    ]


async def test_error_handling() -> str:
    """Go wrong on purpose."""
    raise ToolError("this tool always goes wrong")


async def test_tool_with_progress(ctx: Context[Any]) -> str:
    """Report three steps on the way."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
    return "done"


async def test_tool_with_logging(ctx: Context[Any]) -> str:
    """Send three log lines on the way, to a client that takes them."""
    for text in ("begun", "under way", "finished"):
        await ctx.info(text)
    return "done"


async def test_logging_tool(ctx: Context[Any]) -> str:
    """Send one log line, to a client that takes it."""
    await ctx.info("a line")
    return "done"


async def test_reconnection(ctx: Context[Any]) -> str:
    """Hang up in the middle, where the server keeps what was missed."""
    await ctx.close_sse_stream()
    return "done"


async def test_custom_header(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
) -> str:
    """Take an argument that travels in a header as well."""
    return region


async def schema_tool(name: str = "") -> str:
    """Be listed with a schema that uses the whole vocabulary."""
    return name


TOOLS: Final = (
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_error_handling,
    test_tool_with_progress,
    test_tool_with_logging,
    test_logging_tool,
    test_reconnection,
    test_custom_header,
)


def static_text() -> str:
    """A resource of text."""
    return "What a text resource holds."


def static_binary() -> bytes:
    """A resource of bytes."""
    return PNG


def template_data(id: str) -> str:  # noqa: A002 - the template's variable is called so
    """A resource that depends on its address."""
    return json.dumps({"id": id, "from": "template"})


def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "A prompt, as asked for."


def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt of two arguments."""
    return f"One is {arg1}, the other is {arg2}."


def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:  # noqa: N803 - the suite's word
    """A prompt that brings a resource along."""
    return [
        UserMessage(_embedded(resourceUri, "What the resource holds.")),
        UserMessage("Read the resource above."),
    ]


def test_prompt_with_image() -> list[Message]:
    """A prompt that brings a picture along."""
    return [UserMessage(_image()), UserMessage("Look at the picture above.")]


PROMPTS: Final = (
    test_simple_prompt,
    test_prompt_with_arguments,
    test_prompt_with_embedded_resource,
    test_prompt_with_image,
)
