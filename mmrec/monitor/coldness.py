"""Which of the shown items were cold: new to the shop when they were shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmrec.types import as_utc

if TYPE_CHECKING:
    from mmrec.recommender import Recommender
    from mmrec.snapshot import Snapshot

FITTED = "fitted_at"  # the fact of a store that tells when its head was trained, in ISO format
Micros = NDArray[np.int64]  # microseconds since 1970
Coldness = Callable[[Sequence[str], Micros], list[bool | None]]  # (items shown [n], when [n]) -> cold [n]
_DAY = 86_400_000_000  # microseconds


@dataclass
class ShopColdness:
    """An item is cold if it was added after the last `fit`, which then knew nothing of it.

    Before the first `fit`, an item is cold for some days after it was added. Of an item that has left the
    catalogue by the time of asking nobody can tell, and it is None.

    Attributes:
        days: how long an item is cold where nothing was trained.
    """

    shop: Recommender
    days: float = 30.0
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _known: tuple[Snapshot, Micros] | None = field(default=None, repr=False)

    def __call__(self, item_ids: Sequence[str], times: Micros) -> list[bool | None]:
        """Whether each item was cold at its time, [n]."""
        snapshot, added = self._added()
        places = np.array([snapshot.position.get(item_id, -1) for item_id in item_ids], np.intp)
        fitted = self._fitted()
        border = np.asarray(times) - int(self.days * _DAY) if fitted is None else np.full(len(places), fitted)
        known = places >= 0
        cold = np.zeros(len(places), np.bool_)
        cold[known] = added[places[known]] > border[known]
        return [bool(c) if k else None for c, k in zip(cold, known, strict=True)]

    def _added(self) -> tuple[Snapshot, Micros]:
        """The catalogue as it is now, and when each item was added [n]."""
        with self._turn:
            snapshot = self.shop._index.now()
            if self._known is None or self._known[0] is not snapshot:
                self._known = (snapshot, snapshot.facts["added_at"].cast("int64").to_numpy())
            return self._known

    def _fitted(self) -> int | None:
        said: Any = self.shop.store.facts.get(FITTED)
        return None if said is None else micros(datetime.fromisoformat(said))


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of a moment."""
    past = as_utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds
