"""What a fit decides on its validation: the blend, the weights of fields, and whether both towers learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmrec.encoders.base import Vectors
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import Values, hits_of, ndcg
from mmrec.evaluate.run import best_candidates
from mmrec.model.kernel_ridge import FieldKernel, Spans, folds_left_out
from mmrec.model.parts import USUAL_EMBEDDINGS, USUAL_METRIC, Behaviour, Blend, Metric, Shares
from mmrec.training.validation import (
    ItemParts,
    history_sums,
    metric_ndcg,
    ndcg_of,
    ndcgs_of,
)

CLOSE = 0.99  # of the best figure: what comes as near is as good, and the one nearest to `USUAL` is taken
SURE = 1.96  # standard errors by which parts that learned from the display must help, where it is known
CALIBRATED = 0.98  # the same for cold items beside warm ones, of whom a validation has few
USUAL = Blend()
LIFTED = (USUAL.cold_gain, USUAL.cold_offset)  # gain and offset of cold items by the item-cold protocol
EVEN = (1.0, 0.0)  # of cold items that are asked for as often as others
EMBEDDINGS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # shares of the item embeddings beside the linear part
METRIC = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)  # shares of the metric beside both
PRIORS = (0.0, 2.0, 10.0)
FADES = (1.0, 0.98, 0.9, 0.8, 0.7, 0.5)
GAINS = (0.7, 1.0, 1.2, 1.4, 1.7, 2.0, 2.4)
OFFSETS = (-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5)


def chosen_blend(
    items_with: Callable[[float, float], ItemParts], settings: Mapping[str, Setting], *, ordered: bool,
    even: bool, corrected: bool = False,
) -> Blend:
    """The blend that ranks best in the settings, by ndcg@20.

    Args:
        items_with: gives all items with a prior and a fade of a `Blend`.
        ordered: whether the order of a history may count.
        even: as of `calibrated`.
        corrected: whether the settings weigh items by how often they were shown. Then the metric of content
            alone is the usual choice, as what it learns depends least on that; what learned from the display
            itself takes part only if the log tells that it helps, by more than chance.
    """
    def usually(prior: float, fade: float) -> float:
        """Ndcg of the usual shares for warm items."""
        return ndcg_of(items_with(prior, fade).scores(settings["warm"]).mixed(USUAL.warm), settings["warm"])

    fade = max(FADES if ordered else FADES[:1], key=lambda fade: usually(USUAL.prior, fade))
    prior = max(PRIORS, key=lambda prior: usually(prior, fade))
    items = items_with(prior, fade)
    warm, short, cold = (_shares(items, settings[name], corrected) for name in ("warm", "short", "cold"))
    blend = Blend(warm=warm, short=short.within(warm), cold=cold, prior=prior, fade=fade)
    blend = blend if blend.servable else replace(blend, short=warm)
    return calibrated(items, settings, blend, even=even, corrected=corrected)


def calibrated(
    items: ItemParts, settings: Mapping[str, Setting], blend: Blend, *, even: bool, corrected: bool = False
) -> Blend:
    """The blend with the gain and offset of cold items that rank best beside warm ones.

    Args:
        even: whether new items are asked for as often as known ones; then they need no lift as a rule.
        corrected: as of `chosen_blend`; then it takes more than chance to depart from the rule.
    """
    setting, (gain, offset) = settings["overall"], EVEN if even else LIFTED
    sure = SURE if corrected else 0.0
    parts, new = items.scores(setting), ~np.isin(setting.candidates, items.known)
    warm, cold = parts.mixed(blend.warm, blend.appeal), parts.of(new).mixed(blend.cold)
    lift = np.float32(blend.appeal) * parts.appeal[new]

    def tried(gain: float, offset: float) -> Values:
        scores = warm.copy()
        scores[:, new] = np.float32(gain) * cold + np.float32(offset) + lift
        return ndcgs_of(scores, setting)

    by_gain = {
        gain: usual({one: tried(gain, one) for one in OFFSETS}, offset, CALIBRATED, sure)
        for gain in GAINS
    }
    gain, _ = usual({gain: found for gain, (_, found) in by_gain.items()}, gain, CALIBRATED, sure)
    return replace(blend, cold_gain=gain, cold_offset=by_gain[gain][0])


def usual(
    figures: Mapping[float, Values], wanted: float, close: float = CLOSE, sure: float = 0.0
) -> tuple[float, Values]:
    """The setting nearest to the wanted one among those whose figures are close to the best, and its figures.

    A validation of some hundred items cannot tell a difference of one percent from chance.

    Args:
        figures: of each user [u], by the setting.
        close: share of the best mean that is close to it.
        sure: standard errors of the difference to the best within which a setting is close as well.

    Source: Breiman et al. 1984, Classification and regression trees, sect. 3.4.3 (the 1 SE rule).
    """
    best = max(figures.values(), key=lambda one: float(one.mean()))
    behind = {setting: best - one for setting, one in figures.items()}  # [u] each
    near = [
        setting for setting, gap in behind.items()
        if gap.mean() <= max((1 - close) * best.mean(), sure * gap.std() / len(gap) ** 0.5)
    ]
    setting = min(near, key=lambda one: abs(one - wanted))
    return setting, figures[setting]


def _shares(items: ItemParts, setting: Setting, corrected: bool) -> Shares:
    """Shares of the parts in a setting: of the embeddings first, then of the metric."""
    parts = items.scores(setting)

    def tried(embeddings: float, metric: float) -> Values:
        return ndcgs_of(parts.mixed(Shares.of(embeddings, metric)), setting)

    embeddings, _ = usual({share: tried(share, USUAL_METRIC) for share in EMBEDDINGS}, USUAL_EMBEDDINGS)
    wanted, sure = (1.0, SURE) if corrected else (USUAL_METRIC, 0.0)
    metric, _ = usual({share: tried(embeddings, share) for share in METRIC}, wanted, sure=sure)
    return Shares.of(embeddings, metric)


def with_metric(start: Metric, learned: Behaviour, content: Vectors, setting: Setting) -> Behaviour:
    """What was learned; without the metric's projection, if a small log's ranks no better than its start.

    Args:
        content: of all items [items, c].
        setting: one that asks for new items.
    """
    before, after = (metric_ndcg(one(content), setting) for one in (start, learned.metric))
    return learned if after > before else replace(learned, metric=start)


MOST_ITEMS = 1_500  # that are predicted
MOST_USERS = 2_000  # for whom they are ranked
FOLDS = 5  # of items that take turns in being new
FACTORS = (2.0, 0.5)  # by which a weight is tried, again and again while it helps
STEPS = 2
ATTRIBUTE_START = 0.5  # weight of an attribute in the content tower, before any is tried
LEAST_GAIN = 1.002  # less is chance


def first_weights(spans: Spans) -> dict[str, float]:
    """Fields as wide as an embedding weigh 1 to begin with, features of attributes less."""
    return {name: 1.0 if s.stop - s.start > 64 else ATTRIBUTE_START for name, s in spans.items()}


def weighed_fields(
    content: Vectors, spans: Spans, start: Mapping[str, float], behaviour: Behaviour, train: csr_matrix,
    ridge: float, rng: np.random.Generator,
) -> FieldKernel:
    """The kernel of the content tower, with the field weights that rank new items best.

    A fifth of the items at a time is predicted from the content of the others and taken out of the histories,
    as if nobody had chosen it; among these items, those that each user has chosen should rank high. (One item
    at a time would not do: what is predicted without an item's own users is lower for just those users.)
    All items take part, which a validation on some of them cannot offer.

    Args:
        content: of the items that somebody chose [n, c].
        start: weights to begin with.
        train: histories [users, n].
    """
    some = np.sort(rng.permutation(len(content))[:MOST_ITEMS])
    histories = train[np.sort(rng.permutation(train.shape[0])[:MOST_USERS])]
    folds = np.array_split(rng.permutation(len(some)), min(FOLDS, len(some)))
    kernel = FieldKernel.of(content[some], spans, start)
    if len(spans) == 1:
        return kernel  # there is nothing to weigh it against
    parts = list(kernel.by_field(content[some], content[some]))
    users_of = [_fold_users(histories, behaviour, some[fold]) for fold in folds]
    targets = behaviour.linear_output[some]

    def tried(weights: Mapping[str, float]) -> float:
        gram = replace(kernel, weights=weights).mixed(parts, content[some], content[some])
        predicted = folds_left_out(gram, targets, ridge, folds)
        return float(np.mean([_fold_ndcg(*one, new) for one, new in zip(users_of, predicted, strict=True)]))

    return replace(kernel, weights=_climbed(dict(kernel.weights), tried))


def _climbed(weights: dict[str, float], tried: Callable[[Mapping[str, float]], float]) -> dict[str, float]:
    """Weights after each was doubled or halved as often as it helped."""
    best = tried(weights)
    for name in weights:
        for factor in FACTORS:
            before = weights[name]
            for _ in range(STEPS):
                other = weights | {name: factor * weights[name]}
                found = tried(other)
                if found < LEAST_GAIN * best:
                    break
                weights, best = other, found
            if weights[name] != before:
                break
    return weights


def _fold_users(
    histories: csr_matrix, behaviour: Behaviour, fold: NDArray[np.intp]
) -> tuple[Vectors, csr_matrix]:
    """Users who chose items of a fold: sums [u, r] of their other items, and what they chose of it [u, f]."""
    chosen = histories[:, fold]
    asked = np.diff(chosen.indptr) > 0
    inputs = behaviour.linear_input.copy()
    inputs[fold] = 0
    return history_sums(histories[asked], inputs, 1.0), chosen[asked]


def _fold_ndcg(sums: Vectors, chosen: csr_matrix, predicted: Vectors) -> float:
    """Mean ndcg@20 of such users, of a ranking by what is predicted of the items [f, r]."""
    every, nothing = np.arange(len(predicted), dtype=np.int32), csr_matrix(chosen.shape, dtype=np.float32)
    top = best_candidates(sums @ predicted.T, nothing, every, 20)  # [u, r] @ [r, f]
    return float(ndcg(hits_of(top, chosen), np.diff(chosen.indptr)).mean())
