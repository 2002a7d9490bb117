"""How an image was made."""

from typing import Annotated

from pydantic import Field

from civit_mcp.app import Ctx, Tool, desk_of
from civit_mcp.models.generated import GenerationAnswer
from civit_mcp.tools.arguments import ImageRef


async def get_generation_data(
    ctx: Ctx,
    image_id: ImageRef,
    include_raw: Annotated[bool, Field(description="add the raw envelope (large)")] = False,
) -> GenerationAnswer:
    """Tell how a CivitAI image or video was made: prompts, settings, checkpoint, LoRAs,
    embeddings, what of it the catalog has, and what is missing. A dep with resolved_by 'name'
    is only a candidate.
    """
    from civit_mcp.usecases import generation

    return await generation.get_generation_data(desk_of(ctx), image_id, include_raw=include_raw)


TOOLS = (
    Tool(run=get_generation_data, title="How was this image made", toolset="core", replayable=True),
)
