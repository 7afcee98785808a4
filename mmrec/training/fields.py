"""How much each field says of behaviour: weights that predict every item best from all the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.evaluate.metrics import METRICS, hits_of
from mmrec.evaluate.run import best_candidates
from mmrec.head.behaviour import Behaviour
from mmrec.head.kernels import FieldKernel, Spans, exact_ridge
from mmrec.training.answers import history_sums

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_ITEMS = 3_000  # that are predicted, each from the others
MOST_USERS = 2_000  # who rank them
FACTORS = (2.0, 0.5)  # by which a weight is tried, again and again while it helps
STEPS = 2
LEAST_GAIN = 1.001  # less is chance


def weighed_fields(
    content: Vectors, spans: Spans, start: Mapping[str, float], behaviour: Behaviour, train: csr_matrix,
    ridge: float, rng: np.random.Generator,
) -> FieldKernel:
    """The kernel of the content tower, its field weights found one after the other.

    Every item is predicted from the content of the others, as if nobody had chosen it; the weights shall rank
    high what each user has chosen. As the linear half never lets an item speak for itself, a history that
    holds the item gives nothing away. All items take part, which a validation on some of them cannot offer.

    Args:
        content: of the items that somebody chose [n, c].
        start: weights to begin with.
        train: histories [users, n].
    """
    some = np.sort(rng.permutation(len(content))[:MOST_ITEMS])
    users = np.sort(rng.permutation(train.shape[0])[:MOST_USERS])
    content, targets = content[some], behaviour.taken[some]
    sums = history_sums(train[users], behaviour.given, 1.0)  # [u, r]
    quality = _judge(sums, targets, train[users][:, some], ridge)
    kernel = FieldKernel.of(content, spans, start)
    parts = kernel.by_field(content, content)

    def tried(weights: Mapping[str, float]) -> float:
        return quality(replace(kernel, weights=weights).mixed(parts, content, content))

    weights, best = dict(kernel.weights), tried(kernel.weights)
    for name in spans if len(spans) > 1 else ():  # a single field has nothing to be weighed against
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
    return replace(kernel, weights=weights)


def _judge(sums: Vectors, targets: Vectors, chosen: csr_matrix, ridge: float) -> Callable[[Vectors], float]:
    """Mean ndcg@20 of users [u, r] for items that likenesses [n, n] predict, each from the others."""
    counts = np.diff(chosen.indptr)
    asked = counts > 0
    chosen, sums, counts = chosen[asked], sums[asked], counts[asked]
    nothing, every = chosen[:, :0].copy(), np.arange(len(targets), dtype=np.int32)
    nothing.resize(chosen.shape)

    def quality(gram: Vectors) -> float:
        _, predicted = exact_ridge(gram, targets, ridge)
        top = best_candidates(sums @ predicted.T, nothing, every, 20)  # [u, r] @ [r, n]
        return float(METRICS["ndcg"](hits_of(top, chosen), counts).mean())

    return quality
