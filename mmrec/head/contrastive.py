"""The contrastive half of a head: two towers that learn which items a history leads to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.head.losses import contrastive_loss, presence

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_matrix

Curve = Mapping[str, float]
Watch = Callable[[Curve], None]
USUAL_SIZE = 100  # items of a history at which a user counts 1
LOUDNESS = 4.0  # norm of a shown history; at 1, towers of this size learn slowly
NEXT = 10  # items after the cut that are to be found, where order counts


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the contrastive half learns.

    Attributes:
        dim: of its vectors, h.
        epochs: passes over all users.
        learning_rate: of Adam at the start; it falls to 0 along a cosine.
        batch_size: users of a step.
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
    epochs: int = 40
    learning_rate: float = 1e-3
    batch_size: int = 256
    kept: float = 0.5
    ordered: bool = False
    fade: float = 0.9
    temperature: float = 1.0
    user_power: float = 0.5
    weight_decay: float = 0.0
    negatives: int = 4096
    full: int = 20_000


class Learned(NamedTuple):
    """What was learned of n items: a user is tanh(shares @ given + base), a score user . taken + bias.

    Attributes:
        given: what an item of a history says [n, h]; the shares of a history are at norm 1.
        base: of every user [h].
        taken: what an item listens to [n, h].
        bias: of each item [n].
    """

    given: Vectors
    base: Vectors
    taken: Vectors
    bias: Vectors


def learn(
    train: csr_matrix, recipe: Recipe, *, seed: int, start: Learned | None = None, device: str | None = None,
    watch: Watch | None = None,
) -> Learned:
    """Trains on histories [users, n] of items that all have users.

    Each step shows a part of some histories and asks for the rest, or for what comes next, against all
    candidates but what is shown.

    Args:
        train: each row oldest first, where order counts.
        seed: of the start, the order and what is shown; on one device, the same gives the same towers.
        start: where to go on from, of the same items; None starts at random.
        device: of torch; None takes the CPU.
        watch: called after each epoch with `epoch`, `loss` and `seconds` since the start.
    """
    import torch

    place = torch.device(device or "cpu")
    generator = torch.Generator().manual_seed(seed)  # apart from torch's own, which others may draw from
    train = _ranked(train)
    net = _Net(train, recipe, generator, start, place)
    users = np.flatnonzero(np.diff(train.indptr) > 1)  # one item alone leaves nothing to find
    steps = recipe.epochs * math.ceil(len(users) / recipe.batch_size)
    optimiser, schedule = net.optimiser(recipe, max(steps, 1))
    began = time.perf_counter()
    for epoch in range(1, recipe.epochs + 1 if len(users) else 1):
        total = 0.0
        for batch in _batches(users, recipe.batch_size, generator):
            loss = net.loss(train[batch], recipe, generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        if watch:
            watch({"epoch": epoch, "loss": total / len(users), "seconds": time.perf_counter() - began})
    return net.learned()


class _Net:
    """The parameters, and the loss of a step."""

    def __init__(
        self, train: csr_matrix, recipe: Recipe, generator: torch.Generator, start: Learned | None,
        place: torch.device,
    ) -> None:
        import torch

        n, h = train.shape[1], recipe.dim
        counts = torch.from_numpy(np.bincount(train.indices, minlength=n).astype(np.float32))
        if start is None:
            spread = math.sqrt(2 / (n + h))  # Glorot's, as if both tables were layers
            given, taken = (torch.randn(n, h, generator=generator) * spread for _ in range(2))
            bias = (counts + 1).log()
            start = Learned(
                (LOUDNESS * given).numpy(), np.zeros(h, np.float32), taken.numpy(),
                (bias - bias.mean()).numpy(),
            )
        start = start._replace(given=start.given / LOUDNESS)
        self.place, self.users, self.n = place, train.shape[0], n
        self.tables = [
            torch.tensor(x, dtype=torch.float32, device=place, requires_grad=True) for x in start
        ]
        self.log_q = None
        if n > recipe.full:
            self.log_q = presence(counts, self.users, recipe.batch_size, recipe.negatives).log().to(place)

    def optimiser(
        self, recipe: Recipe, steps: int
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Adam, and the fall of its learning rate over all steps."""
        import torch

        adam = torch.optim.AdamW(self.tables, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        return adam, torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)

    def loss(self, histories: csr_matrix, recipe: Recipe, generator: torch.Generator) -> torch.Tensor:
        """Mean loss of b users, each weighed by the length of what is to be found."""
        import torch

        given, base, taken, bias = self.tables
        log_q, columns = self.log_q, None
        if log_q is not None:
            columns = self._columns(histories, recipe.negatives, generator)
            histories = histories[:, columns.cpu().numpy()]
            given, taken, bias, log_q = given[columns], taken[columns], bias[columns], log_q[columns]
        ranks = torch.from_numpy(histories.toarray()).to(self.place)  # [b, m]
        shown, targets = (_next if recipe.ordered else _parted)(ranks, recipe, generator)
        u = torch.tanh(LOUDNESS * torch.nn.functional.normalize(shown, dim=1) @ given + base)  # [b, h]
        losses = contrastive_loss(
            u @ taken.T + bias, targets, hidden=shown > 0, log_q=log_q,  # [b, h] @ [h, m] -> [b, m]
            temperature=recipe.temperature,
        )
        sizes = ranks.count_nonzero(dim=1).clamp(min=1)
        return (losses * (sizes / USUAL_SIZE) ** -recipe.user_power).mean()

    def _columns(
        self, histories: csr_matrix, negatives: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Candidates of a step: all items of its histories, and some of the rest."""
        import torch

        drawn = torch.randint(self.n, (negatives,), generator=generator)
        ours = torch.from_numpy(histories.indices.astype(np.int64))
        return torch.unique(torch.cat([ours, drawn])).to(self.place)

    def learned(self) -> Learned:
        """What the tables hold by now."""
        learned = Learned(*(table.detach().cpu().numpy() for table in self.tables))
        return learned._replace(given=LOUDNESS * learned.given)


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
    shown = (recipe.fade ** -ahead) * ((ranks > 0) & (ahead <= 0))
    targets = (recipe.fade ** ahead) * ((ahead > 0) & (ahead <= NEXT))
    return shown, targets


def _batches(users: NDArray[np.intp], size: int, generator: torch.Generator) -> Iterator[NDArray[np.intp]]:
    """All users in a random order, so many at a time."""
    import torch

    order = torch.randperm(len(users), generator=generator).numpy()
    for start in range(0, len(order), size):
        yield users[order[start : start + size]]
