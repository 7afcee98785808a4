"""What makes the vectors of a catalogue, and how a new column of them is written while the old one serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mmrec.encoders.base import Vectors
from mmrec.model.content import ContentPlan, Fields
from mmrec.model.towers import Towers
from mmrec.store import schema
from mmrec.store.open import Store
from mmrec.store.tables import WRITTEN, KeyedTable

FEW = 4_096  # rows that may be left to the end of a rewrite, when nobody else can write
AT_ONCE = 8  # batches of a rewrite that are written together, as each write looks through all ids
PASSES = 5  # over what others wrote meanwhile, before the rest is done at the end all the same


class Beside(NamedTuple):
    """Columns that shall take the place of others.

    Attributes:
        columns: the name of each beside, and the name that it shall have.
        catch_up: fills in what others wrote meanwhile; called while nobody else can write.
    """

    columns: Mapping[str, str]
    catch_up: Callable[[], object]

    def read(self, names: Sequence[str]) -> list[str]:
        """Where to read columns of these names."""
        beside = {name: column for column, name in self.columns.items()}
        return [beside.get(name, name) for name in names]

    def renamed(self, rows: pa.Table) -> pa.Table:
        """What was read, under the names that it shall have."""
        return rows.rename_columns([self.columns.get(name, name) for name in rows.column_names])


NOTHING = Beside({}, lambda: None)


class Serving(NamedTuple):
    """What makes and reads the vectors, all of one moment: content plan, vector column, towers."""

    plan: ContentPlan
    column: str
    towers: Towers

    def rows(self, fields: Fields, item_ids: Sequence[str], stored: Vectors | None = None) -> Vectors:
        """Rows [n, w] to store for items of these fields: what a trained head makes, then compact content.

        Stored rows that the same head has made keep what it made.
        """
        compact = self.plan.compacted(self.plan.embed(fields))
        if not self.towers.trained:
            return self.towers.items(compact, item_ids)
        if stored is None:
            stored = self.towers.items((self.towers.plan or self.plan).embed(fields), item_ids)
        return np.hstack([stored[:, : self.towers.spans(stored.shape[1])[1].stop], compact])

    def table(self, batch: pa.Table, before: str | None) -> pa.Table:
        """The rows of stored items as ids and vectors; `before` is a column that the same towers made."""
        ids, stored = batch["item_id"].to_pylist(), None
        if before and not batch[before].null_count:
            stored = schema.matrix(batch[before], batch[before].type.list_size).values
        return schema.vector_rows(ids, self.rows(schema.fields_of(batch), ids, stored), self.column)


@dataclass(frozen=True)
class NewColumn:
    """The vectors of a whole catalogue in a new column, written while others write rows.

    Attributes:
        before: a column that the same towers made, of which what they made stays.
        beside: columns that the vectors are made from in place of those that serve.
    """

    store: Store
    table: KeyedTable
    serving: Serving
    before: str | None
    beside: Beside

    def write(self) -> str:
        """Writes the vectors of all rows; returns a condition on the few that others changed since."""
        column, where = self.serving.column, None
        dim = self.serving.rows(Fields(0), []).shape[1]
        with self.store.writer():
            self.table.add_columns([schema.vector_field(column, dim), WRITTEN])
        for _ in range(PASSES):
            version = self.table.version
            self.fill(where)
            where = f"{column} IS NULL OR {self.table.written_since(version)}"
            if self.table.count(where) <= FEW:
                break
        return str(where)

    def fill(self, where: str | None) -> int:
        """Writes the vectors of the rows that a condition keeps, some batches at a time; returns how many."""
        filled, columns = 0, self.beside.read(schema.field_columns(self.table.schema))
        batches = self.table.batches(["item_id", *columns, *filter(None, [self.before])], where)
        while some := [self._rows(batch) for batch in islice(batches, AT_ONCE)]:
            with self.store.writer():  # unstamped, as nothing that serves has changed
                filled += self.table.upsert(pa.concat_tables(some), update_only=True, stamp=False)[1]
        return filled

    def _rows(self, batch: pa.Table) -> pa.Table:
        return self.serving.table(self.beside.renamed(batch), self.before)
