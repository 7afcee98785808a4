"""How the sequence tower learns which item comes next: causal attention over the items of a history."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import nn
from torch.nn.functional import scaled_dot_product_attention, silu

from mmrec.encoders.base import Vectors
from mmrec.model.sequence_tower import SequenceTower

Watch = Callable[[Mapping[str, float]], None]
RATE = 0.5  # learning rate of a training that goes on from another, against that of one from the start
SCALE = 0.02  # deviation of initial weights
BETAS, LARGEST = (0.9, 0.98), 1.0  # of Adam; norm of a gradient at most
MANY, LARGEST_BATCH = 2_500, 256  # users for one history more of a step, and histories of a step at most
POOL = 16  # batches whose histories are sorted by length, so that little is padding


@dataclass(frozen=True, slots=True)
class SequenceRecipe:
    """How the sequence tower learns.

    Attributes:
        dim: of items and users, d.
        blocks: of attention and a feed-forward net, one after the other.
        heads: of an attention.
        widening: width of the hidden layer of a feed-forward net, in d.
        longest: latest items of a history that are read.
        dropout: of what blocks add, and of the items that they read.
        epochs: passes over all users; fewer where they would take more than `most_steps`.
        most_steps: by which a large log has taught what it can.
        learning_rate: of Adam, at its highest.
        warm_up: share of all steps in which it rises to there.
        batch_size: histories of a step; more of a log of more than `MANY` of them.
        negatives: items drawn for a step, besides its users' own, where not all items are candidates.
        full: catalogues of at most so many items are candidates as a whole.
        dense: in larger catalogues a step changes only the items that it has read, or it would take seconds.
        weight_decay: of Adam, of the matrices of the net.
    """

    dim: int = 64
    blocks: int = 2
    heads: int = 1
    widening: int = 2
    longest: int = 200
    dropout: float = 0.2
    epochs: int = 33
    most_steps: int = 20_000
    learning_rate: float = 3e-3
    warm_up: float = 0.05
    batch_size: int = 16
    negatives: int = 256
    full: int = 256
    dense: int = 20_000
    weight_decay: float = 0.01

    def going_on(self, times: int) -> SequenceRecipe:
        """The same for a tower that has learned most already: so many times fewer epochs, smaller steps."""
        return replace(self, epochs=-(-self.epochs // times), learning_rate=RATE * self.learning_rate)


class Dropped(nn.Module):
    """Dropout that leaves out the same numbers of all items of a history, and so draws few.

    Source: Gal & Ghahramani 2016, A theoretically grounded application of dropout in recurrent networks.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Histories [b, L, d] from histories."""
        if not self.training or not self.share:
            return x
        kept = 1 - self.share
        return x * (torch.bernoulli(torch.full_like(x[:, :1], kept)) / kept)  # [b, L, d] * [b, 1, d]


class Block(nn.Module):
    """Attention to what came before, nearer items told from farther ones, then a feed-forward net.

    Source: Vaswani et al. 2017, Attention is all you need, with normalisation first (Xiong et al. 2020), a
    bias for each distance (Raffel et al. 2020, sect. 2.1), and gated hidden units (Shazeer 2020, GLU
    variants).
    """

    def __init__(self, recipe: SequenceRecipe) -> None:
        super().__init__()
        d, wide = recipe.dim, recipe.widening * recipe.dim
        self.heads, self.dropped = recipe.heads, Dropped(recipe.dropout)
        self.norm, self.norm_hidden = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attention, self.joined = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.hidden, self.out = nn.Linear(d, 2 * wide), nn.Linear(wide, d)
        self.nearness = nn.Parameter(torch.zeros(recipe.heads, recipe.longest))  # by distance, from 0

    def forward(self, x: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
        """Histories [b, L, d] from histories; `distance` [L, L] is below 0 for what comes later."""
        b, length, d = x.shape
        q, k, v = (
            part.view(b, length, self.heads, -1).transpose(1, 2)  # [b, L, d] -> [b, heads, L, d / heads]
            for part in self.attention(self.norm(x)).chunk(3, dim=-1)
        )
        bias = self.nearness[:, distance.clamp(min=0)].masked_fill(distance < 0, float("-inf"))
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=bias)
        mixed = mixed.transpose(1, 2).reshape(b, length, d)  # [b, heads, L, d / heads] -> [b, L, d]
        x = x + self.dropped(self.joined(mixed))
        gate, value = self.hidden(self.norm_hidden(x)).chunk(2, dim=-1)
        return x + self.dropped(self.out(silu(gate) * value))


class SequenceNet(nn.Module):
    """Users from histories of items; a score is their inner product with an item, and its bias."""

    def __init__(self, n: int, recipe: SequenceRecipe) -> None:
        super().__init__()
        self.recipe, sparse = recipe, n > recipe.dense
        self.items = nn.Embedding(n, recipe.dim, sparse=sparse)
        self.bias = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
            torch.zeros(n, 1), freeze=False, sparse=sparse)
        self.dropped = Dropped(recipe.dropout)
        self.first, self.last = nn.LayerNorm(recipe.dim), nn.LayerNorm(recipe.dim)
        self.blocks = nn.ModuleList(Block(recipe) for _ in range(recipe.blocks))
        for one in self.modules():
            if isinstance(one, nn.Linear) or one is self.items:
                nn.init.normal_(one.weight, std=SCALE)

    def served(self) -> tuple[SequenceTower, Vectors]:
        """The tower as it serves, and vectors and biases of the items [n, d + 1]."""
        arrays = {name: one.detach().numpy().copy() for name, one in self.state_dict().items()}
        items, bias = arrays.pop("items.weight"), arrays.pop("bias.weight")
        return SequenceTower(arrays, self.recipe.heads), np.hstack([items, bias])

    def go_on_from(self, tower: SequenceTower, items: Vectors) -> None:
        """Takes the weights of a tower, and vectors and biases of the items [n, d + 1]."""
        arrays = {**tower.weights, "items.weight": items[:, :-1], "bias.weight": items[:, -1:]}
        self.load_state_dict({name: torch.from_numpy(np.array(one)) for name, one in arrays.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Users [b, L, d] after each item of histories of vectors [b, L, d]."""
        length = x.shape[1]
        place = torch.arange(length, device=x.device)
        distance = place[:, None] - place[None, :]
        x = self.dropped(self.first(x))
        for block in self.blocks:
            x = block(x, distance)
        return self.last(x)


def train_sequences(
    histories: csr_matrix, recipe: SequenceRecipe, *, seed: int,
    start: tuple[SequenceTower, Vectors] | None = None,
    device: str | None = None, watch: Watch | None = None,
) -> tuple[SequenceTower, Vectors]:
    """A tower that has learned what follows on each beginning of histories, and vectors and biases of items.

    Args:
        histories: each row oldest first, of items that all have users [users, n].
        seed: of the initial weights, of the order and of what is drawn.
        start: a tower and vectors and biases [n, d + 1] to go on from; None begins anew.
        device: of torch; None takes the CPU.
        watch: called after each epoch with `epoch`, `loss` and `seconds` since the start.

    Source: Kang & McAuley 2018, Self-attentive sequential recommendation, with the loss of Klenitskiy &
    Vasilev 2023, Turning dross into gold loss (a softmax over all items, or over some).
    """
    generator, where = torch.Generator().manual_seed(seed), torch.device(device or "cpu")
    with torch.random.fork_rng(devices=[]):  # dropout and initial weights draw from torch's own
        torch.manual_seed(seed)
        net = SequenceNet(histories.shape[1], recipe)
        if start is not None:
            net.go_on_from(*start)
        net.to(where).train()
        _learn(net, Batches(histories, recipe, generator), recipe, generator, watch)
    return net.eval().cpu().served()


def _learn(
    net: SequenceNet, batches: Batches, recipe: SequenceRecipe, generator: torch.Generator,
    watch: Watch | None,
) -> None:
    optimisers, dense = _optimisers(net, recipe)
    epochs = min(recipe.epochs, max(1, recipe.most_steps // max(len(batches), 1)))
    steps = max(1, epochs * len(batches))
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(one, lambda step: rate(step / steps, recipe.warm_up))
        for one in optimisers
    ]
    began = time.perf_counter()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch in batches:
            loss = next_item_loss(net, batch.to(net.items.weight.device), recipe, generator)
            net.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(dense, LARGEST)
            for optimiser, schedule in zip(optimisers, schedules, strict=True):
                optimiser.step()
                schedule.step()
            total += float(loss.detach())
        if watch:
            watch({"epoch": epoch, "loss": total / len(batches), "seconds": time.perf_counter() - began})


def _optimisers(
    net: SequenceNet, recipe: SequenceRecipe
) -> tuple[list[torch.optim.Optimizer], list[nn.Parameter]]:
    """Adam for all parameters, tables of a large catalogue apart; and those whose gradients are whole."""
    matrices = [one for name, one in net.blocks.named_parameters() if one.ndim > 1 and "nearness" not in name]
    tables = [net.items.weight, net.bias.weight] if net.items.sparse else []
    dense = [one for one in net.parameters() if all(one is not table for table in tables)]
    others = [one for one in dense if all(one is not matrix for matrix in matrices)]
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW([
        {"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0},
    ], lr=recipe.learning_rate, betas=BETAS)]
    if tables:
        found.append(torch.optim.SparseAdam(tables, lr=recipe.learning_rate, betas=BETAS))
    return found, dense


def rate(done: float, warm_up: float) -> float:
    """The learning rate after a share of a training, 1 at its highest: it rises, then falls to 0."""
    if done < warm_up:
        return done / warm_up
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warm_up) / (1 - warm_up))))


class Batches:
    """Histories in batches of about one length; of longer ones a window of `longest` items and the next."""

    def __init__(self, histories: csr_matrix, recipe: SequenceRecipe, generator: torch.Generator) -> None:
        self.starts, self.items = histories.indptr[:-1].astype(np.int64), histories.indices.astype(np.int64)
        self.lengths = np.diff(histories.indptr).astype(np.int64)
        self.users = np.flatnonzero(self.lengths > 1)
        self.recipe, self.generator = recipe, generator
        self.size = max(recipe.batch_size, min(len(self.users) // MANY, LARGEST_BATCH))

    def __len__(self) -> int:
        return -(-len(self.users) // self.size)

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Batches [b, L + 1] of positions of items, -1 behind the end."""
        size, most = self.size, self.recipe.longest + 1
        order = self.users[torch.randperm(len(self.users), generator=self.generator).numpy()]
        pools = [order[at : at + POOL * size] for at in range(0, len(order), POOL * size)]
        groups = [
            pool[np.argsort(-self.lengths[pool], kind="stable")][at : at + size]
            for pool in pools for at in range(0, len(pool), size)
        ]
        for n in torch.randperm(len(groups), generator=self.generator).tolist():
            yield self._padded(groups[n], most)

    def _padded(self, users: NDArray[np.int64], most: int) -> torch.Tensor:
        lengths = np.minimum(self.lengths[users], most)
        spare = (self.lengths[users] - lengths + 1).astype(np.float64)
        draws = torch.rand(len(users), generator=self.generator).numpy()
        starts = self.starts[users] + (draws * spare).astype(np.int64)
        places = np.arange(lengths.max())
        inside = places < lengths[:, None]  # [b, L + 1]
        at = np.minimum(starts[:, None] + places, len(self.items) - 1)
        return torch.from_numpy(np.where(inside, self.items[at], -1))


def next_item_loss(
    net: SequenceNet, batch: torch.Tensor, recipe: SequenceRecipe, generator: torch.Generator
) -> torch.Tensor:
    """Mean cross-entropy of what comes next in a batch of histories [b, L + 1], -1 behind the end.

    The candidates are all items, or some drawn at random, each of which stands for as many as there are for
    one drawn. Other items of the same history are neither right nor wrong.
    """
    n, shown, asked = net.items.num_embeddings, batch[:, :-1], batch[:, 1:]  # [b, L] both
    there = asked >= 0
    users, wanted = net(net.items(shown.clamp(min=0)))[there], asked[there]  # [m, d], [m]
    right = (users * net.items(wanted)).sum(dim=-1) + net.bias(wanted)[:, 0]  # [m]
    columns, stands_for = torch.arange(n, device=batch.device), 1.0
    if n > recipe.full:
        columns = torch.randint(n, (recipe.negatives,), generator=generator).to(batch.device)
        stands_for = n / recipe.negatives
    scores = users @ net.items(columns).T + net.bias(columns).T  # [m, d] @ [d, k] -> [m, k]
    own = (batch[:, :, None] == columns).any(dim=1)  # [b, L + 1, k] -> [b, k]
    scores = scores.masked_fill(own[there.nonzero(as_tuple=True)[0]], float("-inf"))
    total = torch.logaddexp(scores.logsumexp(dim=1) + math.log(stands_for), right)
    return (total - right).mean()
