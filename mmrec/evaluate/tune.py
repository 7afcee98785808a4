"""Hyper-parameters chosen on validation, with every try kept for the reader."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.errors import ConfigError, DataError
from mmrec.evaluate.baselines.base import Grid
from mmrec.evaluate.metrics import METRICS
from mmrec.evaluate.run import evaluate
from mmrec.evaluate.setting import Model, Split


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
