"""Who is asking: a history, words, or nothing, as positions in one state of the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmrec.encoders.base import Vectors, unit
from mmrec.errors import DataError, UnknownItem
from mmrec.model.content import ContentPlan
from mmrec.ranking.request import listed
from mmrec.search.snapshot import Snapshot
from mmrec.search.vectors import BEHAVIOUR, CONTENT
from mmrec.store.catalogue import Catalogue
from mmrec.store.ingest import encode_alone
from mmrec.store.interactions import Journal
from mmrec.types import IMAGE, WORDS, ImageSource, Item, Rung


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


log = logging.getLogger(__name__)
Act = tuple[str, float]  # item id and weight; a negative weight is a dislike


@dataclass(frozen=True, slots=True)
class Shopper:
    """What is known of one user: a history, or words, or nothing.

    Attributes:
        places: positions in the catalogue of the history's items, oldest first.
        weights: of each; a negative one is a dislike.
        words: a taste in words.
        hidden: positions never to be shown, besides those of the history: what the caller excludes.
    """

    places: Sequence[int] = ()
    weights: Sequence[float] = ()
    words: Point | None = None
    hidden: frozenset[int] = field(default_factory=frozenset)

    @property
    def out(self) -> set[int]:
        """All that is never to be shown."""
        return {*self.hidden, *(int(place) for place in self.places)}

    @property
    def rung(self) -> Rung:
        """The highest rung that this knowledge reaches."""
        if any(w > 0 for w in self.weights):
            return "history"
        return "taste" if self.words is not None or any(w < 0 for w in self.weights) else "popular"


def acts_of(history: Sequence[str], dislikes: Sequence[str] = ()) -> list[Act]:
    """The acts of a history that the caller gives, oldest first.

    Raises:
        DataError: one of both is no list of ids.
    """
    liked: list[Act] = [(item_id, 1.0) for item_id in listed(history, "history")]
    return liked + [(item_id, -1.0) for item_id in listed(dislikes, "dislikes")]


def shopper_of(
    snapshot: Snapshot, acts: Sequence[Act], *, words: Point | None = None, exclude: Sequence[str] = (),
    strict: bool = True,
) -> Shopper:
    """The shopper of these acts; items that are not in the catalogue are skipped.

    Args:
        snapshot: the catalogue.
        acts: oldest first.
        words: a taste in words.
        exclude: item ids not to be shown.
        strict: whether a history of which nothing is known is an error, and a part of one worth a warning.

    Raises:
        UnknownItem: none of the acts' items is in the catalogue (if strict).
    """
    known = [(snapshot.position[i], weight) for i, weight in acts if i in snapshot.position]
    unknown = [i for i, _ in acts if i not in snapshot.position]
    if unknown and strict:
        if not known:
            raise UnknownItem(f"none of the history is in the catalogue ({unknown[0]!r} ...): check the ids")
        log.warning("history items that are not in the catalogue are skipped: %s", ", ".join(unknown[:20]))
    hidden = frozenset(snapshot.known(listed(exclude, "exclude")))
    return Shopper([p for p, _ in known], [w for _, w in known], words, hidden)


def shoppers_of(
    snapshot: Snapshot, histories: Sequence[Sequence[str]], exclude: Sequence[str] = ()
) -> list[Shopper]:
    """A shopper for each history; one of unknown items alone falls to the last rungs."""
    return [shopper_of(snapshot, acts_of(h), exclude=exclude, strict=False) for h in histories]


def asking(
    catalogue: Catalogue, journal: Journal, snapshot: Snapshot, user: str | None,
    history: Sequence[str] | None, dislikes: Sequence[str], taste: str | None, exclude: Sequence[str],
) -> Shopper:
    """The shopper of the arguments of `recommend`.

    Raises:
        DataError: both user and history are given, or an argument is no list of ids.
        UnknownItem: none of the history is in the catalogue.
    """
    if user is not None and history is not None:
        raise DataError("recommend takes a user or a history, not both", field="user")
    acts = journal.history(user) if user is not None else []
    acts += acts_of(history or (), dislikes)
    told = taste is not None and taste.strip() and len(snapshot)
    words = point_of(catalogue, snapshot, Query(taste)) if told else None
    return shopper_of(snapshot, acts, words=words, exclude=exclude, strict=user is None)
