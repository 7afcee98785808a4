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
from mmrec.evaluate.logs import Places, Setting
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
from mmrec.training.validation import kept, ndcg_of, ndcgs_of

SHARES, USUAL_SHARE = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), 0.8
HELD = 0.97  # of the ndcg of known items that is left beside new ones
FARTHEST, HALVINGS = 4.0, 7  # deviations by which new items are lifted or lowered, and steps of the search


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
        part = SequencePart(*learned, predicted.coefficients, USUAL_SHARE)
        return cls(rows, part, predicted.items)

    @property
    def towers(self) -> OrderedTowers:
        """Those that serve."""
        return OrderedTowers(self.rows.towers, self.part)

    @property
    def vectors(self) -> Vectors:
        """Vectors and biases of all items [items, d + 1]."""
        vectors = self.part.lifted(self.predicted)
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
        """With the share that ranks warm items best, and then new items lifted as far as known ones can bear.

        Args:
            settings: of a validation, in whose histories there are no cold items.
        """
        warm = settings["warm"]
        head, ordered = self.rows.scores(warm.histories), self._ordered(warm.histories)

        def mixed(share: float) -> Values:
            scores = (1 - np.float32(share)) * head + np.float32(share) * ordered
            return ndcgs_of(scores[:, warm.candidates], warm)

        share, _ = usual({share: mixed(share) for share in SHARES}, USUAL_SHARE)
        rows = self._replace(part=replace(self.part, share=share))
        return rows._lifted(settings["overall"]) if share else rows

    def _lifted(self, setting: Setting) -> OrderedRows:
        """With new items lifted as far as known ones bear: they keep `HELD` of their ndcg beside them.

        To rank both best together would let hardly any new item in, as each is wanted by few of those to
        whom it is shown in place of a known one. So the price is fixed, and new items get its worth.
        """
        new = ~np.isin(setting.candidates, self.rows.hot)
        known = _of_items(setting, setting.candidates[~new])
        if not new.any() or not known.relevant.nnz:
            return self
        share, deviation = np.float32(self.part.share), float(np.sqrt(np.trace(self.part.covariance)))
        head: Vectors = (1 - share) * self.rows.scores(known.histories)
        users: Vectors = share * self._users(known.histories)

        def lifted(offset: float) -> SequencePart:
            return replace(self.part, cold_offset=offset * deviation)

        def found(offset: float, candidates: Places) -> float:
            scores = head + users @ self.having(lifted(offset)).vectors.T  # [u, d + 1] @ [d + 1, items]
            return ndcg_of(scores[:, candidates], replace(known, candidates=candidates))

        least = HELD * found(0.0, known.candidates[~new])
        low, high = -FARTHEST, FARTHEST
        for _ in range(HALVINGS):  # the higher new items are, the less is left of known ones
            middle = (low + high) / 2
            low, high = (middle, high) if found(middle, known.candidates) >= least else (low, middle)
        return self.having(lifted(low))

    def having(self, chosen: SequencePart) -> OrderedRows:
        """With the share and offset of another part."""
        return self._replace(
            part=replace(self.part, share=chosen.share, cold_offset=chosen.cold_offset))


def _of_items(setting: Setting, items: Places) -> Setting:
    """The setting of the users to whom some of these items are relevant, and of these alone."""
    relevant = kept(setting.relevant, np.isin(setting.relevant.indices, items))
    some = np.flatnonzero(np.diff(relevant.indptr))
    return replace(setting, histories=setting.histories[some], relevant=relevant[some])


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
