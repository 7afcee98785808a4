"""The verb `fit`: from a shop's behaviour to a head that serves it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec.config import Config
from mmrec.errors import DataError, NotFitted
from mmrec.evaluate.exposure import exposure_of
from mmrec.evaluate.logs import Log, bounded, log_and_refused
from mmrec.evaluate.splits import refused_beside, rows_of
from mmrec.model.content import ContentPlan
from mmrec.model.saved import Head
from mmrec.ranking.request import check_whole
from mmrec.search.snapshot import Snapshot
from mmrec.store.catalogue import Catalogue
from mmrec.store.interactions import Interactions
from mmrec.training.guard import SITUATIONS, Verdict, may_serve
from mmrec.training.model import MANY, Report, TwoTower
from mmrec.training.shown import shown_of, together

WARM = 10  # times fewer epochs of a warm start than of a whole training
LEAST = 10  # users with two items or more, and items, without which nothing can be validated


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """The outcome of a training.

    Attributes:
        users, items: with interactions.
        interactions: that were learned from, one for each user and item.
        left_out: earlier ones of users who have far more than others, as `bounded` leaves them out.
        seconds: wall time.
        warm_start: whether it went on from the head before.
        ordered: whether it learned which items come next in a history.
        served: whether the head serves; plain content does if it does not.
        verdicts: what serves in each situation and why, with figures of users by whom nothing was chosen.
        fields: weight of each field in the content tower.
        exposure: what told how often items were shown, for which the verdicts are corrected; None if the log
            does not betray it, and the verdicts are of what is recorded as it stands.
        curves: `stage`, `epoch`, `loss` and `seconds` of each epoch.
    """

    users: int
    items: int
    interactions: int
    left_out: int
    seconds: float
    warm_start: bool
    ordered: bool
    served: bool
    verdicts: tuple[Verdict, ...]
    fields: Mapping[str, float]
    exposure: str | None = None
    curves: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def fit(
    catalogue: Catalogue, snapshot: Snapshot, behaviour: Interactions, *, warm_start: bool, ordered: bool,
    epochs: int | None, seed: int, device: str | None, progress: Report | None,
) -> FitReport:
    """Trains a head on all recorded positives, and lets it serve.

    The head is compared with baselines, on users by whom nothing was chosen; after a warm start, on what was
    recorded since the head before. Where a baseline is better, the part of the head that is nearest to it
    serves alone; where plain content ranks all items better, the head does not serve. The report says so.

    Args:
        warm_start: go on from the head that serves; its blend is kept unless that comparison changes it.
        ordered: learn which items come next in a history; a warm start does as the training before it.
        epochs: passes over all users; None takes the default.
        seed: the same gives the same head, on one device.
        device: of torch, such as `"cuda"`; None takes the CPU.
        progress: called with the progress: `stage`, and of a training `epoch`, `loss`, `seconds`.

    Raises:
        DataError: there are too few interactions, or an argument cannot be used.
        NotFitted: `warm_start` without a head to go on from.
    """
    began, before = time.perf_counter(), catalogue.head() if warm_start else None
    if warm_start and before is None:
        raise NotFitted("warm_start goes on from a trained head, and none serves here: fit without it first")
    version = behaviour.table.frozen().version  # before the log is read: what comes meanwhile is not learned
    whole, refused = log_and_refused(behaviour, snapshot.ids)
    log = bounded(whole)
    train = rows_of(log, np.ones(len(log.items), np.bool_))
    _check(log, np.diff(train.indptr))
    plan = before.towers.plan if before else snapshot.plan
    model = TwoTower(
        spans=plan.spans, ids=snapshot.ids, ordered=ordered, even=True, guarded=True, seed=seed,
        device=device, watch=progress, **_met(behaviour, snapshot, whole, refused),
    )
    if before:
        since = _recorded_since(behaviour, log, catalogue.store.facts.get("fitted_version"))
        model = replace(refining(before, model, train.shape[0]), since=since)
    model = _with_epochs(model, epochs)
    model.fit(train, snapshot.content_by(plan))
    report = _report(model, before, log, len(whole.items), time.perf_counter() - began)
    model.say("writing vectors")
    head, now = _head(model, plan, catalogue.config, report), datetime.now(UTC).isoformat()
    catalogue.adopt(head, fitted_at=now, fitted_version=version)
    return replace(report, seconds=time.perf_counter() - began)


def _head(model: TwoTower, plan: ContentPlan, config: Config, report: FitReport) -> Head | None:
    """The head that serves; None if plain content does."""
    towers = replace(model.towers, plan=plan, dislike_weight=config.dislike_weight)
    head = Head(towers, model.behaviour.embeddings, report.as_dict(), model.sequence)
    return head if report.served else None


def _met(behaviour: Interactions, snapshot: Snapshot, log: Log, refused: Log) -> dict[str, Any]:
    """What users met and refused, and how often items were shown: by dislikes, else by impressions."""
    disliked = refused_beside(log, refused)
    shown = shown_of(behaviour.impressions.shown(snapshot.ids), log)
    exposure = exposure_of(*(
        np.bincount(one.items, minlength=len(log.item_ids)).astype(np.float64) for one in (log, refused)
    ))
    if shown is None:
        return {"refused": disliked, "exposure": exposure}
    return {"refused": together(disliked, shown.refused), "exposure": exposure or shown.exposure}


def _report(
    model: TwoTower, before: Head | None, log: Log, recorded: int, seconds: float
) -> FitReport:
    """The report of a fitted model; a situation that was not judged keeps the verdict of the head before."""
    kept = [] if before is None else [Verdict.from_dict(one) for one in before.report["verdicts"]]
    found = {one.situation: one for one in [*kept, *model.verdicts.values()]}
    verdicts = tuple(found[words] for words in SITUATIONS.values() if words in found)
    return FitReport(
        users=len(log.user_ids), items=len(model.towers.ids), interactions=len(log.items),
        left_out=recorded - len(log.items), seconds=seconds, warm_start=before is not None,
        ordered=model.ordered, served=may_serve(verdicts), verdicts=verdicts,
        fields=dict(model.kernel.weights), exposure=model.exposure.why if model.exposure else None,
        curves=tuple(model.curves),
    )


def _check(log: Log, lengths: NDArray[np.int32]) -> None:
    """Refuses a log with too few users or items; `lengths` are of the users' histories [users]."""
    users, items = int((lengths > 1).sum()), len(np.unique(log.items))
    if min(users, items) < LEAST:
        raise DataError(
            f"training needs {LEAST} users with two items or more and {LEAST} items, but the recorded wishes"
            f" (kinds of positive weight, for items of the catalogue) are of {users} such users and {items}"
            " items: record more with `mmrec record`"
        )


def refining(before: Head, model: TwoTower, users: int) -> TwoTower:
    """A model that goes on from a head with the log of so many users: nothing is chosen anew.

    With many users it has fewer epochs, one in which both towers learn, and the metric of content is kept.
    """
    settings = model.settings
    if users >= MANY:
        settings = settings.going_on(WARM)
        metric, towers = replace(settings.metric, epochs=0), replace(settings.towers, epochs=1)
        settings = replace(settings, metric=metric, towers=towers)
    ordered = before.report.get("ordered", model.ordered)
    return replace(model, before=before, ordered=ordered, settings=settings)


def _with_epochs(model: TwoTower, epochs: int | None) -> TwoTower:
    if epochs is None:
        return model
    settings, epochs = model.settings, check_whole(epochs, "epochs", 1)
    return replace(model, settings=replace(
        settings, recipe=replace(settings.recipe, epochs=epochs),
        sequence=replace(settings.sequence, epochs=epochs),
    ))


def _recorded_since(behaviour: Interactions, log: Log, version: int | None) -> NDArray[np.bool_] | None:
    """Which interactions of the log [n] were recorded after a version of their table; None if unknown."""
    where = None if version is None else behaviour.table.written_since(version)
    if where is None:
        return None
    rows = behaviour.table.scan(["user_id", "item_id", "time"], where)
    users, items = (
        np.array(pc.index_in(rows[name], value_set=pa.array(ids, pa.string())).fill_null(-1), np.int64)
        for name, ids in (("user_id", log.user_ids), ("item_id", log.item_ids))
    )
    n = len(log.item_ids)
    pairs = (users * n + items)[(users >= 0) & (items >= 0)]
    later = np.isin(log.users.astype(np.int64) * n + log.items, pairs)
    return later & np.isin(log.times, rows["time"].cast(pa.int64()).to_numpy())  # else it was known before
