"""From a query to results: candidates -> filter -> diversity -> exploration -> reasons."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.ranking.page import MOST_NEW, Slot, Source, arranged, explored
from mmrec.ranking.reasons import Reasons, by_fields, by_history
from mmrec.ranking.request import Plan
from mmrec.ranking.users import Point, Shopper
from mmrec.search.hits import Hits, Mask, Places, best
from mmrec.search.snapshot import Snapshot
from mmrec.types import Recommendation, Rung

Popularity = Callable[[], Mapping[str, float]]  # asked only when it serves


def user_point(snapshot: Snapshot, shopper: Shopper) -> Point:
    """Where a shopper is searched from; zeros if nothing is known."""
    known = _points(snapshot, [shopper])
    return known.get(0) or Point(snapshot.serving, user_vectors(snapshot, [shopper])[0])


def user_vectors(snapshot: Snapshot, shoppers: Sequence[Shopper]) -> Vectors:
    """Vectors [u, d] of histories in the serving space."""
    if not len(snapshot):
        return np.zeros((len(shoppers), snapshot.space(snapshot.serving).shape[1]), np.float32)
    return snapshot.towers.users(
        snapshot.remembered, [s.places for s in shoppers], [s.weights for s in shoppers]
    )


class Ask(NamedTuple):
    """A shopper, and what is wanted of the results."""

    shopper: Shopper
    plan: Plan


def recommend(
    snapshot: Snapshot, asks: Sequence[Ask], popularity: Popularity
) -> list[list[Recommendation]]:
    """For each down the rungs history -> taste -> popular -> newest until k items are found."""
    return [
        results_of(snapshot, page, by_history(snapshot, ask.shopper, page))
        for ask, page in zip(asks, pages(snapshot, asks, popularity), strict=True)
    ]


def pages(snapshot: Snapshot, asks: Sequence[Ask], popularity: Popularity) -> list[list[Slot]]:
    """The page of each; those who are searched for alike share one search of all items."""
    points = _points(snapshot, [ask.shopper for ask in asks])
    first = _nearest_of_many(snapshot, asks, points)
    return [
        _page(snapshot, *ask, points.get(i), popularity, first.get(i)) for i, ask in enumerate(asks)
    ]


def similar(
    snapshot: Snapshot, point: Point, plan: Plan, *, exclude: Iterable[int] = ()
) -> list[Recommendation]:
    """The k nearest items to a point of a space."""
    mask, hidden = snapshot.mask(plan.where), snapshot.known(plan.exclude) | set(exclude)
    page = arranged(snapshot, [_nearest("similar", snapshot, point, mask)], plan, hidden)
    return results_of(snapshot, page, by_fields(snapshot, point.space, point.vector, page))


def results_of(
    snapshot: Snapshot, page: Sequence[Slot], reasons: Sequence[Reasons]
) -> list[Recommendation]:
    """A page as the caller sees it."""
    return [
        Recommendation(
            item_id=snapshot.ids[slot.place], score=slot.score, rung=slot.rung, reasons=why,
            propensity=slot.propensity,
        )
        for slot, why in zip(page, reasons, strict=True)
    ]


def _points(snapshot: Snapshot, shoppers: Sequence[Shopper]) -> dict[int, Point]:
    """Where those shoppers are searched from of whom something is known."""
    points = {i: s.words for i, s in enumerate(shoppers) if s.rung == "taste" and s.words is not None}
    acted = [i for i, shopper in enumerate(shoppers) if shopper.rung != "popular" and i not in points]
    vectors = user_vectors(snapshot, [shoppers[i] for i in acted]) if acted else ()
    return points | {i: Point(snapshot.serving, v) for i, v in zip(acted, vectors, strict=True)}


def _nearest_of_many(
    snapshot: Snapshot, asks: Sequence[Ask], points: Mapping[int, Point]
) -> dict[int, Hits]:
    """The first candidates of each point."""
    alike = defaultdict[tuple[str, str | None, int], list[int]](list)
    for i, point in points.items():
        alike[point.space, asks[i].plan.where, asks[i].plan.pool].append(i)
    found: dict[int, Hits] = {}
    for (space, where, pool), some in alike.items():
        hits = snapshot.scorer(space).top_many(
            np.array([points[i].vector for i in some]), pool, allowed=snapshot.mask(where),
            exclude=[sorted(asks[i].shopper.out) for i in some],
        )
        found |= zip(some, hits, strict=True)
    return found


def _page(
    snapshot: Snapshot, shopper: Shopper, plan: Plan, point: Point | None, popularity: Popularity,
    first: Hits | None,
) -> list[Slot]:
    """One shopper's page; `first` are the candidates nearest to the point."""
    mask = snapshot.mask(plan.where)
    page = arranged(snapshot, _rungs(snapshot, shopper, point, mask, popularity, first), plan, shopper.out)
    if policy := plan.exploration:
        young = _allowed(snapshot, mask, np.array(sorted(shopper.out), np.intp))
        young &= snapshot.ages <= policy.max_age_days
        new = _new(snapshot, point, young)
        rung: Rung = "newest" if point is None else shopper.rung
        page = explored(page, new, snapshot.ages[new.positions], policy, plan, rung)
    return page


def _new(snapshot: Snapshot, point: Point | None, young: Mask) -> Hits:
    """The new items to draw from: the most relevant of the young, or the newest for a stranger."""
    if point is None:
        return best(-snapshot.ages.astype(np.float32), MOST_NEW, young)
    return snapshot.search(point.space, point.vector, MOST_NEW, mask=young)


def _rungs(
    snapshot: Snapshot, shopper: Shopper, point: Point | None, mask: Mask | None, popularity: Popularity,
    first: Hits | None,
) -> Iterator[Source]:
    if point is not None:
        yield _nearest(shopper.rung, snapshot, point, mask, first)
    popular = snapshot.popular(popularity())
    yield Source("popular", lambda k, out: best(popular, k, _allowed(snapshot, mask, out) & (popular > 0)))
    newest = -snapshot.ages.astype(np.float32)
    yield Source("newest", lambda k, out: best(newest, k, _allowed(snapshot, mask, out) & (popular == 0)))


def _nearest(
    rung: str, snapshot: Snapshot, point: Point, mask: Mask | None, first: Hits | None = None
) -> Source:
    """The items nearest to a point; `first` is what the first call gives."""
    waiting = [] if first is None else [first]

    def find(k: int, out: Places) -> Hits:
        return waiting.pop() if waiting else snapshot.search(
            point.space, point.vector, k, exclude=out, mask=mask)

    return Source(rung, find)  # type: ignore[arg-type]


def _allowed(snapshot: Snapshot, mask: Mask | None, out: Places) -> Mask:
    allowed = np.ones(len(snapshot), np.bool_) if mask is None else mask.copy()
    allowed[out] = False
    return allowed
