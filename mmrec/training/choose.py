"""What the inner validation decides: how the halves of a head and cold items are blended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.evaluate.setting import Setting
from mmrec.head.behaviour import Behaviour
from mmrec.head.blend import Blend
from mmrec.head.trained import trusted
from mmrec.training.answers import Parts, ndcg_of, parts_of

CLOSE = 0.99  # of the best figure: what comes as near is as good, and the one nearest to `USUAL` is taken
USUAL = Blend(mix=0.5, short_mix=0.5, cold_mix=0.5, cold_gain=1.4, cold_offset=1.0)
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # of the contrastive half
PRIORS = (0.0, 2.0, 10.0)
FADES = (1.0, 0.98, 0.9, 0.8)
GAINS = (0.7, 1.0, 1.2, 1.4, 1.7, 2.0)
OFFSETS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)


class Lesson(NamedTuple):
    """What was learned of a part of a log, and what the rest asks.

    Attributes:
        content: of all items [items, c].
        hot: places of the items that somebody chose [n].
        behaviour: of these.
        settings: what is asked.
    """

    content: Vectors
    hot: NDArray[np.intp]
    behaviour: Behaviour
    settings: Mapping[str, Setting]


def chosen_blend(lesson: Lesson, predicted: Vectors, *, ordered: bool) -> tuple[Blend, dict[str, float]]:
    """The best blend, and its ndcg@20 in each setting.

    Args:
        predicted: what content predicts of all items [items, t]; of each hot one, as the others have it.
        ordered: whether the order of a history may count.
    """
    figures = {}
    tries = [
        (_shares(lesson, predicted, "warm", prior, fade), prior, fade)
        for prior, fade in product(PRIORS, FADES if ordered else FADES[:1])
    ]
    shares, prior, fade = max(tries, key=lambda one: max(one[0].values()))
    mix, figures["warm"] = usual(shares, USUAL.mix)
    short_mix, figures["short"] = usual(_shares(lesson, predicted, "short", prior, fade), USUAL.short_mix)
    cold_mix, figures["cold"] = usual(_shares(lesson, predicted, "cold", prior, fade), USUAL.cold_mix)
    blend = Blend(mix=mix, short_mix=short_mix, cold_mix=cold_mix, prior=prior, fade=fade)
    parts, setting = _parts(lesson, predicted, "overall", prior, fade), lesson.settings["overall"]
    new = np.isin(setting.candidates, lesson.settings["cold"].candidates)
    by_gain: dict[float, tuple[float, float]] = {}
    for gain in GAINS:
        found = {
            offset: ndcg_of(_calibrated(parts, blend, new, gain, offset), setting) for offset in OFFSETS
        }
        by_gain[gain] = usual(found, USUAL.cold_offset)
    gain, figures["overall"] = usual({g: figure for g, (_, figure) in by_gain.items()}, USUAL.cold_gain)
    return replace(blend, cold_gain=gain, cold_offset=by_gain[gain][0]), figures


def usual(figures: Mapping[float, float], wanted: float) -> tuple[float, float]:
    """The setting nearest to the wanted one among those whose figure is close to the best, and its figure.

    A validation of some hundred items tells differences of a hundredth from chance no more.
    """
    best = max(figures.values())
    close = [setting for setting, figure in figures.items() if figure >= CLOSE * best]
    setting = min(close, key=lambda one: abs(one - wanted))
    return setting, figures[setting]


def _shares(
    lesson: Lesson, predicted: Vectors, name: str, prior: float, fade: float
) -> dict[float, float]:
    """The ndcg of a setting by the share of the contrastive half."""
    parts = _parts(lesson, predicted, name, prior, fade)
    return {share: ndcg_of(parts.mixed(share), lesson.settings[name]) for share in SHARES}


def _calibrated(
    parts: Parts, blend: Blend, new: NDArray[np.bool_], gain: float, offset: float
) -> Vectors:
    """Scores [u, n] of candidates of which some are new [n]."""
    scores = parts.mixed(blend.mix)
    cold = Parts(parts.linear[:, new], parts.contrastive[:, new]).mixed(blend.cold_mix)
    scores[:, new] = np.float32(gain) * cold + np.float32(offset)
    return scores


def _parts(lesson: Lesson, predicted: Vectors, name: str, prior: float, fade: float) -> Parts:
    targets = predicted.copy()
    targets[lesson.hot] = trusted(lesson.behaviour, predicted[lesson.hot], prior)
    return parts_of(lesson.behaviour, targets, lesson.settings[name], fade)
