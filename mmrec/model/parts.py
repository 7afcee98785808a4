"""The parts of a head as they were learned, and how they are blended into one score.

A head has three parts: a linear part (closed form), item embeddings (learned from behaviour alone, they know
warm items best) and a metric of content (it knows cold items as well as warm ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import mul
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors, unit

SHORT = 5  # items of a history that is called short
ByPart = tuple[Vectors, ...]  # linear part, item embeddings, metric


class ItemEmbeddings(NamedTuple):
    """Embeddings of n items: a user is tanh(weights @ input + base), a score user . output + bias.

    Attributes:
        input: what an item adds to the user whose history it is in [n, h]; the weights have norm 1.
        base: of every user [h].
        output: what an item is scored by [n, h].
        bias: of each item's score [n].
    """

    input: Vectors
    base: Vectors
    output: Vectors
    bias: Vectors


class Metric(NamedTuple):
    """A linear map of content by `projection` [c, p], after which cosines are what counts."""

    projection: Vectors

    def __call__(self, content: Vectors) -> Vectors:
        """Items [n, p] by their content [n, c], at norm 1; zeros of an item without any."""
        return unit(content @ self.projection)  # [n, c] @ [c, p]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All parts, of the n items that somebody chose.

    Attributes:
        linear_input, linear_output: factors of the linear part, of an item in a history and as a candidate
            [n, r]: a score is the sum of a history's inputs times the candidate's output.
        counts: users of each item [n].
    """

    linear_input: Vectors
    linear_output: Vectors
    embeddings: ItemEmbeddings
    metric: Metric
    counts: NDArray[np.float32]

    @property
    def targets(self) -> Vectors:
        """All that the content tower shall predict of an item, side by side [n, 2r + 2h + 1]."""
        one = self.embeddings
        return np.hstack([self.linear_input, self.linear_output, one.input, one.output, one.bias[:, None]])

    @property
    def dims(self) -> tuple[int, int]:
        """Widths r and h of linear part and item embeddings."""
        return self.linear_input.shape[1], self.embeddings.input.shape[1]

    def covariances(self, metric: Vectors) -> ByPart:
        """Covariances of the outputs of each part over these items, whose metric is [n, p]."""
        embedded = np.hstack([self.embeddings.output, self.embeddings.bias[:, None]])  # [n, h + 1]
        return tuple(_covariance(outputs) for outputs in (self.linear_output, embedded, metric))

    def trusted(self, predicted: Vectors, prior: float) -> Vectors:
        """The targets; the fewer users an item has, the more of what content predicts of it [n, t]."""
        trust = (self.counts / (self.counts + prior))[:, None]  # [n, 1]
        return (trust * self.targets + (1 - trust) * predicted).astype(np.float32)


class Shares(NamedTuple):
    """Shares of a head's parts in a score; each part's scores deviate by 1 for every user before."""

    linear: float
    embeddings: float
    metric: float

    @classmethod
    def of(cls, embeddings: float, metric: float) -> Shares:
        """With the metric's share in all, and the embeddings' share in what is left."""
        return cls((1 - metric) * (1 - embeddings), (1 - metric) * embeddings, metric)

    def within(self, warm: Shares) -> Shares:
        """These shares without the parts that rows of the warm shares lack; those if nothing is left."""
        kept = [share if there else 0.0 for share, there in zip(self, warm, strict=True)]
        total = sum(kept)
        if tuple(kept) == self:
            return self
        return Shares(*(share / total for share in kept)) if total else warm

    def over(self, warm: Shares) -> list[float]:
        """What the parts of rows of the warm shares are multiplied by to have these shares."""
        return [share / there if there else 1.0 for share, there in zip(self, warm, strict=True)]


USUAL_EMBEDDINGS, USUAL_METRIC = 0.5, 0.1
USUAL = Shares.of(USUAL_EMBEDDINGS, USUAL_METRIC)


@dataclass(frozen=True, slots=True)
class Blend:
    """Chosen on validation, each by the question that it decides.

    Attributes:
        warm: shares in an item that somebody chose, by `warm`.
        short: the same for histories of at most `SHORT` items.
        cold: shares in an item that nobody chose, by `cold`.
        cold_gain: what the scores of such items are multiplied by, by `overall`.
        cold_offset: what is added to them, in deviations of a user's scores, by `overall`.
        prior: an item that n users chose is n / (n + prior) its behaviour, the rest what content predicts.
        fade: weight of an item of a history against the one after it; 1 heeds no order.
    """

    warm: Shares = USUAL
    short: Shares = USUAL
    cold: Shares = USUAL
    cold_gain: float = 2.0
    cold_offset: float = 0.5
    prior: float = 0.0
    fade: float = 1.0

    @property
    def servable(self) -> bool:
        """Whether rows have all parts of short histories, which leave cold items one of theirs at least."""
        present = self.short.within(self.warm) == self.short
        return present and any(map(mul, self.cold, self.short.over(self.warm)))


def split_targets(targets: Vectors, dims: tuple[int, int]) -> ByPart:
    """Inputs [n, r + h], and outputs of linear part [n, r] and embeddings with their bias [n, h + 1]."""
    r, h = dims
    linear_input, linear_output, inputs, outputs = np.split(targets, np.cumsum([r, r, h]), axis=1)
    return np.hstack([linear_input, inputs]), linear_output, outputs


def user_parts(sums: Vectors, base: Vectors, covariances: ByPart) -> ByPart:
    """Parts of users [u, r], [u, h + 1], [u, p] from the sums of their histories [u, r + h + p].

    Each is scaled so that its scores deviate by 1 over the items that somebody chose.
    """
    r, h = len(covariances[0]), len(base)
    linear, inputs, metric = np.split(sums, [r, r + h], axis=1)
    embedded = np.hstack([np.tanh(inputs + base), np.ones((len(sums), 1), np.float32)]).astype(np.float32)
    parts = zip((linear, embedded, metric), covariances, strict=True)
    return tuple(part / _deviation(part, covariance) for part, covariance in parts)


def _covariance(x: Vectors) -> Vectors:
    centred = x - x.mean(axis=0)
    covariance: Vectors = (centred.T @ centred) / np.float32(max(len(x), 1))  # [n, d] -> [d, d]
    return covariance


def _deviation(users: Vectors, covariance: Vectors) -> Vectors:
    """Deviation [u, 1] of each user's scores over the items that somebody chose."""
    variances = np.einsum("ud,ud->u", users @ covariance, users)
    return np.sqrt(np.maximum(variances, 1e-12))[:, None].astype(np.float32)
