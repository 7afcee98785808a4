"""Drift: whether new items' embeddings are still like those of the catalogue that they join."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.evaluate.beyond import coverage, gini
from mmrec.types import as_utc

Window = Literal["hour", "day"]
Span = tuple[datetime, datetime]  # from the first on and before the second
Mask = NDArray[np.bool_]
SIZES = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
MOST_WINDOWS = 1_000


@dataclass(frozen=True, slots=True)
class Tally:
    """Items shown, and how many of them were clicked."""

    shown: int
    clicked: int

    @property
    def rate(self) -> float | None:
        """Click-through; None of nothing."""
        return self.clicked / self.shown if self.shown else None


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened in one window; a click counts in the window in which its item was shown.

    Attributes:
        start: of the window, UTC.
        requests: answers, also those that found nothing.
        latency_ms: (p50, p95) of the answers; None where no latency was logged.
        all: of all that was shown.
        rungs: by what found it.
        cold: of items known to be cold.
        aged: of items known not to be.
        gini: how unequally the catalogue's items were shown; 0 alike, 1 one item alone.
        coverage: share of the catalogue that was shown at all.
    """

    start: datetime
    requests: int
    latency_ms: tuple[float, float] | None
    all: Tally
    rungs: dict[str, Tally]
    cold: Tally
    aged: Tally
    gini: float
    coverage: float

    @property
    def cold_share(self) -> float | None:
        """Share of cold items in what was shown."""
        known = self.cold.shown + self.aged.shown
        return self.cold.shown / known if known else None


def windows(since: datetime, until: datetime, window: Window) -> Iterator[Span]:
    """Start and end of each whole hour or day (UTC) that a period touches.

    Raises:
        DataError: the period ends before it begins, or has too many windows.
    """
    if window not in SIZES:
        raise DataError(f"window must be one of {', '.join(SIZES)}, got {window!r}", field="window")
    size, end = SIZES[window], as_utc(until)
    start = as_utc(since).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = start.replace(hour=0) if window == "day" else start
    if start >= end:
        raise DataError(f"the period begins at {since} and ends at {until}: give an earlier start")
    if (end - start) / size > MOST_WINDOWS:
        raise DataError(
            f"{since} to {until} has more than {MOST_WINDOWS:,} windows of one {window}: give a later start,"
            " or larger windows", field="since",
        )
    while start < end:
        yield start, start + size
        start += size


def clicked(shown: pa.Table, clicks: pa.Table, kinds: Collection[str]) -> Mask:
    """Which rows of `IMPRESSIONS` [n] have a click of one of these kinds; several count as one."""
    counted = clicks.filter(pc.is_in(clicks["kind"], pa.array(list(kinds), pa.string())))
    found = pc.is_in(_pairs(shown), _pairs(counted).combine_chunks())
    return np.asarray(found.to_numpy(), np.bool_)


def figures(start: datetime, shown: pa.Table, hit: Mask, items: int) -> Figures:
    """The figures of one window.

    Args:
        shown: the window's rows of `IMPRESSIONS` [n].
        hit: which of them were clicked [n].
        items: size of the catalogue, whose items count although none was shown.
    """
    some = np.asarray(shown["item_id"].is_valid().to_numpy())  # the rest are answers that found nothing
    cold, known = _filled(shown["cold"]), some & np.asarray(shown["cold"].is_valid().to_numpy())
    rungs = np.asarray(shown["rung"].to_numpy(), object)
    counts = _exposure(shown["item_id"], items)
    return Figures(
        start=start, requests=pc.count_distinct(shown["request_id"]).as_py(), latency_ms=_latency(shown),
        all=_tally(some, hit),
        rungs={rung: _tally(rungs == rung, hit) for rung in sorted(set(rungs[some]))},
        cold=_tally(known & cold, hit), aged=_tally(known & ~cold, hit),
        gini=gini(counts), coverage=coverage(counts) if len(counts) else 0.0,
    )


def _tally(rows: Mask, hit: Mask) -> Tally:
    return Tally(int(rows.sum()), int((rows & hit).sum()))


def _latency(shown: pa.Table) -> tuple[float, float] | None:
    """Median and 95th percentile over answers, each of which has one latency in all of its rows."""
    first = shown.group_by("request_id").aggregate([("latency_ms", "min")])["latency_ms_min"].drop_null()
    if not len(first):
        return None
    p50, p95 = np.quantile(first.to_numpy(), [0.5, 0.95])
    return float(p50), float(p95)


def _exposure(item_ids: pa.ChunkedArray, items: int) -> NDArray[np.float64]:
    """How often each item was shown [items]; those that have left the catalogue count as well."""
    counts = pc.value_counts(item_ids.drop_null()).field("counts").to_numpy()
    return np.concatenate([counts, np.zeros(max(0, items - len(counts)))])


def _pairs(rows: pa.Table) -> pa.ChunkedArray:
    """Request and item as one string; null without an item."""
    return pc.binary_join_element_wise(rows["request_id"], rows["item_id"], "\x1f")


def _filled(flags: pa.ChunkedArray) -> Mask:
    return np.asarray(flags.fill_null(False).to_numpy(), np.bool_)


Values = NDArray[np.float64]

ALPHA = 0.01  # p-value up to which it is called drift: one false alarm in a hundred looks
FEWEST = 30  # items on each side, below which nothing is said
MOST = 500  # items drawn from each side: bounds the kernel to 1,000 x 1,000
PERMUTATIONS = 499  # the smallest p-value is 1 / 500
COMPONENTS, BINS = 5, 10  # of the PSI


@dataclass(frozen=True, slots=True)
class Drift:
    """How incoming items differ from the others.

    Attributes:
        mmd: squared maximum mean discrepancy, unbiased; around 0 if there is no difference.
        p: chance of a discrepancy as large if there is no difference.
        psi: population stability index, the largest along the first principal components. As a rule of
            thumb, below .1 little has changed, above .25 much; few items make it larger.
        incoming: items compared.
        reference: those they were compared with.
    """

    mmd: float
    p: float
    psi: float
    incoming: int
    reference: int

    @property
    def alarm(self) -> bool:
        """Whether the difference is more than chance: p <= .01. The PSI then tells whether it is large."""
        return self.p <= ALPHA


def drift(reference: Vectors, incoming: Vectors, *, rng: np.random.Generator) -> Drift | None:
    """Compares incoming embeddings [n, d] with those of the catalogue [m, d]; None if there are too few.

    At most 500 of each are drawn, so the cost does not grow with the catalogue (about .1 s).

    Raises:
        DataError: the embeddings are of different widths, or not finite.
    """
    if reference.shape[1:] != incoming.shape[1:]:
        raise DataError(f"embeddings of shape {reference.shape} and {incoming.shape} cannot be compared")
    if min(len(reference), len(incoming)) < FEWEST:
        return None
    x, y = (_sample(side, rng) for side in (incoming, reference))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("an embedding is not finite: run `mmrec doctor` on the store")
    mmd, p = mmd_test(x, y, rng=rng)
    return Drift(mmd, p, psi(y, x), len(x), len(y))


def mmd_test(
    x: Values, y: Values, *, rng: np.random.Generator, permutations: int = PERMUTATIONS
) -> tuple[float, float]:
    """Unbiased squared MMD of x [n, d] and y [m, d] with a Gaussian kernel, and its permutation p-value.

    The kernel's width is the median distance of all pairs. Under permutation of who belongs to which side the
    p-value holds exactly, whatever the distribution.

    Source: Gretton et al. 2012, A kernel two-sample test, eq. 3 and section 8 (median heuristic); Phipson &
    Smyth 2010, Permutation p-values should never be zero (the ones added).
    """
    kernel, n, size = _kernel(np.concatenate([x, y])), len(x), len(x) + len(y)
    sides = np.zeros((1 + permutations, size))
    sides[0, :n] = 1
    for row in sides[1:]:
        row[rng.permutation(size)[:n]] = 1
    values = _mmd(kernel, sides, n, len(y))
    # equal up to rounding counts as larger, as when all embeddings are the same
    larger = np.count_nonzero(values[1:] >= values[0] - 1e-12)
    return float(values[0]), (1 + larger) / (1 + permutations)


def psi(reference: Values, incoming: Values, *, components: int = COMPONENTS, bins: int = BINS) -> float:
    """Largest population stability index along the first principal components of the reference [m, d].

    Bins hold equal shares of the reference; half an item is added to each, lest an empty one count for ever.

    Source: Siddiqi 2006, Credit Risk Scorecards, chapter 9: sum of (q - p) ln(q / p) over bins, p of the
    reference and q of the incoming.
    """
    centre = reference.mean(axis=0)
    _, _, axes = np.linalg.svd(reference - centre, full_matrices=False)  # [r, d]
    axes = axes[:components].T  # [c, d] -> [d, c]
    old, new = (reference - centre) @ axes, (incoming - centre) @ axes  # [m, d] @ [d, c], [n, d] @ [d, c]
    return max(_psi(old[:, c], new[:, c], bins) for c in range(axes.shape[1]))


def _psi(old: Values, new: Values, bins: int) -> float:
    edges = np.quantile(old, np.arange(1, bins) / bins)
    p, q = (_shares(np.searchsorted(edges, values), bins) for values in (old, new))
    return float(((q - p) * np.log(q / p)).sum())


def _shares(places: NDArray[np.intp], bins: int) -> Values:
    counts = np.bincount(places, minlength=bins) + 0.5
    return counts / counts.sum()


def _kernel(z: Values) -> Values:
    """Gaussian kernel of all pairs [s, s] but each with itself, which is 0."""
    square = (z**2).sum(axis=1)  # [s, d] -> [s]
    distance = np.maximum(square[:, None] + square - 2 * z @ z.T, 0)  # [s, d] @ [d, s] -> [s, s]
    width = np.median(distance[np.triu_indices(len(z), 1)]) or 1.0
    kernel = np.exp(-distance / (2 * width))
    np.fill_diagonal(kernel, 0)
    return kernel


def _mmd(kernel: Values, sides: Values, n: int, m: int) -> Values:
    """Squared MMD of each division [divisions, s] into n ones and m zeros."""
    sums = sides @ kernel  # [divisions, s] @ [s, s]
    within = (sums * sides).sum(axis=1)  # pairs of ones [divisions]
    across = sums.sum(axis=1) - within
    rest = kernel.sum() - within - 2 * across
    return within / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * across / (n * m)


def _sample(x: Vectors, rng: np.random.Generator) -> Values:
    places = rng.permutation(len(x))[:MOST]
    return x[places].astype(np.float64)
