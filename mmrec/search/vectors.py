"""What is read from the rows of one version of the catalogue's table: vectors, and what has changed since.

A catalogue of a million items is read once. From then on a new item, or a changed one, is read alone and put
in its place, which takes a copy of what is held rather than a scan of the table.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors, unit
from mmrec.encoders.modality import TEXT, modality_of
from mmrec.model.content import ContentPlan
from mmrec.search.hits import Mask, Positions
from mmrec.store import schema
from mmrec.store.catalogue import Serving
from mmrec.store.tables import KeyedTable
from mmrec.types import WORDS

CONTENT = "content"
BEHAVIOUR = "behaviour"  # what a trained head remembers of items, at norm 1
SEARCHED = "searched"  # what a trained head scores; not for `by=`, as its rows have norms that matter
DOCUMENTS = "documents"  # no space, but held beside them
REMEMBERED = "remembered"  # what histories are read from
MOST_CHANGED = 0.1  # share of the rows up to which putting the changed ones in their places is the faster way
T = TypeVar("T", bound=np.generic)


class Part(NamedTuple):
    """Rows of a table.

    Attributes:
        where: SQL condition that keeps them; None keeps all.
        position: of each of their keys, in the order of the keys.
    """

    where: str | None
    position: Mapping[str, int]


@dataclass(frozen=True)
class Changes:
    """How the n rows of an earlier version become those of a later one.

    Attributes:
        keys: of all rows as they are now, sorted.
        part: the rows that were written in between.
        kept: which rows [n] of the earlier version stand as they were.
        stays: which rows now are those.
        comes: positions now of what was written.
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

        None says that it cannot be told, or is so much that the table is better read as a whole.
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
        if len(now) != total:  # rows came whose version nobody kept
            return None
        comes = np.array([bisect_left(now, key) for key in written], np.intp)
        stays = np.ones(len(now), np.bool_)
        stays[comes] = False
        return cls(now, Part(where, numbered(written)), kept, stays, comes)

    def merged(self, before: NDArray[T], written: NDArray[T]) -> NDArray[T]:
        """Rows as they are now, of those before [n, ...] and those written [m, ...]."""
        rows = np.empty((len(self.keys), *before.shape[1:]), before.dtype)
        rows[self.stays] = before if self.kept.all() else before[self.kept]
        rows[self.comes] = written
        return rows

    def merged_table(self, before: pa.Table, written: pa.Table) -> pa.Table:
        """The same of tables with the same columns."""
        standing = before if self.kept.all() else before.filter(pa.array(self.kept))
        rows = np.empty(len(self.keys), np.intp)
        rows[self.stays] = np.arange(len(standing))
        rows[self.comes] = len(standing) + np.arange(len(written))
        return pa.concat_tables([standing, written]).take(pa.array(rows)).combine_chunks()


def numbered(keys: Sequence[str]) -> dict[str, int]:
    """The position of each key."""
    return {key: row for row, key in enumerate(keys)}


class Spaces:
    """Reads vectors of some items, or of all, from one version of the catalogue's table.

    Args:
        table: frozen.
        serving: what made its vectors.
    """

    def __init__(self, table: KeyedTable, serving: Serving) -> None:
        self.table, (self.plan, self._column, self.towers) = table, serving
        self.text_fields = tuple(n for n in schema.embedding_dims(table.schema) if modality_of(n) is TEXT)

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
