"""A catalog file is kept byte for byte, except where an edit touches it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from civit_mcp.catalog.change import Change, Edit, apply
from civit_mcp.catalog.document import Document
from civit_mcp.errors import CatalogUnreadable

PATH = Path("folder/models.json")
ENTRY = {"name": "Ünïcode ✨", "file": "a.safetensors", "tags": [], "trigger_words": ["x", "y"]}
TEXT = json.dumps(ENTRY, ensure_ascii=False)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
entries = st.dictionaries(st.text(), values, max_size=4) | values
categories = (
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.sampled_from(["loras", "checkpoints", "", None, 3]),
            "name": values,
            "models": st.none() | st.lists(entries, max_size=4),
            "extra": values,
        },
    )
    | values
)
catalogs = st.fixed_dictionaries(
    {},
    optional={
        "version": values,
        "date": values,
        "categories": st.none() | st.lists(categories, max_size=4),
        "extra": values,
    },
).filter(lambda value: not value or "categories" in value or isinstance(value.get("version"), int))
layouts = st.sampled_from(
    [
        {"indent": 2},
        {"indent": 4},
        {"indent": "\t"},
        {"separators": (",", ":")},
        {},
        {"indent": 2, "ensure_ascii": True},
    ]
)


def spelled(value: Any, layout: dict[str, Any], *, crlf: bool, bom: bool) -> bytes:
    text = json.dumps(value, **{"ensure_ascii": False, **layout})
    if crlf:
        text = text.replace("\n", "\r\n") + "\r\n"
    return (("\ufeff" if bom else "") + text).encode("utf-8", "surrogatepass")


def edit(action: Any = "insert", text: str = TEXT, **fields: Any) -> Edit:
    plain: dict[str, Any] = {
        "catalog": "models",
        "category": "loras",
        "category_name": "LoRAs",
        "position": None,
    }
    return Edit(action=action, entry=text, **{**plain, **fields})


@given(catalogs, layouts, st.booleans(), st.booleans())
def test_any_catalog_reads_and_renders_to_the_same_bytes(
    value: Any, layout: dict[str, Any], crlf: bool, bom: bool
) -> None:
    data = spelled(value, layout, crlf=crlf, bom=bom)
    assert Document.parse(data, PATH).render() == data


@given(catalogs, layouts, st.booleans(), st.booleans())
@example({}, {}, False, False)
@example({"categories": [{"id": "loras"}]}, {}, False, False)
@example({"categories": [{"id": "loras", "models": [1]}]}, {"indent": 2}, True, True)
def test_an_insert_keeps_every_other_value_and_its_order(
    value: Any, layout: dict[str, Any], crlf: bool, bom: bool
) -> None:
    data = spelled(value, layout, crlf=crlf, bom=bom)
    old = Document.parse(data, PATH)
    wanted: dict[str, Any] = json.loads(data.decode("utf-8-sig"))
    made = json.loads(apply(old, [edit()], date="2026-01-02 03:04").render().decode("utf-8-sig"))
    assert made.pop("version") == old.version + 1
    assert made.pop("date") == "2026-01-02 03:04"
    wanted.pop("version", None)
    wanted.pop("date", None)
    wanted["categories"] = wanted.get("categories") or []
    for category in wanted["categories"]:
        if isinstance(category, dict) and category.get("id") == "loras":
            category["models"] = [*(category.get("models") or []), ENTRY]
            break
    else:
        wanted["categories"].append({"id": "loras", "name": "LoRAs", "models": [ENTRY]})
    assert made == wanted
    assert [key for key in made if key in value] == [key for key in value if key in made]


@given(catalogs, layouts, st.integers(0, 5))
def test_an_insert_taken_back_gives_the_old_bytes(
    value: Any, layout: dict[str, Any], position: int
) -> None:
    old = Document.parse(spelled(value, layout, crlf=False, bom=False), PATH)
    home = next((one for one in old.categories if one.id == "loras"), None)
    if home is None or not home.entries:
        return
    new = old.insert("loras", "LoRAs", TEXT, position)
    place = min(position, len(home.entries))
    assert json.loads(new.text)["categories"][home.index]["models"][place] == ENTRY
    assert new.remove(home.index, place).render() == old.render()


@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]",:categoris0 1\n', max_size=60).map(str.encode)
)
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    said = ""
    try:
        assert Document.parse(data, PATH).render() == data
    except CatalogUnreadable as error:
        said = str(error)
    assert not said or ("models.json" in said and "line" in said)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"version": 1,\n  "categories": [}', "line 2, column 18"),
        (b'{"version": 1, "categories": []', "line 1, column 32"),
        (b'{"a": 1} trailing', "Extra data at line 1, column 10"),
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (b"[]", "holds no object"),
        (b"null", "holds no object"),
        (b'{"categories": {}}', "'categories' is no list"),
        (b'{"categories": "x"}', "'categories' is no list"),
        (b'{"a": "\xff"}', "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": ' + b"[" * 200_000, "nested too deeply"),
        (b'{"categories": [{"models": [01]}]}', "line 1, column 30"),
    ],
)
def test_what_is_no_catalog_is_refused_with_its_place(data: bytes, words: str) -> None:
    with pytest.raises(CatalogUnreadable) as caught:
        Document.parse(data, PATH)
    assert words in str(caught.value)
    assert "Next:" in str(caught.value)


@pytest.mark.parametrize(
    ("version", "following"),
    [(24, 25), ("24", 25), (24.0, 25), (24.7, 25), (None, 1), ("abc", 1), (True, 1), ([], 1)],
)
def test_a_version_of_any_kind_counts_on(version: Any, following: int) -> None:
    data = json.dumps({"version": version, "categories": []}).encode()
    assert json.loads(Document.parse(data, PATH).stamped("d").text)["version"] == following


def test_numbers_and_strings_stay_as_they_were_written() -> None:
    text = (
        '{"version": 1, "x": [1.50, 1e400, -0, NaN, ' + "9" * 5000 + ', "\\u00e9\\ud800"],'
        ' "categories": [{"id": "loras", "models": [{"size_gb": 2.50}]}]}'
    )
    document = Document.parse(text.encode(), PATH)
    made = document.insert("loras", "", TEXT).text
    assert made == text.replace('{"size_gb": 2.50}', '{"size_gb": 2.50}, ' + TEXT)


def test_keys_that_stand_twice_are_kept_and_the_last_one_counts() -> None:
    text = (
        '{"version": 1, "version": 5, "categories": [], "categories": '
        '[{"id": "x", "id": "loras", "models": [1], "models": []}]}'
    )
    document = Document.parse(text.encode(), PATH)
    assert document.version == 5
    made = document.insert("loras", "", "{}").stamped("d").text
    assert made == (
        '{"version": 1, "date": "d", "version": 6, "categories": [], "categories": '
        '[{"id": "x", "id": "loras", "models": [1], "models": [{}]}]}'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"categories":[{"id":"loras","models":[{"a":1}]}]}', '{"a":1},{"b":[1,2]}'),
        ('{"categories": [{"id": "loras", "models": [{"a": 1}]}]}', '{"a": 1}, {"b": [1, 2]}'),
        (
            json.dumps({"categories": [{"id": "loras", "models": [{"a": 1}]}]}, indent="\t"),
            '\t\t\t\t{\n\t\t\t\t\t"b": [\n\t\t\t\t\t\t1,\n\t\t\t\t\t\t2\n\t\t\t\t\t]\n\t\t\t\t}',
        ),
        (
            '{\n  "categories": [\n    {"id": "loras", "models": [\n      {"a": 1}\n    ]}\n  ]\n}',
            '      {"a": 1},\n      {"b": [1, 2]}\n    ]}',
        ),
    ],
)
def test_a_new_entry_is_laid_out_like_its_neighbours(before: str, after: str) -> None:
    made = Document.parse(before.encode(), PATH).insert("loras", "", '{"b": [1, 2]}').text
    assert after in made
    json.loads(made)


def test_an_edit_made_again_on_a_foreign_content_is_made_once() -> None:
    base = Document.parse(b'{"version": 3, "categories": []}', PATH)
    text = '{"civitai_version_id": 5, "file": "a", "name": "n"}'
    once = apply(base, [edit(text=text)], date="d")
    refreshed = Document.parse(once.text.replace('"n"', '"renamed"').encode(), PATH)
    assert apply(refreshed, [edit(text=text)], date="d", again=True) is refreshed
    assert apply(base, [edit("remove", text)], date="d", again=True) is base


def test_a_change_reads_back_as_it_was_written() -> None:
    change = Change(
        id="1", time="t", verb="add", version_id="5", edits=(edit(), edit("remove", position=3))
    )
    assert Change.from_json(json.loads(json.dumps(change.to_json()))) == change


def test_a_recorded_catalog_gains_one_entry_and_nothing_else(recorded: Path) -> None:
    data = (recorded / "catalogs" / "comfyui-studio_models.json").read_bytes()
    document = Document.parse(data, PATH)
    assert document.render() == data
    assert len(document.categories) == 14
    made = apply(document, [edit()], date="2026-01-02 03:04").text.splitlines()
    old = data.decode().splitlines()
    gained = len(made) - len(old)
    assert gained == 9
    assert [line for line in made if line not in old][:2] == [
        '  "version": 25,',
        '  "date": "2026-01-02 03:04",',
    ]


def test_other_programs_lists_are_refused(recorded: Path) -> None:
    folder = recorded / "catalogs"
    with pytest.raises(CatalogUnreadable, match="neither 'categories' nor"):
        Document.parse((folder / "comfyui-manager_model-list.json").read_bytes(), PATH)
    with pytest.raises(CatalogUnreadable, match="holds no object"):
        Document.parse((folder / "stabilitymatrix_hf-packages.json").read_bytes(), PATH)
