"""A query that is not in the catalogue, brought into its space by the same road as an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmrec.catalogue import Catalogue
from mmrec.content import ContentPlan
from mmrec.encoders.base import Vectors, unit
from mmrec.errors import DataError
from mmrec.intake import encode_alone
from mmrec.snapshot import Snapshot
from mmrec.spaces import BEHAVIOUR, CONTENT
from mmrec.types import IMAGE, WORDS, ImageSource, Item


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    Attributes:
        text: words for every text field of the catalogue, or a mapping by field.
        image: one or several pictures.
    """

    text: str | Mapping[str, str] | None = None
    image: ImageSource | Sequence[ImageSource] | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A query as a unit vector [d] of a space."""

    space: str
    vector: Vectors


def point_of(catalogue: Catalogue, snapshot: Snapshot, query: Query, by: str = CONTENT) -> Point:
    """Where a query lies in the space `by`.

    Plain words alone are compared with all words of the items (space `words`) in place of their content;
    where the image encoder reads words (CLIP), they also look for pictures.

    Raises:
        DataError: the query says nothing that this space could compare.
    """
    if isinstance(query.text, str) and query.text.strip() and WORDS in snapshot.spaces and (
        by == WORDS or (by == CONTENT and query.image is None)
    ):
        return Point(WORDS, catalogue.encoders["text"].embed([[query.text]])[0])
    return Point(by, _vector(catalogue, snapshot, query, by))


def _vector(catalogue: Catalogue, snapshot: Snapshot, query: Query, by: str) -> Vectors:
    plan = (by == BEHAVIOUR and snapshot.towers.plan) or snapshot.plan
    parts = _parts(catalogue, snapshot, query, plan)
    if by in (CONTENT, BEHAVIOUR):
        if parts:
            content = plan.fuse(parts, 1)  # [1, c]
            return content[0] if by == CONTENT else _behaviour(snapshot, content)
    elif by in parts:
        return parts[by][0]
    else:
        snapshot.space(by)  # says which fields there are, if this is none
    known = ", ".join(snapshot.text_slots) or "none"
    pictures = "has" if IMAGE in snapshot.spaces else "has no"
    raise DataError(
        f"this query has nothing to compare with by={by!r} (the catalogue's text fields: {known}; it"
        f" {pictures} embedded pictures): give text or an image that fits", field="by",
    )


def _behaviour(snapshot: Snapshot, content: Vectors) -> Vectors:
    """What a trained head would remember of an item of such content [1, c], which nobody has seen."""
    rows = snapshot.towers.items(content, [""])
    return unit(snapshot.towers.remembered(rows))[0]


def _parts(
    catalogue: Catalogue, snapshot: Snapshot, query: Query, plan: ContentPlan
) -> dict[str, Vectors]:
    """Unit features [1, dim] of the slots that the query fills."""
    text = query.text if isinstance(query.text, Mapping) else dict.fromkeys(snapshot.text_slots, query.text)
    item = Item(item_id="query", text={k: v for k, v in text.items() if v is not None}, image=query.image)
    fields = encode_alone(catalogue, item)
    filled = [name for name in fields.embeddings if name in plan.spans]
    parts = {name: plan.part(name, fields) for name in filled}
    if IMAGE in snapshot.spaces and IMAGE not in parts and isinstance(query.text, str):
        words = catalogue.encoders[IMAGE].words
        if words is not None:
            # not centred: the catalogue's mean is of pictures, and a constant in a query ranks nothing
            parts[IMAGE] = words.embed([[query.text]])
    return parts
