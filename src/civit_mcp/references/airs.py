"""AIRs and `id@version` as references.

Only ids of CivitAI can be looked up here; other sources are recognised so that the refusal can
say why.
"""

import re
from typing import Final

from civit_mcp.models.air import Air, parse_air
from civit_mcp.references.reference import Reading, Refusal, of_ids, out_of_range, read_id, shown

_PREFIX: Final = re.compile(r"urn:|air:", re.IGNORECASE)
_NEXT: Final = "give an AIR such as 'urn:air:sdxl:lora:civitai:58390@62833'"


def read_air(token: str) -> Reading | None:
    """Read `token` as an AIR or as `id@version`; None when it is neither."""
    air = parse_air(token)
    if air is None:
        named = _PREFIX.match(token) or "civitai:" in token.casefold().partition("@")[0]
        return _malformed(token) if named else None
    if air.source != "civitai":
        return Refusal(
            what=f"'{shown(token, 120)}' is an AIR of '{shown(air.source, 40)}', not of CivitAI",
            next_step="only AIRs with the source 'civitai' can be looked up; search by name "
            "with search_models",
        )
    return _of_civitai(token, air)


def _of_civitai(token: str, air: Air) -> Reading:
    wanted = {"model_id": air.id, "version_id": air.version, "file_id": air.file}
    ids = {field: read_id(digits) for field, digits in wanted.items() if digits is not None}
    if None in ids.values():
        return out_of_range(token)
    return of_ids(
        "version" if "version_id" in ids else "model",
        ids,
        text=token,
        form="an AIR" if ":" in token else "an id with a version",
        format=air.format,
    )


def _malformed(token: str) -> Refusal:
    return Refusal(what=f"'{shown(token, 120)}' is no complete AIR", next_step=_NEXT)
