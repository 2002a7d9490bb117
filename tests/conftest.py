"""Fixtures that every room shares."""

import os
from pathlib import Path

import pytest

#: recorded CivitAI answers; a checkout has them beside it, a user has not
RECORDED = Path(
    os.environ.get("CIVIT_MCP_RECORDED", Path(__file__).parents[2] / "shared" / "civitai-data")
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Folder of recorded answers; tests that need it say so where it is absent."""
    if not RECORDED.is_dir():
        pytest.skip(f"no recorded CivitAI answers at {RECORDED}; set CIVIT_MCP_RECORDED")
    return RECORDED
