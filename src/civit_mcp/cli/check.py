"""`civit-mcp check`: what works, what does not, and what to do about it."""

import argparse
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio

from civit_mcp.cli.options import settings_from
from civit_mcp.config import Settings
from civit_mcp.errors import CivitError
from civit_mcp.usecases.desk import Desk

Verdict = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    subject: str
    text: str


def run(arguments: argparse.Namespace) -> int:
    """Print one line a subject; 1 when any is an error."""
    settings = settings_from(arguments)
    findings: list[Finding] = []

    async def collect() -> None:
        async for finding in examine(settings):
            findings.append(finding)
            print(f"{finding.verdict:8}{finding.subject}: {finding.text}", flush=True)

    anyio.run(collect)
    return 1 if any(finding.verdict == "error" for finding in findings) else 0


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Look at everything that a working server needs."""
    from civit_mcp.app import App, chosen_toolsets

    try:
        chosen = chosen_toolsets(settings.toolsets)
    except CivitError as error:
        yield Finding("error", "settings", str(error))
        return
    yield Finding("ok", "settings", _settings_line(settings, chosen))
    app = App(settings)
    async with app.in_use():
        yield await _catalog(app.desk)
        yield _folder_is_writable(settings.catalog_dir, read_only=settings.read_only)
        yield await anyio.to_thread.run_sync(_models_root, settings.models_root)
        yield await anyio.to_thread.run_sync(_answer_cache, settings)
        async for finding in _upstream(app.desk):
            yield finding


def _settings_line(settings: Settings, chosen: frozenset[str]) -> str:
    parts = [f"upstream {settings.civitai_url}", f"tool sets {', '.join(sorted(chosen))}"]
    parts.append(f"level cap {settings.max_level}" if settings.max_level else "no level cap")
    if settings.read_only:
        parts.append("read-only")
    if settings.offline:
        parts.append("offline")
    return "; ".join(parts)


async def _catalog(desk: Desk) -> Finding:
    try:
        snapshot = await desk.snapshot()
    except CivitError as error:
        return Finding("error", "catalog", str(error))
    folder = desk.settings.catalog_dir
    if not snapshot.entries:
        return Finding("ok", "catalog", f"empty, in {folder}; the first add creates the file")
    return Finding("ok", "catalog", f"{len(snapshot.entries)} entries in {folder}")


def _folder_is_writable(folder: Path, *, read_only: bool) -> Finding:
    if read_only:
        return Finding("ok", "catalog folder", "not written to: read-only")
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return Finding("ok", "catalog folder", f"{folder} can be written")
    except OSError as error:
        return Finding(
            "error",
            "catalog folder",
            f"'{nearest}' cannot be written ({error.strerror}). "
            "Next: choose another with --catalog-dir",
        )


def _models_root(root: Path | None) -> Finding:
    if root is None:
        return Finding(
            "warning",
            "models root",
            "not set, so every entry reads 'missing'. Next: set CIVIT_MCP_MODELS_ROOT to "
            "ComfyUI's models folder",
        )
    if not root.is_dir():
        return Finding(
            "error", "models root", f"'{root}' is no folder. Next: correct CIVIT_MCP_MODELS_ROOT"
        )
    known = ("checkpoints", "loras", "diffusion_models", "vae", "embeddings")
    if not any((root / name).is_dir() for name in known):
        return Finding(
            "warning",
            "models root",
            f"'{root}' has none of {', '.join(known)}. Next: point it at ComfyUI's models folder",
        )
    return Finding("ok", "models root", str(root))


def _answer_cache(settings: Settings) -> Finding:
    from civit_mcp.civitai.observed import age_text
    from civit_mcp.civitai.store import holdings_of

    folder = settings.cache_dir
    held = holdings_of(folder)
    if held is None:
        return Finding(
            "warning",
            "answer cache",
            f"'{folder}' cannot be used, so answers are forgotten at every restart. "
            "Next: choose another with --cache-dir",
        )
    if held.oldest is None:
        told = f"empty, in {folder}"
        if settings.offline:
            return Finding(
                "warning",
                "answer cache",
                f"{told}, so offline only the catalog answers. Next: ask once without --offline",
            )
        return Finding("ok", "answer cache", told)
    age = age_text(max(0.0, time.time() - held.oldest))
    return Finding("ok", "answer cache", f"{held.answers} answers, up to {age} old, in {folder}")


async def _upstream(desk: Desk) -> AsyncIterator[Finding]:
    settings = desk.settings
    if settings.offline:
        yield Finding("warning", "CivitAI", "not asked: offline, so the cache answers")
        return
    try:
        await desk.client.enums()
    except CivitError as error:
        yield Finding("error", "CivitAI", str(error))
        return
    yield Finding("ok", "CivitAI", f"{settings.civitai_url} answers")
    if settings.civitai_api_key is None:
        yield Finding(
            "warning",
            "key",
            "none: public data only, no downloads. Next: set CIVITAI_API_KEY to a key from "
            "https://civitai.com/user/account",
        )
        return
    try:
        account = await desk.client.me()
    except CivitError as error:
        yield Finding("error", "key", str(error))
        return
    if account is None:
        yield Finding(
            "error",
            "key",
            "CivitAI does not accept it and would answer as to a stranger. Next: make a new one "
            "at https://civitai.com/user/account",
        )
        return
    yield Finding("ok", "key", f"belongs to '{account.username}'")
