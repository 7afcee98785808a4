"""The request: all that a call may ask for, checked once with an error that says what would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.search.vectors import CONTENT

MOST_RESULTS = 10_000
ROUNDING = 1e-6  # of what should be 1: the cosine of two equal vectors, or a sum of weights
POOL = 200  # candidates from which a page is chosen, at least
WIDER = 5  # times k candidates for a longer page, up to k + MORE
DIVERSE = 40  # the same for a page that shall be diverse, or whose candidates are weighed by signals
MORE = 2_000
Diversity = float | Mapping[str, float]
Rng = np.random.Generator | int | None


def check_k(k: object, name: str = "k", field: str = "k") -> int:
    """A number of results.

    Raises:
        DataError: it is no whole number from 1 to 10,000.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= MOST_RESULTS:
        raise DataError(f"{name} must be a whole number from 1 to {MOST_RESULTS:,}, got {k!r}", field=field)
    return int(k)


def check_share(value: object, name: str, field: str | None = None) -> float:
    """A setting between two ends.

    Raises:
        DataError: it is no number from 0 to 1.
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:  # type: ignore[operator]  # NaN is not in between either
        raise DataError(f"{name} must be a number from 0 to 1, got {value!r}", field=field or name)
    return float(value)  # type: ignore[arg-type]


def check_scores(scores: ArrayLike, name: str = "relevance") -> NDArray[np.float64]:
    """Scores as an array [m].

    Raises:
        DataError: they have another shape, or one is not finite.
    """
    array = np.asarray(scores, np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise DataError(f"{name} must be finite numbers of shape [m], got {shape_of(array)}", field=name)
    return array


def scaled(scores: NDArray[np.float64]) -> Vectors:
    """Scores [m] on a scale where the best candidate has 1 and the worst 0 (min-max); 0 if all are equal."""
    if not len(scores):
        return np.zeros(0, np.float32)
    low, high = scores.min(), scores.max()
    return ((scores - low) / ((high - low) or 1.0)).astype(np.float32)


def shape_of(array: NDArray[np.floating]) -> str:
    """Shape of an array, and how many of its numbers are none."""
    broken = np.count_nonzero(~np.isfinite(array))
    return f"shape {list(array.shape)}" + (f" with {broken} that are NaN or infinite" if broken else "")



@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """How much is given to new items, and to which.

    Attributes:
        share: chance of each slot, whatever happens in the others, to go to a new item.
        max_age_days: how old a new item may be.
        temperature: of the draw among new items, whose relevance is brought to [0, 1] first: the most
            relevant is exp(1 / temperature) times as likely as the least. Low: nearly always the most
            relevant; high: all alike.

    Raises:
        DataError: share is not from 0 to 1, or another is not above 0.
    """

    share: float = 0.1
    max_age_days: float = 30.0
    temperature: float = 0.2

    def __post_init__(self) -> None:
        check_share(self.share, "share")
        for name in ("max_age_days", "temperature"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
                raise DataError(f"{name} must be a finite number above 0, got {value!r}", field=name)


class PageOptions(TypedDict, total=False):
    """What may be asked of any page of results; `Request` describes each."""

    k: int
    where: str | None
    exclude: Sequence[str]
    diversity: Diversity
    max_per: Mapping[str, int] | None
    distinct: float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a call asks for: for whom, and what of the results. Checked once, the same for every way in.

    Attributes:
        user: id of a user whose recorded interactions are the history.
        history: ids of items, oldest first, of a user whom nobody has seen; None if there is none.
        dislikes: ids of items that push away.
        taste: what a new user says to like, in words.
        k: number of results, 1 to 10,000.
        where: condition on attributes; see `mmrec.store.where`.
        exclude: ids of items not to be shown.
        diversity: 0 is pure relevance, 1 pure diversity of the content; or a weight for each of some
            fields and attributes, such as `{"genres": 0.3}`. See `mmrec.ranking.diversity.select`.
        max_per: most results of one value of an attribute, such as `{"brand": 2}`.
        distinct: of nearly equal items show one: those with the same value of this attribute, or with a
            cosine of their content of at least this number (above 0, up to 1).
        signals: how much a named signal adds to relevance, such as `{"newness": 0.2}`; see
            `mmrec.ranking.signals`.
        explore: share of the slots that goes to new items, or an `Exploration`.
        rng: draws the explored items; a whole number is a seed.

    Raises:
        DataError: one of them cannot be used; `.field` names it.
    """

    user: str | None = None
    history: Sequence[str] | None = None
    dislikes: Sequence[str] = ()
    taste: str | None = None
    k: int = 10
    where: str | None = None
    exclude: Sequence[str] = ()
    diversity: Diversity = 0.0
    max_per: Mapping[str, int] | None = None
    distinct: float | str | None = None
    signals: Mapping[str, float] | None = None
    explore: Exploration | float = 0.0
    rng: Rng = field(default=None, compare=False)

    def __post_init__(self) -> None:
        settle = object.__setattr__  # the one moment a frozen value may still be settled
        if self.user is not None and self.history is not None:
            raise DataError("recommend takes a user or a history, not both", field="user")
        if self.history is not None:
            settle(self, "history", tuple(listed(self.history, "history")))
        settle(self, "dislikes", tuple(listed(self.dislikes, "dislikes")))
        settle(self, "k", check_k(self.k))
        settle(self, "exclude", tuple(listed(self.exclude, "exclude")))
        settle(self, "diversity", _checked_diversity(self.diversity))
        settle(self, "max_per", _checked_caps(self.max_per))
        _check_distinct(self.distinct)
        settle(self, "signals", _checked_signals(self.signals))
        if not isinstance(self.explore, Exploration):
            settle(self, "explore", Exploration(share=check_share(self.explore, "explore")))
        _check_rng(self.rng)

    @property
    def selects(self) -> bool:
        """Whether diversity, caps or duplicates decide which candidates make the page."""
        return bool(self.diversity or self.max_per or self.distinct is not None)

    @property
    def shapes(self) -> bool:
        """Whether a page is more than the k most relevant candidates."""
        return bool(self.selects or self.signals)

    @property
    def pool(self) -> int:
        """How many candidates the page is first chosen from."""
        times = DIVERSE if self.diversity or self.signals else WIDER
        return max(POOL, min(times * self.k, self.k + MORE)) if self.shapes else self.k

    @property
    def weights_of_diversity(self) -> Mapping[str, float]:
        """The weight of each field's diversity in the value of a page."""
        return self.diversity if isinstance(self.diversity, Mapping) else {}

    @property
    def exploration(self) -> Exploration | None:
        """How new items are explored, if they are."""
        explore = self.explore
        return explore if isinstance(explore, Exploration) and explore.share > 0 else None

    @property
    def generator(self) -> np.random.Generator:
        """Draws the explored items."""
        return np.random.default_rng(self.rng)


def check_offset(number: object, name: str) -> int:
    """A count of items.

    Raises:
        DataError: it is no whole number from 0 up.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise DataError(f"{name} must be a whole number from 0 up, got {number!r}", field=name)
    return number


def listed(ids: Sequence[str], name: str) -> list[str]:
    """A list of ids; one string is a mistake that would be read letter by letter.

    Raises:
        DataError: it is no list of strings.
    """
    members = None if isinstance(ids, str) or not isinstance(ids, Iterable) else list(ids)
    if members is None or not all(isinstance(i, str) for i in members):
        raise DataError(f"{name} must be a list of item ids, got {ids!r}"[:200], field=name)
    return members


def _checked_signals(signals: object) -> Mapping[str, float]:
    if signals is None:
        return {}
    if not isinstance(signals, Mapping):
        raise DataError(
            f"signals must map names to numbers, as {{'newness': 0.2}}, got {signals!r}"[:200],
            field="signals",
        )
    weights = {str(n): check_share(w, f"signals[{n!r}]", "signals") for n, w in signals.items()}
    return {name: weight for name, weight in weights.items() if weight}


def _checked_diversity(diversity: object) -> Mapping[str, float]:
    if not isinstance(diversity, Mapping):
        diversity = {CONTENT: check_share(diversity, "diversity")}
    weights = {str(n): check_share(w, f"diversity[{n!r}]", "diversity") for n, w in diversity.items()}
    if sum(weights.values()) > 1 + ROUNDING:
        raise DataError(f"diversity must sum to 1 at most, got {weights!r}"[:200], field="diversity")
    return {name: weight for name, weight in weights.items() if weight}


def _checked_caps(max_per: object) -> Mapping[str, int]:
    if max_per is None:
        return {}
    if not isinstance(max_per, Mapping):
        raise DataError(
            f"max_per must map attributes to numbers, as {{'brand': 2}}, got {max_per!r}", field="max_per"
        )
    return {str(name): check_k(most, f"max_per[{name!r}]", "max_per") for name, most in max_per.items()}


def _check_distinct(distinct: object) -> None:
    if distinct is None or isinstance(distinct, str):
        return
    if not check_share(distinct, "distinct"):
        raise DataError("distinct must be above 0, or all would be duplicates of one", field="distinct")


def _check_rng(rng: object) -> None:
    whole = isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0
    if rng is not None and not whole and not isinstance(rng, np.random.Generator):
        raise DataError(f"rng must be a numpy Generator, or a seed from 0 up, got {rng!r}", field="rng")
