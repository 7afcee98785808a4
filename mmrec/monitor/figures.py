"""What is measured in a period: figures of its hours and days."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec.errors import DataError
from mmrec.evaluate.metrics import coverage, gini
from mmrec.types import as_utc

Window = Literal["hour", "day"]
Mask = NDArray[np.bool_]
PERIODS = {  # a window's size, and how long a period is by default
    "hour": (timedelta(hours=1), timedelta(days=1)), "day": (timedelta(days=1), timedelta(weeks=1)),
}
MOST_WINDOWS = 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # the start of an hour and of a day


@dataclass(frozen=True, slots=True)
class Tally:
    """Items shown, and how many of them were clicked."""

    shown: int
    clicked: int

    @property
    def rate(self) -> float | None:
        """Click-through; None if nothing was shown."""
        return self.clicked / self.shown if self.shown else None


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened in one window; a click counts in the window in which its item was shown.

    Attributes:
        start: of the window, UTC.
        requests: answers, also those that found nothing.
        latency_ms: (p50, p95) of the answers; (None, None) where no latency was logged.
        all: of all items shown.
        rungs: by the rung that found them.
        cold: of items known to be cold.
        aged: of items known not to be cold.
        gini: how unequally the catalogue's items were shown: 0 all alike, 1 one item alone.
        coverage: share of the catalogue that was shown at all.
    """

    start: datetime
    requests: int
    latency_ms: tuple[float, float] | tuple[None, None]
    all: Tally
    rungs: dict[str, Tally]
    cold: Tally
    aged: Tally
    gini: float
    coverage: float

    @property
    def cold_share(self) -> float | None:
        """Share of cold items among the items shown, as far as known."""
        known = self.cold.shown + self.aged.shown
        return self.cold.shown / known if known else None


def windows(since: datetime | None, until: datetime, window: Window) -> list[tuple[datetime, datetime]]:
    """Start and end of each whole hour or day (UTC) that a period touches; the end is outside.

    By default a period is a day long by the hour, and a week by the day.

    Raises:
        DataError: the window is neither, or the period ends before it begins, or has too many windows.
    """
    if window not in PERIODS:
        raise DataError(f"window must be one of {', '.join(PERIODS)}, got {window!r}", field="window")
    size, period = PERIODS[window]
    until = as_utc(until)
    since = as_utc(since) if since else until - period
    start = since - (since - EPOCH) % size
    count = math.ceil((until - start) / size)
    if count < 1:
        raise DataError(f"the period begins at {since} and ends at {until}: give an earlier start")
    if count > MOST_WINDOWS:
        raise DataError(
            f"{since} to {until} has more than {MOST_WINDOWS:,} windows of one {window}: give a later start,"
            " or larger windows", field="since",
        )
    return [(start + n * size, start + (n + 1) * size) for n in range(count)]


def clicked(shown: pa.Table, clicks: pa.Table, kinds: Collection[str]) -> Mask:
    """Which rows of `IMPRESSIONS` [n] have a click of one of these kinds; several count as one."""
    counted = clicks.filter(pc.is_in(clicks["kind"], pa.array(list(kinds), pa.string())))
    return pc.is_in(_pairs(shown), _pairs(counted).combine_chunks()).to_numpy()


def _pairs(rows: pa.Table) -> pa.ChunkedArray:
    """Request and item as one string; null without an item."""
    return pc.binary_join_element_wise(rows["request_id"], rows["item_id"], "\x1f")


def figures(start: datetime, shown: pa.Table, hit: Mask, items: int) -> Figures:
    """The figures of one window.

    Args:
        start: of the window, UTC.
        shown: the window's rows of `IMPRESSIONS` [n].
        hit: which of them were clicked [n].
        items: size of the catalogue, whose items count although none was shown.
    """

    def tally(rows: Mask) -> Tally:
        return Tally(int(rows.sum()), int((rows & hit).sum()))

    some = shown["item_id"].is_valid().to_numpy()  # the other rows are answers without results
    known = some & shown["cold"].is_valid().to_numpy()
    cold = shown["cold"].fill_null(False).to_numpy()
    rungs = shown["rung"].to_numpy()
    # each answer has the same latency in all of its rows
    latency = shown.group_by("request_id").aggregate([("latency_ms", "min")])["latency_ms_min"]
    p50, p95 = pc.quantile(latency, [0.5, 0.95]).to_pylist()
    times = pc.value_counts(shown["item_id"].drop_null()).field("counts").to_numpy()
    times = np.pad(times, (0, max(0, items - len(times))))  # [items], 0 where never shown
    return Figures(
        start=start, requests=len(latency), latency_ms=(p50, p95), all=tally(some),
        rungs={rung: tally(rungs == rung) for rung in sorted(set(rungs[some]))},
        cold=tally(known & cold), aged=tally(known & ~cold),
        gini=gini(times), coverage=coverage(times) if len(times) else 0.0,
    )
