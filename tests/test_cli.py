"""The command line, as a shell sees it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from civit_mcp import __version__
from civit_mcp.sandbox import SANDBOX_KEY, Sandbox, world

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, sandbox: Sandbox) -> Run:
    """Run `civit-mcp` against the stand-in with folders of its own."""

    def civit_mcp(*arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "CIVITAI_API_URL": sandbox.base_url,
            "CIVIT_MCP_CATALOG_DIR": str(tmp_path / "catalog"),
            "CIVIT_MCP_CACHE_DIR": str(tmp_path / "cache"),
        }
        return subprocess.run(
            [sys.executable, "-m", "civit_mcp", *arguments],
            input=stdin,
            env={**os.environ, **settings, **env},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return civit_mcp


def test_call_prints_the_result_as_json(run: Run) -> None:
    done = run("call", "get_generation_data", json.dumps({"image_id": world.DEMO_IMAGE}))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["image_id"] == world.DEMO_IMAGE
    assert done.stderr == ""


def test_call_reads_its_arguments_from_stdin(run: Run) -> None:
    done = run("call", "get_model", "-", stdin=json.dumps({"model_id": world.DEMO_LORA_MODEL}))

    assert json.loads(done.stdout)["id"] == world.DEMO_LORA_MODEL


def test_call_exits_with_1_when_the_tool_refuses(run: Run) -> None:
    done = run("call", "get_model", '{"model_id": 1999999999}')

    assert done.returncode == 1
    assert done.stderr.startswith("[not_found] ")
    assert json.loads(done.stdout)["error"].startswith("[not_found] ")


@pytest.mark.parametrize("arguments", ["{", "[]", "5", "nonsense"])
def test_call_exits_with_2_when_the_arguments_are_no_object(run: Run, arguments: str) -> None:
    done = run("call", "get_model", arguments)

    assert done.returncode == 2
    assert "JSON" in done.stderr
    assert "Traceback" not in done.stderr


def test_call_works_on_the_bundled_stand_in_alone(run: Run, tmp_path: Path) -> None:
    done = run(
        "call", "add_to_catalog", f'{{"version_id": {world.DEMO_LORA_VERSION}}}', "--sandbox",
        CIVIT_MCP_CATALOG_DIR="", CIVIT_MCP_CACHE_DIR="", CIVITAI_API_URL="", HOME=str(tmp_path),
    )  # fmt: skip

    assert json.loads(done.stdout)["status"] == "added"
    assert not list(tmp_path.rglob("models.json"))


def test_a_flag_wins_over_the_environment(run: Run, tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    arguments = f'{{"version_id": {world.DEMO_LORA_VERSION}}}'

    run("call", "add_to_catalog", arguments, "--catalog-dir", str(chosen))

    assert (chosen / "models.json").is_file()
    assert not (tmp_path / "catalog").exists()


def test_read_only_holds_for_call(run: Run) -> None:
    done = run("call", "add_to_catalog", '{"version_id": 1}', "--read-only")

    assert done.returncode == 1
    assert done.stderr.startswith("[read_only] ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CIVITAI_API_URL", "http://example.com"),
        ("CIVITAI_API_URL", "https://user:secret@civitai.com"),
        ("CIVIT_MCP_MAX_LEVEL", "spicy"),
        ("CIVIT_MCP_READ_ONLY", "perhaps"),
        ("CIVIT_MCP_LOG_LEVEL", "LOUD"),
        ("CIVITAI_API_KEY", "two words"),
        ("CIVITAI_SESSION_TOKEN", "schl\u00fcssel"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(run: Run, name: str, value: str) -> None:
    done = run("call", "list_catalog", **{name: value})

    assert done.returncode == 2
    assert name in done.stderr
    assert value not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("port", ["99999", "65536", "-1", "http", ""])
@pytest.mark.parametrize("command", [("serve", "--transport", "http"), ("sandbox",)])
def test_a_port_that_cannot_be_is_refused_with_those_that_can(
    run: Run, command: tuple[str, ...], port: str
) -> None:
    done = run(*command, "--port", port)

    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.endswith(f"argument --port: '{port}' is no port; use a number from 0 to 65535")
    assert "Traceback" not in done.stderr


def test_a_wrong_tool_set_is_refused_with_the_names(run: Run) -> None:
    for command in (("serve",), ("call", "list_catalog"), ("check",)):
        done = run(*command, CIVIT_MCP_TOOLSETS="everything")

        assert done.returncode != 0
        assert "everything" in done.stdout + done.stderr
        assert "core" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_check_reports_each_subject_on_a_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "models" / "loras").mkdir(parents=True)

    done = run("check", "--models-root", str(tmp_path / "models"), CIVITAI_API_KEY=SANDBOX_KEY)

    assert done.returncode == 0, done.stdout
    verdicts = {line[8:].split(":")[0]: line.split()[0] for line in done.stdout.splitlines()}
    assert verdicts == {
        "settings": "ok", "catalog": "ok", "catalog folder": "ok", "models root": "ok",
        "answer cache": "ok", "CivitAI": "ok", "key": "ok",
    }  # fmt: skip
    assert SANDBOX_KEY not in done.stdout + done.stderr


def test_check_says_what_to_do_about_what_is_wrong(run: Run, tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "models.json").write_text("{", "utf-8")

    done = run(
        "check", "--models-root", str(tmp_path / "nowhere"), CIVITAI_API_KEY="not-a-valid-key"
    )

    assert done.returncode == 1
    errors = [line for line in done.stdout.splitlines() if line.startswith("error")]
    assert {line.split()[1].rstrip(":") for line in errors} == {"catalog", "models", "key"}
    assert all("Next: " in line for line in errors)
    assert "not-a-valid-key" not in done.stdout + done.stderr


def test_check_tells_when_civitai_cannot_be_reached(run: Run) -> None:
    done = run("check", CIVITAI_API_URL="http://127.0.0.1:9")

    assert done.returncode == 1
    assert "[upstream_unavailable]" in done.stdout


def test_the_demo_tells_the_whole_story_in_plain_text_when_piped(run: Run) -> None:
    done = run("demo")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b[" not in done.stdout
    for word in ("not_found", "already_exists", "restricted", "sdxl_loras", "present"):
        assert word in done.stdout


def test_the_demo_fails_when_a_step_does(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from civit_mcp.cli import main

    monkeypatch.setattr(world, "GENERATION_ONLY_VERSION", world.DEMO_CHECKPOINT_VERSION)

    assert main(["demo"]) == 1


def test_the_sandbox_prints_its_address_first(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "civit_mcp", "sandbox", "--scenario", "busy"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        process.terminate()

    assert address.startswith("http://127.0.0.1:")


def test_the_sandbox_names_its_scenarios(run: Run) -> None:
    done = run("sandbox", "--scenario", "no-such-fault")

    assert done.returncode == 2
    assert "rate-limit" in done.stderr


def test_help_and_version(run: Run) -> None:
    assert run("--version").stdout == f"civit-mcp {__version__}\n"
    assert "serve" in run("--help").stdout
    assert "--catalog-dir" in run("serve", "--help").stdout
