"""The validation within a fit: its questions, and what the parts of a head answer to them, each made once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.evaluate.logs import Places, Setting
from mmrec.evaluate.metrics import Values, hits_of, ndcg
from mmrec.evaluate.run import best_candidates
from mmrec.model.trained import SHORT, Blend, ByPart, Shares, split_targets, user_parts

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

COLD_SHARE = 0.2  # of the items that somebody chose
FOUND_SHARE = 0.1  # of the interactions with the others
MOST_USERS = 3_000  # who choose the blend; half as many others judge it
MOST_SCORES = 40_000_000  # of all of them together
FEWEST = 10  # users, and items that they ask for, without which nothing is judged


class Inner(NamedTuple):
    """A split of training.

    Attributes:
        train: what is left to learn from [users, items].
        settings: `cold`, `warm`, `overall` as in the item-cold protocol; `short` is `warm` for the first
            few items of the same histories. They choose the blend.
        judging: the same questions to other users, who choose nothing; where fewer than `FEWEST` of them, or
            of the items that they ask for, are left, those who choose judge as well.
    """

    train: csr_matrix
    settings: Mapping[str, Setting]
    judging: Mapping[str, Setting]


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
    left = kept(train, ~is_cold & ~found)
    known = np.unique(left.indices).astype(np.int32)
    parts = left, kept(train, found), kept(train, is_cold)
    users, most = rng.permutation(train.shape[0]), min(MOST_USERS, max(200, MOST_SCORES // train.shape[1]))
    first = min(most, -(-2 * len(users) // 3))
    new = np.setdiff1d(chosen, known).astype(np.int32)

    def asked(some: NDArray[np.intp], rng: np.random.Generator) -> dict[str, Setting]:
        history, warm, cold = (part[np.sort(some)] for part in parts)
        if even:
            beside = kept(cold, rng.random(cold.nnz) < FOUND_SHARE)
        else:
            beside = cold.multiply(np.isin(np.arange(train.shape[1]), new[::2])).tocsr()
        return settings_of(history, warm, cold, beside, known, new)

    judges = rng.spawn(1)[0]  # apart, so that they change no other draw
    settings, judging = asked(users[:first], rng), asked(users[first : first + most // 2], judges)
    if empty := [name for name, setting in settings.items() if not setting.relevant.nnz]:
        raise DataError(
            f"{train.nnz} interactions of {train.shape[0]} users leave nothing to ask of {empty[0]} items in"
            " a validation: record more of them"
        )
    return Inner(left, settings, settings | _enough(judging))


def later_settings(
    train: csr_matrix, since: NDArray[np.bool_], known: NDArray[np.intp], rng: np.random.Generator
) -> tuple[csr_matrix, dict[str, Setting]]:
    """The earlier interactions, and questions about the later ones, to users who had a history by then.

    Args:
        train: histories [users, items], earlier and later interactions together.
        since: which of them are the later ones [nnz].
        known: positions of the items that are not new.

    Returns:
        Histories [users, items], and settings by the names of `Inner`, those with `FEWEST` users and items.
    """
    is_known, earlier = np.isin(train.indices, known), kept(train, ~since)
    new = np.setdiff1d(train.indices[since], known).astype(np.int32)
    later = kept(train, since & is_known), kept(train, since & ~is_known)
    asked = np.flatnonzero(np.diff(earlier.indptr) * np.diff(kept(train, since).indptr))
    some = np.sort(rng.permutation(asked)[: MOST_USERS // 2])
    history, warm, cold = (part[some] for part in (earlier, *later))
    found = settings_of(history, warm, cold, cold, np.sort(known).astype(np.int32), new)
    return earlier, _enough(found)


def settings_of(
    histories: csr_matrix, warm: csr_matrix, cold: csr_matrix, beside: csr_matrix, known: Places, new: Places
) -> dict[str, Setting]:
    """The four questions to users of these histories [users, items].

    Args:
        warm, cold: what they chose of known and of new items, [users, items] each.
        beside: what of the latter is asked among all items [users, items].
        known, new: positions of the known and of the new items.
    """
    every = np.union1d(known, new).astype(np.int32)
    return {
        "cold": _setting("cold", histories, cold, new),
        "warm": _setting("warm", histories, warm, known),
        "overall": _setting("overall", histories, warm + beside, every),
        "short": _setting("short", _first(histories, SHORT), warm, known),
    }


def _setting(
    name: str, histories: csr_matrix, relevant: csr_matrix, candidates: NDArray[np.int32]
) -> Setting:
    asked = np.flatnonzero(np.diff(histories.indptr) * np.diff(relevant.indptr))
    return Setting(name, histories[asked], relevant[asked], candidates)


def _enough(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """Those that enough users and items take part in."""
    return {
        name: one for name, one in settings.items()
        if min(one.relevant.shape[0], len(np.unique(one.relevant.indices))) >= FEWEST
    }


def _last(train: csr_matrix, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which interaction [nnz] is the last counted one of its user."""
    users = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    at = np.flatnonzero(counted)
    ends = at[np.append(users[at][1:] != users[at][:-1], True)] if len(at) else at
    last = np.zeros(train.nnz, np.bool_)
    last[ends] = True
    return last


def _first(histories: csr_matrix, most: int) -> csr_matrix:
    """The first so many items of each history."""
    ranks = np.arange(histories.nnz) - np.repeat(histories.indptr[:-1], np.diff(histories.indptr))
    return kept(histories, ranks < most)


def kept(matrix: csr_matrix, mask: NDArray[np.bool_]) -> csr_matrix:
    """The same rows with some of their entries [nnz], in their order."""
    from scipy.sparse import csr_matrix

    before = np.concatenate([[0], np.cumsum(mask)])
    indptr = before[matrix.indptr].astype(np.int32)
    return csr_matrix((matrix.data[mask], matrix.indices[mask], indptr), matrix.shape)


class Parts(NamedTuple):
    """Scores [u, n] of n candidates by each part of a head, each of deviation 1 for every user."""

    linear: Vectors
    embeddings: Vectors
    metric: Vectors

    def mixed(self, shares: Shares) -> Vectors:
        """Scores [u, n] with these shares."""
        scores = np.zeros_like(self.linear)
        for share, part in zip(shares, self, strict=True):
            if share:
                scores += np.float32(share) * part
        return scores

    def among_all(self, blend: Blend, new: NDArray[np.bool_]) -> Vectors:
        """Scores [u, n] of known items and of those that are new [n], as a blend brings them together."""
        scores = self.mixed(blend.warm)
        cold = Parts(*(part[:, new] for part in self)).mixed(blend.cold)
        scores[:, new] = np.float32(blend.cold_gain) * cold + np.float32(blend.cold_offset)
        return scores


class ItemParts(NamedTuple):
    """All items as a head's parts see them.

    Attributes:
        known: positions of the items that somebody chose.
        targets: of all items, their own or predicted ones [items, t].
        metric: of all items [items, p].
        dims: widths of linear part and item embeddings.
        base: of the item embeddings [h].
        covariances: of the outputs.
        fade: weight of an item of a history against the one after it.
    """

    known: NDArray[np.intp]
    targets: Vectors
    metric: Vectors
    dims: tuple[int, int]
    base: Vectors
    covariances: ByPart
    fade: float = 1.0

    def scores(self, setting: Setting) -> Parts:
        """What the parts answer to a setting."""
        inputs, linear, embedded = split_targets(self.targets, self.dims)
        sums = history_sums(setting.histories, np.hstack([inputs, self.metric]), self.fade)
        users = user_parts(sums, self.base, self.covariances)
        items = (linear, embedded, self.metric)
        return Parts(*(u @ x[setting.candidates].T for u, x in zip(users, items, strict=True)))  # [u, n] each


def history_sums(histories: csr_matrix, inputs: Vectors, fade: float) -> Vectors:
    """Sums [u, m] of the inputs [items, m] of histories [u, items], oldest first; weights at norm 1."""
    lengths = np.diff(histories.indptr)
    ages = np.repeat(histories.indptr[1:], lengths) - 1 - np.arange(histories.nnz)  # 0 for the last
    faded = histories.astype(np.float32)
    faded.data = np.float32(fade) ** ages.astype(np.float32)
    norms = np.sqrt(np.asarray(faded.power(2).sum(axis=1)))  # [u, 1]
    sums: Vectors = (faded @ inputs) / np.maximum(norms, 1e-12)  # [u, items] @ [items, m]
    return np.asarray(sums, np.float32)


def ndcgs_of(scores: Vectors, setting: Setting, k: int = 20) -> Values:
    """Ndcg [u] of scores [u, n] of a setting's n candidates; what is in a history is never ranked."""
    top = best_candidates(scores, setting.histories, setting.candidates, k)
    return ndcg(hits_of(top, setting.relevant), np.diff(setting.relevant.indptr))


def ndcg_of(scores: Vectors, setting: Setting) -> float:
    """Their mean."""
    return float(ndcgs_of(scores, setting).mean())
