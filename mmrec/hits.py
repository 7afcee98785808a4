"""What a search finds, the best of scores, and the one way in which a row and a query are scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors

Mask = NDArray[np.bool_]
Places = NDArray[np.intp]
PAIRS = 65_536  # scored at once, so that the copies of their vectors stay small when very many rows tie


@dataclass(frozen=True, slots=True)
class Hits:
    """The best of one search, best first: positions in the catalogue [k] and their scores [k]."""

    positions: Places
    scores: Vectors


def best(scores: Vectors, k: int, allowed: Mask) -> Hits:
    """The k highest of scores [n] among the allowed, ties by position."""
    open_places = np.flatnonzero(allowed)
    s = scores[open_places]
    if len(s) > k:
        threshold = np.partition(s, len(s) - k)[len(s) - k]
        keep = np.flatnonzero(s >= threshold)  # more than k when scores tie at the threshold
        open_places, s = open_places[keep], s[keep]
    order = np.argsort(-s, kind="stable")[:k]
    return Hits(open_places[order], s[order])


def exact_scores(matrix: Vectors, rows: Places, queries: Vectors, users: Places | None = None) -> Vectors:
    """Inner products [m] of some rows of a matrix with a query, each summed alone.

    A matrix product would sum a row differently at another place of the matrix: equal rows would not tie.

    Args:
        matrix: [n, d].
        rows: positions [m] in the matrix.
        queries: one query [d], or several [b, d].
        users: for each row its query [m], when there are several.
    """
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), PAIRS):
        part = slice(start, start + PAIRS)
        q = queries if users is None else queries.take(users[part], axis=0)  # [d] or [pairs, d]
        np.vecdot(matrix.take(rows[part], axis=0), q, out=scores[part])  # [pairs, d] -> [pairs]
    return scores
