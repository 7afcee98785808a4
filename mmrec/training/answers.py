"""Both halves' scores of a setting, made once, so that every blend of them costs one sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.evaluate.metrics import METRICS, hits_of
from mmrec.evaluate.run import best_candidates
from mmrec.evaluate.setting import Setting
from mmrec.head.behaviour import Behaviour
from mmrec.head.trained import split_targets, spreads_of, user_halves

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class Parts(NamedTuple):
    """Scores [u, n] of n candidates by both halves, each of deviation 1 for every user."""

    linear: Vectors
    contrastive: Vectors

    def mixed(self, share: float) -> Vectors:
        """Scores [u, n] with this share of the contrastive half."""
        return np.float32(1 - share) * self.linear + np.float32(share) * self.contrastive


def parts_of(behaviour: Behaviour, targets: Vectors, setting: Setting, fade: float = 1.0) -> Parts:
    """What both halves say to a setting, from targets of all items [items, t]."""
    given, taken, heard = split_targets(targets, behaviour.dims)
    sums = history_sums(setting.histories, given, fade)
    linear, contrastive = user_halves(sums, behaviour.learned.base, spreads_of(behaviour))
    places = setting.candidates
    return Parts(linear @ taken[places].T, contrastive @ heard[places].T)  # [u, r] @ [r, n], [u, h] @ [h, n]


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
