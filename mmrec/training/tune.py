"""How much each field says of behaviour: weights that predict items best from all the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import METRICS, hits_of
from mmrec.evaluate.run import best_candidates
from mmrec.model.behaviour import Behaviour
from mmrec.model.kernel_ridge import FieldKernel, Spans, folds_left_out
from mmrec.model.trained import USUAL_METRIC, USUAL_PLACES, Blend, Shares, spreads_of, trusted
from mmrec.training.validation import Parts, history_sums, ndcg_of, parts_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

CLOSE = 0.99  # of the best figure: what comes as near is as good, and the one nearest to `USUAL` is taken
CALIBRATED = 0.98  # the same for cold items beside warm ones, of whom a validation has few
USUAL = Blend()
LIFTED = (USUAL.cold_gain, USUAL.cold_offset)  # gain and offset of cold items by the item-cold protocol
EVEN = (1.0, 0.0)  # of cold items that are asked for as often as others
PLACES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # shares of the places beside the linear part
METRIC = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)  # shares of the metric beside both
PRIORS = (0.0, 2.0, 10.0)
FADES = (1.0, 0.98, 0.9, 0.8, 0.7, 0.5)
GAINS = (0.7, 1.0, 1.2, 1.4, 1.7, 2.0, 2.4)
OFFSETS = (-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5)


class Lesson(NamedTuple):
    """What was learned of a part of a log, and what the rest asks.

    Attributes:
        hot: places of the items that somebody chose [n].
        behaviour: of these.
        metric: of all items [items, p].
        predicted: what content predicts of all items [items, t]; of each hot one, as the others have it.
        settings: what is asked.
    """

    hot: NDArray[np.intp]
    behaviour: Behaviour
    metric: Vectors
    predicted: Vectors
    settings: Mapping[str, Setting]


def chosen_blend(
    lesson: Lesson, *, ordered: bool, even: bool = False
) -> tuple[Blend, dict[str, float]]:
    """The best blend, and its ndcg@20 in each setting.

    Args:
        ordered: whether the order of a history may count.
        even: whether new items are asked for as often as known ones; then they need no lift as a rule.
    """
    figures = {}
    fades = FADES if ordered else FADES[:1]
    fade = max(fades, key=lambda fade: _usually(lesson, USUAL.prior, fade))
    prior = max(PRIORS, key=lambda prior: _usually(lesson, prior, fade))
    warm, figures["warm"] = _shares(lesson, "warm", prior, fade)
    short, figures["short"] = _shares(lesson, "short", prior, fade)
    cold, figures["cold"] = _shares(lesson, "cold", prior, fade)
    blend = Blend(warm=warm, short=short, cold=cold, prior=prior, fade=fade)
    (gain, offset), figures["overall"] = _calibration(lesson, blend, EVEN if even else LIFTED)
    return replace(blend, cold_gain=gain, cold_offset=offset), figures


def _calibration(
    lesson: Lesson, blend: Blend, wanted: tuple[float, float]
) -> tuple[tuple[float, float], float]:
    """Gain and offset of cold items beside warm ones, near to those wanted, and the ndcg."""
    parts, setting = _parts(lesson, "overall", blend.prior, blend.fade), lesson.settings["overall"]
    new = np.isin(setting.candidates, lesson.settings["cold"].candidates)
    warm, cold = parts.mixed(blend.warm), Parts(*(part[:, new] for part in parts)).mixed(blend.cold)

    def tried(gain: float, offset: float) -> float:
        scores = warm.copy()
        scores[:, new] = np.float32(gain) * cold + np.float32(offset)
        return ndcg_of(scores, setting)

    by_gain = {
        gain: usual({one: tried(gain, one) for one in OFFSETS}, wanted[1], CALIBRATED) for gain in GAINS
    }
    gain, figure = usual({gain: found for gain, (_, found) in by_gain.items()}, wanted[0], CALIBRATED)
    return (gain, by_gain[gain][0]), figure


def usual(figures: Mapping[float, float], wanted: float, close: float = CLOSE) -> tuple[float, float]:
    """The setting nearest to the wanted one among those whose figure is close to the best, and its figure.

    A validation of some hundred items tells differences of a hundredth from chance no more.
    """
    best = max(figures.values())
    near = [setting for setting, figure in figures.items() if figure >= close * best]
    setting = min(near, key=lambda one: abs(one - wanted))
    return setting, figures[setting]


def _shares(lesson: Lesson, name: str, prior: float, fade: float) -> tuple[Shares, float]:
    """Shares of the parts in a setting, and its ndcg: of the places first, then of the metric."""
    parts, setting = _parts(lesson, name, prior, fade), lesson.settings[name]

    def tried(places: float, metric: float) -> float:
        return ndcg_of(parts.mixed(Shares.of(places, metric)), setting)

    places, _ = usual({share: tried(share, USUAL_METRIC) for share in PLACES}, USUAL_PLACES)
    metric, figure = usual({share: tried(places, share) for share in METRIC}, USUAL_METRIC)
    return Shares.of(places, metric), figure


def _usually(lesson: Lesson, prior: float, fade: float) -> float:
    """Ndcg of the usual shares in warm items."""
    return ndcg_of(_parts(lesson, "warm", prior, fade).mixed(USUAL.warm), lesson.settings["warm"])


def _parts(lesson: Lesson, name: str, prior: float, fade: float) -> Parts:
    behaviour, hot = lesson.behaviour, lesson.hot
    targets = lesson.predicted.copy()
    targets[hot] = trusted(behaviour, lesson.predicted[hot], prior)
    spreads = spreads_of(behaviour, lesson.metric[hot])
    return parts_of(behaviour, targets, lesson.metric, spreads, lesson.settings[name], fade)


MOST_ITEMS = 1_500  # that are predicted
MOST_USERS = 2_000  # who rank them
FOLDS = 5  # of items that take turns in being new
FACTORS = (2.0, 0.5)  # by which a weight is tried, again and again while it helps
STEPS = 2
LEAST_GAIN = 1.002  # less is chance


def weighed_fields(
    content: Vectors, spans: Spans, start: Mapping[str, float], behaviour: Behaviour, train: csr_matrix,
    ridge: float, rng: np.random.Generator,
) -> FieldKernel:
    """The kernel of the content tower, its field weights found one after the other.

    A fifth of the items at a time is predicted from the content of the others and taken out of the histories,
    as if nobody had chosen it; the weights shall rank high among them what each user has chosen. (One item
    at a time would not do: what is predicted without an item's own users is lower for just those users.)
    All items take part, which a validation on some of them cannot offer.

    Args:
        content: of the items that somebody chose [n, c].
        start: weights to begin with.
        train: histories [users, n].
    """
    some = np.sort(rng.permutation(len(content))[:MOST_ITEMS])
    users = np.sort(rng.permutation(train.shape[0])[:MOST_USERS])
    kernel = FieldKernel.of(content[some], spans, start)
    parts = list(kernel.by_field(content[some], content[some]))
    folds = np.array_split(rng.permutation(len(some)), min(FOLDS, len(some)))
    questions = [_question(train[users], behaviour, some[fold]) for fold in folds]
    targets = behaviour.taken[some]

    def tried(weights: Mapping[str, float]) -> float:
        gram = replace(kernel, weights=weights).mixed(parts, content[some], content[some])
        predicted = folds_left_out(gram, targets, ridge, folds)
        return float(np.mean([one.ndcg(new) for one, new in zip(questions, predicted, strict=True)]))

    if len(spans) == 1:
        return kernel  # there is nothing to weigh it against
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


class _Question(NamedTuple):
    """Users who chose some of the items of a fold.

    Attributes:
        sums: of their histories without these items [u, r].
        chosen: of these items [u, f].
    """

    sums: Vectors
    chosen: csr_matrix

    def ndcg(self, predicted: Vectors) -> float:
        """Mean ndcg@20 of a ranking by what is predicted of the items [f, r]."""
        every = np.arange(len(predicted), dtype=np.int32)
        nothing = self.chosen[:, :0].copy()
        nothing.resize(self.chosen.shape)
        top = best_candidates(self.sums @ predicted.T, nothing, every, 20)  # [u, r] @ [r, f]
        return float(METRICS["ndcg"](hits_of(top, self.chosen), np.diff(self.chosen.indptr)).mean())


def _question(histories: csr_matrix, behaviour: Behaviour, fold: NDArray[np.intp]) -> _Question:
    chosen = histories[:, fold]
    asked = np.diff(chosen.indptr) > 0
    given = behaviour.given.copy()
    given[fold] = 0
    return _Question(history_sums(histories[asked], given, 1.0), chosen[asked])
