"""A share of the slots for new items, with the propensity of everything that is shown.

Nobody can click what is never shown. So a slot sometimes goes to a new item, drawn at random; and as the
chance of every item in every slot is known, logs can tell how another policy would have done (IPS, SNIPS).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.errors import DataError
from mmrec.ranking.request import Exploration, check_k, check_scores, scaled
from mmrec.search.hits import Positions

Chances = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Items that may be explored.

    Attributes:
        positions: of p different items [p]; they may be in the ranking too.
        relevance: to this user [p].
        ages: in days [p]; those above `max_age_days` are left out.

    Raises:
        DataError: lengths differ, a value is not finite, or a position is there twice.
    """

    positions: Positions
    relevance: NDArray[np.floating]
    ages: NDArray[np.floating]

    def __post_init__(self) -> None:
        _check_positions(self.positions, "new items")
        for name in ("relevance", "ages"):
            if len(check_scores(getattr(self, name), name)) != len(self.positions):
                raise DataError(
                    f"{name} must have one value for each of the {len(self.positions)} new items,"
                    f" got {len(getattr(self, name))}", field=name,
                )


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What a user sees.

    Attributes:
        positions: of items, from the first slot on [k].
        propensities: of each, the chance that its slot showed it, given the items above [k].
    """

    positions: Positions
    propensities: Chances


def explore(
    policy: Exploration, ranking: ArrayLike, pool: Pool, k: int, *, rng: np.random.Generator
) -> Shown:
    """A ranking with some slots given to new items.

    Each slot shows a new item with chance `share`, else the best of the ranking that is not above it yet: a
    new item pushes the ranking down. A new item that is next in the ranking may come either way, and its
    propensity counts both. When no new item is left the ranking fills the slot for certain, when no ranked
    one is left a new item does. Fewer than k are shown when both are used up. With a share of 0 these are the
    first k of the ranking, and every propensity is 1.

    Args:
        ranking: positions of items [r], best first; k of them suffice.

    Raises:
        DataError: k is out of range, or the ranking is not of different positions.
    """
    page = _Page(policy, ranking, pool)
    shown: list[int] = []
    propensities: list[float] = []
    for draw in rng.random(check_k(k)):
        positions, chances = page.chances()
        if not len(positions):
            break
        total = np.cumsum(chances)
        drawn = int(np.searchsorted(total, draw * total[-1], side="right"))  # never one of chance 0
        shown.append(int(positions[drawn]))
        propensities.append(float(chances[drawn]))
        page.show(shown[-1])
    return Shown(np.array(shown, np.intp), np.array(propensities))


def slot_chances(
    policy: Exploration, ranking: ArrayLike, pool: Pool, above: Iterable[int] = ()
) -> tuple[Positions, Chances]:
    """Every item that the slot under those above can show, and its chance; the chances sum to 1.

    `explore` draws from this very distribution. It is also how likely this policy would have shown what
    another one has logged.

    Raises:
        DataError: the ranking is not of different positions.
    """
    page = _Page(policy, ranking, pool)
    for place in above:
        page.show(place)
    return page.chances()


class _Page:
    """What the next slot can show, as one slot after the other is filled."""

    def __init__(self, policy: Exploration, ranking: ArrayLike, pool: Pool) -> None:
        _check_positions(ranking, "ranking")
        young = (np.asarray(pool.ages) <= policy.max_age_days) & (policy.share > 0)
        self.share = policy.share
        self.ranking: list[int] = np.asarray(ranking, np.intp).tolist()
        self.next = 0  # place in the ranking of the best that is not shown
        self.new = np.asarray(pool.positions, np.intp)[young]  # those not shown, with their logits
        self.logits = scaled(check_scores(pool.relevance)[young]).astype(np.float64) / policy.temperature
        self.above: set[int] = set()

    def show(self, place: int) -> None:
        """Fills the slot."""
        self.above.add(place)
        while self.next < len(self.ranking) and self.ranking[self.next] in self.above:
            self.next += 1
        left = self.new != place
        self.new, self.logits = self.new[left], self.logits[left]

    def chances(self) -> tuple[Positions, Chances]:
        """Of the items that the slot can show; both empty at the end."""
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


def _check_positions(positions: ArrayLike, name: str) -> None:
    places = np.asarray(positions)
    if places.ndim != 1 or len(np.unique(places)) != len(places) or (places < 0).any():
        raise DataError(f"{name} must be different positions from 0 up, of shape [n]", field=name)
