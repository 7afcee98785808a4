"""A contest of models: each is tuned on validation and judged once on test. Also its tables, and JSON."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError, MissingExtra
from mmrec.evaluate import splits
from mmrec.evaluate.baselines import BASELINES, Baseline, Grid
from mmrec.evaluate.exposure import FEW, Exposure
from mmrec.evaluate.groups import Fairness, fairness, group_tables, masks_of
from mmrec.evaluate.logs import Log, Split
from mmrec.evaluate.run import Result, evaluate, holm, p_value

if TYPE_CHECKING:
    from rich.table import Table

logger = logging.getLogger(__name__)

Makers = Mapping[str, Callable[..., Baseline]]  # what makes a model from its settings, by name
COLUMNS = ("recall@20", "ndcg@20", "hit_rate@10", "mrr@20")
HEADINGS = ("model", *COLUMNS, "ndcg@20 corrected", "coverage@20", "fit s", "chosen on validation")
UNKNOWN = "not known"  # how often items were shown
CERTAIN = 0.05  # a p-value above it: the best may be so by chance


class Protocol(NamedTuple):
    """How a log is divided, by seed; the validation setting that chooses; and whether order counts.

    Where it does, the question is which items come next in a history, not which occur in the same histories.
    """

    divide: Callable[[Log, int], Split]
    judge: str
    ordered: bool = False


PROTOCOLS: Mapping[str, Protocol] = {
    "item-cold": Protocol(splits.item_cold, "overall"),
    "user-cold": Protocol(splits.user_cold, "5 revealed"),
    "warm": Protocol(splits.warm, "warm"),
    "leave-last-out": Protocol(lambda log, _: splits.leave_last_out(log), "next item", ordered=True),
    "global-time": Protocol(lambda log, _: splits.global_time(log), "future", ordered=True),
}


@dataclass(frozen=True, slots=True)
class Try:
    """Settings that were tried, the mean they reached on validation, and the seconds of the fit."""

    settings: Mapping[str, Any]
    score: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One model's part in a contest.

    Attributes:
        settings: chosen on validation.
        tries: all that were tried.
        seconds: of the fit with the chosen settings.
        results: on test, by setting.
        curves: what that fit reported of its epochs, such as
            `{"stage": "training", "epoch": 3, "loss": 6.1, "seconds": 1.2}`; none if it has none.
        groups: by setting, where groups were asked for.
    """

    model: str
    settings: Mapping[str, Any]
    tries: Sequence[Try]
    seconds: float
    results: Mapping[str, Result]
    curves: Sequence[Mapping[str, Any]] = ()
    groups: Mapping[str, Fairness] = field(default_factory=dict)


def split_of(log: Log, protocol: str, seed: int, parts: str | Path | None = None) -> Split:
    """A log divided by a protocol, or as a table `parts` (user, item, part) of the item-cold protocol says.

    Raises:
        DataError: there is no such protocol, or the table does not fit the log.
    """
    import pyarrow.parquet as pq

    if protocol not in PROTOCOLS:
        raise DataError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}", field="protocol")
    if parts is None:
        return PROTOCOLS[protocol].divide(log, seed)
    if protocol != "item-cold":
        raise DataError("a table of parts goes with the protocol item-cold alone", field="parts")
    return splits.item_cold_from(log, pq.read_table(parts), seed=seed)


def contest(
    split: Split, content: Vectors, models: Iterable[str] | None = None, *, heads: Makers | None = None,
    rng: np.random.Generator, progress: Callable[[str], None] | None = None,
    groups: Mapping[str, Sequence[Any]] | None = None, exposure: Exposure | None = None,
) -> list[Entry]:
    """Every model, tuned on validation with its grid, then fitted once more and judged on test.

    Args:
        models: names of baselines and heads; None takes all baselines whose libraries are installed.
        heads: further models by name, which take part only if they are named.
        progress: called with the name of each model before its turn.
        groups: attributes of each item [items], whose values are judged as groups; None judges no groups.
        exposure: how often items were shown, by which test figures are corrected beside the raw ones.

    Raises:
        DataError: there is no such model.
        MissingExtra: a model that was asked for by name needs a library that is not installed.
    """
    entries = []
    for name, make in chosen(models, heads).items():
        if progress:
            progress(name)
        try:
            entries.append(_entry(make, split, content, rng, groups, exposure))
        except MissingExtra as error:
            if models is not None:
                raise
            logger.warning("%s is left out: %s", name, error)
    return entries


def chosen(models: Iterable[str] | None, heads: Makers | None = None) -> Makers:
    """The models of these names, baselines first, in the order of `BASELINES`; None takes all baselines.

    Raises:
        DataError: no baseline and no head has such a name.
    """
    known: Makers = {**BASELINES, **(heads or {})}
    names = set(BASELINES if models is None else models)
    if unknown := sorted(names - set(known)):
        raise DataError(f"no baseline is {unknown[0]!r}: choose from {', '.join(known)}", field="models")
    return {name: make for name, make in known.items() if name in names}


def _entry(
    make: Callable[..., Baseline], split: Split, content: Vectors, rng: np.random.Generator,
    groups: Mapping[str, Sequence[Any]] | None, exposure: Exposure | None,
) -> Entry:
    judge = PROTOCOLS[split.protocol].judge
    settings, tries = tune(make, make().grid, split, content, setting=judge, rng=rng)
    model, reports = make(**settings), list[Mapping[str, Any]]()
    model.watch = reports.append
    started = time.perf_counter()
    model.fit(split.train, content)
    seconds = time.perf_counter() - started
    popularity = np.bincount(split.train.indices, minlength=split.train.shape[1])
    results = {
        name: evaluate(
            model, setting, content=content, popularity=popularity, exposure=exposure, rng=rng)
        for name, setting in split.test.items()
    }
    curves = [report for report in reports if "epoch" in report]
    judged = {} if groups is None else {
        name: fairness(
            model, results[name], setting, split.validation[name], masks_of(popularity, groups), rng=rng)
        for name, setting in split.test.items()
    }
    return Entry(model.name, settings, tries, seconds, results, curves, judged)


def tune(
    make: Callable[..., Baseline], grid: Grid, split: Split, content: Vectors, *, setting: str,
    rng: np.random.Generator,
) -> tuple[dict[str, Any], list[Try]]:
    """The settings of a grid that do best on one validation setting, by ndcg@20; the first of equals.

    Each try is fitted on the split's training part alone. The test part is never looked at.

    Args:
        content: of all items [items, c].
        setting: name of the validation setting that judges.

    Returns:
        The best settings, and all tries in the grid's order.

    Raises:
        DataError: validation has no such setting.
    """
    if setting not in split.validation:
        known = ", ".join(sorted(split.validation))
        raise DataError(f"validation has no setting {setting!r}: choose one of {known}", field="setting")
    tries = []
    for settings in grid:
        model = make(**settings)
        start = time.perf_counter()
        model.fit(split.train, content)
        seconds = time.perf_counter() - start
        result = evaluate(model, split.validation[setting], k=(20,), rng=rng)
        tries.append(Try(dict(settings), result.means["ndcg@20"].mean, seconds))
    best = max(tries, key=lambda one: one.score)
    return dict(best.settings), tries


def tables_of(entries: Sequence[Entry]) -> list[Table]:
    """One table for each setting, then those of its groups, if they were asked for."""
    from rich.table import Table

    tables = [Table(*HEADINGS, title=setting) for setting in entries[0].results]
    for table in tables:
        for cells in rows_of(entries, str(table.title)):
            table.add_row(*cells)
    for setting in entries[0].results:
        judged = {entry.model: entry.groups[setting] for entry in entries if setting in entry.groups}
        for title, headings, rows in group_tables(judged):
            tables.append(Table(*headings, title=f"{setting}: {title}"))
            for row in rows:
                tables[-1].add_row(*row)
    return tables


def rows_of(entries: Sequence[Entry], setting: str) -> list[list[str]]:
    """One setting's rows under `HEADINGS`, means with their 95% intervals, and the marks of `_marks`."""
    rows = []
    for entry, mark in zip(entries, _marks([entry.results[setting] for entry in entries]), strict=True):
        result = entry.results[setting]
        rows.append([
            entry.model + mark, *(str(result.means[column]) for column in COLUMNS),
            str(result.corrected or UNKNOWN), f"{result.totals['coverage@20'].mean:.3f}",
            f"{entry.seconds:.1f}", words_of(entry.settings),
        ])
    return rows


def _marks(results: Sequence[Result]) -> list[str]:
    """`*` for the best by ndcg@20, `=` for what may be as good: p > .05, paired over users, after Holm.

    Where the figures are corrected for exposure, it is by the corrected ones; and if these rest on too few
    users, there is no winner.
    """
    if any(one.corrected and one.corrected.effective < FEW for one in results):
        return [""] * len(results)
    values = [
        one.values["ndcg@20"] if one.corrected is None else one.corrected.values * one.corrected.weights
        for one in results
    ]
    best = max(range(len(values)), key=lambda n: float(values[n].mean()))
    others = [n for n in range(len(values)) if n != best]
    certain = holm([p_value(values[best] - values[n]) for n in others])
    marks = {n: " =" if p > CERTAIN else "" for n, p in zip(others, certain, strict=True)}
    return [marks.get(n, " *") for n in range(len(values))]


def words_of(settings: Mapping[str, Any]) -> str:
    """Settings in a line, such as `neighbours 20, centre True`."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def row_of(entry: Entry) -> dict[str, Any]:
    """One model, JSON-ready: every figure as mean and ends of its interval, settings and tries."""
    corrected = {
        name: {"ndcg@20": list(astuple(one.mean)), "effective_users": round(one.effective, 1)}
        for name, result in entry.results.items() if (one := result.corrected)
    }
    return {
        "model": entry.model, "settings": dict(entry.settings), "fit_seconds": round(entry.seconds, 3),
        "tries": [
            {"settings": dict(t.settings), "score": t.score, "fit_seconds": round(t.seconds, 3)}
            for t in entry.tries
        ],
        "test": {
            name: {
                figure: list(astuple(interval))
                for figure, interval in {**result.means, **result.totals}.items()
            }
            for name, result in entry.results.items()
        },
        **({"corrected": corrected} if corrected else {}),
        **({"groups": {name: one.as_dict() for name, one in entry.groups.items()}} if entry.groups else {}),
    }
