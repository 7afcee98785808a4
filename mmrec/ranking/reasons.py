"""Reasons: what contributed how much to the score of a result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.ranking.page import Slot
from mmrec.ranking.users import Point, User
from mmrec.search.snapshot import Snapshot
from mmrec.search.vectors import CONTENT
from mmrec.types import Reason

MOST_REASONS = 3  # contributions named one by one; the rest of a score is one more reason
MOST_EXPLAINED = 100  # strongest items of a history, among which those are looked for
SLOTS = 256  # explained at once, which bounds the memory
ROUNDING = 1e-5  # of a sum in float32
Kind = Literal["item", "field", "words", "other"]
Reasons = tuple[Reason, ...]
RANKED_BY = {"popular": "popularity", "newest": "days behind the newest item"}  # by rung


def by_history(snapshot: Snapshot, user: User, page: Sequence[Slot]) -> list[Reasons]:
    """Reasons of each slot: items of the history, the words of a taste, or what its rung ranks by."""
    searched = [slot for slot in page if slot.rung not in RANKED_BY]
    known = () if user.told or user.point is None else _contributions(snapshot, user, user.point, searched)
    parts = iter(known)

    def reasons_of(slot: Slot) -> Reasons:
        if slot.rung in RANKED_BY:
            return _one("other", RANKED_BY[slot.rung], slot)
        if user.told:
            return largest([("words", "taste", slot.score - sum(slot.signals.values()))], slot)
        return largest(next(parts), slot)

    return [reasons_of(slot) for slot in page]


def by_fields(snapshot: Snapshot, space: str, query: Vectors, page: Sequence[Slot]) -> list[Reasons]:
    """Reasons of each slot found by a query [d]: fields of the content; in another space, that space."""
    if space != CONTENT or not snapshot.plan.dim:
        return [_one("field", space, slot) for slot in page]
    content = snapshot.content_of([slot.position for slot in page])
    parts = {name: part.tolist() for name, part in snapshot.plan.shares(content, query).items()}  # [k] each
    return [
        largest([("field", name, part[i]) for name, part in parts.items()], slot)
        for i, slot in enumerate(page)
    ]


def _contributions(
    snapshot: Snapshot, user: User, point: Point, page: Sequence[Slot]
) -> Iterator[list[tuple[Kind, str, float]]]:
    """The largest contributions of the history's items to each slot's score.

    Only the strongest items of a history are considered: a contribution is at most the norm of the item's
    part of the user's vector times the norm of the result.
    """
    if not page:
        return  # there may be no vectors to load
    history = snapshot.remembered[user.positions]  # [L, m]
    parts = snapshot.towers.attributions(history, user.weights, point.vector)  # [L, d]
    items, which = np.unique(user.positions, return_inverse=True)  # an item may occur several times
    sums = np.zeros((len(items), parts.shape[1]), np.float32)
    np.add.at(sums, which, parts)
    strong = np.sort(np.argsort(-np.linalg.norm(sums, axis=1), kind="stable")[:MOST_EXPLAINED])
    names = [snapshot.ids[position] for position in items[strong].tolist()]
    searched, positions = snapshot.space(snapshot.serving), np.array([slot.position for slot in page])
    for start in range(0, len(page), SLOTS):
        rows = searched[positions[start : start + SLOTS]]  # [slots, d]
        added = rows @ sums[strong].T  # [slots, d] @ [d, s] -> [slots, s]
        top = np.argsort(-np.abs(added), axis=1, kind="stable")[:, :MOST_REASONS]
        for row, columns in zip(added, top.tolist(), strict=True):
            yield [("item", names[i], float(row[i])) for i in columns]


def _one(source: Kind, name: str, slot: Slot) -> Reasons:
    return (Reason(source=source, name=name, contribution=slot.score),)


def largest(parts: Sequence[tuple[Kind, str, float]], slot: Slot) -> Reasons:
    """The largest of these (source, name, contribution), those of signals, and the rest of the score as one.

    The rest is what smaller parts add, or what a trained head adds to an item for every user.
    """
    named = sorted((part for part in parts if part[2]), key=lambda part: -abs(part[2]))[:MOST_REASONS]
    told = [*named, *(("other", name, value) for name, value in slot.signals.items())]
    reasons = [Reason(source=s, name=n, contribution=c) for s, n, c in told]
    rest = slot.score - sum(c for _, _, c in told)
    if abs(rest) > ROUNDING * max(1.0, abs(slot.score)):
        reasons.append(Reason(source="other", name="the rest", contribution=rest))
    return tuple(reasons)
