"""Matrix factorisation by alternating least squares, with the library `implicit`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.errors import MissingExtra
from mmrec.evaluate.baselines.base import Baseline, Grid
from mmrec.threads import cores

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(kw_only=True)
class ALS(Baseline):
    """Weighted factors of users and items; a user's are solved from the history when they are asked for.

    Source: Hu, Koren & Volinsky 2008, Collaborative filtering for implicit feedback datasets.

    Args:
        factors: length of a user's and of an item's vector.
        regularization: weight of their squared norms.
        alpha: weight of an interaction, against 1 of its absence.
        iterations: how often users and items are solved in turn.
        seed: of the first factors; the same seed gives the same scores.
        num_threads: None takes the cores that this process may use.
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

    def _learn(self, train: csr_matrix, _: Vectors, /) -> None:
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

    def _rank(self, histories: csr_matrix, /) -> Vectors:
        return self.user_factors(histories) @ self.item_factors().T  # [u, f] @ [f, items] -> [u, items]


def _library() -> tuple[Any, Any]:
    """The module with the model, and what limits the threads of BLAS meanwhile."""
    try:
        import implicit.als
        import threadpoolctl
    except ImportError as error:
        raise MissingExtra(
            f"ALS needs a package that is not installed ({error.name}): pip install 'mmrec[evaluate]'"
        ) from None
    return implicit.als, threadpoolctl.threadpool_limits
