"""AIRs: `urn:air:{ecosystem}:{type}:{source}:{id}@{version}+{file}.{format}`.

Everything before the source may be missing, and case means nothing. Only ids of CivitAI can
be looked up here; other sources are recognised so that the refusal can say why.
"""

import re
from typing import Final

from civit_mcp.references.reference import Reading, Refusal, of_ids, out_of_range, read_id, shown

_PREFIXED: Final = re.compile(r"urn:air:|air:|urn:", re.IGNORECASE)
_TAIL: Final = re.compile(
    r"(?P<model>[0-9]+)(?:@(?P<version>[0-9]+|latest))?(?:\+(?P<file>[0-9]+))?"
    r"(?:\.(?P<format>[a-z][a-z0-9]*))?",
    re.IGNORECASE,
)
#: sources that are recognised without the prefix
_OTHER_SOURCES: Final = frozenset({"huggingface", "civitai-r2", "orchestrator", "oci"})
_NEXT: Final = "give an AIR such as 'urn:air:sdxl:lora:civitai:58390@62833'"


def read_air(token: str) -> Reading | None:
    """Read `token` as an AIR or as `id@version`; None when it is neither."""
    prefix = _PREFIXED.match(token)
    parts = (token[prefix.end() :] if prefix else token).split(":")
    if len(parts) == 1:
        tail = _TAIL.fullmatch(parts[0])
        if tail and tail["version"]:
            return _from_tail(token, tail, form="an id with a version")
        return _malformed(token) if prefix else None
    if len(parts) <= 4 and parts[-2].casefold() == "civitai":
        tail = _TAIL.fullmatch(parts[-1])
        if tail:
            return _from_tail(token, tail, form="an AIR")
        return _malformed(token)
    source = next((p for p in parts[:3] if p.casefold() in _OTHER_SOURCES), "")
    if not source and prefix and len(parts) >= 4:
        source = parts[2]
    if source and source.casefold() != "civitai":
        return Refusal(
            what=f"'{shown(token, 120)}' is an AIR of '{shown(source, 40)}', not of CivitAI",
            next_step="only AIRs with the source 'civitai' can be looked up; search by name "
            "with search_models",
        )
    return _malformed(token) if prefix else None


def _from_tail(token: str, tail: re.Match[str], *, form: str) -> Reading:
    version = tail["version"]
    wanted = {
        "model_id": tail["model"],
        "version_id": version if version and version.casefold() != "latest" else None,
        "file_id": tail["file"],
    }
    ids = {field: read_id(digits) for field, digits in wanted.items() if digits is not None}
    if None in ids.values():
        return out_of_range(token)
    return of_ids(
        "version" if "version_id" in ids else "model",
        ids,
        text=token,
        form=form,
        format=tail["format"].lower() if tail["format"] else None,
    )


def _malformed(token: str) -> Refusal:
    return Refusal(what=f"'{shown(token, 120)}' is no complete AIR", next_step=_NEXT)
