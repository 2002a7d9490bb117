"""A private model is catalogued by nobody, whichever of CivitAI's answers says that it is one."""

from typing import Any

import pytest

from civit_mcp.config import Settings
from tests.traps.kit import (
    MODELS,
    VERSIONS,
    at_civitai,
    model_row,
    odd_site,
    serving,
    version_body,
    version_row,
)


@pytest.mark.parametrize(
    ("changes", "gated"),
    [
        ({"availability": "Private"}, True),
        ({"model": {"name": "Quiet", "type": "LORA", "availability": "Private"}}, True),
        ({"availability": "Unsearchable"}, False),
        ({"availability": "Public"}, False),
        ({"availability": "Telepathic"}, False),
        ({"availability": None}, False),
    ],
)
async def test_only_private_versions_stand_behind_the_gate_of_private_ones(
    settings: Settings, changes: dict[str, Any], gated: bool
) -> None:
    with odd_site() as site:
        site.answers[f"{VERSIONS}/8001"] = version_body(**changes)
        async with serving(at_civitai(settings)) as assistant:
            facts = await assistant.ask("get_model_version", version_id=8001)
            added = await assistant.ask("add_to_catalog", version_id=8001)

    assert added["status"] == ("restricted" if gated else "added")
    assert facts.get("gate", {}).get("kind") == ("private" if gated else None)
    if gated:
        assert "private" in added["reason"]
        assert "owner" in added["reason"]


async def test_versions_of_a_private_model_are_private_wherever_they_are_listed(
    settings: Settings,
) -> None:
    with odd_site() as site:
        row = model_row(availability="Private", modelVersions=[version_row(availability="Public")])
        site.answers[f"{MODELS}/801"] = row
        site.answers[MODELS] = {"items": [row], "metadata": {}}
        async with serving(at_civitai(settings)) as assistant:
            model = await assistant.ask("get_model", model_id=801)
            found = await assistant.ask("search_models", query="quiet")

    assert model["versions"][0]["gate"]["kind"] == "private"
    assert found["items"][0]["gate"]["kind"] == "private"


async def test_a_private_version_cannot_be_downloaded_though_only_the_short_form_says_so(
    settings: Settings,
) -> None:
    on = settings.model_copy(update={"toolsets": ("files",)})
    with odd_site() as site:
        site.answers[f"{VERSIONS}/8001"] = version_body()
        site.answers[f"{VERSIONS}/mini/8001"] = {"versionName": "v1", "availability": "Private"}
        async with serving(at_civitai(on)) as assistant:
            answer = await assistant.ask("check_availability", version_ids=[8001])

    (row,) = answer["items"]
    assert row["downloadable"] is False
    assert row["gate"]["kind"] == "private"
