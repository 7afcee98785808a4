"""Which of m candidates make a good page together: relevant, unlike each other, not too many of one kind.

The selection is greedy: each step takes the allowed candidate that adds most to the page. This closes others
(a full cap, a near duplicate), and makes those unlike it worth more. The page is in the order of relevance.
Positions here are those among the candidates, from 0 to m - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.errors import DataError
from mmrec.ranking.request import ROUNDING, check_scores, scaled, shape_of
from mmrec.search.hits import Positions
from mmrec.types import AttributeValue

MOST_LABELS = 1_000
NOT_UNIT = 1e-2  # how far from 1 a squared norm may be, as vectors may have been rounded to float16
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
        groups = [_labels(value) for value in self.values]
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
        x, _ = unit_rows(self.vectors)
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


def label_rows(values: Sequence[AttributeValue | None]) -> Vectors:
    """Unit rows [m, labels] of an attribute: the more labels two items share, the higher their cosine.

    Beyond 1,000 labels several share a column, which bounds the memory.
    """
    groups = [_labels(value) for value in values]
    labels = dict.fromkeys(chain.from_iterable(groups))
    column = {label: n % MOST_LABELS for n, label in enumerate(labels)}
    rows = np.zeros((len(values), min(len(column), MOST_LABELS)), np.float32)
    for row, group in zip(rows, groups, strict=True):
        row[[column[label] for label in group]] = 1
    return unit(rows)


def unit_rows(vectors: Vectors) -> tuple[Vectors, NDArray[np.bool_]]:
    """Rows [m, d], checked to have norm 1 or 0, and which of them [m] are not zeros."""
    x = np.asarray(vectors, np.float32)
    squares = np.einsum("md,md->m", x, x) if x.ndim == 2 else np.array(np.nan)  # NaN and infinity show here
    described = squares != 0
    if not (np.abs(squares - described) <= NOT_UNIT).all():
        raise DataError(
            f"vectors must be rows [m, d] of norm 1, or zeros, got {shape_of(x)}: normalise them first",
            field="vectors",
        )
    return x, described


def _labels(value: AttributeValue | None) -> Iterable[object]:
    """The different values of one item's attribute, which may be a list."""
    if value is None:
        return ()
    return dict.fromkeys(value) if isinstance(value, list | tuple) else (value,)


def select(
    relevance: ArrayLike, k: int, *, spreads: Sequence[Spread] = (), caps: Sequence[Cap] = (),
    duplicates: Duplicates | None = None, above: Sequence[int] = (),
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

    Raises:
        DataError: an argument is not finite or of another length than relevance, or rows of vectors are
            neither of norm 1 nor zeros.
    """
    scores = check_scores(relevance)
    closings = [cap.closing() for cap in caps]
    lengths = {len(cap.values) for cap in caps} | {len(spread.vectors) for spread in spreads}
    if duplicates is not None:
        closings.append(duplicates.closing())
        lengths.add(len(duplicates.vectors))
    if lengths - {len(scores)}:
        raise DataError(
            f"relevance has {len(scores)} candidates, but spreads, caps or duplicates have"
            f" {', '.join(map(str, sorted(lengths)))}: give them in the same order", field="relevance",
        )
    return _greedy(scores, k, [spread for spread in spreads if spread.weight], closings, above)


def _greedy(
    scores: NDArray[np.float64], k: int, spreads: Sequence[Spread], closings: Sequence[Closing],
    above: Sequence[int],
) -> Positions:
    order = np.argsort(-scores, kind="stable")
    if not spreads and not closings and not len(above):
        return order[:k]
    worth = (1 - sum(spread.weight for spread in spreads)) * scaled(scores)  # -inf once taken or closed
    adding = [_Adding(spread, len(above) + k) for spread in spreads]

    def gain_after(position: int) -> Vectors:
        worth[position] = -np.inf
        for close in closings:
            worth[close(position)] = -np.inf
        return sum((one.after(position) for one in adding), start=worth)

    gain = worth
    for position in above:
        gain = gain_after(position)
    taken: list[int] = []  # ranks by relevance
    while len(taken) < min(k, len(scores)):
        rank = int(gain[order].argmax())  # the first of the best by relevance
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
        self.x, self.described = unit_rows(spread.vectors)
        self.share = np.float32(2 * spread.weight / max(1, size - 1))
        self.sums = np.zeros(len(self.x), np.float32)

    def after(self, position: int) -> Vectors:
        """What each would add [m] once the candidate at this position is taken."""
        if self.described[position]:
            self.sums += self.share * (self.described - self.x @ self.x[position])  # [m, d] @ [d] -> [m]
        return self.sums
