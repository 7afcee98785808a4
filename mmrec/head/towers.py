"""The towers: content -> vector, and a history of vectors -> the user's vector of the same space."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mmrec.encoders.base import Vectors, unit


class Towers(Protocol):
    """Both towers of a head."""

    def items(self, content: Vectors) -> Vectors:
        """Unit vectors [n, d] of content [n, c]."""

    def user(self, history: Vectors, weights: Vectors) -> Vectors:
        """The unit vector [d] of a history [L, d], oldest first; a negative weight [L] is a dislike."""

    def contributions(self, history: Vectors, weights: Vectors, vector: Vectors) -> Vectors:
        """What each item of a history [L, d] adds to the score of a vector [d]; they sum to it, [L]."""


class IdentityTowers:
    """What serves before `fit`: an item's vector is its content, a user the weighted mean of a history.

    Args:
        dislike_weight: how strongly the mean of the dislikes is subtracted from the mean of the rest.
    """

    def __init__(self, dislike_weight: float) -> None:
        self.dislike_weight = dislike_weight

    def items(self, content: Vectors) -> Vectors:
        """The content itself."""
        return content

    def user(self, history: Vectors, weights: Vectors) -> Vectors:
        """Mean of the liked minus `dislike_weight` x mean of the disliked, at norm 1."""
        return unit(self._mean(history, weights)[None, :])[0]

    def contributions(self, history: Vectors, weights: Vectors, vector: Vectors) -> Vectors:
        """Share of each item in the user's vector x its cosine with the result."""
        norm = np.linalg.norm(self._mean(history, weights)) or 1.0
        parts = self._shares(weights) * (history @ vector) / norm  # [L, d] @ [d] -> [L]
        return parts.astype(np.float32)

    def _mean(self, history: Vectors, weights: Vectors) -> Vectors:
        return self._shares(weights) @ history  # [L] @ [L, d] -> [d]

    def _shares(self, weights: Vectors) -> Vectors:
        """Coefficient [L] of each item of a history in the user's vector, before its norm."""
        liked, disliked = np.maximum(weights, 0), np.maximum(-weights, 0)
        positive = liked / (liked.sum() or 1.0)
        negative = disliked / (disliked.sum() or 1.0)
        shares: Vectors = (positive - self.dislike_weight * negative).astype(np.float32)
        return shares
