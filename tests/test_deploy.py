"""What a team is given to run it with does what it says.

There need be no container engine here: the image's steps are done in a folder instead, and its
command is started with its environment. Proxies and systemd are asked where they are installed.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import yaml
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr
from starlette.applications import Starlette

from civit_mcp.cli.options import parse
from civit_mcp.config import Settings
from civit_mcp.sandbox import Sandbox, world
from civit_mcp.tools import all_tools
from civit_mcp.web import Places
from civit_mcp.web.running import MOST_CONNECTIONS, configured
from tests.http_kit import served

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / ".deploy"
NAME = "mcp.example.com"
WRITER = "the-token-of-a-writer"
HEALTH = "the-token-for-health"


def text(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


def instructions() -> list[tuple[str, str]]:
    """Keyword and rest of each instruction of the Dockerfile."""
    lines = [line for line in text("Dockerfile").splitlines() if not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(k, rest) for k, _, rest in (line.partition(" ") for line in whole.splitlines()) if k]


def stages() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The instructions that build, and those of what is shipped."""
    found = instructions()
    begins = [number for number, (keyword, _) in enumerate(found) if keyword == "FROM"]
    assert len(begins) == 2
    return found[begins[0] : begins[1]], found[begins[1] :]


def last(keyword: str) -> str:
    return [rest for found, rest in stages()[1] if found == keyword][-1]


def words(keyword: str) -> list[str]:
    """The words of an instruction in the form that needs no shell."""
    listed: list[str] = json.loads(last(keyword)[last(keyword).index("[") :])
    return listed


def unit() -> list[tuple[str, str]]:
    lines = (line.partition("=") for line in text("civit-mcp.service").splitlines())
    return [(key, value) for key, equals, value in lines if equals and not key.startswith("#")]


def commands() -> list[list[str]]:
    """What follows `civit-mcp` in every command that the files have or tell."""
    blocks = re.findall(r"```sh\n(.*?)```", text("README.md"), re.DOTALL)
    told = [part for block in blocks for part in re.split(r"\n|&&", block) if part.strip()]
    told += re.findall(r"^# (CIVIT_MCP_\w+=\S+ /\S+ .+)$", text("civit-mcp.service"), re.MULTILINE)
    told += [value for key, value in unit() if key.startswith("Exec")]
    split = [shlex.split(command, comments=True) for command in told]
    split += [
        words("ENTRYPOINT"),
        words("HEALTHCHECK"),
        compose()["civit-mcp"]["healthcheck"]["test"],
    ]
    found = []
    for command in split:
        ours = [at for at, word in enumerate(command) if word.rsplit("/", 1)[-1] == "civit-mcp"]
        # the name is also that of a folder, a unit and a container; a command has a word after it
        if ours and ours[-1] + 1 < len(command):
            found.append(command[ours[-1] + 1 :])
    return found


def compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(text("compose.yaml"))["services"]
    return services


def setting_names() -> set[str]:
    aliases: list[Any] = [info.validation_alias for info in Settings.model_fields.values()]
    return {name for alias in aliases for name in getattr(alias, "choices", [alias])}


def test_every_setting_that_the_files_name_exists() -> None:
    told = {
        name
        for path in DEPLOY.iterdir()
        if path.is_file()
        for name in re.findall(r"\bCIVIT(?:AI|_MCP)_\w+", path.read_text("utf-8"))
    }

    assert "CIVIT_MCP_TOKEN_FILE" in told
    assert told <= setting_names()


def test_every_command_that_the_files_have_is_one_that_the_program_takes() -> None:
    parsed = [parse(command) for command in commands()]

    assert {arguments.command for arguments in parsed} >= {"serve", "health", "check", "call"}
    calls = [arguments for arguments in parsed if arguments.command == "call"]
    writing = {tool.name: tool for tool in all_tools()}
    assert all(call.tool in writing and json.loads(call.arguments) for call in calls)


def test_who_pastes_the_steps_for_systemd_is_told_to_fill_the_files_before_the_start() -> None:
    (block,) = [found for found in re.findall(r"```sh\n(.*?)```", text("README.md"), re.DOTALL)
                if "systemctl" in found]  # fmt: skip
    *made, told, start, asked = block.splitlines()

    assert told.startswith("# now fill the two files ")
    assert len([line for line in made if "/dev/null" in line]) == 2
    assert "systemctl enable --now" in start
    assert " health " in asked


def test_the_table_of_refusals_tells_how_many_connections_there_may_be() -> None:
    rows = re.findall(r"^\| 503 .*", text("README.md"), re.MULTILINE)

    assert [row for row in rows if f" {MOST_CONNECTIONS:,} connections" in row]


@pytest.mark.parametrize(
    ("name", "block", "setting"),
    [
        ("nginx.conf", r"^upstream .*?^}", r"^ +keepalive_timeout (\d+)s;"),
        ("Caddyfile", r"reverse_proxy .*?^}", r"transport http {\n\s+keepalive (\d+)s\n"),
    ],
)
def test_a_proxy_gives_up_an_idle_connection_before_the_server_does(
    name: str, block: str, setting: str
) -> None:
    (upstream,) = re.findall(block, text(name), re.DOTALL | re.MULTILINE)
    (seconds,) = re.findall(setting, upstream, re.MULTILINE)
    server = configured(Starlette(), host="127.0.0.1", port=0, log_level="WARNING")

    assert 0 < int(seconds) <= server.timeout_keep_alive - 5
    assert f"the {server.timeout_keep_alive} seconds after which the server" in upstream


def sent_to_the_builder(path: Path) -> bool:
    """Whether `.dockerignore` lets a file through: the last line that fits decides."""
    name, sent = path.relative_to(ROOT).as_posix(), True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.lstrip("!").removeprefix("**/")
        parts = [name, *name.split("/")] if "**/" in line else [name]
        if line.startswith("#") or not pattern:
            continue
        if any(fnmatch(part, pattern) for part in parts) or name.startswith(f"{pattern}/"):
            sent = line.startswith("!")
    return sent


@dataclass(frozen=True)
class Image:
    """What the Dockerfile makes, in a folder."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def start(self, command: list[str], **env: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command, cwd=self.root / "data", env={**self.env, **env},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
        with self.start(command, **env) as process:
            output, errors = process.communicate(timeout=30)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Build the wheel from what the builder gets, and install it beside what it needs to run."""
    if sys.platform == "win32" or find_spec("pip") is None:
        pytest.skip("the image is built with pip on a POSIX system")
    context = tmp_path_factory.mktemp("context")
    for keyword, rest in stages()[0]:
        for name in rest.split()[:-1] if keyword == "COPY" else ():
            found = [ROOT / name] if (ROOT / name).is_file() else list((ROOT / name).rglob("*"))
            for path in filter(sent_to_the_builder, filter(Path.is_file, found)):
                target = context / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    root = tmp_path_factory.mktemp("image").resolve()
    home = root / "opt" / "civit-mcp"
    for folder in ("data", "models"):
        (root / folder).mkdir()

    def python(*arguments: str, **env: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments], cwd=context, env={**os.environ, **env},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    python("-m", "hatchling", "build", "-t", "wheel", "-d", "wheel")
    python("-m", "venv", "--without-pip", str(home))
    (wheel,) = (context / "wheel").glob("*.whl")
    python(
        "-m", "pip", "--python", str(home / "bin" / "python"), "install", "-q",
        "--no-deps", "--no-index", "--no-compile", str(wheel),
    )  # fmt: skip
    (site,) = home.glob("lib/python*/site-packages")
    extra = set(python(".deploy/not_needed.py", PYTHONPATH=str(site)).split())
    for package in distributions():
        if plain(package.metadata["Name"]) in extra | {"civit-mcp"}:
            continue
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(package.locate_file(top))))
    env = dict(pair.split("=", 1) for pair in shlex.split(last("ENV")))
    placed = {
        name: re.sub(r"(^|:)/(opt/civit-mcp|data|models)", rf"\g<1>{root}/\g<2>", value)
        for name, value in env.items()
    }
    return Image(root, placed)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Running:
    """A server of the image."""

    base: str
    process: "subprocess.Popen[str]"
    env: dict[str, str]


@contextmanager
def running(image: Image, **env: str) -> Iterator[Running]:
    """The image's command, on loopback alone and on a free port."""
    command = [*words("ENTRYPOINT"), "--host", "127.0.0.1", "--port", "0"]
    with image.start(command, **env) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert found, line
            yield Running(found.group(), process, env)
        finally:
            process.kill()


@pytest.fixture
def team(tmp_path: Path, sandbox: Sandbox) -> dict[str, str]:
    """What compose and the unit add to the environment."""
    tokens = tmp_path / "tokens"
    tokens.write_text(
        f"# of the team\n\n{HEALTH} name=health read-only\n{WRITER} name=ann\n", "utf-8"
    )
    # there is a warning otherwise
    tokens.chmod(0o600)
    return {
        "CIVIT_MCP_ALLOWED_HOSTS": NAME,
        "CIVIT_MCP_TOKEN_FILE": str(tokens),
        "CIVITAI_API_URL": sandbox.base_url,
    }


def ask(base: str, path: str, token: str = WRITER, host: str = NAME, method: str = "GET") -> int:
    headers = {"Host": host, "Authorization": f"Bearer {token}"}
    return httpx.request(method, base + path, headers=headers).status_code


def test_the_image_serves_is_well_and_writes_below_its_state_alone(
    image: Image, team: dict[str, str]
) -> None:
    before = image.files()
    with running(image, **team) as server:
        health = image.run([*words("HEALTHCHECK"), "--url", server.base], **team)
        ready = image.run([*words("HEALTHCHECK"), "--ready", "--url", server.base], **team)
        added = f"/api/admin/civitai/add/{world.DEMO_LORA_VERSION}"
        answers = (
            ask(server.base, added, method="POST"),
            ask(server.base, added, HEALTH, method="POST"),
            ask(server.base, "/healthz", "no-token-of-anybody"),
            ask(server.base, "/healthz", host="other.example.com"),
        )
        with httpx.stream(
            "GET", f"{server.base}/sse", headers={"Authorization": f"Bearer {WRITER}"}
        ) as stream:
            assert next(stream.iter_lines()) == "event: endpoint"
            told = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(10)
            took = time.monotonic() - told
        assert server.process.stderr is not None
        log = server.process.stderr.read()

    assert health.stdout.startswith("ok: civit-mcp "), health.stderr
    assert ready.stdout.startswith("ready: "), ready.stderr
    assert (health.returncode, ready.returncode) == (0, 0)
    assert answers == (200, 403, 401, 421)
    assert took < 3
    assert "civit_mcp.audit: add_to_catalog by ann" in log
    written = image.files() - before
    assert "data/catalog/models.json" in written
    assert all(name.startswith("data/") for name in written)


def test_the_image_does_not_start_without_the_names_it_goes_by(
    image: Image, team: dict[str, str]
) -> None:
    done = image.run(words("ENTRYPOINT"), **{**team, "CIVIT_MCP_ALLOWED_HOSTS": ""})

    assert done.returncode == 2
    assert "CIVIT_MCP_ALLOWED_HOSTS" in done.stderr


def test_an_image_without_tokens_is_never_well(image: Image) -> None:
    with running(image) as server:
        done = image.run([*words("HEALTHCHECK"), "--url", server.base])

    assert done.returncode == 1
    assert "CIVIT_MCP_TOKEN_FILE" in done.stderr


def test_the_image_has_what_is_needed_to_run_pinned_and_nothing_else(image: Image) -> None:
    (site,) = (image.root / "opt" / "civit-mcp").glob("lib/python*/site-packages")
    pins = (ROOT / ".ci" / "constraints.txt").read_text("utf-8")
    pinned = {plain(name) for name in re.findall(r"^([\w.-]+)==", pins, re.MULTILINE)}
    there = {plain(item.name.split("-")[0]) for item in site.glob("*.dist-info")}

    assert {"mcp", "pyyaml", "cryptography", "civit-mcp"} <= there
    assert not there & {"pip", "pytest", "mypy", "ruff", "hatchling", "setuptools"}
    assert there - {"civit-mcp"} <= pinned


def test_the_builder_gets_no_more_than_it_copies() -> None:
    copied = [rest.split()[:-1] for keyword, rest in stages()[0] if keyword == "COPY"]
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists()
        assert sent_to_the_builder(ROOT / name)
    for name in (".git/config", ".env", "tokens", ".deploy/tokens", "tests/conftest.py", "x.key"):
        assert not sent_to_the_builder(ROOT / name)
    assert not sent_to_the_builder(ROOT / "src" / "civit_mcp" / "__pycache__" / "x.pyc")


def test_the_image_is_nobodys_and_starts_nothing_through_a_shell() -> None:
    shipped = stages()[1]
    user, _, group = last("USER").partition(":")

    assert int(user) > 0
    assert int(group) > 0
    assert [rest for keyword, rest in shipped if keyword == "COPY"] == [
        "--from=build /opt/civit-mcp /opt/civit-mcp"
    ]
    assert words("ENTRYPOINT")[0] == words("HEALTHCHECK")[0] == "civit-mcp"
    assert json.loads(last("VOLUME")) == ["/data"]
    assert last("EXPOSE") == str(parse(words("ENTRYPOINT")[1:]).port)
    (base,) = {rest.split(" AS ")[0] for keyword, rest in instructions() if keyword == "FROM"}
    (default,) = [rest for keyword, rest in instructions() if rest.startswith("PYTHON=")]
    assert base == "${PYTHON}"
    assert re.fullmatch(r"PYTHON=python:3\.\d+-slim-\w+", default)


def interpolated(value: str) -> str:
    """A value as compose makes it with nothing but the names set."""
    value = value.replace("${CIVIT_MCP_ALLOWED_HOSTS}", NAME)
    value = re.sub(r"\$\{CIVIT_MCP_ALLOWED_HOSTS:\?[^}]+\}", NAME, value)
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def test_compose_shuts_what_is_not_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = yaml.safe_load(text("compose.yaml"))
    ours, proxy = compose()["civit-mcp"], compose()["proxy"]
    for service in (ours, proxy):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"mem_limit", "pids_limit", "tmpfs"} <= set(service)
        named = {mount.split(":")[0] for mount in service["volumes"]}
        assert {name for name in named if name.isidentifier()} <= set(whole["volumes"])
    assert not {"cap_add", "privileged"} & set(ours)
    assert ours["user"] == last("USER")
    assert all(port.startswith("127.0.0.1:") for port in ours["ports"])
    assert ours["healthcheck"]["test"] == ["CMD", *words("HEALTHCHECK")]
    assert ours["build"] == {"context": "..", "dockerfile": ".deploy/Dockerfile"}
    assert proxy["profiles"] == ["proxy"]
    assert all((DEPLOY / m.split(":")[0]).exists() for m in proxy["volumes"] if m[0] == ".")

    secret = {whole["secrets"]["tokens"]["file"], *(item["path"] for item in ours["env_file"])}
    ignored = (ROOT / ".gitignore").read_text("utf-8").split()
    assert {f".deploy/{name.removeprefix('./')}" for name in secret} <= set(ignored)

    environment = {name: interpolated(value) for name, value in ours["environment"].items()}
    assert environment["CIVIT_MCP_TOKEN_FILE"] == f"/run/secrets/{ours['secrets'][0]}"
    assert not [name for name in environment if name.startswith("CIVITAI_")]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Settings().allowed_hosts == (NAME,)


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
def test_the_proxy_wants_one_name_of_its_own() -> None:
    proxy = compose()["proxy"]
    # a list of names would be one wrong name to it
    assert "ALLOWED_HOSTS" not in proxy["environment"]["PROXY_NAME"]
    script = proxy["entrypoint"][-1].replace("$$", "$").replace("exec caddy", "echo caddy")
    for name, code in (("", 1), (NAME, 0)):
        started = subprocess.run(
            ["sh", "-c", script], env={**os.environ, "PROXY_NAME": name}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert started.returncode == code
        assert ("caddy run" in started.stdout) == (code == 0)
        assert ("set PROXY_NAME" in started.stderr) == (code == 1)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit_and_finds_it_well_shut(tmp_path: Path) -> None:
    path = tmp_path / "civit-mcp.service"
    # the program need not be where the unit expects it
    path.write_text(
        text("civit-mcp.service").replace("=/opt/civit-mcp/bin/civit-mcp ", f"={sys.executable} "),
        "utf-8",
    )
    for check in (["verify"], ["security", "--offline=yes", "--threshold=15"]):
        done = subprocess.run(
            ["systemd-analyze", *check, str(path)], capture_output=True, text=True, check=False
        )
        if "unrecognized option" in done.stderr:
            pytest.skip("this systemd cannot examine a unit that is not loaded")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Unknown" not in done.stderr


def test_the_unit_keeps_tokens_and_keys_out_of_itself() -> None:
    environment = [value for key, value in unit() if key == "Environment"]
    values = dict(unit())

    assert f"CIVIT_MCP_TOKEN_FILE=%d/{values['LoadCredential'].split(':')[0]}" in environment
    assert not [value for value in environment if value.startswith("CIVITAI_")]
    assert int(values["TimeoutStopSec"]) > 3


def test_health_may_call_a_public_server_by_this_machines_names(
    image: Image, settings: Settings
) -> None:
    guarded = settings.model_copy(update={"token": SecretStr(f"{HEALTH},{WRITER}")})
    with served(guarded, places=Places(hosts=(NAME,), local=False)) as base:
        done = image.run(["civit-mcp", "health", "--url", base], CIVIT_MCP_TOKEN=HEALTH)

    assert done.returncode == 0, done.stderr


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port


def nginx(folder: Path, upstream: str, port: int) -> tuple[list[str], dict[str, str]]:
    """Our file inside the smallest configuration; TLS is left out."""
    site = re.sub(r"\n *ssl_\w+ .*", "", text("nginx.conf"))
    site = site.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    site = site.replace("127.0.0.1:8765", upstream)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "site.conf").write_text(site, "utf-8")
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off; {temporary} include {folder}/site.conf; }}\n",
        "utf-8",
    )
    return ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")], {}


def caddy(folder: Path, upstream: str, port: int) -> tuple[list[str], dict[str, str]]:
    """Our file with the two variables that it asks for; a name with http:// has no TLS."""
    env = {"PROXY_NAME": f"http://{NAME}:{port}", "PROXY_UPSTREAM": upstream}
    places = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")]
    return command, {**env, **places}


@contextmanager
def proxied(proxy: Any, folder: Path, upstream: str, port: int) -> Iterator[Path]:
    """Run a proxy with our file; gives its log."""
    if shutil.which(proxy.__name__) is None:
        pytest.skip(f"{proxy.__name__} is not installed")
    command, env = proxy(folder, upstream, port)
    log = folder / "log"
    with (
        log.open("w") as out,
        subprocess.Popen(command, env={**os.environ, **env}, stdout=out, stderr=out) as process,
    ):
        try:
            yield log
        finally:
            process.kill()


@pytest.mark.parametrize("proxy", [nginx, caddy], ids=["nginx", "caddy"])
async def test_through_the_proxy_every_transport_works_and_no_body_is_too_large(
    proxy: Any, image: Image, team: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"

    def through(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
        del timeout
        own = {"Host": NAME, "Authorization": f"Bearer {WRITER}"}
        return httpx2.AsyncClient(headers={**own, **(headers or {})}, timeout=10, auth=auth)

    with (
        running(image, **team) as server,
        proxied(proxy, tmp_path, server.base.removeprefix("http://"), port) as log,
    ):
        # it waits until the proxy is there; whatever the proxy says then is an answer
        waited = image.run(["civit-mcp", "health", "--wait", "10", "--url", address], **team)
        assert "nobody answers" not in waited.stderr, log.read_text("utf-8")

        for era in ("auto", "legacy"):
            async with through() as http:
                transport = streamable_http_client(f"{address}/mcp", http_client=http)
                async with Client(transport, mode=era) as client:
                    assert (await client.list_tools()).tools
                    asked = {"model_id": world.DEMO_LORA_MODEL}
                    assert not (await client.call_tool("get_model", asked)).is_error
        older = sse_client(f"{address}/sse", httpx_client_factory=through)
        async with Client(older, mode="legacy") as client:
            assert (await client.list_tools()).tools
        assert ask(address, "/readyz") == 200
        assert ask(address, "/readyz", "no-token-of-anybody") == 401
        async with through() as http:
            large = await http.post(f"{address}/mcp", content=b" " * (4 * 1024 * 1024))
            assert large.status_code == 400
            too_large = await http.post(f"{address}/mcp", content=b" " * (4 * 1024 * 1024 + 1))
            # a server that refuses early and hangs up is a broken one to a proxy that still sends
            assert too_large.status_code in ((413,) if proxy is nginx else (413, 502))
