"""Groups of items and their shares of the slots: floors, or even shares; and the prices at which they hold.

Arrays alone: `mmrec.ranking.exposure` serves by them, and `mmrec.evaluate.groups` judges them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.ranking.diversity import labels_of
from mmrec.ranking.request import EVEN, ROUNDING
from mmrec.search.hits import Mask, Positions
from mmrec.types import AttributeValue

if TYPE_CHECKING:
    from scipy.sparse import csc_matrix

HEAD = 0.8  # share of the interactions that the items have which are no tail
MOST_GROUPS = 200  # that can be made even
ROUNDS, EXACT = 150, 0.002  # of the search for prices, which ends once every share is that near
STEP, FASTER, SLOWER, DEAREST = 0.05, 1.3, 0.5, 100.0  # of prices, in ranges of a user's candidates
Values = NDArray[np.float64]
Name = tuple[str, str]  # such as ("brand", "Acme"), or ("cold", "")


class Group(NamedTuple):
    """Some items, and the share of the slots that they are to have.

    Attributes:
        positions: of its items [m].
        parts: how far each counts [m]: 1, of an item with several labels that are to be even its part.
        share: at least, of all slots; of an even one, of the slots of all values of its attribute.
        even: number of the attribute whose values are to be even; -1 of a floor.
    """

    name: Name
    positions: Positions
    parts: Vectors
    share: float
    even: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Groups of n items as arrays.

    Attributes:
        members: how far each item counts for each of g groups [n, g].
        shares, even: of each group [g], as in `Group`.
    """

    names: Sequence[Name]
    members: csc_matrix
    shares: Values
    even: Positions

    @classmethod
    def of(cls, groups: Sequence[Group], n: int) -> Groups:
        """The arrays of groups of n items."""
        from scipy.sparse import csc_matrix

        names, positions, parts, shares, even = zip(*groups, strict=True)
        ends = np.cumsum([0, *map(len, positions)])
        members = csc_matrix((np.concatenate(parts), np.concatenate(positions), ends), (n, len(groups)))
        return cls(names, members, np.array(shares), np.array(even))

    def exposed(self, shown: NDArray[np.integer]) -> Values:
        """Each group's share of the slots [g], by what all of these show."""
        counts = np.bincount(shown, minlength=self.members.shape[0])  # [n]
        exposed: Values = self.members.T @ counts / max(1, len(shown))  # [g, n] @ [n] -> [g]
        return exposed

    def targets(self, exposed: Values) -> Values:
        """What each is to have [g], where they have these shares [g]."""
        return self.shares * [exposed[self.even == e].sum() if e >= 0 else 1.0 for e in self.even.tolist()]

    def added(self, prices: Values) -> Vectors:
        """The sums of the prices [g] of each item's groups [n]."""
        return np.asarray(self.members @ prices, np.float32)

    def mask(self, group: int) -> Mask:
        """Which items [n] count for a group."""
        found = np.zeros(self.members.shape[0], np.bool_)
        found[self.members.indices[slice(*self.members.indptr[group : group + 2])]] = True
        return found


def by_value(
    name: str, values: Sequence[AttributeValue | None], asked: str | Mapping[str, float], number: int = 0
) -> list[Group]:
    """A group for each value of an attribute [n] that is to be even, or for each value with a floor."""
    places: dict[str, list[int]] = {}
    labels = [labels_of(value) for value in values]
    for position, each in enumerate(labels):
        for label in each:
            places.setdefault(str(label), []).append(position)
    if asked != EVEN:
        floors = cast(Mapping[str, float], asked)
        if unknown := [value for value in floors if value not in places]:
            what = f"exposure: no item has {name} {unknown[0]!r}"
            raise DataError(f"{what}: check its spelling", field="exposure")
        return [
            Group((name, value), np.array(places[value]), np.ones(len(places[value]), np.float32), share)
            for value, share in floors.items()
        ]
    if len(places) > MOST_GROUPS:
        raise DataError(
            f"exposure: {name} has {len(places):,} values, and at most {MOST_GROUPS} can be even: give floors"
            f" to some of them, as {{{name!r}: {{{next(iter(places))!r}: 0.1}}}}", field="exposure",
        )
    parts = np.array([1 / max(1, len(each)) for each in labels], np.float32)  # [n]
    return [
        Group((name, value), np.array(some), parts[some], 1 / len(places), number)
        for value, some in sorted(places.items())
    ]


def tail_of(popularity: Values | Vectors) -> Mask:
    """Which items [n] are not among the most popular ones that have 80% of the interactions.

    Source: Abdollahpouri, Burke & Mobasher 2017, Controlling popularity bias in learning-to-rank
    recommendation (short head and long tail, by the Pareto principle).
    """
    order = np.argsort(-popularity, kind="stable")
    counts = popularity[order].astype(np.float64)
    before = np.cumsum(counts) - counts  # interactions of the more popular ones
    tail = np.empty(len(order), np.bool_)
    tail[order] = (before >= HEAD * counts.sum()) | (counts == 0)
    return tail


def learned(groups: Groups, scores: Vectors, places: NDArray[np.integer], k: int) -> Values:
    """The prices [g] at which the pages of some users have the groups' shares, as nearly as can be.

    Dual ascent: the price of a group rises while it has less than its share, and falls while it has more;
    that of a floor ends at 0. Steps grow while their sign stays and shrink when it turns (Riedmiller & Braun
    1993, RPROP), as shares jump with each page that changes.

    Args:
        scores: of each user's candidates, in ranges of these [u, p]; minus infinity where there is none.
        places: positions of the candidates [u, p].
        k: slots of a page.
    """
    prices, sign = np.zeros(len(groups.names)), np.zeros(len(groups.names))
    step, floor = np.full(len(prices), STEP), groups.even < 0
    best, nearest = prices, np.inf
    for _ in range(ROUNDS):
        exposed = groups.exposed(pages(scores + groups.added(prices)[places], places, k))
        targets = groups.targets(exposed)
        lacking = (targets - exposed) / np.maximum(targets, ROUNDING)  # [g]
        lacking[floor & (prices <= 0) & (lacking < 0)] = 0.0
        if (off := np.abs(lacking).max(initial=0)) < nearest:
            best, nearest = prices, off
        if nearest <= EXACT:
            break
        turn, sign = sign * np.sign(lacking), np.sign(lacking)
        step *= np.where(turn > 0, FASTER, np.where(turn < 0, SLOWER, 1.0))
        prices = np.clip(prices + sign * step, np.where(floor, 0.0, -DEAREST), DEAREST)
    return best


def pages(scores: Vectors, places: NDArray[np.integer], k: int) -> NDArray[np.integer]:
    """The positions of all users' k best candidates together, of scores [u, p] of places [u, p]."""
    size = min(k, scores.shape[1])
    top = np.argpartition(-scores, size - 1, axis=1)[:, :size]
    return np.take_along_axis(places, top, axis=1)[np.isfinite(np.take_along_axis(scores, top, axis=1))]
