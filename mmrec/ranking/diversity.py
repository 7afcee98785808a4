"""Which of m candidates make a good page together: relevant, unlike each other, not too many of one kind.

A selection is greedy: it takes the candidate that is still open and adds most, which closes others (a full
cap, a near duplicate) and lets those that are unlike it add more. What was taken is shown in the order of
relevance. Positions are those of the candidates [m].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.errors import DataError
from mmrec.ranking.request import ROUNDING, check_k, check_scores, check_share, scaled, shape_of
from mmrec.search.hits import Positions
from mmrec.types import AttributeValue

MOST_LABELS = 1_000
NOT_UNIT = 1e-2  # how far from 1 a squared norm may be: float16 has rounded some
Closing = Callable[[int], "list[int] | NDArray[np.bool_]"]  # a shown position -> those it closes


@dataclass(frozen=True, slots=True, eq=False)
class Cap:
    """At most so many results of each value of one attribute; 1 shows no two of a value (of a design, say).

    Attributes:
        values: of the candidates [m]. A list counts for each of its values; None and an empty list for none.
        most: results of one value, at least 1.
        name: of the attribute.
    """

    values: Sequence[AttributeValue | None]
    most: int
    name: str = "attribute"

    def __post_init__(self) -> None:
        if isinstance(self.most, bool) or not isinstance(self.most, int | np.integer) or self.most < 1:
            raise DataError(
                f"max_per[{self.name!r}] must be a whole number from 1 up, got {self.most!r}", field="max_per"
            )

    def __len__(self) -> int:
        return len(self.values)

    def closing(self) -> Closing:
        """A fresh count: told what is shown, it closes the values that are full."""
        groups = [_several(value) for value in self.values]
        members: dict[object, list[int]] = {}
        for position, group in enumerate(groups):
            for value in group:
                members.setdefault(value, []).append(position)
        left = dict.fromkeys(members, int(self.most))

        def close(shown: int) -> list[int]:
            for value in groups[shown]:
                left[value] -= 1
            return [p for value in groups[shown] if not left[value] for p in members[value]]

        return close


@dataclass(frozen=True, slots=True, eq=False)
class Duplicates:
    """Of candidates that are nearly the same, only the one that is shown first.

    Where an attribute tells them apart (`design`), `Cap(values, 1)` does so exactly.

    Attributes:
        vectors: unit rows [m, d] of the space in which they are compared, such as images. Rows of zeros are
            nobody's duplicate.
        threshold: cosine from which on two are the same, above 0 and at most 1.
    """

    vectors: Vectors
    threshold: float

    def __post_init__(self) -> None:
        if not check_share(self.threshold, "threshold"):
            raise DataError("threshold must be above 0, or all would be duplicates of one", field="threshold")

    def __len__(self) -> int:
        return len(self.vectors)

    def closing(self) -> Closing:
        """Told what is shown, it closes all that is like it."""
        x, _ = unit_rows(self.vectors)
        return lambda shown: x @ x[shown] >= self.threshold - ROUNDING  # [m, d] @ [d] -> [m]


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Makes a page's items unlike each other in one respect.

    Attributes:
        vectors: unit rows [m, d] of the space in which they are compared. Rows of zeros count as like
            everything, lest an item without content be thought diverse.
        weight: 0 is pure relevance, 1 pure diversity; see `select`.
    """

    vectors: Vectors
    weight: float

    def __post_init__(self) -> None:
        check_share(self.weight, "weight")

    def __len__(self) -> int:
        return len(self.vectors)


def label_rows(values: Sequence[AttributeValue | None]) -> Vectors:
    """Unit rows [m, labels] of an attribute, whose cosine is the share of labels that two have in common.

    Of more than 1,000 labels some share a column, which bounds the memory.
    """
    groups = [_several(value) for value in values]
    labels = dict.fromkeys(chain.from_iterable(groups))
    column = {label: n % MOST_LABELS for n, label in enumerate(labels)}
    rows = np.zeros((len(values), min(len(column), MOST_LABELS)), np.float32)
    for row, group in zip(rows, groups, strict=True):
        row[[column[label] for label in group]] = 1
    return unit(rows)


def unit_rows(vectors: Vectors) -> tuple[Vectors, NDArray[np.bool_]]:
    """Rows [m, d], checked, and which of them [m] are not zeros."""
    x = np.asarray(vectors, np.float32)
    squares = np.einsum("md,md->m", x, x) if x.ndim == 2 else np.array(np.nan)  # also tells NaN and infinity
    described = squares != 0
    if not (np.abs(squares - described) <= NOT_UNIT).all():
        raise DataError(
            f"vectors must be rows [m, d] of norm 1, or zeros, got {shape_of(x)}: normalise them first",
            field="vectors",
        )
    return x, described


def _several(value: AttributeValue | None) -> Iterable[object]:
    """The different values of one item's attribute."""
    if value is None:
        return ()
    return dict.fromkeys(value) if isinstance(value, list | tuple) else (value,)


def select(
    relevance: ArrayLike, k: int, *, spreads: Sequence[Spread] = (), caps: Iterable[Cap] = (),
    duplicates: Duplicates | None = None, above: Sequence[int] = (),
) -> Positions:
    """Positions of the k candidates to show, in the order of relevance: diversity, caps, duplicates at once.

    With spreads the page of k items is sought whose value is highest,

        (1 - weight) * (mean relevance) + weight * (mean of 1 - cosine over its pairs),

    by taking at each step the candidate that adds most to it (maximal marginal relevance). The second mean is
    the page's intra-list diversity. Relevance [m] is brought to [0, 1] over the candidates first (`scaled`),
    so that a weight means the same whatever scores are made of. Equally good candidates rank by relevance,
    then by position. Time grows with k * m * d.

    There are fewer than k only when no candidate is left that caps and duplicates allow. Several caps, lists
    and duplicates are chosen greedily: another choice might have been longer, so give more candidates then.

    Source: Carbonell & Goldstein 1998, The use of MMR, diversity-based reranking for reordering documents and
    producing summaries; summed over pairs as by Borodin, Lee & Ye 2012, Max-sum diversification, monotone
    submodular functions and dynamic updates.

    Args:
        relevance: of each candidate [m], on any scale; equal ones rank by position.
        above: positions of candidates that are shown already: not chosen again, but spreads, caps and
            duplicates count them.

    Raises:
        DataError: an argument is out of range, not finite or of another length than relevance; weights sum to
            more than 1; or rows of vectors are neither of norm 1 nor zeros.
    """
    scores, k = check_scores(relevance), check_k(k)
    rules: list[Cap | Duplicates] = [*caps] if duplicates is None else [*caps, duplicates]
    if (total := sum(spread.weight for spread in spreads)) > 1 + ROUNDING:
        raise DataError(f"weights must sum to 1 at most, got {total:g}", field="weight")
    lengths = {len(rule) for rule in [*rules, *spreads]}
    if lengths - {len(scores)}:
        raise DataError(
            f"relevance has {len(scores)} candidates, but spreads, caps or duplicates have"
            f" {', '.join(map(str, sorted(lengths)))}: give them in the same order", field="relevance",
        )
    spreads = [spread for spread in spreads if spread.weight]
    return _greedy(scores, k, spreads, [rule.closing() for rule in rules], above)


def _greedy(
    scores: NDArray[np.float64], k: int, spreads: Sequence[Spread], closings: Sequence[Closing],
    above: Sequence[int] = (),
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
    """What each candidate [m] would add to a page's diversity, one product a step.

    Args:
        size: of the page. Its mean is over size * (size - 1) / 2 pairs; k times what one of them adds to it,
            as relevance is k times what an item adds to its mean.
    """

    def __init__(self, spread: Spread, size: int) -> None:
        self.x, self.described = unit_rows(spread.vectors)
        self.share = np.float32(2 * spread.weight / max(1, size - 1))
        self.sums = np.zeros(len(self.x), np.float32)

    def after(self, position: int) -> Vectors:
        """With one more candidate taken."""
        if self.described[position]:
            self.sums += self.share * (self.described - self.x @ self.x[position])  # [m, d] @ [d] -> [m]
        return self.sums
