"""The parts of a head, learned one after the other from the items that somebody chose."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.model.closed_form import Spans, regressions, truncated_svd
from mmrec.model.contrastive import Recipe, Watch
from mmrec.model.item_embeddings import ItemEmbeddings, learned_embeddings
from mmrec.model.metric import Metric, learned_metric

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

RATE = 0.5  # learning rate of a training that goes on from another, against that of one from the start


@dataclass(frozen=True, slots=True)
class Settings:
    """What a head is learned with.

    Attributes:
        rank: of the linear part, r.
        l2: as of `regressions`.
        dropout, user_power: as of `regressions`.
        most_regressed: the linear part is that of so many items at most, the most chosen ones.
        recipe: of the item embeddings.
        metric: recipe of the metric.
        ridge: of the content tower.
        landmarks: of the content tower, at most.
    """

    rank: int = 256
    l2: float = 500.0
    dropout: float = 0.3
    user_power: float = 0.5
    most_regressed: int = 8_000
    recipe: Recipe = field(default_factory=Recipe)
    metric: Recipe = field(default_factory=lambda: Recipe(dim=384, epochs=4, learning_rate=5e-4, kept=0.7))
    ridge: float = 0.15
    landmarks: int = 4_096

    def going_on(self, times: int) -> Settings:
        """The same for parts that have learned most already: so many times fewer epochs, smaller steps."""
        recipe, metric = (
            replace(one, epochs=-(-one.epochs // times), learning_rate=RATE * one.learning_rate)
            for one in (self.recipe, self.metric)
        )
        return replace(self, recipe=recipe, metric=metric)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All parts, of the n items that somebody chose.

    Attributes:
        linear_input, linear_output: factors of the linear part, of an item in a history and as a candidate
            [n, r]: a score is the sum of a history's inputs times the candidate's output.
        embeddings: the item embeddings, of width h.
        metric: of content.
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


class Start(NamedTuple):
    """Where to go on from: embeddings and a metric of the same items and content."""

    embeddings: ItemEmbeddings
    metric: Metric


def behaviour_of(
    train: csr_matrix, content: Vectors, spans: Spans, settings: Settings, *, seed: int,
    start: Start | None = None, device: str | None = None, watch: Watch | None = None,
) -> Behaviour:
    """Learns all parts from histories [users, n] of items that all have users, and their content [n, c]."""
    counts = np.asarray(train.sum(axis=0), np.float32).ravel()
    inputs, outputs = _linear(train, counts, settings)
    embeddings = learned_embeddings(
        train, settings.recipe, seed=seed, start=start and start.embeddings, device=device, watch=watch
    )
    metric = learned_metric(
        train, content, spans, settings.metric, seed=seed, start=start and start.metric, device=device
    )
    return Behaviour(inputs, outputs, embeddings, metric, counts)


def _linear(train: csr_matrix, counts: Vectors, settings: Settings) -> tuple[Vectors, Vectors]:
    """Factors [n, r] of the regressions; zeros for items beyond the most chosen ones."""
    chosen = np.sort(np.argsort(-counts, kind="stable")[: settings.most_regressed])
    weights = regressions(
        train[:, chosen], settings.l2, dropout=settings.dropout, user_power=settings.user_power
    )
    inputs, outputs = np.zeros((2, len(counts), settings.rank), np.float32)
    left, right = truncated_svd(weights, settings.rank)
    inputs[chosen, : left.shape[1]], outputs[chosen, : right.shape[1]] = left, right
    return inputs, outputs
