"""How towers learn which items a history leads to: a part of it is shown, the rest is to be found."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmrec.errors import DataError


def contrastive_loss(
    scores: torch.Tensor, targets: torch.Tensor, *, hidden: torch.Tensor | None = None,
    log_q: torch.Tensor | None = None, temperature: float = 1.0,
) -> torch.Tensor:
    """Cross-entropy [b] of each user's targets under a softmax over the candidates (InfoNCE).

    Args:
        scores: of m candidates for b users, [b, m].
        targets: weight of each candidate as a target [b, m]; 0 for what the user did not choose.
        hidden: candidates that are neither right nor wrong for a user [b, m], true to leave them out: the
            other items of the user's own history.
        log_q: log of the probability [m] that an item is a candidate of a user who has not chosen it. Taken
            off the scores of such candidates, it makes their sum an unbiased estimate of the sum over all
            items. A user's own targets are always candidates and are not corrected. None if all items are
            candidates.
        temperature: what scores are divided by; a smaller one weighs the best wrong candidates more.

    Source: van den Oord, Li & Vinyals 2018, eq. 4 (InfoNCE); Khrylchenko et al. 2025, Correcting the logQ
    correction (targets without correction); Liang et al. 2018, Variational autoencoders for collaborative
    filtering, eq. 2 (several targets).
    """
    logits, totals = scores / temperature, targets.sum(dim=1)
    if log_q is not None:
        logits = logits - log_q * (targets == 0)
    if hidden is not None:
        asked = (totals > 0)[:, None]  # of a user without targets all may be hidden, and 0 x inf is no number
        logits = logits.masked_fill(hidden & asked, float("-inf"))
    chosen = logits.masked_fill(targets == 0, 0.0)  # the same for what is hidden
    return totals * logits.logsumexp(dim=1) - (targets * chosen).sum(dim=1)


Loss = Callable[..., torch.Tensor]  # of the arguments of `contrastive_loss`
LOSSES: dict[str, Loss] = {"contrastive": contrastive_loss}  # a further loss is a function and a line here


def presence(counts: torch.Tensor, users: int, batch: int, negatives: int) -> torch.Tensor:
    """Probability [n] that an item is a candidate of a user who has not chosen it.

    It is one if another user of the batch chose it, or if it is drawn.

    Args:
        counts: users who chose each item [n].
        users: number of all users; `batch` of them are in a step.
        negatives: items drawn uniformly besides.
    """
    share = counts / max(users - 1, 1)  # of the other users
    unchosen = (batch - 1) * torch.log1p(-share.clamp(max=1 - 1e-6))  # log of the probability
    undrawn = negatives * math.log1p(-1 / len(counts)) if len(counts) > 1 else 0.0
    return -torch.expm1(unchosen + undrawn)


Watch = Callable[[Mapping[str, float]], None]
USUAL_SIZE = 100  # items of a history at which a user counts 1
LEAST_STEPS = 20  # of an epoch: a small shop has smaller batches, or it would learn nothing in so few
TAUGHT = 2.0  # weight of a teacher's choices against those of the user
NEXT = 10  # items after the cut that are to be found, where order counts


@dataclass(frozen=True, slots=True)
class Recipe:
    """How towers learn.

    Attributes:
        loss: a name in `LOSSES`.
        dim: of the towers' vectors, h.
        epochs: passes over all users; fewer where they would take more than `most_steps`.
        most_steps: by which a large log has taught what it can.
        learning_rate: of Adam at the start; it falls to 0 along a cosine.
        batch_size: users of a step at most.
        kept: share of a history that a step shows; the rest is to be found.
        ordered: whether the beginning of a history is shown, up to a random cut, and the next items are to be
            found; else both are drawn from all of it.
        fade: where order counts, weight of an item of a history against the one after it.
        temperature: of the softmax.
        user_power: a user with L items counts L ** (1 - user_power).
        weight_decay: of Adam.
        negatives: items drawn for a step besides those of its users, where not all items are candidates.
        full: catalogues of at most so many items are candidates as a whole.
    """

    loss: str = "contrastive"
    dim: int = 200
    epochs: int = 20
    most_steps: int = 4_000
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


Contrast = Callable[..., torch.Tensor]


class Net(Protocol):
    """Towers whose parameters torch learns."""

    parameters: Sequence[torch.Tensor]

    @property
    def tables(self) -> Sequence[torch.Tensor]:
        """Parameters with a row for each item, of which a step with few candidates reads few (by `rows`)."""
        return ()

    def begin(self, generator: torch.Generator) -> None:  # noqa: ARG002 - for nets that draw
        """Called before each epoch."""
        return

    def losses(self, shown: torch.Tensor, columns: torch.Tensor | None, contrast: Contrast) -> torch.Tensor:
        """Losses [b] of histories of weights [b, m]; the candidates are these columns, or all items.

        Args:
            contrast: loss [b] of scores [b, m]; `among` [m] tells which candidates there are, `taught` [b, m]
                the logits of a teacher, whose choices are targets that weigh `TAUGHT` times the user's own.
        """
        ...


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

    Raises:
        DataError: there is no loss of the recipe's name.
    """
    generator = torch.Generator().manual_seed(seed)  # apart from torch's own, which others may draw from
    users = np.flatnonzero(np.diff(histories.indptr) > 1)  # one item alone leaves nothing to find
    size = min(recipe.batch_size, max(len(users) // LEAST_STEPS, 8))
    objective = _Objective(histories, users, recipe, size, generator, device)
    optimisers = _optimisers(net, recipe, sampled=objective.log_q is not None)
    each = math.ceil(len(users) / size)  # steps of an epoch
    epochs = min(recipe.epochs, max(1, recipe.most_steps // max(each, 1)))
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(one, max(epochs * each, 1)) for one in optimisers]
    began = time.perf_counter()
    for epoch in range(1, epochs + 1 if len(users) else 1):
        total = 0.0
        net.begin(generator)
        order = users[torch.randperm(len(users), generator=generator).numpy()]
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            loss = objective(net, batch)
            for optimiser in optimisers:
                optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for optimiser, schedule in zip(optimisers, schedules, strict=True):
                optimiser.step()
                schedule.step()
            total += float(loss.detach()) * len(batch)
        if watch:
            watch({"epoch": epoch, "loss": total / len(users), "seconds": time.perf_counter() - began})


def rows_at(table: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
    """Rows [m, h] of a table [n, h], of which alone the gradient will be; the whole table for None."""
    return table if columns is None else torch.nn.functional.embedding(columns, table, sparse=True)


def _optimisers(net: Net, recipe: Recipe, *, sampled: bool) -> list[torch.optim.Optimizer]:
    """Adam for all parameters; with sampled candidates, of tables for the rows alone that a step has read.

    In a large catalogue all else would take most of the time of a step. Such tables are not decayed.
    """
    tables = list(net.tables) if sampled else []
    others = [one for one in net.parameters if not any(one is table for table in tables)]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    ]
    return found + ([torch.optim.SparseAdam(tables, lr=recipe.learning_rate)] if tables else [])


class _Objective:
    """The loss of a batch: draws what is shown, what is to be found and the candidates."""

    def __init__(
        self, histories: csr_matrix, users: NDArray[np.intp], recipe: Recipe, size: int,
        generator: torch.Generator, device: str | None,
    ) -> None:
        if recipe.loss not in LOSSES:
            raise DataError(f"no loss is {recipe.loss!r}: choose one of {', '.join(LOSSES)}", field="loss")
        self.recipe, self.generator, self.device = recipe, generator, torch.device(device or "cpu")
        ranks = np.arange(1, histories.nnz + 1) - np.repeat(histories.indptr[:-1], np.diff(histories.indptr))
        # Values are the ranks of a history's items from 1, oldest first.
        self.ranked = csr_matrix(
            (ranks.astype(np.float32), histories.indices, histories.indptr), histories.shape
        )
        self.n, self.log_q = histories.shape[1], None
        if self.n > recipe.full:
            counts = np.bincount(self.ranked[users].indices, minlength=self.n).astype(np.float32)
            q = presence(torch.from_numpy(counts), len(users), size, recipe.negatives)
            self.log_q = q.log().to(self.device)

    def __call__(self, net: Net, users: NDArray[np.intp]) -> torch.Tensor:
        """Mean loss of b users, each weighed by the length of the history."""
        histories, recipe, columns, log_q = self.ranked[users], self.recipe, None, self.log_q
        if log_q is not None:
            columns = self._columns(histories)
            histories, log_q = histories[:, columns.cpu().numpy()], log_q[columns]
        ranks = torch.from_numpy(histories.toarray()).to(self.device)  # [b, m]
        shown, targets = (_next if recipe.ordered else _parted)(ranks, recipe, self.generator)

        def contrast(
            scores: torch.Tensor, among: torch.Tensor | None = None, taught: torch.Tensor | None = None
        ) -> torch.Tensor:
            hidden, wanted = (ranks > 0) & (targets == 0), targets
            if among is not None:
                hidden, wanted = hidden | ~among, targets * among
            if taught is not None:
                softened = taught.masked_fill(hidden, torch.finfo(taught.dtype).min).softmax(dim=1)
                wanted = wanted + TAUGHT * wanted.sum(dim=1, keepdim=True) * softened
            return LOSSES[recipe.loss](
                scores, wanted, hidden=hidden, log_q=log_q, temperature=recipe.temperature
            )

        losses = net.losses(shown, columns, contrast)
        sizes = ranks.count_nonzero(dim=1).clamp(min=1)
        return (losses * (sizes / USUAL_SIZE) ** -recipe.user_power).mean()

    def _columns(self, histories: csr_matrix) -> torch.Tensor:
        """Candidates of a step: all items of its histories, and some of the rest."""
        drawn = torch.randint(self.n, (self.recipe.negatives,), generator=self.generator)
        ours = torch.from_numpy(histories.indices.astype(np.int64))
        return torch.unique(torch.cat([ours, drawn])).to(self.device)


Pair = tuple[torch.Tensor, torch.Tensor]  # what is shown and what is to be found, [b, m] both


def _parted(ranks: torch.Tensor, recipe: Recipe, generator: torch.Generator) -> Pair:
    """A random part of each history, and the rest."""
    x = (ranks > 0).float()
    shown = x * (torch.rand(x.shape, generator=generator) < recipe.kept).to(x.device)
    return shown, x - shown


def _next(ranks: torch.Tensor, recipe: Recipe, generator: torch.Generator) -> Pair:
    """The beginning of each history, faded, and what comes next, the nearest weighing most."""
    lengths = ranks.amax(dim=1, keepdim=True)  # [b, 1]
    cut = (torch.rand(lengths.shape, generator=generator).to(ranks.device) * (lengths - 1)).floor() + 1
    ahead = ranks - cut  # [b, m], 1 for the next item
    weights = recipe.fade ** ahead.abs()
    shown = weights * ((ranks > 0) & (ahead <= 0))
    targets = weights * ((ahead > 0) & (ahead <= NEXT))
    return shown, targets
