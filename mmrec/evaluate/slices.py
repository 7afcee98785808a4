"""Recall by the age and the popularity of the item, and by the length of the history.

Bins depend on the split alone, so that every model has the same; empty bins are left out. By age and
popularity the recall is of pairs: the share of the relevant (user, item) pairs of a bin whose item is in the
user's list. By history it is the mean over users. Intervals are 95% bootstrap intervals over users.

Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile intervals).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import Counts, Interval, hits_of, mean_interval, resampled
from mmrec.evaluate.run import Result

COLD = "cold"  # the bin of items without a training interaction
AGES, POPULARITIES = 5, 10  # bins of about as many items each: fifths and deciles
DAY = np.timedelta64(1, "D")
Dates = NDArray[np.datetime64]


class Slice(NamedTuple):
    """Recall in one bin, such as `cold`, `7` or `8-15`, which has n relevant pairs, or n users."""

    name: str
    recall: Interval
    n: int


def by_age(
    result: Result, setting: Setting, added_at: Dates, *, k: int = 20, rng: np.random.Generator
) -> list[Slice]:
    """Recall@k by the fifth of the catalogue that an item is in by age, the newest first.

    Age is in whole days before the newest item. If all items are of one age, there is no slice.

    Args:
        added_at: of all items [items].
    """
    days = (added_at.max() - added_at) // DAY  # [items]
    bins, names = _quantiles(days, AGES)
    return _of_pairs(result, setting, bins, names, k, rng) if len(names) > 1 else []


def by_popularity(
    result: Result, setting: Setting, popularity: Counts, *, k: int = 20, rng: np.random.Generator
) -> list[Slice]:
    """Recall@k of cold items, then by the decile of the warm ones that an item is in, the rarest first.

    Items of the same number of interactions are in the same bin, so a log of many rare items has fewer bins.

    Args:
        popularity: training interactions of each item [items].
    """
    warm = popularity > 0
    bins = np.zeros(len(popularity), np.intp)
    inner, names = _quantiles(popularity[warm], POPULARITIES)
    bins[warm] = 1 + inner
    return _of_pairs(result, setting, bins, [COLD, *names], k, rng)


def by_history(result: Result, setting: Setting, *, k: int = 20, rng: np.random.Generator) -> list[Slice]:
    """Mean recall@k of users by the length of their history: 1, 2-3, 4-7, 8-15 and so on."""
    lengths = np.diff(setting.histories.indptr)  # [u]
    powers = np.frexp(lengths)[1]  # [u]: 1 for 1, 2 for 2 and 3, 3 for 4 to 7; 0 for none
    recalls = result.values[f"recall@{k}"]  # [u]
    slices = []
    for power in np.unique(powers).tolist():
        inside = recalls[powers == power]
        name = _name(2**power // 2, 2**power - 1)
        slices.append(Slice(name, mean_interval(inside, rng=rng), len(inside)))
    return slices


def _quantiles(values: NDArray[np.int64], bins: int) -> tuple[Counts, list[str]]:
    """The bin of each value [n] when they are cut into equal parts, and the names of the bins.

    Equal values stay together, in the bin that the first of them would be in.
    """
    ordered = np.sort(values)
    last = -(-len(ordered) * np.arange(1, bins + 1) // bins) - 1  # [bins]: of each part, by position
    edges = np.unique(ordered[last]) if len(ordered) else ordered  # highest value of each bin
    lows = ordered[np.searchsorted(ordered, edges[:-1], side="right")]
    names = [_name(*ends) for ends in zip([*ordered[:1], *lows], edges, strict=True)]
    return np.searchsorted(edges, values), names


def _name(low: int, high: int) -> str:
    return f"{low}" if low >= high else f"{low}-{high}"


def _of_pairs(
    result: Result, setting: Setting, bins: Counts, names: Sequence[str], k: int, rng: np.random.Generator
) -> list[Slice]:
    """Recall of the relevant pairs by the bin of their item [items]; intervals are of ratios of sums."""
    top, size = result.top[:, :k], len(names)
    found = hits_of(top, setting.relevant)  # [u, k]
    hits = np.stack([(found & (bins[top] == b)).sum(axis=1) for b in range(size)], axis=1)  # [u, bins]
    pairs = (setting.relevant != 0) @ np.eye(size)[bins]  # [u, items] @ [items, bins] -> [u, bins]
    sums = resampled(np.hstack([hits, pairs]), rng)  # [draws, 2 * bins]
    slices = []
    for b in np.flatnonzero(pairs.any(axis=0)).tolist():
        n, drawn = pairs[:, b].sum(), sums[sums[:, size + b] > 0]  # without resamples whose bin is empty
        low, high = np.quantile(drawn[:, b] / drawn[:, size + b], [0.025, 0.975])
        interval = Interval(float(hits[:, b].sum() / n), float(low), float(high))
        slices.append(Slice(names[b], interval, int(n)))
    return slices
