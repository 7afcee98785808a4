"""Ranking metrics, one value for each user, and what their mean is worth.

A ranking is a list of item ids, best first; what is relevant is a set of ids. Each metric gives the values of
u users, so that means, differences between two models and intervals are all taken over the same users.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmrec.errors import DataError

Values = NDArray[np.float64]
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


def recall_at_k(rankings: Rankings, relevant: Relevant, k: int) -> Values:
    """Share of each user's relevant items among the first k, [u].

    With more than k relevant items it stays below 1: the share is of all of them.

    Source: Manning, Raghavan & Schütze 2008, Introduction to Information Retrieval, eq. 8.2.

    Raises:
        DataError: the lists do not fit each other, or a user has nothing relevant.
    """
    found = _hits(rankings, relevant, k).sum(axis=1)  # [u, k] -> [u]
    return found / _counts(relevant)


def hit_rate_at_k(rankings: Rankings, relevant: Relevant, k: int) -> Values:
    """1 for each user with a relevant item among the first k, else 0, [u].

    Source: Deshpande & Karypis 2004, Item-based top-N recommendation algorithms (HR).

    Raises:
        DataError: as of `recall_at_k`.
    """
    return np.any(_hits(rankings, relevant, k), axis=1).astype(np.float64)  # [u, k] -> [u]


def ndcg_at_k(rankings: Rankings, relevant: Relevant, k: int) -> Values:
    """Discounted gain of the first k over that of the best possible order, relevance 0 or 1, [u].

    Source: Järvelin & Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques, with the discount
    1 / log2(rank + 1), rank from 1, of Burges et al. 2005.

    Raises:
        DataError: as of `recall_at_k`.
    """
    hits = _hits(rankings, relevant, k)  # [u, k]
    discounts = 1 / np.log2(np.arange(2, k + 2))  # [k]
    best = np.cumsum(discounts)[np.minimum(_counts(relevant), k) - 1]  # [u]
    gained: Values = hits @ discounts  # [u, k] @ [k] -> [u]
    return gained / best


def mean_interval(
    values: Values, *, rng: np.random.Generator, level: float = 0.95, draws: int = 2_000
) -> Interval:
    """Mean of users' values [u], and its bootstrap interval: quantiles of the means of resampled users.

    For the difference of two models give the differences of the same users' values.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile intervals).

    Raises:
        DataError: there are no values.
    """
    if not len(values):
        raise DataError("a mean needs at least one user: none had anything relevant")
    n = len(values)
    means = [values[rng.integers(n, size=n)].mean() for _ in range(draws)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def _hits(rankings: Rankings, relevant: Relevant, k: int) -> NDArray[np.bool_]:
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


def _counts(relevant: Relevant) -> NDArray[np.intp]:
    """Number of different relevant items of each user, [u]."""
    return np.array([len(set(wanted)) for wanted in relevant], np.intp)
