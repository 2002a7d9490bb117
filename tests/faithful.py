"""Compare a tool's answer with CivitAI's: nothing invented, nothing altered.

Each check takes the structured answer and the JSON that it was made from, and reads that
JSON on its own, without the product's readers.
"""

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
#: what the product says in words of its own, or computes: not CivitAI's numbers
_OWN = frozenset({
    "description", "description_next", "notes", "size_mb", "licence", "missing", "raw_uri",
    "catalog_status", "family", "gate", "more_words",
})  # fmt: skip
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")


def leaves(value: Any, *, beside: frozenset[str] = frozenset()) -> Iterator[Any]:
    """Every value that holds no other; not below the keys in `beside`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in beside:
                yield from leaves(inner, beside=beside)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, beside=beside)
    else:
        yield value


def numbers(value: Any, *, beside: frozenset[str] = frozenset()) -> set[float]:
    """Every number, also the digits of numbers written as text."""
    found: set[float] = set()
    for leaf in leaves(value, beside=beside):
        if isinstance(leaf, int | float) and not isinstance(leaf, bool):
            found |= {leaf, -leaf}
        elif isinstance(leaf, str):
            found |= {float(text) for text in _NUMBER.findall(leaf) if len(text) < 30}
    return found


def only_numbers(value: Any) -> set[float]:
    """Every number that is one in JSON."""
    plain = (leaf for leaf in leaves(value, beside=_OWN) if not isinstance(leaf, bool))
    return {leaf for leaf in plain if isinstance(leaf, int | float)}


def same_model(answer: Json, sent: Json) -> None:
    """`get_model` against `models/<id>`."""
    assert answer["id"] == sent["id"]
    _same_counts(answer, sent.get("stats"))
    _one_of(answer.get("creator"), [(sent.get("creator") or {}).get("username")])
    versions = sent.get("modelVersions") or []
    shown = answer.get("versions", [])
    listed = [version["id"] for version in shown] + answer.get("more_versions", [])
    assert listed == [version["id"] for version in versions]
    for brief, version in zip(shown, versions, strict=False):
        assert brief["name"] == plain(version["name"], 80)
        _same_counts(brief, version.get("stats"), names=("downloads",))
        _one_of(brief.get("base_model"), [version.get("baseModel")])
        _one_of(brief.get("published_at"), [version.get("publishedAt")])
        if "file" in brief:
            same_file(brief["file"], version["files"])
    tags = [tag["name"] if isinstance(tag, dict) else tag for tag in sent.get("tags") or []]
    assert answer.get("tags", []) == [plain(tag, 60) for tag in tags[:20]]
    assert only_numbers(answer) <= numbers(sent)


def same_version(answer: Json, sent: Json) -> None:
    """`get_model_version` against `model-versions/<id>`, or the version inside its model."""
    assert answer["id"] == sent["id"]
    assert answer.get("model_id") == sent.get("modelId", answer.get("model_id"))
    _one_of(answer.get("air"), [sent.get("air")] if "air" in sent else [answer.get("air")])
    _one_of(answer.get("base_model"), [sent.get("baseModel")])
    _same_counts(answer, sent.get("stats"), names=("downloads",))
    words = sent.get("trainedWords") or []
    texts = [" ".join(text.split()) for text in words]
    assert all(any(word in text for text in texts) for word in answer.get("trigger_words", []))
    files = sent.get("files") or []
    assert [file.get("id") for file in answer.get("files", [])] == [f.get("id") for f in files]
    for file in answer.get("files", []):
        same_file(file, files)
    assert only_numbers(answer) <= numbers(sent) | {answer.get("model_id", 0)}


def same_file(file: Json, files: list[Json]) -> None:
    """A file of an answer against those of the version."""
    (sent,) = [each for each in files if each.get("id") == file.get("id")][:1]
    size = sent.get("sizeKB")
    whole = None if size is None else size * 1024 / 1e6
    assert file.get("size_mb") == (whole and (round(whole, 1) or float(f"{whole:.3g}")))
    _one_of(file.get("fp"), [(sent.get("metadata") or {}).get("fp")])
    given = {value.upper() for value in (sent.get("hashes") or {}).values()}
    assert set(file.get("hashes", {}).values()) <= given
    if "download_url" in file:
        # the ids in the address are this file's
        assert file["download_url"].endswith(f"fileId={file['id']}")


def same_generation(answer: Json, sent: Json, image_id: int) -> None:
    """`get_generation_data` against the output of `image.getGenerationData`."""
    assert answer["image_id"] == image_id
    assert (answer["type"], answer["process"]) == (sent.get("type"), sent.get("process"))
    rows = {row["modelVersionId"]: row for row in reversed(sent.get("resources") or [])}
    assert {row["versionId"] for row in answer["resources"]} == rows.keys()
    meta = sent.get("meta") or {}
    written = numbers(meta)
    for row in answer["resources"]:
        source = rows[row["versionId"]]
        assert row.get("modelId") == source.get("modelId")
        if source.get("strength") is not None:
            listed = [r["strength"] for r in sent["resources"] if r.get("strength") is not None]
            assert row["strength"] in listed
        else:
            # CivitAI dropped it; the prompt may tell it, a tag without a number means 1
            assert row.get("strength") is None or abs(row["strength"]) in written | {1.0}
    own = {key: value for key, value in answer["meta"].items() if key in meta}
    _same_meta(own, meta)
    # what the image's listing adds is named as such
    added = own.keys() != answer["meta"].keys()
    assert not added or any("stored metadata" in note for note in answer["notes"])
    text = repr(sent).upper()
    for dep in answer["detected_deps"]:
        assert dep.get("weight") is None or abs(dep["weight"]) in written | {1.0}
        assert (dep.get("hash") or "") in text
        if dep.get("resolved_by") == "version_id":
            assert dep["civitai_version_id"] in written


def _same_meta(shown: Json, sent: Json) -> None:
    for key, value in shown.items():
        if value in ("(large; see the raw resource)", "***"):
            continue
        if isinstance(value, str):
            whole = str(sent[key])
            # a long prompt is cut and a secret in an address masked, never reworded
            assert whole.startswith(value[:50].partition("***")[0])
        elif isinstance(value, int | float):
            assert (value, type(value)) == (sent[key], type(sent[key]))
        else:
            assert only_numbers(value) <= numbers(sent[key])


def _same_counts(
    answer: Json, stats: Any, *, names: tuple[str, ...] = ("downloads", "thumbs_up")
) -> None:
    wire = {"downloads": "downloadCount", "thumbs_up": "thumbsUpCount"}
    for name in names:
        assert answer.get(name) == (stats or {}).get(wire[name])


def _one_of(value: Any, sent: list[Any]) -> None:
    assert value in [None if text == "" else text for text in sent]


def plain(text: str, limit: int) -> Any:
    """The text when it is short and plain, else whatever its reader makes of it."""
    tame = text.isprintable() and text.isascii() and " ".join(text.split()) == text
    return text if tame and len(text) <= limit else _Anything()


class _Anything:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    __hash__ = None  # type: ignore[assignment]
