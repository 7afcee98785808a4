"""What is measured in a period: figures of its hours and days, and drift of the items added in it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.evaluate.metrics import Values, coverage, gini
from mmrec.types import as_utc

Window = Literal["hour", "day"]
Mask = NDArray[np.bool_]
PERIODS = {  # a window's size, and how long a period is by default
    "hour": (timedelta(hours=1), timedelta(days=1)), "day": (timedelta(days=1), timedelta(weeks=1)),
}
MOST_WINDOWS = 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # the start of an hour and of a day

ALPHA = 0.01  # largest p-value that counts as drift: one false alarm in a hundred tests
FEWEST = 30  # items that each side needs for a test
MOST = 500  # items drawn from each side, which bounds the kernel to 1,000 x 1,000
PERMUTATIONS = 499  # the smallest p-value is 1 / 500
COMPONENTS, BINS = 5, 10  # of the PSI


@dataclass(frozen=True, slots=True)
class Tally:
    """Items shown, and how many of them were clicked."""

    shown: int
    clicked: int

    @property
    def rate(self) -> float | None:
        """Click-through; None if nothing was shown."""
        return self.clicked / self.shown if self.shown else None


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened in one window; a click counts in the window in which its item was shown.

    Attributes:
        start: of the window, UTC.
        requests: answers, also those that found nothing.
        latency_ms: (p50, p95) of the answers; (None, None) where no latency was logged.
        all: of all items shown.
        rungs: by the rung that found them.
        cold: of items known to be cold.
        aged: of items known not to be cold.
        gini: how unequally the catalogue's items were shown: 0 all alike, 1 one item alone.
        coverage: share of the catalogue that was shown at all.
    """

    start: datetime
    requests: int
    latency_ms: tuple[float, float] | tuple[None, None]
    all: Tally
    rungs: dict[str, Tally]
    cold: Tally
    aged: Tally
    gini: float
    coverage: float

    @property
    def cold_share(self) -> float | None:
        """Share of cold items among the items shown, as far as known."""
        known = self.cold.shown + self.aged.shown
        return self.cold.shown / known if known else None


def windows(since: datetime | None, until: datetime, window: Window) -> list[tuple[datetime, datetime]]:
    """Start and end of each whole hour or day (UTC) that a period touches; the end is outside.

    By default a period is a day long by the hour, and a week by the day.

    Raises:
        DataError: the window is neither, or the period ends before it begins, or has too many windows.
    """
    if window not in PERIODS:
        raise DataError(f"window must be one of {', '.join(PERIODS)}, got {window!r}", field="window")
    size, period = PERIODS[window]
    until = as_utc(until)
    since = as_utc(since) if since else until - period
    start = since - (since - EPOCH) % size
    count = math.ceil((until - start) / size)
    if count < 1:
        raise DataError(f"the period begins at {since} and ends at {until}: give an earlier start")
    if count > MOST_WINDOWS:
        raise DataError(
            f"{since} to {until} has more than {MOST_WINDOWS:,} windows of one {window}: give a later start,"
            " or larger windows", field="since",
        )
    return [(start + n * size, start + (n + 1) * size) for n in range(count)]


def clicked(shown: pa.Table, clicks: pa.Table, kinds: Collection[str]) -> Mask:
    """Which rows of `IMPRESSIONS` [n] have a click of one of these kinds; several count as one."""
    counted = clicks.filter(pc.is_in(clicks["kind"], pa.array(list(kinds), pa.string())))
    return pc.is_in(_pairs(shown), _pairs(counted).combine_chunks()).to_numpy()


def _pairs(rows: pa.Table) -> pa.ChunkedArray:
    """Request and item as one string; null without an item."""
    return pc.binary_join_element_wise(rows["request_id"], rows["item_id"], "\x1f")


def figures(start: datetime, shown: pa.Table, hit: Mask, items: int) -> Figures:
    """The figures of one window.

    Args:
        start: of the window, UTC.
        shown: the window's rows of `IMPRESSIONS` [n].
        hit: which of them were clicked [n].
        items: size of the catalogue, whose items count although none was shown.
    """

    def tally(rows: Mask) -> Tally:
        return Tally(int(rows.sum()), int((rows & hit).sum()))

    some = shown["item_id"].is_valid().to_numpy()  # the other rows are answers without results
    known = some & shown["cold"].is_valid().to_numpy()
    cold = shown["cold"].fill_null(False).to_numpy()
    rungs = shown["rung"].to_numpy()
    # each answer has the same latency in all of its rows
    latency = shown.group_by("request_id").aggregate([("latency_ms", "min")])["latency_ms_min"]
    p50, p95 = pc.quantile(latency, [0.5, 0.95]).to_pylist()
    times = pc.value_counts(shown["item_id"].drop_null()).field("counts").to_numpy()
    times = np.pad(times, (0, max(0, items - len(times))))  # [items], 0 where never shown
    return Figures(
        start=start, requests=len(latency), latency_ms=(p50, p95), all=tally(some),
        rungs={rung: tally(rungs == rung) for rung in sorted(set(rungs[some]))},
        cold=tally(known & cold), aged=tally(known & ~cold),
        gini=gini(times), coverage=coverage(times) if len(times) else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Drift:
    """How new items differ from the others.

    Attributes:
        mmd: squared maximum mean discrepancy, unbiased; around 0 if there is no difference.
        p: probability of a discrepancy at least as large if there is no difference.
        psi: population stability index, the largest along the first principal components. As a rule of
            thumb, below .1 little has changed, above .25 much; few items make it larger.
        incoming: number of new items compared.
        reference: number of items that they were compared with.
    """

    mmd: float
    p: float
    psi: float
    incoming: int
    reference: int

    @property
    def alarm(self) -> bool:
        """Whether the difference is significant: p <= .01. The PSI tells whether it is large."""
        return self.p <= ALPHA


def drift(reference: Vectors, incoming: Vectors, *, rng: np.random.Generator) -> Drift | None:
    """Compares incoming embeddings [n, d] with those of the catalogue [m, d]; None if there are too few.

    At most 500 of each are drawn, so the cost does not grow with the catalogue (about .2 s).

    Raises:
        DataError: an embedding is not finite.
    """
    if min(len(reference), len(incoming)) < FEWEST:
        return None
    x, y = (side[rng.permutation(len(side))[:MOST]].astype(np.float64) for side in (incoming, reference))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("an embedding is not finite: run `mmrec doctor` on the store")
    mmd, p = mmd_test(x, y, rng=rng)
    return Drift(mmd, p, psi(y, x), len(x), len(y))


def mmd_test(x: Values, y: Values, *, rng: np.random.Generator) -> tuple[float, float]:
    """Unbiased squared MMD of x [n, d] and y [m, d] with a Gaussian kernel, and its permutation p-value.

    The kernel's width is the median distance of all pairs. The p-value is exact for any distribution.

    Source: Gretton et al. 2012, A kernel two-sample test, eq. 3 and section 8 (median heuristic); Phipson &
    Smyth 2010, Permutation p-values should never be zero (the ones added).
    """
    from scipy.spatial.distance import pdist, squareform

    z, n, size = np.concatenate([x, y]), len(x), len(x) + len(y)
    distances = pdist(z, "sqeuclidean")  # of all pairs
    kernel = squareform(np.exp(-distances / (2 * (np.median(distances) or 1.0))))  # [size, size], diagonal 0
    sides = np.zeros((1 + PERMUTATIONS, size))
    sides[0, :n] = 1
    for row in sides[1:]:
        row[rng.permutation(size)[:n]] = 1
    values = _mmd(kernel, sides, n, len(y))
    # equal up to rounding counts as larger, as when all embeddings are the same
    larger = int(np.count_nonzero(values[1:] >= values[0] - 1e-12))
    return float(values[0]), (1 + larger) / (1 + PERMUTATIONS)


def psi(reference: Values, incoming: Values) -> float:
    """Largest population stability index along the first principal components of the reference [m, d].

    Bins hold equal shares of the reference; half an item is added to each, so that no bin is empty.

    Source: Siddiqi 2006, Credit Risk Scorecards, chapter 9: sum of (q - p) ln(q / p) over bins, p of the
    reference and q of the incoming.
    """
    centre = reference.mean(axis=0)
    _, _, axes = np.linalg.svd(reference - centre, full_matrices=False)  # [r, d]
    axes = axes[:COMPONENTS].T  # [c, d] -> [d, c]
    old, new = (reference - centre) @ axes, (incoming - centre) @ axes  # [m, d] @ [d, c], [n, d] @ [d, c]
    return max(_psi(old[:, c], new[:, c]) for c in range(axes.shape[1]))


def _psi(old: Values, new: Values) -> float:
    edges = np.quantile(old, np.arange(1, BINS) / BINS)
    p, q = (
        (np.bincount(np.searchsorted(edges, values), minlength=BINS) + 0.5) / (len(values) + 0.5 * BINS)
        for values in (old, new)
    )
    return float(((q - p) * np.log(q / p)).sum())


def _mmd(kernel: Values, sides: Values, n: int, m: int) -> Values:
    """Squared MMD of each division [divisions, s] into n ones and m zeros."""
    sums = sides @ kernel  # [divisions, s] @ [s, s]
    within = (sums * sides).sum(axis=1)  # pairs of ones [divisions]
    across = sums.sum(axis=1) - within
    rest = kernel.sum() - within - 2 * across
    return within / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * across / (n * m)
