"""What is learned in closed form: items regressed on each other, and the content tower.

The regressions, cut to their strongest factors, are the linear part of a head. The content tower carries what
behaviour taught about chosen items over to items that nobody has chosen: a kernel ridge on the likeness of
their fields. Each field has a kernel of its own, an absent one says nothing, and the weighted mean of what
both items have is squared, so that items alike in two fields at once count for more than items alike in one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Spans = Mapping[str, slice]  # where each field lies in the content
F = TypeVar("F", np.float32, np.float64)
_BLOCK = 2048  # items whose likeness to all landmarks is held at once
_CACHED = 64  # of these, likenesses of which are worked on while they are in the processor's cache


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


@dataclass(frozen=True)
class FieldKernel:
    """Likeness of items by their content [n, c].

    Attributes:
        weights: of each field in the mean.
        widths: squared distance of each field's unit features at which its kernel has fallen to 1/e.
    """

    spans: Spans
    weights: Mapping[str, float]
    widths: Mapping[str, float]

    @classmethod
    def of(cls, content: Vectors, spans: Spans, weights: Mapping[str, float] | None = None) -> FieldKernel:
        """A kernel whose widths are the median squared distances of these items [n, c]."""
        widths = {name: _median_distance(content[:, span]) for name, span in spans.items()}
        return cls(spans, dict.fromkeys(spans, 1.0) | dict(weights or {}), widths)

    def __call__(self, left: Vectors, right: Vectors) -> Vectors:
        """Likeness [n, m] of items [n, c] and [m, c], in [0, 1]; 0 to an item without any field."""
        return self.mixed(self.by_field(left, right), left, right)

    def by_field(self, left: Vectors, right: Vectors) -> Iterator[tuple[str, Vectors]]:
        """Each field's own likeness [n, m], one after the other; 0 where one of both lacks the field."""
        for name, span in self.spans.items():
            if self.weights[name] > 0:
                yield name, _rbf(left[:, span], right[:, span], self.widths[name])

    def mixed(self, parts: Iterable[tuple[str, Vectors]], left: Vectors, right: Vectors) -> Vectors:
        """The squared weighted mean [n, m] of fields' likenesses, over the fields that both items have."""
        total = np.zeros((len(left), len(right)), np.float32)
        for name, part in parts:
            total += part if self.weights[name] == 1 else np.float32(self.weights[name]) * part
        total /= self._norms(left)[:, None]
        total /= self._norms(right)
        return np.square(total, out=total)

    def _norms(self, content: Vectors) -> Vectors:
        """Root of the summed weights of the fields that each item has, [n]; 1 if it has none."""
        sums = np.zeros(len(content), np.float32)
        for name, span in self.spans.items():
            sums += np.float32(self.weights[name]) * content[:, span].any(axis=1)
        return np.sqrt(np.where(sums > 0, sums, np.float32(1)))


@dataclass(frozen=True)
class Smoother:
    """A kernel ridge from content to targets, on some items as landmarks."""

    kernel: FieldKernel
    landmarks: Vectors  # [m, c]
    coefficients: Vectors  # [m, t]

    def __call__(self, content: Vectors) -> Vectors:
        """Targets [n, t] of items [n, c]."""
        rows = np.empty((len(content), self.coefficients.shape[1]), np.float32)
        for start in range(0, len(content), _BLOCK):
            block = content[start : start + _BLOCK]
            rows[start : start + _BLOCK] = self.kernel(block, self.landmarks) @ self.coefficients
        return rows


def smoothed(
    kernel: FieldKernel, content: Vectors, targets: Vectors, ridge: float, most: int, rng: np.random.Generator
) -> tuple[Smoother, Vectors]:
    """The smoother of items [n, c] with targets [n, t], and the leave-one-out prediction of these targets.

    With at most `most` items it is the exact kernel ridge; with more, so many of them drawn at random are
    landmarks. The leave-one-out predictions are exact in both cases.

    Source: Saunders, Gammerman & Vovk 1998 (kernel ridge); Rasmussen & Williams 2006, sect. 8.3.1 (subset of
    regressors); leave-one-out residual = residual / (1 - leverage).
    """
    if len(content) <= most:
        coefficients, predicted = exact_ridge(kernel(content, content), targets, ridge)
        return Smoother(kernel, content, coefficients), predicted
    landmarks = content[np.sort(rng.choice(len(content), most, replace=False))]
    coefficients, predicted = _landmark_ridge(kernel, content, landmarks, targets, ridge)
    return Smoother(kernel, landmarks, coefficients), predicted


def exact_ridge(gram: Vectors, targets: Vectors, ridge: float) -> tuple[Vectors, Vectors]:
    """Coefficients [n, t], and leave-one-out predictions [n, t], from likenesses [n, n]."""
    inverse = _inverse(gram.astype(np.float64) + ridge * np.eye(len(gram)))
    coefficients = inverse @ targets  # [n, n] @ [n, t]
    predicted = targets - coefficients / np.diag(inverse)[:, None]
    return coefficients.astype(np.float32), predicted.astype(np.float32)


def folds_left_out(
    gram: Vectors, targets: Vectors, ridge: float, folds: Sequence[NDArray[np.intp]]
) -> list[Vectors]:
    """Predictions [f, t] for the items of each fold from those of all other folds, by one inverse.

    Source: Golub, Heath & Wahba 1979 for one item left out; for several, the same by a block of the inverse.
    """
    inverse = _inverse(gram + np.float32(ridge) * np.eye(len(gram), dtype=np.float32))  # float32: for choices
    coefficients = inverse @ targets  # [n, n] @ [n, t]
    return [
        (targets[fold] - np.linalg.solve(inverse[np.ix_(fold, fold)], coefficients[fold])).astype(np.float32)
        for fold in folds
    ]


def _landmark_ridge(
    kernel: FieldKernel, content: Vectors, landmarks: Vectors, targets: Vectors, ridge: float
) -> tuple[Vectors, Vectors]:
    within = kernel(landmarks, landmarks).astype(np.float64)  # [m, m]
    within[np.diag_indices_from(within)] += 1e-6  # equal items make it singular
    normal = ridge * within
    right = np.zeros((len(landmarks), targets.shape[1]))
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(content), _BLOCK)]
    for block in blocks:
        x = kernel(content[block], landmarks).astype(np.float64)  # [b, m]
        normal += x.T @ x
        right += x.T @ targets[block]
    inverse = _inverse(normal)
    coefficients = inverse @ right  # [m, m] @ [m, t]
    predicted = np.empty(targets.shape, np.float32)
    for block in blocks:
        x = kernel(content[block], landmarks).astype(np.float64)
        leverage = np.minimum(np.einsum("bm,mk,bk->b", x, inverse, x, optimize=True), 1 - 1e-6)
        residual = targets[block] - x @ coefficients  # [b, t]
        predicted[block] = targets[block] - residual / (1 - leverage)[:, None]
    return coefficients.astype(np.float32), predicted


def _inverse(matrix: NDArray[F]) -> NDArray[F]:
    """Of a symmetric positive definite matrix [n, n]."""
    from scipy.linalg import get_lapack_funcs

    factor, invert = get_lapack_funcs(("potrf", "potri"), (matrix,))
    inverse, _ = invert(factor(matrix, lower=True)[0], lower=True)  # its lower half; the upper one is 0
    full: NDArray[F] = inverse + inverse.T
    full[np.diag_indices_from(full)] /= 2
    return full


def _rbf(left: Vectors, right: Vectors, width: float) -> Vectors:
    """exp(-d² / width) [n, m] of the unit features of one field; 0 where one of both is absent."""
    steep = np.float32(2 / width)
    features, others = steep * unit(left), unit(right).T
    likeness = np.empty((len(left), len(right)), np.float32)
    for start in range(0, len(left), _CACHED):
        block = slice(start, start + _CACHED)
        part = np.matmul(features[block], others, out=likeness[block])  # [b, e] @ [e, m]
        part -= steep
        np.exp(part, out=part)
    likeness[~left.any(axis=1)] = 0
    likeness[:, ~right.any(axis=1)] = 0
    return likeness


def _median_distance(features: Vectors, most: int = 1_000) -> float:
    """Median squared distance of pairs of items that have the field, of evenly spaced ones if many."""
    from scipy.spatial.distance import pdist

    filled = unit(features[features.any(axis=1)])
    pairs = pdist(filled[:: -(-len(filled) // most) or 1], "sqeuclidean")
    median = float(np.median(pairs)) if len(pairs) else 0.0
    return median if median > 0.1 else 1.0  # few values that most items share say nothing of a scale
