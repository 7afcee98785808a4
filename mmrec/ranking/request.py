"""What a call may ask for, checked once, with errors that say what would be accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.search.vectors import CONTENT
from mmrec.types import normal_id

MOST_RESULTS = 10_000
ROUNDING = 1e-6  # of what should be 1: the cosine of two equal vectors, or a sum of weights
POOL = 200  # candidates from which a page is chosen, at least
WIDER = 5  # times k candidates for a longer page, up to k + MORE
DIVERSE = 40  # times k candidates, up to k + MORE, where diversity, exposure or signals choose the page
MORE = 2_000
COLD, TAIL, EVEN = "cold", "tail", "even"  # groups and a share of `exposure`
Diversity = float | Mapping[str, float]
Shares = Mapping[str, str | float | Mapping[str, float]]
Rng = np.random.Generator | int | None


def check_whole(
    number: object, name: str, least: int, most: float = np.inf, field: str | None = None
) -> int:
    """A whole number from `least` to `most`; raises DataError for anything else."""
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or not least <= number <= most:  # type: ignore[operator]
        end = "up" if most == np.inf else f"to {most:,}"
        message = f"{name} must be a whole number from {least} {end}, got {number!r}"
        raise DataError(message, field=field or name)
    return int(number)  # type: ignore[call-overload]


def check_k(k: object, name: str = "k", field: str | None = None) -> int:
    """A number of results, 1 to 10,000; raises DataError for anything else."""
    return check_whole(k, name, 1, MOST_RESULTS, field)


def check_share(value: object, name: str, field: str | None = None) -> float:
    """A number from 0 to 1; raises DataError for anything else."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:  # type: ignore[operator]  # NaN is not in between either
        raise DataError(f"{name} must be a number from 0 to 1, got {value!r}", field=field or name)
    return float(value)  # type: ignore[arg-type]


def scaled(scores: NDArray[np.float64]) -> Vectors:
    """Scores [m] brought to [0, 1]: the worst candidate has 0, the best 1 (min-max); 0 if all are equal."""
    if not len(scores):
        return np.zeros(0, np.float32)
    low, high = scores.min(), scores.max()
    return ((scores - low) / ((high - low) or 1.0)).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """How many slots go to new items, and to which.

    Attributes:
        share: chance of each slot, independent of the others, to show a new item.
        max_age_days: age up to which an item counts as new, in days behind the newest item.
        temperature: of the draw among new items, whose relevance is brought to [0, 1] first: the most
            relevant is exp(1 / temperature) times as likely as the least. At low temperatures the most
            relevant nearly always wins, at high ones all are equally likely.

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
    exposure: Shares | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a call asks for: for whom, and which results. Python, HTTP and the CLI all make one.

    Attributes:
        user: id of a user whose recorded interactions are the history.
        history: item ids, oldest first, of a user without recorded interactions; None if there is none.
        dislikes: ids of items that results should be unlike.
        taste: what a new user likes, in words.
        k: number of results, 1 to 10,000.
        where: condition on attributes; see `mmrec.store.where`.
        exclude: ids of items not to be shown.
        diversity: 0 is pure relevance, 1 pure diversity of the content; or a weight for each of some
            fields and attributes, such as `{"genres": 0.3}`. See `mmrec.ranking.diversity.select`.
        max_per: most results of one value of an attribute, such as `{"brand": 2}`.
        distinct: show one of several nearly equal items: those with the same value of this attribute, or
            whose contents have a cosine of at least this number (above 0, up to 1).
        exposure: shares of the slots that groups get at least, over all users: `{"cold": 0.2}`, items that
            the head had no behaviour of; `{"tail": 0.3}`, those that are not popular; `{"brand": {"Acme":
            0.3}}`, those with a value; `{"brand": "even"}`, all values of an attribute alike. See
            `mmrec.ranking.exposure`.
        signals: weights of named scores that are added to relevance, such as `{"newness": 0.2}`; see
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
    exposure: Shares | None = None
    signals: Mapping[str, float] | None = None
    explore: Exploration | float = 0.0
    rng: Rng = field(default=None, compare=False)

    def __post_init__(self) -> None:
        settle = object.__setattr__  # a frozen value can only be set this way
        if self.user is not None and self.history is not None:
            raise DataError("recommend takes a user or a history, not both", field="user")
        settle(self, "user", normal_id(self.user))
        if self.history is not None:
            settle(self, "history", tuple(listed(self.history, "history")))
        settle(self, "dislikes", tuple(listed(self.dislikes, "dislikes")))
        settle(self, "k", check_k(self.k))
        settle(self, "exclude", tuple(listed(self.exclude, "exclude")))
        settle(self, "diversity", _checked_diversity(self.diversity))
        settle(self, "max_per", _checked_caps(self.max_per))
        if self.distinct is not None and not isinstance(self.distinct, str):
            settle(self, "distinct", _checked_threshold(self.distinct))
        settle(self, "exposure", _checked_exposure(self.exposure))
        signals = _mapping(self.signals, "signals", "names to numbers, as {'newness': 0.2}")
        settle(self, "signals", _weights(signals, "signals"))
        if not isinstance(self.explore, Exploration):
            settle(self, "explore", Exploration(share=check_share(self.explore, "explore")))
        _check_rng(self.rng)

    @property
    def selects(self) -> bool:
        """Whether diversity, caps, duplicates or exposure decide which candidates make the page."""
        return bool(self.diversity or self.max_per or self.distinct is not None or self.exposure)

    @property
    def shapes(self) -> bool:
        """Whether a page is more than the k most relevant candidates."""
        return bool(self.selects or self.signals)

    @property
    def pool(self) -> int:
        """How many candidates the page is first chosen from."""
        times = DIVERSE if self.diversity or self.signals or self.exposure else WIDER
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


def listed(ids: Sequence[str], name: str) -> list[str]:
    """A list of item ids, each as `normal_id` writes it.

    Raises:
        DataError: it is no list of strings, or a single string, which would be read letter by letter.
    """
    members = None if isinstance(ids, str) or not isinstance(ids, Iterable) else list(ids)
    if members is None or not all(isinstance(i, str) for i in members):
        raise DataError(f"{name} must be a list of item ids, got {ids!r}"[:200], field=name)
    return [normal_id(member) for member in members]


def _weights(weights: Mapping[Any, Any], what: str, field: str | None = None) -> Mapping[str, float]:
    """Those weights that are not 0, each checked to be a number from 0 to 1."""
    checked = {str(name): check_share(w, f"{what}[{name!r}]", field or what) for name, w in weights.items()}
    return {name: weight for name, weight in checked.items() if weight}


def _mapping(value: object, field: str, expected: str) -> Mapping[Any, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise DataError(f"{field} must map {expected}, got {value!r}"[:200], field=field)
    return value or {}


def _checked_diversity(diversity: object) -> Mapping[str, float]:
    if not isinstance(diversity, Mapping):
        diversity = {CONTENT: check_share(diversity, "diversity")}
    weights = _weights(diversity, "diversity")
    if sum(weights.values()) > 1 + ROUNDING:
        raise DataError(f"diversity must sum to 1 at most, got {weights!r}"[:200], field="diversity")
    return weights


def _checked_caps(max_per: object) -> Mapping[str, int]:
    caps = _mapping(max_per, "max_per", "attributes to numbers, as {'brand': 2}")
    return {str(name): check_k(most, f"max_per[{name!r}]", "max_per") for name, most in caps.items()}


def _checked_exposure(exposure: object) -> Shares:
    """Shares above 0 by group: "even", a number for cold and tail, numbers by value for an attribute."""
    found: dict[str, str | float | Mapping[str, float]] = {}
    for name, asked in _mapping(exposure, "exposure", "groups to shares, as {'cold': 0.2}").items():
        what = f"exposure[{name!r}]"
        if name in (COLD, TAIL) and not isinstance(asked, Mapping) and asked != EVEN:
            found[name] = check_share(asked, what, "exposure")
        elif asked == EVEN:
            found[str(name)] = EVEN
        elif isinstance(asked, Mapping):
            found[str(name)] = floors = _weights(asked, what, "exposure")
            if sum(floors.values()) > 1 + ROUNDING:
                raise DataError(f"{what} must sum to 1 at most, got {asked!r}"[:200], field="exposure")
        else:
            raise DataError(
                f"{what} must be 'even' or map values to shares, as {{'Acme': 0.3}}; a number goes with"
                f" {COLD!r} and {TAIL!r} alone; got {asked!r}"[:300], field="exposure",
            )
    return {name: asked for name, asked in found.items() if asked}


def _checked_threshold(cosine: object) -> float:
    threshold = check_share(cosine, "distinct")
    if not threshold:
        raise DataError("distinct must be above 0, or all would be duplicates of one", field="distinct")
    return threshold


def _check_rng(rng: object) -> None:
    whole = isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0
    if rng is not None and not whole and not isinstance(rng, np.random.Generator):
        raise DataError(f"rng must be a numpy Generator, or a seed from 0 up, got {rng!r}", field="rng")
