"""Beyond accuracy: what lists are like, whether or not they are right.

Lists are positions of items, best first, [u, k], with -1 behind the end of a short one. Popularity is the
number of training interactions of each item [items]; an item without any is cold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmrec.encoders.base import Vectors, unit
from mmrec.evaluate.logs import Places
from mmrec.evaluate.metrics import Counts, Hits, Interval, Values

BLOCK = 1_024  # lists whose content is summed at once: bounds memory
Statistic = Callable[[Values], float]  # of the exposure of each candidate [n]


def novelty(top: Places, popularity: Counts) -> Values:
    """Mean self-information of each list's items in bits, -log2 p(i), [u]; 0 for an empty list.

    p(i) is the share of training interactions that are with item i. One is added to each item's number, so
    that a cold item is the most novel, and not infinitely so.

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
    """Share of each list that is cold: items without a training interaction, [u]."""
    return _mean_shown(top, (popularity == 0).astype(np.float64))


def diversity(top: Places, content: Vectors) -> Values:
    """1 - mean cosine of the contents of all pairs in each list, [u].

    Items without content (a row of zeros) are left out, lest they count as unlike everything. A list of fewer
    than two others has 0.

    Source: Ziegler et al. 2005, Improving recommendation lists through topic diversification (intra-list
    similarity), as the mean over pairs of Smyth & McClave 2001, Similarity vs. diversity.
    """
    x = unit(content)  # [items, c]
    described: Hits = np.any(x, axis=1)  # [items]
    blocks = [top[start : start + BLOCK] for start in range(0, len(top), BLOCK)]
    return np.concatenate([_diversity(block, x, described) for block in blocks])


def exposure(top: Places, candidates: Places) -> Values:
    """How many lists show each candidate, [n]."""
    size = 1 + max(int(top.max(initial=0)), int(candidates.max(initial=0)))
    return np.bincount(top[top >= 0], minlength=size)[candidates].astype(np.float64)


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


def exposure_interval(
    statistic: Statistic, top: Places, candidates: Places, *, rng: np.random.Generator, groups: int = 100
) -> Interval:
    """A statistic of the exposure, with its 95% jackknife interval over users: groups are left out in turn.

    Not the bootstrap: a resample shows no item that the users did not, so its coverage is too low, and varies
    too little where many items are shown once. The jackknife errs to the wide side.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 11; for the side of its error
    Efron & Stein 1981, The jackknife estimate of variance.
    """
    value = statistic(exposure(top, candidates))
    groups = min(groups, len(top))
    group = rng.permutation(len(top)) % groups  # [u]
    without = np.array([statistic(exposure(top[group != g], candidates)) for g in range(groups)])
    reach = 1.96 * float(np.sqrt((groups - 1) * without.var()))
    return Interval(value, max(0.0, value - reach), min(1.0, value + reach))


def _mean_shown(top: Places, values: Values) -> Values:
    """Mean of the values [items] of what each list shows, [u]."""
    shown = top >= 0
    sums: Values = (values[top] * shown).sum(axis=1)  # [u, k] -> [u]
    return sums / np.maximum(shown.sum(axis=1), 1)


def _diversity(top: Places, x: Vectors, described: Hits) -> Values:
    """Of some lists: over all pairs, cosines sum to the squared norm of the sum of unit vectors, less n."""
    from scipy.sparse import csr_matrix

    counted = (top >= 0) & described[top]  # [u, k]
    n = counted.sum(axis=1)  # [u]
    indptr = np.concatenate([[0], np.cumsum(n)])
    lists = csr_matrix((np.ones(indptr[-1], np.float32), top[counted], indptr), (len(top), len(x)))
    sums = lists @ x  # [u, items] @ [items, c] -> [u, c]
    similar = np.einsum("uc,uc->u", sums, sums, dtype=np.float64) - n  # [u, c] -> [u]
    pairs = n * (n - 1)
    return np.where(pairs > 0, 1 - similar / np.maximum(pairs, 1), 0.0)
