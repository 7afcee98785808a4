"""What behaviour says of the items that somebody chose: the linear half and the contrastive half together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.head.closed_form import regressions
from mmrec.head.contrastive import Learned, Recipe, Watch, learn
from mmrec.head.svd import truncated_svd

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, slots=True)
class Settings:
    """What a head is learned with.

    Attributes:
        rank: of the linear half, r.
        l2: as of `regressions`.
        dropout: the same.
        user_power: the same.
        most_regressed: the linear half is that of so many items at most, the most chosen ones.
        recipe: of the contrastive half.
        ridge: of the content tower.
        landmarks: of the content tower, at most.
    """

    rank: int = 256
    l2: float = 500.0
    dropout: float = 0.3
    user_power: float = 0.5
    most_regressed: int = 8_000
    recipe: Recipe = field(default_factory=Recipe)
    ridge: float = 0.15
    landmarks: int = 4_096


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Both halves, of the n items that somebody chose.

    Attributes:
        given: what an item of a history says to the linear half [n, r].
        taken: what an item of the linear half listens to [n, r].
        learned: the contrastive half.
        counts: users of each item [n].
    """

    given: Vectors
    taken: Vectors
    learned: Learned
    counts: NDArray[np.float32]

    @property
    def targets(self) -> Vectors:
        """All that the content tower shall predict of an item, side by side [n, 2r + 2h + 1]."""
        one = self.learned
        return np.hstack([self.given, self.taken, one.given, one.taken, one.bias[:, None]])

    @property
    def dims(self) -> tuple[int, int]:
        """Widths r and h of the halves."""
        return self.given.shape[1], self.learned.given.shape[1]


def behaviour_of(
    train: csr_matrix, settings: Settings, *, seed: int, start: Learned | None = None,
    device: str | None = None, watch: Watch | None = None,
) -> Behaviour:
    """Learns both halves from histories [users, n] of items that all have users."""
    counts = np.asarray(train.sum(axis=0), np.float32).ravel()
    given, taken = _linear(train, counts, settings)
    learned = learn(train, settings.recipe, seed=seed, start=start, device=device, watch=watch)
    return Behaviour(given, taken, learned, counts)


def _linear(train: csr_matrix, counts: Vectors, settings: Settings) -> tuple[Vectors, Vectors]:
    """Factors [n, r] of the regressions; zeros for items beyond the most chosen ones."""
    chosen = np.sort(np.argsort(-counts, kind="stable")[: settings.most_regressed])
    weights = regressions(
        train[:, chosen], settings.l2, dropout=settings.dropout, user_power=settings.user_power
    )
    given, taken = np.zeros((2, len(counts), settings.rank), np.float32)
    left, right = truncated_svd(weights, settings.rank)
    given[chosen, : left.shape[1]], taken[chosen, : right.shape[1]] = left, right
    return given, taken
