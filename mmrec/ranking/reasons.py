"""Why a result is there: contributions that sum to its score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.ranking.page import Slot
from mmrec.ranking.users import Shopper
from mmrec.search.snapshot import Snapshot
from mmrec.search.vectors import CONTENT
from mmrec.types import Reason

MOST_REASONS = 3  # named one by one; the rest of a score is one more
ROUNDING = 1e-5  # of a sum in float32
Kind = Literal["item", "field", "words", "other"]
Reasons = tuple[Reason, ...]
WHAT = {"popular": "popularity", "newest": "days behind the newest item"}


def by_history(snapshot: Snapshot, shopper: Shopper, page: Sequence[Slot]) -> list[Reasons]:
    """For each slot which items of the history brought it, or that the words did, or what all choose."""
    if shopper.rung == "taste" and shopper.words is not None:
        return [_one("words", "taste", slot) if slot.rung == "taste" else _unasked(slot) for slot in page]
    near = [slot for slot in page if slot.rung not in WHAT]
    parts = iter(_contributions(snapshot, shopper, near))
    names = [snapshot.ids[place] for place in shopper.places]
    return [
        _unasked(slot) if slot.rung in WHAT else largest(_shares(names, next(parts)), slot.score)
        for slot in page
    ]


def by_fields(snapshot: Snapshot, space: str, query: Vectors, page: Sequence[Slot]) -> list[Reasons]:
    """For each slot which fields of the content brought it; in another space, that space alone."""
    if space != CONTENT or not snapshot.plan.dim:
        return [_one("field", space, slot) for slot in page]
    rows, spans = snapshot.space(space)[[slot.place for slot in page]], snapshot.plan.spans  # [k, c]
    parts = {name: (rows[:, span] @ query[span]).tolist() for name, span in spans.items()}  # [k]
    return [
        largest([("field", name, parts[name][i]) for name in spans], slot.score)
        for i, slot in enumerate(page)
    ]


def _contributions(snapshot: Snapshot, shopper: Shopper, page: Sequence[Slot]) -> list[list[float]]:
    """What each item of the history [L] adds to each score [k]."""
    if not page:
        return []  # there may be no vectors to load
    history = snapshot.remembered[np.array(shopper.places, np.intp)]  # [L, m]
    rows = snapshot.space(snapshot.serving)[[slot.place for slot in page]]  # [k, d]
    weights = np.array(shopper.weights, np.float32)
    parts: list[list[float]] = snapshot.towers.contributions(history, weights, rows).tolist()
    return parts


def _shares(names: Sequence[str], parts: Sequence[float]) -> list[tuple[Kind, str, float]]:
    """The parts of an item summed, as it may stand several times in a history."""
    shares: dict[str, float] = {}
    for name, part in zip(names, parts, strict=True):
        shares[name] = shares.get(name, 0.0) + part
    return [("item", name, share) for name, share in shares.items()]


def _unasked(slot: Slot) -> Reasons:
    return _one("other", WHAT[slot.rung], slot)


def _one(source: Kind, name: str, slot: Slot) -> Reasons:
    return (Reason(source=source, name=name, contribution=slot.score),)


def largest(parts: Sequence[tuple[Kind, str, float]], score: float) -> tuple[Reason, ...]:
    """The largest contributions (source, name, value), and the rest of the score as one, if there is any.

    A rest may be what lesser parts add, or what a trained head gives to everybody alike.
    """
    named = sorted((part for part in parts if part[2]), key=lambda part: -abs(part[2]))[:MOST_REASONS]
    reasons = [Reason(source=s, name=n, contribution=c) for s, n, c in named]
    rest = score - sum(c for _, _, c in named)
    if abs(rest) > ROUNDING * max(1.0, abs(score)):
        reasons.append(Reason(source="other", name="the rest", contribution=rest))
    return tuple(reasons)
