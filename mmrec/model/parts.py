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
        appeal: what an item that is liked a deviation better than others has on top, for every user.
    """

    warm: Shares = USUAL
    short: Shares = USUAL
    cold: Shares = USUAL
    cold_gain: float = 2.0
    cold_offset: float = 0.5
    prior: float = 0.0
    fade: float = 1.0
    appeal: float = 0.0

    @property
    def servable(self) -> bool:
        """Whether rows have all parts of short histories, which leave cold items one of theirs at least."""
        present = self.short.within(self.warm) == self.short
        return present and any(map(mul, self.cold, self.short.over(self.warm)))


class Compression(NamedTuple):
    """Linear maps of a head's rows to few numbers and back, by which scores change least.

    Attributes:
        items: of the searched part of a row [d, k].
        users: of a user's vector [d, k]; inner products with items are about those of before.
        inputs: of the part of a row that a history is read from [m, l].
        restored: of a sum of such parts, back [l, m].
    """

    items: Vectors
    users: Vectors
    inputs: Vectors
    restored: Vectors

    @classmethod
    def of(
        cls, searched: Vectors, users: Vectors, sums: Vectors, importance: Vectors, width: int
    ) -> Compression:
        """The best of a width for items [n, d], users [u, d], and sums of histories [u, m].

        The scores of these users for these items have the least squared error that a rank of `width` allows;
        so have the sums, where an error of x in them costs x' importance x.

        Source: Eckart & Young 1936, The approximation of one matrix by another of lower rank.
        """
        root, inverse = _roots(users.T @ users / np.float32(len(users)))
        directions = _strongest(searched @ root, width)  # [d, k]
        weighed, unweighed = _roots(importance)
        kept = _strongest(sums @ weighed, width)  # [m, l]
        return cls(root @ directions, inverse @ directions, weighed @ kept, kept.T @ unweighed)

    @classmethod
    def none(cls, d: int, m: int) -> Compression:
        """Rows as they are."""
        return cls(*(np.eye(width, dtype=np.float32) for width in (d, d, m, m)))

    def rows(self, whole: Vectors) -> Vectors:
        """Rows [n, k + l] of whole ones [n, d + m]."""
        d = len(self.items)
        return np.hstack([whole[:, :d] @ self.items, whole[:, d:] @ self.inputs])

    def whole(self, rows: Vectors) -> Vectors:
        """About the whole rows [n, d + m] of compressed ones [n, k + l]."""
        k = self.items.shape[1]
        return np.hstack([rows[:, :k] @ self.users.T, rows[:, k:] @ self.restored])


def importance(sums: Vectors, base: Vectors, covariances: ByPart, blend: Blend) -> Vectors:
    """What an error in the sums of histories [u, r + h + p] costs: mean squared change of scores, [m, m].

    The item embeddings' tanh is taken as linear, with the mean slope of these users.
    """
    r, h = len(covariances[0]), len(base)
    slope = (1 - np.tanh(sums[:, r : r + h] + base) ** 2).mean(axis=0)
    inner = covariances[0], slope[:, None] * covariances[1][:h, :h] * slope, covariances[2]
    parts = np.split(sums, [r, r + h], axis=1)
    found = np.zeros((sums.shape[1], sums.shape[1]), np.float32)
    ends = np.cumsum([r, h, len(covariances[2])])
    most = np.max([blend.warm, blend.short, blend.cold], axis=0)
    for end, part, cost, share in zip(ends, parts, inner, most, strict=True):
        span = slice(end - len(cost), end)
        variance = np.einsum("ud,de,ue->u", part, cost, part, optimize=True).mean() or 1.0
        found[span, span] = cost * np.float32(share**2 / variance)
    return found


def embeddings_from(
    learned: ItemEmbeddings, at: NDArray[np.intp], predicted: Vectors, dims: tuple[int, int]
) -> ItemEmbeddings:
    """Embeddings of n items to go on from.

    Args:
        at: position of each among the learned ones [n]; -1 of an item that is new.
        predicted: what content predicts of the new ones [new, t].
    """
    r, h = dims
    known = at >= 0
    _, _, inputs, outputs, bias = np.split(predicted, np.cumsum([r, r, h, h]), axis=1)  # bias [new, 1]
    old = at[known]
    return ItemEmbeddings(
        filled(known, learned.input[old], inputs), learned.base,
        filled(known, learned.output[old], outputs), filled(known, learned.bias[old], bias[:, 0]),
    )


def filled(known: NDArray[np.bool_], old: Vectors, new: Vectors) -> Vectors:
    """Rows [n, ...]: old ones where known [n], new ones elsewhere."""
    rows = np.empty((len(known), *old.shape[1:]), np.float32)
    rows[known], rows[~known] = old, new
    return rows


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


def _roots(matrix: Vectors) -> tuple[Vectors, Vectors]:
    """The root [d, d] of a positive semidefinite matrix, and the inverse of the root."""
    values, vectors = np.linalg.eigh(matrix.astype(np.float64))
    values = np.maximum(values, max(values.max(), 1e-12) * 1e-9)
    root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
    return root.astype(np.float32), inverse.astype(np.float32)


def _strongest(x: Vectors, k: int) -> Vectors:
    """The k directions [d, k] in which rows [n, d] are largest."""
    _, vectors = np.linalg.eigh((x.T @ x).astype(np.float64))  # ascending
    strongest: Vectors = vectors[:, ::-1][:, :k].astype(np.float32)
    return strongest


def _covariance(x: Vectors) -> Vectors:
    centred = x - x.mean(axis=0)
    covariance: Vectors = (centred.T @ centred) / np.float32(max(len(x), 1))  # [n, d] -> [d, d]
    return covariance


def _deviation(users: Vectors, covariance: Vectors) -> Vectors:
    """Deviation [u, 1] of each user's scores over the items that somebody chose."""
    variances = np.einsum("ud,ud->u", users @ covariance, users)
    return np.sqrt(np.maximum(variances, 1e-12))[:, None].astype(np.float32)
