"""The head as one model among others: `fit` learns, validates within its training, and blends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmrec.config import Config
from mmrec.encoders.base import Vectors
from mmrec.evaluate.baselines.counting import Baseline, Grid
from mmrec.model.behaviour import Behaviour, Settings, Start, behaviour_of
from mmrec.model.content import ContentPlan
from mmrec.model.item_embeddings import Learned
from mmrec.model.kernel_ridge import FieldKernel, Smoother, Spans, smoothed
from mmrec.model.saved import Head
from mmrec.model.trained import Blend, TrainedTowers, known_rows, spreads_of, trusted
from mmrec.training.tune import Lesson, chosen_blend, weighed_fields
from mmrec.training.validation import Inner, history_sums, inner_split

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Report = Callable[[Mapping[str, Any]], None]
FEWER = 5  # times fewer epochs for all of the log than for the validation's part, which they go on from
MANY = 2_000  # users from which fewer epochs do; a smaller log is learned in full, which takes seconds
ATTRIBUTE_START = 0.5  # weight of an attribute in the content tower before validation has its say


@dataclass(kw_only=True)
class TwoTower(Baseline):
    """The contrastive two-tower head with its closed-form part, blended by a validation of its own.

    Args:
        spans: where each field lies in the content; None takes it as one field.
        ids: of all items; None takes their positions.
        ordered: whether the places learn what comes next, in place of what belongs together.
        even: whether cold items are calibrated for a shop, where a new item is asked for as often as a known
            one; else as the item-cold protocol asks.
        settings: what all parts and the content tower are learned with.
        seed: of the split and of the start.
        device: of torch.
        watch: called with what is going on: `stage`, `epoch`, `loss`, `seconds`.
        before: a head to go on from, of the same content; its kernel and blend are kept, and nothing is
            validated anew.
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
    grid: ClassVar[Grid] = ({},)
    towers: TrainedTowers = field(init=False, repr=False)
    behaviour: Behaviour = field(init=False, repr=False)
    figures: Mapping[str, float] = field(default_factory=dict, init=False, repr=False)
    inner: Inner = field(init=False, repr=False)
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
            self.kernel, blend = self.before.towers.smoother.kernel, self.before.towers.blend
            start, settings = self._of_before(self.before, content, hot), self.settings
        self.behaviour = self._behaviour(train, content, hot, settings, "training", start)
        smoother, predicted = self._content_tower(content, hot, self.behaviour, rng)
        ids = [self.ids[place] if self.ids else str(place) for place in hot]
        self.towers = assembled(smoother, self.behaviour, content[hot], predicted[hot], blend, ids)
        self._rows = self.towers.rows_of(predicted, content, hot)

    def _validated(
        self, train: csr_matrix, content: Vectors, every: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[Blend, Start]:
        """The blend, and what to go on from with all of the log, by the inner validation.

        On the way, the kernel of the content tower.
        """
        self.inner = inner_split(train, rng, ordered=self.ordered, even=self.even)
        hot = np.unique(self.inner.train.indices).astype(np.intp)
        behaviour = self._behaviour(self.inner.train, content, hot, self.settings, "validation")
        self._say("weighing fields")
        spans = self._spans(content)
        self.kernel = weighed_fields(
            content[hot], spans, _starting_weights(spans), behaviour, _columns(self.inner.train, hot),
            self.settings.ridge, rng,
        )
        self._say("blending")
        _, predicted = self._content_tower(content, hot, behaviour, rng)
        lesson = Lesson(hot, behaviour, behaviour.metric(content), predicted, self.inner.settings)
        blend, self.figures = chosen_blend(lesson, ordered=self.ordered, even=self.even)
        at = np.full(len(content), -1)
        at[hot] = np.arange(len(hot))
        new = predicted[every[at[every] < 0]]
        places = places_from(behaviour.learned, at[every], new, behaviour.dims)
        return blend, Start(places, behaviour.metric)

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
        at = np.array([known.get(self.ids[p] if self.ids else str(p), -1) for p in hot])
        places = places_from(before.places, at, towers.smoother(content[hot[at < 0]]), towers.dims)
        return Start(places, towers.metric)

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
        known_rows(targets, metric, behaviour.dims, blend), behaviour.learned.base,
        spreads_of(behaviour, metric), blend, Config().dislike_weight,
    )


def places_from(
    learned: Learned, at: NDArray[np.intp], predicted: Vectors, dims: tuple[int, int]
) -> Learned:
    """Places of n items to go on from: learned at [n]; where that is -1, what content predicts [new, t]."""
    r, h = dims
    known = at >= 0
    _, _, *parts = np.split(predicted, np.cumsum([r, r, h, h]), axis=1)  # [new, h], [new, h], [new, 1]
    given, taken, bias = (
        _filled(known, old[at[known]], new) for old, new in zip(
            (learned.given, learned.taken, learned.bias[:, None]), parts, strict=True
        )
    )
    return Learned(given, learned.base, taken, bias[:, 0])


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

    places = np.full(train.shape[1], -1, np.int32)
    places[hot] = np.arange(len(hot), dtype=np.int32)
    return csr_matrix((train.data, places[train.indices], train.indptr), (train.shape[0], len(hot)))
