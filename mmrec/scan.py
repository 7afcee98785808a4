"""Which rows of whole numbers have the highest inner products with a query, by the fastest way at hand.

torch multiplies 8-bit numbers with the instructions that newer processors have for it, and several queries
at once share the reading of the rows. It takes seconds to load, which a single search shall not wait for; so
it is used once something else (an encoder, a head, the service) has loaded it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mmrec.hits import Mask, Places

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

    rows: Places
    ceiling: float


class Scan(Protocol):
    """Rows [n, d] to be scanned.

    Attributes:
        most: queries at once up to which this is faster than matrix products of float32.
    """

    most: int

    def best(self, queries: Coded, width: int, allowed: Mask | None) -> list[Named]:
        """At least `width` rows for each query [b, d]; fewer if fewer are allowed, or their products tie."""


class IntegerScan:
    """By torch's product of 8-bit matrices.

    Args:
        rows: [m, d], of which the first n count. torch makes code for every shape that it meets, in some
            milliseconds, and keeps it: a catalogue that grows shall not have another one with every item.
    """

    most = 2**31

    def __init__(self, rows: Coded, n: int) -> None:
        self._rows, self._n = rows, n

    def best(self, queries: Coded, width: int, allowed: Mask | None) -> list[Named]:
        """As `Scan` says."""
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
    """By faiss's index of 8-bit numbers, one query after the other, each in one thread.

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
        """As `Scan` says."""
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
    place = max(0, len(tops) - width)
    floor = int(np.partition(tops, place)[place])
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
