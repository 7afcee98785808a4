"""Search by words, a picture and a taste at once: one ranking for each, fused by reciprocal rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from mmrec.config import Config
from mmrec.errors import DataError
from mmrec.ranking.page import WIDEN, Source, arranged
from mmrec.ranking.request import Plan
from mmrec.ranking.retrieve import results_of, user_point
from mmrec.ranking.users import Point, Query, Shopper, point_of
from mmrec.search.hits import Hits, Mask, Places
from mmrec.search.snapshot import Snapshot
from mmrec.store.catalogue import Catalogue
from mmrec.types import IMAGE, WORDS, Reason, Recommendation

FULL_TEXT = "full text"  # BM25
PICTURED = "words to image"  # the words compared with pictures, where the image encoder reads words
TASTE = "taste"
RANKINGS = (FULL_TEXT, WORDS, PICTURED, IMAGE, TASTE)
DEEP = 10  # times k items of each ranking are fused
DEEPEST = 200  # at least
Ranks = Callable[[int], Sequence[int]]  # how many -> positions of the best, in order


def search(
    catalogue: Catalogue, snapshot: Snapshot, query: Query, shopper: Shopper | None, plan: Plan,
    weights: Mapping[str, float],
) -> list[Recommendation]:
    """Items for a query and a taste; rankings of weight 0 are not made.

    Deeper parts of the rankings are fused when those at the top leave fewer than k results.
    """
    rankings = {
        name: ranks for name, ranks in _rankings(catalogue, snapshot, query, shopper, plan).items()
        if weights[name]
    }
    depth, hidden = max(DEEP * plan.k, DEEPEST), snapshot.known(plan.exclude)
    while True:
        ranked = {name: ranks(depth) for name, ranks in rankings.items()}
        parts = fuse(ranked, catalogue.config.rrf_k, weights)
        page = arranged(snapshot, [Source("search", partial(_best, parts))], plan, hidden)
        if len(page) >= plan.k or depth >= len(snapshot):
            break
        depth *= WIDEN
    page = [replace(slot, score=sum(parts[slot.place].values())) for slot in page]
    return results_of(snapshot, page, [_reasons(parts[slot.place]) for slot in page])


def fuse(
    rankings: Mapping[str, Sequence[int]], rrf_k: int, weights: Mapping[str, float] | None = None
) -> dict[int, dict[str, float]]:
    """Reciprocal rank fusion: what each ranking gives to each item, best item first, ties by position.

    Args:
        rankings: positions of items, best first.
        rrf_k: smaller trusts the first ranks more.
        weights: of rankings; one without a weight weighs 1.

    Source: Cormack, Clarke & Buettcher 2009: score = sum over rankings of 1 / (rrf_k + rank), rank from 1.
    """
    parts: dict[int, dict[str, float]] = {}
    for name, ranking in rankings.items():
        weight = (weights or {}).get(name, 1.0)
        for rank, place in enumerate(ranking, start=1):
            parts.setdefault(place, {})[name] = weight / (rrf_k + rank)
    return dict(sorted(parts.items(), key=lambda item: (-sum(item[1].values()), item[0])))


def weights_of(config: Config, weights: Mapping[str, float] | None) -> dict[str, float]:
    """The weight of each ranking: those of a call, else the settings' for full text and 1 for the others.

    Raises:
        DataError: there is no such ranking, or a weight is no number from 0 to 1,000.
    """
    asked = {} if weights is None else weights
    if not isinstance(asked, Mapping):
        raise DataError(f"weights must map rankings to numbers, got {asked!r}"[:200], field="weights")
    for name, weight in asked.items():
        if name not in RANKINGS:
            known = ", ".join(RANKINGS)
            raise DataError(f"weights name no ranking {name!r}: choose from {known}", field="weights")
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight <= 1000:
            raise DataError(
                f"weights[{name!r}] must be a number from 0 to 1,000, got {weight!r}", field="weights"
            )
    return {**dict.fromkeys(RANKINGS, 1.0), FULL_TEXT: config.full_text_weight, **asked}


def _rankings(
    catalogue: Catalogue, snapshot: Snapshot, query: Query, shopper: Shopper | None, plan: Plan
) -> dict[str, Ranks]:
    """The rankings that this query can have; nothing is ranked yet."""
    mask = snapshot.mask(plan.where)
    near = partial(_nearest, snapshot, mask)
    rankings: dict[str, Ranks] = {}
    if isinstance(query.text, str):
        words = Query(query.text)
        rankings[FULL_TEXT] = partial(snapshot.match, query.text, where=plan.where)
        for name, by in ((WORDS, WORDS), (PICTURED, IMAGE)):
            if by in snapshot.readable:
                rankings[name] = near(partial(point_of, catalogue, snapshot, words, by))
    if query.image is not None:
        if IMAGE not in snapshot.spaces:
            raise DataError("no item has an embedded picture to compare with: leave image out", field=IMAGE)
        rankings[IMAGE] = near(partial(point_of, catalogue, snapshot, Query(image=query.image), IMAGE))
    if shopper is not None:
        rankings[TASTE] = near(partial(user_point, snapshot, shopper), shopper.places)
    return rankings


def _nearest(
    snapshot: Snapshot, mask: Mask | None, point: Callable[[], Point], exclude: Sequence[int] = ()
) -> Ranks:
    """The items nearest to a point, which is made once, if at all."""
    made: list[Point] = []

    def ranks(k: int) -> list[int]:
        if not made:
            made.append(point())
        hits = snapshot.search(made[0].space, made[0].vector, k, exclude=exclude, mask=mask)
        positions: list[int] = hits.positions.tolist()
        return positions

    return ranks


def _best(parts: Mapping[int, Mapping[str, float]], k: int, out: Places) -> Hits:
    hidden = set(out.tolist())
    places = [place for place in parts if place not in hidden][:k]
    scores = [sum(parts[place].values()) for place in places]
    return Hits(np.array(places, np.intp), np.array(scores, np.float32))


def _reasons(parts: Mapping[str, float]) -> tuple[Reason, ...]:
    return tuple(Reason(source="words", name=name, contribution=part) for name, part in parts.items())
