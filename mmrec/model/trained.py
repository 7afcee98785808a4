"""The towers that serve after `fit`: arrays and a few products, no torch.

A row is [linear output (r) | output embedding (h) | its bias | offset of cold items | metric (p) || linear
input (r) | input embedding (h) | metric (p)]; what stands before || is searched, the rest remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors
from mmrec.model.behaviour import Behaviour
from mmrec.model.closed_form import Smoother
from mmrec.model.content import ContentPlan
from mmrec.model.metric import Metric


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
        factors = [_ratio(*pair) for pair in zip(self.short, self.warm, strict=True)]
        return self.short.within(self.warm) == self.short and any(map(mul, self.cold, factors))


SHORT = 5  # items of a history that is called short


ByPart = tuple[Vectors, Vectors, Vectors]  # linear part, item embeddings, metric


@dataclass(frozen=True)
class TrainedTowers:
    """A trained head.

    Attributes:
        plan: makes the content that the content tower reads; it is of the moment of `fit`.
        smoother: the content tower of linear part and item embeddings.
        metric: of content.
        ids: of the items that somebody chose by the time of `fit`.
        rows: of these [n, w].
        base: of every user, of the item embeddings [h].
        covariances: of the outputs of linear part [r, r], embeddings and bias [h + 1, h + 1], metric [p, p].
        blend: weights of parts and of cold items.
        dislike_weight: how strongly dislikes push away.
    """

    plan: ContentPlan
    smoother: Smoother
    metric: Metric
    ids: Sequence[str]
    rows: Vectors
    base: Vectors
    covariances: ByPart
    blend: Blend
    dislike_weight: float
    trained: bool = field(default=True, init=False)
    _position: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_position", {item_id: n for n, item_id in enumerate(self.ids)})

    @property
    def dims(self) -> tuple[int, int]:
        """Widths r and h of linear part and item embeddings."""
        return len(self.covariances[0]), len(self.base)

    @property
    def targets(self) -> Vectors:
        """What the rows were made of [n, t], as of `Behaviour.targets`; zeros of a part that has no share."""
        (r, h), warm = self.dims, self.blend.warm
        linear = self.rows[:, :r] / np.float32(warm.linear or 1)
        embedded = self.rows[:, r : r + h + 1] / np.float32(warm.embeddings or 1)
        inputs = self.remembered(self.rows)
        return np.hstack([inputs[:, :r], linear, inputs[:, r : r + h], embedded])

    @property
    def _ends(self) -> int:
        """Where the searched part of a row ends, r + h + 2 + p."""
        return sum(self.dims) + 2 + len(self.covariances[2])

    def items(self, content: Vectors, ids: Sequence[str]) -> Vectors:
        """Rows [n, w]: of known items what behaviour taught, of others what their content [n, c] predicts."""
        positions = np.array([self._position.get(item_id, -1) for item_id in ids], np.intp)
        rows = np.empty((len(ids), self.rows.shape[1]), np.float32)
        known = positions >= 0
        rows[known] = self.rows[positions[known]]
        new = content[~known]
        rows[~known] = cold_rows(self.smoother(new), self.metric(new), self.dims, self.blend)
        rows[~known & ~content.any(axis=1)] = 0.0  # nothing is known of it
        return rows

    def rows_of(self, predicted: Vectors, content: Vectors, known: NDArray[np.intp]) -> Vectors:
        """Rows [items, w] of all items by what content predicts [items, t], those at `known` by behaviour."""
        rows = cold_rows(predicted, self.metric(content), self.dims, self.blend)
        rows[known] = self.rows
        return rows

    def searched(self, rows: Vectors) -> Vectors:
        """The part [n, r + h + 2 + p] that is scored."""
        return rows[:, : self._ends]

    def remembered(self, rows: Vectors) -> Vectors:
        """The part [n, r + h + p] that a history is read from."""
        return rows[:, self._ends :]

    def user(self, history: Vectors, weights: Vectors) -> Vectors:
        """The vector [d] of a history [L, m], oldest first."""
        return self.users(history, [np.arange(len(history))], [weights])[0]

    def users(
        self, remembered: Vectors, histories: Sequence[ArrayLike], weights: Sequence[ArrayLike]
    ) -> Vectors:
        """Vectors [u, d] of many histories, positions in what is remembered [n, m]."""
        sums = np.zeros((len(histories), remembered.shape[1]), np.float32)
        for n, (positions, one) in enumerate(zip(histories, weights, strict=True)):
            sums[n] = self._shares(one) @ remembered[np.asarray(positions, np.intp)]  # [L] @ [L, m] -> [m]
        lengths = np.array([len(np.asarray(one)) for one in weights], np.intp)
        return self.vectors(sums, lengths)

    def vectors(self, sums: Vectors, lengths: ArrayLike) -> Vectors:
        """Vectors [u, d] of users whose histories, of these lengths [u], sum to [u, m]."""
        linear, embedded, metric = user_parts(sums, self.base, self.covariances)
        shares = _shares_of_parts(self.blend, np.asarray(lengths))  # [u, 3]
        ones = np.ones((len(sums), 1), np.float32)
        return np.hstack([linear * shares[:, :1], embedded * shares[:, 1:2], ones, metric * shares[:, 2:]])

    def attributions(self, history: Vectors, weights: Vectors, user: Vectors) -> Vectors:
        """Parts [L, d] of a user's vector [d], one for each item of a history [L, m].

        The item embeddings do not add up: tanh(z) is taken as z times its slope from 0 to z, which shares it
        among the items (DeepLIFT's rescale rule). What every user has (base, bias, offset) is in no part.

        Source: Shrikumar, Greenside & Kundaje 2017, Learning important features, sect. 3.5.1.
        """
        r, h = self.dims
        parts = self._shares(weights)[:, None] * history  # [L, m]
        z = parts[:, r : r + h].sum(axis=0) + self.base  # [h]
        slope = np.where(np.abs(z) > 1e-6, np.tanh(z) / np.where(z == 0, 1, z), 1.0)
        sums = parts.sum(axis=0)
        found = np.zeros((len(history), len(user)), np.float32)
        found[:, :r] = parts[:, :r] * _scale(user[:r], sums[:r])
        found[:, r : r + h] = parts[:, r : r + h] * slope * user[r + h]  # its bias was 1 before
        found[:, r + h + 2 :] = parts[:, r + h :] * _scale(user[r + h + 2 :], sums[r + h :])
        return found

    def _shares(self, weights: ArrayLike) -> Vectors:
        """Coefficient [L] of each item of a history: faded, dislikes negative, liked ones at norm 1."""
        w = np.asarray(weights, np.float32)
        w = w * np.float32(self.blend.fade) ** np.arange(len(w) - 1, -1, -1, dtype=np.float32)
        liked = np.linalg.norm(np.maximum(w, 0)) or np.linalg.norm(w) or 1.0
        shares = np.where(w > 0, w, np.float32(self.dislike_weight) * w) / np.float32(liked)
        return shares.astype(np.float32)


def user_parts(sums: Vectors, base: Vectors, covariances: ByPart) -> ByPart:
    """Parts of users [u, r], [u, h + 1], [u, p] from the sums of their histories [u, r + h + p].

    Each is scaled so that its scores deviate by 1 over the items that somebody chose.
    """
    r, h = len(covariances[0]), len(base)
    linear, inputs, metric = np.split(sums, [r, r + h], axis=1)
    embedded = np.hstack([np.tanh(inputs + base), np.ones((len(sums), 1), np.float32)]).astype(np.float32)
    return (
        linear / _deviation(linear, covariances[0]), embedded / _deviation(embedded, covariances[1]),
        metric / _deviation(metric, covariances[2]),
    )


def trusted(behaviour: Behaviour, predicted: Vectors, prior: float) -> Vectors:
    """Targets [n, t] of items that somebody chose: their own; with few users, more of what is predicted."""
    trust = (behaviour.counts / (behaviour.counts + prior))[:, None]  # [n, 1]
    return (trust * behaviour.targets + (1 - trust) * predicted).astype(np.float32)


def known_rows(targets: Vectors, metric: Vectors, dims: tuple[int, int], blend: Blend) -> Vectors:
    """Rows [n, w] of items that somebody chose, from their targets [n, t] and metric [n, p]."""
    return _rows(targets, metric, dims, blend.warm, 1.0, 0.0)


def cold_rows(predicted: Vectors, metric: Vectors, dims: tuple[int, int], blend: Blend) -> Vectors:
    """Rows [n, w] of items that nobody chose, from what content predicts [n, t] and their metric [n, p]."""
    return _rows(predicted, metric, dims, blend.cold, blend.cold_gain, blend.cold_offset)


def covariances_of(behaviour: Behaviour, metric: Vectors) -> ByPart:
    """Covariances of the outputs of each part, over the items that somebody chose, of metric [n, p]."""
    embedded = np.hstack([behaviour.embeddings.output, behaviour.embeddings.bias[:, None]])
    return _covariance(behaviour.linear_output), _covariance(embedded), _covariance(metric)


def split_targets(targets: Vectors, dims: tuple[int, int]) -> tuple[Vectors, Vectors, Vectors]:
    """Inputs [n, r + h], and outputs of linear part [n, r] and embeddings with their bias [n, h + 1]."""
    r, h = dims
    linear_input, linear_output, inputs, outputs = np.split(targets, np.cumsum([r, r, h]), axis=1)
    return np.hstack([linear_input, inputs]), linear_output, outputs


def _rows(
    targets: Vectors, metric: Vectors, dims: tuple[int, int], shares: Shares, gain: float, offset: float
) -> Vectors:
    inputs, linear, embedded = split_targets(targets, dims)
    offsets = np.full((len(targets), 1), offset, np.float32)
    a, b, c = (np.float32(gain * share) for share in shares)
    return np.hstack([a * linear, b * embedded, offsets, c * metric, inputs, metric])


def _shares_of_parts(blend: Blend, lengths: Vectors) -> Vectors:
    """What the parts of a user's vector are multiplied by [u, 3], so that short histories blend otherwise."""
    short = np.array([_ratio(*pair) for pair in zip(blend.short, blend.warm, strict=True)])
    return np.where((lengths <= SHORT)[:, None], short, np.ones(3)).astype(np.float32)


def _scale(user: Vectors, sums: Vectors) -> float:
    """What a sum [d] was multiplied by in the user's vector [d]."""
    strongest = int(np.argmax(np.abs(sums))) if len(sums) else 0
    return float(user[strongest] / sums[strongest]) if len(sums) and sums[strongest] else 0.0


def _ratio(wanted: float, present: float) -> float:
    return wanted / present if present else 1.0


def _covariance(x: Vectors) -> Vectors:
    centred = x - x.mean(axis=0)
    covariance: Vectors = (centred.T @ centred) / np.float32(max(len(x), 1))  # [n, d] -> [d, d]
    return covariance


def _deviation(users: Vectors, covariance: Vectors) -> Vectors:
    """Deviation [u, 1] of each user's scores over the items that somebody chose."""
    variances = np.einsum("ud,ud->u", users @ covariance, users)
    return np.sqrt(np.maximum(variances, 1e-12))[:, None].astype(np.float32)
