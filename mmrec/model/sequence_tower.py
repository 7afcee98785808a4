"""The sequence tower as it serves: item vectors in their order -> the user's vector. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors

EPSILON = 1e-5  # of torch's layer normalisation
MOST_NUMBERS = 20_000_000  # of attention weights in memory at a time


@dataclass(frozen=True)
class SequenceTower:
    """Causal attention over the latest items of a history, as `SequenceNet` learned it.

    Attributes:
        weights: of the net by name, without those of the items.
        heads: of each attention.
    """

    weights: Mapping[str, Vectors]
    heads: int

    @property
    def dim(self) -> int:
        """Length d of the vectors of items and users."""
        return len(self.weights["last.weight"])

    @property
    def longest(self) -> int:
        """Latest items of a history that are read."""
        return self.weights["blocks.0.nearness"].shape[1]

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return sum(name.endswith(".nearness") for name in self.weights)

    def users(self, histories: Sequence[Vectors]) -> Vectors:
        """Vectors [u, d] of users by their histories [L, d] each, oldest first; zeros of an empty one."""
        users = np.zeros((len(histories), self.dim), np.float32)
        lengths = np.array([min(len(one), self.longest) for one in histories], np.intp)
        order = np.argsort(lengths, kind="stable")
        order = order[lengths[order] > 0]
        while len(order):  # alike in length, so that little is padding
            size = max(1, MOST_NUMBERS // (self.heads * int(lengths[order[-1]]) ** 2))
            some, order = order[-size:], order[:-size]
            padded = np.zeros((len(some), lengths[some].max(), self.dim), np.float32)
            for row, n in zip(padded, some.tolist(), strict=True):
                row[: lengths[n]] = histories[n][-lengths[n]:]
            users[some] = self._last(padded, lengths[some] - 1)
        return users

    def _last(self, x: Vectors, at: NDArray[np.intp]) -> Vectors:
        """Vectors [b, d] after the item at a position [b] of histories [b, L, d]."""
        x = self._normed(x, "first")
        rows = np.arange(len(x))
        for n in range(self.blocks):
            name, read = f"blocks.{n}", None if n + 1 < self.blocks else at
            mixed = self._attended(self._normed(x, f"{name}.norm"), name, read)
            x = (x if read is None else x[rows, at][:, None]) + mixed
            x = x + self._widened(self._normed(x, f"{name}.norm_hidden"), name)
        return self._normed(x[:, 0], "last")

    def _attended(self, x: Vectors, name: str, at: NDArray[np.intp] | None) -> Vectors:
        """What attention adds to histories [b, L, d]; at one position [b] of each alone, [b, 1, d]."""
        b, length, d = x.shape
        weights = np.split(self.weights[f"{name}.attention.weight"], 3)  # [d, d] each
        asking = x if at is None else x[np.arange(b), at][:, None]
        q, k, v = (
            (one @ w.T).reshape(b, -1, self.heads, d // self.heads).transpose(0, 2, 1, 3)  # -> [b, h, L, d/h]
            for one, w in zip((asking, x, x), weights, strict=True)
        )
        places = np.arange(length)
        asked = np.broadcast_to(places, (b, length)) if at is None else at[:, None]
        distance = asked[:, :, None] - places  # [b, q, L]
        nearness = self.weights[f"{name}.nearness"]  # [h, longest]
        bias = nearness[:, np.maximum(distance, 0)].transpose(1, 0, 2, 3)  # [h, b, q, L] -> [b, h, q, L]
        scores = q @ k.transpose(0, 1, 3, 2) / np.float32((d // self.heads) ** 0.5) + bias
        scores = np.where(distance[:, None] < 0, np.float32(-np.inf), scores)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v
        joined = mixed.transpose(0, 2, 1, 3).reshape(b, -1, d)  # [b, h, q, d/h] -> [b, q, d]
        return joined @ self.weights[f"{name}.joined.weight"].T

    def _widened(self, x: Vectors, name: str) -> Vectors:
        hidden = x @ self.weights[f"{name}.hidden.weight"].T + self.weights[f"{name}.hidden.bias"]
        gate, value = np.split(hidden, 2, axis=-1)
        active = gate / (1 + np.exp(-gate)) * value
        return active @ self.weights[f"{name}.out.weight"].T + self.weights[f"{name}.out.bias"]

    def _normed(self, x: Vectors, name: str) -> Vectors:
        centred = x - x.sum(axis=-1, keepdims=True) / np.float32(x.shape[-1])
        variance = np.einsum("...d,...d->...", centred, centred)[..., None] / np.float32(x.shape[-1])
        scaled = centred / np.sqrt(variance + np.float32(EPSILON))
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
