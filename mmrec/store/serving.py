"""What makes the vectors of items, and reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mmrec.encoders.base import Vectors
from mmrec.model.content import ContentPlan, Fields
from mmrec.model.towers import Towers
from mmrec.store import schema


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
