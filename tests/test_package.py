"""What a user installs."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_wheel_holds_prompts_data_and_types_and_nothing_of_the_checkout(
    tmp_path: Path,
) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    prompts = {Path(name).stem for name in names if name.startswith("civit_mcp/_prompts/")}
    assert prompts == {path.stem for path in (ROOT / "prompts").glob("*.md")}
    assert "civit_mcp/py.typed" in names
    assert any(name.startswith("civit_mcp/sandbox/data/rest/models/") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"civit_mcp", next(top for top in tops if top.endswith(".dist-info"))}


def test_the_pins_name_versions_and_hashes_only() -> None:
    text = (ROOT / ".ci" / "constraints.txt").read_text("utf-8")

    assert "://" not in text
    assert "--index" not in text
    pinned = re.findall(r"^([a-z0-9._-]+)==\S+", text, re.MULTILINE)
    assert len(pinned) > 30
    assert text.count("--hash=sha256:") >= len(pinned)
