"""Drift: whether the embeddings of new items are distributed like those of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError

Values = NDArray[np.float64]

ALPHA = 0.01  # largest p-value that counts as drift: one false alarm in a hundred tests
FEWEST = 30  # items that each side needs for a test
MOST = 500  # items drawn from each side, which bounds the kernel to 1,000 x 1,000
PERMUTATIONS = 499  # the smallest p-value is 1 / 500
COMPONENTS, BINS = 5, 10  # of the PSI


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

    At most 500 of each are drawn, so the cost does not grow with the catalogue (about .1 s).

    Raises:
        DataError: the embeddings are of different widths, or not finite.
    """
    if reference.shape[1:] != incoming.shape[1:]:
        raise DataError(f"embeddings of shape {reference.shape} and {incoming.shape} cannot be compared")
    if min(len(reference), len(incoming)) < FEWEST:
        return None
    x, y = (side[rng.permutation(len(side))[:MOST]].astype(np.float64) for side in (incoming, reference))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("an embedding is not finite: run `mmrec doctor` on the store")
    mmd, p = mmd_test(x, y, rng=rng)
    return Drift(mmd, p, psi(y, x), len(x), len(y))


def mmd_test(
    x: Values, y: Values, *, rng: np.random.Generator, permutations: int = PERMUTATIONS
) -> tuple[float, float]:
    """Unbiased squared MMD of x [n, d] and y [m, d] with a Gaussian kernel, and its permutation p-value.

    The kernel's width is the median distance of all pairs. The p-value is exact for any distribution.

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

    Bins hold equal shares of the reference; half an item is added to each, so that no bin is empty.

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
    p, q = (
        (np.bincount(np.searchsorted(edges, values), minlength=bins) + 0.5) / (len(values) + 0.5 * bins)
        for values in (old, new)
    )
    return float(((q - p) * np.log(q / p)).sum())


def _kernel(z: Values) -> Values:
    """Gaussian kernel of all pairs [s, s]; 0 for an item with itself."""
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
