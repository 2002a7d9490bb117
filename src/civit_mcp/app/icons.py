"""Pictures for a client's menus, drawn here, each small enough to travel inside an address.

The server's own is part of every answer in the modern era, so a few strokes have to do. Their
colours are read on light and on dark alike.
"""

from typing import Final
from urllib.parse import quote

from mcp.server.mcpserver import Icon

#: what an address may hold as it is
_KEPT: Final = "/:=',"


def _drawn(shape: str, colour: str) -> list[Icon]:
    """Fill a shape on a field of 8 by 8; commas stand for spaces, which grow in an address."""
    svg = (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0,0,8,8'>"
        f"<path fill='{colour}' d='{shape}'/></svg>"
    )
    return [Icon(src=f"data:image/svg+xml,{quote(svg, safe=_KEPT)}")]


#: the letter C around a card
SERVER: Final = _drawn("M0,0h8v2H2v4h6v2H0zM4,3h4v2H4z", "teal")
#: boxes on shelves
CATALOG: Final = _drawn("M0,3h8v1H0zM0,7h8v1H0zM1,0h2v3H1zM4,5h3v2H4z", "peru")
#: a picture: hills under a sun
CIVITAI: Final = _drawn("M0,8l3-5,2,3,1-1,2,3zM5,1h2v2H5z", "teal")
#: steps of a plan
PLAN: Final = _drawn("M0,0h2v2H0zM3,0h5v2H3zM0,3h2v2H0zM3,3h5v2H3zM0,6h2v2H0zM3,6h5v2H3z", "teal")
