"""Exposure: the share of the slots that groups of items get, at the least cost in relevance.

A list of 10 cannot be even to 30 brands, but lists of many users can. So the shares hold over users: of all
ways to fill their pages, that of the most relevance whose shares are met is found by its dual. Each group g
has a price, and each page is the k candidates with the highest

    relevance / range of the user's candidates + sum over the item's groups of price(g).

Prices are learned once, over a sample of the recorded users, and kept: a page then needs nothing of any other
page. A user who likes a group gets more of it, others less, which is why this costs less than a floor in
every list. That floor is what one page holds where there is nobody to learn from: of `similar`, of `search`,
and in a shop with few recorded users (`Floors`).

Source: the linear programme of Singh & Joachims 2018, Fairness of exposure in rankings, amortised over users
as by Biega, Gummadi & Weikum 2018, Equity of attention; its dual prices of groups as in Xu et al. 2023,
P-MMF: Provider max-min fairness re-ranking in recommender system, here fixed while they serve.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.model.ordered_towers import OrderedTowers
from mmrec.model.towers import TrainedTowers
from mmrec.ranking.diversity import Floors
from mmrec.ranking.groups import Group, Groups, Name, by_value, learned, tail_of
from mmrec.ranking.request import COLD, ROUNDING, Request
from mmrec.ranking.signals import Context, range_of
from mmrec.ranking.users import Point, users_with
from mmrec.search.hits import Hits, Mask, Positions
from mmrec.search.snapshot import Snapshot
from mmrec.store.interactions import Interactions

USERS, CELLS = 2_000, 2_000_000  # of the sample at most: users, and candidates of all of them
FEWEST = 50  # recorded users from whom prices are learned
SLACK = 0.1  # by which the catalogue may grow or shrink before they are learned again
MOST_KEPT = 64  # plans of which prices are kept
Find = Callable[[int, Positions], Hits]  # as of a `Source`: number, positions to leave out -> the best others
Plan = tuple[str, int]  # what a request asks of groups, and its k
_learned: WeakKeyDictionary[Any, dict[Plan, Any]] = WeakKeyDictionary()  # prices, by catalogue
_ready: WeakKeyDictionary[Snapshot, dict[Plan, Exposure]] = WeakKeyDictionary()
_learning = threading.RLock()  # a second thread waits for what the first one learns


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """What a request asks of groups, in one snapshot.

    Attributes:
        prices: what is added to each item [n], in ranges of a user's candidates; None where there is nobody
            to learn from. Where there are none, as on the rungs without relevance, a page holds the floors.
    """

    groups: Groups
    prices: Vectors | None

    def with_members(self, hits: Hits, find: Find, out: Positions, k: int) -> Hits:
        """Candidates, and the k best of each floor's group where these hold fewer of it."""
        found = [hits]
        for group in np.flatnonzero(self.groups.even < 0).tolist():
            mask = self.groups.mask(group)
            if np.count_nonzero(mask[hits.positions]) < k:
                mask[out] = False
                found.append(find(k, np.flatnonzero(~mask)))
        if len(found) == 1:
            return hits
        positions, first = np.unique(np.concatenate([one.positions for one in found]), return_index=True)
        scores = np.concatenate([one.scores for one in found])[first]
        order = np.argsort(-scores, kind="stable")
        return Hits(positions[order], scores[order])

    def floors(self, positions: Positions, k: int) -> Floors:
        """What a page of k holds of candidates [m] at these positions."""
        slots, even = self.groups.shares * k, self.groups.even >= 0
        least = np.where(even, 0, np.floor(slots + ROUNDING))
        most = np.where(even, np.ceil(slots - ROUNDING), k)
        return Floors(self.groups.members[positions].toarray() > 0, least, most)


def exposure_of(context: Context) -> Exposure:
    """What a request with `exposure` asks of groups; prices are learned when they are first asked for.

    They are learned again after a `fit`, and when the catalogue has grown or shrunk by a tenth.

    Raises:
        DataError: the request names no such attribute, or a value that no item has.
    """
    snapshot, request, recorded = context.snapshot, context.request, context.recorded
    plan = (repr(sorted((request.exposure or {}).items())), request.k if recorded else 0)
    if found := _ready.get(snapshot, {}).get(plan):
        return found  # while another plan is being learned, too
    with _learning:
        ready = _ready.setdefault(snapshot, {})
        if plan not in ready:
            groups = groups_of(snapshot, request, context.popularity())
            known = _prices(context, recorded, groups, plan) if recorded else None
            if known is None and recorded:
                return Exposure(groups, None)  # until there are enough users
            prices = np.array([(known or {}).get(name, 0.0) for name in groups.names])  # 0 of a new value
            _keep(ready, plan, Exposure(groups, None if known is None else groups.added(prices)))
        return ready[plan]


def groups_of(snapshot: Snapshot, request: Request, popularity: Mapping[str, float]) -> Groups:
    """The groups that a request names, of the items of a snapshot."""
    groups: list[Group] = []
    for number, (name, asked) in enumerate((request.exposure or {}).items()):
        if isinstance(asked, float):
            counts = snapshot.popular(popularity)
            places = np.flatnonzero(cold_of(snapshot, counts) if name == COLD else tail_of(counts))
            groups.append(Group((name, ""), places, np.ones(len(places), np.float32), asked))
        elif name in snapshot.categories:
            groups += by_value(name, snapshot.facts[name].to_pylist(), asked, number)
        else:
            known = ", ".join(snapshot.categories) or "there is none"
            what = f"exposure names no attribute of words {name!r}"
            raise DataError(f"{what}: choose {known}", field="exposure")
    return Groups.of(groups, len(snapshot))


def cold_of(snapshot: Snapshot, popularity: Vectors) -> Mask:
    """Which items [n] the head had no behaviour of; before a `fit`, those without any [n] by now."""
    if isinstance(snapshot.towers, TrainedTowers | OrderedTowers):
        return snapshot.towers.positions(snapshot.ids) < 0
    return popularity == 0


def _prices(
    context: Context, recorded: Interactions, groups: Groups, plan: Plan
) -> dict[Name, float] | None:
    """Prices by name of the group; None if there are too few users to learn from."""
    snapshot, request = context.snapshot, context.request
    kept = _learned.setdefault(snapshot.catalogue, {})
    towers, size, prices = kept.get(plan, (None, 0, None))
    if towers is not snapshot.towers or abs(size - len(snapshot)) > SLACK * size:
        scores, places = _sample(snapshot, recorded, groups, request)
        if len(scores) < FEWEST:
            return None
        found = learned(groups, scores, places, request.k)
        prices = dict(zip(groups.names, found.tolist(), strict=True))
        _keep(kept, plan, (snapshot.towers, len(snapshot), prices))
    return prices


def _sample(
    snapshot: Snapshot, recorded: Interactions, groups: Groups, request: Request
) -> tuple[Vectors, Positions]:
    """Candidates of recorded users as `learned` takes them, chosen as those of a page are."""
    everybody = recorded.users()
    if len(everybody) < FEWEST:
        return np.zeros((0, 0), np.float32), np.zeros((0, 0), np.intp)
    size = min(len(everybody), USERS, max(FEWEST, CELLS // request.pool))
    some = sorted(np.random.default_rng(0).choice(everybody, size, replace=False).tolist())
    acts = recorded.histories(some)
    known = [(u.point, u.positions) for u in users_with(snapshot, [acts[who] for who in some]) if u.point]
    first = [] if not known else snapshot.scorer(snapshot.serving).top_many(
        np.array([point.vector for point, _ in known]), request.pool, exclude=[out for _, out in known])
    rows = []
    for hits, (point, out) in zip(first, known, strict=True):
        if len(hits.positions):
            find = partial(_find, snapshot, point)
            found = Exposure(groups, None).with_members(hits, find, out, request.k)
            rows.append((found.scores / range_of(hits), found.positions))
    width = max((len(one) for one, _ in rows), default=0)
    scores, places = np.full((len(rows), width), -np.inf, np.float32), np.zeros((len(rows), width), np.intp)
    for n, (one, where) in enumerate(rows):
        scores[n, : len(one)], places[n, : len(one)] = one, where
    return scores, places


def _find(snapshot: Snapshot, point: Point, k: int, out: Positions) -> Hits:
    return snapshot.search(point.space, point.vector, k, exclude=out)


def _keep(kept: dict[Plan, Any], plan: Plan, value: Any) -> None:
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[plan] = value
