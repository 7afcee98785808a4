"""Ranking metrics, one value for each user, and what their mean is worth.

A metric is defined once, over hits: whether the item at each rank is relevant, [u, k]. Hits come from lists
of ids (`recall_at_k` and its like) or from positions (`hits_of`), all users at once. Each metric gives the
values of u users, so that means, differences between two models and intervals are all taken over the same
users.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmrec.errors import DataError
from mmrec.evaluate.logs import Places

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Values = NDArray[np.float64]
Hits = NDArray[np.bool_]
Counts = NDArray[np.intp]
Rankings = Sequence[Sequence[str]]
Relevant = Sequence[Collection[str]]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over users, and the interval that holds it with some confidence."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def recall(hits: Hits, counts: Counts) -> Values:
    """Share of each user's relevant items among the first k, [u].

    With more than k relevant items it stays below 1: the share is of all of them.

    Source: Manning, Raghavan & Schütze 2008, Introduction to Information Retrieval, eq. 8.2.
    """
    found: Values = hits.sum(axis=1) / counts  # [u, k] -> [u]
    return found


def precision(hits: Hits, counts: Counts) -> Values:  # noqa: ARG001  (all metrics are called alike)
    """Share of the k places that hold a relevant item, [u]; a shorter list wastes its last places.

    Source: Manning, Raghavan & Schütze 2008, eq. 8.1, at rank k.
    """
    found: Values = hits.sum(axis=1) / hits.shape[1]  # [u, k] -> [u]
    return found


def hit_rate(hits: Hits, counts: Counts) -> Values:  # noqa: ARG001
    """1 for each user with a relevant item among the first k, else 0, [u].

    Source: Deshpande & Karypis 2004, Item-based top-N recommendation algorithms (HR).
    """
    return np.any(hits, axis=1).astype(np.float64)  # [u, k] -> [u]


def ndcg(hits: Hits, counts: Counts) -> Values:
    """Discounted gain of the first k over that of the best possible order, relevance 0 or 1, [u].

    Source: Järvelin & Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques, with the discount
    1 / log2(rank + 1), rank from 1, of Burges et al. 2005.
    """
    k = hits.shape[1]
    discounts = 1 / np.log2(np.arange(2, k + 2))  # [k]
    best = np.cumsum(discounts)[np.minimum(counts, k) - 1]  # [u]
    gained: Values = hits @ discounts  # [u, k] @ [k] -> [u]
    return gained / best


def mrr(hits: Hits, counts: Counts) -> Values:  # noqa: ARG001
    """1 / rank of the first relevant item, 0 where none is among the first k, [u].

    Source: Voorhees 1999, The TREC-8 Question Answering Track Report.
    """
    found: Values = np.any(hits, axis=1) / (hits.argmax(axis=1) + 1)  # [u, k] -> [u]; argmax: the first True
    return found


def average_precision(hits: Hits, counts: Counts) -> Values:
    """Mean of the precisions at the ranks of the relevant items, [u]; its mean over users is MAP.

    A relevant item that is not among the first k adds 0. The mean is over the k that could be found, so that
    the best ranking has 1; trec_eval's `map_cut` divides by all relevant items instead.

    Source: Manning, Raghavan & Schütze 2008, eq. 8.8, cut at rank k.
    """
    k = hits.shape[1]
    precisions = hits.cumsum(axis=1) / np.arange(1, k + 1)  # [u, k], at each rank
    summed: Values = (precisions * hits).sum(axis=1)  # [u, k] -> [u]
    return summed / np.minimum(counts, k)


METRICS: Mapping[str, Callable[[Hits, Counts], Values]] = {
    "recall": recall, "precision": precision, "ndcg": ndcg, "hit_rate": hit_rate, "mrr": mrr,
    "map": average_precision,
}


def hits_of(top: Places, relevant: csr_matrix) -> Hits:
    """Whether the item at each rank is relevant, [u, k].

    Args:
        top: positions of the ranked items, best first, [u, k]; -1 behind the end of a list.
        relevant: [u, items].
    """
    rows, items = relevant.shape
    pairs = _pairs(np.repeat(np.arange(rows), np.diff(relevant.indptr)), relevant.indices, items)
    return (top >= 0) & np.isin(_pairs(np.arange(rows)[:, None], top, items), pairs)  # [u, k]


def recall_at_k(rankings: Rankings, relevant: Relevant, k: int) -> Values:
    """`recall` of lists of item ids, best first, and sets of relevant ids, [u].

    Raises:
        DataError: the lists do not fit each other, or a user has nothing relevant.
    """
    return recall(_hits(rankings, relevant, k), _counts(relevant))


def precision_at_k(rankings: Rankings, relevant: Relevant, k: int) -> Values:
    """`precision` of lists of ids, [u]; raises as `recall_at_k`."""
    return precision(_hits(rankings, relevant, k), _counts(relevant))


def hit_rate_at_k(rankings: Rankings, relevant: Relevant, k: int) -> Values:
    """`hit_rate` of lists of ids, [u]; raises as `recall_at_k`."""
    return hit_rate(_hits(rankings, relevant, k), _counts(relevant))


def ndcg_at_k(rankings: Rankings, relevant: Relevant, k: int) -> Values:
    """`ndcg` of lists of ids, [u]; raises as `recall_at_k`."""
    return ndcg(_hits(rankings, relevant, k), _counts(relevant))


def mrr_at_k(rankings: Rankings, relevant: Relevant, k: int) -> Values:
    """`mrr` of lists of ids, [u]; raises as `recall_at_k`."""
    return mrr(_hits(rankings, relevant, k), _counts(relevant))


def map_at_k(rankings: Rankings, relevant: Relevant, k: int) -> Values:
    """`average_precision` of lists of ids, [u]; raises as `recall_at_k`."""
    return average_precision(_hits(rankings, relevant, k), _counts(relevant))


def mean_interval(
    values: Values, *, rng: np.random.Generator, level: float = 0.95, draws: int = 2_000
) -> Interval:
    """Mean of users' values [u], and its bootstrap interval: quantiles of the means of resampled users.

    For the difference of two models give the differences of the same users' values.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile intervals).

    Raises:
        DataError: there are no values.
    """
    return mean_intervals({"": values}, rng=rng, level=level, draws=draws)[""]


def mean_intervals(
    values: Mapping[str, Values], *, rng: np.random.Generator, level: float = 0.95, draws: int = 2_000
) -> dict[str, Interval]:
    """`mean_interval` of several values [u] of the same users, which are resampled together.

    Raises:
        DataError: there are no values.
    """
    table = np.stack(list(values.values()), axis=1)  # [u, m]
    n = len(table)
    if not n:
        raise DataError("a mean needs at least one user: none had anything relevant")
    means = np.stack([_resampled(n, rng) @ table for _ in range(draws)]) / n  # [u] @ [u, m] -> [draws, m]
    lows, highs = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)  # [m] each
    return {
        name: Interval(float(each.mean()), float(low), float(high))
        for (name, each), low, high in zip(values.items(), lows, highs, strict=True)
    }


def _resampled(n: int, rng: np.random.Generator) -> Values:
    """How often each of n users occurs among n that are drawn with replacement, [n]."""
    return np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)


def _pairs(users: NDArray[np.intp], items: Places, n_items: int) -> NDArray[np.int64]:
    """One number for each pair of user and item."""
    return users.astype(np.int64) * n_items + items


def _hits(rankings: Rankings, relevant: Relevant, k: int) -> Hits:
    """Whether the item at each rank is relevant, [u, k]; False behind the end of a ranking."""
    if len(rankings) != len(relevant):
        raise DataError(f"{len(rankings)} rankings for {len(relevant)} users: give one for each user")
    if k < 1:
        raise DataError(f"k must be at least 1, got {k}", field="k")
    hits = np.zeros((len(rankings), k), np.bool_)
    for user, (ranking, wanted) in enumerate(zip(rankings, relevant, strict=True)):
        shown = list(ranking[:k])
        if len(set(shown)) < len(shown):
            raise DataError(f"the ranking of user {user} shows an item twice, which would count twice")
        if not wanted:
            raise DataError(f"user {user} has nothing relevant that could be found: leave such users out")
        hits[user, : len(shown)] = [item_id in wanted for item_id in shown]
    return hits


def _counts(relevant: Relevant) -> Counts:
    """Number of different relevant items of each user, [u]."""
    return np.array([len(set(wanted)) for wanted in relevant], np.intp)
