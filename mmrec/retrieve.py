"""From a query to results: candidates -> filters -> fusion -> reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mmrec.content import ContentPlan
from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.head.towers import Towers
from mmrec.index import CONTENT, Hits, Mask, Snapshot, best
from mmrec.queries import Point
from mmrec.shoppers import Shopper
from mmrec.types import Reason, Recommendation, Rung

MOST_RESULTS = 10_000
MOST_REASONS = 3  # named one by one; the rest of a score is one more


def check_k(k: object) -> int:
    """The number of results asked for.

    Raises:
        DataError: it is no whole number from 1 to 10,000.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= MOST_RESULTS:
        raise DataError(f"k must be a whole number from 1 to {MOST_RESULTS:,}, got {k!r}", field="k")
    return int(k)


def user_point(snapshot: Snapshot, towers: Towers, shopper: Shopper) -> Point:
    """Where a shopper is searched from; zeros if nothing is known."""
    if shopper.rung == "taste" and shopper.words is not None:
        return shopper.words
    x = snapshot.space(CONTENT)
    if not len(shopper.places):
        return Point(CONTENT, np.zeros(x.shape[1], np.float32))
    history, weights = x[np.array(shopper.places, np.intp)], np.array(shopper.weights, np.float32)
    return Point(CONTENT, towers.user(history, weights))


def recommend(
    snapshot: Snapshot, towers: Towers, shopper: Shopper, k: int, mask: Mask | None,
    popularity: Mapping[str, float],
) -> list[Recommendation]:
    """Down the rungs history -> taste -> popular -> newest until k items are found."""
    results: list[Recommendation] = []
    hidden = set(shopper.hidden) | {int(p) for p in shopper.places}
    if shopper.rung != "popular":
        user = user_point(snapshot, towers, shopper)
        x = snapshot.space(user.space)
        hits = snapshot.search(user.space, user.vector, k, exclude=list(hidden), mask=mask)
        results = [
            Recommendation(
                item_id=snapshot.ids[p], score=float(s), rung=shopper.rung,
                reasons=_history_reasons(snapshot, towers, shopper, x[p], float(s)),
            )
            for p, s in zip(hits.positions, hits.scores, strict=True)
        ]
        hidden |= {int(p) for p in hits.positions}
    if len(results) < k:
        popular, allowed = _popular(snapshot, popularity), _allowed(len(snapshot), hidden, mask)
        results += _ranked(snapshot, best(popular, k - len(results), allowed & (popular > 0)), "popular")
    if len(results) < k:  # then every popular item that may be shown is among them
        unpopular = allowed & (popular == 0)
        results += _ranked(snapshot, best(_newest(snapshot), k - len(results), unpopular), "newest")
    return results


def similar(
    snapshot: Snapshot, query: Vectors, by: str, k: int, *, exclude: Iterable[int] = (),
    mask: Mask | None = None,
) -> list[Recommendation]:
    """The k nearest items to a query [d] of the space `by`."""
    x = snapshot.space(by)
    hits = snapshot.search(by, query, k, exclude=list(exclude), mask=mask)
    plan = snapshot.plan if by == CONTENT else None
    return [
        Recommendation(
            item_id=snapshot.ids[p], score=float(s), rung="similar",
            reasons=_field_reasons(plan, query, x[p], by, float(s)),
        )
        for p, s in zip(hits.positions, hits.scores, strict=True)
    ]


def fuse(
    rankings: Mapping[str, Sequence[str]], k: int, rrf_k: int, weights: Mapping[str, float] | None = None
) -> list[Recommendation]:
    """Reciprocal rank fusion of rankings of item ids, best first; a ranking without a weight weighs 1.

    Source: Cormack, Clarke & Buettcher 2009: score = sum over rankings of 1 / (rrf_k + rank), rank from 1.
    """
    reasons: dict[str, list[Reason]] = {}
    for name, ranking in rankings.items():
        weight = (weights or {}).get(name, 1.0)
        for rank, item_id in enumerate(ranking, start=1):
            part = Reason(source="words", name=name, contribution=weight / (rrf_k + rank))
            reasons.setdefault(item_id, []).append(part)
    scored = [(sum(r.contribution for r in parts), item_id) for item_id, parts in reasons.items()]
    return [
        Recommendation(item_id=item_id, score=score, rung="search", reasons=tuple(reasons[item_id]))
        for score, item_id in sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:k]
    ]


def _popular(snapshot: Snapshot, popularity: Mapping[str, float]) -> Vectors:
    """Share [n] of each item in the most popular one's worth; 0 for those without interactions."""
    top = max(popularity.values(), default=0.0) or 1.0
    return np.array([popularity.get(i, 0.0) / top for i in snapshot.ids], np.float32)


def _newest(snapshot: Snapshot) -> Vectors:
    """Age [n] in days as a negative number, 0 for the newest item."""
    if not len(snapshot):
        return np.zeros(0, np.float32)
    micros = snapshot.facts["added_at"].cast("int64").to_numpy()
    return ((micros - micros.max()) / 86_400e6).astype(np.float32)


def _allowed(n: int, hidden: Iterable[int], mask: Mask | None) -> Mask:
    allowed = np.ones(n, np.bool_) if mask is None else mask.copy()
    allowed[list(hidden)] = False
    return allowed


def _ranked(snapshot: Snapshot, hits: Hits, rung: Rung) -> list[Recommendation]:
    what = "popularity" if rung == "popular" else "days behind the newest item"
    return [
        Recommendation(
            item_id=snapshot.ids[p], score=float(s), rung=rung,
            reasons=(Reason(source="other", name=what, contribution=float(s)),),
        )
        for p, s in zip(hits.positions, hits.scores, strict=True)
    ]


def _history_reasons(
    snapshot: Snapshot, towers: Towers, shopper: Shopper, vector: Vectors, score: float
) -> tuple[Reason, ...]:
    """Which items of the history brought a result, or that the words did."""
    if not len(shopper.places) or (shopper.rung == "taste" and shopper.words is not None):
        return (Reason(source="words", name="taste", contribution=score),)
    history = snapshot.space(CONTENT)[np.array(shopper.places, np.intp)]
    parts = towers.contributions(history, np.array(shopper.weights, np.float32), vector)
    shares: dict[str, float] = {}  # an item may stand several times in a history
    for place, part in zip(shopper.places, parts, strict=True):
        shares[snapshot.ids[place]] = shares.get(snapshot.ids[place], 0.0) + float(part)
    return _largest([Reason(source="item", name=n, contribution=c) for n, c in shares.items()], score)


def _field_reasons(
    plan: ContentPlan | None, query: Vectors, vector: Vectors, by: str, score: float
) -> tuple[Reason, ...]:
    """Which fields brought a result; in the space of one field, that field alone."""
    if plan is None or plan.dim != len(vector):
        return (Reason(source="field", name=by, contribution=score),)
    return _largest([
        Reason(source="field", name=name, contribution=float(query[span] @ vector[span]))
        for name, span in plan.spans.items()
    ], score)


def _largest(reasons: Sequence[Reason], score: float) -> tuple[Reason, ...]:
    """The largest contributions, and the rest of the score as one."""
    named = sorted((r for r in reasons if r.contribution), key=lambda r: -abs(r.contribution))[:MOST_REASONS]
    rest = score - sum(r.contribution for r in named)
    return (*named, Reason(source="other", name="the rest", contribution=rest)) if len(reasons) > len(
        named) else tuple(named)
