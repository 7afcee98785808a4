"""The rows of all items: the parts of a head blended, compressed, and learned together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmrec.config import Config
from mmrec.encoders.base import Vectors
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import Values
from mmrec.model.appeal import Appeal
from mmrec.model.behaviour import learned_towers
from mmrec.model.content import ContentPlan
from mmrec.model.contrastive import Recipe
from mmrec.model.kernel_ridge import Smoother
from mmrec.model.parts import SHORT, Behaviour, Blend, Compression, importance
from mmrec.model.towers import TrainedTowers, rows_from
from mmrec.training.refusals import Met
from mmrec.training.validation import MOST_USERS, columns_of, history_sums, kept, ndcgs_of, scores_of

MOST_ROWS = 20_000  # items whose rows tell what a compression keeps
WIDTH = 256  # numbers of a row that are searched, and that a history is read from


class Learned(NamedTuple):
    """What rows are made of.

    Attributes:
        behaviour: of the hot items.
        smoother: predicts its targets.
        predicted: targets of all items [items, t]; of a hot one, from the others.
        appeal: that content predicts.
        appeals: of all items [items].
    """

    behaviour: Behaviour
    smoother: Smoother
    predicted: Vectors
    appeal: Appeal
    appeals: Vectors


class ItemRows(NamedTuple):
    """Towers with what they make of all items.

    Attributes:
        towers: whose rows are those of the items that somebody chose.
        hot: positions of these items.
        new: rows of all items as content alone predicts them [items, w].
        metric: of all items [items, p].
    """

    towers: TrainedTowers
    hot: NDArray[np.intp]
    new: Vectors
    metric: Vectors

    @property
    def all(self) -> Vectors:
        """Rows of all items [items, w]."""
        rows = self.new + self.metric @ self.towers.correction
        rows[self.hot] = self.towers.rows
        return rows

    def together(self, train: csr_matrix, recipe: Recipe, *, seed: int, device: str | None) -> ItemRows:
        """The same after both towers have learned together from histories [users, items]."""
        hot = self.hot
        return self._replace(towers=learned_towers(
            columns_of(train, hot), self.towers, self.new[hot], self.metric[hot], recipe, seed=seed,
            device=device,
        ))

    def found(self, settings: Mapping[str, Setting]) -> dict[str, Values]:
        """Ndcg@20 of each user [u] in settings."""
        return found_by(self.scores, settings)

    def scores(self, histories: csr_matrix) -> Vectors:
        """Scores [u, items] for histories [u, items]."""
        return scores_of(self.towers, self.all, histories)

    def above(self, met: Met) -> Values:
        """How each user [u] would rank what was met, as of `Met.above`."""
        return met.above(self.scores(met.setting.histories))

    @classmethod
    def of(
        cls, learned: Learned, train: csr_matrix, content: Vectors, hot: NDArray[np.intp],
        ids: Sequence[str], blend: Blend, seed: int, width: int = WIDTH,
    ) -> ItemRows:
        """Blends what was learned of the hot items, whose ids these are, and compresses it.

        Args:
            train: histories [users, items].
            content: of all items [items, c].
            seed: of the users for whose scores the compression is made.
            width: numbers that are searched, and that a history is read from.
        """
        behaviour, metric = learned.behaviour, learned.behaviour.metric(content)
        targets = behaviour.trusted(learned.predicted[hot], blend.prior)
        appeal, predicted = learned.appeals[hot], learned.appeal(content)
        whole = rows_from(targets, metric[hot], behaviour.dims, blend, appeal, cold=False)
        new = rows_from(learned.predicted, metric, behaviour.dims, blend, predicted, cold=True)
        d, p = sum(behaviour.dims), metric.shape[1]
        towers = TrainedTowers(
            ContentPlan(), learned.smoother, behaviour.metric, ids, whole, behaviour.embeddings.base,
            behaviour.covariances(metric[hot]), blend, Config().dislike_weight,
            Compression.none(d + 2 + p, d + p), np.zeros((p, whole.shape[1]), np.float32), learned.appeal,
        )
        rng = np.random.Generator(np.random.PCG64(seed))
        some = np.sort(rng.spawn(1)[0].permutation(len(hot))[:MOST_ROWS])
        both = np.vstack([whole[some], new[hot[some]]])
        compression = _compression(towers, columns_of(train, hot), both, width, rng)
        towers = replace(
            towers, rows=compression.rows(whole), compression=compression,
            correction=compression.rows(towers.correction),
        )
        return cls(towers, hot, compression.rows(new), metric)


def found_by(
    scores: Callable[[csr_matrix], Vectors], settings: Mapping[str, Setting]
) -> dict[str, Values]:
    """Ndcg@20 of each user [u] in settings, by what scores all items for histories [u, items]."""
    return {name: ndcgs_of(scores(one.histories)[:, one.candidates], one) for name, one in settings.items()}


def _compression(
    towers: TrainedTowers, train: csr_matrix, rows: Vectors, width: int, rng: np.random.Generator
) -> Compression:
    """The compression by which users' scores for whole rows [n, d + m] change least.

    The users are those of training, with their whole histories and with short ones.
    """
    some = train[np.sort(rng.permutation(train.shape[0])[:MOST_USERS])]
    ranks = np.arange(some.nnz) - np.repeat(some.indptr[:-1], np.diff(some.indptr))
    inputs, fade = towers.remembered(towers.rows), towers.blend.fade
    histories = some, kept(some, ranks < SHORT)
    sums = np.vstack([history_sums(one, inputs, fade) for one in histories])
    lengths = np.concatenate([np.diff(one.indptr) for one in histories])
    users, searched = towers.vectors(sums, lengths), towers.searched(rows)
    weights = importance(sums, towers.base, towers.covariances, towers.blend)
    return Compression.of(searched, users, sums, weights, width)
