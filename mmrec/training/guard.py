"""The guard of a fit: what the head comes to beside the best baseline, on users who decided nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.evaluate.baselines import EASE, Baseline, ContentKNN, ContentRidge, ItemKNN, Popularity
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import Interval, Values, mean_interval
from mmrec.model.trained import Blend, Shares
from mmrec.training.validation import ItemParts, Parts, ndcgs_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_ITEMS = 20_000  # beyond it the baselines that hold items x items are left out
PLAIN = "content"  # serves where a head would be worse
SITUATIONS = {
    "warm": "warm items, long history", "short": "warm items, short history", "cold": "cold items",
    "overall": "all items",
}
# The part of a head that is nearest to a baseline, and serves alone where that baseline is better.
LINEAR, METRIC = Shares(1.0, 0.0, 0.0), Shares(0.0, 0.0, 1.0)
PART_OF = {EASE.name: LINEAR, ItemKNN.name: LINEAR, ContentRidge.name: LINEAR, ContentKNN.name: METRIC}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What serves in one situation, and why.

    Attributes:
        situation: in words.
        head: ndcg@20 of the blend that was chosen.
        baselines: theirs, by name.
        difference: of the head and the best baseline, with its 95% interval over users; None in a verdict
            that was kept from before there were intervals.
        serves: shares of the head's parts, or `content` if the head does not serve.
        why: in words.
    """

    situation: str
    head: float
    baselines: Mapping[str, float]
    difference: Interval | None = None
    serves: str
    why: str

    @property
    def best(self) -> tuple[str, float]:
        """Name and figure of the best baseline."""
        return max(self.baselines.items(), key=lambda pair: pair[1])

    def because(self, serves: str, why: str) -> Verdict:
        """The same figures with what serves, and why, ahead of the figures in words."""
        compared = "head {:.4f}, best baseline {} {:.4f}".format(self.head, *self.best)
        return replace(self, serves=serves, why=f"{why}; {compared}, difference {self.difference} (ndcg@20)")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Verdict:
        """What `dataclasses.asdict` gave."""
        difference = fields.get("difference")
        return cls(**{**fields, "difference": difference and Interval(**difference)})


class Evidence(NamedTuple):
    """What users who decided nothing say of a head and of baselines.

    Attributes:
        settings: what they were asked, by name.
        parts: scores by each part of the head, by setting.
        new: which candidates of each setting nobody has chosen, by setting.
        baselines: ndcg@20 of each user [u], by setting and name.
    """

    settings: Mapping[str, Setting]
    parts: Mapping[str, Parts]
    new: Mapping[str, NDArray[np.bool_]]
    baselines: Mapping[str, Mapping[str, Values]]

    def head(self, name: str, blend: Blend) -> Values:
        """Ndcg@20 [u] of a blend in one setting."""
        parts, setting = self.parts[name], self.settings[name]
        if name == "overall":
            return ndcgs_of(parts.among_all(blend, self.new[name]), setting)
        return ndcgs_of(parts.mixed(getattr(blend, name)), setting)


def rivals(n: int, *, brief: bool = False) -> list[Baseline]:
    """The baselines in their usual settings for n items; without the slowest of them if it shall be brief."""
    if n > MOST_ITEMS:
        return [Popularity(), ContentKNN()]
    return [Popularity(), ContentKNN(), ItemKNN(), EASE(), *([] if brief else [ContentRidge()])]


def evidence(
    baselines: Iterable[Baseline], train: csr_matrix, content: Vectors, settings: Mapping[str, Setting],
    items: ItemParts,
) -> Evidence:
    """Fits baselines on histories [users, items] and content [items, c], and asks them and the head."""
    found: dict[str, dict[str, Values]] = {name: {} for name in settings}
    for model in baselines:
        model.fit(train, content)
        for name, setting in settings.items():
            scores = model.score(setting.histories)[:, setting.candidates]
            found[name][model.name] = ndcgs_of(scores, setting)
    parts = {name: items.scores(setting) for name, setting in settings.items()}
    new = {name: ~np.isin(setting.candidates, items.known) for name, setting in settings.items()}
    return Evidence(settings, parts, new, found)


def judged(
    shown: Evidence, blend: Blend, recalibrated: Callable[[Blend], Blend]
) -> tuple[Blend, dict[str, Verdict]]:
    """The blend that serves, and a verdict on each setting that there is evidence of.

    Where a baseline is better than the blend, the part of the head that is nearest to it serves alone, if it
    is better than the blend as well. The head does not serve at all if content kNN ranks all items better,
    and that by more than chance: the interval of the difference lies below 0.

    Args:
        recalibrated: gives a changed blend a new gain and offset of cold items.
    """
    served, found = blend, {}
    for name in ("warm", "short", "cold"):
        if name in shown.settings:
            served, found[name] = _part_or_blend(shown, name, served)
    if served != blend:
        served = recalibrated(served)
    if "overall" in shown.settings:
        found["overall"] = _verdict(shown, "overall", served)
        plain = shown.baselines["overall"][ContentKNN.name]
        if _difference(shown.head("overall", served), plain).high < 0:
            why = "plain content ranks all items better than the head, and serves on"
            found = {name: one.because(PLAIN, why) for name, one in found.items()}
    return served, found


def may_serve(verdicts: Iterable[Verdict]) -> bool:
    """Whether the head may serve."""
    return all(one.serves != PLAIN for one in verdicts)


def _part_or_blend(shown: Evidence, name: str, blend: Blend) -> tuple[Blend, Verdict]:
    """The blend, in which one part may serve alone in this setting, and the verdict."""
    verdict = _verdict(shown, name, blend)
    best, figure = verdict.best
    part = PART_OF.get(best)
    if verdict.head >= figure or part is None:
        return blend, verdict
    change: dict[str, Any] = {name: part} | ({"short": blend.short.within(part)} if name == "warm" else {})
    alone = replace(blend, **change)
    reached = float(shown.head(name, alone).mean())
    if reached <= verdict.head or not alone.servable:
        return blend, verdict
    why = f"{best} is better than {verdict.serves}, and so is the head's own part like it ({reached:.4f})"
    return alone, verdict.because(_named(part), why)


def _verdict(shown: Evidence, name: str, blend: Blend) -> Verdict:
    """What the blend comes to; it serves."""
    values, baselines = shown.head(name, blend), shown.baselines[name]
    best = max(baselines, key=lambda one: float(baselines[one].mean()))
    difference = _difference(values, baselines[best])
    calibration = f"cold items x {blend.cold_gain:g} + {blend.cold_offset:g}"
    verdict = Verdict(
        situation=SITUATIONS[name], head=float(values.mean()), difference=difference, why="",
        baselines={one: float(each.mean()) for one, each in baselines.items()},
        serves=calibration if name == "overall" else _named(getattr(blend, name)),
    )
    best_of_head = "the best blend of the head's parts, though a baseline is better here"
    return verdict.because(verdict.serves, "the head is best" if difference.mean >= 0 else best_of_head)


def _difference(head: Values, baseline: Values) -> Interval:
    return mean_interval(head - baseline, rng=np.random.Generator(np.random.PCG64(0)))


def _named(shares: Shares) -> str:
    return " + ".join(f"{share:.2f} {name}" for name, share in shares._asdict().items() if share)
