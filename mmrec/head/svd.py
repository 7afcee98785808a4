"""The strongest part of a matrix."""

from __future__ import annotations

import numpy as np

from mmrec.encoders.base import Vectors

OVERSAMPLED = 64  # directions beyond those asked for
PASSES = 4  # over the matrix; factors of a spectrum that falls slowly need some


def truncated_svd(matrix: Vectors, k: int) -> tuple[Vectors, Vectors]:
    """The k strongest factors of a matrix [n, m] as U S [n, k] and V [m, k]; fewer if there are fewer.

    Source: Halko, Martinsson & Tropp 2011, Finding structure with randomness, alg. 4.4.
    """
    if k >= min(matrix.shape):
        left, strengths, right = np.linalg.svd(matrix, full_matrices=False)
    else:
        from sklearn.utils.extmath import randomized_svd

        left, strengths, right = randomized_svd(
            matrix, k, n_oversamples=OVERSAMPLED, n_iter=PASSES, random_state=0
        )
    return left * strengths, right.T  # [n, k], [k, m] -> [m, k]
