"""The sequence tower of a fit: what it learns, and the share by which it ranks best beside the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmrec.encoders.base import Vectors
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import Values
from mmrec.model.behaviour import Settings, Start
from mmrec.model.kernel_ridge import FieldKernel, Smoother, smoothed
from mmrec.model.ordered_towers import OrderedTowers, SequencePart
from mmrec.model.parts import Behaviour, embeddings_from, filled
from mmrec.model.saved import Head
from mmrec.model.sequence_tower import SequenceTower
from mmrec.training.item_rows import ItemRows, found_by
from mmrec.training.refusals import Met
from mmrec.training.tune import usual
from mmrec.training.validation import ndcgs_of

SHARES, USUAL_SHARE = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), 0.8
COLD_GAINS, USUAL_GAIN = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0), 1.0


class Sequenced(NamedTuple):
    """A tower, and vectors and biases of the hot items that it was learned with [n, d + 1]."""

    tower: SequenceTower
    items: Vectors


class Predicted(NamedTuple):
    """What content tells of vectors and biases: coefficients [l, d + 1], and of all items [items, d + 1]."""

    coefficients: Vectors
    items: Vectors


class OrderedRows(NamedTuple):
    """Rows of a head beside vectors of a sequence tower.

    Attributes:
        rows: of the head.
        part: of the sequence tower.
        predicted: vectors and biases of all items by their content [items, d + 1].
    """

    rows: ItemRows
    part: SequencePart
    predicted: Vectors

    @classmethod
    def of(cls, rows: ItemRows, learned: Sequenced, predicted: Predicted) -> OrderedRows:
        """In usual shares."""
        part = SequencePart(*learned, predicted.coefficients, USUAL_SHARE, USUAL_GAIN)
        return cls(rows, part, predicted.items)

    @property
    def towers(self) -> OrderedTowers:
        """Those that serve."""
        return OrderedTowers(self.rows.towers, self.part)

    @property
    def vectors(self) -> Vectors:
        """Vectors and biases of all items [items, d + 1]."""
        vectors = np.float32(self.part.cold_gain) * self.predicted
        vectors[self.rows.hot] = self.part.items
        return vectors

    def scores(self, histories: csr_matrix) -> Vectors:
        """Scores [u, items] for histories [u, items], each row oldest first."""
        share = np.float32(self.part.share)
        return (1 - share) * self.rows.scores(histories) + share * self._ordered(histories)

    def _ordered(self, histories: csr_matrix) -> Vectors:
        """Scores [u, items] by the sequence tower alone, of deviation 1."""
        scores: Vectors = self._users(histories) @ self.vectors.T  # [u, d + 1] @ [d + 1, items] -> [u, items]
        return scores

    def _users(self, histories: csr_matrix) -> Vectors:
        """Users of the sequence tower [u, d + 1]."""
        vectors, items = self.vectors, histories.indices
        return self.part.users([vectors[items[a:b], :-1] for a, b in pairwise(histories.indptr)])

    def found(self, settings: Mapping[str, Setting]) -> dict[str, Values]:
        """Ndcg@20 of each user [u] in settings."""
        return found_by(self.scores, settings)

    def above(self, met: Met) -> Values:
        """How each user [u] would rank what was met, as of `Met.above`."""
        return met.above(self.scores(met.setting.histories))

    def chosen(self, settings: Mapping[str, Setting]) -> OrderedRows:
        """With the share that ranks warm items best, and then the gain of cold ones that ranks all best.

        Args:
            settings: of a validation, in whose histories there are no cold items.
        """
        warm, both = settings["warm"], settings["overall"]

        def mixed(setting: Setting, head: Vectors, ordered: Vectors, share: float) -> Values:
            scores = (1 - np.float32(share)) * head + np.float32(share) * ordered
            return ndcgs_of(scores[:, setting.candidates], setting)

        head, ordered = self.rows.scores(warm.histories), self._ordered(warm.histories)
        share, _ = usual({share: mixed(warm, head, ordered, share) for share in SHARES}, USUAL_SHARE)
        if not share:
            return self.having(share, USUAL_GAIN)
        head, users = self.rows.scores(both.histories), self._users(both.histories)
        gain, _ = usual({
            gain: mixed(both, head, users @ self.having(share, gain).vectors.T, share) for gain in COLD_GAINS
        }, USUAL_GAIN)
        return self.having(share, gain)

    def having(self, share: float, gain: float) -> OrderedRows:
        """With another share, and another gain of cold items."""
        return self._replace(part=replace(self.part, share=share, cold_gain=gain))


def content_tower(
    kernel: FieldKernel, settings: Settings, content: Vectors, hot: NDArray[np.intp], behaviour: Behaviour,
    sequence: Sequenced | None, rng: np.random.Generator,
) -> tuple[Smoother, Vectors, Predicted | None]:
    """The content tower, and what it predicts of all items [items, t]; of a hot one, from the others.

    Beside the targets of behaviour it predicts vectors and biases of a sequence tower, if there is one.

    Args:
        content: of all items [items, c].
        hot: positions of those that somebody chose.
    """
    targets = behaviour.targets
    both = targets if sequence is None else np.hstack([targets, sequence.items])
    smoother, left_out = smoothed(kernel, content[hot], both, settings.ridge, settings.landmarks, rng)
    is_hot = np.isin(np.arange(len(content)), hot)
    predicted = filled(is_hot, left_out, smoother(content[~is_hot]))
    if sequence is None:
        return smoother, predicted, None
    return parted(smoother, predicted, sequence.items.shape[1])


def parted(smoother: Smoother, predicted: Vectors, width: int) -> tuple[Smoother, Vectors, Predicted]:
    """A content tower of a head and of vectors, the last so many numbers, as that of either."""
    coefficients, ours = np.split(smoother.coefficients, [-width], axis=1)
    targets, vectors = np.split(predicted, [-width], axis=1)
    return replace(smoother, coefficients=coefficients), targets, Predicted(ours, vectors)


def handed_on(
    known: NDArray[np.bool_], behaviour: Behaviour, predicted: Vectors, sequence: Sequenced | None,
    beside: Predicted | None,
) -> tuple[Start, Sequenced | None]:
    """Where a training of n items goes on from one of a part of them, the known ones [n]; as of `going_on`.

    Args:
        predicted: targets of behaviour that content tells of the items [n, t].
        beside: what it tells of them for the sequence tower.
    """
    at = np.where(known, np.cumsum(known) - 1, -1)
    embeddings = embeddings_from(behaviour.embeddings, at, predicted[~known], behaviour.dims)
    start = Start(embeddings, behaviour.metric)
    if sequence is None or beside is None:
        return start, None
    return start, Sequenced(sequence.tower, filled(known, sequence.items, beside.items[~known]))


def going_on(before: Head, ids: list[str], content: Vectors) -> tuple[Start, Sequenced | None]:
    """What a head knows of hot items with these ids and content [n, c]; of new ones, what content predicts.

    The second is of its sequence tower, if it has one.
    """
    towers, part = before.towers, before.sequence
    at = towers.positions(ids)
    known, new = at >= 0, content[at < 0]
    start = Start(embeddings_from(before.embeddings, at, towers.smoother(new), towers.dims), towers.metric)
    if part is None:
        return start, None
    predicted = replace(towers.smoother, coefficients=part.coefficients)(new)
    return start, Sequenced(part.tower, filled(known, part.items[at[known]], predicted))
