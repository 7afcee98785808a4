"""An 8-bit copy of a matrix, a quarter of its size: names candidates, and bounds the scores of all others."""

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
from mmrec.search.rows import Rows, norms
from mmrec.search.vectors import Changes

if TYPE_CHECKING:
    from threadpoolctl import LibController

Coded = NDArray[np.int8]  # from -127 to 127
STEPS = 127  # codes on either side of 0
LOOSER = 1.1  # times the former rounding error that new rows may have, else all are coded anew
EVEN = 4_096  # zeros pad the codes to a multiple of so many rows
EPS = float(np.finfo(np.float32).eps)
LANES = 32  # faiss scans rows ten times slower if their width is no multiple of this
SHIFT = np.uint8(128)  # what faiss adds to a code to store it as a byte
LEAST, MOST = np.int32(-(2**31)), np.int32(2**31 - 1)  # below and above every product
GROUPS = 8  # times as many groups as rows are wanted, so that few more rows are found
LARGEST = 256  # rows of a group, for which NumPy takes the maxima of many groups fastest
LARGE = 2**26  # bytes of rows, from which on reading them takes milliseconds
PRODUCTS = 1_600_000  # held at once
_BUFFERS = threading.local()


class Named(NamedTuple):
    """Rows with the highest products, in no order, and a bound on the products of all other allowed rows."""

    rows: Positions
    ceiling: float


class IntegerScan:
    """Scans rows by torch's product of 8-bit matrices.

    Args:
        rows: [m, d], of which the first n count. torch compiles code for every new shape, which takes some
            milliseconds: padded rows keep their shape while a catalogue grows.
    """

    most = 2**31  # queries up to which this is faster than matrix products of float32

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
            # bounded by LEAST or MOST, as np.where would do in ten times the time
            np.minimum(products, -closed ^ MOST, out=products)
        return (highest(row, width) for row in products)


class FaissScan:
    """Scans rows by faiss's index of 8-bit numbers, one query after the other, in one thread.

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
        params = None
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")  # [n] -> [n / 8]
            params = _faiss().SearchParameters(sel=_faiss().IDSelectorBitmap(bits))
        with _one_thread("faiss"):
            products, rows = self.index.search(filled, width, params=params)  # both [b, width]
        return [
            Named(r, float(p[-1])) if r[-1] >= 0 else Named(r[r >= 0], -np.inf)  # fewer are allowed
            for p, r in zip(products, rows, strict=True)
        ]


def highest(products: NDArray[np.int32], width: int) -> Named:
    """The rows of the highest products [n]: at least `width` of those above `LEAST`, if there are so many.

    At least `width` rows reach the `width`-th highest of the maxima of groups of rows.
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
    """Exact inner products, [b, d] x [n, d] -> [b, n], in memory that this thread's next call uses again."""
    import torch

    if queries.shape[1] == 1:  # torch warns that it cannot, and returns uninitialised memory
        return np.multiply.outer(queries[:, 0].astype(np.int32), rows[:, 0])
    products = _buffer(len(queries) * len(rows)).reshape(len(queries), len(rows))
    with _one_thread("torch") if rows.nbytes < LARGE else nullcontext():
        torch._int_mm(torch.from_numpy(queries), torch.from_numpy(rows).T, out=torch.from_numpy(products))
    return products


def _buffer(size: int) -> NDArray[np.int32]:
    """Memory of this thread's calls: fresh memory would cost as much time as a fifth of the products."""
    buffer: NDArray[np.int32] | None = getattr(_BUFFERS, "buffer", None)
    if buffer is None or len(buffer) < size:
        buffer = _BUFFERS.buffer = np.empty(size, np.int32)
    return buffer[:size]


def quickest() -> type[IntegerScan] | type[FaissScan]:
    """The faster way to scan in this process; torch is not loaded for it."""
    return IntegerScan if "torch" in sys.modules and _multiplies_integers() else FaissScan


@lru_cache(maxsize=1)
def _multiplies_integers() -> bool:
    """Whether torch has the product of 8-bit matrices, and this processor the instructions to do it fast."""
    import torch

    supported = getattr(torch.cpu, "_is_vnni_supported", None)  # as torch itself decides by
    return hasattr(torch, "_int_mm") and supported is not None and bool(supported())


def _faiss() -> ModuleType:
    import faiss  # here, since a small shop never needs it

    return faiss


@contextmanager
def _one_thread(library: str) -> Iterator[None]:
    """Has a library use one thread: a short scan would wait for a second one, which other requests need."""
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
    """Thread pools of a library's own OpenMP."""
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="openmp").lib_controllers
    return [one for one in found if library in one.filepath]


class Codes:
    """Rows [n, d] as whole numbers from -127 to 127, each column with its own step.

    A query is multiplied by the columns' steps, then coded too. The error of the product of two codes is
    bounded for every row at once by the norms of the rounding errors (Cauchy-Schwarz):
    `q·x - q'·x' = q'·(x - x') + (q - q')·x`.
    """

    def __init__(self, rows: Rows) -> None:
        n, d = rows.shape
        largest = np.zeros(d, np.float32)
        for _, x in rows.blocks():
            np.maximum(largest, np.abs(x).max(axis=0), out=largest)
        self._steps = _step(largest)  # [d]
        self._cut_off = self._longest = 0.0  # largest norms of rounding errors and of rows, in steps
        held = _padded(n, d)
        for part, x in rows.blocks():
            exact = x / self._steps  # [block, d]
            codes = np.rint(exact)
            held[part] = codes
            self._longest = max(self._longest, _longest(exact))
            self._cut_off = max(self._cut_off, _longest(exact - codes))
        self._lost = STEPS * d**1.5 * EPS  # what float32 may lose in the sum of d products
        self._cut_off += self._lost
        self._hold(held, n)

    def changed(self, changes: Changes, rows: Vectors) -> Codes | None:
        """Codes of the changed matrix, with written rows [w, d]; None if the steps do not fit these."""
        exact = rows / self._steps
        codes = np.rint(exact)
        cut_off = _longest(exact - codes) + self._lost
        if np.abs(codes).max(initial=0) > STEPS or cut_off > LOOSER * self._cut_off:
            return None
        now = copy(self)
        held = _padded(len(changes.keys), rows.shape[1])
        changes.merge(self.rows, codes.astype(np.int8), held)
        now._hold(held, len(changes.keys))
        now._longest = max(self._longest, _longest(exact))
        now._cut_off = max(self._cut_off, cut_off)
        return now

    def _hold(self, rows: Coded, n: int) -> None:
        self._rows, self._n = rows, n
        self._scan: IntegerScan | FaissScan | None = None

    @property
    def rows(self) -> NDArray[np.int8]:
        """The whole numbers [n, d]."""
        return self._rows[: self._n]

    @property
    def nbytes(self) -> int:
        """Bytes held, with the copy of the codes that faiss keeps where it scans."""
        return (2 if isinstance(self._scan, FaissScan) else 1) * self._rows.nbytes + self._steps.nbytes

    @property
    def scan(self) -> IntegerScan | FaissScan:
        """What scans the codes: the fastest way there is by now."""
        kind, scan = quickest(), self._scan
        if not isinstance(scan, kind):
            scan = self._scan = kind(self._rows, self._n)
        return scan

    def nominate(self, queries: Vectors, width: int, allowed: Mask | None = None) -> list[Named]:
        """At least `width` rows for each query [b, d] that score highest by their codes.

        The ceiling is a bound on the true scores of the other allowed rows: minus infinity if there are none.

        Args:
            queries: [b, d], none all zeros.
            allowed: rows [n] to choose from; None for all.
        """
        stretched = queries * self._steps
        step = _step(np.abs(stretched).max(axis=1, keepdims=True))  # [b, 1]
        codes = np.rint(stretched / step)
        coded = codes * step
        error = norms(coded) * self._cut_off + norms(stretched - coded) * self._longest  # [b]
        named = self.scan.best(codes.astype(np.int8), width, allowed)
        return [
            Named(rows, ceiling * float(one) + float(e))
            for (rows, ceiling), one, e in zip(named, step[:, 0], error, strict=True)
        ]


def _padded(n: int, d: int) -> Coded:
    """Memory for n codes, and zeros behind them: see `IntegerScan`."""
    rows = np.empty((-(-n // EVEN) * EVEN, d), np.int8)
    rows[n:] = 0
    return rows


def _step(largest: Vectors) -> Vectors:
    """The step for which the largest number has the last code."""
    return np.where(largest > 0, largest / np.float32(STEPS), np.float32(1))


def _longest(rows: Vectors) -> float:
    """Norm of the longest row of [m, d]."""
    return float(norms(rows).max(initial=0))
