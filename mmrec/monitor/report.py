"""A monitor's report for eyes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.encoders.base import Vectors
from mmrec.evaluate.metrics import Interval
from mmrec.monitor.figures import (
    MOST,
    Drift,
    Figures,
    Mask,
    Span,
    Tally,
    Window,
    clicked,
    drift,
    figures,
    windows,
)
from mmrec.monitor.log import utc_now
from mmrec.monitor.offpolicy import Estimate, Policy, estimates, judged
from mmrec.monitor.records import micros, read_clicks, read_impressions
from mmrec.store import schema
from mmrec.types import as_utc

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mmrec.monitor.figures import Drift
    from mmrec.monitor.offpolicy import Estimate
    from mmrec.recommender import Recommender
    from mmrec.search.snapshot import Snapshot


DAYS = {"hour": 1, "day": 7}  # looked at unless told
LATEST_CLICK = timedelta(days=1)  # after the end of the period
MOST_JUDGED = 1_000_000  # newest slots that other policies are judged by
SHOWN = ("request_id", "time", "route", "user", "explore", "latency_ms", "slot", "item_id", "rung",
         "propensity", "cold")


@dataclass(frozen=True, slots=True)
class Report:
    """What the monitor says of a period.

    Attributes:
        windows: figures of each window with an answer, oldest first.
        drift: of the items added since the period began; None if they, or the others, are too few.
        estimates: of other policies; empty if nothing can be told.
    """

    store: str
    since: datetime
    until: datetime
    window: Window
    windows: tuple[Figures, ...]
    drift: Drift | None
    estimates: tuple[Estimate, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "store": self.store, "since": self.since.isoformat(), "until": self.until.isoformat(),
            "window": self.window, "windows": [_figures_dict(each) for each in self.windows],
            "drift": self.drift and asdict(self.drift) | {"alarm": self.drift.alarm},
            "estimates": [_estimate_dict(each) for each in self.estimates],
        }


def monitor(
    shop: Recommender, *, since: datetime | None = None, until: datetime | None = None,
    window: Window = "day", policies: Mapping[str, Policy] | None = None, seed: int = 0,
) -> Report:
    """Figures, drift and estimates of a shop's logs.

    A click is an interaction that names the request and is worth at least as much as a click by the shop's
    settings. Rows are read window by window, so memory does not grow with the period.

    Args:
        since: start of the period; a day ago by the hour, a week ago by the day.
        until: its end; now, unless told.
        policies: by name, to be judged by the answers of `recommend`.
        seed: of the drift test's draws.

    Raises:
        DataError: the period has too many windows, or a policy does not fit the log.
    """
    until = as_utc(until or utc_now())
    since = as_utc(since) if since else until - timedelta(days=DAYS.get(window, 0))
    spans = list(windows(since, until, window))
    found: list[Figures] = []
    parts: list[pa.Table] = []
    for start, shown, hit in _told(shop, spans):
        found.append(figures(start, shown, hit, len(shop)))
        if policies:
            _push(parts, judged(shown, hit))
    return Report(
        str(shop.path), spans[0][0], until, window, tuple(found),
        _drift(shop, spans[0][0], np.random.default_rng(seed)), estimates(parts, policies or {}),
    )


def _told(shop: Recommender, spans: Sequence[Span]) -> Iterator[tuple[datetime, pa.Table, Mask]]:
    """Start of each window with an answer, what was shown in it [n], and whether it was clicked [n]."""
    clicks = read_clicks(shop.path, spans[0][0], spans[-1][1] + LATEST_CLICK)
    kinds = _click_kinds(shop, clicks)
    for start, end in spans:
        shown = read_impressions(shop.path, start, end, columns=SHOWN)
        if shown.num_rows:
            yield start, shown, clicked(shown, clicks, kinds)


def _push(parts: list[pa.Table], part: pa.Table) -> None:
    """Adds a part to those of before, and lets the oldest go that are not needed to have enough."""
    parts.append(part)
    while sum(each.num_rows for each in parts[1:]) >= MOST_JUDGED:
        parts.pop(0)


def _drift(shop: Recommender, since: datetime, rng: np.random.Generator) -> Drift | None:
    """Of the contents of items added since then against those of items added before."""
    snapshot = shop._index.now()
    new = snapshot.facts["added_at"].cast("int64").to_numpy() >= micros(since)
    if not snapshot.plan.dim:
        return None
    return drift(_contents(snapshot, ~new, rng), _contents(snapshot, new, rng), rng=rng)


def _contents(snapshot: Snapshot, wanted: Mask, rng: np.random.Generator) -> Vectors:
    """Content [n, c] of some of the wanted items, without those that have none; reads these rows alone."""
    places = rng.permutation(np.flatnonzero(wanted))[:MOST]
    columns = schema.field_columns(snapshot.table.schema)
    x = snapshot.plan.embed(schema.fields_of(snapshot.table.read([snapshot.ids[p] for p in places], columns)))
    return x[x.any(axis=1)]


def _click_kinds(shop: Recommender, clicks: pa.Table) -> list[str]:
    least = shop._journal.worth("click")
    return [kind for kind in pc.unique(clicks["kind"]).to_pylist() if shop._journal.worth(kind) >= least]


def _figures_dict(each: Figures) -> dict[str, Any]:
    p50, p95 = each.latency_ms or (None, None)
    return {
        "start": each.start.isoformat(), "requests": each.requests, "latency": {"p50": p50, "p95": p95},
        "shown": each.all.shown, "clicked": each.all.clicked,
        "click_through": {rung: tally.rate for rung, tally in each.rungs.items()},
        "rungs": {rung: asdict(tally) for rung, tally in each.rungs.items()},
        "cold": asdict(each.cold), "cold_exposure": each.cold_share, "cold_click_through": each.cold.rate,
        "gini": each.gini, "coverage": each.coverage,
    }


def _estimate_dict(each: Estimate) -> dict[str, Any]:
    """Intervals as [mean, low, high]."""
    values = {field.name: getattr(each, field.name) for field in fields(each)}
    return {n: [v.mean, v.low, v.high] if isinstance(v, Interval) else v for n, v in values.items()}


OVERALL = ("start (UTC)", "requests", "p50 ms", "p95 ms", "shown", "click-through", "cold share",
           "cold click-through", "gini", "coverage")


def tables_of(report: Report) -> list[RenderableType]:
    """Windows, click-through by rung, drift, estimates: those of which something is known."""
    if not report.windows:
        return [f"Nothing was logged from {report.since:%Y-%m-%d %H:%M} on.", _drift_table(report.drift)]
    return [_windows(report), _rungs(report), _drift_table(report.drift), *map(_estimate, report.estimates)]


def _windows(report: Report) -> RenderableType:
    from rich.table import Table

    table = Table(*OVERALL, title=f"By the {report.window}")
    for each in report.windows:
        table.add_row(*_cells(each))
    return table


def _cells(each: Figures) -> list[str]:
    p50, p95 = (f"{ms:.1f}" for ms in each.latency_ms) if each.latency_ms else ("-", "-")
    return [
        f"{each.start:%Y-%m-%d %H:%M}", f"{each.requests:,}", p50, p95, f"{each.all.shown:,}",
        _rate(each.all), _percent(each.cold_share), _rate(each.cold), f"{each.gini:.3f}",
        _percent(each.coverage),
    ]


def _rungs(report: Report) -> RenderableType:
    from rich.table import Table

    rungs = sorted({rung for each in report.windows for rung in each.rungs})
    table = Table("start (UTC)", *rungs, title="Click-through by rung")
    for each in report.windows:
        cells = (each.rungs.get(rung, Tally(0, 0)) for rung in rungs)
        table.add_row(f"{each.start:%Y-%m-%d %H:%M}", *(f"{_rate(cell)} of {cell.shown:,}" for cell in cells))
    return table


def _drift_table(drift: Drift | None) -> str:
    if drift is None:
        return "Drift: too few items were added, or were there before, to tell."
    said = "new items are unlike the catalogue" if drift.alarm else "none to be seen"
    return (
        f"Drift: {said} (MMD² {drift.mmd:.4f}, p {drift.p:.3f}, PSI {drift.psi:.2f};"
        f" {drift.incoming} items against {drift.reference})."
    )


def _estimate(each: Estimate) -> str:
    """A policy in a few lines, its warnings below it."""
    lines = [
        f"Policy {each.policy}: click-through {each.snips} (SNIPS), {each.ips} (IPS);"
        f" {each.logged} was logged; as telling as {each.effective:,.0f} shoppers.",
        *(f"  Beware: {warning}." for warning in each.warnings),
    ]
    return "\n".join(lines)


def _rate(tally: Tally) -> str:
    return _percent(tally.rate)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
