"""The table of a contest: its rows, for eyes, and as JSON."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.errors import ConfigError, DataError, MissingExtra
from mmrec.evaluate import splits
from mmrec.evaluate.baselines import BASELINES, Baseline
from mmrec.evaluate.baselines.counting import Grid
from mmrec.evaluate.logs import Log, Model, Split, log_of_shop
from mmrec.evaluate.metrics import METRICS
from mmrec.evaluate.run import Result, compare, evaluate, evaluate_split
from mmrec.model.kernel_ridge import Spans
from mmrec.search.snapshot import Snapshot
from mmrec.search.vectors import CONTENT
from mmrec.store.interactions import Journal
from mmrec.training.model import TwoTower

if TYPE_CHECKING:
    from rich.table import Table

@dataclass(frozen=True, slots=True)
class Try:
    """One row of the table: settings, the mean they reached on validation, and the seconds of the fit."""

    settings: Mapping[str, Any]
    score: float
    seconds: float


def tune(
    make: Callable[..., Model], grid: Grid, split: Split, content: Vectors, *,
    setting: str, metric: str = "ndcg", k: int = 20, rng: np.random.Generator,
) -> tuple[dict[str, Any], list[Try]]:
    """The settings of a grid that do best on one validation setting; the first of equals.

    Each try is fitted on the split's training part alone. The test part is never looked at.

    Args:
        make: a model from settings by name, such as a baseline's class.
        grid: settings to try, such as a baseline's `grid`.
        split: what to fit on, and the validation settings.
        content: of all items [items, c].
        setting: name of the validation setting that judges.
        metric: and its k: the mean over users that is compared.
        rng: of the evaluation's resampling.

    Returns:
        The best settings, and all tries in the grid's order.

    Raises:
        ConfigError: there is nothing to try, or no such metric.
        DataError: validation has no such setting.
    """
    if metric not in METRICS:
        raise ConfigError(f"there is no metric {metric!r} to tune by: choose one of {', '.join(METRICS)}")
    if not grid:
        raise ConfigError("the grid is empty: give at least one mapping of settings, {} for the defaults")
    if setting not in split.validation:
        known = ", ".join(sorted(split.validation))
        raise DataError(f"validation has no setting {setting!r}: choose one of {known}", field="setting")
    tries = []
    for settings in grid:
        model = make(**settings)
        start = time.perf_counter()
        model.fit(split.train, content)
        seconds = time.perf_counter() - start
        result = evaluate(model, split.validation[setting], k=(k,), rng=rng)
        tries.append(Try(dict(settings), result.means[f"{metric}@{k}"].mean, seconds))
    best = max(tries, key=lambda one: one.score)
    return dict(best.settings), tries


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


COLUMNS = ("recall@20", "ndcg@20", "hit_rate@10", "mrr@20")
HEADINGS = ("model", *COLUMNS, "coverage@20", "fit s", "chosen on validation")
CERTAIN = 0.05  # a p-value above it: the best may be so by chance


def tables_of(entries: Sequence[Entry]) -> list[Table]:
    """One table for each setting."""
    return [_table(entries, setting) for setting in entries[0].results]


def rows_of(entries: Sequence[Entry], setting: str) -> list[list[str]]:
    """One setting's rows under `HEADINGS`: means with 95% intervals, and how a model compares to the best.

    The best by ndcg@20 is marked `*`; one whose difference from it has p > .05 (paired over users), `=`.
    """
    best = max(entries, key=lambda entry: entry.results[setting].means["ndcg@20"].mean)
    return [_cells(entry, setting, _mark(entry, best, setting)) for entry in entries]


def _table(entries: Sequence[Entry], setting: str) -> Table:
    from rich.table import Table

    table = Table(*HEADINGS, title=setting)
    for cells in rows_of(entries, setting):
        table.add_row(*cells)
    return table


def _mark(entry: Entry, best: Entry, setting: str) -> str:
    if entry is best:
        return "*"
    p = compare(best.results[setting], entry.results[setting], "ndcg@20").p
    return "=" if p > CERTAIN else ""


def _cells(entry: Entry, setting: str, mark: str) -> list[str]:
    result = entry.results[setting]
    return [
        f"{entry.model} {mark}".strip(), *(str(result.means[column]) for column in COLUMNS),
        f"{result.totals['coverage@20'].mean:.3f}", f"{entry.seconds:.1f}", words_of(entry.settings),
    ]


def words_of(settings: Mapping[str, Any]) -> str:
    """Settings in a line."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def row_of(entry: Entry) -> dict[str, Any]:
    """One model, JSON-ready: every figure with its interval, settings and tries."""
    return {
        "model": entry.model, "settings": dict(entry.settings), "fit_seconds": round(entry.seconds, 3),
        "tries": [
            {"settings": dict(t.settings), "score": t.score, "fit_seconds": round(t.seconds, 3)}
            for t in entry.tries
        ],
        "test": {
            name: {
                figure: [interval.mean, interval.low, interval.high]
                for figure, interval in (result.means | result.totals).items()  # type: ignore[operator]
            }
            for name, result in entry.results.items()
        },
    }
