"""From a query to results: candidates -> filter -> diversity -> exploration -> reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.hits import Hits, Mask, Places
from mmrec.plan import Plan
from mmrec.queries import Point
from mmrec.reasons import Reasons, by_fields, by_history
from mmrec.shoppers import Shopper
from mmrec.slots import MOST_NEW, Slot, Source, arranged, best, explored
from mmrec.snapshot import Snapshot
from mmrec.types import Recommendation, Rung

Popularity = Callable[[], Mapping[str, float]]  # asked only when it serves


def user_point(snapshot: Snapshot, shopper: Shopper) -> Point:
    """Where a shopper is searched from; zeros if nothing is known."""
    if shopper.rung == "taste" and shopper.words is not None:
        return shopper.words
    return Point(snapshot.serving, user_vectors(snapshot, [shopper])[0])


def user_vectors(snapshot: Snapshot, shoppers: Sequence[Shopper]) -> Vectors:
    """Vectors [u, d] of histories in the serving space."""
    if not len(snapshot):
        return np.zeros((len(shoppers), snapshot.space(snapshot.serving).shape[1]), np.float32)
    return snapshot.towers.users(
        snapshot.remembered, [s.places for s in shoppers], [s.weights for s in shoppers]
    )


def recommend(
    snapshot: Snapshot, shopper: Shopper, plan: Plan, popularity: Popularity
) -> list[Recommendation]:
    """Down the rungs history -> taste -> popular -> newest until k items are found."""
    page = _page(snapshot, shopper, _point(snapshot, shopper), plan, popularity)
    return results_of(snapshot, page, by_history(snapshot, shopper, page))


def recommend_many(
    snapshot: Snapshot, shoppers: Sequence[Shopper], plan: Plan, popularity: Popularity
) -> list[list[Recommendation]]:
    """`recommend` for each."""
    served = pages(snapshot, shoppers, plan, popularity)
    return [
        results_of(snapshot, page, by_history(snapshot, shopper, page))
        for shopper, page in zip(shoppers, served, strict=True)
    ]


def pages(
    snapshot: Snapshot, shoppers: Sequence[Shopper], plan: Plan, popularity: Popularity
) -> list[list[Slot]]:
    """The page of each; those with a history share one product of their vectors with all items."""
    plan = replace(plan, rng=plan.draws)  # else one seed would draw the same for everybody
    known = [i for i, shopper in enumerate(shoppers) if shopper.rung == "history"]
    vectors = user_vectors(snapshot, [shoppers[i] for i in known])
    found = snapshot.scorer(snapshot.serving).top_many(
        vectors, plan.pool, allowed=snapshot.mask(plan.where),
        exclude=[np.array(sorted(shoppers[i].out), np.intp) for i in known],
    )
    points = {i: (Point(snapshot.serving, v), hits) for i, v, hits in zip(known, vectors, found, strict=True)}
    served = []
    for i, shopper in enumerate(shoppers):
        point, first = points.get(i) or (_point(snapshot, shopper), None)
        served.append(_page(snapshot, shopper, point, plan, popularity, first))
    return served


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


def _page(
    snapshot: Snapshot, shopper: Shopper, point: Point | None, plan: Plan, popularity: Popularity,
    first: Hits | None = None,
) -> list[Slot]:
    """One shopper's page; `first` are the nearest candidates, if they are known already."""
    mask = snapshot.mask(plan.where)
    page = arranged(snapshot, _rungs(snapshot, shopper, point, mask, popularity, first), plan, shopper.out)
    if policy := plan.exploration:
        young = _allowed(snapshot, mask, np.array(sorted(shopper.out), np.intp))
        young &= snapshot.ages <= policy.max_age_days
        new = _new(snapshot, point, young)
        rung: Rung = "newest" if point is None else shopper.rung
        page = explored(page, new, snapshot.ages[new.positions], policy, plan, rung)
    return page


def _point(snapshot: Snapshot, shopper: Shopper) -> Point | None:
    """Where a shopper is searched from, if anything is known."""
    return None if shopper.rung == "popular" else user_point(snapshot, shopper)


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
