"""Who is asking, and what for: histories, tastes and queries as vectors of one state of the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.encoders.modality import modality_of
from mmrec.errors import DataError, UnknownItem
from mmrec.model.content import ContentPlan
from mmrec.ranking.request import Request
from mmrec.search.snapshot import Snapshot
from mmrec.search.vectors import BEHAVIOUR, CONTENT
from mmrec.store.ingest import encode_alone
from mmrec.store.interactions import Interactions
from mmrec.types import IMAGE, WORDS, ImageSource, Item, Rung

log = logging.getLogger(__name__)
Event = tuple[str, float]  # item id and weight; a negative weight is a dislike


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    Attributes:
        text: words for every text field of the catalogue, or a mapping by field.
        image: one or several pictures.
    """

    text: str | Mapping[str, str] | None = None
    image: ImageSource | Sequence[ImageSource] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Where a search starts: a vector [d] of a space."""

    space: str
    vector: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class User:
    """What is known of a user in one state of the catalogue.

    Attributes:
        positions: of the history's items in the catalogue [L], oldest first.
        weights: of each [L]; a negative one is a dislike.
        rung: the highest rung that this knowledge reaches.
        point: where the user is searched from; None if nothing is known.
        told: whether that is what the user says to like in words, rather than a history.
    """

    positions: NDArray[np.intp]
    weights: Vectors
    rung: Rung
    point: Point | None
    told: bool = False


def users_of(snapshot: Snapshot, interactions: Interactions, requests: Sequence[Request]) -> list[User]:
    """Who asks, as each request says: a recorded user, a history, a taste in words, or nobody known.

    Raises:
        UnknownItem: none of a given history is in the catalogue.
    """
    histories = [_events(request, interactions) for request in requests]
    for request, events in zip(requests, histories, strict=True):
        if request.user is None:
            _check_known(snapshot, events)
    tastes = {
        n: point_of(snapshot, Query(request.taste)) for n, request in enumerate(requests)
        if request.taste is not None and request.taste.strip() and len(snapshot)
    }
    return users_with(snapshot, histories, tastes)


def users_with(
    snapshot: Snapshot, histories: Sequence[Sequence[Event]], tastes: Mapping[int, Point] | None = None,
) -> list[User]:
    """Users of these histories; items that are not in the catalogue are skipped.

    Args:
        histories: events of each user, oldest first.
        tastes: by position among the users, where one who likes nothing yet is searched from.
    """
    tastes = tastes or {}
    known = [[(snapshot.position[i], w) for i, w in events if i in snapshot.position] for events in histories]
    positions = [np.array([position for position, _ in events], np.intp) for events in known]
    weights = [np.array([weight for _, weight in events], np.float32) for events in known]
    rungs: list[Rung] = [_rung(w, n in tastes) for n, w in enumerate(weights)]
    points = {n: point for n, point in tastes.items() if rungs[n] == "taste"}
    told = set(points)
    read = [n for n, rung in enumerate(rungs) if rung != "popular" and n not in told]
    if read:
        vectors = snapshot.towers.users(
            snapshot.remembered, [positions[n] for n in read], [weights[n] for n in read])
        points |= {n: Point(snapshot.serving, vector) for n, vector in zip(read, vectors, strict=True)}
    return [
        User(positions[n], weights[n], rung, points.get(n), n in told) for n, rung in enumerate(rungs)
    ]


def point_of(snapshot: Snapshot, query: Query, by: str = CONTENT) -> Point:
    """Where a query lies in the space `by`, brought there by the same road as an item.

    Plain words alone are compared with all words of the items (space `words`) in place of their content;
    where the image encoder reads words (CLIP), they also look for pictures.

    Raises:
        DataError: the query says nothing that this space could compare.
    """
    if isinstance(query.text, str) and query.text.strip() and WORDS in snapshot.spaces and (
        by == WORDS or (by == CONTENT and query.image is None)
    ):
        return Point(WORDS, snapshot.catalogue.encoders["text"].embed([[query.text]])[0])
    return Point(by, _vector(snapshot, query, by))


def _events(request: Request, interactions: Interactions) -> list[Event]:
    """The events of a request's history, oldest first, then its dislikes."""
    recorded = interactions.history(request.user) if request.user is not None else []
    given = [(item_id, 1.0) for item_id in request.history or ()]
    return [*recorded, *given, *((item_id, -1.0) for item_id in request.dislikes)]


def _check_known(snapshot: Snapshot, events: Sequence[Event]) -> None:
    """Warns of a given history's items that are not in the catalogue; if none is, that is an error."""
    unknown = [i for i, _ in events if i not in snapshot.position]
    if unknown and len(unknown) == len(events):
        raise UnknownItem(f"none of the history is in the catalogue ({unknown[0]!r} ...): check the ids")
    if unknown:
        log.warning("history items that are not in the catalogue are skipped: %s", ", ".join(unknown[:20]))


def _rung(weights: Vectors, has_taste: bool) -> Rung:
    if (weights > 0).any():
        return "history"
    return "taste" if has_taste or (weights < 0).any() else "popular"


def _vector(snapshot: Snapshot, query: Query, by: str) -> Vectors:
    plan = (by == BEHAVIOUR and snapshot.towers.plan) or snapshot.plan
    parts = _parts(snapshot, query, plan)
    if by in (CONTENT, BEHAVIOUR):
        if parts:
            content = plan.fuse(parts, 1)  # [1, c]
            return content[0] if by == CONTENT else _behaviour(snapshot, content)
    elif by in parts:
        return parts[by][0]
    else:
        snapshot.space(by)  # raises an error that lists the spaces if there is none of this name
    known = ", ".join(snapshot.text_slots) or "none"
    pictures = "has" if IMAGE in snapshot.spaces else "has no"
    raise DataError(
        f"this query has nothing to compare with by={by!r} (the catalogue's text fields: {known}; it"
        f" {pictures} embedded pictures): give text or an image that fits", field="by",
    )


def _behaviour(snapshot: Snapshot, content: Vectors) -> Vectors:
    """The vector [d] that a trained head predicts for a cold item of this content [1, c]."""
    rows = snapshot.towers.items(content, [""])
    return unit(snapshot.towers.remembered(rows))[0]


def _parts(snapshot: Snapshot, query: Query, plan: ContentPlan) -> dict[str, Vectors]:
    """Unit features [1, dim] of the fields that the query has."""
    text = query.text if isinstance(query.text, Mapping) else dict.fromkeys(snapshot.text_slots, query.text)
    item = Item(item_id="query", text={k: v for k, v in text.items() if v is not None}, image=query.image)
    fields = encode_alone(snapshot.catalogue, item)
    parts = {name: plan.part(name, fields) for name in fields.embeddings if name in plan.spans}
    if isinstance(query.text, str):
        for name in set(snapshot.readable) - {WORDS} - parts.keys():
            words = snapshot.catalogue.encoders[modality_of(name).name].words
            assert words is not None  # for mypy: it is readable
            # not centred: the catalogue's mean is of pictures, and a constant in a query ranks nothing
            parts[name] = words.embed([[query.text]])
    return parts
