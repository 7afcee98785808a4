"""The head as one model among others: `fit` learns, validates within its training, and blends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmrec.content import ContentPlan
from mmrec.encoders.base import Vectors
from mmrec.evaluate.baselines.base import Baseline, Grid
from mmrec.head.behaviour import Behaviour, Settings, behaviour_of
from mmrec.head.blend import Blend
from mmrec.head.kernels import FieldKernel, Smoother, Spans, smoothed
from mmrec.head.trained import TrainedTowers, known_rows, spreads_of, trusted
from mmrec.training.answers import history_sums
from mmrec.training.choose import Lesson, chosen_blend
from mmrec.training.fields import weighed_fields
from mmrec.training.inner import inner_split

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Report = Callable[[Mapping[str, Any]], None]
ATTRIBUTE_START = 0.5  # weight of an attribute in the content tower before validation has its say


@dataclass(kw_only=True)
class TwoTower(Baseline):
    """The contrastive two-tower head with its closed-form half, blended by a validation of its own.

    Args:
        spans: where each field lies in the content; None takes it as one field.
        ordered: whether the contrastive half learns what comes next, in place of what belongs together.
        settings: what both halves and the content tower are learned with.
        seed: of the split and of the start.
        device: of torch.
        watch: called with what is going on: `stage`, `epoch`, `loss`, `seconds`.
    """

    name: str = "mmrec"
    spans: Spans | None = None
    ordered: bool = False
    settings: Settings = field(default_factory=Settings)
    seed: int = 0
    device: str | None = None
    watch: Report | None = None
    grid: ClassVar[Grid] = ({},)
    towers: TrainedTowers = field(init=False, repr=False)
    figures: Mapping[str, float] = field(init=False, repr=False)
    kernel: FieldKernel = field(init=False, repr=False)
    _rows: Vectors = field(init=False, repr=False)

    def _learn(self, train: csr_matrix, content: Vectors, /) -> None:
        spans = self._spans(content)
        rng = np.random.Generator(np.random.PCG64(self.seed))
        inner = inner_split(train, rng, ordered=self.ordered)
        hot, behaviour = self._behaviour(inner.train, content, "validation")
        self.kernel = weighed_fields(
            content[hot], spans, _starting_weights(spans), behaviour, _columns(inner.train, hot),
            self.settings.ridge, rng,
        )
        _, predicted = self._content_tower(content, hot, behaviour, rng)
        lesson = Lesson(hot, behaviour, behaviour.metric(content), predicted, inner.settings)
        blend, self.figures = chosen_blend(lesson, ordered=self.ordered)
        hot, behaviour = self._behaviour(train, content, "training")
        smoother, predicted = self._content_tower(content, hot, behaviour, rng)
        names = [str(place) for place in hot]
        self.towers = assembled(smoother, behaviour, content[hot], predicted[hot], blend, names)
        self._rows = self.towers.rows_of(predicted, content, hot)

    def _rank(self, histories: csr_matrix, /) -> Vectors:
        lengths = np.diff(histories.indptr)
        sums = history_sums(histories, self.towers.remembered(self._rows), self.towers.blend.fade)
        return self.towers.vectors(sums, lengths) @ self.towers.searched(self._rows).T  # [u, d] @ [d, items]

    def _behaviour(
        self, train: csr_matrix, content: Vectors, stage: str
    ) -> tuple[NDArray[np.intp], Behaviour]:
        hot = np.unique(train.indices).astype(np.intp)
        recipe = replace(self.settings.recipe, ordered=self.ordered)
        report = self.watch
        watch = None if report is None else (lambda curve: report({"stage": stage, **curve}))
        return hot, behaviour_of(
            _columns(train, hot), content[hot], self._spans(content),
            replace(self.settings, recipe=recipe), seed=self.seed, device=self.device, watch=watch,
        )

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
    ids: list[str], *, plan: ContentPlan | None = None, dislike_weight: float = 0.25,
) -> TrainedTowers:
    """Towers of what was learned of items with these ids and content [n, c].

    Args:
        predicted: what the content of the others predicts of each [n, t].
    """
    targets, metric = trusted(behaviour, predicted, blend.prior), behaviour.metric(content)
    return TrainedTowers(
        plan or ContentPlan(), smoother, behaviour.metric, ids,
        known_rows(targets, metric, behaviour.dims, blend), behaviour.learned.base,
        spreads_of(behaviour, metric), blend, dislike_weight,
    )


def _starting_weights(spans: Spans) -> dict[str, float]:
    """Fields as wide as an embedding weigh 1, features of attributes less."""
    return {name: 1.0 if s.stop - s.start > 64 else ATTRIBUTE_START for name, s in spans.items()}


def _columns(train: csr_matrix, hot: NDArray[np.intp]) -> csr_matrix:
    """The columns of hot items, each row in its order (slicing would sort it)."""
    from scipy.sparse import csr_matrix

    places = np.full(train.shape[1], -1, np.int32)
    places[hot] = np.arange(len(hot), dtype=np.int32)
    return csr_matrix((train.data, places[train.indices], train.indptr), (train.shape[0], len(hot)))
