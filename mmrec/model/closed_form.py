"""What is learned in closed form: items regressed on each other, cut to the strongest factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

F = TypeVar("F", np.float32, np.float64)


def truncated_svd(matrix: Vectors, k: int) -> tuple[Vectors, Vectors]:
    """The k strongest factors of a matrix [n, m] as U S [n, k] and V [m, k]; fewer if there are fewer.

    Source: Halko, Martinsson & Tropp 2011, Finding structure with randomness, alg. 4.4.
    """
    if k >= min(matrix.shape):
        left, strengths, right = np.linalg.svd(matrix, full_matrices=False)
    else:
        from sklearn.utils.extmath import randomized_svd

        # Factors of a spectrum that falls slowly need some directions and passes more.
        left, strengths, right = randomized_svd(matrix, k, n_oversamples=64, n_iter=4, random_state=0)
    return left * strengths, right.T  # [n, k], [k, m] -> [m, k]


def directions(content: Vectors, k: int, flatness: float) -> Vectors:
    """The k directions [c, k] in which content [n, c] varies most, the weaker ones of them strengthened.

    Args:
        flatness: 0 leaves their strengths, 1 gives all the same (whitening).

    Source: Su, Cao, Liu & Ou 2021, Whitening sentence representations for better semantics and faster
    retrieval, which whitens as a whole.
    """
    left, right = truncated_svd(content, k)
    strengths = np.linalg.norm(left, axis=0)
    strengths = np.maximum(strengths, 1e-6 * strengths.max(initial=1e-12))
    return (right * (strengths / strengths.max()) ** -flatness).astype(np.float32)


def regressions(train: csr_matrix, l2: float, *, dropout: float = 0.0, user_power: float = 0.0) -> Vectors:
    """Weights B [w, w] of each item's column as a linear regression on all others; its diagonal is 0.

    Args:
        train: histories [users, w] of items that all have users.
        l2: weight of the squared norm of the regressions; more of it for fewer users.
        dropout: share of a history that is imagined to be missing, which costs a frequent item more.
        user_power: a user with h items counts h ** -user_power; 0 lets those with long histories decide.

    Source: Steck 2019, Embarrassingly shallow autoencoders for sparse data, eq. 8; with dropout, Steck 2020,
    Autoencoders that don't overfit towards the identity, eq. 5.

    Raises:
        DataError: l2 is too small for a sure solution.
    """
    from scipy.linalg import lapack

    gram = _gram(train, user_power)
    diagonal = np.diag_indices_from(gram)
    gram[diagonal] = gram[diagonal] / (1 - dropout) + l2  # G + dropout / (1 - dropout) diag G + l2
    lower, unsolved = lapack.dpotrf(gram, lower=True, overwrite_a=True)
    if l2 <= 0 or unsolved:
        raise DataError(f"the regressions have no sure solution at l2={l2}: give more", field="l2")
    inverse, _ = lapack.dpotri(lower, lower=True, overwrite_c=True)  # P, its lower half
    scale = -np.diag(inverse)
    weights: Vectors = inverse.astype(np.float32)
    np.fill_diagonal(weights, 0)
    weights += weights.T
    weights /= scale.astype(np.float32)  # B = I - P diag(1 / diag P)
    return weights


def _gram(train: csr_matrix, user_power: float) -> NDArray[np.float64]:
    """Weighted counts [w, w] of users that two items have in common."""
    columns = train.astype(np.float64)
    if user_power:
        sizes = np.maximum(np.asarray(columns.sum(axis=1)).ravel(), 1)  # [users]
        columns = columns.multiply(((sizes / sizes.mean()) ** (-user_power / 2))[:, None]).tocsr()
    gram: NDArray[np.float64] = (columns.T @ columns).toarray(order="F")  # [w, users] @ [users, w]
    return gram
