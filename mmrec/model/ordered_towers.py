"""Towers that heed order: those of a head that does not, beside a sequence tower over the same items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors
from mmrec.model.content import ContentPlan
from mmrec.model.kernel_ridge import Smoother
from mmrec.model.parts import filled
from mmrec.model.sequence_tower import SequenceTower
from mmrec.model.towers import TrainedTowers

EXPLAINED = 3  # latest items whose part is told: each costs the tower once more, and older ones say little


@dataclass(frozen=True)
class SequencePart:
    """What a sequence tower adds to a head.

    Attributes:
        tower: from a history to the user.
        items: vectors and biases of the items that somebody chose [n, d + 1].
        coefficients: from the landmarks of the head's content tower to those of other items [l, d + 1].
        share: of its scores beside those of the head, each of deviation 1 for every user.
        cold_offset: what is added to the bias of other items.
    """

    tower: SequenceTower
    items: Vectors
    coefficients: Vectors
    share: float
    cold_offset: float = 0.0

    def lifted(self, predicted: Vectors) -> Vectors:
        """Vectors and biases [n, d + 1] of items that nobody chose, by what content predicts of them."""
        vectors = predicted.copy()
        vectors[:, -1] += np.float32(self.cold_offset)
        return vectors

    @cached_property
    def covariance(self) -> Vectors:
        """Of vectors and biases [d + 1, d + 1]."""
        centred = self.items - self.items.mean(axis=0)
        found: Vectors = centred.T @ centred / np.float32(len(self.items))  # [n, d + 1] -> [d + 1, d + 1]
        return found

    def users(self, histories: Sequence[Vectors]) -> Vectors:
        """Vectors [u, d + 1] of histories [L, d] each, whose scores deviate by 1 over the items."""
        users = np.hstack([self.tower.users(histories), np.ones((len(histories), 1), np.float32)])
        variances = (users @ self.covariance * users).sum(axis=1)
        scaled: Vectors = users / np.sqrt(np.maximum(variances, np.float32(1e-12)))[:, None]
        return scaled


@dataclass(frozen=True)
class OrderedTowers:
    """Both towers of a head and a sequence tower, whose numbers lie behind those of the head in a row.

    A row is k numbers of the head and d + 1 of the sequence tower that are scored, then l and d that a
    history is read from.
    """

    head: TrainedTowers
    sequence: SequencePart
    trained = True

    @property
    def plan(self) -> ContentPlan:
        """Of the head."""
        return self.head.plan

    def positions(self, ids: Sequence[str]) -> NDArray[np.intp]:
        """Positions [n] among the items of the training; -1 of an item that nobody had chosen."""
        return self.head.positions(ids)

    def items(self, content: Vectors, ids: Sequence[str]) -> Vectors:
        """Rows [n, w]: of known items what behaviour taught, of others what their content [n, c] predicts."""
        known: NDArray[np.intp] = self.positions(ids)
        new = content[known < 0]
        predicted, vectors = np.split(self._smoother(new), [-self.sequence.items.shape[1]], axis=1)
        vectors = self.sequence.lifted(vectors)
        vectors[~new.any(axis=1)] = 0.0  # nothing is known of it
        return self.rows(
            self.head.items_with(predicted, new, ids),
            filled(known >= 0, self.sequence.items[known[known >= 0]], vectors),
        )

    @cached_property
    def _smoother(self) -> Smoother:
        """The content tower of both: what it predicts for the head, then vectors and biases."""
        smoother = self.head.smoother
        return replace(
            smoother, coefficients=np.hstack([smoother.coefficients, self.sequence.coefficients]))

    def rows(self, rows: Vectors, vectors: Vectors) -> Vectors:
        """Rows [n, w] of those of the head [n, k + l] and of vectors and biases [n, d + 1]."""
        searched, remembered = (rows[:, span] for span in self.head.spans(rows.shape[1]))
        return np.hstack([searched, vectors, remembered, vectors[:, :-1]])

    def spans(self, width: int) -> tuple[slice, slice]:
        """The numbers that are scored, then those that a history is read from."""
        searched, remembered = self.head.spans(width)
        d = self.sequence.tower.dim
        end = searched.stop + d + 1
        return slice(0, end), slice(end, end + remembered.stop - remembered.start + d)

    def user(self, history: Vectors, weights: Vectors) -> Vectors:
        """The vector [k + d + 1] of a history [L, l + d], oldest first."""
        return self.users(history, [np.arange(len(history))], [weights])[0]

    def users(
        self, remembered: Vectors, histories: Sequence[ArrayLike], weights: Sequence[ArrayLike]
    ) -> Vectors:
        """Vectors of many histories, positions in what is remembered [n, l + d]; dislikes are the head's."""
        d, share = self.sequence.tower.dim, np.float32(self.sequence.share)
        ours, theirs = remembered[:, :-d], remembered[:, -d:]
        liked = [
            theirs[np.asarray(one, np.intp)[np.asarray(given) > 0]]
            for one, given in zip(histories, weights, strict=True)
        ]
        users, ordered = self.head.users(ours, histories, weights), self.sequence.users(liked)
        some = np.array([len(one) > 0 for one in liked])[:, None]  # [u, 1]: who likes anything
        shares = np.where(some, share, 0)
        return np.hstack([(1 - shares) * users, shares * ordered]).astype(np.float32)

    def attributions(self, history: Vectors, weights: Vectors, user: Vectors) -> Vectors:
        """Parts [L, k + d + 1] of a user's vector, one for each item of a history [L, l + d].

        Those of the head are as it tells them. Of the sequence tower it is what its part of the vector loses
        without an item; told of the latest `EXPLAINED` items, as what is older says little there.
        """
        d, k = self.sequence.tower.dim, len(user) - self.sequence.tower.dim - 1
        liked = np.flatnonzero(weights > 0)
        share = np.float32(self.sequence.share if len(liked) else 0)
        found = np.zeros((len(history), len(user)), np.float32)
        found[:, :k] = (1 - share) * self.head.attributions(history[:, :-d], weights, user[:k])
        told = liked[-EXPLAINED:] if len(liked) > 1 else liked[:0]
        theirs = history[:, -d:]
        without = self.sequence.users([theirs[liked[liked != n]] for n in told.tolist()])
        found[told, k:] = user[k:] - share * without
        return found
