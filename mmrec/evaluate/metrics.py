"""Metrics of ranked lists, one value for each user, and the intervals of their means.

Lists are positions of items, best first, [u, k], with -1 behind the end of a short one. The metrics of
accuracy read hits: whether the item at each rank is relevant, [u, k]. The others tell what lists are like,
whether or not they are right; popularity is the number of training interactions of each item [items], and an
item without any is cold. Means, differences between two models and intervals are all over the same users.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.errors import DataError
from mmrec.evaluate.logs import Places

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Values = NDArray[np.float64]
Hits = NDArray[np.bool_]
Counts = NDArray[np.intp]
# Of accuracy: each user's value [u], from hits [u, k] and the number of the user's relevant items [u].
Metric = Callable[[Hits, Counts], Values]
BLOCK = 256  # lists whose content is summed at once: bounds memory
DRAWS = 2_000  # of the bootstrap


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over users, and its confidence interval."""

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
    return np.count_nonzero(hits, axis=1) / counts  # [u, k] -> [u]


def precision(hits: Hits, _: Counts) -> Values:
    """Share of the k places that hold a relevant item, [u]; a shorter list wastes its last places.

    Source: Manning, Raghavan & Schütze 2008, eq. 8.1, at rank k.
    """
    return np.count_nonzero(hits, axis=1) / hits.shape[1]  # [u, k] -> [u]


def hit_rate(hits: Hits, _: Counts) -> Values:
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


def mrr(hits: Hits, _: Counts) -> Values:
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


METRICS: dict[str, Metric] = {  # what is registered here takes part in every evaluation
    "recall": recall, "precision": precision, "ndcg": ndcg, "hit_rate": hit_rate, "mrr": mrr,
    "map": average_precision,
}


def hits_of(top: Places, relevant: csr_matrix) -> Hits:
    """Whether the items of lists [u, k] are relevant, [u, k], by the relevant ones [u, items]."""
    users = np.arange(len(top))[:, None]  # [u, 1]
    found: Hits = (relevant[users, top].toarray() != 0) & (top >= 0)  # -1 reads the last column
    return found


def at_k(
    metric: Metric, rankings: Sequence[Sequence[str]], relevant: Sequence[Collection[str]], k: int
) -> Values:
    """A metric of the first k of lists of item ids, best first, by each user's relevant ids, [u].

    Raises:
        DataError: the lists do not fit each other, or a user has nothing relevant.
    """
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
    return metric(hits, np.array([len(set(wanted)) for wanted in relevant], np.intp))


recall_at_k, ndcg_at_k = partial(at_k, recall), partial(at_k, ndcg)


def novelty(top: Places, popularity: Counts) -> Values:
    """Mean self-information of each list's items in bits, -log2 p(i), [u]; 0 for an empty list.

    p(i) is the share of training interactions that are with item i. One is added to each item's number, so
    that the novelty of a cold item is the highest, and finite.

    Source: Zhou et al. 2010, Solving the apparent diversity-accuracy dilemma of recommender systems; p as in
    the free discovery of Vargas & Castells 2011, Rank and relevance in novelty and diversity metrics.
    """
    share = (popularity + 1) / (popularity.sum() + len(popularity))  # [items]
    return _mean_shown(top, -np.log2(share))


def head_share(top: Places, popularity: Counts) -> Values:
    """Share of each list that is among the most popular tenth of the items with training interactions, [u].

    The tenth is rounded up; of equally popular items the first by position are in it.

    Source: Abdollahpouri, Burke & Mobasher 2019, Managing popularity bias in recommender systems, whose share
    of long-tail items (APT) is 1 minus this, for another cut.
    """
    size = -(-np.count_nonzero(popularity) // 10)
    head = np.zeros(len(popularity))
    head[np.argsort(-popularity, kind="stable")[:size]] = 1
    return _mean_shown(top, head)


def cold_share(top: Places, popularity: Counts) -> Values:
    """Share of each list that is cold, [u]."""
    return _mean_shown(top, (popularity == 0).astype(np.float64))


def diversity(top: Places, content: Vectors) -> Values:
    """1 - mean cosine of the contents of all pairs in each list, [u].

    Items without content (a row of zeros) are left out, as they would count as unlike everything. A list of
    fewer than two others has 0.

    Source: Ziegler et al. 2005, Improving recommendation lists through topic diversification (intra-list
    similarity), as the mean over pairs of Smyth & McClave 2001, Similarity vs. diversity.
    """
    x = unit(content)  # [items, c]
    described: Hits = np.any(x, axis=1)  # [items]
    found = np.zeros(len(top))  # [u]
    for start in range(0, len(top), BLOCK):
        block = top[start : start + BLOCK]  # [b, k]
        counted = (block >= 0) & described[block]  # [b, k]
        n = counted.sum(axis=1)  # [b]
        sums = np.einsum("bk,bkc->bc", counted, x[block])
        # All pairs' cosines sum to the squared norm of the sum of unit vectors, less n.
        similar = np.einsum("bc,bc->b", sums, sums, dtype=np.float64) - n  # [b, c] -> [b]
        pairs = n * (n - 1)
        found[start : start + BLOCK] = np.where(pairs > 0, 1 - similar / np.maximum(pairs, 1), 0.0)
    return found


def exposure(top: Places, candidates: Places) -> Values:
    """How many lists show each candidate, [n]."""
    shown = np.bincount(top[top >= 0], minlength=1 + candidates.max(initial=0))
    return shown[candidates].astype(np.float64)


def coverage(shown: Values) -> float:
    """Share of candidates that at least one list shows, of their exposure [n].

    Source: Ge, Delgado-Battenfeld & Jannach 2010, Beyond accuracy (catalogue coverage).
    """
    return float(np.mean(shown > 0))


def gini(shown: Values) -> float:
    """How unequal the exposure [n] of candidates is: 0 if each has the same, 1 if one has it all.

    Source: Shani & Gunawardana 2011, Evaluating recommendation systems (Gini index).
    """
    n, total = len(shown), shown.sum()
    if n < 2 or not total:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(shown) / (n - 1) / total)


def mean_interval(values: Values, *, rng: np.random.Generator) -> Interval:
    """Mean of users' values [u], and its 95% bootstrap interval: quantiles of the means of resampled users.

    For the difference of two models give the differences of the same users' values.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile intervals).

    Raises:
        DataError: there are no values.
    """
    return mean_intervals({"": values}, rng=rng)[""]


def mean_intervals(values: Mapping[str, Values], *, rng: np.random.Generator) -> dict[str, Interval]:
    """`mean_interval` of several values [u] of the same users, which are resampled together."""
    table = np.stack(list(values.values()), axis=1)  # [u, m]
    if not len(table):
        raise DataError("a mean needs at least one user: none had anything relevant")
    means = resampled(table, rng) / len(table)  # [draws, m]
    lows, highs = np.quantile(means, [0.025, 0.975], axis=0)  # [m] each
    return {
        name: Interval(float(each.mean()), float(low), float(high))
        for (name, each), low, high in zip(values.items(), lows, highs, strict=True)
    }


def share_of(mask: NDArray[np.bool_], top: Places) -> Values:
    """The share of each list [u, k] that is of a group, [u]."""
    shown = top >= 0
    shares: Values = (mask[top] & shown).sum(axis=1) / np.maximum(1, shown.sum(axis=1))
    return shares


def ratio_interval(parts: Counts | Values, wholes: Counts | Values, rng: np.random.Generator) -> Interval:
    """A ratio of sums over users [u], and its 95% bootstrap interval."""
    sums = resampled(np.stack([parts, wholes], axis=1).astype(np.float64), rng)  # [draws, 2]
    low, high = np.quantile(sums[:, 0] / np.where(sums[:, 1] != 0, sums[:, 1], np.inf), [0.025, 0.975])
    return Interval(float(parts.sum() / wholes.sum()), float(low), float(high))


def resampled(table: Values, rng: np.random.Generator) -> Values:
    """Sums [draws, m] over the rows of a table [u, m], of users drawn with replacement."""
    n = len(table)
    weights = (np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(DRAWS))  # [u] each
    return np.stack([weight @ table for weight in weights])  # [u] @ [u, m] -> [draws, m]


def _mean_shown(top: Places, values: Values) -> Values:
    """Mean of the values [items] of what each list shows, [u]."""
    shown = top >= 0
    sums: Values = (values[top] * shown).sum(axis=1)  # [u, k] -> [u]
    return sums / np.maximum(shown.sum(axis=1), 1)
