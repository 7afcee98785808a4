"""Recall by the age and the popularity of the item, and by the length of the history.

Bins depend on the split alone, so that every model has the same; empty bins are left out. By age and
popularity the recall is of pairs: the share of the relevant (user, item) pairs of a bin whose item is in the
user's list. By history it is the mean over users. Intervals are 95% bootstrap intervals over users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmrec.errors import DataError
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import Counts, Interval, Values, hits_of, mean_interval
from mmrec.evaluate.run import Result

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

COLD = "cold"  # the bin of items without a training interaction
AGES, POPULARITIES = 5, 10  # bins of about as many items each: fifths and deciles
DAY = np.timedelta64(1, "D")
Dates = NDArray[np.datetime64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Slice:
    """Recall in one bin, with its interval.

    Attributes:
        name: of the bin, such as `cold`, `7` or `8-15`.
        n: relevant pairs in the bin, or users where the bin is one of users.
    """

    name: str
    value: float
    low: float
    high: float
    n: int

    @property
    def interval(self) -> Interval:
        """The recall and its interval."""
        return Interval(self.value, self.low, self.high)


def by_age(
    result: Result, setting: Setting, added_at: Dates, *, k: int = 20, rng: np.random.Generator
) -> list[Slice]:
    """Recall@k by the fifth of the catalogue that an item is in by age, the newest first.

    Age is in whole days before the newest item. If all items are of one age, there is no slice.

    Args:
        added_at: of all items [items].

    Raises:
        DataError: the result does not fit the setting, or its lists are shorter than k.
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

    Raises:
        DataError: the result does not fit the setting, or its lists are shorter than k.
    """
    warm = popularity > 0
    bins = np.zeros(len(popularity), np.intp)
    inner, names = _quantiles(popularity[warm], POPULARITIES)
    bins[warm] = 1 + inner
    return _of_pairs(result, setting, bins, [COLD, *names], k, rng)


def by_history(result: Result, setting: Setting, *, k: int = 20, rng: np.random.Generator) -> list[Slice]:
    """Mean recall@k of users by the length of their history: 1, 2-3, 4-7, 8-15 and so on.

    Raises:
        DataError: the result does not fit the setting, or has no recall@k.
    """
    _check(result, setting, k)
    lengths = np.diff(setting.histories.indptr)  # [u]
    powers = np.frexp(lengths)[1]  # [u]: 1 for 1, 2 for 2 and 3, 3 for 4 to 7; 0 for none
    recalls = result.values[f"recall@{k}"]  # [u]
    slices = []
    for power in np.unique(powers):
        inside = recalls[powers == power]
        name, interval = _name(2 ** int(power) // 2, 2 ** int(power) - 1), mean_interval(inside, rng=rng)
        slices.append(Slice(name, interval.mean, interval.low, interval.high, len(inside)))
    return slices


def _quantiles(values: Numbers, bins: int) -> tuple[Counts, list[str]]:
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
    """Recall of the relevant pairs by the bin of their item [items]."""
    _check(result, setting, k)
    hits, pairs = _tallies(result.top[:, :k], setting.relevant, bins, len(names))
    n = pairs.sum(axis=0)  # [bins]
    lows, highs = _bootstrap(hits, pairs, rng)
    found = hits.sum(axis=0) / np.maximum(n, 1)  # [bins]
    return [
        Slice(name, float(found[b]), float(lows[b]), float(highs[b]), int(n[b]))
        for b, name in enumerate(names) if n[b]
    ]


def _tallies(top: NDArray[np.int32], relevant: csr_matrix, bins: Counts, size: int) -> tuple[Values, Values]:
    """Relevant items that lists [u, k] show, and all relevant items, by user and bin: [u, bins] each."""
    found, users = hits_of(top, relevant), relevant.shape[0]  # [u, k]

    def tally(who: Counts, items: NDArray[np.int32]) -> Values:
        cells = np.bincount(who * size + bins[items], minlength=users * size)
        return cells.reshape(users, size).astype(np.float64)  # [u * bins] -> [u, bins]

    return tally(np.nonzero(found)[0], top[found]), tally(*relevant.nonzero())


def _bootstrap(
    hits: Values, pairs: Values, rng: np.random.Generator, *, draws: int = 2_000
) -> tuple[Values, Values]:
    """95% interval of each bin's ratio of sums over users [u, bins], [bins] each; NaN for an empty bin.

    A bin that few users have is empty in some resamples, which are left out.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile intervals).
    """
    users, bins = hits.shape
    both = np.hstack([hits, pairs])  # [u, 2 * bins]
    sums = np.stack([
        np.bincount(rng.integers(users, size=users), minlength=users) @ both for _ in range(draws)
    ]).reshape(draws, 2, bins)  # [draws, 2 * bins] -> [draws, 2, bins]
    ends = np.full((2, bins), np.nan)
    for b in np.flatnonzero(pairs.any(axis=0)):
        drawn = sums[sums[:, 1, b] > 0, :, b]  # [kept, 2]
        ends[:, b] = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return ends[0], ends[1]


def _check(result: Result, setting: Setting, k: int) -> None:
    users = setting.relevant.shape[0]
    if result.setting != setting.name or len(result.top) != users:
        raise DataError(
            f"{result.model} answered {len(result.top)} users of {result.setting!r}, the setting"
            f" {setting.name!r} has {users}: give the setting that was evaluated"
        )
    if not 1 <= k <= result.top.shape[1] or f"recall@{k}" not in result.values:
        raise DataError(f"{result.model} was not judged at k={k}: evaluate with it among `k`", field="k")
