"""Users and queries as vectors of one version of the catalogue."""

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
from mmrec.store.encoding import encode_alone
from mmrec.store.interactions import Interactions
from mmrec.types import NOUNS, WORDS, Images, Item, Rung, Sounds

log = logging.getLogger(__name__)
Event = tuple[str, float]  # item id and weight; a negative weight is a dislike


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for: words for every text field or by field, pictures and sounds."""

    text: str | Mapping[str, str] | None = None
    image: Images = None
    audio: Sounds = None

    @property
    def wordless(self) -> bool:
        """Whether there are pictures or sounds in it."""
        return self.image is not None or self.audio is not None


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """What is searched by: a vector [d] of a space."""

    space: str
    vector: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class User:
    """What is known of a user.

    Attributes:
        positions: positions of the history's items in the catalogue [L], oldest first.
        weights: weight of each [L]; a negative one is a dislike.
        rung: the first rung that this knowledge allows.
        point: what the user's items are searched by; None if nothing is known.
        told: whether the point is a taste in words, rather than a history.
    """

    positions: NDArray[np.intp]
    weights: Vectors
    rung: Rung
    point: Point | None
    told: bool = False


def users_of(snapshot: Snapshot, interactions: Interactions, requests: Sequence[Request]) -> list[User]:
    """The user of each request, by recorded interactions, a given history or a taste in words.

    Raises:
        UnknownItem: none of a given history is in the catalogue.
    """
    histories = [_events(snapshot, request, interactions) for request in requests]
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
        tastes: by index of the user, what is searched by while the user likes no item.
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
        items, where = np.unique(np.concatenate([positions[n] for n in read]), return_inverse=True)
        ends = np.cumsum([len(positions[n]) for n in read])[:-1]
        vectors = snapshot.towers.users(
            snapshot.remembered[items], np.split(where, ends), [weights[n] for n in read])
        points |= {n: Point(snapshot.serving, vector) for n, vector in zip(read, vectors, strict=True)}
    return [
        User(positions[n], weights[n], rung, points.get(n), n in told) for n, rung in enumerate(rungs)
    ]


def point_of(snapshot: Snapshot, query: Query, by: str = CONTENT) -> Point:
    """A query as a vector of the space `by`, encoded as an item of the same fields would be.

    Words alone are compared with all words of the items (space `words`) instead of their content. Where an
    encoder of files reads words (CLIP, CLAP), they can also be compared with pictures or sounds.

    Raises:
        DataError: the query has nothing to compare in this space.
    """
    if isinstance(query.text, str) and query.text.strip() and WORDS in snapshot.spaces and (
        by == WORDS or (by == CONTENT and not query.wordless)
    ):
        return Point(WORDS, snapshot.catalogue.encoders["text"].embed([[query.text]])[0])
    return Point(by, _vector(snapshot, query, by))


def _events(snapshot: Snapshot, request: Request, interactions: Interactions) -> list[Event]:
    """The events of a request's history, oldest first, then its dislikes.

    Given items that are not in the catalogue are logged; if none is in it, that is an error.
    """
    dislikes = [(item_id, -1.0) for item_id in request.dislikes]
    if request.user is not None:
        return [*interactions.history(request.user), *dislikes]
    given = [*((item_id, 1.0) for item_id in request.history or ()), *dislikes]
    unknown = [item_id for item_id, _ in given if item_id not in snapshot.position]
    if unknown and len(unknown) == len(given):
        raise UnknownItem(f"none of the history is in the catalogue ({unknown[0]!r} ...): check the ids")
    if unknown:
        log.warning("history items that are not in the catalogue are skipped: %s", ", ".join(unknown[:20]))
    return given


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
            if by == CONTENT:
                return plan.compacted(content)[0]
            # the vector that a trained head predicts for a new item of this content
            row = snapshot.towers.items(content, [""])  # [1, w]
            return unit(row[:, snapshot.towers.spans(row.shape[1])[1]])[0]
    elif by in parts:
        return parts[by][0]
    else:
        snapshot.space(by)  # raises an error that lists the spaces if there is none of this name
    known = ", ".join(snapshot.text_slots) or "none"
    files = " and ".join(noun for field, noun in NOUNS.items() if field in snapshot.spaces) or "no file"
    raise DataError(
        f"this query has nothing to compare with by={by!r} (the catalogue's text fields: {known};"
        f" embedded besides: {files}): give text, an image or a sound that fits", field="by",
    )


def _parts(snapshot: Snapshot, query: Query, plan: ContentPlan) -> dict[str, Vectors]:
    """Unit features [1, dim] of the fields that the query has."""
    text = query.text if isinstance(query.text, Mapping) else dict.fromkeys(snapshot.text_slots, query.text)
    given = {name: words for name, words in text.items() if words is not None}
    item = Item(item_id="query", text=given, image=query.image, audio=query.audio)
    fields = encode_alone(snapshot.catalogue, item)
    parts = {name: plan.part(name, fields) for name in fields.embeddings if name in plan.spans}
    if isinstance(query.text, str):
        for name in set(snapshot.readable) - {WORDS} - parts.keys():
            words = snapshot.catalogue.encoders[modality_of(name).name].words
            assert words is not None  # for mypy: it is readable
            # not centred: the catalogue's mean is one of pictures, and a constant does not change a ranking
            parts[name] = words.embed([[query.text]])
    return parts
