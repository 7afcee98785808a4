"""The towers: content -> the rows that are stored, and a history of rows -> the user's vector.

Those that serve before `fit`, and those of a trained head: arrays and a few products, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.model.appeal import Appeal
from mmrec.model.content import ContentPlan
from mmrec.model.kernel_ridge import Smoother
from mmrec.model.parts import SHORT, Blend, ByPart, Compression, Metric, split_targets, user_parts


class Towers(Protocol):
    """Both towers. A stored row has a part that is searched and a part that a history is read from."""

    @property
    def trained(self) -> bool:
        """Whether behaviour has shaped them; else a row is the content itself."""

    @property
    def plan(self) -> ContentPlan | None:
        """What makes the content that they read; None takes the catalogue's newest.

        A trained head keeps the plan of its training, and does not read fields that came later.
        """

    def items(self, content: Vectors, ids: Sequence[str]) -> Vectors:
        """Rows [n, w] to store for content [n, c]; an id of `""` is an item that nobody has seen."""

    def spans(self, width: int) -> tuple[slice, slice]:
        """The numbers of a row that are searched, by inner product with a user; those a history is read from.

        Args:
            width: of the rows [n, w]; what lies behind both is not theirs.
        """

    def users(
        self, remembered: Vectors, histories: Sequence[ArrayLike], weights: Sequence[ArrayLike]
    ) -> Vectors:
        """`user` for many histories at once [u, d], each given as positions in what is remembered [n, m]."""

    def user(self, history: Vectors, weights: Vectors) -> Vectors:
        """The vector [d] of a history [L, m], oldest first; a negative weight [L] is a dislike."""

    def attributions(self, history: Vectors, weights: Vectors, user: Vectors) -> Vectors:
        """Parts [L, d] of a user's vector, one for each item of the history [L, m] that it was made from.

        Their inner products with a searched row are what each item adds to the score. Their sum is the
        user's vector [d], less what the towers give to every user alike.
        """


class IdentityTowers:
    """What serves before `fit`: an item's row is its content, a user the weighted mean of a history.

    Args:
        dislike_weight: how strongly the mean of the dislikes is subtracted from the mean of the rest.
    """

    trained = False
    plan = None

    def __init__(self, dislike_weight: float) -> None:
        self.dislike_weight = dislike_weight

    def items(self, content: Vectors, ids: Sequence[str]) -> Vectors:  # noqa: ARG002
        """The content itself, whoever the items are."""
        return content

    def spans(self, width: int) -> tuple[slice, slice]:
        """All of them, twice."""
        return slice(0, width), slice(0, width)

    def users(
        self, remembered: Vectors, histories: Sequence[ArrayLike], weights: Sequence[ArrayLike]
    ) -> Vectors:
        """`user` for each, to the last bit."""
        users = np.zeros((len(histories), remembered.shape[1]), np.float32)
        for row, history, given in zip(users, histories, weights, strict=True):
            row[:] = self.user(remembered[np.asarray(history, np.intp)], np.asarray(given, np.float32))
        return users

    def user(self, history: Vectors, weights: Vectors) -> Vectors:
        """Mean of the liked minus `dislike_weight` x mean of the disliked, at norm 1."""
        mean = self._shares(weights) @ history  # [L] @ [L, d] -> [d]
        return unit(mean[None, :])[0]

    def attributions(self, history: Vectors, weights: Vectors, user: Vectors) -> Vectors:
        """Each item times its coefficient in the mean, over the norm of that mean."""
        parts: Vectors = self._shares(weights)[:, None] * history  # [L, d]
        if not user.any():
            return np.zeros_like(parts)
        return parts / np.float32(parts.sum(axis=0) @ user)  # the user is that sum at norm 1

    def _shares(self, weights: Vectors) -> Vectors:
        """Coefficient [L] of each item of a history in the user's vector, before its norm."""
        liked, disliked = np.maximum(weights, 0), np.maximum(-weights, 0)
        positive = liked / (liked.sum() or 1.0)
        negative = disliked / (disliked.sum() or 1.0)
        shares: Vectors = (positive - self.dislike_weight * negative).astype(np.float32)
        return shares


@dataclass(frozen=True)
class TrainedTowers:
    """A trained head.

    Attributes:
        plan: makes the content that the content tower reads; it is of the moment of `fit`.
        smoother: the content tower of linear part and item embeddings.
        ids: of the items that somebody chose by the time of `fit`.
        rows: of these [n, w].
        base: of every user, of the item embeddings [h].
        covariances: of the outputs of linear part [r, r], embeddings and bias [h + 1, h + 1], metric [p, p].
        dislike_weight: how strongly dislikes push away.
        compression: of whole rows [n, d + m] to those that are stored.
        correction: of stored rows, from the metric [p, w]; known items have theirs in `rows`.
        appeal: that content predicts of items; known ones have theirs in `rows`.
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
    compression: Compression
    correction: Vectors
    appeal: Appeal
    trained: bool = field(default=True, init=False)

    @cached_property
    def _position(self) -> Mapping[str, int]:
        return {item_id: n for n, item_id in enumerate(self.ids)}

    @property
    def dims(self) -> tuple[int, int]:
        """Widths r and h of linear part and item embeddings."""
        return len(self.covariances[0]), len(self.base)

    @property
    def targets(self) -> Vectors:
        """About what rows were made of [n, t], as of `Behaviour.targets`; zeros of a part without a share."""
        (r, h), warm = self.dims, self.blend.warm
        whole = self.compression.whole(self.rows)
        linear = whole[:, :r] / np.float32(warm.linear or 1)
        embedded = whole[:, r : r + h + 1] / np.float32(warm.embeddings or 1)
        inputs = whole[:, len(self.compression.items) :]
        return np.hstack([inputs[:, :r], linear, inputs[:, r : r + h], embedded])

    @property
    def appeals(self) -> Vectors:
        """About the appeal that rows were made with [n]; zeros if it has no share."""
        offset, share = sum(self.dims) + 1, np.float32(self.blend.appeal)
        return self.compression.whole(self.rows)[:, offset] * (1 / share if share else share)

    def items(self, content: Vectors, ids: Sequence[str]) -> Vectors:
        """Rows [n, w]: of known items what behaviour taught, of others what their content [n, c] predicts."""
        new = content[self.positions(ids) < 0]
        return self.items_with(self.smoother(new), new, ids)

    def items_with(self, predicted: Vectors, new: Vectors, ids: Sequence[str]) -> Vectors:
        """The same with what the smoother predicts [m, t] of the content [m, c] of the items that are new."""
        positions = self.positions(ids)
        rows = np.empty((len(ids), self.rows.shape[1]), np.float32)
        known = positions >= 0
        rows[known] = self.rows[positions[known]]
        metric = self.metric(new)
        whole = rows_from(predicted, metric, self.dims, self.blend, self.appeal(new), cold=True)
        unknown = self.compression.rows(whole) + metric @ self.correction
        unknown[~new.any(axis=1)] = 0.0  # nothing is known of it
        rows[~known] = unknown
        return rows

    def positions(self, ids: Sequence[str]) -> NDArray[np.intp]:
        """Positions [n] in `ids`; -1 of an item that nobody had chosen."""
        return np.array([self._position.get(item_id, -1) for item_id in ids], np.intp)

    def spans(self, width: int) -> tuple[slice, slice]:  # noqa: ARG002
        """k numbers that are scored, then l that a history is read from."""
        k = self.compression.items.shape[1]
        return slice(0, k), slice(k, k + len(self.compression.restored))

    def searched(self, rows: Vectors) -> Vectors:
        """The part [n, k] of rows that is scored."""
        return rows[:, self.spans(0)[0]]

    def remembered(self, rows: Vectors) -> Vectors:
        """The part [n, l] of rows that a history is read from."""
        return rows[:, self.spans(0)[1]]

    def user(self, history: Vectors, weights: Vectors) -> Vectors:
        """The vector [k] of a history [L, l], oldest first."""
        return self.users(history, [np.arange(len(history))], [weights])[0]

    def users(
        self, remembered: Vectors, histories: Sequence[ArrayLike], weights: Sequence[ArrayLike]
    ) -> Vectors:
        """Vectors [u, k] of many histories, positions in what is remembered [n, l]."""
        sums = np.zeros((len(histories), remembered.shape[1]), np.float32)
        for n, (positions, one) in enumerate(zip(histories, weights, strict=True)):
            sums[n] = self._coefficients(one) @ remembered[np.asarray(positions, np.intp)]  # [L] @ [L, l]
        return self.vectors(sums, np.array([len(np.asarray(one)) for one in weights], np.intp))

    def vectors(self, sums: Vectors, lengths: NDArray[np.intp]) -> Vectors:
        """Vectors [u, k] of users whose histories, of these lengths [u], sum to [u, l]."""
        return self._whole(sums @ self.compression.restored, lengths) @ self.compression.users

    def _whole(self, sums: Vectors, lengths: NDArray[np.intp]) -> Vectors:
        """The same before compression, [u, d] of [u, m]."""
        linear, embedded, metric = user_parts(sums, self.base, self.covariances)
        short = (lengths <= SHORT)[:, None]  # [u, 1]: whose parts have other shares
        shares = np.where(short, self.blend.short.over(self.blend.warm), np.ones(3)).astype(np.float32)
        ones = np.ones((len(sums), 1), np.float32)
        return np.hstack([linear * shares[:, :1], embedded * shares[:, 1:2], ones, metric * shares[:, 2:]])

    def attributions(self, history: Vectors, weights: Vectors, user: Vectors) -> Vectors:
        """Parts [L, k] of a user's vector [k], one for each item of a history [L, l].

        The item embeddings do not add up: tanh(z) is taken as z times its slope from 0 to z, which shares it
        among the items (DeepLIFT's rescale rule). What every user has (base, bias, offset) is in no part.

        Source: Shrikumar, Greenside & Kundaje 2017, Learning important features, sect. 3.5.1.
        """
        r, h = self.dims
        parts = self._coefficients(weights)[:, None] * (history @ self.compression.restored)  # [L, m]
        sums = parts.sum(axis=0)
        user = self._whole(sums[None, :], np.array([len(parts)]))[0]
        z = sums[r : r + h] + self.base  # [h]
        slope = np.where(np.abs(z) > 1e-6, np.tanh(z) / np.where(z == 0, 1, z), 1.0)
        found = np.zeros((len(history), len(user)), np.float32)
        found[:, :r] = parts[:, :r] * _scale(user[:r], sums[:r])
        found[:, r : r + h] = parts[:, r : r + h] * slope * user[r + h]  # its bias was 1 before
        found[:, r + h + 2 :] = parts[:, r + h :] * _scale(user[r + h + 2 :], sums[r + h :])
        return found @ self.compression.users

    def _coefficients(self, weights: ArrayLike) -> Vectors:
        """Coefficient [L] of each item of a history: faded, dislikes negative, liked ones at norm 1."""
        w = np.asarray(weights, np.float32)
        w = w * np.float32(self.blend.fade) ** np.arange(len(w) - 1, -1, -1, dtype=np.float32)
        liked = np.linalg.norm(np.maximum(w, 0)) or np.linalg.norm(w) or 1.0
        signed = np.where(w > 0, w, np.float32(self.dislike_weight) * w) / np.float32(liked)
        return signed.astype(np.float32)


def rows_from(
    targets: Vectors, metric: Vectors, dims: tuple[int, int], blend: Blend, appeal: Vectors, *, cold: bool
) -> Vectors:
    """Rows [n, w] from targets [n, t], metric [n, p] and appeal [n] of items that somebody chose, or cold."""
    shares, gain, offset = blend.warm, 1.0, 0.0
    if cold:
        shares, gain, offset = blend.cold, blend.cold_gain, blend.cold_offset
    inputs, linear, embedded = split_targets(targets, dims)
    offsets = (np.float32(offset) + np.float32(blend.appeal) * appeal)[:, None]  # [n, 1]
    a, b, c = (np.float32(gain * share) for share in shares)
    return np.hstack([a * linear, b * embedded, offsets, c * metric, inputs, metric])


def _scale(user: Vectors, sums: Vectors) -> float:
    """What a sum [d] was multiplied by in the user's vector [d]."""
    strongest = int(np.argmax(np.abs(sums))) if len(sums) else 0
    return float(user[strongest] / sums[strongest]) if len(sums) and sums[strongest] else 0.0
