"""Recommenders that a trained head must beat, by name, and those of them that learn factors.

A further baseline is registered in `BASELINES`, and takes part in every contest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.errors import MissingExtra
from mmrec.evaluate.counting import EASE, Baseline, ContentKNN, Grid, ItemKNN, Popularity, regressions
from mmrec.model.closed_form import truncated_svd
from mmrec.threads import cores

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = [
    "ALS", "BASELINES", "EASE", "Baseline", "ContentKNN", "ContentRidge", "Grid", "ItemKNN", "Popularity",
]


@dataclass(kw_only=True)
class ALS(Baseline):
    """Weighted matrix factorisation; a user's factors are solved from the history at each request.

    Source: Hu, Koren & Volinsky 2008, Collaborative filtering for implicit feedback datasets.

    Args:
        factors: length of a user's and of an item's vector.
        regularization: weight of their squared norms.
        alpha: weight of an interaction, against 1 of its absence.
        iterations: how often users and items are solved in turn.
        num_threads: None takes all cores that this process may use.
    """

    name: str = "ALS"
    factors: int = 128
    regularization: float = 10.0
    alpha: float = 5.0
    iterations: int = 12
    seed: int = 0
    num_threads: int | None = None
    grid: ClassVar[Grid] = tuple(
        {"alpha": alpha, "regularization": reg} for alpha in (1.0, 5.0) for reg in (5.0, 20.0, 60.0)
    )
    _als: Any = field(init=False, repr=False)

    def fit(self, train: csr_matrix, _: Vectors, /) -> None:
        """Solves users and items in turn."""
        implicit, limits = _library()
        with limits(1, "blas"):  # its own threads and those of BLAS would fight for the cores
            self._als = implicit.AlternatingLeastSquares(
                factors=self.factors, regularization=self.regularization, alpha=self.alpha,
                iterations=self.iterations, use_gpu=False, num_threads=self.num_threads or cores(),
                random_state=self.seed,
            )
            self._als.fit(train, show_progress=False)

    def item_factors(self) -> Vectors:
        """Factors of all items [items, f]; zeros for those without interactions."""
        factors: Vectors = self._als.item_factors
        return factors

    def user_factors(self, histories: csr_matrix) -> Vectors:
        """Factors of users [u, f] from their histories [u, items]."""
        with _library()[1](1, "blas"):
            factors: Vectors = self._als.recalculate_user(np.arange(histories.shape[0]), histories)
        return factors

    def score(self, histories: csr_matrix, /) -> Vectors:
        """Inner products of factors [u, items]."""
        return self.user_factors(histories) @ self.item_factors().T  # [u, f] @ [f, items] -> [u, items]


def _library() -> tuple[Any, Any]:
    """implicit's module of ALS, and threadpoolctl's limiter of threads."""
    try:
        import implicit.als
        import threadpoolctl
    except ImportError as error:
        raise MissingExtra(
            f"ALS needs a package that is not installed ({error.name}): pip install 'mmrec[evaluate]'"
        ) from None
    return implicit.als, threadpoolctl.threadpool_limits


@dataclass(kw_only=True)
class ContentRidge(Baseline):
    """EASE for warm items; of a cold item the content predicts what EASE's factors would be.

    EASE's weights are cut to their strongest factors, B = U S V'. A kernel ridge learns V of the warm items
    from their content and predicts it for the cold ones; a history is scored against them through its U S.

    Args:
        l2: as of `EASE`.
        factors: how many singular vectors of EASE's weights are kept.
        blend: each user's scores of warm and of cold items are brought, separately, to mean 0 and deviation
            1, and those of the cold ones multiplied by this.
    """

    name: str = "content ridge"
    l2: float = 500.0
    factors: int = 128
    blend: float = 1.5
    grid: ClassVar[Grid] = tuple(
        {"l2": l2, "blend": blend} for l2 in (50.0, 500.0) for blend in (1.5, 2.0, 2.5)
    )
    _warm: NDArray[np.intp] = field(init=False, repr=False)  # [w]
    _cold: NDArray[np.intp] = field(init=False, repr=False)  # [items - w]
    _weights: Vectors = field(init=False, repr=False)  # [w, w]
    _inputs: Vectors = field(init=False, repr=False)  # [w, f], U S: factors of the items of a history
    _outputs: Vectors = field(init=False, repr=False)  # [items - w, f], V as predicted for cold items

    def fit(self, train: csr_matrix, content: Vectors, /) -> None:
        """Solves EASE, and what its factors of cold items would be."""
        self._warm, self._weights = regressions(train, self.l2)
        self._cold = np.setdiff1d(np.arange(len(content)), self._warm)
        self._inputs, outputs = truncated_svd(self._weights, self.factors)
        filled = unit(content)
        self._outputs = kernel_ridge(filled[self._warm], outputs, filled[self._cold])

    def score(self, histories: csr_matrix, /) -> Vectors:
        """Scores of warm and cold items, each brought to one scale [u, items]."""
        known = histories[:, self._warm]  # [u, w]
        warm = known @ self._weights  # [u, w] @ [w, w] -> [u, w]
        cold = (known @ self._inputs) @ self._outputs.T  # [u, w] @ [w, f] @ [f, items - w] -> [u, items - w]
        unseen = np.ones(histories.shape, np.bool_)  # [u, items]
        unseen[histories.nonzero()] = False  # what is never ranked does not move the mean
        scores = np.empty(histories.shape, np.float32)  # [u, items]
        scores[:, self._warm] = _standardised(warm, unseen[:, self._warm])
        scores[:, self._cold] = self.blend * _standardised(cold, unseen[:, self._cold])
        return scores


BASELINES: dict[str, type[Baseline]] = {
    make.name: make for make in (Popularity, ContentKNN, ItemKNN, EASE, ALS, ContentRidge)
}


def kernel_ridge(known: Vectors, targets: Vectors, new: Vectors) -> Vectors:
    """Targets [m, f] of new points [m, c], by ridge regression on known ones ([n, c], targets [n, f]).

    The kernel is exp(-distance² / median distance²), the penalty 1.

    Source: the median heuristic, Garreau, Jitkrittum & Kanagawa 2017.
    """
    from sklearn.kernel_ridge import KernelRidge

    if not len(new):
        return np.empty((0, targets.shape[1]), np.float32)
    ridge = KernelRidge(kernel="rbf", gamma=1 / _median_distance(known))
    return ridge.fit(known, targets).predict(new)  # in float32, which halves the memory of [n, n] products


def _median_distance(points: Vectors, most: int = 1_000) -> float:
    """Median squared distance of pairs of points [n, c], of evenly spaced ones if there are many."""
    from scipy.spatial.distance import pdist

    pairs = pdist(points[:: -(-len(points) // most)], "sqeuclidean")
    median = float(np.median(pairs)) if len(pairs) else 0.0
    return median if median > 1e-9 else 1.0  # one point, or all alike


def _standardised(scores: Vectors, counted: NDArray[np.bool_]) -> Vectors:
    """Each user's scores [u, n] at mean 0 and deviation 1 over the counted ones [u, n]."""
    n = np.maximum(counted.sum(axis=1, keepdims=True), 1)  # [u, 1]
    mean = scores.sum(axis=1, keepdims=True, where=counted) / n  # [u, 1]
    spread = np.sqrt(np.square(scores - mean).sum(axis=1, keepdims=True, where=counted) / n)  # [u, 1]
    return (scores - mean) / np.where(spread > 0, spread, 1)
