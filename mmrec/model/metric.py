"""The metric of content: fields weighed, directions strengthened, and a projection, all by what users choose.

A small log can tell how much each field counts, which takes one number a field, where it cannot yet tell how
much each of a thousand directions does. So the metric begins with weights of fields, goes on to how strongly
the weaker directions of content count, and ends with a projection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch.nn.functional import normalize

from mmrec.encoders.base import Vectors
from mmrec.model.contrastive import Contrast, Net, Recipe, train
from mmrec.model.kernel_ridge import Spans
from mmrec.model.parts import Metric

WHITENING = (0.0, 0.25, 0.5)  # powers of the deviations by which the directions of content may be divided
SCALE = 14.0  # what cosines are multiplied by to begin with, an inverse temperature
POPULARITY = 0.3  # weight of the popularity prior to begin with
FIELD_DROPOUT = 0.1  # of each field of an item in each epoch, as items lack fields
MOST_SAMPLED = 20_000  # items that the directions are estimated on
FEW_ITEMS, FEW_USERS = 1_000, 600  # that weights of fields and strengths of directions are learned from
BRIEF = Recipe(epochs=6, learning_rate=0.1)  # with few numbers, steps may be large


def learned_metric(
    histories: csr_matrix, content: Vectors, spans: Spans, recipe: Recipe, *, seed: int,
    start: Metric | None = None, device: str | None = None,
) -> Metric:
    """The metric of content [n, c] in which items of one history [users, n] lie together.

    Args:
        spans: where each field lies in the content.
        recipe: `dim` is the most directions that are kept, p.
        seed: also of the fields that are dropped.
        start: None starts from the content's own main directions, its fields weighed.
    """
    start = start or starting(histories, content, spans, recipe.dim, seed=seed)
    net = _MetricNet(start, histories, content, spans, device)
    train(histories, net, recipe, seed=seed, device=device)
    projection: Vectors = net.parameters[0].detach().cpu().numpy()
    return Metric(start.projection @ projection)  # [c, p] @ [p, p]


def starting(histories: csr_matrix, content: Vectors, spans: Spans, p: int, *, seed: int) -> Metric:
    """The p main directions of content [n, c], whose fields weigh what makes the histories likeliest.

    So are the directions' strengths: they are divided by that power of their deviations.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    sampled, some = _few(histories, rng)
    weights = np.sqrt(field_weights(some, content[sampled], spans, histories, sampled, seed=seed))
    scales = np.ones(content.shape[1], np.float32)
    for weight, span in zip(weights, spans.values(), strict=True):
        scales[span] = weight
    deviations, directions = _directions(content * scales, p, rng)
    starts = [Metric(scales[:, None] * (directions / deviations**power)) for power in WHITENING]
    prior = _prior(histories, sampled)
    cosines = [one(content[sampled]) for one in starts]  # [m, p] each
    losses = [_briefly(some, _ProductsNet([x @ x.T], prior), seed) for x in cosines]
    return starts[int(np.argmin(losses))]


def field_weights(
    some: csr_matrix, content: Vectors, spans: Spans, histories: csr_matrix, sampled: NDArray[np.intp], *,
    seed: int,
) -> Vectors:
    """Weight of each field's inner products [fields] that makes these histories [users, m] likeliest.

    Args:
        content: of the m sampled items [m, c].
        histories: whole ones [users, n], from which the items' popularity is known.
    """
    if len(spans) == 1:
        return np.ones(1, np.float32)
    fields = [content[:, span] for span in spans.values()]
    net = _ProductsNet([x @ x.T for x in fields], _prior(histories, sampled))  # [m, c] @ [c, m]
    _briefly(some, net, seed)
    logs = net.parameters[0].detach().numpy()
    weights: Vectors = np.exp(logs - logs.mean())
    return weights


def _few(histories: csr_matrix, rng: np.random.Generator) -> tuple[NDArray[np.intp], csr_matrix]:
    """Positions of some items [m], and histories of these alone [users, m]: all items of users drawn."""
    found: set[int] = set()
    for user in rng.permutation(histories.shape[0]):
        found.update(histories.indices[histories.indptr[user] : histories.indptr[user + 1]].tolist())
        if len(found) >= FEW_ITEMS:
            break
    sampled = np.sort(rng.permutation(np.array(sorted(found), np.intp))[:FEW_ITEMS])
    some = histories[:, sampled]
    enough = np.flatnonzero(np.diff(some.indptr) > 1)
    return sampled, some[rng.permutation(enough)[:FEW_USERS]]


def _prior(histories: csr_matrix, sampled: NDArray[np.intp]) -> torch.Tensor:
    """How popular sampled items are among all users, in logs [m]."""
    counts = np.bincount(histories.indices, minlength=histories.shape[1])[sampled]
    return torch.from_numpy(np.log1p(counts).astype(np.float32))


def _briefly(some: csr_matrix, net: Net, seed: int) -> float:
    """Trains a net of few parameters; returns its mean loss in the last third of the epochs."""
    losses: list[float] = []
    train(some, net, BRIEF, seed=seed, watch=lambda told: losses.append(told["loss"]))
    return float(np.mean(losses[-(len(losses) // 3) :])) if losses else 0.0


def _directions(content: Vectors, p: int, rng: np.random.Generator) -> tuple[Vectors, Vectors]:
    """Deviations [p], the largest 1, and main directions [c, p] of content [n, c]."""
    some = np.sort(rng.permutation(len(content))[:MOST_SAMPLED])
    covariance = content[some].T @ content[some] / np.float32(len(some))  # [c, n] @ [n, c]
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = variances[::-1][:p], directions[:, ::-1][:, :p]  # [c, p]
    kept = variances > 1e-8 * max(float(variances[0]), 1e-12)
    return np.sqrt(variances[kept] / variances[0]), directions[:, kept]


class _ProductsNet(Net):
    """Inner products of items by fields [fields, m, m], each with a weight, and a prior of popularity."""

    def __init__(self, products: Sequence[Vectors], prior: torch.Tensor) -> None:
        self.products, self.prior = torch.from_numpy(np.stack(products)), prior
        first = torch.full((len(products),), math.log(SCALE)), torch.tensor(POPULARITY)
        self.parameters: Sequence[torch.Tensor] = [one.requires_grad_() for one in first]

    def losses(self, shown: torch.Tensor, columns: torch.Tensor | None, contrast: Contrast) -> torch.Tensor:  # noqa: ARG002 - all are candidates
        logs, power = self.parameters
        products = torch.einsum("f,fnm->nm", logs.exp(), self.products)
        return contrast(normalize(shown, dim=1) @ products + power * self.prior)  # [b, m] @ [m, m]


class _MetricNet(Net):
    """A projection of the starting directions, a scale of cosines, and a prior of popularity."""

    def __init__(
        self, start: Metric, histories: csr_matrix, content: Vectors, spans: Spans, device: str | None
    ) -> None:
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
        content = self.content
        if len(self.spans) > 1:
            content = content.copy()
            for span in self.spans.values():
                dropped = torch.rand(len(content), generator=generator).numpy() < FIELD_DROPOUT
                content[dropped, span] = 0
        self.items = torch.from_numpy(self.start(content)).to(self.device)

    def losses(self, shown: torch.Tensor, columns: torch.Tensor | None, contrast: Contrast) -> torch.Tensor:
        return contrast(self.scores(shown, columns))

    def scores(self, shown: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
        """Scores [b, m] of the candidates, which are these columns or all items, for histories [b, m]."""
        projection, log_scale, power = self.parameters
        items, prior = self.items, self.prior
        if columns is not None:
            items, prior = items[columns], prior[columns]
        items = normalize(items @ projection, dim=1)  # [m, p] @ [p, p]
        users = normalize(shown @ items, dim=1)  # [b, m] @ [m, p] -> [b, p]
        return log_scale.exp() * users @ items.T + power * prior  # [b, p] @ [p, m] -> [b, m]
