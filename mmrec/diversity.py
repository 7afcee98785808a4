"""Which of m candidates make a good page together: relevant, unlike each other, not too many of one kind.

A selection is greedy: it shows the best candidate that is still open, which closes others (a full cap, a near
duplicate) and makes those that are like it less worth showing. Positions are those of the candidates [m].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.types import AttributeValue

MOST_RESULTS = 10_000
ROUNDING = 1e-6  # of the cosine of two equal vectors, so that a threshold of 1 finds them
NOT_UNIT = 1e-2  # how far from 1 a squared norm may be: float16 has rounded some
Positions = NDArray[np.intp]
Closing = Callable[[int], "list[int] | NDArray[np.bool_]"]  # a shown position -> those it closes


def check_k(k: object, name: str = "k", field: str = "k") -> int:
    """A number of results.

    Raises:
        DataError: it is no whole number from 1 to 10,000.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= MOST_RESULTS:
        raise DataError(f"{name} must be a whole number from 1 to {MOST_RESULTS:,}, got {k!r}", field=field)
    return int(k)


def check_share(value: object, name: str) -> float:
    """A setting between two ends.

    Raises:
        DataError: it is no number from 0 to 1.
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:  # type: ignore[operator]  # NaN is not in between either
        raise DataError(f"{name} must be a number from 0 to 1, got {value!r}", field=name)
    return float(value)  # type: ignore[arg-type]


def check_scores(scores: ArrayLike, name: str = "relevance") -> NDArray[np.float64]:
    """Scores as an array [m].

    Raises:
        DataError: they have another shape, or one is not finite.
    """
    array = np.asarray(scores, np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise DataError(f"{name} must be finite numbers of shape [m], got {_described(array)}", field=name)
    return array


def scaled(scores: NDArray[np.float64]) -> Vectors:
    """Scores [m] on a scale where the best candidate has 1 and the worst 0 (min-max); 0 if all are equal."""
    if not len(scores):
        return np.zeros(0, np.float32)
    low, high = scores.min(), scores.max()
    return ((scores - low) / ((high - low) or 1.0)).astype(np.float32)


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
        x, _ = _unit_rows(self.vectors)
        return lambda shown: x @ x[shown] >= self.threshold - ROUNDING  # [m, d] @ [d] -> [m]


def caps_of(
    max_per: Mapping[str, int], columns: Mapping[str, Sequence[AttributeValue | None]]
) -> tuple[Cap, ...]:
    """The caps that `max_per={"brand": 2}` asks for, from the candidates' attributes by name.

    Raises:
        DataError: there is no such attribute, or a number is not at least 1.
    """
    unknown = [name for name in max_per if name not in columns]
    if unknown:
        known = ", ".join(columns) or "none, items have no attributes"
        raise DataError(f"max_per names no attribute {unknown[0]!r}: choose {known}", field="max_per")
    return tuple(Cap(columns[name], most, name) for name, most in max_per.items())


def select(
    relevance: ArrayLike, k: int, *, vectors: Vectors | None = None, dial: float = 0.0,
    caps: Iterable[Cap] = (), duplicates: Duplicates | None = None, above: Sequence[int] = (),
) -> Positions:
    """Positions of the k candidates to show, in order: relevance, diversity, caps and duplicates at once.

    There are fewer than k only when no candidate is left that caps and duplicates allow. With one attribute
    of single values that is when no k exist; several caps together, lists and duplicates are chosen greedily,
    and another choice might have been longer: give more candidates then.

    Args:
        relevance: of each candidate [m], on any scale; equal ones rank by position.
        vectors: unit rows [m, d], for a dial above 0; see `mmr`.
        dial: 0 is pure relevance, 1 pure diversity; see `mmr`.
        above: positions of candidates that are shown already: not chosen again, but caps, duplicates and
            likeness count them.

    Raises:
        DataError: an argument is out of range, not finite or of another length than relevance.
    """
    scores, k, dial = check_scores(relevance), check_k(k), check_share(dial, "dial")
    rules: list[Cap | Duplicates] = [*caps] if duplicates is None else [*caps, duplicates]
    if dial and vectors is None:
        raise DataError("a dial above 0 needs the candidates' vectors [m, d]", field="vectors")
    lengths = {len(rule) for rule in rules} | ({len(vectors)} if vectors is not None else set())
    if lengths - {len(scores)}:
        raise DataError(
            f"relevance has {len(scores)} candidates, but vectors, caps or duplicates have"
            f" {', '.join(map(str, sorted(lengths)))}: give them in the same order", field="relevance",
        )
    return _greedy(scores, k, vectors if dial else None, dial, [rule.closing() for rule in rules], above)


def mmr(relevance: ArrayLike, vectors: Vectors, k: int, dial: float) -> Positions:
    """Positions [k] by maximal marginal relevance, which shows at each step the candidate i with the largest

        (1 - dial) * relevance_i - dial * (largest cosine of i with anything shown above).

    Relevance [m] is brought to [0, 1] over the candidates first (`scaled`), so that the dial means the same
    whatever scores are made of. At 0 these are the k most relevant in their order. At 1 they are a greedy
    max-min choice: the most relevant, then always the candidate least like those shown. Equally good ones
    (to within rounding) rank by relevance, then by position.

    An item without content (a row of zeros) counts as like everything shown, lest it be thought diverse, and
    no other item is like it. Time grows with k * m * d.

    Source: Carbonell & Goldstein 1998, The use of MMR, diversity-based reranking for reordering documents and
    producing summaries; the dial is 1 - lambda.

    Raises:
        DataError: as of `select`, or rows of vectors [m, d] are neither of norm 1 nor zeros.
    """
    return select(relevance, k, vectors=vectors, dial=dial)


def distinct(vectors: Vectors, order: ArrayLike, threshold: float) -> Positions:
    """The order (positions, best first) without those that are near duplicates of one kept before them.

    Args:
        vectors: unit rows [m, d] of the space in which they are compared.
        threshold: cosine from which on two are the same, above 0 and at most 1.

    Raises:
        DataError: the threshold is out of range, or rows are neither of norm 1 nor zeros.
    """
    places = np.asarray(order, np.intp)
    close = Duplicates(vectors[places], threshold).closing()
    return places[_greedy(-np.arange(len(places), dtype=np.float64), len(places), None, 0.0, [close])]


def _greedy(
    scores: NDArray[np.float64], k: int, vectors: Vectors | None, dial: float, closings: Sequence[Closing],
    above: Sequence[int] = (),
) -> Positions:
    order = np.argsort(-scores, kind="stable")
    if vectors is None and not closings and not len(above):
        return order[:k]
    worth = (1 - dial) * scaled(scores)  # -inf once shown or closed
    alike = None if vectors is None else _Alike(vectors, dial)

    def gain_after(place: int) -> Vectors:
        worth[place] = -np.inf
        for close in closings:
            worth[close(place)] = -np.inf
        return worth if alike is None else worth - alike.after(place)

    gain = worth
    for place in above:
        gain = gain_after(place)
    shown: list[int] = []
    while len(shown) < min(k, len(scores)):
        place = int(order[gain[order].argmax()])  # the first of the best by relevance
        if worth[place] == -np.inf:
            break
        shown.append(place)
        gain = gain_after(place)
    return np.array(shown, np.intp)


class _Alike:
    """Dial times the largest cosine [m] of each candidate with what is shown, one product a step."""

    def __init__(self, vectors: Vectors, dial: float) -> None:
        self.x, self.described = _unit_rows(vectors)
        self.dial = dial
        self.largest = np.where(self.described, -dial, dial).astype(np.float32)

    def after(self, place: int) -> Vectors:
        """With one more candidate shown."""
        if self.described[place]:
            cosines = self.x @ (self.dial * self.x[place])  # [m, d] @ [d] -> [m]
            np.maximum(self.largest, cosines, out=self.largest)
        return self.largest


def _unit_rows(vectors: Vectors) -> tuple[Vectors, NDArray[np.bool_]]:
    """Rows [m, d], checked, and which of them [m] are not zeros."""
    x = np.asarray(vectors, np.float32)
    squares = np.einsum("md,md->m", x, x) if x.ndim == 2 else np.array(np.nan)  # also tells NaN and infinity
    described = squares != 0
    if not (np.abs(squares - described) <= NOT_UNIT).all():
        raise DataError(
            f"vectors must be rows [m, d] of norm 1, or zeros, got {_described(x)}: normalise them first",
            field="vectors",
        )
    return x, described


def _several(value: AttributeValue | None) -> Iterable[object]:
    """The different values of one item's attribute."""
    if value is None:
        return ()
    return dict.fromkeys(value) if isinstance(value, list | tuple) else (value,)


def _described(array: NDArray[np.floating]) -> str:
    broken = np.count_nonzero(~np.isfinite(array))
    return f"shape {list(array.shape)}" + (f" with {broken} that are NaN or infinite" if broken else "")
