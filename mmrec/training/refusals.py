"""What users met and refused: the one question of a log that does not depend on what the shop displayed.

Whoever liked one item and refused another has met both. A model that ranks the liked ones above the refused
ones does so because it knows what the user likes, however often either is shown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from mmrec.encoders.base import Vectors
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import Values
from mmrec.model.appeal import Appeal, appeal_of
from mmrec.model.parts import Blend, Shares
from mmrec.training.tune import EMBEDDINGS, METRIC, SURE, usual
from mmrec.training.validation import FEWEST, FOUND_SHARE, ItemParts, kept, most_users

LEAST = 100  # refusals, without which nothing is learned of them
APPEALS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5)  # in deviations of a user's scores


class Met(NamedTuple):
    """What users met, some of it refused; neither was learned from.

    Attributes:
        setting: histories [u, items], what was liked as what is relevant, and all items.
        against: what was refused [u, items].
    """

    setting: Setting
    against: csr_matrix

    def above(self, scores: Vectors) -> Values:
        """Share of pairs [u] in which what a user liked is scored [u, items] above what the user refused.

        Source: Hanley & McNeil 1982, The meaning and use of the area under a ROC curve.
        """
        pairs = (
            row[liked.indices][:, None] - row[refused.indices]
            for row, liked, refused in zip(scores, self.setting.relevant, self.against, strict=True)
        )
        return np.array([np.sign(difference).mean() / 2 + 0.5 for difference in pairs])


class Refusals(NamedTuple):
    """The appeal of items, and questions by which it was not learned.

    Attributes:
        appeal: that content predicts.
        values: of all items [items].
        choosing: what users met by whom a blend is chosen; None if too little was refused.
        judging: the same of others, by whom it is judged; if these are too few, of all of them.
    """

    appeal: Appeal
    values: Vectors
    choosing: Met | None = None
    judging: Met | None = None


def held_out(
    train: csr_matrix, left: csr_matrix, refused: csr_matrix | None, content: Vectors,
    rng: np.random.Generator,
) -> Refusals:
    """Holds out what some users liked and refused; learns the appeal of items from the rest.

    Args:
        train: what users chose [users, items].
        left: the part of it that a validation learns from; of items without any, all refusals are held out.
        refused: [users and others, items]; None if nothing is known of it.
        content: of all items [items, c].
    """
    if refused is None or refused.nnz < LEAST:
        return Refusals(*appeal_from(left, None, content))
    out = ~np.isin(refused.indices, left.indices) | (rng.random(refused.nnz) < FOUND_SHARE)
    found = Refusals(*appeal_from(left, kept(refused, ~out), content))
    liked, against = (train - left).tocsr(), kept(refused, out)[: train.shape[0]]
    users = np.flatnonzero(np.prod([np.diff(one.indptr) for one in (left, liked, against)], axis=0))
    if len(users) < FEWEST:
        return found
    users = rng.permutation(users)[: most_users(train.shape[1])]
    every = np.arange(train.shape[1], dtype=np.int32)
    judges = users[-(-2 * len(users) // 3) :]
    choosing, judging = (
        Met(Setting("met", left[some], liked[some], every), against[some])
        for some in (np.sort(users[: len(users) - len(judges)]), np.sort(judges))
    )
    if len(judges) < FEWEST:
        choosing = judging = Met(Setting("met", left[users], liked[users], every), against[users])
    return found._replace(choosing=choosing, judging=judging)


def appeal_from(chosen: csr_matrix, refused: csr_matrix | None, content: Vectors) -> tuple[Appeal, Vectors]:
    """The appeal of items by what users chose and refused [users, items]; all alike if nothing is known."""
    if refused is None:
        return Appeal.none(content.shape[1]), np.zeros(len(content), np.float32)
    liked, disliked = (np.asarray(one.sum(axis=0), np.float64).ravel() for one in (chosen, refused))
    return appeal_of(liked, disliked, content)


def by_refusals(met: Met, items: ItemParts, blend: Blend, *, corrected: bool) -> Blend:
    """The blend whose shares and appeal rank what users liked highest above what they refused.

    Args:
        corrected: as of `tune.chosen_blend`; then the shares stay, and an appeal is added only if it helps by
            more than chance.
    """
    parts, found = items.scores(met.setting), {}
    if corrected:
        scores = parts.among_all(blend, ~np.isin(met.setting.candidates, items.known))
        values = {one: met.above(scores + np.float32(one) * parts.appeal) for one in APPEALS}
        return replace(blend, appeal=usual(values, 0.0, close=1.0, sure=SURE)[0])
    for shares in {Shares.of(embeddings, metric) for embeddings in EMBEDDINGS for metric in METRIC}:
        scores = parts.mixed(shares)
        for appeal in APPEALS:
            found[shares, appeal] = met.above(scores + np.float32(appeal) * parts.appeal).mean()
    shares, appeal = max(found, key=lambda one: (found[one], one))
    return replace(blend, warm=shares, short=shares, cold=shares, appeal=appeal)
