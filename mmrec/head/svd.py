"""The strongest part of a matrix."""

from __future__ import annotations

import numpy as np

from mmrec.encoders.base import Vectors


def truncated_svd(matrix: Vectors, k: int) -> tuple[Vectors, Vectors]:
    """The k strongest factors of a matrix [n, m] as U S [n, k] and V [m, k]; fewer if there are fewer."""
    from scipy.sparse.linalg import svds

    least = min(matrix.shape)
    if k >= least:
        left, strengths, right = np.linalg.svd(matrix, full_matrices=False)
    else:
        start = np.random.default_rng(0).standard_normal(least)  # else it would differ each time
        left, strengths, right = svds(matrix, k=k, v0=start.astype(matrix.dtype))
    return left * strengths, right.T  # [n, k], [k, m] -> [m, k]
