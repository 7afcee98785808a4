"""Exact top-k inner products over one matrix: cheap scores choose the candidates, exact ones rank them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
from numpy.typing import ArrayLike

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.search.codes import BitCodes, Codes, codes_within
from mmrec.search.hits import Hits, Mask, Positions, best_of_many, exact_scores
from mmrec.search.rows import Rows, norms
from mmrec.search.vectors import Changes

EPS = float(np.finfo(np.float32).eps)
SMALL = 10_000  # rows below which one matrix product is as fast as the codes
FEW = 0.03  # share of allowed rows up to which gathering them is faster than scanning all codes
WIDTHS = (1, 8)  # factors by which the codes are asked for candidates, before all rows are scored instead
DENSE = 100_000  # rows, for each of which so many more candidates lie within the error of the codes
SEVERAL = 8  # hidden rows, or queries, up to which one after the other is faster than all at once
HIDDEN = 200  # hidden rows up to which a query shares its scan with others
NOTHING = Hits(np.zeros(0, np.intp), np.zeros(0, np.float32))


class Scorer:
    """Finds the rows of a matrix with the highest inner products, exactly; ties by position.

    The fast passes (8-bit codes, matrix products) only choose candidates, with their largest error as a
    margin. Every score that ranks or is returned is one row times one query, summed alone: equal rows score
    equally wherever they stand, and a pair of vectors has the same score by every method and filter.

    A row of zeros is never found, and a query of zeros finds nothing.

    Args:
        matrix: [n, d], of which contiguous float32 is not copied.
        room: bytes for the codes; None for as many as exact results need. Where there is less, fewer bits
            name the candidates, and some of the nearest may be missed: `exact` says so.

    Raises:
        DataError: a value is NaN or infinite.
    """

    def __init__(self, matrix: Vectors | Rows, room: int | None = None) -> None:
        self.rows = matrix if isinstance(matrix, Rows) else Rows.of(matrix)
        self._empty, longest = _checked_norms(self.rows)
        self._rounding = self._error(longest)
        self._room, self._codes = room, _coded(self.rows, room)
        self.measured = 0  # rows when an inexact search last passed its gate

    def _error(self, longest: float) -> float:
        """The most by which two float32 sums of the same d products differ, over the norm of the query."""
        return 2 * (self.rows.shape[1] + 1) * EPS * longest

    def changed(self, changes: Changes, rows: Rows) -> Scorer:
        """A scorer of the changed rows [m, d]; this one stays as it is.

        Raises:
            DataError: a value is NaN or infinite.
        """
        written, now = Rows.of(rows[changes.comes]), copy(self)
        empty, longest = _checked_norms(written)
        now.rows = rows
        now._empty = changes.merged(self._empty, empty)
        now._rounding = max(self._rounding, self._error(longest))
        codes = self._codes.changed(changes, written[:]) if self._codes else None
        now._codes = codes or _coded(rows, self._room)
        return now

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def coded(self) -> bool:
        """Whether 8-bit codes name the candidates, as they do in a large matrix."""
        return self._codes is not None

    @property
    def exact(self) -> bool:
        """Whether the nearest rows are certain to be found."""
        return self._codes is None or self._codes.exact

    @property
    def bits(self) -> int:
        """Of each number of the codes; 32 where there are none."""
        return self._codes.bits if self._codes else 32

    @property
    def nbytes(self) -> int:
        """Bytes held beside the rows: their codes, and which are empty."""
        return (self._codes.nbytes if self._codes else 0) + self._empty.nbytes

    def top(
        self, query: Vectors, k: int, *, allowed: Mask | None = None, exclude: ArrayLike = ()
    ) -> Hits:
        """The k rows with the highest inner products with a query [d], best first; all if there are fewer.

        Args:
            k: from 1.
            allowed: rows [n] that may be found; None for all.
            exclude: positions of rows that may not be found.

        Raises:
            DataError: the query holds NaN or infinity, or a shape does not fit.
        """
        return self._found(self._checked(query, 1)[None], k, allowed, [exclude])[0]

    def top_many(
        self, queries: Vectors, k: int, *, allowed: Mask | None = None,
        exclude: Sequence[ArrayLike] | None = None,
    ) -> list[Hits]:
        """`top` for many queries [b, d] at once, which is faster.

        Args:
            allowed: rows [n] that any of them may find; None for all.
            exclude: for each query, the positions that it may not find.

        Raises:
            DataError: a query holds NaN or infinity, or a shape does not fit.
        """
        Q = self._checked(queries, 2)
        if exclude is not None and len(exclude) != len(Q):
            raise DataError(f"got {len(exclude)} lists to exclude for {len(Q)} queries: pass one for each")
        return self._found(Q, k, allowed, exclude or [()] * len(Q))

    def _found(self, Q: Vectors, k: int, allowed: Mask | None, exclude: Sequence[ArrayLike]) -> list[Hits]:
        """The best for each query [b, d]: by the codes, and where these cannot tell, by all rows."""
        self._check_mask(allowed)
        hidden = [np.asarray(positions, np.intp) for positions in exclude]
        found: dict[int, Hits] = dict.fromkeys(np.flatnonzero(~Q.any(axis=1)).tolist(), NOTHING)
        left = [i for i in range(len(Q)) if i not in found]
        few = allowed is not None and np.count_nonzero(allowed) <= FEW * len(self)
        if self._codes and left and not few and len(left) <= self._codes.most:
            for times in WIDTHS:
                for some in _sharing(left, hidden):
                    wider = times * (1 + len(self) // DENSE)
                    found |= self._scanned(self._codes, Q, some, k, wider, allowed, hidden)
                left = [i for i in left if i not in found]
        if left:
            rest = Q[left]
            out, slack = [hidden[i] for i in left], self._slack(rest)
            hits = [self._among(self._open(allowed, out[0]), rest[0], k, slack[0])] if len(left) == 1 else (
                best_of_many(self.rows, rest, k, self._open(allowed), out, slack)
            )
            found |= zip(left, hits, strict=True)
        return [found[i] for i in range(len(Q))]

    def _scanned(
        self, codes: Codes | BitCodes, Q: Vectors, some: Sequence[int], k: int, times: int,
        allowed: Mask | None, hidden: Sequence[Positions],
    ) -> dict[int, Hits]:
        """The best for some of the queries [b, d], by index; only where the candidates of the codes are
        certain to hold them all."""
        found: dict[int, Hits] = {}
        most = len(self) // 8  # rows, more of which are better ranked by a product of all
        width = times * (4 * k + 32) + max((len(hidden[i]) for i in some), default=0)
        if not some or width > most:
            return found
        for i, (rows, ceiling) in zip(some, codes.nominate(Q[some], width, allowed), strict=True):
            if len(rows) > max(most, width):  # too many tie
                continue
            hits = self._ranked(self._shown(rows, hidden[i]), Q[i], k)
            sure = len(hits.scores) >= k and hits.scores[-1] > ceiling + self._slack(Q[i])
            if sure or ceiling == -np.inf:
                found[i] = hits
        return found

    def _among(self, rows: Positions, q: Vectors, k: int, slack: float) -> Hits:
        """The best of some rows for one query, without the bookkeeping that many need."""
        some = len(rows) < len(self) / 2
        rough = self.rows[rows] @ q if some else self.rows.scores(q)[rows]  # [rows, d] @ [d]
        if len(rows) > k:
            threshold = np.partition(rough, len(rows) - k)[len(rows) - k]
            rows = rows[rough >= threshold - 2 * slack]
        return self._ranked(rows, q, k)

    def _shown(self, rows: Positions, hidden: Positions) -> Positions:
        """Those of the rows that may be found."""
        shown = ~self._empty[rows]
        if len(hidden) > SEVERAL:
            shown &= ~np.isin(rows, hidden)
        else:
            for position in hidden.tolist():
                shown &= rows != position
        return rows[shown]

    def _ranked(self, rows: Positions, q: Vectors, k: int) -> Hits:
        """The k best of some rows by their exact scores, ties by position."""
        scores = exact_scores(self.rows, rows, q)
        order = np.lexsort((rows, -scores))[:k]
        return Hits(rows[order], scores[order])

    def _open(self, allowed: Mask | None, hidden: Positions | None = None) -> Positions:
        """Positions of the rows that may be found, ascending."""
        shown = ~self._empty if allowed is None else allowed & ~self._empty
        if hidden is not None:
            shown[hidden] = False
        return np.flatnonzero(shown)

    def _slack(self, queries: Vectors) -> Vectors:
        """The most by which two float32 sums of the same products differ, for each query [..., d]."""
        return self._rounding * np.linalg.norm(queries, axis=-1)

    def _checked(self, queries: Vectors, ndim: int) -> Vectors:
        Q = np.ascontiguousarray(queries, np.float32)
        if Q.ndim != ndim or Q.shape[-1] != self.rows.shape[1]:
            raise DataError(f"a query of shape {list(Q.shape)} cannot be compared with vectors of "
                            f"{self.rows.shape[1]} numbers: encode it as the catalogue was")
        if not np.isfinite(Q).all():
            raise DataError("the query holds NaN or infinity: scores need finite numbers, so encode it again")
        return Q

    def _check_mask(self, allowed: Mask | None) -> None:
        if allowed is not None and (allowed.shape != (len(self),) or allowed.dtype != np.bool_):
            raise DataError(f"a mask of shape {list(allowed.shape)} and type {allowed.dtype} does not fit "
                            f"{len(self)} rows: pass one boolean for each")


def _sharing(queries: Sequence[int], hidden: Sequence[Positions]) -> list[list[int]]:
    """Groups of queries that share a scan, whose width grows with the most hidden rows of one of them.

    Queries that hide many rows are scanned for alone; if they are many, a product of all rows is faster.
    """
    many = [i for i in queries if len(hidden[i]) > HIDDEN]
    alone = [[i] for i in many] if len(many) <= SEVERAL else []
    return [[i for i in queries if len(hidden[i]) <= HIDDEN], *alone]


def _coded(rows: Rows, room: int | None) -> Codes | BitCodes | None:
    return codes_within(rows, room) if len(rows) >= SMALL else None


def _checked_norms(rows: Rows) -> tuple[Mask, float]:
    """Which rows are empty [n], and the norm of the longest; DataError if one is no number."""
    empty, longest = np.zeros(len(rows), np.bool_), 0.0
    for part, x in rows.blocks():
        lengths = norms(x)  # [b]
        if not np.isfinite(lengths).all():
            row = part.start + int(np.flatnonzero(~np.isfinite(lengths))[0])
            raise DataError(f"row {row} of the vectors holds NaN, infinity or a number too large to square: "
                            "scores need finite numbers, so encode that item again")
        empty[part], longest = lengths == 0, max(longest, float(lengths.max(initial=0)))
    return empty, longest
