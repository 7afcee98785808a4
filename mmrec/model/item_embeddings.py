"""The part of a head that gives every item places of its own, free of content: it knows warm items best."""

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

LOUDNESS = 4.0  # norm of a shown history; at 1, towers of this size learn slowly


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


def learned_places(
    histories: csr_matrix, recipe: Recipe, *, seed: int, start: Learned | None = None,
    device: str | None = None, watch: Watch | None = None,
) -> Learned:
    """Learns from histories [users, n] of items that all have users.

    Args:
        histories, recipe, device, watch: as of `contrastive.train`.
        seed: also of the start.
        start: where to go on from, of the same items; None starts at random.
    """
    net = _Places(start or _random(histories, recipe.dim, seed), device)
    train(histories, net, recipe, seed=seed, device=device, watch=watch)
    return net.learned()


class _Places:
    """Tables that torch learns."""

    def __init__(self, start: Learned, device: str | None) -> None:
        import torch

        quiet = start._replace(given=start.given / LOUDNESS)
        self.parameters: Sequence[torch.Tensor] = [
            torch.tensor(x, dtype=torch.float32, device=device or "cpu", requires_grad=True) for x in quiet
        ]

    def begin(self, generator: torch.Generator) -> None:
        """Nothing is drawn."""

    def scores(self, shown: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
        """Scores [b, m] of the candidates."""
        import torch

        given, base, taken, bias = self.parameters
        if columns is not None:
            given, taken, bias = given[columns], taken[columns], bias[columns]
        shares = torch.nn.functional.normalize(shown, dim=1)
        users = torch.tanh(LOUDNESS * shares @ given + base)  # [b, m] @ [m, h] -> [b, h]
        return users @ taken.T + bias  # [b, h] @ [h, m] -> [b, m]

    def learned(self) -> Learned:
        """What the tables hold by now."""
        learned = Learned(*(table.detach().cpu().numpy() for table in self.parameters))
        return learned._replace(given=LOUDNESS * learned.given)


def _random(histories: csr_matrix, h: int, seed: int) -> Learned:
    """Small random places; the more users an item has, the higher its bias."""
    n = histories.shape[1]
    rng = np.random.Generator(np.random.PCG64(seed))
    spread = math.sqrt(2 / (n + h))  # Glorot's, as if both tables were layers
    given, taken = (spread * rng.standard_normal((2, n, h), np.float32)).astype(np.float32)
    bias = np.log1p(np.bincount(histories.indices, minlength=n)).astype(np.float32)
    return Learned(LOUDNESS * given, np.zeros(h, np.float32), taken, bias - bias.mean())
