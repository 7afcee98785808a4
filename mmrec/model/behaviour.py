"""The parts of a head, learned one after the other from the items that somebody chose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from torch.nn.functional import normalize, pad

from mmrec.encoders.base import Vectors
from mmrec.model.closed_form import regressions, truncated_svd
from mmrec.model.contrastive import Contrast, Net, Recipe, Watch, rows_at, train
from mmrec.model.kernel_ridge import Spans
from mmrec.model.metric import learned_metric
from mmrec.model.parts import SHORT, Behaviour, ItemEmbeddings, Metric
from mmrec.model.sequence import RATE, SequenceRecipe
from mmrec.model.towers import TrainedTowers

INPUT_SCALE = 4.0  # norm of a history that the item embeddings are shown; at 1, small towers learn slowly
NEW = 0.3  # share of the items that count as new in a step in which both towers learn
WARM = 2.0  # weight of the loss among known items, against that among all and that among new ones
SURE = math.log(2.0)  # log of what scores, which deviate by 1, are multiplied by to begin with
FASTER = 100.0  # times as fast as the rows this scale is learned


@dataclass(frozen=True, slots=True)
class Settings:
    """What a head is learned with.

    Attributes:
        rank: of the linear part, r.
        l2, dropout, user_power: of the linear part, as of `regressions`.
        most_regressed: the linear part is that of so many items at most, the most chosen ones.
        recipe: of the item embeddings.
        metric: recipe of the metric.
        towers: recipe of both towers together, which begin with what the parts have learned.
        sequence: of the sequence tower, where order counts.
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
    towers: Recipe = field(default_factory=lambda: Recipe(epochs=3, most_steps=1_000, learning_rate=1e-4))
    sequence: SequenceRecipe = field(default_factory=SequenceRecipe)
    ridge: float = 0.15
    landmarks: int = 4_096

    def going_on(self, times: int) -> Settings:
        """The same for parts that have learned most already: so many times fewer epochs, smaller steps."""
        recipe, metric = (
            replace(one, epochs=-(-one.epochs // times), learning_rate=RATE * one.learning_rate)
            for one in (self.recipe, self.metric)
        )
        return replace(self, recipe=recipe, metric=metric, sequence=self.sequence.going_on(times))

    def tried(self, times: int) -> Settings:
        """The same with so many times fewer epochs of the sequence tower, which tell its share."""
        return replace(self, sequence=replace(self.sequence, epochs=-(-self.sequence.epochs // times)))


class Start(NamedTuple):
    """Where to go on from: embeddings and a metric of the same items and content; None begins anew."""

    embeddings: ItemEmbeddings | None
    metric: Metric | None


def behaviour_of(
    histories: csr_matrix, content: Vectors, spans: Spans, settings: Settings, *, seed: int,
    weights: Vectors | None = None, start: Start | None = None, device: str | None = None,
    watch: Watch | None = None,
) -> Behaviour:
    """Learns all parts from histories [users, n] of items that all have users, and their content [n, c].

    Args:
        histories, seed, device, watch: as of `contrastive.train`; the watch is told of the item embeddings.
        spans: where each field lies in the content.
        weights: of a choice of each item [n], the inverse of how often it was shown; None: unknown.
            What users choose is what they like times what they are shown. So linear scores, which predict
            choices, are divided by the latter, and the embeddings learn beside its logarithm.

    Source: Schnabel et al. 2016, Recommendations as treatments, sect. 3 (inverse propensity); Yi et al. 2019,
    Sampling-bias-corrected neural modeling, eq. 3 (a logarithm beside the scores, in training alone).
    """
    counts = np.asarray(histories.sum(axis=0), np.float32).ravel()
    inputs, outputs = _linear(histories, counts, settings)
    embeddings = learned_embeddings(
        histories, settings.recipe, seed=seed, start=start and start.embeddings, weights=weights,
        device=device, watch=watch,
    )
    if weights is not None:
        outputs = outputs * weights[:, None]
    metric = learned_metric(
        histories, content, spans, settings.metric, seed=seed, start=start and start.metric, device=device
    )
    return Behaviour(inputs, outputs, embeddings, metric, counts)


def _linear(histories: csr_matrix, counts: Vectors, settings: Settings) -> tuple[Vectors, Vectors]:
    """Factors [n, r] of the regressions; zeros for items beyond the most chosen ones."""
    chosen = np.sort(np.argsort(-counts, kind="stable")[: settings.most_regressed])
    weights = regressions(
        histories[:, chosen], settings.l2, dropout=settings.dropout, user_power=settings.user_power
    )
    inputs, outputs = np.zeros((2, len(counts), settings.rank), np.float32)
    left, right = truncated_svd(weights, settings.rank)
    inputs[chosen, : left.shape[1]], outputs[chosen, : right.shape[1]] = left, right
    return inputs, outputs


def learned_embeddings(
    histories: csr_matrix, recipe: Recipe, *, seed: int, start: ItemEmbeddings | None = None,
    weights: Vectors | None = None, device: str | None = None, watch: Watch | None = None,
) -> ItemEmbeddings:
    """Item embeddings of histories [users, n]; without a start they begin at random, by the seed.

    Args:
        weights: as of `behaviour_of`.
    """
    net = _EmbeddingTables(start or _random(histories, recipe.dim, seed), weights, device)
    train(histories, net, recipe, seed=seed, device=device, watch=watch)
    learned = ItemEmbeddings(*(table.detach().cpu().numpy() for table in net.parameters))
    return learned._replace(input=INPUT_SCALE * learned.input)


class _EmbeddingTables(Net):
    def __init__(self, start: ItemEmbeddings, weights: Vectors | None, device: str | None) -> None:
        weights = np.ones(len(start.bias), np.float32) if weights is None else weights
        self.shown = torch.tensor(-np.log(weights), device=device or "cpu")
        scaled = start._replace(input=start.input / INPUT_SCALE)
        self.parameters: Sequence[torch.Tensor] = [
            torch.tensor(x, dtype=torch.float32, device=device or "cpu", requires_grad=True) for x in scaled
        ]

    @property
    def tables(self) -> Sequence[torch.Tensor]:
        """Inputs and outputs."""
        return self.parameters[0], self.parameters[2]

    def losses(self, shown: torch.Tensor, columns: torch.Tensor | None, contrast: Contrast) -> torch.Tensor:
        return contrast(self.scores(shown, columns))

    def scores(self, shown: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
        """Scores [b, m] of the candidates, which are these columns or all items, for histories [b, m]."""
        inputs, base, outputs, bias = self.parameters
        inputs, outputs = rows_at(inputs, columns), rows_at(outputs, columns)
        bias = bias + self.shown if columns is None else (bias + self.shown)[columns]
        weights = normalize(shown, dim=1)
        users = torch.tanh(INPUT_SCALE * weights @ inputs + base)  # [b, m] @ [m, h] -> [b, h]
        return users @ outputs.T + bias  # [b, h] @ [h, m] -> [b, m]


def _random(histories: csr_matrix, h: int, seed: int) -> ItemEmbeddings:
    """Small random embeddings; the more users an item has, the higher its bias."""
    n = histories.shape[1]
    rng = np.random.Generator(np.random.PCG64(seed))
    deviation = math.sqrt(2 / (n + h))  # Glorot's, as if both tables were layers
    first, second = (deviation * rng.standard_normal((2, n, h), np.float32)).astype(np.float32)
    bias = np.log1p(np.bincount(histories.indices, minlength=n)).astype(np.float32)
    return ItemEmbeddings(INPUT_SCALE * first, np.zeros(h, np.float32), second, bias - bias.mean())


def learned_towers(
    histories: csr_matrix, towers: TrainedTowers, new: Vectors, metric: Vectors, recipe: Recipe, *, seed: int,
    device: str | None = None,
) -> TrainedTowers:
    """Towers that have learned together from histories [users, n], taught by themselves as they were.

    Args:
        new: rows [n, w] of the same items as if nobody had chosen them.
        metric: of the items [n, p].

    Source: Hinton, Vinyals & Dean 2015, Distilling the knowledge in a neural network.
    """
    net = _TowersNet(towers, new, metric, device)
    train(histories, net, recipe, seed=seed, device=device)
    correction, change, _ = (one.detach().cpu().numpy() for one in net.parameters)
    rows = towers.rows + metric @ correction + change
    return replace(towers, rows=rows, correction=towers.correction + correction)


class _TowersNet(Net):
    """The item tower: rows as they were, a correction by the metric, and of known items a change each."""

    def __init__(self, towers: TrainedTowers, new: Vectors, metric: Vectors, device: str | None) -> None:
        def held(x: ArrayLike) -> torch.Tensor:
            return torch.tensor(x, dtype=torch.float32, device=device or "cpu")

        blend, (r, h) = towers.blend, towers.dims
        self.known, self.new, self.metric, self.base = map(held, (towers.rows, new, metric, towers.base))
        self.restored, self.users = held(towers.compression.restored), held(towers.compression.users)
        self.covariances = [held(x) for x in towers.covariances]
        self.short = held(np.array(blend.short.over(blend.warm)))
        self.widths = [r, h, self.restored.shape[1] - r - h]
        first = np.zeros((metric.shape[1], new.shape[1])), np.zeros_like(new), SURE / FASTER
        self.parameters: Sequence[torch.Tensor] = [held(one).requires_grad_() for one in first]
        self.generator = torch.Generator()

    @property
    def tables(self) -> Sequence[torch.Tensor]:
        """The change of each item."""
        return (self.parameters[1],)

    def begin(self, generator: torch.Generator) -> None:
        """Which items count as new is drawn anew in each step."""
        self.generator = generator

    def losses(self, shown: torch.Tensor, columns: torch.Tensor | None, contrast: Contrast) -> torch.Tensor:
        correction, change, scale = self.parameters
        some = slice(None) if columns is None else columns
        fresh = torch.rand(shown.shape[1], generator=self.generator).to(shown.device) < NEW  # [m]
        shown = shown * ~fresh  # as nobody has a new item in his history
        before = torch.where(fresh[:, None], self.new[some], self.known[some])  # [m, w]
        now = before + self.metric[some] @ correction + rows_at(change, columns) * ~fresh[:, None]
        scores = (FASTER * scale).exp() * self._products(shown, now)
        with torch.no_grad():
            taught = math.exp(SURE) * self._products(shown, before)
        groups = [(torch.ones_like(fresh), 1.0), (fresh, 1.0), (~fresh, WARM)]
        losses = [weight * contrast(scores, among, taught) for among, weight in groups]
        return torch.stack(losses).sum(dim=0)  # [3, b] -> [b]

    def _products(self, shown: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Users of histories [b, m] times items of rows [m, w]: [b, m]; the user tower is `TrainedTowers`."""
        k = self.users.shape[1]
        sums = normalize(shown, dim=1) @ rows[:, k:] @ self.restored  # [b, m] @ [m, l] @ [l, r + h + p]
        linear, embedded, metric = torch.split(sums, self.widths, dim=1)
        parts = linear, pad(torch.tanh(embedded + self.base), (0, 1), value=1.0), metric
        pairs = zip(parts, self.covariances, strict=True)
        variances = [((x @ covariance) * x).sum(dim=1, keepdim=True) for x, covariance in pairs]
        few = ((shown > 0).sum(dim=1, keepdim=True) <= SHORT).float()  # [b, 1]
        shares = few * self.short + (1 - few)  # [b, 3]
        linear, embedded, metric = (
            share[:, None] * x / variance.clamp(min=1e-12).sqrt()
            for x, variance, share in zip(parts, variances, shares.T, strict=True)
        )
        users = torch.cat([pad(torch.cat([linear, embedded], dim=1), (0, 1), value=1.0), metric], dim=1)
        return users @ self.users @ rows[:, :k].T  # [b, d] @ [d, k] @ [k, m]
