"""Positions of items, their exact scores and the best of them; for many queries by products of blocks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors

if TYPE_CHECKING:
    from mmrec.search.rows import Rows

Mask = NDArray[np.bool_]
Positions = NDArray[np.intp]
PAIRS = 65_536  # scored at once, so that copies of their vectors stay small when very many rows tie
SCORES = 4_194_304  # held at once: they fit the cache, and are enough to keep the threads busy
AT_ONCE = 65_536  # rows of a file that are looked up at most before their memory is given back
POOL = 8  # times k candidates of a query are kept before they are ranked, which bounds the memory
LEAST = np.finfo(np.float32).min  # below every score, and above the minus infinity of a hidden one


class SortedKeys(Mapping[str, int]):
    """The index of each key, by bisection: a dictionary would be made anew at each version."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys

    def __getitem__(self, key: str) -> int:
        row = bisect_left(self._keys, key)
        if row == len(self._keys) or self._keys[row] != key:
            raise KeyError(key)
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search finds, best first: positions in the catalogue [k] and their scores [k]."""

    positions: Positions
    scores: Vectors


def best(scores: Vectors, k: int, allowed: Mask) -> Hits:
    """The k highest of scores [n] among the allowed, ties by position."""
    open_positions = np.flatnonzero(allowed)
    s = scores[open_positions]
    if len(s) > k:
        threshold = np.partition(s, len(s) - k)[len(s) - k]
        keep = np.flatnonzero(s >= threshold)  # more than k when scores tie at the threshold
        open_positions, s = open_positions[keep], s[keep]
    order = np.argsort(-s, kind="stable")[:k]
    return Hits(open_positions[order], s[order])


def exact_scores(
    matrix: Rows, rows: Positions, queries: Vectors, users: Positions | None = None
) -> Vectors:
    """Inner products [m] of some rows of a matrix with a query, each summed alone.

    In a matrix product rounding depends on where a row stands, so that equal rows might not tie.

    Args:
        matrix: [n, d].
        rows: positions [m] in the matrix.
        queries: one query [d], or several [b, d].
        users: for each row the index of its query [m], when there are several.
    """
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), PAIRS):
        part = slice(start, start + PAIRS)
        q = queries if users is None else queries.take(users[part], axis=0)  # [d] or [pairs, d]
        np.vecdot(matrix[rows[part]], q, out=scores[part])  # [pairs, d] -> [pairs]
    return scores


def best_of_many(
    matrix: Rows, queries: Vectors, k: int, rows: Positions, exclude: Sequence[ArrayLike], slack: Vectors
) -> list[Hits]:
    """The k rows with the highest inner products for each of many queries, ties by position.

    Args:
        matrix: [n, d].
        queries: [b, d]; one of zeros finds nothing.
        k: from 1.
        rows: positions to choose from, ascending.
        exclude: for each query, positions that it may not find.
        slack: for each query [b], the most by which a matrix product's score may differ from the exact one.
    """
    best = _Best(matrix, queries, k, slack)
    hidden = _Hidden(exclude)
    size = min(max(1, SCORES // max(1, len(queries))), len(rows) if matrix.in_memory else AT_ONCE)
    buffer = np.empty(len(queries) * size, np.float32)  # used by all blocks, as fresh memory costs time
    for start in range(0, len(rows), max(1, size)):
        block = rows[start:start + size]
        scores = buffer[:len(queries) * len(block)].reshape(len(queries), len(block))
        np.matmul(queries, _rows(matrix, block).T, out=scores)  # [b, d] @ [d, block] -> [b, block]
        hidden.hide(scores, block)
        best.add(scores, block)
    return best.hits()


class _Best:
    """The best candidates so far of every query, and the score [b] that a new one must reach to count."""

    def __init__(self, matrix: Rows, queries: Vectors, k: int, slack: Vectors) -> None:
        self.matrix, self.queries, self.k, self.slack = matrix, queries, k, slack
        self.floor = np.where(queries.any(axis=1), LEAST, np.inf).astype(np.float32)  # [b]
        self.first = True
        self.users, self.rows = np.zeros(0, np.intp), np.zeros(0, np.intp)  # of the candidates ranked so far
        self.scores = np.zeros(0, np.float32)
        self.waiting: list[tuple[Positions, Positions]] = []

    def add(self, scores: Vectors, block: Positions) -> None:
        """Adds the scores [b, block] of some rows."""
        if self.first and len(block) > self.k:
            kth = np.partition(scores, len(block) - self.k, axis=1)[:, len(block) - self.k]
            self.floor = np.maximum(self.floor, kth - 2 * self.slack).astype(np.float32)
        users, columns = np.divmod(np.flatnonzero(scores >= self.floor[:, None]), len(block))
        self.waiting.append((users, block[columns]))
        if self.first or sum(len(u) for u, _ in self.waiting) > POOL * self.k * len(self.queries):
            self._rank()
        self.first = False

    def hits(self) -> list[Hits]:
        """What every query found, best first."""
        self._rank()
        ends = np.searchsorted(self.users, np.arange(len(self.queries) + 1))
        return [Hits(self.rows[a:z], self.scores[a:z]) for a, z in pairwise(ends)]

    def _rank(self) -> None:
        """Scores the waiting candidates exactly, keeps the k best of each query and raises the floor."""
        if not self.waiting:
            return
        users, rows = (np.concatenate(part) for part in zip(*self.waiting, strict=True))
        new = exact_scores(self.matrix, rows, self.queries, users)
        users, rows = np.concatenate([self.users, users]), np.concatenate([self.rows, rows])
        scores = np.concatenate([self.scores, new])
        order = np.lexsort((rows, -scores, users))
        rank = np.arange(len(order)) - np.searchsorted(users[order], users[order])  # in each query, from 0
        order = order[rank < self.k]
        self.users, self.rows, self.scores, self.waiting = users[order], rows[order], scores[order], []
        last = rank[rank < self.k] == self.k - 1
        full = self.users[last]
        self.floor[full] = np.maximum(self.floor[full], self.scores[last] - self.slack[full])


class _Hidden:
    """Pairs of a query and a position that it may not find, in the order of the positions."""

    def __init__(self, exclude: Sequence[ArrayLike]) -> None:
        lists = [np.asarray(positions, np.intp) for positions in exclude]
        rows = np.concatenate([*lists, np.zeros(0, np.intp)])
        order = np.argsort(rows)
        self.rows = rows[order]
        self.users = np.repeat(np.arange(len(lists)), [len(positions) for positions in lists])[order]

    def hide(self, scores: Vectors, block: Positions) -> None:
        """Sets the scores [b, block] of hidden pairs to minus infinity; positions of the block ascend."""
        part = slice(*np.searchsorted(self.rows, [block[0], block[-1] + 1]))
        rows, users = self.rows[part], self.users[part]
        columns = np.searchsorted(block, rows)
        there = block[columns] == rows
        scores[users[there], columns[there]] = -np.inf


def _rows(matrix: Rows, block: Positions) -> Vectors:
    """Rows of a matrix, without a copy where they follow each other."""
    first, last = int(block[0]), int(block[-1])
    return matrix[first : last + 1] if last - first + 1 == len(block) else matrix[block]
