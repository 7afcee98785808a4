"""What a log betrays of how often items were shown, and what a choice of each item weighs then.

An item that a shop shows often is chosen often, liked or not. Dislikes tell both apart: if what is chosen
often is also disliked often, it was shown often; if it is disliked no more than the rest, it is chosen
because it is liked.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmrec.evaluate.logs import Places
from mmrec.evaluate.metrics import Interval, Values

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Counts = NDArray[np.float64]

FEW = 100  # effective number of users below which no winner is called
LEAST = 100  # dislikes, without which nothing is said
SURE = 1.96  # standard errors by which the power must lie above 0
CLIP = 10.0  # times the mean weight that a choice weighs at most
STEPS = 100  # of Newton's method
Z = 1.96  # of a 95% interval


@dataclass(frozen=True, slots=True)
class Exposure:
    """How often items were shown, relative to each other.

    Attributes:
        weights: of a choice of each item [items]: the inverse of how often it was shown, clipped; their mean
            over all choices is 1.
        why: what this was told by, in words.
        near: the same weights, had what told them been a standard error less, and more; none if it is no
            estimate.
    """

    weights: NDArray[np.float32]
    why: str
    near: tuple[NDArray[np.float32], ...] = ()


def exposure_of(chosen: Counts, refused: Counts) -> Exposure | None:
    """The exposure that a log betrays; None if it betrays none.

    Args:
        chosen: users who chose each item [items].
        refused: users who disliked it.
    """
    if refused.sum() < LEAST or np.count_nonzero(chosen) < 2:
        return None
    hot = chosen > 0
    power, error = _poisson_slope(np.log(chosen[hot]), refused[hot])
    if power <= SURE * error:
        return None
    power = min(power, 1.0)
    why = f"{refused.sum():,.0f} dislikes, which grow as popularity to the power of {power:.2f}"
    weights, *near = (
        _weights(np.maximum(chosen, 1.0) ** one, chosen) for one in (power, power - error, power + error))
    return Exposure(weights, why, tuple(near))


def exposure_by(shown: Counts, chosen: Counts, why: str) -> Exposure:
    """The exposure of items that were shown so often [items], by what it was told.

    Args:
        chosen: users who chose each item [items]; it was shown to as many at least.
    """
    return Exposure(_weights(np.maximum(np.maximum(shown, chosen), 1.0), chosen), why)


def _weights(shown: Counts, chosen: Counts) -> NDArray[np.float32]:
    """Inverse of how often items were shown [items], clipped, of mean 1 over what was chosen."""
    weights = 1 / shown
    weights = np.minimum(weights, CLIP * np.average(weights, weights=chosen))
    return (weights / np.average(weights, weights=chosen)).astype(np.float32)


def _poisson_slope(x: Counts, y: Counts) -> tuple[float, float]:
    """Slope b of a regression of counts, y about exp(a + b x), and its standard error.

    The error allows for counts that scatter more than Poisson's.

    Source: McCullagh & Nelder 1989, Generalized linear models, chapter 6 and sect. 9.2.
    """
    centred = x - x.mean()
    if not centred.any():
        return 0.0, 1.0
    design = np.stack([np.ones_like(x), centred], axis=1)  # [n, 2]
    beta = np.array([np.log(y.mean()), 0.0])
    for _ in range(STEPS):
        mean = np.exp(design @ beta)
        information = (design.T * mean) @ design  # [2, n] @ [n, 2]
        step = np.linalg.solve(information, design.T @ (y - mean))
        beta = beta + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-8:
            break
    scatter = max(1.0, float(np.sum((y - mean) ** 2 / mean)) / max(1, len(x) - 2))
    return float(beta[1]), float(np.sqrt(scatter * np.linalg.inv(information)[1, 1]))


@dataclass(frozen=True, slots=True)
class Corrected:
    """Ndcg corrected for exposure, by user.

    Attributes:
        values: ndcg with the weights of relevant items as gains [u].
        weights: of the users [u].
        doubt: standard error of the mean that comes from the weights, which are estimated themselves.
    """

    values: Values
    weights: Values
    doubt: float = 0.0

    @classmethod
    def of(cls, top: Places, relevant: csr_matrix, exposure: Exposure) -> Corrected:
        """Of lists [u, k] for what is relevant [u, items]."""
        found, *near = (
            cls(*weighed_ndcg(top, weighed(relevant, one))) for one in (exposure.weights, *exposure.near))
        ends = [one.mean.mean for one in near]
        return replace(found, doubt=(max(ends) - min(ends)) / 2 if ends else 0.0)

    @property
    def mean(self) -> Interval:
        """The self-normalised estimate with its 95% interval, over users and over what told the weights.

        Source: Murphy & Topel 1985, Estimation and inference in two-step econometric models, the variance of
        a second step by the slope along what the first estimated, here by differences.
        """
        mean, low, high = astuple(ratio(self.values * self.weights, self.weights))
        reach = float(np.hypot((high - low) / 2, Z * self.doubt))
        return Interval(mean, mean - reach, mean + reach)

    @property
    def effective(self) -> float:
        """Effective number of users."""
        return effective_size(self.weights)

    def __str__(self) -> str:
        few = ": too few to tell" if self.effective < FEW else ""
        return f"{self.mean} ({self.effective:.0f} users{few})"


def weighed(relevant: csr_matrix, weights: NDArray[np.float32]) -> csr_matrix:
    """The same entries, each times the weight of its item [items]."""
    from scipy.sparse import csr_matrix

    gains = relevant.data * weights[relevant.indices]
    return csr_matrix((gains, relevant.indices, relevant.indptr), relevant.shape)


def weighed_ndcg(top: Places, relevant: csr_matrix) -> tuple[Values, Values]:
    """Ndcg of lists [u, k], the weights of relevant items as gains, and the weights of users, [u] both.

    A user weighs the mean of his relevant items' weights, so that the weighted mean over users is the
    self-normalised estimate of what the users would find if each item were shown equally often. With all
    weights 1 the values are those of `metrics.ndcg`.

    Source: Yang et al. 2018, Unbiased offline recommender evaluation for missing-not-at-random implicit
    feedback, eq. 8, with ndcg as the reward.
    """
    users, k = np.arange(len(top))[:, None], top.shape[1]
    gains = np.where(top >= 0, relevant[users, top].toarray(), 0.0)  # [u, k]; -1 reads the last column
    discounts = 1 / np.log2(np.arange(2, k + 2))  # [k]
    order = np.lexsort((-relevant.data, np.repeat(np.arange(len(top)), np.diff(relevant.indptr))))
    ranks = np.arange(relevant.nnz) - np.repeat(relevant.indptr[:-1], np.diff(relevant.indptr))
    best = np.where(ranks < k, relevant.data[order] * discounts[np.minimum(ranks, k - 1)], 0.0)
    sums = [np.add.reduceat(x, relevant.indptr[:-1]) for x in (best, relevant.data.astype(np.float64))]
    values: Values = gains @ discounts / sums[0]  # [u, k] @ [k] -> [u]
    return values, sums[1] / np.diff(relevant.indptr)


def ratio(above: Values, below: Values, least: float = -np.inf) -> Interval:
    """Ratio of the sums of two values [users], with a 95% interval by the delta method.

    Source: Cochran 1977, Sampling Techniques, eq. 6.13.
    """
    n, whole = len(above), below.sum()
    if not whole:
        return Interval(0.0, 0.0, 0.0)
    found = float(above.sum() / whole)
    scatter = np.square(above - found * below).sum() * n / max(1, n - 1)
    reach = Z * float(np.sqrt(scatter) / whole)
    return Interval(found, max(least, found - reach), found + reach)


def effective_size(weights: Values) -> float:
    """As many without weights would tell as much as these with weights [n].

    Source: Kish 1965, Survey sampling; Owen 2013, Monte Carlo theory, methods and examples, chapter 9.
    """
    scaled = weights / (weights.max(initial=0) or 1.0)  # so that squares do not underflow
    return float(scaled.sum() ** 2 / (np.square(scaled).sum() or 1.0))
