"""The towers: content -> the rows that are stored, and a history of rows -> the user's vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from mmrec.encoders.base import Vectors, unit
from mmrec.model.content import ContentPlan


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

    def searched(self, rows: Vectors) -> Vectors:
        """The part [n, d] of rows [n, w] whose inner product with a user is the score."""

    def remembered(self, rows: Vectors) -> Vectors:
        """The part [n, m] of rows [n, w] that a history is read from."""

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

    def searched(self, rows: Vectors) -> Vectors:
        """All of it."""
        return rows

    remembered = searched

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
