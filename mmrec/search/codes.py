"""Short copies of a matrix that name candidates: 8-bit codes, which bound all other rows, or fewer bits."""

from __future__ import annotations

from copy import copy
from typing import ClassVar

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.search.hits import Mask
from mmrec.search.rows import Rows, norms
from mmrec.search.scans import LANES, BitScan, Coded, FaissScan, IntegerScan, Named, Stored, quickest
from mmrec.search.vectors import Changes

STEPS = 127  # codes on either side of 0
LOOSER = 1.1  # times the former rounding error that new rows may have, else all are coded anew
EVEN = 4_096  # zeros pad the codes to a multiple of so many rows
EPS = float(np.finfo(np.float32).eps)
SAMPLE = 50_000  # rows whose mean few bits are taken around
MILLION = 1_000_000  # rows, for each of which as many candidates more are named by few bits


class Codes:
    """Rows [n, d] as whole numbers from -127 to 127, each column with its own step.

    A query is multiplied by the columns' steps, then coded too. The error of the product of two codes is
    bounded for every row at once by the norms of the rounding errors (Cauchy-Schwarz):
    `q·x - q'·x' = q'·(x - x') + (q - q')·x`.
    """

    exact, bits = True, 8

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

    @property
    def most(self) -> int:
        """Queries up to which this is faster than matrix products of float32."""
        return self.scan.most

    @staticmethod
    def size(n: int, d: int) -> int:
        """Bytes of the codes of a matrix [n, d]."""
        return n * (-(-d // LANES) * LANES)

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


class BitCodes:
    """Rows [n, d] by a few bits a number: nothing bounds the scores of what they do not name.

    So they name many rows, and whoever uses them measures how many of the truly nearest are among these.

    Source: RaBitQ (Gao and Long, SIGMOD 2024) with several bits (Gao et al., SIGMOD 2025), by faiss.

    Args:
        bits: of each number, one of `NAMED`.
    """

    NAMED: ClassVar = {4: 100, 3: 250, 2: 1_000}  # rows that are named at least, of up to a million
    exact, most = False, 64

    def __init__(self, rows: Rows, bits: int) -> None:
        (n, d), rng = rows.shape, np.random.default_rng(0)
        self.bits = bits
        self._rotation = np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32)  # [d, d]
        self._index = BitScan.index(d, bits)
        self._index.train(rows[np.sort(rng.choice(n, min(n, SAMPLE), replace=False))] @ self._rotation)
        held = np.empty((n, self._index.code_size), np.uint8)
        for part, x in rows.blocks():
            held[part] = self._coded(x)
        self._scan = BitScan(held, n, self._index)

    def _coded(self, x: Vectors) -> Stored:
        """Codes [m, s] of rows [m, d]."""
        coded: Stored = self._index.sa_encode(x @ self._rotation)
        return coded

    def changed(self, changes: Changes, rows: Vectors) -> BitCodes:
        """Codes of the changed matrix, with written rows [w, d]."""
        now = copy(self)
        now._scan = BitScan(
            changes.merged(self._scan.stored, self._coded(rows)), len(changes.keys), self._index)
        return now

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._scan.stored.nbytes + self._rotation.nbytes

    @staticmethod
    def size(n: int, d: int, bits: int) -> int:
        """Bytes of the codes of a matrix [n, d]."""
        return n * int(BitScan.index(d, bits).code_size)

    def nominate(self, queries: Vectors, width: int, allowed: Mask | None = None) -> list[Named]:
        """Rows for each query [b, d] that score highest by their codes, with no bound on the others.

        Args:
            width: how many at least.
            allowed: rows [n] to choose from; None for all.
        """
        wider = max(width, self.NAMED[self.bits] * (1 + self._scan.n // MILLION))
        found = self._scan.best(queries @ self._rotation, min(wider, self._scan.n), allowed)
        return [Named(rows, -np.inf) for rows, _ in found]


def codes_within(rows: Rows, room: int | None) -> Codes | BitCodes:
    """Codes with as many bits as there is room for in bytes; None is room enough."""
    n, d = rows.shape
    if room is None or Codes.size(n, d) <= room:
        return Codes(rows)
    fitting = [bits for bits in BitCodes.NAMED if BitCodes.size(n, d, bits) <= room]
    return BitCodes(rows, fitting[0] if fitting else min(BitCodes.NAMED))


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
