"""Models tuned with the same budget on validation, then judged once on test."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError, MissingExtra
from mmrec.evaluate import splits
from mmrec.evaluate.baselines import BASELINES, Baseline
from mmrec.evaluate.run import Result, evaluate_split
from mmrec.evaluate.setting import Log, Split
from mmrec.evaluate.shop import log_of_shop
from mmrec.evaluate.tune import Try, tune
from mmrec.head.kernels import Spans
from mmrec.journal import Journal
from mmrec.snapshot import Snapshot
from mmrec.spaces import CONTENT
from mmrec.training.model import TwoTower

logger = logging.getLogger(__name__)

JUDGES: Mapping[str, str] = {  # the validation setting that chooses, by protocol
    "item-cold": "overall", "user-cold": "5 revealed", "warm": "warm", "leave-last-out": "next item",
    "global-time": "future",
}
ORDERED = "leave-last-out", "global-time"  # protocols that ask what comes next, not what belongs together


@dataclass(frozen=True, slots=True)
class Entry:
    """What one model came to.

    Attributes:
        settings: chosen on validation.
        tries: all that were tried.
        seconds: of the fit with the chosen settings.
        results: on test, by setting.
        curves: what that fit reported of its epochs, such as
            `{"stage": "training", "epoch": 3, "loss": 6.1, "seconds": 1.2}`; none if it has none.
    """

    model: str
    settings: Mapping[str, Any]
    tries: Sequence[Try]
    seconds: float
    results: Mapping[str, Result]
    curves: Sequence[Mapping[str, Any]] = ()


def split_of(log: Log, protocol: str, seed: int, parts: Path | None = None) -> Split:
    """A log divided by a protocol, or as a table `parts` (user, item, part) of the item-cold protocol says.

    Raises:
        DataError: there is no such protocol, or the table does not fit the log.
    """
    import pyarrow.parquet as pq

    makers: Mapping[str, Callable[[], Split]] = {
        "item-cold": partial(splits.item_cold, log, seed), "user-cold": partial(splits.user_cold, log, seed),
        "warm": partial(splits.warm, log, seed), "leave-last-out": partial(splits.leave_last_out, log),
        "global-time": partial(splits.global_time, log),
    }
    if protocol not in makers:
        raise DataError(f"protocol must be one of {', '.join(makers)}, got {protocol!r}", field="protocol")
    if parts is None:
        return makers[protocol]()
    if protocol != "item-cold":
        raise DataError("a table of parts goes with the protocol item-cold alone", field="parts")
    return splits.item_cold_from(log, pq.read_table(parts), seed=seed)


def contest_of(
    snapshot: Snapshot, journal: Journal, protocol: str, seed: int, models: Iterable[str] | None,
    parts: str | Path | None, every_kind: bool, progress: Callable[[str], None] | None,
) -> tuple[Split, list[Entry]]:
    """`contest` on a shop's own behaviour, with its content as the features of all models; and the split."""
    log = log_of_shop(journal, snapshot.ids, every_kind=every_kind)
    split = split_of(log, protocol, seed, None if parts is None else Path(parts))
    rng = np.random.Generator(np.random.PCG64(seed))
    spans = snapshot.plan.spans
    return split, contest(split, snapshot.space(CONTENT), models, rng=rng, progress=progress, spans=spans)


def contest(
    split: Split, content: Vectors, models: Iterable[str] | None = None, *, rng: np.random.Generator,
    progress: Callable[[str], None] | None = None, spans: Spans | None = None,
) -> list[Entry]:
    """Every model, tuned on validation with its grid, then fitted once more and judged on test.

    Args:
        models: names of baselines, and `mmrec` for the head; None takes all baselines whose libraries are
            installed.
        spans: where each field lies in the content, for the head.
        progress: called with the name of each model before its turn.

    Raises:
        DataError: there is no such model.
        MissingExtra: a model that was asked for by name needs a library that is not installed.
    """
    entries = []
    for make in chosen(models, spans, ordered=split.protocol in ORDERED):
        if progress:
            progress(make().name)
        try:
            entries.append(_entry(make, split, content, rng))
        except MissingExtra as error:
            if models is not None:
                raise
            logger.warning("%s is left out: %s", make().name, error)
    return entries


def _entry(make: Callable[..., Baseline], split: Split, content: Vectors, rng: np.random.Generator) -> Entry:
    settings, tries = tune(make, make().grid, split, content, setting=JUDGES[split.protocol], rng=rng)
    model = make(**settings)
    said = _overheard(model)
    started = time.perf_counter()
    model.fit(split.train, content)
    seconds = time.perf_counter() - started
    results = evaluate_split(model, split, content=content, rng=rng)
    return Entry(model.name, settings, tries, seconds, results, [one for one in said if "epoch" in one])


def _overheard(model: Baseline) -> list[Mapping[str, Any]]:
    """What a model says while it is fitted, once it is; only the head says anything."""
    said: list[Mapping[str, Any]] = []
    if isinstance(model, TwoTower):
        model.watch = said.append
    return said


def chosen(
    models: Iterable[str] | None, spans: Spans | None = None, *, ordered: bool = False
) -> list[Callable[..., Baseline]]:
    """Baselines by name, in their own order, and the head where it is named.

    Args:
        spans: where each field lies in the content, for the head.
        ordered: whether the head learns what comes next.
    """
    known: dict[str, Callable[..., Baseline]] = {make().name: make for make in BASELINES}
    names = list(known) if models is None else list(models)
    known[TwoTower.name] = partial(TwoTower, spans=spans, ordered=ordered)
    if unknown := [name for name in names if name not in known]:
        raise DataError(f"no baseline is {unknown[0]!r}: choose from {', '.join(known)}", field="models")
    return [make for name, make in known.items() if name in names]
