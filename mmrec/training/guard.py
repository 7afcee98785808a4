"""The guard of a fit: the head is compared with baselines, by users by whom its blend was not chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmrec.encoders.base import Vectors
from mmrec.evaluate.baselines import EASE, Baseline, ContentKNN, ContentRidge, ItemKNN, Popularity
from mmrec.evaluate.counting import MOST_ITEMS
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import Interval, Values, mean_interval
from mmrec.model.parts import Blend, Shares
from mmrec.training.refusals import Met
from mmrec.training.validation import Inner, ItemParts, Parts, ndcgs_of

MET, NDCG = "met", "ndcg@20"
ALIKE = ", by the users who chose the blend, as there are too few others"
PLAIN = "content"  # serves where a head would be worse
SITUATIONS = {
    "warm": "warm items, long history", "short": "warm items, short history", "cold": "cold items",
    "overall": "all items", MET: "what users met, liked above refused",
}
STORED = "EASE (stored factors)"
# The part of a head that is nearest to a baseline, and serves alone where that baseline is better.
LINEAR, METRIC = Shares(1.0, 0.0, 0.0), Shares(0.0, 0.0, 1.0)
PART_OF = {
    EASE.name: LINEAR, STORED: LINEAR, ItemKNN.name: LINEAR, ContentRidge.name: LINEAR,
    ContentKNN.name: METRIC,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What serves in one situation, and why.

    Attributes:
        situation: in words, one of `SITUATIONS`.
        head: figure of the blend that was chosen.
        baselines: figure of each, by name.
        difference: of the head and the best baseline, with its 95% interval over users; None in a verdict
            that was saved before there were intervals.
        serves: shares of the head's parts, or `content` if the head does not serve.
        why: in words.
        measure: what the figures are.
    """

    situation: str
    head: float
    baselines: Mapping[str, float]
    difference: Interval | None = None
    serves: str
    why: str
    measure: str = NDCG

    @property
    def best(self) -> tuple[str, float]:
        """Name and figure of the best baseline."""
        return max(self.baselines.items(), key=lambda pair: pair[1])

    def because(self, serves: str, why: str) -> Verdict:
        """The same figures with what serves, and a reason that ends with these figures."""
        compared = "head {:.4f}, best baseline {} {:.4f}".format(self.head, *self.best)
        why = f"{why}; {compared}, difference {self.difference} ({self.measure})"
        return replace(self, serves=serves, why=why)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Verdict:
        """Reads what `dataclasses.asdict` gave."""
        difference = fields.get("difference")
        return cls(**{**fields, "difference": difference and Interval(**difference)})


class Evidence(NamedTuple):
    """How a head and baselines rank in settings by which nothing was chosen; all by the setting's name.

    Attributes:
        parts: scores by each part of the head.
        new: which candidates nobody has chosen.
        baselines: figures of each user [u], by the baseline's name: ndcg@20; of `MET`, shares of pairs.
        met: the question of that name, if it can be asked.
    """

    settings: Mapping[str, Setting]
    parts: Mapping[str, Parts]
    new: Mapping[str, NDArray[np.bool_]]
    baselines: Mapping[str, Mapping[str, Values]]
    met: Met | None = None

    def head(self, name: str, blend: Blend) -> Values:
        """Figures [u] of a blend in one setting."""
        parts, setting = self.parts[name], self.settings[name]
        if self.met and name == MET:
            return self.met.above(parts.among_all(blend, self.new[name]))
        if name == "overall":
            return ndcgs_of(parts.among_all(blend, self.new[name]), setting)
        return ndcgs_of(parts.mixed(getattr(blend, name), blend.appeal), setting)


def rivals(n: int) -> list[Baseline]:
    """The baselines in their usual settings; for too many items n, without those that hold items x items."""
    cheap = [Popularity(), ContentKNN()]
    return cheap if n > MOST_ITEMS else [*cheap, ItemKNN(), EASE(), ContentRidge()]


def evidence(
    train: csr_matrix, content: Vectors, settings: Mapping[str, Setting], items: ItemParts,
    before: Shares | None = None, met: Met | None = None,
) -> Evidence:
    """Fits baselines on histories [users, items] and content [items, c], and ranks with them and the head.

    Args:
        before: shares of a head that serves already, for a warm start. It is compared with the baselines that
            cost no training, and for EASE with its own linear part, which is EASE's strongest factors.
        met: what users met, if that is known.
    """
    baselines: Sequence[Baseline] = rivals(len(content)) if before is None else [Popularity(), ContentKNN()]
    for model in baselines:
        model.fit(train, content)
    parts, new, found = {}, {}, {}
    asked = {**settings, **({MET: met.setting} if met else {})}
    for name, setting in asked.items():
        parts[name], new[name] = items.scores(setting), ~np.isin(setting.candidates, items.known)
        scores = {one.name: one.score(setting.histories)[:, setting.candidates] for one in baselines}
        found[name] = {
            baseline: met.above(x) if met and name == MET else ndcgs_of(x, setting)
            for baseline, x in scores.items()
        }
        if before is not None and before.linear:  # else the head's rows do not hold that part
            found[name][STORED] = ndcgs_of(parts[name].mixed(LINEAR), setting)
    return Evidence(asked, parts, new, found, met)


def judged(
    shown: Evidence, blend: Blend, recalibrated: Callable[[Blend], Blend], *, sure: bool = False
) -> tuple[Blend, dict[str, Verdict]]:
    """The blend that serves, and a verdict on each setting that there is evidence of.

    Where a baseline is better than the blend, the part of the head that is nearest to it serves alone, if it
    is better than the blend as well. The head does not serve at all if content kNN ranks all items better,
    and that by more than chance: the interval of the difference lies below 0. Where it is known what users
    met and refused, neither happens to a blend that ranks that better, as a log repeats the display.

    Args:
        recalibrated: gives a changed blend a new gain and offset of cold items.
        sure: whether a part may serve alone only where the baseline is better by more than chance. A warm
            start has few users to tell, and a part that its rows lack comes back only with a whole fit.
    """
    served, found = blend, {}
    for name in ("warm", "short", "cold"):
        if name in shown.settings:
            served, found[name] = _part_or_blend(shown, name, served, sure)
    if served != blend:
        served = recalibrated(served)
    if "overall" in shown.settings:
        found["overall"] = _verdict(shown, "overall", served)
        plain = shown.baselines["overall"][ContentKNN.name]
        if _difference(shown.head("overall", served), plain).high < 0 and not (
            MET in shown.settings and _figure(shown, served) >= shown.baselines[MET][ContentKNN.name].mean()
        ):
            why = "plain content ranks all items better than the head, and serves on"
            found = {name: one.because(PLAIN, why) for name, one in found.items()}
    if MET in shown.settings:
        found[MET] = _verdict(shown, MET, served)
    return served, found


def after_change(
    shown: Evidence, verdicts: Mapping[str, Verdict], values: Mapping[str, Values], change: str
) -> dict[str, Verdict]:
    """The verdicts on a head after a change, in words, by its ndcg@20 of each user [u]."""
    return {
        name: _compared(shown, name, values[name], f"{one.serves}, then {change}")
        if name in values else one
        for name, one in verdicts.items()
    }


def told_who_judged(
    verdicts: Mapping[str, Verdict], inner: Inner, met_alike: bool
) -> dict[str, Verdict]:
    """The verdicts; those by the users who chose the blend say so, as of `MET` it is told."""
    alike = {name for name, setting in inner.judging.items() if setting is inner.settings[name]}
    alike |= {MET} if met_alike else set()
    return {
        name: replace(one, why=one.why + ALIKE) if name in alike else one
        for name, one in verdicts.items()
    }


def may_serve(verdicts: Iterable[Verdict]) -> bool:
    """Whether the head may serve."""
    return all(one.serves != PLAIN for one in verdicts)


def _part_or_blend(shown: Evidence, name: str, blend: Blend, sure: bool) -> tuple[Blend, Verdict]:
    """The blend, in which one part may serve alone in this setting, and the verdict."""
    verdict = _verdict(shown, name, blend)
    best, figure = verdict.best
    part = PART_OF.get(best)
    ahead = verdict.difference.high if sure and verdict.difference else verdict.head - figure
    if ahead >= 0 or part is None:
        return blend, verdict
    change: dict[str, Any] = {name: part} | ({"short": blend.short.within(part)} if name == "warm" else {})
    alone = replace(blend, **change)
    reached = float(shown.head(name, alone).mean())
    if reached <= verdict.head or not alone.servable:
        return blend, verdict
    if MET in shown.settings and _figure(shown, alone) < _figure(shown, blend):
        return blend, verdict.because(verdict.serves, f"{best} is better, but not for what users met")
    why = f"{best} is better than {verdict.serves}, and so is the head's own part like it ({reached:.4f})"
    return alone, verdict.because(_named(part), why)


def _verdict(shown: Evidence, name: str, blend: Blend) -> Verdict:
    """The figures of the blend in one setting, and that it serves."""
    calibration = f"cold items x {blend.cold_gain:g} + {blend.cold_offset:g}"
    shares = getattr(blend, name, blend.warm)
    serves = calibration if name == "overall" else _named(shares, blend.appeal)
    return _compared(shown, name, shown.head(name, blend), serves)


def _compared(shown: Evidence, name: str, values: Values, serves: str) -> Verdict:
    """The verdict on what serves, by its ndcg@20 of each user [u] in one setting."""
    baselines = shown.baselines[name]
    best = max(baselines, key=lambda one: float(baselines[one].mean()))
    ahead = _difference(values, baselines[best])
    verdict = Verdict(
        situation=SITUATIONS[name], head=float(values.mean()), difference=ahead, why="",
        baselines={one: float(each.mean()) for one, each in baselines.items()}, serves=serves,
        measure="share of pairs" if name == MET else NDCG,
    )
    best_of_head = "the best blend of the head's parts, though a baseline is better here"
    return verdict.because(verdict.serves, "the head is best" if ahead.mean >= 0 else best_of_head)


def _difference(head: Values, baseline: Values) -> Interval:
    return mean_interval(head - baseline, rng=np.random.Generator(np.random.PCG64(0)))


def _named(shares: Shares, appeal: float = 0.0) -> str:
    named = shares._asdict() | {"appeal": appeal}
    return " + ".join(f"{share:.2f} {name}" for name, share in named.items() if share)


def _figure(shown: Evidence, blend: Blend) -> float:
    """How well a blend ranks what users met."""
    return float(shown.head(MET, blend).mean())
