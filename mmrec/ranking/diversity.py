"""Which of m candidates make a good page together: relevant, unlike each other, not too many of one kind.

The selection is greedy: each step takes the allowed candidate that adds most to the page. This closes others
(a full cap, a near duplicate), and makes those unlike it worth more. The page is in the order of relevance.
Positions here are those among the candidates, from 0 to m - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.ranking.request import ROUNDING, scaled
from mmrec.search.hits import Positions
from mmrec.types import AttributeValue

MOST_LABELS = 1_000
Closing = Callable[[int], "list[int] | NDArray[np.bool_]"]  # a shown position -> positions that it closes


@dataclass(frozen=True, slots=True, eq=False)
class Cap:
    """At most `most` results of each value of one attribute.

    Attributes:
        values: the attribute of each candidate [m]. A list counts for each of its values; None and an empty
            list for none.
        most: results of one value, at least 1.
    """

    values: Sequence[AttributeValue | None]
    most: int

    def closing(self) -> Closing:
        """Counts what is shown, from 0, and closes the candidates of a value whose count is full."""
        groups = [labels_of(value) for value in self.values]
        members: dict[object, list[int]] = {}
        for position, group in enumerate(groups):
            for value in group:
                members.setdefault(value, []).append(position)
        left = dict.fromkeys(members, self.most)

        def close(shown: int) -> list[int]:
            for value in groups[shown]:
                left[value] -= 1
            return [p for value in groups[shown] if not left[value] for p in members[value]]

        return close


@dataclass(frozen=True, slots=True, eq=False)
class Duplicates:
    """Of candidates that are nearly the same, only the first is shown.

    Attributes:
        vectors: unit rows [m, d] of the space in which they are compared. A row of zeros has no duplicates.
        threshold: cosine from which on two are duplicates, above 0 and at most 1.
    """

    vectors: Vectors
    threshold: float

    def closing(self) -> Closing:
        """Closes the duplicates of what is shown."""
        x = self.vectors
        return lambda shown: x @ x[shown] >= self.threshold - ROUNDING  # [m, d] @ [d] -> [m]


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Makes a page's items unlike each other in one space.

    Attributes:
        vectors: unit rows [m, d] of the space. A row of zeros counts as similar to every other, so that an
            item without content does not count as diverse.
        weight: from 0, pure relevance, to 1, pure diversity; see `select`. Several sum to 1 at most.
    """

    vectors: Vectors
    weight: float


class Floors:
    """How many of some groups a page shows, at least and at most, as far as there are candidates.

    The best candidate takes the next slot, unless its group is full, or all slots that are left are needed
    for floors and it helps with none. Of groups without a common item this is the most relevant page.

    Source: Geyik, Ambler & Kenthapadi 2019, Fairness-aware ranking in search and recommendation systems
    (DetGreedy), for the page as a whole in place of each prefix, as a page is in the order of relevance.

    Args:
        members: which groups each candidate is in [m, g].
        least: results of each group, at least [g].
        most: at most [g].
    """

    def __init__(self, members: NDArray[np.bool_], least: ArrayLike, most: ArrayLike) -> None:
        self.members = members
        self.needed, self.room = np.array(least, np.intp), np.array(most, np.intp)

    def count(self, shown: int) -> None:
        """Counts the candidate at a position, which is shown."""
        self.needed -= self.members[shown]
        self.room -= self.members[shown]

    def kept(self, gain: Vectors, left: int) -> Vectors:
        """The gain [m] of candidates that may take the next of the slots that are left; of others -inf."""
        needed = np.maximum(self.needed, 0)
        helping = self.members[:, needed > 0].any(axis=1)
        fitting = ~self.members[:, self.room <= 0].any(axis=1)
        for mask in [helping, fitting] if needed.sum() >= left else [fitting]:
            if np.any(gain[mask] > -np.inf):
                return np.where(mask, gain, np.float32(-np.inf))
        return gain


def label_rows(values: Sequence[AttributeValue | None]) -> Vectors:
    """Unit rows [m, labels] of an attribute: the more labels two items share, the higher their cosine.

    Beyond 1,000 labels several share a column, which bounds the memory.
    """
    groups = [labels_of(value) for value in values]
    labels = dict.fromkeys(chain.from_iterable(groups))
    column = {label: n % MOST_LABELS for n, label in enumerate(labels)}
    rows = np.zeros((len(values), min(len(column), MOST_LABELS)), np.float32)
    for row, group in zip(rows, groups, strict=True):
        row[[column[label] for label in group]] = 1
    return unit(rows)


def labels_of(value: AttributeValue | None) -> Collection[object]:
    """The different values of one item's attribute, which may be a list."""
    if value is None:
        return ()
    return dict.fromkeys(value) if isinstance(value, list | tuple) else (value,)


def select(
    relevance: ArrayLike, k: int, *, spreads: Sequence[Spread] = (), caps: Sequence[Cap] = (),
    duplicates: Duplicates | None = None, above: Sequence[int] = (),
    floors: Floors | None = None,
) -> Positions:
    """Positions of the k candidates to show, in the order of relevance.

    With spreads, each step takes the candidate that adds most to the value of the page of k items
    (maximal marginal relevance),

        (1 - weight) * (mean relevance) + weight * (mean of 1 - cosine over its pairs),

    whose second mean is the page's intra-list diversity. Relevance [m] is first brought to [0, 1] over the
    candidates (`scaled`), so that a weight means the same on any scale of scores. Ties go to the more
    relevant candidate, then to the lower position. Time grows with k * m * d.

    The page is shorter than k only when caps and duplicates close all candidates that are left. As it is
    greedy, another choice might have been longer where these rules overlap: give more candidates then.

    Source: Carbonell & Goldstein 1998, The use of MMR, diversity-based reranking for reordering documents and
    producing summaries; summed over pairs as by Borodin, Lee & Ye 2012, Max-sum diversification, monotone
    submodular functions and dynamic updates.

    Args:
        relevance: of each candidate [m], on any scale.
        above: positions of candidates that the page shows already: they are not chosen again, but spreads,
            caps and duplicates count them.
        floors: how many of some groups to show.
    """
    scores = np.asarray(relevance, np.float64)
    closings = [rule.closing() for rule in [*caps, duplicates] if rule is not None]
    return _greedy(scores, k, [spread for spread in spreads if spread.weight], closings, above, floors)


def _greedy(
    scores: NDArray[np.float64], k: int, spreads: Sequence[Spread], closings: Sequence[Closing],
    above: Sequence[int], floors: Floors | None,
) -> Positions:
    order = np.argsort(-scores, kind="stable")
    if not spreads and not closings and not len(above) and floors is None:
        return order[:k]
    worth = (1 - sum(spread.weight for spread in spreads)) * scaled(scores)  # -inf once taken or closed
    adding = [_Adding(spread, len(above) + k) for spread in spreads]

    def gain_after(position: int) -> Vectors:
        worth[position] = -np.inf
        if floors:
            floors.count(position)
        for close in closings:
            worth[close(position)] = -np.inf
        return sum((one.after(position) for one in adding), start=worth)

    gain = worth
    for position in above:
        gain = gain_after(position)
    taken: list[int] = []  # ranks by relevance
    while len(taken) < min(k, len(scores)):
        allowed = gain if floors is None else floors.kept(gain, k - len(taken))
        rank = int(allowed[order].argmax())  # the first of the best by relevance
        if worth[order[rank]] == -np.inf:
            break
        taken.append(rank)
        gain = gain_after(int(order[rank]))
    return order[np.sort(np.array(taken, np.intp))]


class _Adding:
    """What each candidate [m] would add to a page's diversity, updated by one product a step.

    Args:
        size: items of the page. The mean over its size * (size - 1) / 2 pairs is scaled by size, as relevance
            is: an item's relevance is size times what the item adds to the mean of relevance.
    """

    def __init__(self, spread: Spread, size: int) -> None:
        self.x = spread.vectors
        self.described: NDArray[np.bool_] = np.any(self.x, axis=1)
        self.share = np.float32(2 * spread.weight / max(1, size - 1))
        self.sums = np.zeros(len(self.x), np.float32)

    def after(self, position: int) -> Vectors:
        """What each would add [m] once the candidate at this position is taken."""
        if self.described[position]:
            self.sums += self.share * (self.described - self.x @ self.x[position])  # [m, d] @ [d] -> [m]
        return self.sums
