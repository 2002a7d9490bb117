"""Any sequence of verbs does to the files what it does to a few dictionaries in memory."""

import copy
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from civit_mcp.catalog import Address, Catalog
from civit_mcp.errors import BadReference, CivitError, Conflict, NotFound
from civit_mcp.models.catalogued import CatalogName
from tests.catalog_kit import Quick, a_version, homes, leftovers, stored

NUMBERS = st.integers(1, 6)
#: where an entry stands, and what it says
Placed = tuple[CatalogName, str, dict[str, Any]]


@dataclass
class Made:
    """One change in the model: what it took away and what it put there."""

    before: list[Placed]
    after: list[Placed]
    undone_by: str | None = None
    undoes: str | None = None


@dataclass
class Model:
    """The catalog as anybody would write it down who had no disk to care for."""

    entries: list[Placed] = field(default_factory=list)
    changes: dict[str, Made] = field(default_factory=dict)

    def of(self, number: int) -> list[Placed]:
        return [one for one in self.entries if one[2]["civitai_version_id"] == number]

    def make(self, change_id: str, made: Made) -> None:
        for one in made.before:
            self.entries.remove(one)
        self.entries += copy.deepcopy(made.after)
        self.changes[change_id] = made
        if made.undoes is not None:
            old = self.changes[made.undoes]
            old.undone_by = change_id
            if old.undoes is not None:
                self.changes[old.undoes].undone_by = None

    def reversal(self, change_id: str) -> Made | None:
        """What undoing a change does; None when it must be refused."""
        made = self.changes[change_id]
        if made.undone_by is not None:
            return None
        if all(one in self.entries for one in made.after):
            rest = [one for one in self.entries if one not in made.after]
            keys = {one[2]["civitai_version_id"] for one in rest}
            if all(one[2]["civitai_version_id"] not in keys for one in made.before):
                return Made(made.after, made.before, undoes=change_id)
            return None
        return self._field_by_field(change_id, made)

    def _field_by_field(self, change_id: str, made: Made) -> Made | None:
        if len(made.before) != 1 or len(made.after) != 1:
            return None
        (name, category, old), (name_2, category_2, new) = made.before[0], made.after[0]
        if (name, category) != (name_2, category_2):
            return None
        here = [o for o in self.of(new["civitai_version_id"]) if o[:2] == (name, category)]
        changed = [k for k in {**old, **new} if old.get(k) != new.get(k)]
        if not here or any(here[0][2].get(key) != new.get(key) for key in changed):
            return None
        back = {k: v for k, v in here[0][2].items() if k not in changed}
        back |= {key: old[key] for key in changed if key in old}
        return Made([here[0]], [(name, category, back)], undoes=change_id)


class Verbs(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.catalog = Catalog(self.folder, disk=Quick())
        self.model = Model()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def actual(self) -> list[Placed]:
        names: tuple[CatalogName, ...] = ("models", "loras")
        return [
            (name, category["id"], entry)
            for name in names
            for category in stored(self.folder, name)["categories"]
            for entry in category["models"]
        ]

    def place(self, number: int) -> tuple[CatalogName, str]:
        (found,) = [o for o in self.actual() if o[2]["civitai_version_id"] == number]
        return found[0], found[1]

    @rule(number=NUMBERS)
    def add(self, number: int) -> None:
        answer = self.catalog.add(a_version(number))
        if self.model.of(number):
            assert answer.status == "already_exists"
            assert answer.change_id is None
            return
        assert answer.status == "added"
        assert answer.change_id is not None
        (entry,) = [o[2] for o in self.actual() if o[2]["civitai_version_id"] == number]
        assert entry["file"] == f"lora_{number}.safetensors"
        # a shelf of its family that is there already is preferred to a new one for all LoRAs
        assert answer.category in ("loras", "sdxl_loras")
        self.model.make(answer.change_id, Made([], [("models", answer.category, entry)]))

    @rule(numbers=st.lists(NUMBERS, max_size=4))
    def add_many(self, numbers: list[int]) -> None:
        answers = self.catalog.add_many([(a_version(number), None) for number in numbers])
        fresh = [n for n in dict.fromkeys(numbers) if not self.model.of(n)]
        statuses = [answer.status for answer in answers]
        assert statuses.count("added") == len(fresh)
        if fresh:
            change_id = answers[0].change_id
            assert change_id is not None
            placed = [o for o in self.actual() if o[2]["civitai_version_id"] in fresh]
            self.model.make(change_id, Made([], placed))

    @rule(number=NUMBERS)
    def promote(self, number: int) -> None:
        here = self.model.of(number)
        if not here:
            with pytest.raises(NotFound):
                self.catalog.promote(number)
            return
        if here[0][:2] == ("models", "odd_shelf"):
            return  # by its folder it is a LoRA still; covered elsewhere
        answer = self.catalog.promote(number)
        if here[0][0] == "loras":
            assert (answer.status, answer.change_id) == ("already_exists", None)
            return
        assert answer.change_id is not None
        made = Made(here, [("loras", "sdxl_loras", here[0][2])])
        self.model.make(answer.change_id, made)

    @rule(number=NUMBERS)
    def demote(self, number: int) -> None:
        here = [one for one in self.model.of(number) if one[0] == "loras"]
        if not here:
            with pytest.raises(NotFound):
                self.catalog.demote(Address(version_id=number))
            return
        answer = self.catalog.demote(Address(version_id=number))
        assert answer.change_id is not None
        self.model.make(answer.change_id, Made(here, [("models", "loras", here[0][2])]))

    @rule(number=NUMBERS, by_file=st.booleans())
    def remove(self, number: int, by_file: bool) -> None:
        address = (
            Address(file=f"lora_{number}.safetensors") if by_file else Address(version_id=number)
        )
        here = self.model.of(number)
        if not here:
            with pytest.raises(NotFound):
                self.catalog.remove(address)
            return
        answer = self.catalog.remove(address)
        assert answer.change_id is not None
        self.model.make(answer.change_id, Made(here, []))

    @rule(number=NUMBERS, category=st.sampled_from(["odd_shelf", "loras", "sdxl_loras"]))
    def move(self, number: int, category: str) -> None:
        here = self.model.of(number)
        if not here:
            return
        answer = self.catalog.move(Address(version_id=number), category=category)
        if here[0][1] == category:
            assert answer.status == "unchanged"
            return
        assert answer.change_id is not None
        self.model.make(answer.change_id, Made(here, [(here[0][0], category, here[0][2])]))

    @rule(
        number=NUMBERS,
        name=st.sampled_from(["notes", "tags", "pair_id"]),
        value=st.sampled_from(["", "a", "b ✨"]),
    )
    def edit(self, number: int, name: str, value: str) -> None:
        here = self.model.of(number)
        if not here:
            return
        given: Any = ([value] if value else []) if name == "tags" else value
        answer = self.catalog.edit(Address(version_id=number), {name: given})
        fresh = {k: v for k, v in here[0][2].items() if k != name}
        if given:
            fresh[name] = given
        if fresh == here[0][2]:
            assert answer.status == "unchanged"
            return
        assert answer.change_id is not None
        self.model.make(answer.change_id, Made(here, [(*here[0][:2], fresh)]))

    @precondition(lambda self: self.model.changes)
    @rule(data=st.data())
    def undo_any(self, data: st.DataObject) -> None:
        change_id = data.draw(st.sampled_from(list(self.model.changes)))
        self.undo(change_id)

    @precondition(lambda self: self.model.changes)
    @rule()
    def undo_last_in_force(self) -> None:
        held = [i for i, m in self.model.changes.items() if not m.undone_by and not m.undoes]
        if not held:
            with pytest.raises(NotFound):
                self.catalog.undo()
            return
        self.undo(held[-1], named=False)

    def undo(self, change_id: str, *, named: bool = True) -> None:
        made = self.model.reversal(change_id)
        if made is None:
            with pytest.raises(Conflict):
                self.catalog.undo(change_id if named else None)
            return
        answer = self.catalog.undo(change_id if named else None)
        assert answer.undoes == change_id
        assert answer.change_id is not None
        self.model.make(answer.change_id, made)

    @rule(number=NUMBERS)
    def another_program_edits(self, number: int) -> None:
        for name in ("models", "loras"):
            path = self.folder / f"{name}.json"
            if not path.exists():
                continue
            data = json.loads(path.read_text("utf-8"))
            for category in data["categories"]:
                for entry in category["models"]:
                    if entry["civitai_version_id"] == number:
                        entry["rating"] = entry.get("rating", 0) + 1
            path.write_text(json.dumps(data, indent=2, ensure_ascii=False), "utf-8")
        for one in self.model.of(number):
            one[2]["rating"] = one[2].get("rating", 0) + 1

    @rule(number=NUMBERS)
    def a_dry_run_changes_nothing(self, number: int) -> None:
        before = {p.name: p.read_bytes() for p in self.folder.glob("*.json")}
        try:
            answer = self.catalog.remove(Address(version_id=number), dry_run=True)
            assert answer.dry_run
            assert answer.diff is not None
            assert "-" in answer.diff
        except (NotFound, BadReference):
            assert not self.model.of(number)
        assert {p.name: p.read_bytes() for p in self.folder.glob("*.json")} == before

    @invariant()
    def the_files_say_what_the_model_says(self) -> None:
        def spelled(placed: list[Placed]) -> list[str]:
            return sorted(json.dumps(one, sort_keys=True) for one in placed)

        assert spelled(self.actual()) == spelled(self.model.entries)
        assert [change.id for change in self.catalog.history()] == list(self.model.changes)
        assert not leftovers(self.folder)
        assert all(len(homes(self.folder, n)) <= 1 for n in range(1, 7))


Verbs.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestVerbs = Verbs.TestCase


def test_the_model_is_not_so_simple_that_it_misses_a_refusal(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path, disk=Quick())
    first = catalog.add(a_version(1)).change_id
    second = catalog.edit(Address(version_id=1), {"notes": "x"}).change_id
    with pytest.raises(Conflict, match=f"altered since by change '{second}'"):
        catalog.undo(first)
    with pytest.raises(CivitError):
        catalog.undo("no such change")
