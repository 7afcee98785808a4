"""The head as one model among others: `fit` learns, validates within its training, and blends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmrec.config import Config
from mmrec.encoders.base import Vectors
from mmrec.evaluate.baselines import Baseline, Grid
from mmrec.evaluate.logs import Setting
from mmrec.model.behaviour import Behaviour, Settings, Start, behaviour_of
from mmrec.model.closed_form import FieldKernel, Smoother, Spans, smoothed
from mmrec.model.content import ContentPlan
from mmrec.model.item_embeddings import ItemEmbeddings
from mmrec.model.saved import Head
from mmrec.model.trained import Blend, TrainedTowers, covariances_of, known_rows, trusted
from mmrec.training.guard import Verdict, evidence, judged, rivals
from mmrec.training.tune import InnerFit, calibrated, chosen_blend, weighed_fields
from mmrec.training.validation import ItemParts, history_sums, inner_split, later_settings

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Report = Callable[[Mapping[str, Any]], None]
FEWER = 5  # times fewer epochs for all of the log than for the validation's part, which they go on from
MANY = 2_000  # users from which fewer epochs do; a smaller log is learned in full, which takes seconds
ALIKE = ", by the users who chose the blend, as there are too few others"
ATTRIBUTE_START = 0.5  # weight of an attribute in the content tower before validation has its say


@dataclass(kw_only=True)
class TwoTower(Baseline):
    """The contrastive two-tower head with its closed-form part, blended by a validation of its own.

    Args:
        spans: where each field lies in the content; None takes it as one field.
        ids: of all items; None takes their positions.
        ordered: whether the item embeddings learn what comes next, in place of what belongs together.
        even: whether cold items are calibrated for a shop, where a new item is asked for as often as a known
            one; else as the item-cold protocol asks.
        settings: what all parts and the content tower are learned with.
        seed: of the split and of the start.
        device: of torch.
        watch: called with what is going on: `stage`, `epoch`, `loss`, `seconds`.
        before: a head to go on from, of the same content; its kernel is kept, and its blend as far as the
            guard agrees.
        since: which interactions of training [nnz] came after that head, which they judge.
        guarded: whether users who decided nothing judge the blend beside baselines, as `fit` has it.
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
    grid: ClassVar[Grid] = ({},)
    towers: TrainedTowers = field(init=False, repr=False)
    behaviour: Behaviour = field(init=False, repr=False)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict, init=False, repr=False)
    kernel: FieldKernel = field(init=False, repr=False)
    _rows: Vectors = field(init=False, repr=False)

    def _learn(self, train: csr_matrix, content: Vectors, /) -> None:
        rng = np.random.Generator(np.random.PCG64(self.seed))
        hot = np.unique(train.indices).astype(np.intp)
        if self.before is None:
            blend, start = self._validated(train, content, hot, rng)
            # Where order counts, the validation kept what says most of it: the last item of everybody. And
            # few users make few steps of an epoch, too few for the items that the validation kept.
            brief = train.shape[0] >= MANY and not self.ordered
            settings = self.settings.going_on(FEWER) if brief else self.settings
        else:
            self.kernel, settings = self.before.towers.smoother.kernel, self.settings
            blend = self._judged_before(self.before, train, content)
            start = self._of_before(self.before, content, hot)
        self.behaviour = self._behaviour(train, content, hot, settings, "training", start)
        smoother, predicted = self._content_tower(content, hot, self.behaviour, rng)
        ids = self._names(hot)
        self.towers = assembled(smoother, self.behaviour, content[hot], predicted[hot], blend, ids)
        self._rows = self.towers.rows_of(predicted, content, hot)

    def _validated(
        self, train: csr_matrix, content: Vectors, every: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[Blend, Start]:
        """The blend, and what to go on from with all of the log, by the inner validation.

        On the way, the kernel of the content tower.
        """
        inner = inner_split(train, rng, ordered=self.ordered, even=self.even)
        hot = np.unique(inner.train.indices).astype(np.intp)
        behaviour = self._behaviour(inner.train, content, hot, self.settings, "validation")
        self._say("weighing fields")
        spans = self._spans(content)
        self.kernel = weighed_fields(
            content[hot], spans, _starting_weights(spans), behaviour, _columns(inner.train, hot),
            self.settings.ridge, rng,
        )
        self._say("blending")
        _, predicted = self._content_tower(content, hot, behaviour, rng)
        fit = InnerFit(hot, behaviour, behaviour.metric(content), predicted)
        blend = chosen_blend(fit, inner.settings, ordered=self.ordered, even=self.even)
        if self.guarded:
            items = fit.items(blend.prior, blend.fade)
            blend = self._guard(
                inner.train, content, inner.judging, items, blend,
                lambda changed: calibrated(items, inner.settings, changed, even=self.even),
            )
            alike = {name for name, setting in inner.judging.items() if setting is inner.settings[name]}
            self.verdicts = {
                name: replace(one, why=one.why + ALIKE) if name in alike else one
                for name, one in self.verdicts.items()
            }
        at = np.full(len(content), -1)
        at[hot] = np.arange(len(hot))
        new = predicted[every[at[every] < 0]]
        embeddings = embeddings_from(behaviour.embeddings, at[every], new, behaviour.dims)
        return blend, Start(embeddings, behaviour.metric)

    def _guard(
        self, train: csr_matrix, content: Vectors, settings: Mapping[str, Setting], items: ItemParts,
        blend: Blend, recalibrated: Callable[[Blend], Blend],
    ) -> Blend:
        """The blend that serves on these settings, whose verdicts are kept."""
        self._say("comparing with baselines")
        baselines = rivals(len(content), brief=self.before is not None)
        found = evidence(baselines, train, content, settings, items)
        blend, self.verdicts = judged(found, blend, recalibrated)
        return blend

    def _judged_before(self, before: Head, train: csr_matrix, content: Vectors) -> Blend:
        """The blend of the head before, judged by what came since, of which it knew nothing.

        Source: Dawid 1984, Statistical theory: the prequential approach.
        """
        towers = before.towers
        if self.since is None or not self.guarded:
            return towers.blend
        position = {item_id: n for n, item_id in enumerate(self._names(range(len(content))))}
        at = np.array([position.get(item_id, -1) for item_id in towers.ids], np.intp)
        rng = np.random.Generator(np.random.PCG64(self.seed))
        earlier, settings = later_settings(train, self.since, at[at >= 0], rng)
        if not settings:
            return towers.blend
        targets = towers.smoother(content)  # [items, t]
        targets[at[at >= 0]] = towers.targets[at >= 0]
        items = ItemParts(
            at[at >= 0], targets, towers.metric(content), towers.dims, towers.base, towers.covariances,
            towers.blend.fade,
        )
        return self._guard(earlier, content, settings, items, towers.blend, lambda changed: changed)

    def _say(self, stage: str) -> None:
        if self.watch:
            self.watch({"stage": stage})

    def _rank(self, histories: csr_matrix, /) -> Vectors:
        lengths = np.diff(histories.indptr)
        sums = history_sums(histories, self.towers.remembered(self._rows), self.towers.blend.fade)
        return self.towers.vectors(sums, lengths) @ self.towers.searched(self._rows).T  # [u, d] @ [d, items]

    def _behaviour(
        self, train: csr_matrix, content: Vectors, hot: NDArray[np.intp], settings: Settings, stage: str,
        start: Start | None = None,
    ) -> Behaviour:
        settings = replace(settings, recipe=replace(settings.recipe, ordered=self.ordered))
        report = self.watch
        watch = None if report is None else (lambda curve: report({"stage": stage, **curve}))
        return behaviour_of(
            _columns(train, hot), content[hot], self._spans(content), settings, seed=self.seed, start=start,
            device=self.device, watch=watch,
        )

    def _of_before(self, before: Head, content: Vectors, hot: NDArray[np.intp]) -> Start:
        """What the head before knew of these items; of new ones, what their content predicted."""
        towers, known = before.towers, {name: n for n, name in enumerate(before.towers.ids)}
        at = np.array([known.get(item_id, -1) for item_id in self._names(hot)])
        predicted = towers.smoother(content[hot[at < 0]])
        return Start(embeddings_from(before.embeddings, at, predicted, towers.dims), towers.metric)

    def _names(self, positions: Iterable[int]) -> list[str]:
        """Ids of the items at these positions."""
        return [self.ids[n] if self.ids else str(n) for n in positions]

    def _spans(self, content: Vectors) -> Spans:
        return self.spans or {"content": slice(0, content.shape[1])}

    def _content_tower(
        self, content: Vectors, hot: NDArray[np.intp], behaviour: Behaviour, rng: np.random.Generator
    ) -> tuple[Smoother, Vectors]:
        """The content tower, and what it predicts of all items [items, t], of hot ones from the others."""
        settings = self.settings
        smoother, left_out = smoothed(
            self.kernel, content[hot], behaviour.targets, settings.ridge, settings.landmarks, rng
        )
        cold = np.setdiff1d(np.arange(len(content)), hot)
        predicted = np.empty((len(content), left_out.shape[1]), np.float32)
        predicted[hot], predicted[cold] = left_out, smoother(content[cold])
        return smoother, predicted


def assembled(
    smoother: Smoother, behaviour: Behaviour, content: Vectors, predicted: Vectors, blend: Blend,
    ids: list[str],
) -> TrainedTowers:
    """Towers of what was learned of items with these ids and content [n, c].

    Args:
        predicted: what the content of the others predicts of each [n, t].
    """
    targets, metric = trusted(behaviour, predicted, blend.prior), behaviour.metric(content)
    return TrainedTowers(
        ContentPlan(), smoother, behaviour.metric, ids,
        known_rows(targets, metric, behaviour.dims, blend), behaviour.embeddings.base,
        covariances_of(behaviour, metric), blend, Config().dislike_weight,
    )


def embeddings_from(
    learned: ItemEmbeddings, at: NDArray[np.intp], predicted: Vectors, dims: tuple[int, int]
) -> ItemEmbeddings:
    """Embeddings of n items to go on from: learned at [n]; where that is -1, as content predicts [new, t]."""
    r, h = dims
    known = at >= 0
    _, _, *parts = np.split(predicted, np.cumsum([r, r, h, h]), axis=1)  # [new, h], [new, h], [new, 1]
    inputs, outputs, bias = (
        _filled(known, old[at[known]], new) for old, new in zip(
            (learned.input, learned.output, learned.bias[:, None]), parts, strict=True
        )
    )
    return ItemEmbeddings(inputs, learned.base, outputs, bias[:, 0])


def _filled(known: NDArray[np.bool_], old: Vectors, new: Vectors) -> Vectors:
    """Rows [n, d], the known ones old, the others new."""
    rows = np.empty((len(known), old.shape[1]), np.float32)
    rows[known], rows[~known] = old, new
    return rows


def _starting_weights(spans: Spans) -> dict[str, float]:
    """Fields as wide as an embedding weigh 1, features of attributes less."""
    return {name: 1.0 if s.stop - s.start > 64 else ATTRIBUTE_START for name, s in spans.items()}


def _columns(train: csr_matrix, hot: NDArray[np.intp]) -> csr_matrix:
    """The columns of hot items, each row in its order (slicing would sort it)."""
    from scipy.sparse import csr_matrix

    column = np.full(train.shape[1], -1, np.int32)
    column[hot] = np.arange(len(hot), dtype=np.int32)
    return csr_matrix((train.data, column[train.indices], train.indptr), (train.shape[0], len(hot)))
