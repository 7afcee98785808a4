"""Impressions on disk: what users were shown, a row for each item of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.impressions import Impression
from mmrec.store.open import Store
from mmrec.store.schema import TIME, digest
from mmrec.store.tables import KeyedTable

NAME = "impressions"
SCHEMA = pa.schema([
    pa.field("key", pa.string(), nullable=False), ("user_id", pa.string()), ("item_id", pa.string()),
    ("position", pa.int32()),  # on the page, from 0
    ("propensity", pa.float64()),  # null if it is not known
    ("time", TIME),
])
SHOWN = pa.schema([  # as a fit reads them
    ("user_id", pa.string()), ("item", pa.int32()), ("position", pa.int32()), ("propensity", pa.float64()),
])


class Impressions:
    """What users of a store were shown."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def table(self) -> KeyedTable:
        """A row for each item that was shown; made when something is written or read for the first time."""
        return self.store.table(NAME, SCHEMA)

    def append(self, impressions: Sequence[Impression]) -> int:
        """Keeps what was shown; returns how many rows are new, not known by user, item, place and time."""
        keyed = {key: row for one in impressions for key, *row in _rows(one)}
        if not keyed:
            return 0
        columns = [list(keyed), *(list(column) for column in zip(*keyed.values(), strict=True))]
        rows = pa.table(columns, schema=SCHEMA)
        with self.store.writer():
            inserted, _ = self.table.upsert(rows, insert_only=True)
            self.table.index_key("key")
            self.table.tidy()
        return inserted

    def count(self) -> int:
        """Number of items shown, page by page."""
        return self.table.count() if KeyedTable.exists(self.store.files, NAME) else 0

    def shown(self, item_ids: Sequence[str]) -> pa.Table:
        """What was shown of these items, as `SHOWN`; an item is told by its position in the ids."""
        columns = [*SHOWN.names]
        if not self.count():
            return SHOWN.empty_table()
        rows = self.table.scan(["user_id", "item_id", *columns[2:]])
        items = pc.index_in(rows["item_id"], value_set=pa.array(item_ids, pa.string()))
        rows = rows.append_column("item", items).select(columns)
        return rows.filter(pc.is_valid(rows["item"]))


def _rows(one: Impression) -> Iterable[tuple[object, ...]]:
    when = one.time.isoformat()
    for place, item in enumerate(one.items):
        key = digest("\x1f".join((one.user_id, item, str(place), when)))
        chance = one.propensities[place] if one.propensities else None
        yield key, one.user_id, item, place, chance, one.time
