"""The part of a head that reads content alone: a metric in which items of one history lie together.

Both towers share it and it does not depend on who chose an item, so it knows cold items as well as warm
ones. It matters most where each item has few users.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mmrec.encoders.base import Vectors, unit
from mmrec.model.closed_form import Spans
from mmrec.model.contrastive import Recipe, Watch, train

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_matrix

WHITENING = 0.5  # power of the deviations by which the directions of content are divided to begin with
SCALE = 14.0  # what cosines are multiplied by to begin with, an inverse temperature
POPULARITY = 0.3  # weight of the popularity prior to begin with
FIELD_DROPOUT = 0.1  # of each field of an item in each epoch, as items lack fields
MOST_SAMPLED = 20_000  # items that the directions are estimated on


class Metric(NamedTuple):
    """A linear map of content, after which cosines are what counts.

    Attributes:
        projection: [c, p].
    """

    projection: Vectors

    def __call__(self, content: Vectors) -> Vectors:
        """Items [n, p] by their content [n, c], at norm 1; zeros of an item without any."""
        return unit(content @ self.projection)  # [n, c] @ [c, p]


def learned_metric(
    histories: csr_matrix, content: Vectors, spans: Spans, recipe: Recipe, *, seed: int,
    start: Metric | None = None, device: str | None = None, watch: Watch | None = None,
) -> Metric:
    """Learns from histories [users, n] of items and their content [n, c].

    Args:
        histories, device, watch: as of `contrastive.train`.
        spans: where each field lies in the content.
        recipe: `dim` is the most directions that are kept, p.
        seed: also of the fields that are dropped.
        start: where to go on from; None starts from the content's own main directions, whitened in part.
    """
    start = start or whitened(content, recipe.dim, np.random.Generator(np.random.PCG64(seed)))
    net = _MetricNet(start, histories, content, spans, device)
    train(histories, net, recipe, seed=seed, device=device, watch=watch)
    return net.learned()


def whitened(content: Vectors, p: int, rng: np.random.Generator) -> Metric:
    """The p main directions of content [n, c], each divided by a power of its deviation."""
    some = np.sort(rng.permutation(len(content))[:MOST_SAMPLED])
    covariance = content[some].T @ content[some] / np.float32(len(some))  # [c, n] @ [n, c]
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = variances[::-1][:p], directions[:, ::-1][:, :p]  # [c, p]
    kept = variances > 1e-8 * max(float(variances[0]), 1e-12)
    deviations = np.sqrt(variances[kept] / variances[0])
    return Metric(np.ascontiguousarray(directions[:, kept] / deviations**WHITENING, np.float32))


class _MetricNet:
    """A projection of the starting directions, a scale of cosines, and a prior of popularity."""

    def __init__(
        self, start: Metric, histories: csr_matrix, content: Vectors, spans: Spans, device: str | None
    ) -> None:
        import torch

        self.device = torch.device(device or "cpu")
        self.start, self.content, self.spans = start, content, spans
        counts = np.bincount(histories.indices, minlength=len(content)).astype(np.float32)
        self.prior = torch.from_numpy(np.log1p(counts)).to(self.device)
        scale, power = torch.tensor(math.log(SCALE)), torch.tensor(POPULARITY)
        first = torch.eye(start.projection.shape[1]), scale, power
        self.parameters: Sequence[torch.Tensor] = [one.to(self.device).requires_grad_() for one in first]
        self.items = torch.empty(0)

    def begin(self, generator: torch.Generator) -> None:
        """All items in the starting directions, some of their fields dropped."""
        import torch

        content = self.content
        if len(self.spans) > 1:
            content = content.copy()
            for span in self.spans.values():
                dropped = torch.rand(len(content), generator=generator).numpy() < FIELD_DROPOUT
                content[dropped, span] = 0
        self.items = torch.from_numpy(self.start(content)).to(self.device)

    def scores(self, shown: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
        """Scores [b, m] of the candidates."""
        from torch.nn.functional import normalize

        projection, log_scale, power = self.parameters
        items, prior = self.items, self.prior
        if columns is not None:
            items, prior = items[columns], prior[columns]
        items = normalize(items @ projection, dim=1)  # [m, p] @ [p, p]
        users = normalize(shown @ items, dim=1)  # [b, m] @ [m, p] -> [b, p]
        return log_scale.exp() * users @ items.T + power * prior  # [b, p] @ [p, m] -> [b, m]

    def learned(self) -> Metric:
        """The starting directions, projected."""
        projection: Vectors = self.parameters[0].detach().cpu().numpy()
        return Metric(self.start.projection @ projection)  # [c, p] @ [p, p]
