"""An 8-bit copy of a matrix, a quarter of its size, that names candidates and bounds what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from mmrec.changes import Changes
from mmrec.encoders.base import Vectors

STEPS = 127  # of a code to either side of 0
SHIFT = np.uint8(128)  # added to a code, makes the byte that faiss keeps
LOOSER = 1.1  # times what was cut off before: with more, codes would bound too little to be of use
LANES = 32  # zeros fill codes up to a multiple: faiss scans a width of 100 ten times slower than one of 128
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
        self._width = -(-d // LANES) * LANES
        largest = np.zeros(d, np.float32)
        for start in range(0, n, BLOCK):
            np.maximum(largest, np.abs(matrix[start : start + BLOCK]).max(axis=0), out=largest)
        self._steps = _step(largest)  # [d]
        self._cut_off = self._longest = 0.0  # lengths, in steps
        stored = np.empty((n, self._width), np.uint8)
        for start in range(0, n, BLOCK):
            exact = matrix[start : start + BLOCK] / self._steps  # [block, d]
            codes = np.rint(exact)
            stored[start : start + BLOCK] = self._bytes(codes)
            self._longest = max(self._longest, _longest(exact))
            self._cut_off = max(self._cut_off, _longest(exact - codes))
        self._lost = STEPS * d**1.5 * EPS  # what float32 may lose in the sum of d products
        self._cut_off += self._lost
        self._hold(stored)

    def changed(self, changes: Changes, rows: Vectors) -> Codes | None:
        """Those of the matrix with these rows [m, d] written; None if the steps do not fit them."""
        exact = rows / self._steps
        codes = np.rint(exact)
        cut_off = _longest(exact - codes) + self._lost
        if np.abs(codes).max(initial=0) > STEPS or cut_off > LOOSER * self._cut_off:
            return None
        now = copy(self)
        stored = _faiss().vector_to_array(self._index.codes).reshape(-1, self._width)  # [n * w] -> [n, w]
        now._hold(changes.merged(stored, self._bytes(codes)))
        now._longest = max(self._longest, _longest(exact))
        now._cut_off = max(self._cut_off, cut_off)
        return now

    def _hold(self, stored: NDArray[np.uint8]) -> None:
        """Has an index of bytes [n, width], as faiss would store the codes."""
        faiss = _faiss()
        kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
        self._index = faiss.IndexScalarQuantizer(self._width, kind, faiss.METRIC_INNER_PRODUCT)
        faiss.copy_array_to_vector(stored.reshape(-1), self._index.codes)  # [n, w] -> [n * w]
        self._index.ntotal = len(stored)
        self.nbytes = stored.nbytes + self._steps.nbytes

    def _bytes(self, codes: Vectors) -> NDArray[np.uint8]:
        """The bytes [m, width] that faiss stores of codes [m, d]; zeros fill them up."""
        stored = np.full((len(codes), self._width), SHIFT, np.uint8)
        stored[:, : codes.shape[1]] = codes.astype(np.int8).view(np.uint8) ^ SHIFT
        return stored

    def nominate(
        self, query: Vectors, width: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.intp], float]:
        """Names the rows that score highest by their codes.

        Args:
            query: [d], not all zeros.
            width: how many rows to name.
            allowed: rows [n] to choose from; None for all.

        Returns:
            Row numbers [<= width], and a score that no allowed row left out can exceed: minus infinity when
            none is left out.
        """
        stretched = query * self._steps
        step = _step(np.abs(stretched).max())
        codes = np.rint(stretched / step)
        filled = self._filled(codes[None])  # [1, width of the codes]
        params = None if allowed is None else _selector(allowed)
        with _one_thread():
            scores, rows = self._index.search(filled, width, params=params)  # both [1, width]
        if rows[0, -1] < 0:  # fewer than width are allowed
            return rows[0][rows[0] >= 0], -np.inf
        coded = codes * step
        error = _length(coded) * self._cut_off + _length(stretched - coded) * self._longest
        return rows[0], float(scores[0, -1]) * float(step) + error

    def _filled(self, codes: Vectors) -> Vectors:
        """Codes [m, d] with zeros up to the width that is scanned."""
        if codes.shape[1] == self._width:
            return codes.astype(np.float32, copy=False)
        filled = np.zeros((len(codes), self._width), np.float32)
        filled[:, :codes.shape[1]] = codes
        return filled


def _step(largest: Vectors) -> Vectors:
    """The step that brings the largest number to the last code."""
    return np.where(largest > 0, largest / np.float32(STEPS), np.float32(1))


def _longest(rows: Vectors) -> float:
    """Length of the longest row of [m, d]."""
    return float(np.sqrt(np.vecdot(rows, rows).max(initial=0)))


def _length(x: Vectors) -> float:
    return float(np.sqrt(x @ x))


def _selector(allowed: NDArray[np.bool_]) -> object:
    faiss = _faiss()
    bits = np.packbits(allowed, bitorder="little")  # [n] -> [n / 8]
    return faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))


@contextmanager
def _one_thread() -> Iterator[None]:
    """One query is one thread's work in faiss: a second would have nothing to do, and be waited for."""
    faiss = _faiss()
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # for the calling thread alone
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _faiss() -> ModuleType:
    import faiss  # here, since a small shop never needs it

    return faiss
