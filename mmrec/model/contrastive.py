"""How towers learn which items a history leads to: a part of it is shown, the rest is to be found."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_matrix

def contrastive_loss(
    scores: torch.Tensor, targets: torch.Tensor, *, hidden: torch.Tensor | None = None,
    log_q: torch.Tensor | None = None, temperature: float = 1.0,
) -> torch.Tensor:
    """Cross-entropy [b] of each user's targets under a softmax over the candidates (InfoNCE).

    Args:
        scores: of m candidates for b users, [b, m].
        targets: weight of each candidate as a target [b, m]; 0 for what the user did not choose.
        hidden: candidates that are neither right nor wrong for a user [b, m], true to leave them out: what
            is in the history already, or would be right as well.
        log_q: log of the probability that a candidate is among the m [m]. Candidates that a sample draws more
            often would be pushed down for it; taking `log_q` off their scores makes the sampled softmax
            an unbiased estimate of the full one. None if all items are candidates.
        temperature: smaller is sharper.

    Source: van den Oord, Li & Vinyals 2018, eq. 4 (InfoNCE); Yi et al. 2019, Sampling-bias-corrected neural
    modeling, eq. 3 (logQ); Liang et al. 2018, Variational autoencoders for collaborative filtering, eq. 2.
    """
    logits = scores / temperature
    if log_q is not None:
        logits = logits - log_q
    if hidden is not None:
        logits = logits.masked_fill(hidden, float("-inf"))
    chosen = logits.masked_fill(targets == 0, 0.0)  # what is hidden weighs 0, and 0 x -inf is no number
    totals = targets.sum(dim=1)
    return totals * logits.logsumexp(dim=1) - (targets * chosen).sum(dim=1)


def presence(counts: torch.Tensor, users: int, batch: int, negatives: int) -> torch.Tensor:
    """Probability [n] of each item to be a candidate: chosen by one of a batch of users, or drawn besides.

    Args:
        counts: users who chose each item [n].
        users: of whom there are so many, and `batch` of them in a step.
        negatives: items drawn uniformly besides.
    """
    import torch

    unchosen = batch * torch.log1p(-(counts / users).clamp(max=1 - 1e-6))  # log of the probability
    undrawn = negatives * math.log1p(-1 / len(counts)) if len(counts) > 1 else 0.0
    absent = unchosen + undrawn
    return -torch.expm1(absent)


Curve = Mapping[str, float]
Watch = Callable[[Curve], None]
USUAL_SIZE = 100  # items of a history at which a user counts 1
LEAST_STEPS = 20  # of an epoch: a small shop has smaller batches, or it would learn nothing in so few
NEXT = 10  # items after the cut that are to be found, where order counts


@dataclass(frozen=True, slots=True)
class Recipe:
    """How towers learn.

    Attributes:
        dim: of their vectors, h.
        epochs: passes over all users.
        learning_rate: of Adam at the start; it falls to 0 along a cosine.
        batch_size: users of a step at most.
        kept: share of a history that a step shows; the rest is to be found.
        ordered: whether what is shown is the beginning of a history, up to a random cut, and what is to be
            found are the next items; else both are drawn from all of it.
        fade: where order counts, weight of an item of a history against the one after it.
        temperature: of the softmax.
        user_power: a user with L targets counts L ** (1 - user_power).
        weight_decay: of Adam.
        negatives: items drawn for a step besides those of its users, where not all items are candidates.
        full: catalogues of at most so many items are candidates as a whole.
    """

    dim: int = 200
    epochs: int = 20
    learning_rate: float = 2e-3
    batch_size: int = 256
    kept: float = 0.5
    ordered: bool = False
    fade: float = 0.8
    temperature: float = 1.0
    user_power: float = 0.5
    weight_decay: float = 0.0
    negatives: int = 4096
    full: int = 20_000


class Net(Protocol):
    """Towers whose parameters torch learns.

    Attributes:
        parameters: that are learned.
    """

    parameters: Sequence[torch.Tensor]

    def begin(self, generator: torch.Generator) -> None:
        """Called before each epoch."""

    def scores(self, shown: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
        """Scores [b, m] of the candidates for histories of weights [b, m]; the candidates are these columns,
        or all items."""


def train(
    histories: csr_matrix, net: Net, recipe: Recipe, *, seed: int, device: str | None = None,
    watch: Watch | None = None,
) -> None:
    """Trains towers on histories [users, n] of items that all have users.

    Each step shows a part of some histories and asks for the rest, or for what comes next, against all
    candidates but what is shown.

    Args:
        histories: each row oldest first, where order counts.
        seed: of the order and of what is shown; on one device, the same gives the same towers.
        device: of torch; None takes the CPU.
        watch: called after each epoch with `epoch`, `loss` and `seconds` since the start.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)  # apart from torch's own, which others may draw from
    users = np.flatnonzero(np.diff(histories.indptr) > 1)  # one item alone leaves nothing to find
    optimiser = torch.optim.AdamW(net.parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    size = min(recipe.batch_size, max(len(users) // LEAST_STEPS, 8))
    lesson = _Lesson(_ranked(histories), recipe, size, generator, torch.device(device or "cpu"))
    steps = recipe.epochs * math.ceil(len(users) / size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    began = time.perf_counter()
    for epoch in range(1, recipe.epochs + 1 if len(users) else 1):
        total = 0.0
        net.begin(generator)
        for batch in _batches(users, size, generator):
            loss = lesson.loss(net, batch)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        if watch:
            watch({"epoch": epoch, "loss": total / len(users), "seconds": time.perf_counter() - began})


class _Lesson:
    """What is shown and asked in each step."""

    def __init__(
        self, ranked: csr_matrix, recipe: Recipe, size: int, generator: torch.Generator, place: torch.device
    ) -> None:
        import torch

        self.ranked, self.recipe, self.generator, self.place = ranked, recipe, generator, place
        users, self.n = ranked.shape
        self.log_q = None
        if self.n > recipe.full:
            counts = torch.from_numpy(np.bincount(ranked.indices, minlength=self.n).astype(np.float32))
            self.log_q = presence(counts, users, size, recipe.negatives).log().to(place)

    def loss(self, net: Net, users: NDArray[np.intp]) -> torch.Tensor:
        """Mean loss of b users, each weighed by the length of what is to be found."""
        import torch

        histories, recipe, columns, log_q = self.ranked[users], self.recipe, None, self.log_q
        if log_q is not None:
            columns = self._columns(histories)
            histories, log_q = histories[:, columns.cpu().numpy()], log_q[columns]
        ranks = torch.from_numpy(histories.toarray()).to(self.place)  # [b, m]
        shown, targets = (_next if recipe.ordered else _parted)(ranks, recipe, self.generator)
        losses = contrastive_loss(
            net.scores(shown, columns), targets, hidden=shown > 0, log_q=log_q,
            temperature=recipe.temperature,
        )
        sizes = ranks.count_nonzero(dim=1).clamp(min=1)
        return (losses * (sizes / USUAL_SIZE) ** -recipe.user_power).mean()

    def _columns(self, histories: csr_matrix) -> torch.Tensor:
        """Candidates of a step: all items of its histories, and some of the rest."""
        import torch

        drawn = torch.randint(self.n, (self.recipe.negatives,), generator=self.generator)
        ours = torch.from_numpy(histories.indices.astype(np.int64))
        return torch.unique(torch.cat([ours, drawn])).to(self.place)


def _ranked(train: csr_matrix) -> csr_matrix:
    """The same histories, whose values are the places of their items from 1, oldest first."""
    from scipy.sparse import csr_matrix

    lengths = np.diff(train.indptr)
    ranks = np.arange(1, train.nnz + 1) - np.repeat(train.indptr[:-1], lengths)
    return csr_matrix((ranks.astype(np.float32), train.indices, train.indptr), train.shape)


def _parted(
    ranks: torch.Tensor, recipe: Recipe, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A random part of each history, and the rest, [b, m] both."""
    import torch

    x = (ranks > 0).float()
    shown = x * (torch.rand(x.shape, generator=generator) < recipe.kept).to(x.device)
    return shown, x - shown


def _next(
    ranks: torch.Tensor, recipe: Recipe, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """The beginning of each history, faded, and what comes next, the nearest weighing most, [b, m] both."""
    import torch

    lengths = ranks.amax(dim=1, keepdim=True)  # [b, 1]
    cut = (torch.rand(lengths.shape, generator=generator).to(ranks.device) * (lengths - 1)).floor() + 1
    ahead = ranks - cut  # [b, m], 1 for the next item
    weights = recipe.fade ** ahead.abs()
    shown = weights * ((ranks > 0) & (ahead <= 0))
    targets = weights * ((ahead > 0) & (ahead <= NEXT))
    return shown, targets


def _batches(users: NDArray[np.intp], size: int, generator: torch.Generator) -> Iterator[NDArray[np.intp]]:
    """All users in a random order, so many at a time."""
    import torch

    order = torch.randperm(len(users), generator=generator).numpy()
    for start in range(0, len(order), size):
        yield users[order[start : start + size]]
