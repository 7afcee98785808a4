"""An 8-bit copy of a matrix, a quarter of its size: names candidates, and bounds the scores of all others."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import lru_cache
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.search.hits import Mask, Positions
from mmrec.search.rows import Rows, norms
from mmrec.search.vectors import Changes
from mmrec.threads import cores

if TYPE_CHECKING:
    from threadpoolctl import LibController

Coded = NDArray[np.int8]  # from -127 to 127
Stored = NDArray[np.uint8]  # the bytes of codes, as a scan reads them
STEPS = 127  # codes on either side of 0
LOOSER = 1.1  # times the former rounding error that new rows may have, else all are coded anew
EVEN = 4_096  # zeros pad the codes to a multiple of so many rows
EPS = float(np.finfo(np.float32).eps)
LANES = 32  # faiss scans rows ten times slower if their width is no multiple of this; zeros fill it
LEAST, MOST = np.int32(-(2**31)), np.int32(2**31 - 1)  # below and above every product
GROUPS = 8  # times as many groups as rows are wanted, so that few more rows are found
LARGEST = 256  # rows of a group, for which NumPy takes the maxima of many groups fastest
LARGE = 2**26  # bytes of rows, from which on reading them takes many milliseconds, and all cores do it
PRODUCTS = 1_600_000  # held at once
_BUFFERS = threading.local()


class Named(NamedTuple):
    """Rows with the highest products, in no order, and a bound on the products of all other allowed rows."""

    rows: Positions
    ceiling: float


class IntegerScan:
    """Scans rows by torch's product of 8-bit matrices.

    Args:
        stored: [m, w], of which the first n count. torch compiles code for every new shape, which takes some
            milliseconds: padded rows keep their shape while a catalogue grows.
    """

    most = 2**31  # queries up to which this is faster than matrix products of float32
    flipped = np.uint8(0)

    def __init__(self, stored: Stored, n: int) -> None:
        self.stored, self._rows, self.n = stored, stored.view(np.int8), n

    def best(self, queries: Coded, width: int, allowed: Mask | None) -> list[Named]:
        """At least `width` rows for each query [b, w]; fewer if fewer are allowed, or their products tie."""
        size = max(1, PRODUCTS // len(self._rows))
        blocks = (queries[start : start + size] for start in range(0, len(queries), size))
        return [named for block in blocks for named in self._block(block, width, allowed)]

    def _block(self, queries: Coded, width: int, allowed: Mask | None) -> Iterator[Named]:
        products = integer_products(queries, self._rows)[:, : self.n]
        if allowed is not None:
            closed = (~allowed).astype(np.int32)
            # bounded by LEAST or MOST, as np.where would do in ten times the time
            np.minimum(products, -closed ^ MOST, out=products)
        return (highest(row, width) for row in products)


class FaissScan:
    """Scans rows by faiss's index of 8-bit numbers, one query after the other, but many rows by all cores.

    Args:
        stored: [m, w], of which the first n count. The index reads them where they are.
    """

    most = 4
    flipped = np.uint8(128)  # the bit by which faiss's bytes differ

    def __init__(self, stored: Stored, n: int) -> None:
        self.stored, self.n = stored, n
        ends = np.linspace(0, n, (cores() if stored.nbytes >= LARGE else 1) + 1).astype(int).tolist()
        self.parts = [(slice(*part), self._index(stored[slice(*part)])) for part in pairwise(ends)]

    def _index(self, rows: Stored) -> Any:
        faiss, kind = _faiss(), _faiss().ScalarQuantizer.QT_8bit_direct_signed
        index = faiss.IndexScalarQuantizer(rows.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        nobody = faiss.MaybeOwnedVectorUInt8().owner  # of the bytes, for faiss: they are held here
        index.codes = faiss.MaybeOwnedVectorUInt8.create_view(faiss.swig_ptr(rows), rows.size, nobody)
        index.ntotal = len(rows)
        return index

    def best(self, queries: Coded, width: int, allowed: Mask | None) -> list[Named]:
        """At least `width` rows for each query [b, w]; fewer if fewer are allowed, or their products tie."""
        Q = queries.astype(np.float32)

        def part(some: slice, index: Any) -> tuple[Vectors, Positions]:
            """Products and rows [b, width] of a part, the best first; the row -1 where fewer are allowed."""
            params = None
            if allowed is not None:
                bits = np.packbits(allowed[some], bitorder="little")  # [m] -> [m / 8]
                params = _faiss().SearchParameters(sel=_faiss().IDSelectorBitmap(bits))
            with _one_thread("faiss"):
                products, rows = index.search(Q, width, params=params)
            return products, np.where(rows < 0, rows, rows + some.start)

        with ThreadPoolExecutor(len(self.parts)) if len(self.parts) > 1 else nullcontext() as pool:
            found = [*(pool.map if pool else map)(part, *zip(*self.parts, strict=True))]
        products, rows = (np.hstack(one) for one in zip(*found, strict=True))  # [b, parts * width]
        order = np.argsort(-products, axis=1, kind="stable")[:, :width]
        products, rows = (np.take_along_axis(one, order, axis=1) for one in (products, rows))
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
    """Exact products, [b, w] x [n, w] -> [b, n], w > 1, in memory that this thread's next call uses again."""
    import torch

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
        kind = quickest()
        held = _room(n, d, kind)
        for part, x in rows.blocks():
            exact = x / self._steps  # [block, d]
            codes = np.rint(exact)
            held[part] = _padded(codes).view(np.uint8) ^ kind.flipped
            self._longest = max(self._longest, _longest(exact))
            self._cut_off = max(self._cut_off, _longest(exact - codes))
        self._lost = STEPS * d**1.5 * EPS  # what float32 may lose in the sum of d products
        self._cut_off += self._lost
        self._scan = kind(held, n)

    def changed(self, changes: Changes, rows: Vectors) -> Codes | None:
        """Codes of the changed matrix, with written rows [w, d]; None if the steps do not fit these."""
        exact = rows / self._steps
        codes = np.rint(exact)
        cut_off = _longest(exact - codes) + self._lost
        if np.abs(codes).max(initial=0) > STEPS or cut_off > LOOSER * self._cut_off:
            return None
        now = copy(self)
        scan, n = self.scan, len(changes.keys)
        held = _room(n, rows.shape[1], type(scan))
        changes.merge(scan.stored[: scan.n], _padded(codes).view(np.uint8) ^ scan.flipped, held)
        now._scan = type(scan)(held, n)
        now._longest = max(self._longest, _longest(exact))
        now._cut_off = max(self._cut_off, cut_off)
        return now

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._scan.stored.nbytes + self._steps.nbytes

    @property
    def scan(self) -> IntegerScan | FaissScan:
        """What scans the codes: the fastest way there is by now."""
        kind, scan = quickest(), self._scan
        if not isinstance(scan, kind):  # torch was loaded since
            scan = self._scan = kind(scan.stored ^ scan.flipped ^ kind.flipped, scan.n)
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
        named = self.scan.best(_padded(codes), width, allowed)
        return [
            Named(rows, ceiling * float(one) + float(e))
            for (rows, ceiling), one, e in zip(named, step[:, 0], error, strict=True)
        ]


def _padded(codes: Vectors) -> Coded:
    """Codes [m, d] as bytes, with the columns of zeros that faiss needs: [m, w]."""
    return np.pad(codes.astype(np.int8), ((0, 0), (0, -codes.shape[1] % LANES)))


def _room(n: int, d: int, kind: type[IntegerScan | FaissScan]) -> Stored:
    """Memory for n codes of d numbers, and zeros behind them: see `IntegerScan`."""
    stored = np.empty((-(-n // EVEN) * EVEN, -(-d // LANES) * LANES), np.uint8)
    stored[n:] = kind.flipped
    return stored


def _step(largest: Vectors) -> Vectors:
    """The step for which the largest number has the last code."""
    return np.where(largest > 0, largest / np.float32(STEPS), np.float32(1))


def _longest(rows: Vectors) -> float:
    """Norm of the longest row of [m, d]."""
    return float(norms(rows).max(initial=0))
