"""Training of the small map behind a frozen encoder, on pairs of embeddings that belong together.

What belongs together is told by whoever makes the batches: items that one user chose, or views of one item.
The run keeps the map that did best on held-out items, and stops where embeddings collapse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmrec.encoders.adapted import Adapter
from mmrec.encoders.base import Vectors, unit
from mmrec.training.model import Report

MOST_WATCHED = 1_000  # held-out items whose spread is looked at after each epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRecipe:
    """Settings of a training.

    Attributes:
        rank: numbers that the change of an embedding goes through.
        temperature: that cosines are divided by in a contrast.
        closeness: weight of the distance to the frozen embedding.
        patience: epochs without a better loss on held-out items after which it stops.
        collapsed: share of the frozen embeddings' effective rank below which it stops.
    """

    rank: int = 128
    epochs: int = 60
    batch_size: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    dropout: float = 0.2
    temperature: float = 0.07
    closeness: float = 0.5
    patience: int = 5
    collapsed: float = 0.3


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of embeddings that belong together.

    Attributes:
        left, right: centred embeddings [b, e], row by row.
        frequencies: log of how often each row's item is drawn [2, b], left and right; 0 where all are alike.
        own: which right rows [b, b], and which left rows, each row is no stranger to, besides its partner.
    """

    left: Tensor
    right: Tensor
    frequencies: Tensor | None = None
    own: tuple[Tensor, Tensor] | None = None


Loss = Callable[["AdapterNet", Batch], Tensor]
Figures = dict[str, float]  # of an epoch


class AdapterNet(nn.Module):
    """The map of centred embeddings as it is learned; at the start it changes nothing."""

    def __init__(self, dim: int, recipe: AdapterRecipe, generator: torch.Generator) -> None:
        super().__init__()
        rank = min(recipe.rank, dim)
        self.down = nn.Parameter(torch.randn(dim, rank, generator=generator) / dim**0.5)
        self.up = nn.Parameter(torch.zeros(rank, dim))
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Unit embeddings [b, e] of centred ones [b, e]."""
        x = normalize(x, dim=1)
        changed: Tensor = self.dropout(x) @ self.down @ self.up  # [b, e] @ [e, r] @ [r, e]
        return normalize(x + changed, dim=1)


@dataclass(slots=True)
class Trained:
    """A map, or None where a whole model was trained; how it went, and why it stopped early, if it did."""

    adapter: Adapter | None
    curves: list[Figures] = field(default_factory=list)
    stopped: str | None = None
    best: float = 0  # epoch that was kept


@dataclass(frozen=True, slots=True)
class Spread:
    """Whether embeddings collapse.

    Attributes:
        alignment: mean squared distance of two that belong together.
        uniformity: how evenly they lie on the sphere; lower is more even.
        rank: how many directions they use.

    Source: Wang & Isola 2020, Understanding contrastive representation learning through alignment and
    uniformity on the hypersphere; Garrido et al. 2023, RankMe.
    """

    alignment: float
    uniformity: float
    rank: float

    @classmethod
    def of(cls, left: Vectors, right: Vectors) -> Spread:
        """Of unit embeddings [n, e] and of those that belong to them [n, e]."""
        distances = 2 - 2 * (left @ left.T)[np.triu_indices(len(left), 1)]
        values = np.sqrt(np.maximum(np.linalg.eigvalsh(left @ left.T), 0))  # singular values
        shares = values / max(float(values.sum()), 1e-12) + 1e-7
        return cls(
            alignment=float(np.square(left - right).sum(axis=1).mean()),
            uniformity=float(np.log(np.exp(-2 * distances).mean())) if len(distances) else 0.0,
            rank=float(np.exp(-(shares * np.log(shares)).sum())),
        )


def contrast(recipe: AdapterRecipe) -> Loss:
    """The loss by which a row's partner is to be found among those of the other rows, from both sides.

    Frequent items are strangers to many rows, for which the logits are corrected; what a user chose too is
    no stranger.

    Source: van den Oord et al. 2018, InfoNCE; Yi et al. 2019, Sampling-bias-corrected neural modeling, eq. 3.
    """

    def loss(net: AdapterNet, batch: Batch) -> Tensor:
        left, right = net(batch.left), net(batch.right)
        scores = left @ right.T / recipe.temperature  # [b, e] @ [e, b]
        found = torch.tensor(0.0)
        for side, logits in enumerate((scores, scores.T)):
            if batch.frequencies is not None:
                logits = logits - batch.frequencies[1 - side]
            if batch.own is not None:
                logits = logits.masked_fill(batch.own[side], -torch.inf)
            found = found + nn.functional.cross_entropy(logits, torch.arange(len(logits))) / 2
        return found + recipe.closeness * closeness(batch, left, right)

    return loss


def closeness(batch: Batch, left: Tensor, right: Tensor) -> Tensor:
    """Mean of 1 - cosine of adapted and frozen embeddings."""
    pairs = ((left, batch.left), (right, batch.right))
    return sum((1 - (new * normalize(old, dim=1)).sum(dim=1).mean() for new, old in pairs), torch.tensor(0.0))


def train_adapter(
    mean: Vectors, batches: Callable[[], Iterable[Batch]], loss: Loss, held_out: Sequence[Batch],
    recipe: AdapterRecipe, *, seed: int, deadline: float = np.inf, held_out_loss: Loss | None = None,
    more: Sequence[nn.Parameter] = (), after_step: Callable[[AdapterNet], None] | None = None,
    watch: Report | None = None,
) -> Trained:
    """Trains a map; returns the one that was best on held-out pairs, by their loss.

    Args:
        mean: of the catalogue's embeddings [e].
        batches: gives those of one epoch.
        deadline: when to stop, as `time.monotonic` tells it.
        held_out_loss: of held-out pairs, where it is another.
        more: parameters that learn beside the map.
        after_step: called after each step.
        watch: called with the figures of each epoch.
    """
    torch.manual_seed(seed)  # of the dropout
    net = AdapterNet(len(mean), recipe, torch.Generator().manual_seed(seed))
    optimiser = torch.optim.AdamW(
        [*net.parameters(), *more], lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    judge, watched = held_out_loss or loss, _watched(held_out)
    start = best = _judged(net, judge, held_out, watched, 0)
    kept, trained = _adapter(net, mean), Trained(_adapter(net, mean), [best])
    for epoch in range(1, recipe.epochs + 1):
        began = time.monotonic()
        losses = _epoch(net.train(), batches(), loss, optimiser, after_step)
        now = _judged(net, judge, held_out, watched, epoch) | {"loss": float(np.mean(losses))}
        trained.curves.append(now)
        if watch:
            watch({"stage": "adapting", **now, "seconds": time.monotonic() - began})
        if now["held_out"] < best["held_out"] and now["rank"] >= recipe.collapsed * start["rank"]:
            best, kept = now, _adapter(net, mean)
        trained.stopped = why_to_stop(now, best, start, recipe.collapsed, recipe.patience, deadline)
        if trained.stopped:
            break
    trained.adapter, trained.best = kept, best["epoch"]
    return trained


def why_to_stop(
    now: Figures, best: Figures, start: Figures, collapsed: float, patience: int, deadline: float
) -> str | None:
    """Why a training stops after an epoch with these figures, if it does.

    Args:
        best, start: figures of the best epoch on held-out items, and before the first.
        collapsed: share of the first effective rank that must be left.
        patience: epochs without a better one.
        deadline: as `time.monotonic` tells it.
    """
    if now["rank"] < collapsed * start["rank"]:
        return f"embeddings collapse: effective rank {now['rank']:.0f} of {start['rank']:.0f}"
    if now["epoch"] - best["epoch"] >= patience:
        return "no better on held-out items"
    return "out of time" if time.monotonic() > deadline else None


def _epoch(
    net: AdapterNet, batches: Iterable[Batch], loss: Loss, optimiser: torch.optim.Optimizer,
    after_step: Callable[[AdapterNet], None] | None,
) -> list[float]:
    """One pass over the batches; returns their losses."""
    losses = []
    for batch in batches:
        value = loss(net, batch)
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(value.detach()))
        if after_step:
            after_step(net)
    return losses


def _judged(
    net: AdapterNet, loss: Loss, held_out: Sequence[Batch], watched: tuple[Tensor, Tensor], epoch: int
) -> Figures:
    """The figures of an epoch."""
    net.eval()
    with torch.no_grad():
        losses = [float(loss(net, batch)) for batch in held_out]
        left, right = (net(x).numpy() for x in watched)
    mean = float(np.mean(losses))
    return {"epoch": epoch, "loss": mean, "held_out": mean, **asdict(Spread.of(left, right))}


def _watched(held_out: Sequence[Batch]) -> tuple[Tensor, Tensor]:
    left, right = (torch.cat([getattr(batch, side) for batch in held_out]) for side in ("left", "right"))
    return left[:MOST_WATCHED], right[:MOST_WATCHED]


def _adapter(net: AdapterNet, mean: Vectors) -> Adapter:
    down, up = (one.detach().numpy().copy() for one in (net.down, net.up))
    return Adapter(mean, down, up)


def centred(x: Vectors, mean: Vectors) -> Tensor:
    """Embeddings [n, e] as a tensor [n, e] around their mean."""
    return torch.from_numpy(unit(x) - mean)
