"""Scores of a setting by each part of a head, made once, so that every blend of them costs one sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import METRICS, hits_of
from mmrec.evaluate.run import best_candidates
from mmrec.model.behaviour import Behaviour
from mmrec.model.trained import SHORT, Shares, Spreads, split_targets, user_parts

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

COLD_SHARE = 0.2  # of the items that somebody chose
FOUND_SHARE = 0.1  # of the interactions with the others
MOST_USERS = 3_000  # who are asked
MOST_SCORES = 40_000_000  # of all of them together


class Inner(NamedTuple):
    """A split of training.

    Attributes:
        train: what is left to learn from [users, items].
        settings: `cold`, `warm`, `overall` as in the item-cold protocol; `short` is `warm` for the first
            few items of the same histories.
    """

    train: csr_matrix
    settings: Mapping[str, Setting]


def inner_split(
    train: csr_matrix, rng: np.random.Generator, *, ordered: bool = False, even: bool = False
) -> Inner:
    """Splits histories [users, items], whose rows are oldest first where that counts.

    Args:
        ordered: whether the last item of each history is to be found; else a tenth of all interactions.
        even: whether `overall` asks for a new item as often as for a known one, as a shop's shoppers would;
            the item-cold protocol asks for all interactions of the new ones, and so for many more.

    Raises:
        DataError: there is too little to ask anything.
    """
    chosen = np.unique(train.indices)
    cold = rng.permutation(chosen)[: round(COLD_SHARE * len(chosen))]
    is_cold = np.isin(train.indices, cold)
    found = ~is_cold & (_last(train, ~is_cold) if ordered else rng.random(train.nnz) < FOUND_SHARE)
    left = _kept(train, ~is_cold & ~found)
    warm, new = _kept(train, found), _kept(train, is_cold)
    hot = np.unique(left.indices).astype(np.int32)
    new_items = np.setdiff1d(chosen, hot).astype(np.int32)
    most = min(MOST_USERS, max(200, MOST_SCORES // train.shape[1]))
    asked = np.sort(rng.permutation(train.shape[0])[:most])
    rows = {name: matrix[asked] for name, matrix in (("left", left), ("warm", warm), ("new", new))}
    beginnings = _first(rows["left"], SHORT)
    every = np.union1d(hot, new_items).astype(np.int32)
    asked_new = rows["new"].multiply(np.isin(np.arange(train.shape[1]), new_items[::2])).tocsr()
    if even:
        asked_new = _kept(rows["new"], rng.random(rows["new"].nnz) < FOUND_SHARE)
    settings = {
        "cold": _setting("cold", rows["left"], rows["new"], new_items),
        "warm": _setting("warm", rows["left"], rows["warm"], hot),
        "overall": _setting("overall", rows["left"], rows["warm"] + asked_new, every),
        "short": _setting("short", beginnings, rows["warm"], hot),
    }
    if empty := [name for name, setting in settings.items() if not setting.relevant.nnz]:
        raise DataError(
            f"{train.nnz} interactions of {train.shape[0]} users leave nothing to ask of {empty[0]} items in"
            " a validation: record more of them"
        )
    return Inner(left, settings)


def _setting(
    name: str, histories: csr_matrix, relevant: csr_matrix, candidates: NDArray[np.int32]
) -> Setting:
    asked = np.flatnonzero(np.diff(histories.indptr) * np.diff(relevant.indptr))
    return Setting(name, histories[asked], relevant[asked], candidates)


def _last(train: csr_matrix, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which interaction [nnz] is the last counted one of its user."""
    users = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    places = np.flatnonzero(counted)
    ends = places[np.append(users[places][1:] != users[places][:-1], True)] if len(places) else places
    last = np.zeros(train.nnz, np.bool_)
    last[ends] = True
    return last


def _first(histories: csr_matrix, most: int) -> csr_matrix:
    """The first so many items of each history."""
    ranks = np.arange(histories.nnz) - np.repeat(histories.indptr[:-1], np.diff(histories.indptr))
    return _kept(histories, ranks < most)


def _kept(matrix: csr_matrix, mask: NDArray[np.bool_]) -> csr_matrix:
    """The same rows with some of their entries [nnz], in their order."""
    from scipy.sparse import csr_matrix

    before = np.concatenate([[0], np.cumsum(mask)])
    indptr = before[matrix.indptr].astype(np.int32)
    return csr_matrix((matrix.data[mask], matrix.indices[mask], indptr), matrix.shape)


class Parts(NamedTuple):
    """Scores [u, n] of n candidates by each part of a head, each of deviation 1 for every user."""

    linear: Vectors
    places: Vectors
    metric: Vectors

    def mixed(self, shares: Shares) -> Vectors:
        """Scores [u, n] with these shares."""
        scores = np.zeros_like(self.linear)
        for share, part in zip(shares, self, strict=True):
            if share:
                scores += np.float32(share) * part
        return scores


def parts_of(
    behaviour: Behaviour, targets: Vectors, metric: Vectors, spreads: Spreads, setting: Setting,
    fade: float = 1.0,
) -> Parts:
    """What the parts say to a setting, from targets [items, t] and metric [items, p] of all items."""
    given, taken, heard = split_targets(targets, behaviour.dims)
    sums = history_sums(setting.histories, np.hstack([given, metric]), fade)
    users = user_parts(sums, behaviour.learned.base, spreads)
    items = (taken, heard, metric)
    return Parts(*(u @ x[setting.candidates].T for u, x in zip(users, items, strict=True)))  # [u, d] @ [d, n]


def history_sums(histories: csr_matrix, given: Vectors, fade: float) -> Vectors:
    """What histories [u, items] of wishes say together [u, m], each row oldest first, at norm 1."""
    lengths = np.diff(histories.indptr)
    ages = np.repeat(histories.indptr[1:], lengths) - 1 - np.arange(histories.nnz)  # 0 for the last
    faded = histories.astype(np.float32)
    faded.data = np.float32(fade) ** ages.astype(np.float32)
    norms = np.sqrt(np.asarray(faded.power(2).sum(axis=1)))  # [u, 1]
    sums: Vectors = (faded @ given) / np.maximum(norms, 1e-12)  # [u, items] @ [items, m]
    return np.asarray(sums, np.float32)


def ndcg_of(scores: Vectors, setting: Setting, k: int = 20) -> float:
    """Mean ndcg of scores [u, n] of a setting's n candidates; what is in a history is never ranked."""
    top = best_candidates(scores, setting.histories, setting.candidates, k)
    return float(METRICS["ndcg"](hits_of(top, setting.relevant), np.diff(setting.relevant.indptr)).mean())
