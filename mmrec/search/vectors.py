"""The spaces of a catalogue: how the vectors of each are read from the rows of one version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.encoders.base import Vectors, unit
from mmrec.model.content import ContentPlan
from mmrec.search.changes import Part
from mmrec.store import schema
from mmrec.store.catalogue import Serving
from mmrec.store.tables import KeyedTable
from mmrec.types import IMAGE, WORDS

CONTENT = "content"
BEHAVIOUR = "behaviour"  # what a trained head remembers of items, at norm 1
SEARCHED = "searched"  # what a trained head scores; not for `by=`, as its rows have norms that matter
DOCUMENTS = "documents"  # no space, but held beside them
REMEMBERED = "remembered"  # what histories are read from


class Spaces:
    """Reads vectors of some items, or of all, from one version of the catalogue's table.

    Args:
        table: frozen.
        serving: what made its vectors.
    """

    def __init__(self, table: KeyedTable, serving: Serving) -> None:
        self.table, (self.plan, self._column, self.towers) = table, serving
        self.text_fields = tuple(n for n in schema.embedding_dims(table.schema) if n != IMAGE)

    def read(self, name: str, part: Part) -> Vectors:
        """Vectors [m, d] of a part's items in a space, in the order of their ids; zeros for nothing there."""
        own: dict[str, Callable[[Part], Vectors]] = {
            CONTENT: self._content, WORDS: self._words,
            BEHAVIOUR: lambda part: unit(self.towers.remembered(self._rows(part))),
            SEARCHED: lambda part: self.towers.searched(self._rows(part)),
            REMEMBERED: lambda part: np.ascontiguousarray(self.towers.remembered(self._rows(part))),
        }
        return own.get(name, partial(self._field, name))(part)

    def documents(self, part: Part) -> list[str]:
        """All words of each item of a part, in the order of their ids."""
        table = self._scan(["document"], part).sort_by("item_id")
        return [document or "" for document in table["document"].to_pylist()]

    def content_by(self, plan: ContentPlan, part: Part) -> Vectors:
        """Content [m, c] that a plan makes of the stored fields, a batch at a time as they are wide."""
        content = np.zeros((len(part.position), plan.dim), np.float32)
        columns = ["item_id", *schema.field_columns(self.table.schema)]
        for batch in self.table.batches(columns, part.where):
            rows = [part.position[item_id] for item_id in batch["item_id"].to_pylist()]
            content[rows] = plan.embed(schema.fields_of(batch))
        return content

    def _content(self, part: Part) -> Vectors:
        """Content [m, c]: what is stored, unless a trained head stores something else."""
        if not self.plan.dim:
            return np.zeros((len(part.position), 1), np.float32)  # as there is no matrix without any number
        return self.content_by(self.plan, part) if self.towers.trained else self._rows(part)

    def _rows(self, part: Part) -> Vectors:
        """What the towers stored of each item [m, w]."""
        table = self._scan([self._column], part)
        return _ordered(table, schema.matrix(table[self._column], _width(table, self._column)).values)

    def _field(self, name: str, part: Part) -> Vectors:
        names = [n for n in (schema.EMBEDDING + name, schema.ATTRIBUTE + name)
                 if n in self.table.schema.names]
        table = self._scan(names, part)
        return _ordered(table, self.plan.part(name, schema.fields_of(table)))

    def _words(self, part: Part) -> Vectors:
        """Mean [m, e] of the embeddings of all texts and categories of each item, at norm 1.

        Not centred, unlike content: a query is one more text, and has no mean of its own.
        """
        table = self._scan([schema.EMBEDDING + name for name in self.text_fields], part)
        parts = schema.fields_of(table).embeddings.values()
        return _ordered(table, unit(np.sum([part.values for part in parts], axis=0)))

    def _scan(self, columns: Sequence[str], part: Part) -> pa.Table:
        return self.table.scan(["item_id", *columns], part.where)


def _ordered(table: pa.Table, x: Vectors) -> Vectors:
    """Rows in the order of the ids, contiguous."""
    order = pc.sort_indices(table["item_id"]).to_numpy()
    sorted_already = bool((order[:-1] < order[1:]).all())
    return np.ascontiguousarray(x if sorted_already else x[order])


def _width(table: pa.Table, column: str) -> int:
    return int(table.schema.field(column).type.list_size)
