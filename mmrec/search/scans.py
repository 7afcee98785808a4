"""Ways of scanning the codes of all rows: torch's and faiss's products of 8-bit numbers, faiss's bits.

Each names rows with the highest products, by one core or all of them.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.search.hits import Mask, Positions
from mmrec.threads import cores

if TYPE_CHECKING:
    from threadpoolctl import LibController

Coded = NDArray[np.int8]  # from -127 to 127
Stored = NDArray[np.uint8]  # the bytes of codes, as a scan reads them
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
        return _reading(faiss.IndexScalarQuantizer(rows.shape[1], kind, faiss.METRIC_INNER_PRODUCT), rows)

    def best(self, queries: Coded | Vectors, width: int, allowed: Mask | None) -> list[Named]:
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

        several = _threads(cores()).map if len(self.parts) > 1 else map
        found = [*several(part, *zip(*self.parts, strict=True))]
        products, rows = (np.hstack(one) for one in zip(*found, strict=True))  # [b, parts * width]
        order = np.argsort(-products, axis=1, kind="stable")[:, :width]
        products, rows = (np.take_along_axis(one, order, axis=1) for one in (products, rows))
        return [
            Named(r, float(p[-1])) if r[-1] >= 0 else Named(r[r >= 0], -np.inf)  # fewer are allowed
            for p, r in zip(products, rows, strict=True)
        ]


class BitScan(FaissScan):
    """Scans rows by faiss's index of a few bits a number, whose products are estimates.

    Args:
        stored: [n, s], the codes that `made` gave them.
        made: an index that was trained, and holds no rows.
    """

    def __init__(self, stored: Stored, n: int, made: Any) -> None:
        self.made = made
        super().__init__(stored, n)

    @staticmethod
    def index(d: int, bits: int) -> Any:
        """faiss's index of vectors of d numbers."""
        return _faiss().IndexRaBitQ(d, _faiss().METRIC_INNER_PRODUCT, bits)

    def _index(self, rows: Stored) -> Any:
        return _reading(_faiss().clone_index(self.made), rows)


def _reading(index: Any, rows: Stored) -> Any:
    """An index of faiss that reads codes [n, s] where they are."""
    nobody = _faiss().MaybeOwnedVectorUInt8().owner  # of the bytes, for faiss: they are held here
    index.codes = _faiss().MaybeOwnedVectorUInt8.create_view(_faiss().swig_ptr(rows), rows.size, nobody)
    index.ntotal = len(rows)
    return index


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


@lru_cache
def _threads(most: int) -> ThreadPoolExecutor:
    """Threads for the parts of all scans; to start some for each would take as long as a small part."""
    return ThreadPoolExecutor(most, thread_name_prefix="scan")


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
