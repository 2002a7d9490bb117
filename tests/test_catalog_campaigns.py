"""The two campaigns, small: kills at calls to the disk, and many writers at once."""

from pathlib import Path

from civit_mcp.catalog import Catalog
from tests import kill_campaign, serial_order
from tests.catalog_kit import leftovers


def test_a_kill_at_any_call_of_any_verb_leaves_before_or_after(tmp_path: Path) -> None:
    tally = kill_campaign.campaign(tmp_path, kill_campaign.VERBS, stride=13, rounds=2)
    assert tally.wrong == []
    assert set(tally.points) == {verb.name for verb in kill_campaign.VERBS}
    assert tally.points.total() > 250


def test_many_writers_come_to_what_one_after_the_other_would(tmp_path: Path) -> None:
    told, longest = serial_order.campaign(tmp_path, processes=6, verbs=40)
    assert serial_order.judge(tmp_path, told) == []
    assert longest < 10
    assert sum(len(steps) for steps in told) == 240
    assert len(Catalog(tmp_path).history()) > 40
    assert leftovers(tmp_path) == []


def test_the_judge_sees_a_lost_and_a_doubled_entry(tmp_path: Path) -> None:
    told, _ = serial_order.campaign(tmp_path, processes=1, verbs=40)
    path = tmp_path / "models.json"
    text = path.read_text("utf-8")
    number = Catalog(tmp_path).snapshot().entries[0].version_id
    path.write_text(text.replace(f'"civitai_version_id": {number},', '"civitai_version_id": 7777,'))
    assert any("something else" in what for what in serial_order.judge(tmp_path, told))
