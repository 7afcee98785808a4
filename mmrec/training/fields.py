"""How much each field says of behaviour: weights that predict items best from all the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.evaluate.metrics import METRICS, hits_of
from mmrec.evaluate.run import best_candidates
from mmrec.head.behaviour import Behaviour
from mmrec.head.kernels import FieldKernel, Spans, folds_left_out
from mmrec.training.answers import history_sums

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_ITEMS = 1_500  # that are predicted
MOST_USERS = 2_000  # who rank them
FOLDS = 5  # of items that take turns in being new
FACTORS = (2.0, 0.5)  # by which a weight is tried, again and again while it helps
STEPS = 2
LEAST_GAIN = 1.002  # less is chance


def weighed_fields(
    content: Vectors, spans: Spans, start: Mapping[str, float], behaviour: Behaviour, train: csr_matrix,
    ridge: float, rng: np.random.Generator,
) -> FieldKernel:
    """The kernel of the content tower, its field weights found one after the other.

    A fifth of the items at a time is predicted from the content of the others and taken out of the histories,
    as if nobody had chosen it; the weights shall rank high among them what each user has chosen. (One item
    at a time would not do: what is predicted without an item's own users is lower for just those users.)
    All items take part, which a validation on some of them cannot offer.

    Args:
        content: of the items that somebody chose [n, c].
        start: weights to begin with.
        train: histories [users, n].
    """
    some = np.sort(rng.permutation(len(content))[:MOST_ITEMS])
    users = np.sort(rng.permutation(train.shape[0])[:MOST_USERS])
    kernel = FieldKernel.of(content[some], spans, start)
    parts = list(kernel.by_field(content[some], content[some]))
    folds = np.array_split(rng.permutation(len(some)), min(FOLDS, len(some)))
    questions = [_question(train[users], behaviour, some[fold]) for fold in folds]
    targets = behaviour.taken[some]

    def tried(weights: Mapping[str, float]) -> float:
        gram = replace(kernel, weights=weights).mixed(parts, content[some], content[some])
        predicted = folds_left_out(gram, targets, ridge, folds)
        return float(np.mean([one.ndcg(new) for one, new in zip(questions, predicted, strict=True)]))

    if len(spans) == 1:
        return kernel  # there is nothing to weigh it against
    return replace(kernel, weights=_climbed(dict(kernel.weights), tried))


def _climbed(weights: dict[str, float], tried: Callable[[Mapping[str, float]], float]) -> dict[str, float]:
    """Weights after each was doubled or halved as often as it helped."""
    best = tried(weights)
    for name in weights:
        for factor in FACTORS:
            before = weights[name]
            for _ in range(STEPS):
                other = weights | {name: factor * weights[name]}
                found = tried(other)
                if found < LEAST_GAIN * best:
                    break
                weights, best = other, found
            if weights[name] != before:
                break
    return weights


class _Question(NamedTuple):
    """Users who chose some of the items of a fold.

    Attributes:
        sums: of their histories without these items [u, r].
        chosen: of these items [u, f].
    """

    sums: Vectors
    chosen: csr_matrix

    def ndcg(self, predicted: Vectors) -> float:
        """Mean ndcg@20 of a ranking by what is predicted of the items [f, r]."""
        every = np.arange(len(predicted), dtype=np.int32)
        nothing = self.chosen[:, :0].copy()
        nothing.resize(self.chosen.shape)
        top = best_candidates(self.sums @ predicted.T, nothing, every, 20)  # [u, r] @ [r, f]
        return float(METRICS["ndcg"](hits_of(top, self.chosen), np.diff(self.chosen.indptr)).mean())


def _question(histories: csr_matrix, behaviour: Behaviour, fold: NDArray[np.intp]) -> _Question:
    chosen = histories[:, fold]
    asked = np.diff(chosen.indptr) > 0
    given = behaviour.given.copy()
    given[fold] = 0
    return _Question(history_sums(histories[asked], given, 1.0), chosen[asked])
