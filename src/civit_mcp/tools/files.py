"""Files: which version they are, and whether they can be had."""

from typing import Annotated

from pydantic import Field

from civit_mcp.app import Ctx, Tool, desk_of
from civit_mcp.models.identified import AvailabilityAnswer, IdentifiedAnswer
from civit_mcp.tools.arguments import Cursor, Ref


async def identify_files(
    ctx: Ctx,
    paths: Annotated[
        list[str],
        Field(
            description="files or folders under the models root or extra_model_paths.yaml",
            max_length=100,
        ),
    ] = [],  # noqa: B006 - see search
    hashes: Annotated[
        list[str],
        Field(description="SHA256, AutoV3, AutoV2, AutoV1 or CRC32", max_length=500),
    ] = [],  # noqa: B006
    limit: Annotated[int, Field(ge=1, le=500)] = 50,
    cursor: Cursor = None,
) -> IdentifiedAnswer:
    """Tell which CivitAI version local model files or hashes are. Hashes the whole file, which
    takes a while; names are never trusted. weak = a short hash that others may share.
    """
    from civit_mcp.usecases import identify

    return await identify.identify_files(
        desk_of(ctx), paths, hashes, limit=limit, cursor=cursor, progress=ctx.report_progress
    )


async def check_availability(
    ctx: Ctx,
    version_ids: Annotated[list[Ref], Field(min_length=1, max_length=100)],
    cursor: Cursor = None,
) -> AvailabilityAnswer:
    """Tell whether versions can be downloaded now: state present, gone or unknown, gate, login,
    file and size.
    """
    from civit_mcp.usecases import availability

    return await availability.check_availability(desk_of(ctx), version_ids, cursor=cursor)


TOOLS = (
    Tool(run=identify_files, title="Identify model files", toolset="files"),
    Tool(run=check_availability, title="Check availability", toolset="files", replayable=True),
)
