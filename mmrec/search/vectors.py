"""Reads vectors from one version of the catalogue's table, and tells what has changed since an earlier one.

A large catalogue is read once. Later, only new and changed items are read and merged into what is in memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.encoders.modality import TEXT, modality_of
from mmrec.model.content import ContentPlan
from mmrec.search.hits import Mask, Positions, SortedKeys
from mmrec.search.rows import Rows
from mmrec.store import schema
from mmrec.store.files import StoreFiles
from mmrec.store.serving import Serving
from mmrec.store.tables import KeyedTable
from mmrec.types import WORDS

CONTENT = "content"
BEHAVIOUR = "behaviour"  # what a trained head remembers of items, at norm 1
SEARCHED = "searched"  # what a trained head scores; not for `by=`, as the norms of its rows matter
STORED = "stored"  # all that the towers stored of items, which holds most of the others
DOCUMENTS = "documents"  # not a space, but held beside them: the words for full text
REMEMBERED = "remembered"  # what user vectors are made from
MOST_CHANGED = 0.1  # share of changed rows up to which merging them is faster than reading all
FLOAT, CODE = 4, 1  # bytes of a number, and of its code
T = TypeVar("T", bound=np.generic)
Batches = Iterator[tuple[list[int], Vectors]]  # positions [b] and what stands there [b, d]


class Part(NamedTuple):
    """Some rows of a table.

    Attributes:
        where: SQL condition that selects them; None selects all.
        keys: of all of them, in the order in which they are wanted.
    """

    where: str | None
    keys: Sequence[str]

    def numbered(self) -> dict[str, int]:
        """The index of each key."""
        return {key: row for row, key in enumerate(self.keys)}


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
    def between(cls, keys: Sequence[str], table: KeyedTable, since: int) -> Changes | None:
        """What happened to the rows of these sorted keys since a version of the table.

        None if that is unknown, or so much that reading the whole table is faster.
        """
        where = table.written_since(since)
        if where is None:
            return None
        written = sorted(table.scan([table.key], where)[table.key].to_pylist())
        if len(written) > MOST_CHANGED * len(keys):
            return None
        kept, total, position = np.ones(len(keys), np.bool_), table.count(), SortedKeys(keys)
        kept[[position[key] for key in written if key in position]] = False
        if kept.sum() + len(written) != total:  # some were deleted
            left = set(table.scan([table.key])[table.key].to_pylist())
            kept[[row for row, key in enumerate(keys) if key not in left]] = False
        standing = keys if kept.all() else [keys[row] for row in np.flatnonzero(kept).tolist()]
        now = sorted([*standing, *written])
        if len(now) != total:  # some rows were written without their version
            return None
        comes = np.array([bisect_left(now, key) for key in written], np.intp)
        stays = np.ones(len(now), np.bool_)
        stays[comes] = False
        return cls(now, Part(where, written), kept, stays, comes)

    def merged(self, before: NDArray[T], written: NDArray[T]) -> NDArray[T]:
        """The later rows [m, ...], from the earlier [n, ...] and the written [w, ...]."""
        rows = np.empty((len(self.keys), *before.shape[1:]), before.dtype)
        self.merge(before, written, rows)
        return rows

    def merge(self, before: NDArray[T], written: NDArray[T], rows: NDArray[T]) -> None:
        """Puts the later rows into the first m of an array [>= m, ...]."""
        m, earlier = len(self.keys), before if self.kept.all() else before[self.kept]
        if self.stays[: len(earlier)].all():  # what came has the last ids, as of most catalogues that grow
            rows[: len(earlier)] = earlier
        else:
            rows[:m][self.stays] = earlier
        rows[self.comes] = written

    def merged_table(self, before: pa.Table, written: pa.Table) -> pa.Table:
        """`merged` for tables with the same columns."""
        rows = self.merged(np.arange(len(before)), len(before) + np.arange(len(written)))
        return pa.concat_tables([before, written]).take(pa.array(rows)).combine_chunks()


class Held(NamedTuple):
    """What an earlier snapshot held: its ids, and a value with a row for each."""

    version: int
    ids: list[str]
    value: Any


class VectorReader:
    """Reads vectors of some items, or of all, from one version of the catalogue's table.

    Args:
        table: a frozen version.
        serving: what made its vectors.
    """

    def __init__(self, table: KeyedTable, serving: Serving) -> None:
        self.table, (self.plan, self._column, self.towers) = table, serving
        self.text_fields = tuple(n for n in schema.embedding_dims(table.schema) if modality_of(n) is TEXT)

    def facts(self, where: str | None = None) -> pa.Table:
        """Ids, times and attributes of all items, or of those that a condition keeps, in the order of ids."""
        names = list(schema.attribute_types(self.table.schema))
        columns = ["item_id", "added_at", *(schema.ATTRIBUTE + name for name in names)]
        table = self.table.scan(columns, where)
        return table.rename_columns(["item_id", "added_at", *names]).sort_by("item_id")

    def spans(self) -> dict[str, slice]:
        """Which numbers of a stored row each of its spaces is."""
        width = int(self.table.schema.field(self._column).type.list_size)
        searched, remembered = self.towers.spans(width)
        if not self.towers.trained:
            return {CONTENT: searched}
        content = {CONTENT: slice(remembered.stop, width)} if remembered.stop < width else {}
        return {SEARCHED: searched, REMEMBERED: remembered, **content}

    def read(self, name: str, part: Part) -> Vectors:
        """Vectors [m, d] of a part's items in a space, ordered by id; zeros where an item has none."""
        return Rows.read(self._batches(*self._recipe(name), part), (len(part.keys), self.width(name)))[:]

    def all(self, name: str, part: Part, files: StoreFiles, room: int) -> Rows:
        """Vectors [n, d] of a part with all items, in memory if they and their codes have room.

        Args:
            files: where they are kept otherwise.
            room: bytes.
        """
        shape = len(part.keys), self.width(name)
        fits = shape[0] * shape[1] * (FLOAT + CODE) <= room
        return Rows.read(self._batches(*self._recipe(name), part), shape, None if fits else files)

    def width(self, name: str) -> int:
        """Numbers of each vector of a space."""
        columns, made = self._recipe(name)
        return made(self.table.schema.empty_table().select(columns)).shape[1]

    def content_by(self, plan: ContentPlan, part: Part) -> Vectors:
        """Content [m, c] that a plan makes of the stored fields, a batch at a time as they are wide."""
        made = self._batches(
            schema.field_columns(self.table.schema), lambda batch: plan.embed(schema.fields_of(batch)), part)
        return Rows.read(made, (len(part.keys), plan.dim))[:]

    def _batches(self, columns: Sequence[str], made: Callable[[pa.Table], Vectors], part: Part) -> Batches:
        position = part.numbered()
        for batch in self.table.batches(["item_id", *columns], part.where):
            yield [position[item_id] for item_id in batch["item_id"].to_pylist()], made(batch)

    def _recipe(self, name: str) -> tuple[list[str], Callable[[pa.Table], Vectors]]:
        """The columns that a space is made of, and how."""
        if name == STORED:
            return [self._column], self._stored
        if name == WORDS:
            return [schema.EMBEDDING + field for field in self.text_fields], _mean
        if name == CONTENT and self.plan.dim:
            columns = schema.field_columns(self.table.schema)
            return columns, lambda batch: self.plan.compacted(self.plan.embed(schema.fields_of(batch)))
        if name == CONTENT:
            return [], lambda batch: np.zeros((len(batch), 1), np.float32)  # a matrix needs a column
        if name == BEHAVIOUR:
            return [self._column], lambda batch: unit(self._stored(batch)[:, self.spans()[REMEMBERED]])
        kinds = (schema.EMBEDDING + name, schema.ATTRIBUTE + name)
        columns = [column for column in kinds if column in self.table.schema.names]
        return columns, lambda batch: self.plan.part(name, schema.fields_of(batch))

    def documents(self, part: Part) -> Iterator[Document]:
        """All words of each item of a part."""
        position = part.numbered()
        for batch in self.table.batches(["item_id", "document"], part.where):
            for item_id, words in zip(*(batch[name].to_pylist() for name in batch.column_names), strict=True):
                yield Document(position[item_id], item_id, words or "")

    def _stored(self, batch: pa.Table) -> Vectors:
        """What the towers stored of each item [b, w]."""
        return schema.matrix(batch[self._column], batch[self._column].type.list_size).values


def _mean(batch: pa.Table) -> Vectors:
    """Mean [b, e] of the embeddings of all texts and categories of each item, at norm 1.

    Not centred, unlike content: a query is one more text, and has no mean of its own.
    """
    return unit(np.sum([part.values for part in schema.fields_of(batch).embeddings.values()], axis=0))
