"""Scores of a setting by each part of a head, made once, so that every blend of them costs one sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.evaluate.metrics import METRICS, hits_of
from mmrec.evaluate.run import best_candidates
from mmrec.evaluate.setting import Setting
from mmrec.head.behaviour import Behaviour
from mmrec.head.blend import Shares
from mmrec.head.trained import Spreads, split_targets, user_parts

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


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
