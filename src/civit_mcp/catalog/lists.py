"""Items of a category's list: taken out, put back, and what joined them."""

from typing import NamedTuple

from civit_mcp.catalog.pieces import Array, Entries, Item, Object, read_array, read_raw


class Seam(NamedTuple):
    """How an entry was joined to its list: the text before it, before the next, at the end."""

    lead: str
    after: str
    close: str


def without(owner: Array | Entries, position: int) -> Array | Entries:
    """Take one item out."""
    if isinstance(owner, Entries):
        after = owner.item(0).lead if position == 0 else None
        return owner.edited(position, gone=1, after=after)
    items = list(owner.items)
    gone = items.pop(position)
    if not items:
        return Array((), "]")
    if position == 0:
        items[0] = items[0]._replace(lead=gone.lead)
    return owner._replace(items=tuple(items))


def put_back(
    owner: Array | Entries, entry: str, position: int | None, seam: Seam
) -> Array | Entries:
    """Put an entry back as it once stood, character for character."""
    followed = seam.lead.lstrip().startswith(",")
    bare = seam.lead.lstrip().removeprefix(",") if followed else seam.lead
    node = read_raw(entry, 0)[0]
    if not isinstance(owner, Entries):
        return Entries.of((Item(bare, node),), seam.close)
    size = len(owner.values)
    place = size if position is None else min(max(position, 0), size)
    if place == 0:
        after = seam.after or f",{owner.item(0).lead}"
        return owner.edited(0, new=(Item(bare, node),), after=after)
    return owner.edited(place, new=(Item(seam.lead if followed else f",{bare}", node),))


def restored(owner: Object, key: str, hollow: str) -> Object:
    """Write a list that has no items any more as it was before it got the first."""
    if hollow:
        return owner.put(key, read_array(hollow, 0, read_raw)[0])
    index = owner.last(key)
    assert index is not None
    members = owner.members[:index] + owner.members[index + 1 :]
    return owner._replace(members=members)
