"""The towers that serve after `fit`: arrays and a few products, no torch.

A row is [taken by the linear half (r) | by the contrastive half (h) | its bias | offset of cold items ||
given to the linear half (r) | to the contrastive half (h)]; what stands before || is searched, the rest
remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.content import ContentPlan
from mmrec.encoders.base import Vectors
from mmrec.head.behaviour import Behaviour
from mmrec.head.blend import SHORT, Blend
from mmrec.head.kernels import Smoother


@dataclass(frozen=True)
class TrainedTowers:
    """A trained head.

    Attributes:
        plan: makes the content that the content tower reads; it is of the moment of `fit`.
        smoother: the content tower.
        ids: of the items that somebody chose by the time of `fit`.
        rows: of these [n, w].
        base: of every user of the contrastive half [h].
        spreads: covariance of what is taken, by the linear half [r, r] and by the other [h + 1, h + 1].
        blend: weights of halves and of cold items.
        dislike_weight: how strongly dislikes push away.
    """

    plan: ContentPlan
    smoother: Smoother
    ids: Sequence[str]
    rows: Vectors
    base: Vectors
    spreads: tuple[Vectors, Vectors]
    blend: Blend
    dislike_weight: float
    trained: bool = field(default=True, init=False)
    _place: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_place", {item_id: n for n, item_id in enumerate(self.ids)})

    @property
    def dims(self) -> tuple[int, int]:
        """Widths r and h of the halves."""
        return len(self.spreads[0]), len(self.base)

    def items(self, content: Vectors, ids: Sequence[str]) -> Vectors:
        """Rows [n, w]: of known items what behaviour taught, of others what their content [n, c] predicts."""
        places = np.array([self._place.get(item_id, -1) for item_id in ids], np.intp)
        rows = np.empty((len(ids), self.rows.shape[1]), np.float32)
        known = places >= 0
        rows[known] = self.rows[places[known]]
        rows[~known] = cold_rows(self.smoother(content[~known]), self.dims, self.blend)
        rows[~known & ~content.any(axis=1)] = 0.0  # nothing is known of it
        return rows

    def rows_of(self, predicted: Vectors, known: NDArray[np.intp]) -> Vectors:
        """Rows [items, w] of all items by what content predicts [items, t], those at `known` by behaviour."""
        rows = cold_rows(predicted, self.dims, self.blend)
        rows[known] = self.rows
        return rows

    def searched(self, rows: Vectors) -> Vectors:
        """The part [n, r + h + 2] that is scored."""
        return rows[:, : sum(self.dims) + 2]

    def remembered(self, rows: Vectors) -> Vectors:
        """The part [n, r + h] that a history is read from."""
        return rows[:, sum(self.dims) + 2 :]

    def user(self, history: Vectors, weights: Vectors) -> Vectors:
        """The vector [d] of a history [L, m], oldest first."""
        return self.users(history, [np.arange(len(history))], [weights])[0]

    def users(
        self, remembered: Vectors, histories: Sequence[ArrayLike], weights: Sequence[ArrayLike]
    ) -> Vectors:
        """Vectors [u, d] of many histories of places among what is remembered [n, m]."""
        sums = np.zeros((len(histories), sum(self.dims)), np.float32)
        for n, (places, one) in enumerate(zip(histories, weights, strict=True)):
            sums[n] = self._shares(one) @ remembered[np.asarray(places, np.intp)]  # [L] @ [L, m] -> [m]
        lengths = np.array([len(np.asarray(one)) for one in weights], np.intp)
        return self.vectors(sums, lengths)

    def vectors(self, sums: Vectors, lengths: ArrayLike) -> Vectors:
        """Vectors [u, d] of users whose histories, of these lengths [u], sum to [u, m]."""
        linear, contrastive = user_halves(sums, self.base, self.spreads)
        shares = _shares_of_halves(self.blend, np.asarray(lengths))
        ones = np.ones((len(sums), 1), np.float32)
        return np.hstack([linear * shares[:, :1], contrastive * shares[:, 1:], ones])

    def contributions(self, history: Vectors, weights: Vectors, vectors: Vectors) -> Vectors:
        """What each item of a history [L, m] adds to the scores of rows [..., d], [..., L].

        The contrastive half is not linear: tanh(z) is taken as z times its slope from 0 to z, which shares
        the half out among the items (DeepLIFT's rescale rule). What every user has (base, bias, offset) is
        nobody's, so that the sum falls short of the score by it.

        Source: Shrikumar, Greenside & Kundaje 2017, Learning important features, sect. 3.5.1.
        """
        r, h = self.dims
        parts = self._shares(weights)[:, None] * history  # [L, m]
        user = self.user(history, weights)
        z = parts[:, r:].sum(axis=0) + self.base  # [h]
        slope = np.where(np.abs(z) > 1e-6, np.tanh(z) / np.where(z == 0, 1, z), 1.0)
        scale = self._scales(parts.sum(axis=0), user)
        moved = np.hstack([parts[:, :r] * scale[0], parts[:, r:] * slope * scale[1]])  # [L, r + h]
        shares: Vectors = vectors[..., : r + h] @ moved.T  # [..., r + h] @ [r + h, L]
        return shares.astype(np.float32)

    def _scales(self, sums: Vectors, user: Vectors) -> tuple[float, float]:
        """What the linear sum, and tanh of the contrastive one, were multiplied by in the user's vector."""
        r, h = self.dims
        strongest = int(np.argmax(np.abs(sums[:r])))
        linear = float(user[strongest] / sums[strongest]) if sums[strongest] else 0.0
        return linear, float(user[r + h])  # the bias' coordinate is 1 before

    def _shares(self, weights: ArrayLike) -> Vectors:
        """Coefficient [L] of each item of a history: faded, dislikes negative, liked ones at norm 1."""
        w = np.asarray(weights, np.float32)
        w = w * np.float32(self.blend.fade) ** np.arange(len(w) - 1, -1, -1, dtype=np.float32)
        liked = np.linalg.norm(np.maximum(w, 0)) or np.linalg.norm(w) or 1.0
        shares = np.where(w > 0, w, np.float32(self.dislike_weight) * w) / np.float32(liked)
        return shares.astype(np.float32)


def user_halves(sums: Vectors, base: Vectors, spreads: tuple[Vectors, Vectors]) -> tuple[Vectors, Vectors]:
    """Both halves of users [u, r], [u, h + 1] from the sums of their histories [u, r + h].

    Each is scaled so that its scores deviate by 1 over the items that somebody chose.
    """
    r = len(spreads[0])
    linear, ones = sums[:, :r], np.ones((len(sums), 1), np.float32)
    contrastive = np.hstack([np.tanh(sums[:, r:] + base), ones]).astype(np.float32)
    return linear / _spread(linear, spreads[0]), contrastive / _spread(contrastive, spreads[1])


def trusted(behaviour: Behaviour, predicted: Vectors, prior: float) -> Vectors:
    """Targets [n, t] of items that somebody chose: their own; with few users, more of what is predicted."""
    trust = (behaviour.counts / (behaviour.counts + prior))[:, None]  # [n, 1]
    return (trust * behaviour.targets + (1 - trust) * predicted).astype(np.float32)


def known_rows(targets: Vectors, dims: tuple[int, int], blend: Blend) -> Vectors:
    """Rows [n, w] of items that somebody chose, from their targets [n, t]."""
    return _rows(targets, dims, blend.mix, 1.0, 0.0)


def cold_rows(predicted: Vectors, dims: tuple[int, int], blend: Blend) -> Vectors:
    """Rows [n, w] of items that nobody chose, from what content predicts [n, t] of them."""
    return _rows(predicted, dims, blend.cold_mix, blend.cold_gain, blend.cold_offset)


def spreads_of(behaviour: Behaviour) -> tuple[Vectors, Vectors]:
    """Covariances of what the halves take, over the items that somebody chose."""
    contrastive = np.hstack([behaviour.learned.taken, behaviour.learned.bias[:, None]])
    return _covariance(behaviour.taken), _covariance(contrastive)


def split_targets(targets: Vectors, dims: tuple[int, int]) -> tuple[Vectors, Vectors, Vectors]:
    """What is given [n, r + h], and what the linear [n, r] and the contrastive half take [n, h + 1]."""
    r, h = dims
    given, taken, said, heard = np.split(targets, np.cumsum([r, r, h]), axis=1)  # heard: with its bias
    return np.hstack([given, said]), taken, heard


def _rows(targets: Vectors, dims: tuple[int, int], mix: float, gain: float, offset: float) -> Vectors:
    given, taken, heard = split_targets(targets, dims)
    offsets = np.full((len(targets), 1), offset, np.float32)
    return np.hstack([(1 - mix) * gain * taken, mix * gain * heard, offsets, given]).astype(np.float32)


def _shares_of_halves(blend: Blend, lengths: Vectors) -> Vectors:
    """What the halves of a user's vector are multiplied by [u, 2], so that short histories mix otherwise."""
    short = np.array([_ratio(1 - blend.short_mix, 1 - blend.mix), _ratio(blend.short_mix, blend.mix)])
    return np.where((lengths <= SHORT)[:, None], short, np.ones(2)).astype(np.float32)


def _ratio(wanted: float, present: float) -> float:
    return wanted / present if present else 1.0


def _covariance(x: Vectors) -> Vectors:
    centred = x - x.mean(axis=0)
    covariance: Vectors = (centred.T @ centred) / np.float32(max(len(x), 1))  # [n, d] -> [d, d]
    return covariance


def _spread(users: Vectors, covariance: Vectors) -> Vectors:
    """Deviation [u, 1] of each user's scores over the items that somebody chose."""
    variances = np.einsum("ud,ud->u", users @ covariance, users)
    return np.sqrt(np.maximum(variances, 1e-12))[:, None].astype(np.float32)
