"""The guard of a fit: what the head came to on validation, beside the baselines, and whether it may serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmrec.encoders.base import Vectors
from mmrec.evaluate.baselines import EASE, ContentKNN, ContentRidge, ItemKNN, Popularity
from mmrec.evaluate.baselines.counting import Baseline
from mmrec.model.trained import Blend, Shares
from mmrec.training.validation import Inner, ndcg_of

MOST_ITEMS = 20_000  # beyond it the baselines that hold items x items are left out
PLAIN = "content"  # serves where a head would be worse
SITUATIONS = {
    "warm": "warm items, long history", "short": "warm items, short history", "cold": "cold items",
    "overall": "all items",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What serves in one situation, and why.

    Attributes:
        situation: in words.
        head: its ndcg@20 on validation.
        baselines: theirs.
        serves: shares of the head's parts, or `content` if the head does not serve.
        why: in words.
    """

    situation: str
    head: float
    baselines: Mapping[str, float]
    serves: str
    why: str

    @property
    def best(self) -> tuple[str, float]:
        """Name and figure of the best baseline."""
        return max(self.baselines.items(), key=lambda pair: pair[1])

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def rivals(inner: Inner, content: Vectors) -> dict[str, dict[str, float]]:
    """The ndcg@20 of baselines in their usual settings, by setting and name."""
    models: list[Baseline] = [Popularity(), ContentKNN()]
    if len(content) <= MOST_ITEMS:
        models += [ItemKNN(), EASE(), ContentRidge()]
    found: dict[str, dict[str, float]] = {name: {} for name in inner.settings}
    for model in models:
        model.fit(inner.train, content)
        for name, setting in inner.settings.items():
            scores = model.score(setting.histories)[:, setting.candidates]
            found[name][model.name] = ndcg_of(scores, setting)
    return found


def verdicts(
    head: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]], blend: Blend
) -> tuple[Verdict, ...]:
    """What serves in each situation."""
    serving = head["overall"] >= baselines["overall"][ContentKNN.name]  # of all items together
    shares = {"warm": blend.warm, "short": blend.short, "cold": blend.cold}
    return tuple(
        Verdict(
            situation=words, head=head[name], baselines=baselines[name],
            serves=_named(shares.get(name), blend) if serving else PLAIN,
            why=_why(head[name], baselines[name], serving),
        )
        for name, words in SITUATIONS.items()
    )


def may_serve(found: Sequence[Verdict]) -> bool:
    """Whether the head may serve."""
    return all(one.serves != PLAIN for one in found)


def _named(shares: Shares | None, blend: Blend) -> str:
    if shares is None:
        return f"cold items x {blend.cold_gain:g} + {blend.cold_offset:g}"
    return " + ".join(f"{share:.2f} {name}" for name, share in shares._asdict().items() if share)


def _why(head: float, baselines: Mapping[str, float], serving: bool) -> str:
    best = max(baselines, key=lambda name: baselines[name])
    compared = f"head {head:.4f}, best baseline {best} {baselines[best]:.4f} (ndcg@20)"
    if not serving:
        return f"plain content ranks all items better than the head, and serves on; {compared}"
    if head >= baselines[best]:
        return f"the head is best; {compared}"
    return f"the best blend of the head's parts, though a baseline is better here; {compared}"
