"""What a CivitAI that is not itself any more may do: send us elsewhere, and take our secrets."""

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from civit_mcp.app import App
from civit_mcp.catalog import Catalog
from civit_mcp.civitai import CivitaiClient
from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, world
from civit_mcp.server import create_server
from civit_mcp.usecases.desk import Desk
from tests.civitai_support import HandClock
from tests.http_kit import BEARER, TOKEN, call_over, connected, everything, head, served, visitor
from tests.traps.kit import SHA256, OddSite, at_civitai, code_of, odd_site

KEY = "canary-key-of-the-operator"
COOKIE = "canary-cookie-of-the-site"
CALLERS = "canary-key-of-a-caller"
#: questions over REST, over tRPC, and one that is a POST
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "REST": ("get_model", {"model_id": 801}),
    "tRPC": ("get_generation_data", {"image_id": 700}),
    "POST": ("identify_files", {"hashes": [SHA256]}),
    "list": ("search_models", {"query": "harbor"}),
}
ELSEWHERE = [
    "https://evil.example/", "//evil.example/x", "http://civitai.com/api", "https://civitai.com:444/",
    "https://evil.civitai.com/", "https://civitai.com.evil.example/", "https://civitai.com@evil.example/",
    "https://civitai.com:443@evil.example/", "https://civitai.com\\@evil.example/",
    "https://evil.example#@civitai.com/", "https://evil.example?civitai.com", "\\\\evil.example\\x",
    "http://127.0.0.1/", "https://127.0.0.1:8765/healthz", "https://localhost/", "https://[::1]/",
    "https://2130706433/", "https://169.254.169.254/latest/meta-data/", "https://[::ffff:127.0.0.1]/",
    "file:///etc/passwd", "ftp://civitai.com/", "data:application/json,{}", "javascript:alert(1)",
    "gopher://127.0.0.1:6379/_x", "https://civitai.com%2eevil.example/", "https:///x",
    "https://cïvitai.com/", "https://xn--cvitai-wxa.com/",
]  # fmt: skip


class Everywhere(dict[str, Any]):
    """One answer to every question."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def get(self, _key: object, _default: object = None) -> Any:
        return self.answer


@contextmanager
def keyed(settings: Settings) -> Iterator[str]:
    """A server with keys, whose waits pass in no time."""
    chosen = settings.model_copy(
        update={
            "token": SecretStr(TOKEN),
            "civitai_api_key": SecretStr(KEY),
            "toolsets": ("all",),
            "metrics": True,
        }
    )
    app = App(chosen)
    client = CivitaiClient(chosen, clock=HandClock())
    app.__dict__["desk"] = Desk(chosen, client, Catalog(chosen.catalog_dir, chosen.models_root))
    with served(chosen, server=create_server(chosen, app=app)) as base:
        yield base


def only_civitai_was_asked(site: OddSite) -> bool:
    return all(
        request.url.scheme == "https" and request.url.host == "civitai.com" and not request.url.port
        for request in site.seen
    )


@pytest.mark.parametrize("kind", ASKED)
async def test_no_redirect_leads_a_question_or_a_key_to_another_place(
    settings: Settings, kind: str
) -> None:
    tool, arguments = ASKED[kind]
    with odd_site() as site, keyed(at_civitai(settings)) as base:
        async with visitor(base) as client:
            for target, status in itertools.product(ELSEWHERE, (301, 302, 303, 307, 308)):
                moved = httpx.Response(status, headers=[(b"location", target.encode())])
                site.answers = Everywhere(moved)
                result = await client.call_tool(tool, arguments)
                told = str(result.content)
                # a tool that asks about several things tells the fault of each in its row
                assert "[upstream_changed] " in told, target
                assert result.is_error or kind == "POST"
                assert "canary" not in told
        assert site.seen
        assert only_civitai_was_asked(site), {str(request.url) for request in site.seen}


@pytest.mark.parametrize("kind", ["REST", "tRPC", "list"])
async def test_a_chain_that_ends_elsewhere_and_a_loop_end_here(
    settings: Settings, kind: str
) -> None:
    tool, arguments = ASKED[kind]

    def chain(request: httpx.Request) -> httpx.Response:
        steps = {"/step-1": "/step-2", "/step-2": "https://evil.example/"}
        return httpx.Response(307, headers={"location": steps.get(request.url.path, "/step-1")})

    def loop(request: httpx.Request) -> httpx.Response:
        other = "/b" if request.url.path == "/a" else "/a"
        return httpx.Response(302, headers={"location": other})

    with odd_site() as site, keyed(at_civitai(settings)) as base:
        for way in (chain, loop):
            site.answers = Everywhere(way)
            before = len(site.seen)
            result = await call_over(base, "http", "auto", tool, arguments)
            assert code_of(result.content[0].text) == "upstream_changed"
            # each question of the tool goes four steps at most
            assert len(site.seen) - before <= 4 * 4
        assert only_civitai_was_asked(site)


async def test_a_redirect_takes_no_callers_key_along_either(settings: Settings) -> None:
    with odd_site() as site, keyed(at_civitai(settings)) as base:
        site.answers = Everywhere(
            httpx.Response(302, headers={"location": "https://evil.example/"})
        )
        tool, arguments = ASKED["REST"]
        header = {"X-Civitai-Api-Key": CALLERS}
        result = await call_over(base, "http", "auto", tool, arguments, **header)

    assert result.is_error
    assert only_civitai_was_asked(site)
    assert {seen.headers["authorization"] for seen in site.seen} == {f"Bearer {CALLERS}"}


# secrets in errors

FAILURES = [
    "unauthorized", "forbidden-html", "not-found", "rate-limit-forever", "page-cap", "error-500",
    "busy", "cloudflare-524", "html-200", "not-json", "redirect-away", "region-blocked",
    "key-echo", "drop", "truncated", "bare-trpc",
]  # fmt: skip


def echoing(request: httpx.Request) -> httpx.Response:
    """Everything that was sent, sent back: in the body, in headers, in the reason."""
    sent = " ".join(f"{name}: {value}" for name, value in request.headers.items())
    body = {"error": sent, "message": f"?token={KEY}&api_key={CALLERS} {sent}"}
    return httpx.Response(403, json=body, headers={"x-echo": sent, "set-cookie": f"k={KEY}"})


@pytest.mark.parametrize("scenario", FAILURES)
async def test_no_secret_shows_however_a_question_fails(
    settings: Settings,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    scenario: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    sandbox.use(scenario)
    heard = b""
    with keyed(settings) as base:
        for path in (
            f"/api/admin/civitai/image/{world.DEMO_IMAGE}",
            f"/api/admin/civitai/add/{world.DEMO_LORA_VERSION}",
            "/api/admin/models/civitai-map", "/metrics", "/readyz",
            "/mcp", "/nowhere", f"/healthz?token={TOKEN}",
        ):  # fmt: skip
            for line in (f"X-Civitai-Api-Key: {CALLERS}", "X-Nothing: 1"):
                method = "POST" if "/add/" in path else "GET"
                with connected(base) as wire:
                    wire.sendall(head(method, path, line, "Connection: close"))
                    heard += everything(wire)
        for tool, arguments in [
            ("get_model", {"model_id": world.DEMO_LORA_MODEL}),
            ("whoami", {}),
            ("search_images", {"model_id": world.DEMO_LORA_MODEL}),
        ]:
            for headers in ({}, {"X-Civitai-Api-Key": CALLERS}):
                result = await call_over(base, "sse", "auto", tool, arguments, **headers)
                heard += repr(result).encode()
    told = heard.decode("utf-8", "replace") + "\n".join(
        logging.Formatter().format(record) + repr(record.__dict__)
        for record in caplog.records
        # what the test's own client logs is not the server's
        if not record.name.startswith(("httpx2", "httpcore2", "mcp.client", "asyncio"))
    )

    assert len(heard) > 1_000
    for secret in (KEY, CALLERS, TOKEN):
        found = told.find(secret)
        assert found < 0, told[max(0, found - 300) : found + 60]


@pytest.mark.parametrize("kind", ["key", "cookie"])
async def test_what_upstream_sends_back_of_our_own_is_masked(
    settings: Settings, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = SecretStr(KEY if kind == "key" else COOKIE)
    update = {"civitai_api_key" if kind == "key" else "civitai_session_token": secret}
    chosen = at_civitai(settings).model_copy(
        update={"token": SecretStr(TOKEN), "toolsets": ("all",), **update}
    )
    with odd_site() as site, served(chosen) as base:
        site.answers = Everywhere(echoing)
        for tool, arguments in ASKED.values():
            for headers in ({}, {"X-Civitai-Api-Key": CALLERS}):
                result = await call_over(base, "http", "auto", tool, arguments, **headers)
                mine = CALLERS if headers else secret.get_secret_value()
                assert "[forbidden] " in result.content[0].text
                assert mine not in result.content[0].text

    assert secret.get_secret_value() in str([dict(seen.headers) for seen in site.seen])
    logged = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("civit_mcp"))
    assert not [word for word in (KEY, COOKIE, CALLERS, TOKEN) if word in logged]
    assert BEARER["Authorization"] not in logged
