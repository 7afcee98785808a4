"""The part of a head that learns embeddings of each item from behaviour alone: it knows warm items best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.model.contrastive import Recipe, Watch, train

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_matrix

INPUT_SCALE = 4.0  # norm of a shown history; at 1, towers of this size learn slowly


class ItemEmbeddings(NamedTuple):
    """Embeddings of n items: a user is tanh(weights @ input + base), a score user . output + bias.

    Attributes:
        input: what an item adds to the user whose history it is in [n, h]; the weights have norm 1.
        base: of every user [h].
        output: what an item is scored by [n, h].
        bias: of each item's score [n].
    """

    input: Vectors
    base: Vectors
    output: Vectors
    bias: Vectors


def learned_embeddings(
    histories: csr_matrix, recipe: Recipe, *, seed: int, start: ItemEmbeddings | None = None,
    device: str | None = None, watch: Watch | None = None,
) -> ItemEmbeddings:
    """Learns from histories [users, n] of items that all have users.

    Args:
        histories, recipe, device, watch: as of `contrastive.train`.
        seed: also of the start.
        start: where to go on from, of the same items; None starts at random.
    """
    net = _EmbeddingTables(start or _random(histories, recipe.dim, seed), device)
    train(histories, net, recipe, seed=seed, device=device, watch=watch)
    return net.learned()


class _EmbeddingTables:
    """The tables as torch's parameters."""

    def __init__(self, start: ItemEmbeddings, device: str | None) -> None:
        import torch

        scaled = start._replace(input=start.input / INPUT_SCALE)
        self.parameters: Sequence[torch.Tensor] = [
            torch.tensor(x, dtype=torch.float32, device=device or "cpu", requires_grad=True) for x in scaled
        ]

    def begin(self, generator: torch.Generator) -> None:
        """Nothing is drawn."""

    def scores(self, shown: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
        """Scores [b, m] of the candidates."""
        import torch

        inputs, base, outputs, bias = self.parameters
        if columns is not None:
            inputs, outputs, bias = inputs[columns], outputs[columns], bias[columns]
        weights = torch.nn.functional.normalize(shown, dim=1)
        users = torch.tanh(INPUT_SCALE * weights @ inputs + base)  # [b, m] @ [m, h] -> [b, h]
        return users @ outputs.T + bias  # [b, h] @ [h, m] -> [b, m]

    def learned(self) -> ItemEmbeddings:
        """What the tables hold by now."""
        learned = ItemEmbeddings(*(table.detach().cpu().numpy() for table in self.parameters))
        return learned._replace(input=INPUT_SCALE * learned.input)


def _random(histories: csr_matrix, h: int, seed: int) -> ItemEmbeddings:
    """Small random embeddings; the more users an item has, the higher its bias."""
    n = histories.shape[1]
    rng = np.random.Generator(np.random.PCG64(seed))
    deviation = math.sqrt(2 / (n + h))  # Glorot's, as if both tables were layers
    first, second = (deviation * rng.standard_normal((2, n, h), np.float32)).astype(np.float32)
    bias = np.log1p(np.bincount(histories.indices, minlength=n)).astype(np.float32)
    return ItemEmbeddings(INPUT_SCALE * first, np.zeros(h, np.float32), second, bias - bias.mean())
