"""Random draws that stay the same: all come from PCG64's uniform stream, which NumPy keeps stable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Dice:
    """One stream of draws. Streams of other keys are independent, so one part never shifts another."""

    def __init__(self, *key: int) -> None:
        self._rng = np.random.Generator(np.random.PCG64(key))

    def unit(self) -> float:
        """A number in [0, 1)."""
        return float(self._rng.random())

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int((high - low + 1) * self.unit())

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, all equally likely."""
        return options[self.whole(0, len(options) - 1)]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """The options in a random order."""
        return [options[i] for i in np.argsort(self._rng.random(len(options)), kind="stable")]

    def sample(self, weights: NDArray[np.float64], count: int) -> list[int]:
        """Positions of `count` different options, drawn one after the other in proportion to the weights.

        Options of weight 0 are never drawn, so fewer may come back.

        Source: Efraimidis and Spirakis 2006, weighted random sampling with exponential keys.
        """
        keys = -np.log1p(-self._rng.random(len(weights)))
        with np.errstate(divide="ignore"):
            keys = keys / weights
        count = min(count, int(np.count_nonzero(weights)))
        return [int(i) for i in np.argsort(keys, kind="stable")[:count]]
