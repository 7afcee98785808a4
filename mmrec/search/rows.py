"""Vectors of items by position: each is written once, in memory or in a file, and stays where it is.

What comes later is written behind what is there. So a change costs what it changes, and an earlier snapshot
goes on reading its own rows.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import StoreError
from mmrec.search.hits import AT_ONCE, Positions
from mmrec.store.files import StoreFiles

if TYPE_CHECKING:
    from mmrec.search.vectors import Changes

BLOCK = 4_096  # rows read at once, so that intermediate copies stay in the cache
SPARE = 16  # a 16th more memory is reserved than is needed, which costs nothing until it is written
LOOKED_UP = 1_024  # rows of a file, after which the memory is given back into which the system read them
WASTE = 2  # times the rows that are needed may have been written, before all are written anew


def norms(x: Vectors) -> Vectors:
    """Norm [m] of each row [m, d]; no number where one of its numbers is none, or too large to square."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths: Vectors = np.sqrt(np.vecdot(x, x))
    return lengths


class InMemory:
    """Rows in memory; `array` [m, w] are the first, and are not copied. Safe to use from several threads."""

    files = None

    def __init__(self, array: Vectors) -> None:
        self._array, self._used, self._lock = array, len(array), threading.Lock()

    @property
    def array(self) -> Vectors:
        """All rows that have been written [m, w]."""
        return self._array[: self._used]

    def append(self, rows: Vectors) -> int:
        """Writes rows behind the others; returns the index of the first."""
        with self._lock:
            first, end = self._used, self._used + len(rows)
            if end > len(self._array):
                grown = np.empty((end + end // SPARE, rows.shape[1]), np.float32)
                grown[:first] = self._array[:first]
                self._array = grown
            self._array[first:end] = rows
            self._used = end
            return first

    def looked_up(self, rows: int) -> None:
        """Nothing: what is in memory stays there."""


class OnDisk:
    """Rows of w numbers in a file, which the system reads into its cache as they are asked for."""

    def __init__(self, files: StoreFiles, width: int) -> None:
        self.files, self._file, self._width = files, files.scratch(), width
        self._array, self._lock = np.zeros((0, width), np.float32), threading.Lock()
        self._mapped: mmap.mmap | None = None
        self._looked_up = 0  # rows
        weakref.finalize(self, self._file.close)

    @property
    def array(self) -> Vectors:
        """All rows that have been written [m, w]."""
        with self._lock:
            size = os.fstat(self._file.fileno()).st_size
            if size > self._array.nbytes:
                self._mapped = mapped = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
                if hasattr(mapped, "madvise"):
                    mapped.madvise(mmap.MADV_RANDOM)  # a few rows here and there, not what lies behind them
                self._array = np.frombuffer(mapped, np.float32).reshape(-1, self._width)  # [m * w] -> [m, w]
            return self._array

    def append(self, rows: Vectors) -> int:
        """Writes rows behind the others; returns the index of the first.

        Raises:
            StoreError: the disk refuses.
        """
        with self._lock:
            end = self._file.seek(0, os.SEEK_END)
            left = memoryview(rows.astype(np.float32).tobytes())
            try:
                while left:
                    left = left[self._file.write(left) :]
            except OSError as error:
                self._file.truncate(end)
                raise StoreError(
                    f"cannot write vectors beside the store: {error}. Make room on that disk, or allow more"
                    " memory for them (`memory`)"
                ) from error
            return end // (4 * self._width)

    def looked_up(self, rows: int) -> None:
        """Gives back the memory that many rows took, each with its neighbours; the system caches the file."""
        self._looked_up += rows
        if self._looked_up > LOOKED_UP and self._mapped is not None and hasattr(self._mapped, "madvise"):
            self._looked_up = 0
            self._mapped.madvise(mmap.MADV_DONTNEED)


class Rows:
    """Vectors [n, d], by position.

    Args:
        storage: where they are.
        slots: index of each in the storage [n]; None if they are in order there.
        columns: which numbers of the storage's rows they are.
    """

    def __init__(
        self, storage: InMemory | OnDisk, slots: Positions | None = None, columns: slice = slice(None)
    ) -> None:
        self.storage, self._slots, self._view = storage, slots, storage.array[:, columns]

    @classmethod
    def of(cls, matrix: Vectors) -> Rows:
        """Rows [n, d] that are in memory, which are not copied if they are contiguous float32."""
        return cls(InMemory(np.ascontiguousarray(matrix, np.float32)))

    @classmethod
    def read(
        cls, parts: Iterable[tuple[Sequence[int], Vectors]], shape: tuple[int, int],
        files: StoreFiles | None = None,
    ) -> Rows:
        """Rows of a shape [n, d] from batches: positions [b] and their rows [b, d]; zeros where none came.

        Args:
            files: where they are kept; None keeps them in memory.
        """
        if files is None:
            matrix = np.zeros(shape, np.float32)
            for positions, x in parts:
                matrix[positions] = x
            return cls.of(matrix)
        storage, slots = OnDisk(files, shape[1]), np.zeros(shape[0], np.intp)
        storage.append(np.zeros((1, shape[1]), np.float32))  # for those that do not come
        for positions, x in parts:
            slots[positions] = storage.append(x) + np.arange(len(x))
        return cls(storage, slots)

    def part(self, columns: slice) -> Rows:
        """Some of the numbers of each row [n, c]; nothing is copied."""
        return Rows(self.storage, self._slots, columns)

    @property
    def shape(self) -> tuple[int, int]:
        """n and d."""
        return len(self), self._view.shape[1]

    @property
    def in_memory(self) -> bool:
        """Whether they are in memory, rather than in a file."""
        return isinstance(self.storage, InMemory)

    def __len__(self) -> int:
        return len(self._view) if self._slots is None else len(self._slots)

    def __getitem__(self, positions: Any) -> Vectors:
        """The rows at some positions: an index [d], a slice, indices or a mask [m, d]."""
        rows: Vectors = self._view[positions if self._slots is None else self._slots[positions]]
        self.storage.looked_up(len(rows) if rows.ndim == 2 else 1)
        return rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self[:], dtype)

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[slice, Vectors]]:
        """All rows [b, d], some at a time, with their positions."""
        for start in range(0, len(self), size):
            part = slice(start, min(start + size, len(self)))
            yield part, self[part]

    def scores(self, query: Vectors) -> Vectors:
        """Inner products [n] with a query [d]."""
        products = np.empty(len(self._view), np.float32)
        size = len(products) if self.in_memory else AT_ONCE
        for start in range(0, len(products), size or 1):
            block = slice(start, start + size)
            np.matmul(self._view[block], query, out=products[block])  # [b, d] @ [d] -> [b]
            self.storage.looked_up(size)
        return products if self._slots is None else products[self._slots]

    def changed(self, changes: Changes, written: Vectors) -> Rows:
        """The later rows, from these, which are whole and stay as they are, and the written ones [w, d]."""
        before = np.arange(len(self)) if self._slots is None else self._slots
        first = self.storage.append(written)
        now = Rows(self.storage, changes.merged(before, first + np.arange(len(written))))
        if first < WASTE * len(now) + BLOCK:
            return now
        parts = ((range(part.start, part.stop), x) for part, x in now.blocks())
        return Rows.read(parts, now.shape, self.storage.files)
