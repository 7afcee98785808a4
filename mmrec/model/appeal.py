"""How much items are liked by those who met them: likes against refusals, for new items by their content.

How often an item is chosen says as much of how often it was shown as of how it is liked. Of those who met it,
some chose it and some refused it, and their share does not grow with the display.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors

Counts = NDArray[np.float64]

PRIOR = 10.0  # votes that what content predicts of an item counts for beside its own
RIDGE = 5.0  # of the regression on content, in votes
MOST = 50_000  # items with most votes that the regression is learned from


class Appeal(NamedTuple):
    """What content predicts of an item's appeal, linearly; in deviations of the appeal of items with votes.

    Attributes:
        weights: of the content [c].
        centre: is subtracted.
    """

    weights: Vectors
    centre: float

    def __call__(self, content: Vectors) -> Vectors:
        """Of items by their content [n, c]: [n]."""
        predicted: Vectors = content @ self.weights - np.float32(self.centre)
        return predicted

    @classmethod
    def none(cls, c: int) -> Appeal:
        """All items alike, for content of c numbers."""
        return cls(np.zeros(c, np.float32), 0.0)


def appeal_of(liked: Counts, refused: Counts, content: Vectors) -> tuple[Appeal, Vectors]:
    """What content predicts, and the appeal of each item [n]: its own share of likes, shrunken to that.

    Args:
        liked, refused: votes of each item [n], such as numbers of users.
        content: [n, c].

    Source: Efron & Morris 1975, Data analysis using Stein's estimator; the prior mean is a ridge regression.
    """
    votes = liked + refused
    surplus = liked - votes * (liked.sum() / max(votes.sum(), 1.0))  # likes beyond those of an average item
    known = np.argsort(-votes, kind="stable")[:MOST]
    known = known[votes[known] > 0]
    if len(known) < 2:
        return Appeal.none(content.shape[1]), np.zeros(len(content), np.float32)
    mean = np.average(content[known], axis=0, weights=votes[known]).astype(np.float32)  # [c]
    weights = _ridge(content[known] - mean, votes[known], surplus[known])
    appeal = Appeal(weights, float(mean @ weights))
    own = (surplus + PRIOR * appeal(content)) / (votes + PRIOR)
    deviation = float(own[known].std()) or 1.0
    scaled = Appeal(weights / np.float32(deviation), appeal.centre / deviation)
    return scaled, (own / deviation).astype(np.float32)


def _ridge(x: Vectors, votes: Counts, surplus: Counts) -> Vectors:
    """Weights [c] by which x [n, c] predicts the surplus of a vote [n], where each item weighs its votes."""
    from scipy.linalg import solve

    root = np.sqrt(votes).astype(np.float32)
    rows, wanted = x * root[:, None], (surplus / root).astype(np.float32)  # [n, c], [n]
    n, c = rows.shape
    if n < c:
        dual = solve(rows @ rows.T + RIDGE * np.eye(n, dtype=np.float32), wanted, assume_a="pos")
        return np.asarray(rows.T @ dual, np.float32)
    gram = rows.T @ rows + RIDGE * np.eye(c, dtype=np.float32)
    return np.asarray(solve(gram, rows.T @ wanted, assume_a="pos"), np.float32)
