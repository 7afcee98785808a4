"""An 8-bit copy of a matrix, a quarter of its size, that names candidates and bounds what it leaves out."""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from mmrec.changes import Changes
from mmrec.encoders.base import Vectors
from mmrec.hits import Mask
from mmrec.scan import FaissScan, IntegerScan, Named, quickest

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
