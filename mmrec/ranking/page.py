"""A page of results: candidates from one source after another, chosen as the request says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.ranking.diversity import Cap, Duplicates, Spread, label_rows, select
from mmrec.ranking.exploration import Pool, explore
from mmrec.ranking.exposure import Exposure, exposure_of
from mmrec.ranking.request import Exploration, Request
from mmrec.ranking.signals import Context, check_signals, range_of, with_signals
from mmrec.search.hits import Hits, Positions
from mmrec.search.vectors import CONTENT
from mmrec.types import AttributeValue, Rung

WIDEN = 4  # times as many candidates as before, when those were not enough
RELEVANCE = frozenset({"history", "taste"})  # rungs whose candidates signals add to
Origin = Rung | Literal["similar", "search"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where candidates come from.

    Attributes:
        rung: name of the source in its results.
        find: number of candidates, positions to leave out -> the best of the others.
    """

    rung: Origin
    find: Callable[[int, Positions], Hits]


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of the page.

    Attributes:
        position: position of its item in the catalogue.
        rung: name of the source that found the item.
        propensity: chance that the slot showed the item.
        signals: what each signal added to the score.
    """

    position: int
    score: float
    rung: Origin
    propensity: float = 1.0
    signals: Mapping[str, float] = field(default_factory=dict)


def page_of(context: Context, sources: Iterable[Source], hidden: Iterable[int] = ()) -> list[Slot]:
    """The page: k results whenever k items may be shown.

    Sources fill it in turn, each as far as it can. When all candidates of a source are shown, or closed by a
    cap or as duplicates, it is asked for more of them.

    Args:
        hidden: positions not to be shown.

    Raises:
        DataError: the request names a field, attribute or signal that does not exist.
    """
    request = context.request
    chooser, page = _Chooser(context), list[Slot]()
    exposure = exposure_of(context) if request.exposure else None
    out = np.array(sorted(hidden), np.intp)
    for source in sources:
        width, spread = request.pool, 0.0
        floors, prices = exposure, None
        if exposure and exposure.prices is not None and source.rung in RELEVANCE:
            floors, prices = None, exposure.prices
        while len(page) < request.k:
            hits = source.find(width if request.shapes else request.k - len(page), out)
            found, added = len(hits.positions), dict[str, Vectors]()
            if request.signals or exposure:
                spread = spread or range_of(hits)  # the first candidates' range is the scale of all
            if exposure:
                hits = exposure.with_members(hits, source.find, out, request.k)
            if spread and source.rung in RELEVANCE:
                hits, added = with_signals(context, hits, spread, prices)
            shown = [slot.position for slot in page]
            for i in chooser.choose(hits, shown, request.k - len(page), floors):
                signals = {name: float(part[i]) for name, part in added.items() if part[i]}
                page.append(Slot(int(hits.positions[i]), float(hits.scores[i]), source.rung, signals=signals))
            out = np.concatenate([out, hits.positions])
            if found < width:
                break
            width *= WIDEN
        if len(page) == request.k:
            break  # before the next source is even made
    return page


def with_exploration(
    page: Sequence[Slot], new: Hits, ages: NDArray[np.floating], policy: Exploration, request: Request,
    rung: Rung,
) -> list[Slot]:
    """The page with some slots given to new items, which caps and duplicates do not count.

    Args:
        new: the new items that may be shown, with their relevance to this user [p].
        ages: age of each in days [p].
        rung: rung of the new items.
    """
    known = {slot.position: slot for slot in page}
    fresh = {int(p): Slot(int(p), float(s), rung) for p, s in zip(new.positions, new.scores, strict=True)}
    pool = Pool(new.positions, new.scores, ages)
    shown = explore(policy, list(known), pool, request.k, rng=request.generator)
    slots = fresh | known
    return [
        replace(slots[int(position)], propensity=float(propensity))
        for position, propensity in zip(shown.positions, shown.propensities, strict=True)
    ]


class _Chooser:
    """Chooses candidates by diversity, caps, duplicates and floors, given what the page shows already."""

    def __init__(self, context: Context) -> None:
        self.snapshot, self.request = context.snapshot, context.request
        self.caps = dict(self.request.max_per or {})
        if isinstance(self.request.distinct, str):
            self.caps[self.request.distinct] = 1
        if self.request.signals:
            check_signals(self.request)
        if unknown := [name for name in self.caps if name not in self.snapshot.attributes]:
            field = "max_per" if unknown[0] in (self.request.max_per or {}) else "distinct"
            known = ", ".join(self.snapshot.attributes) or "none, items have no attributes"
            raise DataError(f"{field} names no attribute {unknown[0]!r}: choose {known}", field=field)
        if self.request.weights_of_diversity:
            self._check_diversity()

    def choose(
        self, hits: Hits, page: Sequence[int], k: int, exposure: Exposure | None = None
    ) -> Sequence[int] | Positions:
        """Which k of the hits to show below the page's positions: indices into the hits, in order.

        Args:
            exposure: whose floors the page holds.
        """
        if not self.request.selects or not len(hits.positions):
            return range(min(k, len(hits.positions)))
        positions = np.concatenate([np.array(page, np.intp), hits.positions])
        lowest = np.full(len(page), hits.scores.min())
        weights, distinct = self.request.weights_of_diversity, self.request.distinct
        duplicates = None
        if isinstance(distinct, float):
            duplicates = Duplicates(self.snapshot.space(CONTENT)[positions], distinct)
        chosen = select(
            np.concatenate([lowest, hits.scores]), k,
            spreads=[Spread(self._vectors(name, positions), weight) for name, weight in weights.items()],
            caps=[Cap(self._values(name, positions), most) for name, most in self.caps.items()],
            duplicates=duplicates, above=range(len(page)),
            floors=None if exposure is None else exposure.floors(positions, self.request.k),
        )
        return chosen - len(page)

    def _check_diversity(self) -> None:
        fields = dict.fromkeys((*self.snapshot.spaces, *self.snapshot.categories))
        if unknown := [name for name in self.request.weights_of_diversity if name not in fields]:
            raise DataError(
                f"diversity names no field {unknown[0]!r}: choose {', '.join(fields)}", field="diversity"
            )

    def _values(self, name: str, positions: Positions) -> list[AttributeValue | None]:
        values: list[AttributeValue | None] = self.snapshot.facts[name].take(positions).to_pylist()
        return values

    def _vectors(self, name: str, positions: Positions) -> Vectors:
        """Unit rows [m, d] that are compared: labels of a category, else vectors of a space."""
        if name in self.snapshot.categories:
            return label_rows(self._values(name, positions))
        return self.snapshot.space(name)[positions]
