"""What a newer version of a table changed, for whatever holds a row for each of its keys, in their order.

A catalogue of a million items is read once. From then on a new item, or a changed one, is read alone and put
in its place, which takes a copy of what is held rather than a scan of the table.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmrec.search.hits import Mask, Places
from mmrec.store.tables import KeyedTable

MOST = 0.1  # share of the rows up to which putting the changed ones in their places is the faster way
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
    comes: Places

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
        if len(written) > MOST * len(keys):
            return None
        kept, total = np.ones(len(keys), np.bool_), table.count()
        kept[[position[key] for key in written if key in position]] = False
        if kept.sum() + len(written) != total:  # some were deleted
            left = set(table.scan([table.key])[table.key].to_pylist())
            kept[[place for key, place in position.items() if key not in left]] = False
        standing = keys if kept.all() else [keys[place] for place in np.flatnonzero(kept).tolist()]
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
        places = np.empty(len(self.keys), np.intp)
        places[self.stays] = np.arange(len(standing))
        places[self.comes] = len(standing) + np.arange(len(written))
        return pa.concat_tables([standing, written]).take(pa.array(places)).combine_chunks()


def numbered(keys: Sequence[str]) -> dict[str, int]:
    """The position of each key."""
    return {key: place for place, key in enumerate(keys)}
