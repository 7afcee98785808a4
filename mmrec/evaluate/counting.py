"""What every baseline shares, and those that count or compare: popularity, nearest neighbours, and EASE."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.errors import DataError
from mmrec.model import closed_form

if TYPE_CHECKING:
    from scipy.sparse import csc_matrix, csr_matrix

Grid = Sequence[Mapping[str, Any]]
Watch = Callable[[Mapping[str, Any]], None]
MOST_ITEMS = 20_000  # of training, for EASE
_BLOCK = 1024  # items whose similarities to all others are held at once


@dataclass(kw_only=True)
class Baseline(ABC):
    """A model whose fields are its hyper-parameters.

    It knows a user by a history alone, so that unseen users are ordinary.

    Attributes:
        grid: settings to try on validation; six for every baseline that has any.
        watch: called with the progress of `fit`, by models that report it.
    """

    name: str = "baseline"
    grid: ClassVar[Grid]
    watch: Watch | None = field(default=None, init=False, repr=False)

    @abstractmethod
    def fit(self, train: csr_matrix, content: Vectors, /) -> None:
        """Learns from histories [users, items] and the items' content [items, c] (cold ones included)."""

    @abstractmethod
    def score(self, histories: csr_matrix, /) -> Vectors:
        """Scores [u, items] of all items for u histories; higher is better."""


@dataclass(kw_only=True)
class Popularity(Baseline):
    """The number of users who chose an item, the same for everyone."""

    name: str = "popularity"
    grid: ClassVar[Grid] = ({},)
    _counts: Vectors = field(init=False, repr=False)  # [items]

    def fit(self, train: csr_matrix, _: Vectors, /) -> None:
        """Counts each item's users."""
        self._counts = np.asarray(train.sum(axis=0)).ravel()

    def score(self, histories: csr_matrix, /) -> Vectors:
        """The counts, for each user [u, items]."""
        return np.tile(self._counts, (histories.shape[0], 1))  # [items] -> [u, items]


@dataclass(kw_only=True)
class ContentKNN(Baseline):
    """Cosine of an item's content with the mean content of the history; it learns nothing from behaviour.

    Args:
        neighbours: compare an item only with this many that are nearest to it; None with the mean of all.
        centre: subtract the mean of all content first.
    """

    name: str = "content kNN"
    neighbours: int | None = None
    centre: bool = False
    grid: ClassVar[Grid] = tuple(
        {"neighbours": n, "centre": centre} for n in (None, 20, 100) for centre in (False, True)
    )
    _content: Vectors = field(init=False, repr=False)  # [items, c], unit rows
    _similar: csc_matrix = field(init=False, repr=False)  # [items, items], where there are neighbours

    def fit(self, _: csr_matrix, content: Vectors, /) -> None:
        """Keeps the content, and each item's nearest others if only these count."""
        x = self._content = unit(_centred(content) if self.centre else content)
        if self.neighbours is not None:
            # [items, c] @ [c, b] -> [items, b]
            self._similar = _nearest(lambda block: x @ x[block].T, len(x), self.neighbours)

    def score(self, histories: csr_matrix, /) -> Vectors:
        """Cosines with the history's content [u, items]."""
        if self.neighbours is not None:
            return (histories @ self._similar).toarray()
        return unit(histories @ self._content) @ self._content.T  # [u, items] @ [items, c] @ [c, items]


@dataclass(kw_only=True)
class ItemKNN(Baseline):
    """Sum of an item's similarities to the items of the history, by the users that two items share.

    Similarity of two items is their cosine over users, a . b / (|a| |b| + shrinkage).

    Source: Deshpande & Karypis 2004, Item-based top-N recommendation algorithms.

    Args:
        neighbours: how many of the items nearest to an item count for it.
        shrinkage: lowers the similarities of items that few users have chosen.
    """

    name: str = "item kNN"
    neighbours: int = 100
    shrinkage: float = 10.0
    grid: ClassVar[Grid] = tuple(
        {"neighbours": n, "shrinkage": shrinkage} for n in (30, 100, 300) for shrinkage in (0.0, 30.0)
    )
    _similar: csc_matrix = field(init=False, repr=False)  # [items, items]

    def fit(self, train: csr_matrix, _: Vectors, /) -> None:
        """Finds each item's nearest others."""
        columns = train.tocsc()
        norms = np.sqrt(np.asarray(columns.power(2).sum(axis=0)).ravel())  # [items]

        def cosines(block: slice) -> Vectors:
            shared = (columns.T @ columns[:, block]).toarray()  # [items, b]
            scale = np.outer(norms, norms[block])  # [items, b]
            return np.divide(shared, scale + self.shrinkage, out=shared, where=scale > 0)

        self._similar = _nearest(cosines, len(norms), self.neighbours)

    def score(self, histories: csr_matrix, /) -> Vectors:
        """Sums of similarities [u, items]."""
        return (histories @ self._similar).toarray()


@dataclass(kw_only=True)
class EASE(Baseline):
    """Each item's column as a linear regression on all others, in one matrix inversion.

    Source: Steck 2019, Embarrassingly shallow autoencoders for sparse data, eq. 8.

    Args:
        l2: weight of the squared norm of the regressions; fewer users need a greater one.
    """

    name: str = "EASE"
    l2: float = 500.0
    grid: ClassVar[Grid] = tuple({"l2": l2} for l2 in (10.0, 50.0, 100.0, 250.0, 500.0, 1000.0))
    _warm: NDArray[np.intp] = field(init=False, repr=False)  # [w], items with interactions
    _weights: Vectors = field(init=False, repr=False)  # [w, w]

    def fit(self, train: csr_matrix, _: Vectors, /) -> None:
        """Solves the regressions."""
        self._warm, self._weights = regressions(train, self.l2)

    def score(self, histories: csr_matrix, /) -> Vectors:
        """Predictions of the regressions [u, items]."""
        scores = np.zeros(histories.shape, np.float32)  # [u, items], 0 for an item without users
        scores[:, self._warm] = histories[:, self._warm] @ self._weights  # [u, w] @ [w, w] -> [u, w]
        return scores


def regressions(train: csr_matrix, l2: float) -> tuple[NDArray[np.intp], Vectors]:
    """Items with users [w] and EASE's weights [w, w] between them; those of all other items would be 0.

    Raises:
        DataError: there are too many such items, or l2 is too small for them.
    """
    warm = np.unique(train.indices[train.data != 0]).astype(np.intp)
    if len(warm) > MOST_ITEMS:
        raise DataError(
            f"EASE inverts a dense matrix of all items in training: {len(warm)} of them take"
            f" {12e-9 * len(warm) ** 2:.1f} GB and more, and it takes at most {MOST_ITEMS}."
            " Use ALS or ItemKNN, which stay small"
        )
    return warm, closed_form.regressions(train[:, warm], l2)


def _nearest(similarities: Callable[[slice], Vectors], n: int, neighbours: int) -> csc_matrix:
    """Similarities [n, n] of each item (a column) to its nearest others, the positive ones alone."""
    from scipy.sparse import csc_matrix, hstack

    blocks = []
    for start in range(0, n, _BLOCK):
        block = similarities(slice(start, start + _BLOCK))  # [n, b]
        width = np.arange(block.shape[1])
        block[start + width, width] = 0  # an item is not its own neighbour
        best = np.argpartition(-block, min(neighbours, n) - 1, axis=0)[:neighbours]  # [k, b]
        values = np.maximum(np.take_along_axis(block, best, axis=0), 0)  # [k, b]
        places = (best.ravel(), np.broadcast_to(width, best.shape).ravel())  # [k, b] -> [k * b] each
        blocks.append(csc_matrix((values.ravel(), places), shape=block.shape))
    similar = hstack(blocks, format="csc")
    similar.eliminate_zeros()
    return similar


def _centred(content: Vectors) -> Vectors:
    """Content less the mean of the items that have any; an item without content stays at zero."""
    filled = np.linalg.norm(content, axis=1, keepdims=True) > 0  # [items, 1]
    centred: Vectors = (content - content.sum(axis=0) / max(filled.sum(), 1)) * filled
    return centred
