"""The server as clients of both eras see it, in memory and over stdio."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import PromptReference, ResourceTemplateReference, TextContent

from civit_mcp import __version__
from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, world
from civit_mcp.server import INSTRUCTIONS, create_server
from tests.conftest import Assistant


@pytest.fixture(params=["memory", "stdio"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def client(transport: str, era: str, settings: Settings) -> AsyncIterator[Client]:
    server: Any = create_server(settings)
    if transport == "stdio":
        server = stdio_parameters(settings)
    async with Client(server, mode=era) as connected:
        yield connected


def stdio_parameters(settings: Settings, *flags: str, **env: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "civit_mcp", "serve", *flags],
        env={
            "CIVITAI_API_URL": settings.civitai_url,
            "CIVIT_MCP_CATALOG_DIR": str(settings.catalog_dir),
            "CIVIT_MCP_MODELS_ROOT": str(settings.models_root),
            "CIVIT_MCP_CACHE_DIR": str(settings.cache_dir),
            **env,
        },
    )


async def test_a_client_lists_calls_reads_prompts_and_completes(client: Client) -> None:
    tools = {tool.name for tool in (await client.list_tools()).tools}
    assert tools == {
        "search_models", "get_model", "get_model_version", "get_generation_data",
        "add_to_catalog", "promote_to_lora", "list_catalog",
        "remove_from_catalog", "edit_catalog_entry", "undo_catalog_change", "catalog_history",
        "verify_catalog", "exchange_catalog",
    }  # fmt: skip

    result = await client.call_tool("get_generation_data", {"image_id": world.DEMO_IMAGE})
    assert isinstance(result.content[0], TextContent)
    assert json.loads(result.content[0].text) == result.structured_content
    added = await client.call_tool("add_to_catalog", {"version_id": world.DEMO_LORA_VERSION})
    assert not added.is_error

    resources = {str(resource.uri) for resource in (await client.list_resources()).resources}
    assert resources == {
        "catalog://models.json", "catalog://loras.json", "catalog://summary", "civitai://enums",
    }  # fmt: skip
    templates = (await client.list_resource_templates()).resource_templates
    assert "civitai://images/{image_id}/generation-data" in {t.uri_template for t in templates}
    read = await client.read_resource("catalog://models.json")
    assert str(world.DEMO_LORA_VERSION) in str(getattr(read.contents[0], "text", ""))

    prompts = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    assert prompts.keys() == {
        "recreate-image", "build-library", "audit-catalog", "find-style-lora",
        "why-does-it-look-different",
    }  # fmt: skip
    prompt = await client.get_prompt("recreate-image", {"image": str(world.DEMO_IMAGE)})
    assert isinstance(prompt.messages[0].content, TextContent)
    assert str(world.DEMO_IMAGE) in prompt.messages[0].content.text

    completed = await client.complete(
        ref=ResourceTemplateReference(type="ref/resource", uri="catalog://models/{category}"),
        argument={"name": "category", "value": "lo"},
    )
    assert completed.completion.values == ["loras"]


async def test_the_server_says_who_it_is(client: Client) -> None:
    assert client.server_info is not None
    assert client.server_info.name == "civit-mcp"
    assert client.server_info.version == __version__
    assert client.instructions == INSTRUCTIONS
    assert len(INSTRUCTIONS) <= 512


async def test_a_refusal_is_one_coded_line(client: Client) -> None:
    result = await client.call_tool("get_model", {"model_id": 1999999999})

    assert result.is_error
    assert isinstance(result.content[0], TextContent)
    assert result.content[0].text.startswith("[not_found] ")
    assert "Next: " in result.content[0].text


async def test_base_models_complete_in_prompts(client: Client) -> None:
    completed = await client.complete(
        ref=PromptReference(type="ref/prompt", name="find-style-lora"),
        argument={"name": "base_model", "value": "flux.2"},
    )

    assert "Flux.2 D" in completed.completion.values


@pytest.mark.parametrize(
    ("tool", "arguments", "hint"),
    [
        ("search_models", {"limit": 10**9}, "limit"),
        ("search_models", {"limit": "many"}, "limit"),
        ("search_models", {"max_level": "everything"}, "max_level"),
        ("search_models", {"types": ["NoSuchType"]}, "NoSuchType"),
        ("search_models", {"cursor": "made up"}, "cursor"),
        ("search_models", {"quary": "owl"}, "quary"),
        ("get_model", {}, "model_id"),
        ("get_model", {"model_ids": list(range(1, 40))}, "model_ids"),
        ("get_model", {"model_id": {"id": 5}}, "model_id"),
        ("get_model_version", {"version_id": "-5"}, "-5"),
        ("get_model_version", {"version_id": 0}, "0"),
        ("get_model_version", {"version_id": 10**40}, "20 digits"),
        ("get_generation_data", {}, "image_id"),
        ("get_generation_data", {"image_id": None}, "image_id"),
        ("get_generation_data", {"image_id": 1.5}, "image_id"),
        ("get_generation_data", {"image_id": "https://example.com/images/5"}, "example.com"),
        ("get_generation_data", {"image_id": "https://civitai.com/models/5"}, "get_model"),
        ("get_generation_data", {"image_id": "x" * 100_000}, "Next"),
        ("list_catalog", {"limit": 0}, "limit"),
        ("list_catalog", {"cursor": "AAAA"}, "cursor"),
    ],
)
async def test_bad_arguments_are_named(
    assistant: Assistant, tool: str, arguments: dict[str, Any], hint: str
) -> None:
    sentence = await assistant.refused(tool, **arguments)

    assert sentence.startswith("[bad_reference] ")
    assert hint in sentence
    assert "pydantic.dev" not in sentence
    assert len(sentence) < 1000


async def test_an_unknown_tool_is_answered_with_the_list(assistant: Assistant) -> None:
    sentence = await assistant.refused("get_modell")

    assert sentence.startswith("[not_found] ")
    assert "get_model_version" in sentence


async def test_a_tool_set_that_is_off_is_named(settings: Settings) -> None:
    server = create_server(settings.model_copy(update={"toolsets": ("files",)}))
    async with Client(server) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        sentence = await Assistant(client).refused("get_model", model_id=1)

    assert "get_model" not in names
    assert sentence.startswith("[not_configured] ")
    assert "core" in sentence


@pytest.mark.parametrize(
    "uri",
    [
        "catalog://entries/999",
        "catalog://models/nothing",
        "civitai://models/1999999999",
        "civitai://models/not-a-number",
        "civitai://images/abc/generation-data",
        "catalog://nothing-here",
    ],
)
async def test_a_resource_that_does_not_exist_is_invalid_params(
    settings: Settings, era: str, uri: str
) -> None:
    async with Client(create_server(settings), mode=era) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)

    assert caught.value.code == -32602
    assert caught.value.message


async def test_a_prompt_that_lacks_an_argument_names_it(settings: Settings, era: str) -> None:
    async with Client(create_server(settings), mode=era) as client:
        with pytest.raises(MCPError, match="image") as missing:
            await client.get_prompt("recreate-image", {})
        with pytest.raises(MCPError, match="recreate-image") as unknown:
            await client.get_prompt("no-such-prompt", {})

    assert missing.value.code == unknown.value.code == -32602


async def test_listeners_hear_of_a_change(settings: Settings) -> None:
    async with Client(create_server(settings)) as client:
        uri = "catalog://models.json"
        async with client.listen(resource_subscriptions=[uri]) as events:
            await client.call_tool("add_to_catalog", {"version_id": world.DEMO_LORA_VERSION})
            with anyio.fail_after(5):
                event = await anext(aiter(events))

    assert uri in str(event)


@pytest.mark.parametrize(
    ("scenario", "code"),
    [
        ("unauthorized", "unauthorized"),
        ("forbidden-html", "forbidden"),
        ("not-found", "not_found"),
        ("page-cap", "rate_limited"),
        ("error-500", "upstream_unavailable"),
        ("html-200", "upstream_changed"),
        ("not-json", "upstream_changed"),
        ("region-blocked", "forbidden"),
        ("redirect-away", "upstream_changed"),
    ],
)
async def test_upstream_faults_become_coded_sentences(
    assistant: Assistant, sandbox: Sandbox, scenario: str, code: str
) -> None:
    sandbox.use(scenario)

    sentence = await assistant.refused("get_model", model_id=world.DEMO_LORA_MODEL)

    assert sentence.startswith(f"[{code}] ")
    assert "<html" not in sentence.lower()
    sandbox.use()
    answer = await assistant.ask("get_model", model_id=world.DEMO_LORA_MODEL)
    assert answer["id"] == world.DEMO_LORA_MODEL


@pytest.mark.parametrize("scenario", ["error-500-once", "devalue", "bare-trpc"])
async def test_upstream_oddities_do_not_show(
    assistant: Assistant, settings: Settings, sandbox: Sandbox, scenario: str
) -> None:
    usual = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)
    other = create_server(settings)
    sandbox.use(scenario)

    async with Client(other) as client:
        answer = await Assistant(client).ask("get_generation_data", image_id=world.DEMO_IMAGE)

    assert answer["detected_deps"] == usual["detected_deps"]
    assert answer["resources"] == usual["resources"]


async def test_raw_control_characters_in_an_answer_do_not_stop_it(
    assistant: Assistant, sandbox: Sandbox
) -> None:
    sandbox.use("control-chars")

    answer = await assistant.ask("get_generation_data", image_id=world.DEMO_IMAGE)

    assert len(answer["resources"]) == 2
    assert "\x01" not in json.dumps([row["modelName"] for row in answer["resources"]])


@asynccontextmanager
async def served(settings: Settings, errlog: Path, **env: str) -> AsyncIterator[Client]:
    from mcp.client.stdio import stdio_client

    with errlog.open("w", encoding="utf-8") as stream:
        parameters = stdio_parameters(settings, "--log-level", "DEBUG", **env)
        async with Client(stdio_client(parameters, errlog=stream)) as client:
            yield client


async def test_a_key_appears_nowhere(settings: Settings, sandbox: Sandbox, tmp_path: Path) -> None:
    canary = "canary-3f9a0c77d1"
    errors = tmp_path / "stderr.txt"
    sandbox.use("key-echo:/models/4102")
    said: list[str] = []
    async with served(settings, errors, CIVITAI_API_KEY=canary) as client:
        for tool, arguments in (
            ("get_generation_data", {"image_id": world.DEMO_IMAGE, "include_raw": True}),
            ("get_model", {"model_id": world.DEMO_LORA_MODEL}),
            ("get_model_version", {"version_id": world.DEMO_LORA_VERSION}),
            ("add_to_catalog", {"version_id": world.DEMO_LORA_VERSION}),
            ("search_models", {"query": "mist"}),
        ):
            result = await client.call_tool(tool, arguments)
            said.append(result.model_dump_json())
        read = await client.read_resource("catalog://models.json")
        said.append(read.model_dump_json())

    sent = [seen for seen in sandbox.seen if canary in seen.headers.get("authorization", "")]
    assert sent, "the key was never used, so this proves nothing"
    assert not any(canary in str(seen.query) or canary in seen.path for seen in sandbox.seen)
    assert not any(canary in text for text in said)
    assert canary not in errors.read_text("utf-8")
    for folder in (settings.catalog_dir, settings.cache_dir):
        for path in folder.rglob("*"):
            assert not path.is_file() or canary.encode() not in path.read_bytes()


async def test_stdout_carries_the_protocol_and_nothing_else(settings: Settings) -> None:
    command = [sys.executable, "-m", "civit_mcp"]
    env = {
        **os.environ,
        "CIVIT_MCP_CATALOG_DIR": str(settings.catalog_dir),
        "CIVIT_MCP_LOG_LEVEL": "DEBUG",
        "CIVITAI_API_URL": settings.civitai_url,
    }
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "raw", "version": "1"},
        },
    }
    call = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": "list_catalog", "arguments": {}},
    }
    lines = [hello, {"jsonrpc": "2.0", "method": "notifications/initialized"}, call]
    typed = "".join(json.dumps(line) + "\n" for line in lines).encode()
    async with await anyio.open_process(command, env=env) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdin.send(typed)
        out = b""
        with anyio.fail_after(20):
            while out.count(b"\n") < 2:
                out += await process.stdout.receive()
        await process.stdin.aclose()
        with anyio.fail_after(10):
            assert await process.wait() == 0

    answers = [json.loads(line) for line in out.splitlines()]
    assert {answer["id"] for answer in answers} == {1, 2}
