"""The content tower: a kernel ridge on the likeness of items' fields.

It carries what behaviour taught about chosen items over to items that nobody has chosen. Each field has a
kernel of its own, an absent one says nothing, and the weighted mean of what both items have is squared, so
that items alike in two fields at once count for more than items alike in one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors, unit

F = TypeVar("F", np.float32, np.float64)
Spans = Mapping[str, slice]  # where each field lies in the content
REDUCED = 128  # numbers of a field at most, of a catalogue of which some items are landmarks
_BLOCK = 2048  # items whose likeness to all landmarks is held at once
_CACHED = 64  # of these, likenesses of which are worked on while they are in the processor's cache


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


class Reduction(NamedTuple):
    """Each wide field along the directions in which it varies most, where likenesses are counted by millions.

    Attributes:
        directions: of all fields [c, r].
        spans: where each field lies then.
        widths: of the kernel, for these.
    """

    directions: Vectors
    spans: Spans
    widths: Mapping[str, float]

    @classmethod
    def of(cls, kernel: FieldKernel, content: Vectors) -> Reduction:
        """To at most `REDUCED` numbers of each field, those in which these items [n, c] vary most."""
        found, spans, end = np.zeros((content.shape[1], content.shape[1]), np.float32), {}, 0
        for name, span in kernel.spans.items():
            x = unit(content[:, span])
            width = min(REDUCED, x.shape[1])
            main = np.linalg.eigh(x.T @ x)[1][:, -width:] if width < x.shape[1] else np.eye(width)
            spans[name] = slice(end, end + width)
            found[span, spans[name]], end = main, end + width
        directions = np.ascontiguousarray(found[:, :end])
        return cls(directions, spans, FieldKernel.of(content @ directions, spans).widths)

    def __call__(self, content: Vectors, whole: Spans) -> Vectors:
        """Reduced content [n, r] of content [n, c], whose fields lie at the spans `whole`, field by field."""
        return np.hstack([content[:, whole[n]] @ self.directions[whole[n], s] for n, s in self.spans.items()])

    def kernel(self, whole: FieldKernel) -> FieldKernel:
        """The same kernel of reduced content."""
        return replace(whole, spans=self.spans, widths=self.widths)


@dataclass(frozen=True)
class Smoother:
    """A kernel ridge from content to targets, on some items as landmarks.

    Attributes:
        landmarks: their content, reduced if there is a reduction [m, c or r].
        coefficients: [m, t].
    """

    kernel: FieldKernel
    landmarks: Vectors
    coefficients: Vectors
    reduction: Reduction | None = None

    def __call__(self, content: Vectors) -> Vectors:
        """Targets [n, t] of items [n, c]."""
        rows, kernel = np.empty((len(content), self.coefficients.shape[1]), np.float32), self.kernel
        if self.reduction:
            content, kernel = self.reduction(content, kernel.spans), self.reduction.kernel(kernel)
        for start in range(0, len(content), _BLOCK):
            block = content[start : start + _BLOCK]
            rows[start : start + _BLOCK] = kernel(block, self.landmarks) @ self.coefficients
        return rows


def smoothed(
    kernel: FieldKernel, content: Vectors, targets: Vectors, ridge: float, most: int, rng: np.random.Generator
) -> tuple[Smoother, Vectors]:
    """The smoother of items [n, c] with targets [n, t], and the leave-one-out prediction of these targets.

    With at most `most` items it is the exact kernel ridge; with more, so many of them drawn at random are
    landmarks, and wide fields are reduced. The leave-one-out predictions are exact in both cases.

    Source: Saunders, Gammerman & Vovk 1998 (kernel ridge); Rasmussen & Williams 2006, sect. 8.3.1 (subset of
    regressors); leave-one-out residual = residual / (1 - leverage).
    """
    if len(content) <= most:
        coefficients, predicted = exact_ridge(kernel(content, content), targets, ridge)
        return Smoother(kernel, content, coefficients), predicted
    some = np.sort(rng.choice(len(content), most, replace=False))
    if max((span.stop - span.start for span in kernel.spans.values()), default=0) <= REDUCED:
        coefficients, predicted = _landmark_ridge(kernel, content, content[some], targets, ridge)
        return Smoother(kernel, content[some], coefficients), predicted
    reduction = Reduction.of(kernel, content[some])
    reduced = reduction(content, kernel.spans)
    coefficients, predicted = _landmark_ridge(
        reduction.kernel(kernel), reduced, reduced[some], targets, ridge
    )
    return Smoother(kernel, reduced[some], coefficients, reduction), predicted


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
