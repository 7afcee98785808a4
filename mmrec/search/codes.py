"""An 8-bit copy of a matrix, a quarter of its size, that names candidates and bounds what it leaves out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.search.hits import Mask, Positions
from mmrec.search.vectors import Changes

if TYPE_CHECKING:
    from threadpoolctl import LibController

Coded = NDArray[np.int8]  # from -127 to 127
LANES = 32  # faiss scans a width that is no multiple, such as 100, ten times slower than one of 128
SHIFT = np.uint8(128)  # added to a code, makes the byte that faiss keeps
LEAST, MOST = np.int32(-(2**31)), np.int32(2**31 - 1)  # below and above every product
GROUPS = 8  # times as many groups as rows wanted: then few more rows are found than are wanted
LARGEST = 256  # rows of a group: NumPy compares many groups, row by row of each, fastest
_ROOMS = threading.local()
LARGE = 2**26  # bytes of rows, from which on reading them takes milliseconds
PRODUCTS = 1_600_000  # held at once


class Named(NamedTuple):
    """The rows with the highest products, in no order, and a product that no other allowed row exceeds."""

    rows: Positions
    ceiling: float


class IntegerScan:
    """Scans rows by torch's product of 8-bit matrices.

    Args:
        rows: [m, d], of which the first n count. torch makes code for every shape that it meets, in some
            milliseconds, and keeps it: a catalogue that grows shall not have another one with every item.
    """

    most = 2**31  # queries at once up to which this is faster than matrix products of float32

    def __init__(self, rows: Coded, n: int) -> None:
        self._rows, self._n = rows, n

    def best(self, queries: Coded, width: int, allowed: Mask | None) -> list[Named]:
        """At least `width` rows for each query [b, d]; fewer if fewer are allowed, or their products tie."""
        size = max(1, PRODUCTS // len(self._rows))
        blocks = (queries[start : start + size] for start in range(0, len(queries), size))
        return [named for block in blocks for named in self._block(block, width, allowed)]

    def _block(self, queries: Coded, width: int, allowed: Mask | None) -> Iterator[Named]:
        products = integer_products(queries, self._rows)[:, : self._n]
        if allowed is not None:
            closed = (~allowed).astype(np.int32)
            # by LEAST or MOST, which np.where takes ten times longer to make
            np.minimum(products, -closed ^ MOST, out=products)
        return (highest(row, width) for row in products)


class FaissScan:
    """Scans rows by faiss's index of 8-bit numbers, one query after the other, each in one thread.

    Args:
        rows: [m, d], of which the first n count.
    """

    most = 4

    def __init__(self, rows: Coded, n: int) -> None:
        faiss, d = _faiss(), rows.shape[1]
        self._width = -(-d // LANES) * LANES
        stored = np.full((n, self._width), SHIFT, np.uint8)
        stored[:, :d] = rows[:n].view(np.uint8) ^ SHIFT
        kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
        self.index = faiss.IndexScalarQuantizer(self._width, kind, faiss.METRIC_INNER_PRODUCT)
        faiss.copy_array_to_vector(stored.reshape(-1), self.index.codes)  # [n, w] -> [n * w]
        self.index.ntotal = n

    def best(self, queries: Coded, width: int, allowed: Mask | None) -> list[Named]:
        """At least `width` rows for each query [b, d]; fewer if fewer are allowed, or their products tie."""
        filled = np.zeros((len(queries), self._width), np.float32)
        filled[:, : queries.shape[1]] = queries
        params = None if allowed is None else _selector(allowed)
        with _one_thread("faiss"):
            products, rows = self.index.search(filled, width, params=params)  # both [b, width]
        return [
            Named(r, float(p[-1])) if r[-1] >= 0 else Named(r[r >= 0], -np.inf)  # fewer are allowed
            for p, r in zip(products, rows, strict=True)
        ]


def highest(products: NDArray[np.int32], width: int) -> Named:
    """The rows of the highest products [n], at least `width` of those above `LEAST`, if so many are.

    Rows are taken in groups, whose highest products tell from where on at least `width` rows lie.
    """
    n = len(products)
    size = min(max(1, n // (GROUPS * width)), LARGEST)
    whole = n - n % size
    tops = np.concatenate([products[:whole].reshape(size, -1).max(axis=0), products[whole:]])  # [~ n / size]
    last = max(0, len(tops) - width)
    floor = int(np.partition(tops, last)[last])
    if floor == LEAST or n <= width:
        return Named(np.flatnonzero(products > LEAST), -np.inf)
    return Named(np.flatnonzero(products >= floor), floor - 1.0)


def integer_products(queries: Coded, rows: Coded) -> NDArray[np.int32]:
    """Inner products, exact, [b, d] x [n, d] -> [b, n], in memory that this thread's next call uses again."""
    import torch

    if queries.shape[1] == 1:  # torch says that it could not, and returns what was in memory
        return np.multiply.outer(queries[:, 0].astype(np.int32), rows[:, 0])
    products = _room(len(queries) * len(rows)).reshape(len(queries), len(rows))
    with _one_thread("torch") if rows.nbytes < LARGE else nullcontext():
        torch._int_mm(torch.from_numpy(queries), torch.from_numpy(rows).T, out=torch.from_numpy(products))
    return products


def _room(size: int) -> NDArray[np.int32]:
    """Fresh memory would cost as much time as a fifth of the products."""
    room = getattr(_ROOMS, "room", None)
    if room is None or len(room) < size:
        room = _ROOMS.room = np.empty(size, np.int32)
    found: NDArray[np.int32] = room[:size]
    return found


def quickest() -> type[IntegerScan] | type[FaissScan]:
    """What scans fastest in this process as it is now."""
    return IntegerScan if "torch" in sys.modules and _multiplies_integers() else FaissScan


@lru_cache(maxsize=1)
def _multiplies_integers() -> bool:
    """Whether torch has the product, and this processor the instructions: without them it takes longer."""
    import torch

    supported = getattr(torch.cpu, "_is_vnni_supported", None)  # as torch itself decides by
    return hasattr(torch, "_int_mm") and supported is not None and bool(supported())


def _selector(allowed: Mask) -> object:
    faiss = _faiss()
    bits = np.packbits(allowed, bitorder="little")  # [n] -> [n / 8]
    return faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))


@contextmanager
def _one_thread(library: str) -> Iterator[None]:
    """A short scan is one thread's work: a second would often be waited for, and other requests need it."""
    pools = _pools(library)
    threads = [pool.num_threads for pool in pools]
    for pool in pools:
        pool.set_num_threads(1)  # for the calling thread alone
    try:
        yield
    finally:
        for pool, before in zip(pools, threads, strict=True):
            pool.set_num_threads(before)


@lru_cache
def _pools(library: str) -> list[LibController]:
    """The OpenMP of a library, which brings its own."""
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="openmp").lib_controllers
    return [one for one in found if library in one.filepath]


def _faiss() -> ModuleType:
    import faiss  # here, since a small shop never needs it

    return faiss


STEPS = 127  # of a code to either side of 0
LOOSER = 1.1  # times what was cut off before: with more, codes would bound too little to be of use
EVEN = 4_096  # rows, to a multiple of which zeros fill the codes up
BLOCK = 4_096  # rows coded at once, so that the copies made on the way stay in the cache
EPS = float(np.finfo(np.float32).eps)


class Codes:
    """Rows [n, d] as whole numbers from -127 to 127, each column with a step of its own.

    A query takes the columns' steps upon itself and is coded too. How far the product of two codes misses the
    true one is bounded, for every row at once, by the lengths of what rounding cut off (Cauchy-Schwarz):
    `q·x - q'·x' = q'·(x - x') + (q - q')·x`.
    """

    def __init__(self, matrix: Vectors) -> None:
        n, d = matrix.shape
        largest = np.zeros(d, np.float32)
        for start in range(0, n, BLOCK):
            np.maximum(largest, np.abs(matrix[start : start + BLOCK]).max(axis=0), out=largest)
        self._steps = _step(largest)  # [d]
        self._cut_off = self._longest = 0.0  # lengths, in steps
        rows = np.empty((n, d), np.int8)
        for start in range(0, n, BLOCK):
            exact = matrix[start : start + BLOCK] / self._steps  # [block, d]
            codes = np.rint(exact)
            rows[start : start + BLOCK] = codes
            self._longest = max(self._longest, _longest(exact))
            self._cut_off = max(self._cut_off, _longest(exact - codes))
        self._lost = STEPS * d**1.5 * EPS  # what float32 may lose in the sum of d products
        self._cut_off += self._lost
        self._hold(rows)

    def changed(self, changes: Changes, rows: Vectors) -> Codes | None:
        """Those of the matrix with these rows [m, d] written; None if the steps do not fit them."""
        exact = rows / self._steps
        codes = np.rint(exact)
        cut_off = _longest(exact - codes) + self._lost
        if np.abs(codes).max(initial=0) > STEPS or cut_off > LOOSER * self._cut_off:
            return None
        now = copy(self)
        now._hold(changes.merged(self.rows, codes.astype(np.int8)))
        now._longest = max(self._longest, _longest(exact))
        now._cut_off = max(self._cut_off, cut_off)
        return now

    def _hold(self, rows: NDArray[np.int8]) -> None:
        n, d = rows.shape
        self._rows = np.zeros((-(-n // EVEN) * EVEN, d), np.int8)  # see `IntegerScan`
        self._rows[:n] = rows
        self._n = n
        self._scan: IntegerScan | FaissScan | None = None

    @property
    def rows(self) -> NDArray[np.int8]:
        """The whole numbers [n, d]."""
        return self._rows[: self._n]

    @property
    def nbytes(self) -> int:
        """Bytes held; as many again while faiss scans them, which keeps its own."""
        return (2 if isinstance(self._scan, FaissScan) else 1) * self._rows.nbytes + self._steps.nbytes

    @property
    def scan(self) -> IntegerScan | FaissScan:
        """What scans them."""
        kind, scan = quickest(), self._scan
        if not isinstance(scan, kind):
            scan = self._scan = kind(self._rows, self._n)
        return scan

    def nominate(self, queries: Vectors, width: int, allowed: Mask | None = None) -> list[Named]:
        """Names the rows that score highest by their codes.

        Args:
            queries: [b, d], none all zeros.
            width: how many rows to name, at least.
            allowed: rows [n] to choose from; None for all.

        Returns:
            For each query row numbers, and a score that no allowed row left out can exceed: minus infinity
            when none is left out.
        """
        stretched = queries * self._steps
        step = _step(np.abs(stretched).max(axis=1, keepdims=True))  # [b, 1]
        codes = np.rint(stretched / step)
        coded = codes * step
        error = _lengths(coded) * self._cut_off + _lengths(stretched - coded) * self._longest  # [b]
        named = self.scan.best(codes.astype(np.int8), width, allowed)
        return [
            Named(rows, ceiling * float(one) + float(e))
            for (rows, ceiling), one, e in zip(named, step[:, 0], error, strict=True)
        ]


def _step(largest: Vectors) -> Vectors:
    """The step that brings the largest number to the last code."""
    return np.where(largest > 0, largest / np.float32(STEPS), np.float32(1))


def _longest(rows: Vectors) -> float:
    """Length of the longest row of [m, d]."""
    return float(_lengths(rows).max(initial=0))


def _lengths(rows: Vectors) -> Vectors:
    """Length [m] of each row of [m, d]."""
    lengths: Vectors = np.sqrt(np.vecdot(rows, rows))
    return lengths
