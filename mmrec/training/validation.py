"""The validation within a fit: its questions, and the scores that the parts of a head give for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.evaluate.exposure import weighed, weighed_ndcg
from mmrec.evaluate.logs import Places, Setting
from mmrec.evaluate.metrics import Values
from mmrec.evaluate.run import best_candidates
from mmrec.model.parts import SHORT, Behaviour, Blend, ByPart, Shares, split_targets, user_parts
from mmrec.model.towers import TrainedTowers

COLD_SHARE = 0.2  # of the items that somebody chose
FOUND_SHARE = 0.1  # of the interactions with the others
MOST_USERS = 3_000  # who choose the blend; half as many others judge it
MOST_SCORES = 40_000_000  # of all who choose; a large catalogue has fewer users for it, but `LEAST_USERS`
LEAST_USERS = 200
MOST_LATER = 500  # users who judge a warm start, which has seconds for all of it
FEWEST = 10  # users, and items relevant to them, without which nothing is judged


class Inner(NamedTuple):
    """A split of training.

    Attributes:
        train: what is left to learn from [users, items].
        settings: by which the blend is chosen: `cold`, `warm`, `overall` as in the item-cold protocol;
            `short` is `warm` with the first `SHORT` items of each history.
        judging: the same settings for other users, by which the chosen blend is judged. Where fewer than
            `FEWEST` users or relevant items are left, it is the setting by which the blend was chosen.
    """

    train: csr_matrix
    settings: Mapping[str, Setting]
    judging: Mapping[str, Setting]


def inner_split(
    train: csr_matrix, rng: np.random.Generator, *, ordered: bool = False, even: bool = False,
    weights: Vectors | None = None,
) -> Inner:
    """Splits histories [users, items]; a fifth of the items are taken out and count as new.

    Args:
        train: each row oldest first, where order counts.
        ordered: whether the last item of each history is to be found; else a tenth of all interactions.
        even: whether `overall` asks for a new item as often as for a known one, as users of a shop would;
            the item-cold protocol asks for all interactions of the new ones, and so for many more.
        weights: what finding each item counts [items], as of `Exposure`; None counts all alike.

    Raises:
        DataError: a setting has no relevant item, as there are too few interactions.
    """
    chosen = np.unique(train.indices)
    cold = rng.permutation(chosen)[: round(COLD_SHARE * len(chosen))]
    is_cold = np.isin(train.indices, cold)
    found = ~is_cold & (_last(train, ~is_cold) if ordered else rng.random(train.nnz) < FOUND_SHARE)
    left = kept(train, ~is_cold & ~found)
    known = np.unique(left.indices).astype(np.int32)
    parts = left, kept(train, found), kept(train, is_cold)
    share = FOUND_SHARE if not ordered else found.sum() / (~is_cold).sum()
    users, most = rng.permutation(train.shape[0]), most_users(train.shape[1])
    first = min(most, -(-2 * len(users) // 3))
    new = np.setdiff1d(chosen, known).astype(np.int32)

    def asked(some: NDArray[np.intp], rng: np.random.Generator) -> dict[str, Setting]:
        history, warm, cold = (part[np.sort(some)] for part in parts)
        if even:
            beside = kept(cold, rng.random(cold.nnz) < share)  # as much of them as is asked of known ones
        else:
            beside = cold.multiply(np.isin(np.arange(train.shape[1]), new[::2])).tocsr()
        return _settings_of(history, warm, cold, beside, known, new, weights)

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
    """The earlier interactions [users, items], and settings that ask their users for the later ones.

    The settings have the names of those of `Inner`; one with fewer than `FEWEST` users or relevant items is
    left out. Of many users, `MOST_LATER` are drawn, or fewer where there are many items.

    Args:
        train: histories [users, items], earlier and later interactions together.
        since: which of them are the later ones [nnz].
        known: positions of the items that are not new.
    """
    is_known, earlier = np.isin(train.indices, known), kept(train, ~since)
    new = np.setdiff1d(train.indices[since], known).astype(np.int32)
    later = kept(train, since & is_known), kept(train, since & ~is_known)
    asked = np.flatnonzero(np.diff(earlier.indptr) * np.diff(kept(train, since).indptr))
    some = np.sort(rng.permutation(asked)[: min(MOST_LATER, most_users(train.shape[1]) // 2)])
    history, warm, cold = (part[some] for part in (earlier, *later))
    found = _settings_of(history, warm, cold, cold, np.sort(known).astype(np.int32), new)
    return earlier, _enough(found)


def most_users(items: int) -> int:
    """Users of a question about so many items."""
    return min(MOST_USERS, max(LEAST_USERS, MOST_SCORES // items))


def _settings_of(
    histories: csr_matrix, warm: csr_matrix, cold: csr_matrix, beside: csr_matrix, known: Places, new: Places,
    weights: Vectors | None = None,
) -> dict[str, Setting]:
    """The four settings for users of these histories [users, items].

    Args:
        warm, cold: what they chose of known and of new items, [users, items] each.
        beside: the part of `cold` that is relevant in `overall` [users, items].
        known, new: positions of the known and of the new items.
        weights: what finding each item counts [items]; None counts all alike.
    """
    if weights is not None:
        warm, cold, beside = (weighed(part, weights) for part in (warm, cold, beside))
    ranks = np.arange(histories.nnz) - np.repeat(histories.indptr[:-1], np.diff(histories.indptr))
    every, found = np.union1d(known, new).astype(np.int32), {}
    for name, seen, relevant, candidates in (
        ("cold", histories, cold, new), ("warm", histories, warm, known),
        ("overall", histories, warm + beside, every), ("short", kept(histories, ranks < SHORT), warm, known),
    ):
        asked = np.flatnonzero(np.diff(seen.indptr) * np.diff(relevant.indptr))  # users who have both
        found[name] = Setting(name, seen[asked], relevant[asked], candidates)
    return found


def _enough(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """The settings with at least `FEWEST` users and relevant items."""
    return {
        name: one for name, one in settings.items()
        if min(one.relevant.shape[0], len(np.unique(one.relevant.indices))) >= FEWEST
    }


def _last(train: csr_matrix, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which interaction [nnz] is the last counted one of its user."""
    users = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    latest = np.flatnonzero(counted)[::-1]
    _, first = np.unique(users[latest], return_index=True)
    return np.isin(np.arange(train.nnz), latest[first])


def kept(matrix: csr_matrix, mask: NDArray[np.bool_]) -> csr_matrix:
    """The same rows with only the entries of a mask [nnz], in their order."""
    before = np.concatenate([[0], np.cumsum(mask)])
    indptr = before[matrix.indptr].astype(np.int32)
    return csr_matrix((matrix.data[mask], matrix.indices[mask], indptr), matrix.shape)


class Parts(NamedTuple):
    """Scores [u, n] of n candidates by each part of a head, each of deviation 1 for every user.

    `appeal` [n] is the same for all users.
    """

    linear: Vectors
    embeddings: Vectors
    metric: Vectors
    appeal: Vectors

    def mixed(self, shares: Shares, appeal: float = 0.0) -> Vectors:
        """Scores [u, n] with these shares, and the appeal so many times."""
        scores = np.tile(np.float32(appeal) * self.appeal, (len(self.linear), 1))
        for share, part in zip(shares, self, strict=False):
            if share:
                scores += np.float32(share) * part
        return scores

    def of(self, some: NDArray[np.bool_]) -> Parts:
        """The scores of some candidates, a mask [n]."""
        linear, embeddings, metric, appeal = (part[..., some] for part in self)
        return Parts(linear, embeddings, metric, appeal)

    def among_all(self, blend: Blend, new: NDArray[np.bool_]) -> Vectors:
        """Scores [u, n] of known items and of those that are new [n], as a blend brings them together."""
        scores, cold = self.mixed(blend.warm), self.of(new).mixed(blend.cold)
        scores[:, new] = np.float32(blend.cold_gain) * cold + np.float32(blend.cold_offset)
        return scores + np.float32(blend.appeal) * self.appeal


class ItemParts(NamedTuple):
    """All items as a head's parts score them.

    Attributes:
        known: positions of the items that somebody chose.
        targets: of all items, their own or predicted ones [items, t], as of `Behaviour.targets`.
        metric: of all items [items, p].
        base: of the item embeddings [h].
        covariances: of the outputs.
        appeal: of all items [items].
        fade: weight of an item of a history against the one after it.
    """

    known: NDArray[np.intp]
    targets: Vectors
    metric: Vectors
    base: Vectors
    covariances: ByPart
    appeal: Vectors
    fade: float = 1.0

    @classmethod
    def of(
        cls, hot: NDArray[np.intp], behaviour: Behaviour, metric: Vectors, predicted: Vectors,
        appeal: Vectors, prior: float, fade: float,
    ) -> ItemParts:
        """All items by metric [items, p], what content predicts [items, t] and appeal; hot ones by parts."""
        targets = predicted.copy()
        targets[hot] = behaviour.trusted(predicted[hot], prior)
        covariances = behaviour.covariances(metric[hot])
        return cls(hot, targets, metric, behaviour.embeddings.base, covariances, appeal, fade)

    def scores(self, setting: Setting) -> Parts:
        """The parts' scores of a setting's candidates for its histories."""
        dims = len(self.covariances[0]), len(self.base)
        inputs, linear, embedded = split_targets(self.targets, dims)
        sums = history_sums(setting.histories, np.hstack([inputs, self.metric]), self.fade)
        users = user_parts(sums, self.base, self.covariances)
        items = (linear, embedded, self.metric)
        a, b, c = (u @ x[setting.candidates].T for u, x in zip(users, items, strict=True))  # [u, n] each
        return Parts(a, b, c, self.appeal[setting.candidates])


def history_sums(histories: csr_matrix, inputs: Vectors, fade: float) -> Vectors:
    """Sums [u, m] of the inputs [items, m] of histories [u, items], oldest first; weights at norm 1."""
    lengths = np.diff(histories.indptr)
    ages = np.repeat(histories.indptr[1:], lengths) - 1 - np.arange(histories.nnz)  # 0 for the last
    faded = histories.astype(np.float32)
    faded.data = np.float32(fade) ** ages.astype(np.float32)
    norms = np.sqrt(np.asarray(faded.power(2).sum(axis=1)))  # [u, 1]
    sums: Vectors = (faded @ inputs) / np.maximum(norms, 1e-12)  # [u, items] @ [items, m]
    return np.asarray(sums, np.float32)


def columns_of(train: csr_matrix, hot: NDArray[np.intp]) -> csr_matrix:
    """The columns of hot items, each row in its order (slicing would sort it)."""
    column = np.full(train.shape[1], -1, np.int32)
    column[hot] = np.arange(len(hot), dtype=np.int32)
    return csr_matrix((train.data, column[train.indices], train.indptr), (train.shape[0], len(hot)))


def scores_of(towers: TrainedTowers, rows: Vectors, histories: csr_matrix) -> Vectors:
    """Scores [u, items] of all items, by their rows [items, w], for histories [u, items]."""
    sums = history_sums(histories, towers.remembered(rows), towers.blend.fade)
    return towers.vectors(sums, np.diff(histories.indptr)) @ towers.searched(rows).T  # [u, k] @ [k, items]


def ndcgs_of(scores: Vectors, setting: Setting, k: int = 20) -> Values:
    """Ndcg [u] of scores [u, n] of a setting's n candidates; what is in a history is never ranked.

    Where relevant items have weights, each user's value is times the user's weight, of mean 1.
    """
    top = best_candidates(scores, setting.histories, setting.candidates, k)
    values, weights = weighed_ndcg(top, setting.relevant)
    return values * weights / weights.mean()


def ndcg_of(scores: Vectors, setting: Setting) -> float:
    """Mean ndcg@20 of scores [u, n], as of `ndcgs_of`."""
    return float(ndcgs_of(scores, setting).mean())


def metric_ndcg(metric: Vectors, setting: Setting) -> float:
    """Mean ndcg@20 of a ranking by a metric [items, p] alone."""
    users = history_sums(setting.histories, metric, 1.0)
    return ndcg_of(users @ metric[setting.candidates].T, setting)  # [u, p] @ [p, n]
