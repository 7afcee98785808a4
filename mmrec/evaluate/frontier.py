"""What more exposure of a group of items costs: the quality of lists by its share of their slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.evaluate.counting import Baseline
from mmrec.evaluate.logs import Places, Setting
from mmrec.evaluate.metrics import (
    METRICS,
    Counts,
    Interval,
    Values,
    hits_of,
    mean_intervals,
    ratio_interval,
    share_of,
)
from mmrec.evaluate.run import NOBODY, best_candidates, scored_batches, shuffled
from mmrec.ranking.groups import Group, Groups, learned

K = 20  # length of the lists
POOL = 800  # best candidates of a user, among which prices choose, and the best of the group
SAMPLE = 2_000  # users from whom prices are learned
NEAR = 0.9  # of the share that is asked for: with less than that, more cannot be had
DIALS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)  # shares that are asked for, beside twice today's


class Price(NamedTuple):
    """What a share of the slots for a group costs.

    Attributes:
        asked: the floor; 0 for the lists as they are.
        change: of ndcg against these lists, as a share of it, over the same users.
    """

    group: str
    asked: float
    exposure: Interval
    ndcg: Interval
    change: Interval


def frontier(
    model: Baseline, setting: Setting, validation: Setting, name: str, mask: NDArray[np.bool_], *,
    shares: Sequence[float] = DIALS, k: int = K, rng: np.random.Generator,
) -> list[Price]:
    """The quality of lists in which a group has more and more of the slots, by `exposure` of `recommend`.

    Prices are learned from candidates of validation's users, and judged by what the setting's users chose.
    """
    scores, places = pools(model, setting, mask, k)
    some = np.sort(rng.permutation(validation.histories.shape[0])[:SAMPLE])
    sample = pools(model, validation, mask, k, some)
    members = np.flatnonzero(mask)
    relevant = np.diff(setting.relevant.indptr)

    def judged(added: Vectors) -> tuple[Values, Values]:
        top = lists(scores + added[places], places, k)
        return METRICS["ndcg"](hits_of(top, setting.relevant), relevant), share_of(mask, top)

    plain, exposed = judged(np.zeros(len(mask), np.float32))
    today = float(exposed.mean())
    found = [_price(name, 0.0, plain, plain, exposed, rng)]
    for share in sorted(share for share in {2 * today, *shares} if today < share < 1):
        groups = Groups.of([Group((name, ""), members, np.ones(len(members), np.float32), share)], len(mask))
        ndcg, exposed = judged(groups.added(learned(groups, *sample, k)))
        found.append(_price(name, share, ndcg, plain, exposed, rng))
        if exposed.mean() < NEAR * share:
            break  # there is no more of the group
    return found


def pools(
    model: Baseline, setting: Setting, mask: NDArray[np.bool_], k: int, users: Counts | None = None
) -> tuple[Vectors, Places]:
    """The best candidates of each user and the best of a group, as `mmrec.ranking.groups.learned` takes them.

    Args:
        users: rows of the setting; None for all.

    Returns:
        Scores in ranges of the user's best candidates [u, p], minus infinity for none, and places [u, p].
    """
    histories = setting.histories if users is None else setting.histories[users]
    candidates = shuffled(setting.candidates)
    group, found = candidates[mask[candidates]], []
    for some, scores in scored_batches(model, histories):
        top = best_candidates(scores[:, candidates], some, candidates, POOL)
        values = _taken(scores, top)
        lowest = np.where(np.isfinite(values), values, np.inf).min(axis=1, keepdims=True)
        extra = best_candidates(scores[:, group], some, group, k) if len(group) else top[:, :0]
        more = _taken(scores, extra)
        more[more >= lowest] = -np.inf  # is in the pool already
        scale = values[:, :1] - lowest
        together = np.hstack([values, more]) / np.where(scale > 0, scale, 1)
        found.append((together.astype(np.float32), np.hstack([top, extra])))
    return np.concatenate([scores for scores, _ in found]), np.concatenate([places for _, places in found])


def lists(scores: Vectors, places: Places, k: int) -> Places:
    """The k places of the highest scores [u, p], best first [u, k]; -1 where there is none."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    top = np.take_along_axis(places, order, axis=1)
    return np.where(np.isfinite(np.take_along_axis(scores, order, axis=1)), top, NOBODY)


def _price(
    name: str, share: float, ndcg: Values, plain: Values, exposed: Values, rng: np.random.Generator
) -> Price:
    means = mean_intervals({"ndcg": ndcg, "exposed": exposed}, rng=rng)
    return Price(name, share, means["exposed"], means["ndcg"], ratio_interval(ndcg - plain, plain, rng))


def _taken(scores: Vectors, top: Places) -> Vectors:
    """The scores of lists [u, p]; minus infinity behind their ends."""
    return np.where(top >= 0, np.take_along_axis(scores, np.maximum(top, 0), axis=1), np.float32(-np.inf))
