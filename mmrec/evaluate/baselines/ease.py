"""EASE: all items of training against each other, in closed form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.evaluate.baselines.base import Baseline, Grid
from mmrec.head import closed_form

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_ITEMS = 20_000  # of training


@dataclass(kw_only=True)
class EASE(Baseline):
    """Each item's column as a linear regression on all others, in one matrix inversion.

    Source: Steck 2019, Embarrassingly shallow autoencoders for sparse data, eq. 8.

    Args:
        l2: weight of the squared norm of the regressions; more of it for fewer users.
    """

    name: str = "EASE"
    l2: float = 500.0
    grid: ClassVar[Grid] = tuple({"l2": l2} for l2 in (10.0, 50.0, 100.0, 250.0, 500.0, 1000.0))
    _warm: NDArray[np.intp] = field(init=False, repr=False)  # [w], items with interactions
    _weights: Vectors = field(init=False, repr=False)  # [w, w]

    def _learn(self, train: csr_matrix, _: Vectors, /) -> None:
        self._warm, self._weights = regressions(train, self.l2)

    def _rank(self, histories: csr_matrix, /) -> Vectors:
        scores = np.zeros(histories.shape, np.float32)  # [u, items], 0 for an item without users
        scores[:, self._warm] = histories[:, self._warm] @ self._weights  # [u, w] @ [w, w] -> [u, w]
        return scores


def regressions(train: csr_matrix, l2: float) -> tuple[NDArray[np.intp], Vectors]:
    """Items with users [w] and EASE's weights B [w, w] between them; those of all other items would be 0.

    Raises:
        DataError: there are too many such items, or l2 is too small for them.
    """
    warm = np.unique(train.indices[train.data != 0]).astype(np.intp)
    if len(warm) > MOST_ITEMS:
        raise DataError(
            f"EASE inverts a dense matrix of all items in training: {len(warm)} of them take"
            f" {12e-9 * len(warm) ** 2:.1f} GB and more, and it takes at most {MOST_ITEMS}."
            " Use ALS, DropoutNet or ItemKNN, which stay small"
        )
    return warm, closed_form.regressions(train[:, warm], l2)
