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
from mmrec.model.kernel_ridge import FieldKernel, Spans
from mmrec.model.metric import starting
from mmrec.model.ordered_towers import SequencePart
from mmrec.model.parts import Behaviour, Blend, filled
from mmrec.model.saved import Head
from mmrec.model.sequence import train_sequences
from mmrec.model.towers import TrainedTowers
from mmrec.training.guard import (
    Evidence,
    Verdict,
    after_change,
    evidence,
    judged,
    may_serve,
    told_who_judged,
)
from mmrec.training.item_rows import WIDTH, ItemRows, Learned
from mmrec.training.refusals import Met, appeal_from, by_refusals, held_out
from mmrec.training.sequences import OrderedRows, Sequenced, content_tower, going_on, handed_on
from mmrec.training.tune import calibrated, chosen_blend, first_weights, weighed_fields, with_metric
from mmrec.training.validation import Inner, ItemParts, columns_of, inner_split, later_settings

Report = Callable[[Mapping[str, Any]], None]
TRIED = 3  # times fewer epochs of a sequence tower by which its share is chosen
FEWER = 5  # times fewer epochs on the whole log than on the validation's part, where they go on from it
NEXT = "next items"  # the stage in which a sequence tower learns from the whole log
MANY = 2_000  # users from which fewer epochs do; a smaller log is learned in full, which takes seconds


@dataclass(kw_only=True)
class TwoTower(Baseline):
    """The trained head, whose parts are blended by a validation within its training.

    Args:
        spans: where each field lies in the content; None takes it as one field.
        ids: of all items; None takes their positions.
        ordered: whether the item embeddings and a sequence tower learn which items come next in a history;
            else which items occur in the same histories, in whatever order.
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
    sequence: SequencePart | None = field(default=None, init=False, repr=False)
    _rows: ItemRows | OrderedRows = field(init=False, repr=False)

    def fit(self, train: csr_matrix, content: Vectors, /) -> None:
        """Validates, or goes on from the head before; then learns all parts and the content tower."""
        rng = np.random.Generator(np.random.PCG64(self.seed))
        hot, self.sequence = np.unique(train.indices).astype(np.intp), None
        if self.before is None:
            blend, settings, start, ordered = self._validated(train, content, hot, rng)
            # The items that the validation held out are yet to be learned. Few users make too few steps of an
            # epoch for that; and where order counts, it held out the last item of everybody, which says most.
            if train.shape[0] >= MANY and not self.ordered:
                settings = settings.going_on(FEWER)
            else:
                start = start._replace(metric=None)  # learned anew: twice as long would be too long
        else:
            self.kernel, settings = self.before.towers.smoother.kernel, self.settings
            blend = self._judged_before(self.before, train, content)
            start, ordered = going_on(self.before, self._names(hot), content[hot])
            self.together = bool(self.before.towers.correction.any())
            self.sequence = self.before.sequence
        self.behaviour = self._behaviour(train, content, hot, settings, "training", start)
        sequence = self._sequence(train, hot, settings, NEXT, ordered)
        smoother, predicted, beside = content_tower(
            self.kernel, self.settings, content, hot, self.behaviour, sequence, rng)
        learned = Learned(self.behaviour, smoother, predicted, *appeal_from(train, self.refused, content))
        rows = self._item_rows(learned, train, content, hot, blend, sequence)
        if self.together:
            self.say("both towers")
            rows = rows.together(train, self.settings.towers, seed=self.seed, device=self.device)
        self.towers, self._rows = rows.towers, rows
        if self.sequence is not None and sequence is not None and beside is not None:
            self._rows = OrderedRows.of(rows, sequence, beside).having(self.sequence)
            self.sequence = self._rows.part

    def _validated(
        self, train: csr_matrix, content: Vectors, every: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[Blend, Settings, Start, Sequenced | None]:
        """What a validation chose, and where to go on from with the whole log; sets kernel and verdicts."""
        weights = self.exposure.weights if self.exposure else None
        inner = inner_split(train, rng, ordered=self.ordered, even=self.even, weights=weights)
        hot = np.unique(inner.train.indices).astype(np.intp)
        columns, spans = columns_of(inner.train, hot), self._spans(content)
        metric = starting(columns, content[hot], spans, self.settings.metric.dim, seed=self.seed)
        first = Start(None, metric)
        learned = self._behaviour(inner.train, content, hot, self.settings, "validation", first)
        behaviour = with_metric(metric, learned, content, inner.settings["cold"])
        epochs = self.settings.metric.epochs if behaviour is learned else 0
        settings = replace(self.settings, metric=replace(self.settings.metric, epochs=epochs))
        self.say("weighing fields")
        self.kernel = weighed_fields(
            content[hot], spans, first_weights(spans), behaviour, columns, settings.ridge, rng)
        self.say("blending")
        asked = held_out(train, inner.train, self.refused, content, rng.spawn(1)[0])
        sequence = self._sequence(inner.train, hot, settings.tried(TRIED), "validation of next items")
        smoother, predicted, beside = content_tower(
            self.kernel, settings, content, hot, behaviour, sequence, rng)
        items_with = partial(ItemParts.of, hot, behaviour, behaviour.metric(content), predicted, asked.values)
        blend = chosen_blend(
            items_with, inner.settings, ordered=self.ordered, even=self.even, corrected=bool(self.exposure))
        items = items_with(blend.prior, blend.fade)
        if asked.choosing:
            blend = by_refusals(asked.choosing, items, blend, corrected=bool(self.exposure))
            blend = self._calibrated(items, inner, blend)
        found: Evidence | None = None
        if self.guarded:
            blend, found = self._guarded(blend, items, inner, content, asked.judging)
        parts = Learned(behaviour, smoother, predicted, asked.appeal, asked.values)
        make = partial(self._item_rows, parts, inner.train, content, hot, blend, sequence)
        may = may_serve(self.verdicts.values())
        if may and train.shape[0] >= MANY and not self.ordered:
            self._try_together(make(), inner, found, asked.judging)
        if may and sequence is not None and beside is not None:
            self._try_ordered(OrderedRows.of(make(), sequence, beside), inner, found, asked.judging)
        self.verdicts = told_who_judged(self.verdicts, inner, asked.judging is asked.choosing)
        beside = beside and beside._replace(items=beside.items[every])
        handed = handed_on(np.isin(every, hot), behaviour, predicted[every], sequence, beside)
        return blend, settings, *handed

    def _try_ordered(
        self, rows: OrderedRows, inner: Inner, found: Evidence | None, met: Met | None
    ) -> None:
        """Lets the sequence tower serve if that ranks better for users by whom nothing was chosen."""
        self.say("comparing with the order of histories")
        rows = rows.chosen(inner.settings)
        values, before = rows.found(inner.judging), rows.rows.found(inner.judging)
        worse = met is not None and rows.above(met).mean() < rows.rows.above(met).mean()
        if worse or values["warm"].mean() <= before["warm"].mean():
            return
        self.sequence = rows.part
        if found:
            words = f"{rows.part.share:.1f} of a sequence tower"
            self.verdicts = after_change(found, self.verdicts, values, words)

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
            self.verdicts = after_change(found, self.verdicts, values, "both towers together")

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
        return self._rows.scores(histories)

    def _sequence(
        self, train: csr_matrix, hot: NDArray[np.intp], settings: Settings, stage: str,
        start: Sequenced | None = None,
    ) -> Sequenced | None:
        """What a sequence tower learns of the hot items; None where order does not count, or none serves."""
        if not self.ordered or (stage == NEXT and self.sequence is None):
            return None
        return Sequenced(*train_sequences(
            columns_of(train, hot), settings.sequence, seed=self.seed, start=start, device=self.device,
            watch=lambda curve: self.say(stage, **curve),
        ))

    def _item_rows(
        self, learned: Learned, train: csr_matrix, content: Vectors, hot: NDArray[np.intp], blend: Blend,
        sequence: Sequenced | None,
    ) -> ItemRows:
        """Rows of the head, which leave room for the vectors of a sequence tower."""
        width = WIDTH - (0 if sequence is None else sequence.items.shape[1])
        return ItemRows.of(learned, train, content, hot, self._names(hot), blend, self.seed, width)

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

    def _names(self, positions: Iterable[int]) -> list[str]:
        """Ids of the items at these positions."""
        return [self.ids[n] if self.ids else str(n) for n in positions]

    def _spans(self, content: Vectors) -> Spans:
        return self.spans or {"content": slice(0, content.shape[1])}
