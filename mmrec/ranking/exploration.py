"""Exploration: a share of the slots for new items, with the propensity of everything that is shown.

Nobody can click what is never shown, so some slots go to new items, drawn at random. As the chance of every
item in every slot is known, logs can tell how another policy would have done (IPS, SNIPS).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.ranking.request import Exploration, scaled
from mmrec.search.hits import Positions

Chances = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """New items that may be shown.

    Attributes:
        positions: positions of p different items [p]; they may be in the ranking too.
        relevance: relevance of each to this user [p], on any scale.
        ages: age of each in days [p]; items older than `max_age_days` are left out.
    """

    positions: Positions
    relevance: NDArray[np.floating]
    ages: NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A page as the user sees it.

    Attributes:
        positions: positions of its items, from the first slot on [k].
        propensities: of each, the chance that its slot showed it, given the items above [k].
    """

    positions: Positions
    propensities: Chances


def explore(
    policy: Exploration, ranking: ArrayLike, pool: Pool, k: int, *, rng: np.random.Generator
) -> Shown:
    """A ranking with some slots given to new items.

    Each slot shows a new item with chance `share`, else the next of the ranking, which a new item thus pushes
    down. A new item that is itself next in the ranking may come either way, and its propensity counts both.
    When no new item is left the ranking fills the slot for certain, and the other way round; fewer than k are
    shown when both are used up. With a share of 0 these are the first k of the ranking, with propensity 1.

    Args:
        ranking: positions of different items [r], best first; k of them suffice.
    """
    slot = NextSlot(policy, ranking, pool)
    shown: list[int] = []
    propensities: list[float] = []
    for draw in rng.random(k):
        positions, chances = slot.chances()
        if not len(positions):
            break
        total = np.cumsum(chances)
        drawn = int(np.searchsorted(total, draw * total[-1], side="right"))  # never one of chance 0
        shown.append(int(positions[drawn]))
        propensities.append(float(chances[drawn]))
        slot.fill(shown[-1])
    return Shown(np.array(shown, np.intp), np.array(propensities))


class NextSlot:
    """What the next slot of a page can show, as one slot after the other is filled.

    `explore` draws from these chances. They also tell how likely this policy would have shown what another
    one has logged.
    """

    def __init__(self, policy: Exploration, ranking: ArrayLike, pool: Pool) -> None:
        young = (np.asarray(pool.ages) <= policy.max_age_days) & (policy.share > 0)
        self.share = policy.share
        self.ranking: list[int] = np.asarray(ranking, np.intp).tolist()
        self.next = 0  # index in the ranking of the best that is not shown yet
        self.new = np.asarray(pool.positions, np.intp)[young]  # those not shown yet, with their logits
        self.logits = scaled(pool.relevance[young].astype(np.float64)).astype(np.float64) / policy.temperature
        self.above: set[int] = set()

    def fill(self, position: int) -> None:
        """Shows this item in the slot, and goes on to the next."""
        self.above.add(position)
        while self.next < len(self.ranking) and self.ranking[self.next] in self.above:
            self.next += 1
        left = self.new != position
        self.new, self.logits = self.new[left], self.logits[left]

    def chances(self) -> tuple[Positions, Chances]:
        """Every item that the slot can show, and its chance; they sum to 1, and both are empty at the end."""
        ranked = np.array(self.ranking[self.next : self.next + 1], np.intp)  # one, or none at the end
        if not len(self.new):
            return ranked, np.ones(len(ranked))
        weights = np.exp(self.logits - self.logits.max())
        share = self.share if len(ranked) else 1.0
        chances = share * weights / weights.sum()
        same = (self.new[:, None] == ranked).any(axis=1)  # [p, 1] == [1 or 0] -> [p, 1 or 0] -> [p]
        if same.any():
            return self.new, chances + (1 - share) * same
        rest = np.full(len(ranked), 1 - share)
        return np.concatenate([self.new, ranked]), np.concatenate([chances, rest])
