"""What all baselines share: hyper-parameters by name, a grid to choose them from, and checked shapes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError, NotFitted

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Grid = Sequence[Mapping[str, Any]]


@dataclass(kw_only=True)
class Baseline(ABC):
    """A `Model` whose fields are its hyper-parameters.

    Attributes:
        name: what tables call it.
        grid: settings to try on validation; six for every baseline that has any.
    """

    name: str = "baseline"
    grid: ClassVar[Grid]
    _items: int = field(default=0, init=False, repr=False)  # 0 before `fit`

    def fit(self, train: csr_matrix, content: Vectors) -> None:
        """Learns from histories [users, items] and the items' content [items, c] (cold ones included).

        Raises:
            DataError: train and content are not of the same items, or there is nothing to learn from.
        """
        if train.shape[1] != len(content):
            raise DataError(f"training has {train.shape[1]} items, content {len(content)}: give both of all")
        if not train.nnz:
            raise DataError(f"training has no interaction: {self.name} has nothing to learn from")
        if not np.isfinite(content).all():
            raise DataError("content holds a value that is not finite: an absent field is a row of zeros")
        self._learn(train.astype(np.float32), content)
        self._items = train.shape[1]

    def score(self, histories: csr_matrix) -> Vectors:
        """Scores [u, items] of all items for u histories; higher is better.

        Raises:
            NotFitted: `fit` has not run.
            DataError: the histories are not of the items of `fit`.
        """
        if not self._items:
            raise NotFitted(f"{self.name} has learned nothing yet: call fit(train, content) first")
        if histories.shape[1] != self._items:
            raise DataError(f"histories have {histories.shape[1]} items, {self.name} knows {self._items}")
        return self._rank(histories.astype(np.float32))

    @abstractmethod
    def _learn(self, train: csr_matrix, content: Vectors, /) -> None: ...

    @abstractmethod
    def _rank(self, histories: csr_matrix, /) -> Vectors: ...
