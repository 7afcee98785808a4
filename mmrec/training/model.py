"""The head as one model among others: `fit` learns, validates within its training, and blends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmrec.encoders.base import Vectors
from mmrec.evaluate.baselines import Baseline, Grid
from mmrec.evaluate.exposure import Exposure
from mmrec.model.behaviour import Settings, Start, behaviour_of
from mmrec.model.kernel_ridge import FieldKernel, Smoother, Spans, smoothed
from mmrec.model.metric import starting
from mmrec.model.parts import Behaviour, Blend, embeddings_from, filled
from mmrec.model.saved import Head
from mmrec.model.towers import TrainedTowers
from mmrec.training.guard import MET, Evidence, Verdict, after_joint, evidence, judged, may_serve
from mmrec.training.item_rows import ItemRows, Learned
from mmrec.training.refusals import Met, Refusals, appeal_from, by_refusals, held_out
from mmrec.training.tune import calibrated, chosen_blend, weighed_fields, with_metric
from mmrec.training.validation import (
    Inner,
    ItemParts,
    columns_of,
    inner_split,
    later_settings,
    scores_of,
)

Report = Callable[[Mapping[str, Any]], None]
FEWER = 5  # times fewer epochs on the whole log than on the validation's part, where they go on from it
MANY = 2_000  # users from which fewer epochs do; a smaller log is learned in full, which takes seconds
ALIKE = ", by the users who chose the blend, as there are too few others"
ATTRIBUTE_START = 0.5  # weight of an attribute in the content tower, before any is tried


@dataclass(kw_only=True)
class TwoTower(Baseline):
    """The trained head, whose parts are blended by a validation within its training.

    Args:
        spans: where each field lies in the content; None takes it as one field.
        ids: of all items; None takes their positions.
        ordered: whether the item embeddings learn which items come next in a history; else which items occur
            in the same histories, in whatever order.
        even: whether cold items are calibrated for a shop, where a new item is asked for as often as a known
            one; else as the item-cold protocol asks.
        settings: what all parts and the content tower are learned with.
        seed: of the validation and of the initial weights.
        device: of torch; None takes the CPU.
        watch: called with the progress: `stage`, and of a training `epoch`, `loss`, `seconds`, which `curves`
            keeps.
        before: a head to go on from, of the same content. Its kernel is kept, and its blend unless the guard
            changes it.
        since: which interactions of training [nnz] came after that head; the guard judges it by them.
        guarded: whether the blend is compared with baselines and may be changed, as `fit` does.
        exposure: how often items were shown, for which the validation is corrected; None corrects nothing.
        refused: what users met and refused [users and others, items]; None if nothing is known of it.
    """

    name: str = "mmrec"
    spans: Spans | None = None
    ids: Sequence[str] | None = None
    ordered: bool = False
    even: bool = False
    settings: Settings = field(default_factory=Settings)
    seed: int = 0
    device: str | None = None
    watch: Report | None = None
    before: Head | None = None
    since: NDArray[np.bool_] | None = None
    guarded: bool = False
    exposure: Exposure | None = None
    refused: csr_matrix | None = field(default=None, repr=False)
    grid: ClassVar[Grid] = ({},)
    towers: TrainedTowers = field(init=False, repr=False)
    behaviour: Behaviour = field(init=False, repr=False)
    together: bool = field(default=False, init=False)
    verdicts: dict[str, Verdict] = field(default_factory=dict, init=False, repr=False)
    curves: list[Mapping[str, Any]] = field(default_factory=list, init=False, repr=False)
    kernel: FieldKernel = field(init=False, repr=False)
    _rows: Vectors = field(init=False, repr=False)

    def fit(self, train: csr_matrix, content: Vectors, /) -> None:
        """Validates, or goes on from the head before; then learns all parts and the content tower."""
        rng = np.random.Generator(np.random.PCG64(self.seed))
        hot = np.unique(train.indices).astype(np.intp)
        if self.before is None:
            blend, settings, start = self._validated(train, content, hot, rng)
            # The items that the validation held out are yet to be learned. Few users make too few steps of an
            # epoch for that; and where order counts, it held out the last item of everybody, which says most.
            if train.shape[0] >= MANY and not self.ordered:
                settings = settings.going_on(FEWER)
            else:
                start = start._replace(metric=None)  # learned anew: twice as long would be too long
        else:
            self.kernel, settings = self.before.towers.smoother.kernel, self.settings
            blend = self._judged_before(self.before, train, content)
            start = self._start(self.before, content, hot)
            self.together = bool(self.before.towers.correction.any())
        self.behaviour = self._behaviour(train, content, hot, settings, "training", start)
        tower = self._content_tower(content, hot, self.behaviour, rng)
        learned = Learned(self.behaviour, *tower, *appeal_from(train, self.refused, content))
        rows = ItemRows.of(learned, train, content, hot, self._names(hot), blend, self.seed)
        if self.together:
            self.say("both towers")
            rows = rows.together(train, self.settings.towers, seed=self.seed, device=self.device)
        self.towers, self._rows = rows.towers, rows.all

    def _validated(
        self, train: csr_matrix, content: Vectors, every: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[Blend, Settings, Start]:
        """What a validation chose, and where to go on from with the whole log; sets the kernel."""
        inner = inner_split(
            train, rng, ordered=self.ordered, even=self.even,
            weights=self.exposure.weights if self.exposure else None,
        )
        hot = np.unique(inner.train.indices).astype(np.intp)
        columns, spans = columns_of(inner.train, hot), self._spans(content)
        metric = starting(columns, content[hot], spans, self.settings.metric.dim, seed=self.seed)
        learned = self._behaviour(
            inner.train, content, hot, self.settings, "validation", Start(None, metric)
        )
        behaviour = with_metric(metric, learned, content, inner.settings["cold"])
        epochs = self.settings.metric.epochs if behaviour is learned else 0
        settings = replace(self.settings, metric=replace(self.settings.metric, epochs=epochs))
        self.say("weighing fields")
        self.kernel = weighed_fields(
            content[hot], spans, _first_weights(spans), behaviour, columns, self.settings.ridge, rng
        )
        self.say("blending")
        asked = held_out(train, inner.train, self.refused, content, rng.spawn(1)[0])
        smoother, predicted = self._content_tower(content, hot, behaviour, rng)
        items_with = partial(ItemParts.of, hot, behaviour, behaviour.metric(content), predicted, asked.values)
        blend = chosen_blend(
            items_with, inner.settings, ordered=self.ordered, even=self.even, corrected=bool(self.exposure)
        )
        items = items_with(blend.prior, blend.fade)
        if asked.choosing:
            blend = by_refusals(asked.choosing, items, blend, corrected=bool(self.exposure))
            blend = self._calibrated(items, inner, blend)
        found: Evidence | None = None
        if self.guarded:
            blend, found = self._guarded(blend, items, inner, content, asked.judging)
        if train.shape[0] >= MANY and not self.ordered and may_serve(self.verdicts.values()):
            parts = Learned(behaviour, smoother, predicted, asked.appeal, asked.values)
            rows = ItemRows.of(parts, inner.train, content, hot, self._names(hot), blend, self.seed)
            self._try_together(rows, inner, found, asked.judging)
        self._tell_who_judged(inner, asked)
        at = np.full(len(content), -1)
        at[hot] = np.arange(len(hot))
        new = predicted[every[at[every] < 0]]
        embeddings = embeddings_from(behaviour.embeddings, at[every], new, behaviour.dims)
        return blend, settings, Start(embeddings, behaviour.metric)

    def _tell_who_judged(self, inner: Inner, asked: Refusals) -> None:
        """Adds to verdicts that the users who judged are those who chose, where they are."""
        alike = {name for name, setting in inner.judging.items() if setting is inner.settings[name]}
        alike |= {MET} if asked.judging is asked.choosing else set()
        self.verdicts |= {
            name: replace(self.verdicts[name], why=self.verdicts[name].why + ALIKE)
            for name in alike & set(self.verdicts)
        }

    def _guarded(
        self, blend: Blend, items: ItemParts, inner: Inner, content: Vectors, met: Met | None
    ) -> tuple[Blend, Evidence]:
        """The blend that the guard lets serve, and by what."""
        self.say("comparing with baselines")
        found = evidence(inner.train, content, inner.judging, items, met=met)
        blend, self.verdicts = judged(found, blend, partial(self._calibrated, items, inner))
        return blend, found

    def _calibrated(self, items: ItemParts, inner: Inner, blend: Blend) -> Blend:
        return calibrated(items, inner.settings, blend, even=self.even, corrected=bool(self.exposure))

    def _try_together(
        self, rows: ItemRows, inner: Inner, found: Evidence | None, met: Met | None
    ) -> None:
        """Lets both towers learn together if that ranks better for users by whom nothing was chosen."""
        self.say("both towers")
        after = rows.together(inner.train, self.settings.towers, seed=self.seed, device=self.device)
        before, values = rows.found(inner.judging), after.found(inner.judging)
        gains = [values[name].mean() - before[name].mean() for name in values]
        worse = met is not None and after.above(met).mean() < rows.above(met).mean()
        self.together = float(np.mean(gains)) > 0 and not worse
        if self.together and found:
            self.verdicts = after_joint(found, self.verdicts, values)

    def _judged_before(self, before: Head, train: csr_matrix, content: Vectors) -> Blend:
        """The blend of the head before, judged by what came since, of which it knew nothing.

        Source: Dawid 1984, Statistical theory: the prequential approach.
        """
        towers = before.towers
        if self.since is None or not self.guarded:
            return towers.blend
        at = towers.positions(self._names(range(len(content))))  # [items]
        known, new = np.flatnonzero(at >= 0), np.flatnonzero(at < 0)
        rng = np.random.Generator(np.random.PCG64(self.seed))
        earlier, settings = later_settings(train, self.since, known, rng)
        if not settings:
            return towers.blend
        self.say("comparing with baselines")
        targets = filled(at >= 0, towers.targets[at[known]], towers.smoother(content[new]))  # [items, t]
        metric, fade = towers.metric(content), towers.blend.fade
        appeal = filled(at >= 0, towers.appeals[at[known]], towers.appeal(content[new]))
        items = ItemParts(known, targets, metric, towers.base, towers.covariances, appeal, fade)
        found = evidence(earlier, content, settings, items, towers.blend.warm)
        blend, self.verdicts = judged(found, towers.blend, lambda changed: changed, sure=True)
        return blend

    def say(self, stage: str, **figures: float) -> None:
        """Tells the watch what is going on, and keeps the figures of an epoch."""
        said = {"stage": stage, **figures}
        if figures:
            self.curves.append(said)
        if self.watch:
            self.watch(said)

    def score(self, histories: csr_matrix, /) -> Vectors:
        """Inner products of users and items [u, items]."""
        return scores_of(self.towers, self._rows, histories)

    def _behaviour(
        self, train: csr_matrix, content: Vectors, hot: NDArray[np.intp], settings: Settings, stage: str,
        start: Start | None = None,
    ) -> Behaviour:
        settings = replace(settings, recipe=replace(settings.recipe, ordered=self.ordered))
        return behaviour_of(
            columns_of(train, hot), content[hot], self._spans(content), settings, seed=self.seed,
            weights=self.exposure.weights[hot] if self.exposure else None, start=start, device=self.device,
            watch=lambda curve: self.say(stage, **curve),
        )

    def _start(self, before: Head, content: Vectors, hot: NDArray[np.intp]) -> Start:
        """What the head before knew of these items; of new ones, what their content predicted."""
        at = before.towers.positions(self._names(hot))
        predicted = before.towers.smoother(content[hot[at < 0]])
        embeddings = embeddings_from(before.embeddings, at, predicted, before.towers.dims)
        return Start(embeddings, before.towers.metric)

    def _names(self, positions: Iterable[int]) -> list[str]:
        """Ids of the items at these positions."""
        return [self.ids[n] if self.ids else str(n) for n in positions]

    def _spans(self, content: Vectors) -> Spans:
        return self.spans or {"content": slice(0, content.shape[1])}

    def _content_tower(
        self, content: Vectors, hot: NDArray[np.intp], behaviour: Behaviour, rng: np.random.Generator
    ) -> tuple[Smoother, Vectors]:
        """The content tower, and what it predicts of all items [items, t]; of a hot one, from the others."""
        settings = self.settings
        smoother, left_out = smoothed(
            self.kernel, content[hot], behaviour.targets, settings.ridge, settings.landmarks, rng
        )
        is_hot = np.isin(np.arange(len(content)), hot)
        return smoother, filled(is_hot, left_out, smoother(content[~is_hot]))


def _first_weights(spans: Spans) -> dict[str, float]:
    """Fields as wide as an embedding weigh 1 to begin with, features of attributes less."""
    return {name: 1.0 if s.stop - s.start > 64 else ATTRIBUTE_START for name, s in spans.items()}
