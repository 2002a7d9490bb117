"""From records to rows: the same fact is worded in one place."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from civit_mcp.catalog import Entry, Snapshot
from civit_mcp.models.base_models import look_up
from civit_mcp.models.catalogued import EntryRow
from civit_mcp.models.delivery import gate_of, main_file
from civit_mcp.models.facts import (
    CatalogStatus,
    FileBrief,
    FileFacts,
    GateRow,
    Licence,
    SearchRow,
    VersionBrief,
    VersionFacts,
)
from civit_mcp.models.levels import label
from civit_mcp.models.records import FileRecord, ModelRecord, VersionRecord
from civit_mcp.text import one_line

#: trigger words in a row
ROW_WORDS = 8
ROW_WORD_LENGTH = 80
#: characters of one trigger word where all of them are shown
WORD_PIECE: Final = 600
#: longer than anything that is stored
UNCUT: Final = 2**31
_ELLIPSIS: Final = "…"
MOST_KB = 1e15
#: words of open sets: types, base models, formats, people
WORD_LENGTH = 80
SITE = "https://civitai.com"


def word(text: str | None) -> str | None:
    """One word of an open set, on one line; None when there is none."""
    return one_line(text, WORD_LENGTH) or None


def model_url(model_id: int, version_id: int | None = None) -> str:
    """Build the page address of a model, at a version when one is given."""
    tail = f"?modelVersionId={version_id}" if version_id is not None else ""
    return f"{SITE}/models/{model_id}{tail}"


def megabytes(file: FileRecord) -> float | None:
    """CivitAI's KiB in megabytes of 10^6 bytes; None for what no disk can hold."""
    if file.size_kb is None or not 0 <= file.size_kb < MOST_KB:
        return None
    return in_megabytes(file.size_kb * 1024)


def in_megabytes(size: float) -> float:
    """Bytes in megabytes of 10^6: to a tenth, and only what is empty is 0."""
    megabytes = size / 1e6
    return round(megabytes, 1) or float(f"{megabytes:.3g}")


def file_brief(file: FileRecord | None) -> FileBrief | None:
    """Name the file that a download gives."""
    if file is None:
        return None
    return FileBrief(
        id=file.id,
        name=one_line(file.name, 120),
        size_mb=megabytes(file),
        fp=word(file.fp),
        format=word(file.format),
    )


def gate_row(version: VersionRecord, now: datetime | None = None) -> GateRow | None:
    """Word the gate before a version, if there is one."""
    gate = gate_of(version, now)
    if gate is None:
        return None
    return GateRow(kind=gate.kind, reason=one_line(gate.reason, 200), until=gate.until)


def short_words(words: Sequence[str]) -> dict[str, Any]:
    """Trigger words as fields of a row: a few, each short enough to read, and how many more."""
    return {
        "trigger_words": [one_line(word, ROW_WORD_LENGTH) for word in words[:ROW_WORDS]],
        "more_words": max(len(words) - ROW_WORDS, 0) or None,
    }


def whole_words(words: Sequence[str]) -> dict[str, Any]:
    """Trigger words as fields of a row that nothing is left out of."""
    return {"trigger_words": [one_line(word, UNCUT) for word in words]}


def are_cut(rows: Iterable[SearchRow | VersionBrief | EntryRow]) -> bool:
    """Whether some trigger word of the rows is left out or shortened."""
    return any(
        row.more_words or any(word.endswith(_ELLIPSIS) for word in row.trigger_words)
        for row in rows
    )


def words_note(where: str) -> str:
    """Say that rows are short of trigger words, and where the others are."""
    return f"Trigger words are cut, more_words tells by how many; {where} has them all"


def status_of(snapshot: Snapshot | None, version_id: int | None) -> CatalogStatus:
    """Catalog status of a version; 'unknown' without a version or a readable catalog."""
    if version_id is None or snapshot is None:
        return "unknown"
    entry = snapshot.by_version(version_id)
    return "not_found" if entry is None else snapshot.status(entry)


def place_of(entry: Entry | None) -> dict[str, Any]:
    """Where the catalog keeps a thing, as result fields; empty when it does not."""
    if entry is None:
        return {}
    return {
        "catalog_file": entry.file,
        "catalog_dest": entry.dest,
        "catalog_name": entry.name,
    }


def search_row(
    model: ModelRecord, version: VersionRecord | None, snapshot: Snapshot | None
) -> SearchRow:
    """One model with the version that fits the search."""
    return SearchRow(
        id=model.id,
        name=one_line(model.name, 160),
        type=word(model.type) or "",
        creator=word(model.creator),
        level=label(model.level_bits),
        version_id=version.id if version else None,
        version_name=one_line(version.name, 80) if version else None,
        base_model=word(version.base_model) if version else None,
        **(short_words(version.trigger_words) if version else {}),
        file=file_brief(main_file(version)) if version else None,
        downloads=model.downloads,
        thumbs_up=model.thumbs_up,
        catalog_status=status_of(snapshot, version.id if version else None),
        gate=gate_row(version) if version else None,
        url=model_url(model.id, version.id if version else None),
    )


def version_brief(
    version: VersionRecord, snapshot: Snapshot | None, *, whole: bool = False
) -> VersionBrief:
    """One version in the answer about its model."""
    return VersionBrief(
        id=version.id,
        name=one_line(version.name, 80),
        base_model=word(version.base_model),
        **(whole_words if whole else short_words)(version.trigger_words),
        file=file_brief(main_file(version)),
        published_at=word(version.published_at),
        downloads=version.downloads,
        catalog_status=status_of(snapshot, version.id),
        gate=gate_row(version),
    )


def file_facts(file: FileRecord, version_id: int, base: str) -> FileFacts:
    """Everything about one file. The address carries no key."""
    pick = f"?fileId={file.id}" if file.id is not None else ""
    return FileFacts(
        id=file.id,
        name=one_line(file.name, 255),
        type=word(file.type) or "",
        size_mb=megabytes(file),
        format=word(file.format),
        fp=word(file.fp),
        size=word(file.size),
        quant=word(file.quant),
        primary=file.primary,
        hashes=dict(file.hashes),
        scan=word(scan_result(file)),
        download_url=f"{base}/api/download/models/{version_id}{pick}",
    )


def scan_result(file: FileRecord) -> str | None:
    """Join pickle and virus scan into the worse of the two words."""
    found = [word for word in (file.pickle_scan, file.virus_scan) if word]
    order = ("Danger", "Error", "Pending", "Success")
    ranked = sorted(found, key=lambda word: order.index(word) if word in order else 0)
    return ranked[0] if ranked else None


def version_facts(version: VersionRecord, snapshot: Snapshot | None, base: str) -> VersionFacts:
    """Everything about one version but its description."""
    entry = None if snapshot is None else snapshot.by_version(version.id)
    gate = gate_row(version)
    return VersionFacts(
        id=version.id,
        name=one_line(version.name, 160),
        model_id=version.model_id,
        model_name=one_line(version.model_name or "", 160) or None,
        model_type=word(version.model_type),
        base_model=word(version.base_model),
        family=look_up(version.base_model).family if version.base_model else None,
        air=one_line(version.air, 300) or None,
        level=label(version.level_bits),
        **whole_words(version.trigger_words),
        published_at=word(version.published_at),
        downloads=version.downloads,
        thumbs_up=version.thumbs_up,
        files=[file_facts(file, version.id, base) for file in version.files],
        gate=gate,
        catalog_status=status_of(snapshot, version.id),
        url=model_url(version.model_id, version.id) if version.model_id else None,
        **place_of(entry),
    )


def licence_of(model: ModelRecord) -> Licence | None:
    """Put the creator's permissions into plain words; None when CivitAI sent none."""
    uses = model.allow_commercial_use
    flags = (model.allow_no_credit, model.allow_derivatives, model.allow_different_license)
    if uses is None and all(flag is None for flag in flags):
        return None
    return Licence(
        credit_required=None if model.allow_no_credit is None else not model.allow_no_credit,
        commercial_use=None if uses is None else _commercial_words(uses),
        derivatives=_yes_no(model.allow_derivatives, "allowed", "not allowed"),
        relicensing=_yes_no(
            model.allow_different_license, "other permissions allowed", "same permissions only"
        ),
    )


def _yes_no(flag: bool | None, yes: str, no: str) -> str | None:
    return None if flag is None else (yes if flag else no)


_USES = {
    "Image": "sell images made with it",
    "RentCivit": "use on Civitai's paid generator",
    "Rent": "use on other paid generators",
    "Sell": "sell the model or merges",
}


def _commercial_words(uses: frozenset[str]) -> str:
    known = [words for key, words in _USES.items() if key in uses]
    unknown = [one_line(use, 40) for use in sorted(uses - set(_USES))[:10]]
    return "; ".join(known + unknown) or "none"
