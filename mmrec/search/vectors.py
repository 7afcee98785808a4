"""Reads vectors from one version of the catalogue's table, and tells what has changed since an earlier one.

A large catalogue is read once. Later, only new and changed items are read and merged into what is in memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.encoders.modality import TEXT, modality_of
from mmrec.model.content import ContentPlan, Fields
from mmrec.search.hits import Mask, Positions
from mmrec.store import schema
from mmrec.store.catalogue import Serving
from mmrec.store.tables import KeyedTable
from mmrec.types import WORDS

CONTENT = "content"
BEHAVIOUR = "behaviour"  # what a trained head remembers of items, at norm 1
SEARCHED = "searched"  # what a trained head scores; not for `by=`, as the norms of its rows matter
DOCUMENTS = "documents"  # not a space, but held beside them: the words for full text
REMEMBERED = "remembered"  # what user vectors are made from
MOST_CHANGED = 0.1  # share of changed rows up to which merging them is faster than reading all
T = TypeVar("T", bound=np.generic)


class Part(NamedTuple):
    """Some rows of a table.

    Attributes:
        where: SQL condition that selects them; None selects all.
        position: index of each of their keys, in the order of the keys.
    """

    where: str | None
    position: Mapping[str, int]


class Document(NamedTuple):
    """What full text finds an item by.

    Attributes:
        position: of the item, in the order of ids.
        item_id: which is a product number.
        words: all its texts and categories.
    """

    position: int
    item_id: str
    words: str


@dataclass(frozen=True)
class Changes:
    """How the n rows of an earlier version become the m rows of a later one.

    Attributes:
        keys: keys of the later version, sorted.
        part: the rows that were written in between [w].
        kept: which earlier rows [n] are unchanged.
        stays: which later rows [m] those are.
        comes: positions of the written rows in the later version [w].
    """

    keys: list[str]
    part: Part
    kept: Mask
    stays: Mask
    comes: Positions

    @classmethod
    def between(
        cls, keys: Sequence[str], position: Mapping[str, int], table: KeyedTable, since: int
    ) -> Changes | None:
        """What happened to the rows of these sorted keys since a version of the table.

        None if that is unknown, or so much that reading the whole table is faster.
        """
        where = table.written_since(since)
        if where is None:
            return None
        written = sorted(table.scan([table.key], where)[table.key].to_pylist())
        if len(written) > MOST_CHANGED * len(keys):
            return None
        kept, total = np.ones(len(keys), np.bool_), table.count()
        kept[[position[key] for key in written if key in position]] = False
        if kept.sum() + len(written) != total:  # some were deleted
            left = set(table.scan([table.key])[table.key].to_pylist())
            kept[[row for key, row in position.items() if key not in left]] = False
        standing = keys if kept.all() else [keys[row] for row in np.flatnonzero(kept).tolist()]
        now = sorted([*standing, *written])
        if len(now) != total:  # some rows were written without their version
            return None
        comes = np.array([bisect_left(now, key) for key in written], np.intp)
        stays = np.ones(len(now), np.bool_)
        stays[comes] = False
        return cls(now, Part(where, numbered(written)), kept, stays, comes)

    def merged(self, before: NDArray[T], written: NDArray[T]) -> NDArray[T]:
        """The later rows [m, ...], from the earlier [n, ...] and the written [w, ...]."""
        rows = np.empty((len(self.keys), *before.shape[1:]), before.dtype)
        rows[self.stays] = before if self.kept.all() else before[self.kept]
        rows[self.comes] = written
        return rows

    def merged_table(self, before: pa.Table, written: pa.Table) -> pa.Table:
        """`merged` for tables with the same columns."""
        rows = self.merged(np.arange(len(before)), len(before) + np.arange(len(written)))
        return pa.concat_tables([before, written]).take(pa.array(rows)).combine_chunks()


def numbered(keys: Sequence[str]) -> dict[str, int]:
    """The index of each key."""
    return {key: row for row, key in enumerate(keys)}


class VectorReader:
    """Reads vectors of some items, or of all, from one version of the catalogue's table.

    Args:
        table: a frozen version.
        serving: what made its vectors.
    """

    def __init__(self, table: KeyedTable, serving: Serving) -> None:
        self.table, (self.plan, self._column, self.towers) = table, serving
        self.text_fields = tuple(n for n in schema.embedding_dims(table.schema) if modality_of(n) is TEXT)

    def read(self, name: str, part: Part) -> Vectors:
        """Vectors [m, d] of a part's items in a space, ordered by id; zeros where an item has none."""
        if name == CONTENT:
            return self._content(part)
        if name == WORDS:
            return self._words(part)
        if name == BEHAVIOUR:
            return unit(self.towers.remembered(self._stored(part)))
        if name == SEARCHED:
            return self.towers.searched(self._stored(part))
        if name == REMEMBERED:
            return np.ascontiguousarray(self.towers.remembered(self._stored(part)))
        kinds = (schema.EMBEDDING + name, schema.ATTRIBUTE + name)
        columns = [column for column in kinds if column in self.table.schema.names]
        return self._ordered(columns, part, lambda table: self.plan.part(name, schema.fields_of(table)))

    def documents(self, part: Part) -> Iterator[Document]:
        """All words of each item of a part."""
        for batch in self.table.batches(["item_id", "document"], part.where):
            for item_id, words in zip(*(batch[name].to_pylist() for name in batch.column_names), strict=True):
                yield Document(part.position[item_id], item_id, words or "")

    def content_by(self, plan: ContentPlan, part: Part, *, compact: bool = False) -> Vectors:
        """Content [m, c] that a plan makes of the stored fields, a batch at a time as they are wide."""
        made = (lambda fields: plan.compacted(plan.embed(fields))) if compact else plan.embed
        content = np.zeros((len(part.position), made(Fields(0)).shape[1]), np.float32)
        columns = ["item_id", *schema.field_columns(self.table.schema)]
        for batch in self.table.batches(columns, part.where):
            rows = [part.position[item_id] for item_id in batch["item_id"].to_pylist()]
            content[rows] = made(schema.fields_of(batch))
        return content

    def _content(self, part: Part) -> Vectors:
        """Compact content [m, k]: what is stored, unless a trained head stores something else."""
        if not self.plan.dim:
            return np.zeros((len(part.position), 1), np.float32)  # a matrix needs a column
        return self.content_by(self.plan, part, compact=True) if self.towers.trained else self._stored(part)

    def _stored(self, part: Part) -> Vectors:
        """What the towers stored of each item [m, w]."""
        width = int(self.table.schema.field(self._column).type.list_size)
        return self._ordered(
            [self._column], part, lambda table: schema.matrix(table[self._column], width).values)

    def _words(self, part: Part) -> Vectors:
        """Mean [m, e] of the embeddings of all texts and categories of each item, at norm 1.

        Not centred, unlike content: a query is one more text, and has no mean of its own.
        """
        def mean(table: pa.Table) -> Vectors:
            parts = schema.fields_of(table).embeddings.values()
            return unit(np.sum([part.values for part in parts], axis=0))

        return self._ordered([schema.EMBEDDING + name for name in self.text_fields], part, mean)

    def _ordered(
        self, columns: Sequence[str], part: Part, vectors_of: Callable[[pa.Table], Vectors]
    ) -> Vectors:
        """The vectors of a part's rows, ordered by id, contiguous."""
        table = self.table.scan(["item_id", *columns], part.where)
        order, x = pc.sort_indices(table["item_id"]).to_numpy(), vectors_of(table)
        sorted_already = bool((order[:-1] < order[1:]).all())
        return np.ascontiguousarray(x if sorted_already else x[order])
