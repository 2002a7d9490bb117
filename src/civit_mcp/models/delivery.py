"""Which file of a version is meant, and whether CivitAI lets anyone download it.

The rules are CivitAI's: how the site picks a file without filters, and the fields that
stand before a download. A verdict comes from the fields of the record, never from the
status code of an attempt.
"""

from datetime import UTC, datetime
from typing import Final

from civit_mcp.models.records import FileRecord, Gate, VersionRecord

#: the availability that shuts out everybody but the owner and whom they let in
PRIVATE: Final = "Private"
MODEL_FILE_TYPES: Final = ("model", "pruned model", "diffusion model", "unet")
#: never the thing that a loader wants, when something else is there
_SIDE_FILE_TYPES: Final = frozenset(
    {"training data", "config", "archive", "workflow", "vae", "text encoder", "negative"}
)


def main_file(version: VersionRecord) -> FileRecord | None:
    """Pick the file that a download without filters means.

    Flagged primary; else the first model file; else the first that is no side file; else
    None. A flag on a side file yields to an unflagged model file only if no model file is
    flagged.
    """
    flagged = [file for file in version.files if file.primary]
    for file in flagged:
        if file.type.casefold() in MODEL_FILE_TYPES:
            return file
    if flagged:
        return flagged[0]
    for wanted in (_is_model_file, _is_no_side_file):
        for file in version.files:
            if wanted(file):
                return file
    # a VAE, text encoder or embedding model is made of exactly such files
    kind = (version.model_type or "").casefold()
    own = {"vae": "vae", "textencoder": "text encoder", "textualinversion": "negative"}.get(kind)
    return next((f for f in version.files if own and f.type.casefold() == own), None)


def _is_model_file(file: FileRecord) -> bool:
    return file.type.casefold() in MODEL_FILE_TYPES


def _is_no_side_file(file: FileRecord) -> bool:
    return file.type.casefold() not in _SIDE_FILE_TYPES


def gate_of(version: VersionRecord, now: datetime | None = None) -> Gate | None:
    """Say what stands before a download of `version`; None when nothing does."""
    mode = (version.model_mode or "").casefold()
    if mode == "archived":
        return Gate(kind="archived", reason="the model is archived; CivitAI serves no files of it")
    if mode == "takendown":
        return Gate(kind="taken_down", reason="the model was taken down")
    if version.availability == PRIVATE:
        return Gate(
            kind="private",
            reason="it is private; CivitAI gives its files only to whom its owner allows",
        )
    usage = version.usage_control
    if usage and usage != "Download":
        return Gate(
            kind="usage_control",
            reason=f"the creator allows '{usage}' only; downloads are disabled",
        )
    early = _early_access(version, now or datetime.now(UTC))
    if early is not None:
        return early
    if version.status and version.status != "Published":
        return Gate(kind="unpublished", reason=f"the version's status is '{version.status}'")
    if main_file(version) is None:
        return Gate(kind="no_public_file", reason="the version has no public model file")
    return None


def _early_access(version: VersionRecord, now: datetime) -> Gate | None:
    if version.early_access_permanent:
        return Gate(
            kind="early_access", reason="early access: paid on civitai.com, no end announced"
        )
    until = parse_time(version.early_access_until)
    if until is None:
        if version.availability == "EarlyAccess" and version.early_access_until is None:
            return Gate(kind="early_access", reason="early access: no end announced")
        return None
    if until <= now:
        return None
    stamp = until.strftime("%Y-%m-%d %H:%M UTC")
    return Gate(kind="early_access", reason=f"early access until {stamp}", until=until.isoformat())


def parse_time(text: str | None) -> datetime | None:
    """Read an ISO time; without a zone it is UTC; None when it is no time."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
