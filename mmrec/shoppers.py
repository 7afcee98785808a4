"""Who is asking: a history, words, or nothing, as positions in one state of the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmrec.catalogue import Catalogue
from mmrec.errors import DataError, UnknownItem
from mmrec.journal import Journal
from mmrec.plan import listed
from mmrec.queries import Point, Query, point_of
from mmrec.snapshot import Snapshot
from mmrec.types import Rung

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
