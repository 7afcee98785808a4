"""What the crowd chose of late: a decayed count for each item, carried on from one version to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmrec.tables import KeyedTable

COLUMNS = ("item_id", "kind", "weight", "time")
Worths = Callable[[pa.Table], NDArray[np.float64]]


@dataclass(frozen=True)
class Popularity:
    """Counts of one version of the interactions.

    Attributes:
        rows: interactions that were counted.
        newest: the time of the newest, in days since 1970; one that lies a half-life before it counts half.
        counts: by item; dislikes count nothing.
    """

    version: int = 0
    rows: int = 0
    newest: float = -np.inf
    counts: Mapping[str, float] = field(default_factory=dict)

    def at(self, table: KeyedTable, worths: Worths, half_life: float) -> Popularity:
        """The counts of a later version, by reading what was written since; of all, if some is gone.

        Args:
            table: frozen.
            worths: of rows.
            half_life: in days.
        """
        total, where = table.count(), table.written_since(self.version)
        new = table.scan(COLUMNS, where) if self.rows and where else None
        if new is None or self.rows + new.num_rows != total:
            return Popularity()._with(table.scan(COLUMNS), table.version, worths, half_life)
        return self._with(new, table.version, worths, half_life)

    def _with(self, new: pa.Table, version: int, worths: Worths, half_life: float) -> Popularity:
        if not new.num_rows:
            return Popularity(version, self.rows, self.newest, self.counts)
        days = new["time"].cast(pa.int64()).to_numpy() / 86_400e6  # microseconds -> days
        newest = max(self.newest, float(days.max()))
        counts = np.maximum(worths(new), 0) * 0.5 ** ((newest - days) / half_life)
        table = pa.table({"item_id": new["item_id"], "n": counts})
        sums = table.group_by("item_id").aggregate([("n", "sum")])
        faded = 0.5 ** ((newest - self.newest) / half_life)
        merged = {item_id: n * faded for item_id, n in self.counts.items()}
        for item_id, n in zip(sums["item_id"].to_pylist(), sums["n_sum"].to_pylist(), strict=True):
            merged[item_id] = merged.get(item_id, 0.0) + n
        return Popularity(version, self.rows + new.num_rows, newest, merged)
