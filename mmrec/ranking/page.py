"""A page of results: candidates from one source after another, chosen as the plan says until k are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.ranking.diversity import Cap, Duplicates, Spread, label_rows, select
from mmrec.ranking.exploration import Pool, explore
from mmrec.ranking.request import Exploration, Plan
from mmrec.search.hits import Hits, Places
from mmrec.search.snapshot import Snapshot
from mmrec.search.vectors import CONTENT
from mmrec.types import AttributeValue, Rung

WIDEN = 4  # times as many candidates as before, when those were not enough
MOST_NEW = 200  # new items among which is drawn
Finds = Callable[[int, Places], Hits]  # how many candidates, and which positions are out -> the best


@dataclass(frozen=True, slots=True)
class Source:
    """Where candidates come from, and what a result from there is called."""

    rung: Rung | Literal["similar", "search"]
    find: Finds


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of the page: the position of an item in the catalogue, and why it stands there."""

    place: int
    score: float
    rung: Rung | Literal["similar", "search"]
    propensity: float = 1.0


def arranged(
    snapshot: Snapshot, sources: Iterable[Source], plan: Plan, hidden: Iterable[int] = ()
) -> list[Slot]:
    """The page: k results whenever k items may be shown.

    A source serves until it has nothing more, then the next fills up. When the candidates are used up, shown
    or closed by a cap or as duplicates, more of them are asked for.

    Args:
        hidden: positions not to be shown.

    Raises:
        DataError: the plan names no attribute of this catalogue.
    """
    choice, page = _Choice(snapshot, plan), list[Slot]()
    out = np.array(sorted(hidden), np.intp)
    for source in sources:
        width = plan.pool
        while len(page) < plan.k:
            hits = source.find(width if plan.shapes else plan.k - len(page), out)
            chosen = choice.of(hits, [slot.place for slot in page], plan.k - len(page))
            page += [Slot(int(hits.positions[i]), float(hits.scores[i]), source.rung) for i in chosen]
            out = np.concatenate([out, hits.positions])
            if len(hits.positions) < width:
                break
            width *= WIDEN
        if len(page) == plan.k:
            break  # before the next source is as much as made
    return page


def explored(
    page: Sequence[Slot], new: Hits, ages: NDArray[np.floating], policy: Exploration, plan: Plan, rung: Rung
) -> list[Slot]:
    """The page with some slots given to new items.

    Caps and duplicates hold for the ranking alone: a new item may come on top of them.

    Args:
        new: the new items that may be shown, with their relevance to this user.
        ages: of each in days.
        policy: how much is given to which new items.
        rung: of the new items.
    """
    known = {slot.place: slot for slot in page}
    fresh = {int(p): Slot(int(p), float(s), rung) for p, s in zip(new.positions, new.scores, strict=True)}
    pool = Pool(new.positions, new.scores, ages)
    shown = explore(policy, list(known), pool, plan.k, rng=plan.draws)
    slots = fresh | known
    return [
        replace(slots[int(place)], propensity=float(propensity))
        for place, propensity in zip(shown.positions, shown.propensities, strict=True)
    ]


class _Choice:
    """Chooses among candidates by diversity, caps and duplicates, with what the page shows already."""

    def __init__(self, snapshot: Snapshot, plan: Plan) -> None:
        self.snapshot, self.plan = snapshot, plan
        self.caps = dict(plan.max_per or {})
        if isinstance(plan.distinct, str):
            self.caps[plan.distinct] = 1
        if unknown := [name for name in self.caps if name not in snapshot.attributes]:
            field = "max_per" if unknown[0] in (plan.max_per or {}) else "distinct"
            known = ", ".join(snapshot.attributes) or "none, items have no attributes"
            raise DataError(f"{field} names no attribute {unknown[0]!r}: choose {known}", field=field)
        if plan.dials:
            self._check_dials()

    def of(self, hits: Hits, page: Sequence[int], k: int) -> Sequence[int] | Places:
        """Which of the hits, in order."""
        if not self.plan.shapes or not len(hits.positions):
            return range(min(k, len(hits.positions)))
        places = np.concatenate([np.array(page, np.intp), hits.positions])
        lowest = np.full(len(page), hits.scores.min())
        chosen = select(
            np.concatenate([lowest, hits.scores]), k,
            spreads=[Spread(self._vectors(name, places), dial) for name, dial in self.plan.dials.items()],
            caps=[Cap(self._values(name, places), most, name) for name, most in self.caps.items()],
            duplicates=self._duplicates(places), above=range(len(page)),
        )
        return chosen - len(page)

    def _check_dials(self) -> None:
        fields = dict.fromkeys((*self.snapshot.spaces, *self.snapshot.categories))
        if unknown := [name for name in self.plan.dials if name not in fields]:
            raise DataError(
                f"diversity names no field {unknown[0]!r}: choose {', '.join(fields)}", field="diversity"
            )

    def _values(self, name: str, places: Places) -> list[AttributeValue | None]:
        values: list[AttributeValue | None] = self.snapshot.facts[name].take(places).to_pylist()
        return values

    def _vectors(self, name: str, places: Places) -> Vectors:
        """Unit rows [m, d] by which items are alike: labels of a category, else vectors of a space."""
        if name in self.snapshot.categories:
            return label_rows(self._values(name, places))
        return self.snapshot.space(name)[places]

    def _duplicates(self, places: Places) -> Duplicates | None:
        if not isinstance(self.plan.distinct, float):
            return None
        return Duplicates(self.snapshot.space(CONTENT)[places], self.plan.distinct)
