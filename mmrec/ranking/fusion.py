"""Search by words, pictures, sounds and a history at once: rankings, fused by reciprocal rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np

from mmrec.config import Config
from mmrec.errors import DataError
from mmrec.ranking.page import WIDEN, Source, page_of
from mmrec.ranking.request import Request
from mmrec.ranking.retrieve import results_of
from mmrec.ranking.signals import Context
from mmrec.ranking.users import Point, Query, User, point_of, users_of
from mmrec.search.hits import Hits, Mask, Positions
from mmrec.search.snapshot import Snapshot
from mmrec.store.interactions import Interactions
from mmrec.types import NOUNS, WORDS, Reason, Recommendation

FULL_TEXT = "full text"  # BM25
TASTE = "taste"
TOLD = {f"words to {field}": field for field in NOUNS}  # words compared with what an encoder of words reads
RANKINGS = (FULL_TEXT, WORDS, *TOLD, *NOUNS, TASTE)
NUMBERED = 10.0  # weight of full text for a product number, which outweighs all other rankings
DEEP = 10  # times k items of each ranking are fused,
DEEPEST = 200  # but at least so many
Ranks = Callable[[int], Sequence[int]]  # number of items -> positions of the best, best first


def search(
    snapshot: Snapshot, interactions: Interactions, query: Query, request: Request,
    weights: Mapping[str, float] | None,
) -> list[Recommendation]:
    """Items for a query and the request's history; rankings of weight 0 are not made."""
    config, text = snapshot.catalogue.config, query.text
    asked, blank = weights_of(config, weights), not isinstance(text, str) or not text.strip()
    if blank and (text is not None or (not query.wordless and request.history is None)):
        needs = "search needs words, a picture, a sound or a history"
        raise DataError(f"{needs}, got text={text!r}", field="text")
    snapshot.mask(request.where)  # refuses a condition that cannot be used, even in an empty catalogue
    (user,) = users_of(snapshot, interactions, [request]) if request.history else (None,)
    if not len(snapshot):
        return []
    if asked[FULL_TEXT] and isinstance(text, str) and snapshot.full_text.numbered(text).size:
        asked[FULL_TEXT] = max(asked[FULL_TEXT], NUMBERED)
    found = _rankings(snapshot, query, user, request)
    context = Context(snapshot, request, interactions.popularity)
    return _fused(context, {n: ranks for n, ranks in found.items() if asked[n]}, asked)


def _fused(
    context: Context, rankings: Mapping[str, Ranks], weights: Mapping[str, float]
) -> list[Recommendation]:
    """The page of fused rankings, which are read further down while there are fewer than k results."""
    snapshot, request = context.snapshot, context.request
    depth, hidden = max(DEEP * request.k, DEEPEST), snapshot.known(request.exclude)
    rrf_k = snapshot.catalogue.config.rrf_k
    while True:
        ranked = {name: ranks(depth) for name, ranks in rankings.items()}
        parts = fuse(ranked, rrf_k, weights)
        page = page_of(context, [Source("search", partial(_best, parts))], hidden)
        if len(page) >= request.k or depth >= len(snapshot):
            break
        depth *= WIDEN
    page = [replace(slot, score=sum(parts[slot.position].values())) for slot in page]
    reasons = [
        tuple(Reason(source="words", name=n, contribution=part) for n, part in parts[slot.position].items())
        for slot in page
    ]
    return results_of(snapshot, page, reasons)


def fuse(
    rankings: Mapping[str, Sequence[int]], rrf_k: int, weights: Mapping[str, float] | None = None
) -> dict[int, dict[str, float]]:
    """Reciprocal rank fusion: what each ranking adds to each item's score, best item first, ties by position.

    Args:
        rankings: positions of items, best first.
        rrf_k: the smaller, the more the first ranks count.
        weights: weight of each ranking; 1 if it has none.

    Source: Cormack, Clarke & Buettcher 2009: score = sum over rankings of 1 / (rrf_k + rank), rank from 1.
    """
    parts: dict[int, dict[str, float]] = {}
    for name, ranking in rankings.items():
        weight = (weights or {}).get(name, 1.0)
        for rank, position in enumerate(ranking, start=1):
            parts.setdefault(position, {})[name] = weight / (rrf_k + rank)
    return dict(sorted(parts.items(), key=lambda item: (-sum(item[1].values()), item[0])))


def weights_of(config: Config, weights: Mapping[str, float] | None) -> dict[str, float]:
    """The weight of each ranking: that of the call, else the settings' for full text, 1 for the others.

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
    snapshot: Snapshot, query: Query, user: User | None, request: Request
) -> dict[str, Ranks]:
    """The rankings that the parts of this query allow, each made when it is called."""
    mask = snapshot.mask(request.where)
    near = partial(_nearest, snapshot, mask)
    rankings: dict[str, Ranks] = {}
    if isinstance(query.text, str):
        words = Query(query.text)
        rankings[FULL_TEXT] = partial(snapshot.match, query.text, where=request.where)
        for name, by in {WORDS: WORDS, **TOLD}.items():
            if by in snapshot.readable:
                rankings[name] = near(partial(point_of, snapshot, words, by))
    for field, noun in NOUNS.items():
        if (given := getattr(query, field)) is not None:
            if field not in snapshot.spaces:
                told = f"no item has an embedded {noun} to compare with: leave {field} out"
                raise DataError(told, field=field)
            rankings[field] = near(partial(point_of, snapshot, Query(**{field: given}), field))
    if user is not None and (point := user.point) is not None:
        rankings[TASTE] = near(lambda: point, user.positions.tolist())
    return rankings


def _nearest(
    snapshot: Snapshot, mask: Mask | None, point: Callable[[], Point], exclude: Sequence[int] = ()
) -> Ranks:
    """The items nearest to a point, which is encoded once, if at all."""
    made = cache(point)

    def ranks(k: int) -> list[int]:
        hits = snapshot.search(made().space, made().vector, k, exclude=exclude, mask=mask)
        positions: list[int] = hits.positions.tolist()
        return positions

    return ranks


def _best(parts: Mapping[int, Mapping[str, float]], k: int, out: Positions) -> Hits:
    hidden = set(out.tolist())
    positions = [position for position in parts if position not in hidden][:k]
    scores = [sum(parts[position].values()) for position in positions]
    return Hits(np.array(positions, np.intp), np.array(scores, np.float32))
