"""Joining what CivitAI lists with what the metadata reveals: what is proven goes before names."""

from typing import Any

import pytest

from civit_mcp.generation import gather
from civit_mcp.generation.merge import MAX_LOOK_UPS, Found, plan, settle
from civit_mcp.models.records import FileRecord, GenerationRecord, ResourceRecord, VersionRecord

GRAIN = "AABBCCDDEEFF"


def lora(version_id: int, name: str, *, file: str = "", sha256: str = "") -> VersionRecord:
    hashes = {"SHA256": sha256} if sha256 else {}
    return VersionRecord(
        id=version_id,
        model_id=version_id + 1,
        name="v1",
        model_name=name,
        model_type="LORA",
        files=(FileRecord(id=1, name=file or f"{name}.safetensors", type="Model", hashes=hashes),),
    )


def listed(version_id: int | None, name: str, **more: Any) -> ResourceRecord:
    facts = {"model_type": "LORA", "version_name": "v1.0", **more}
    return ResourceRecord(version_id=version_id, model_id=9, model_name=name, **facts)


def record(*resources: ResourceRecord, **meta: Any) -> GenerationRecord:
    return GenerationRecord(type="image", meta=meta, resources=resources)


def test_a_hash_that_belongs_to_another_version_is_not_swallowed_by_a_title() -> None:
    made = record(
        listed(29999, "Film Grain"),
        prompt="<lora:Film Grain:0.7>",
        hashes={"lora:Film Grain": GRAIN},
    )
    gathered = gather(made)

    asked = plan(made, gathered)
    settled = settle(made, gathered, Found(by_hash={GRAIN: lora(20002, "Film Grain Fine")}))

    assert asked.short_hashes == (GRAIN,)
    assert [dep.version.id for dep in settled.dependencies if dep.version] == [20002]


def test_a_version_name_alone_is_no_title() -> None:
    made = record(listed(1, "Detail Tweaker"), prompt="<lora:v1.0:0.7>")
    gathered = gather(made)

    settled = settle(made, gathered, Found())

    assert [dep.evidence.name for dep in settled.dependencies] == ["v1.0"]


@pytest.mark.parametrize("hashes", [{}, {"lora:film_grain": GRAIN}])
def test_a_listed_title_is_not_told_twice_and_lends_its_strength(hashes: dict[str, str]) -> None:
    made = record(listed(7, "Film Grain"), prompt="<lora:film_grain:0.7>", hashes=hashes)
    gathered = gather(made)

    settled = settle(made, gathered, Found(by_hash={GRAIN: None}))

    assert settled.dependencies == ()
    assert settled.resources[0].strength == pytest.approx(0.7)


def test_a_tag_that_is_a_file_of_a_listed_version_is_not_told_twice() -> None:
    made = record(listed(7, "A Title Far From It"), prompt="<lora:fg_v3:0.7>")
    gathered = gather(made)

    asked = plan(made, gathered)
    settled = settle(made, gathered, Found(by_version={7: lora(7, "X", file="fg_v3.safetensors")}))

    assert asked.version_ids == (7,)
    assert asked.names == (("fg_v3", "lora"),)
    assert settled.dependencies == ()


def test_a_hash_that_is_a_file_of_a_listed_version_is_not_told_twice() -> None:
    made = record(listed(7, "Other"), prompt="<lora:a:1>", hashes={"lora:a": "AA" * 32})
    gathered = gather(made)
    version = lora(7, "Other", sha256="AA" * 32)

    assert plan(made, gathered).sha256 == ("AA" * 32,)
    assert settle(made, gathered, Found(by_version={7: version})).dependencies == ()


def test_a_hash_of_another_kind_of_model_identifies_nothing() -> None:
    made = record(prompt="<lora:a:1>", hashes={"lora:a": GRAIN})
    gathered = gather(made)
    checkpoint = VersionRecord(id=5, model_name="Big", model_type="Checkpoint")

    settled = settle(made, gathered, Found(by_hash={GRAIN: checkpoint}))

    assert settled.dependencies[0].version is None
    assert any("Checkpoint" in note for note in settled.notes)


def test_two_strengths_of_one_version_are_told() -> None:
    made = record(listed(7, "A", strength=0.5), listed(7, "A", strength=0.8))

    settled = settle(made, gather(made), Found())

    assert [resource.strength for resource in settled.resources] == [0.5]
    assert any("0.5" in note and "0.8" in note for note in settled.notes)


def test_a_name_match_is_only_a_candidate() -> None:
    made = record(prompt="<lora:film_grain:0.7>")
    gathered = gather(made)

    settled = settle(made, gathered, Found(by_name={"film_grain": lora(3, "Film Grain")}))

    assert [dep.resolved_by for dep in settled.dependencies] == ["name"]


def test_look_ups_are_bounded_and_the_rest_is_counted() -> None:
    hashes = {f"lora:part{n}": f"{n:010X}" for n in range(MAX_LOOK_UPS + 25)}
    made = record(prompt="x", hashes=hashes)

    asked = plan(made, gather(made))

    assert len(asked.short_hashes) == MAX_LOOK_UPS
    assert asked.left_out == 25
