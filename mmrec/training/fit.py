"""The verb `fit`: from a shop's behaviour to a head that serves it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError, NotFitted
from mmrec.evaluate.logs import Log, log_of_shop
from mmrec.evaluate.splits import rows_of
from mmrec.model.saved import Head
from mmrec.search.snapshot import Snapshot
from mmrec.search.vectors import CONTENT
from mmrec.store.catalogue import Catalogue
from mmrec.store.interactions import Journal
from mmrec.training.guard import Verdict, may_serve, rivals, verdicts
from mmrec.training.model import MANY, Report, TwoTower

WARM = 10  # times fewer epochs of a warm start than of a whole training
LEAST = 10  # users with two items or more, and items, without which nothing can be validated


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """What a training came to.

    Attributes:
        users: with interactions.
        items: with interactions.
        interactions: that were learned from, one for each user and item.
        seconds: wall time.
        warm_start: whether it went on from the head before; what was validated then still holds.
        ordered: whether it learned what comes next.
        served: whether the head serves; plain content does if it does not.
        verdicts: what serves in each situation and why, with figures of validation.
        fields: weight of each field in the content tower.
        curves: loss by stage and epoch, with seconds.
    """

    users: int
    items: int
    interactions: int
    seconds: float
    warm_start: bool
    ordered: bool
    served: bool
    verdicts: tuple[Verdict, ...]
    fields: Mapping[str, float]
    curves: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def fit(
    catalogue: Catalogue, snapshot: Snapshot, journal: Journal, *, warm_start: bool, ordered: bool,
    epochs: int | None, seed: int, device: str | None, progress: Report | None,
) -> FitReport:
    """Trains a head on all recorded wishes and lets it serve, if the guard agrees; see `Recommender.fit`."""
    began = time.perf_counter()
    before = _before(catalogue) if warm_start else None
    log = log_of_shop(journal, snapshot.ids)
    train = rows_of(log, np.ones(len(log.items), np.bool_))
    _check(log, np.diff(train.indptr))
    plan = before.towers.plan if before else snapshot.plan
    content = snapshot.content_by(plan) if before else snapshot.space(CONTENT)
    curves: list[Mapping[str, Any]] = []
    model = TwoTower(
        spans=plan.spans, ids=snapshot.ids, ordered=ordered, even=True, seed=seed, device=device,
        watch=_watch(curves, progress),
    )
    if before:
        model = refining(before, model, train.shape[0])
    if epochs is not None:
        recipe = replace(model.settings.recipe, epochs=_checked(epochs))
        model = replace(model, settings=replace(model.settings, recipe=recipe))
    model.fit(train, content)
    found = _remembered(before) if before else _judged(model, content, progress)
    served = may_serve(found)
    report = FitReport(
        users=len(log.user_ids), items=len(model.towers.ids), interactions=train.nnz,
        seconds=time.perf_counter() - began, warm_start=warm_start, ordered=model.ordered, served=served,
        verdicts=found, fields=dict(model.kernel.weights), curves=tuple(curves),
    )
    towers = replace(model.towers, plan=plan, dislike_weight=catalogue.config.dislike_weight)
    if progress:
        progress({"stage": "writing vectors"})
    head = Head(towers, model.behaviour.learned, report.as_dict()) if served else None
    catalogue.adopt(head, fitted_at=datetime.now(UTC).isoformat())
    return replace(report, seconds=time.perf_counter() - began)


def _before(catalogue: Catalogue) -> Head:
    head = catalogue.head()
    if head is None:
        raise NotFitted("warm_start goes on from a trained head, and none serves here: fit without it first")
    return head


def _check(log: Log, lengths: NDArray[np.int32]) -> None:
    """Refuses what nothing can be learned from."""
    users, items = int((lengths > 1).sum()), len(np.unique(log.items))
    if min(users, items) < LEAST:
        raise DataError(
            f"training needs {LEAST} users with two items or more and {LEAST} items, but the recorded wishes"
            f" (kinds of positive weight, for items of the catalogue) are of {users} such users and {items}"
            " items: record more with `mmrec record`"
        )


def refining(before: Head, model: TwoTower, users: int) -> TwoTower:
    """A model that goes on from a head with the log of so many users: nothing is validated anew.

    With many users it has fewer epochs, and the metric of content is kept.
    """
    settings = model.settings
    if users >= MANY:
        settings = settings.going_on(WARM)
        settings = replace(settings, metric=replace(settings.metric, epochs=0))
    ordered = before.report.get("ordered", model.ordered)
    return replace(model, before=before, ordered=ordered, settings=settings)


def _checked(epochs: int) -> int:
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise DataError(f"epochs must be a whole number from 1 up, got {epochs!r}", field="epochs")
    return epochs


def _watch(curves: list[Mapping[str, Any]], progress: Report | None) -> Report:
    def watch(said: Mapping[str, Any]) -> None:
        if "epoch" in said:
            curves.append(said)
        if progress:
            progress(said)

    return watch


def _judged(model: TwoTower, content: Vectors, progress: Report | None) -> tuple[Verdict, ...]:
    if progress:
        progress({"stage": "comparing with baselines"})
    return verdicts(model.figures, rivals(model.inner, content), model.towers.blend)


def _remembered(before: Head) -> tuple[Verdict, ...]:
    return tuple(Verdict(**one) for one in before.report["verdicts"])
