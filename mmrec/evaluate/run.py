"""Evaluates a fitted model in a setting: its ranked lists, their figures with intervals, and comparisons.

Every model ranks all candidates of a setting for every user, so that two results of one setting can be
compared user by user (`p_value`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.evaluate import metrics
from mmrec.evaluate.counting import Baseline
from mmrec.evaluate.exposure import Corrected, Exposure
from mmrec.evaluate.logs import Places, Setting, check_setting
from mmrec.evaluate.metrics import METRICS, Counts, Interval, Values, hits_of, mean_intervals

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NOBODY = -1  # behind the end of a list
GROUPS = 100  # of users, for the jackknife
SWAPS = 5_000  # of the test between two models
TOTALS: Mapping[str, Callable[[Values], float]] = {"coverage": metrics.coverage, "gini": metrics.gini}


@dataclass(frozen=True, slots=True)
class Result:
    """The lists of one model in one setting, and their figures, whose names end in `@k`, such as `recall@20`.

    Attributes:
        values: by figure, of each user in the order of the setting [u].
        means: of these, with bootstrap 95% intervals over users.
        totals: figures of all lists together (`coverage`, `gini`), with jackknife intervals over users.
        top: positions of the best items of each user, best first, -1 behind the end of a short list, [u, k].
        corrected: ndcg at the greatest k, corrected for exposure; None where that is not known.
    """

    values: Mapping[str, Values] = field(repr=False)
    means: Mapping[str, Interval]
    totals: Mapping[str, Interval]
    top: Places = field(repr=False)
    corrected: Corrected | None = None


def evaluate(
    model: Baseline, setting: Setting, *, k: Sequence[int] = (10, 20), content: Vectors | None = None,
    popularity: Counts | None = None, exposure: Exposure | None = None, rng: np.random.Generator,
) -> Result:
    """A fitted model's result in one setting, by all of `METRICS`.

    Args:
        k: lengths of the lists that are judged.
        content: of all items [items, c], for `diversity`; without it there is no such figure.
        popularity: training interactions of each item [items], for `novelty`, `head_share` and `cold_share`.
        exposure: how often items were shown; None corrects nothing.
        rng: of the bootstrap.

    Raises:
        DataError: as of `check_setting` and `rank`.
    """
    check_setting(setting)
    top = rank(model, setting, k=max(k))
    values: dict[str, Values] = {}
    hits, counts = hits_of(top, setting.relevant), np.diff(setting.relevant.indptr)
    for n in k:
        values |= {f"{name}@{n}": metric(hits[:, :n], counts) for name, metric in METRICS.items()}
        if content is not None:
            values[f"diversity@{n}"] = metrics.diversity(top[:, :n], content)
        if popularity is not None:
            for of_popularity in (metrics.novelty, metrics.head_share, metrics.cold_share):
                values[f"{of_popularity.__name__}@{n}"] = of_popularity(top[:, :n], popularity)
    totals = {
        f"{name}@{n}": exposure_interval(statistic, top[:, :n], setting.candidates, rng=rng)
        for name, statistic in TOTALS.items() for n in k
    }
    means = mean_intervals(values, rng=rng)
    if exposure is None:
        return Result(values, means, totals, top)
    corrected = Corrected.of(top, setting.relevant, exposure)
    return Result(values, means, totals, top, corrected)


def exposure_interval(
    statistic: Callable[[Values], float], top: Places, candidates: Places, *, rng: np.random.Generator
) -> Interval:
    """A statistic of the exposure, with its 95% jackknife interval over users, who are left out by groups.

    A bootstrap would not do: a resample shows only items that the users saw, so its coverage is too low, and
    varies too little where many items are shown once. The jackknife's interval is rather too wide.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 11; for the direction of its
    error Efron & Stein 1981, The jackknife estimate of variance.
    """
    value = statistic(metrics.exposure(top, candidates))
    groups = min(GROUPS, len(top))
    group = rng.permutation(len(top)) % groups  # [u]
    without = np.array([statistic(metrics.exposure(top[group != g], candidates)) for g in range(groups)])
    reach = 1.96 * float(np.sqrt((groups - 1) * without.var()))
    return Interval(value, max(0.0, value - reach), min(1.0, value + reach))


def rank(model: Baseline, setting: Setting, *, k: int, batch: int = 512) -> Places:
    """Positions of the k best candidates of each user, best first, [u, k].

    What is in the history is never ranked. Equal scores rank in one random order, the same at every call and
    for every model: the order of a catalogue is informative (early ids are often the better known). An item
    that is scored minus infinity is never shown; -1 fills a list that ends early.

    Args:
        batch: users scored at once; memory is some arrays of [batch, items].

    Raises:
        DataError: the model gave NaN, or scores of another shape.
    """
    candidates = shuffled(setting.candidates)
    return np.concatenate([  # scores [b, items] -> [b, n], a copy
        best_candidates(scores[:, candidates], histories, candidates, k)
        for histories, scores in scored_batches(model, setting.histories, batch)
    ])


def scored_batches(
    model: Baseline, histories: csr_matrix, batch: int = 512
) -> Iterator[tuple[csr_matrix, Vectors]]:
    """Some histories [b, items] and the model's scores of all items [b, items], until all are scored.

    Raises:
        DataError: the model gave NaN, or scores of another shape.
    """
    for start in range(0, histories.shape[0], batch):
        some = histories[start : start + batch]
        yield some, _scores(model, some)


def shuffled(candidates: Places) -> Places:
    """Candidates in the random order that decides between equal scores."""
    return np.random.Generator(np.random.PCG64(0)).permutation(candidates)


def best_candidates(scores: Vectors, histories: csr_matrix, candidates: Places, k: int) -> Places:
    """The k best of scores [b, n] of n candidates, without what is in the histories [b, items], [b, k].

    The scores of what is in a history are overwritten. Equal scores rank in the order of the candidates.
    """
    users, n = scores.shape
    column = np.full(histories.shape[1], NOBODY)
    column[candidates] = np.arange(n)
    rows, columns = np.repeat(np.arange(users), np.diff(histories.indptr)), column[histories.indices]
    scores[rows[columns >= 0], columns[columns >= 0]] = -np.inf
    size = min(k, n)
    best = _best(scores, size)  # [b, size]
    kept = np.take_along_axis(scores, best, axis=1)  # [b, size]
    order = np.argsort(-kept, axis=1, kind="stable")
    places = candidates[np.take_along_axis(best, order, axis=1)]
    places[np.isneginf(np.take_along_axis(kept, order, axis=1))] = NOBODY
    return np.pad(places, ((0, 0), (0, k - size)), constant_values=NOBODY)


def _best(scores: Vectors, size: int) -> Counts:
    """Columns of the highest scores [b, n], the first ones of equals, in ascending order [b, size]."""
    users, n = scores.shape
    least = np.partition(scores, n - size, axis=1)[:, n - size, None]  # [b, n] -> [b, 1]: the last to get in
    chosen = scores >= least
    tied = np.count_nonzero(chosen, axis=1) > size  # [b]: where those equal to the last do not all fit
    above, level = scores[tied] > least[tied], scores[tied] == least[tied]
    room = size - above.sum(axis=1, keepdims=True)  # [tied, 1]: how many of the equal ones fit
    chosen[tied] = above | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= room))
    return (np.flatnonzero(chosen) % n).reshape(users, size)  # [b * size] -> [b, size]


def p_value(differences: Values) -> float:
    """Whether two models differ on the same users, by a paired two-sided randomisation test.

    If the models did not differ, each user's two values could be swapped. p is the share of random swaps (the
    observed outcome counts as one) with a mean difference at least as far from 0. The swaps are the same at
    each call, so that equal results give equal tests.

    Args:
        differences: of each user's value of a metric by one model, and by the other [u].

    Source: Smucker, Allan & Carterette 2007, A comparison of statistical significance tests for information
    retrieval evaluation.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    observed = abs(differences.sum()) * (1 - 1e-9)  # swaps that give the same sum in another order are ties
    farther = sum(abs(_signs(len(differences), rng) @ differences) >= observed for _ in range(SWAPS))
    return float((1 + farther) / (1 + SWAPS))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several comparisons at once, so that the chance of any false one is bounded.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    adjusted, least, n = [0.0] * len(p_values), 0.0, len(p_values)
    for place, position in enumerate(np.argsort(p_values, kind="stable").tolist()):
        least = max(least, min(1.0, (n - place) * p_values[position]))
        adjusted[position] = least
    return adjusted


def _signs(n: int, rng: np.random.Generator) -> Values:
    """1 or -1 at random, [n]; a bit each, as this is most of a test's time."""
    bits = np.unpackbits(np.frombuffer(rng.bytes(-(-n // 8)), np.uint8), count=n)
    return bits.astype(np.float64) * 2 - 1


def _scores(model: Baseline, histories: csr_matrix) -> Vectors:
    """The model's scores of all items [b, items], checked."""
    scores = np.asarray(model.score(histories), np.float32)
    if scores.shape != histories.shape:
        raise DataError(f"{model.name} gave scores of shape {scores.shape}, expected {histories.shape}")
    if np.isnan(scores).any():
        raise DataError(f"{model.name} gave NaN as a score, which has no rank: look for a division by 0")
    return scores
