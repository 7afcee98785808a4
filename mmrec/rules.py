"""The rules of a page: what a selection heeds besides relevance. Each has a value for every candidate [m]."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.errors import DataError
from mmrec.limits import check_share, shape_of
from mmrec.types import AttributeValue

MOST_LABELS = 1_000
ROUNDING = 1e-6  # of what should be 1: the cosine of two equal vectors, or a sum of dials
NOT_UNIT = 1e-2  # how far from 1 a squared norm may be: float16 has rounded some
Positions = NDArray[np.intp]
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
        dial: 0 is pure relevance, 1 pure diversity; see `select`.
    """

    vectors: Vectors
    dial: float

    def __post_init__(self) -> None:
        check_share(self.dial, "dial")

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
