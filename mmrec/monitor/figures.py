"""Figures of hours and days: requests, latency, click-through, cold items, concentration and coverage."""

from __future__ import annotations

from collections.abc import Collection, Iterator
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
Span = tuple[datetime, datetime]  # from the first on and before the second
Mask = NDArray[np.bool_]
SIZES = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
MOST_WINDOWS = 1_000


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
        latency_ms: (p50, p95) of the answers; None where no latency was logged.
        all: of all items shown.
        rungs: by the rung that found them.
        cold: of items known to be cold.
        aged: of items known not to be cold.
        gini: how unequally the catalogue's items were shown: 0 all alike, 1 one item alone.
        coverage: share of the catalogue that was shown at all.
    """

    start: datetime
    requests: int
    latency_ms: tuple[float, float] | None
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


def windows(since: datetime, until: datetime, window: Window) -> Iterator[Span]:
    """Start and end of each whole hour or day (UTC) that a period touches.

    Raises:
        DataError: the window is neither, or the period ends before it begins, or has too many windows.
    """
    if window not in SIZES:
        raise DataError(f"window must be one of {', '.join(SIZES)}, got {window!r}", field="window")
    size, end = SIZES[window], as_utc(until)
    start = as_utc(since).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = start.replace(hour=0) if window == "day" else start
    if start >= end:
        raise DataError(f"the period begins at {since} and ends at {until}: give an earlier start")
    if (end - start) / size > MOST_WINDOWS:
        raise DataError(
            f"{since} to {until} has more than {MOST_WINDOWS:,} windows of one {window}: give a later start,"
            " or larger windows", field="since",
        )
    while start < end:
        yield start, start + size
        start += size


def clicked(shown: pa.Table, clicks: pa.Table, kinds: Collection[str]) -> Mask:
    """Which rows of `IMPRESSIONS` [n] have a click of one of these kinds; several count as one."""
    counted = clicks.filter(pc.is_in(clicks["kind"], pa.array(list(kinds), pa.string())))
    found = pc.is_in(_pairs(shown), _pairs(counted).combine_chunks())
    return np.asarray(found.to_numpy(), np.bool_)


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

    some = np.asarray(shown["item_id"].is_valid().to_numpy())  # the other rows are answers without results
    known = some & np.asarray(shown["cold"].is_valid().to_numpy())
    cold = np.asarray(shown["cold"].fill_null(False).to_numpy(), np.bool_)
    rungs = np.asarray(shown["rung"].to_numpy(), object)
    counts = _exposure(shown["item_id"], items)
    return Figures(
        start=start, requests=pc.count_distinct(shown["request_id"]).as_py(), latency_ms=_latency(shown),
        all=tally(some), rungs={rung: tally(rungs == rung) for rung in sorted(set(rungs[some]))},
        cold=tally(known & cold), aged=tally(known & ~cold),
        gini=gini(counts), coverage=coverage(counts) if len(counts) else 0.0,
    )


def _pairs(rows: pa.Table) -> pa.ChunkedArray:
    """Request and item as one string; null without an item."""
    return pc.binary_join_element_wise(rows["request_id"], rows["item_id"], "\x1f")


def _latency(shown: pa.Table) -> tuple[float, float] | None:
    """Median and 95th percentile over answers, each of which has the same latency in all of its rows."""
    first = shown.group_by("request_id").aggregate([("latency_ms", "min")])["latency_ms_min"].drop_null()
    if not len(first):
        return None
    p50, p95 = np.quantile(first.to_numpy(), [0.5, 0.95])
    return float(p50), float(p95)


def _exposure(item_ids: pa.ChunkedArray, items: int) -> NDArray[np.float64]:
    """How often each item was shown [items]; those that have left the catalogue count as well."""
    counts = pc.value_counts(item_ids.drop_null()).field("counts").to_numpy()
    return np.concatenate([counts, np.zeros(max(0, items - len(counts)))])
