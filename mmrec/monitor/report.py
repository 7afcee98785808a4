"""The monitor's report of a period, as JSON and as tables: figures, drift and off-policy estimates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import RenderableType
from rich.table import Table

from mmrec.check.drift import Drift, contents, drift
from mmrec.monitor.figures import Figures, Mask, Tally, Window, clicked, figures, windows
from mmrec.monitor.impressions import CLICKS, CLICKS_FOLDER, IMPRESSIONS, IMPRESSIONS_FOLDER, read
from mmrec.monitor.offpolicy import Estimate, Policy, estimates, judged
from mmrec.store import schema
from mmrec.types import as_utc

if TYPE_CHECKING:
    from mmrec.recommender import Recommender

LATEST_CLICK = timedelta(days=1)  # after the end of the period
MOST_JUDGED = 1_000_000  # newest slots that policies are judged by
READ = [name for name in IMPRESSIONS.names if name not in ("asked", "score")]


@dataclass(frozen=True, slots=True)
class Report:
    """What the monitor tells of a period.

    Attributes:
        store: folder of the store.
        since: start of the first window.
        until: end of the period.
        windows: figures of each window with an answer, oldest first.
        drift: of the items added since the period began; None if they, or the others, are too few.
        estimates: of other policies; empty if there is nothing to judge them by.
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
    window: Window = "day", policies: Mapping[str, Policy] | None = None,
) -> Report:
    """Figures, drift and off-policy estimates of a shop's logs.

    A click is an interaction that names the request and is worth at least as much as a click by the shop's
    settings. Rows are read window by window, so memory does not grow with the period.

    Args:
        since: start of the period; by default a day ago by the hour, a week ago by the day.
        until: its end; by default now.
        policies: by name, to be judged by the answers of `recommend`.

    Raises:
        DataError: the period has too many windows, or a logged share is one half or more.
    """
    until = as_utc(until or datetime.now(UTC))
    spans = windows(since, until, window)
    start = spans[0][0]
    found: list[Figures] = []
    parts: list[pa.Table] = []  # the newest rows of `judged`
    for begin, shown, hit in _windows_shown(shop, spans):
        found.append(figures(begin, shown, hit, len(shop)))
        if policies:
            parts.append(judged(shown, hit))
        while sum(part.num_rows for part in parts[1:]) >= MOST_JUDGED:
            parts.pop(0)
    return Report(
        str(shop.path), start, until, window, tuple(found), _drift(shop, start),
        estimates(parts, policies or {}),
    )


def _windows_shown(
    shop: Recommender, spans: Sequence[tuple[datetime, datetime]]
) -> Iterator[tuple[datetime, pa.Table, Mask]]:
    """Start of each window with an answer, what was shown in it [n], and whether it was clicked [n]."""
    clicks = read(shop.path / CLICKS_FOLDER, CLICKS, spans[0][0], spans[-1][1] + LATEST_CLICK)
    worth = shop.behaviour.weight_of
    kinds = [kind for kind in pc.unique(clicks["kind"]).to_pylist() if worth(kind) >= worth("click")]
    for start, end in spans:
        shown = read(shop.path / IMPRESSIONS_FOLDER, IMPRESSIONS, start, end, columns=READ)
        if shown.num_rows:
            yield start, shown, clicked(shown, clicks, kinds)


def _drift(shop: Recommender, since: datetime) -> Drift | None:
    """Drift of the contents of items added since then from those of items added before."""
    snapshot = shop.snapshot()
    if not snapshot.plan.dim:
        return None
    rng = np.random.default_rng(0)
    new = pc.greater_equal(snapshot.facts["added_at"], pa.scalar(since, schema.TIME)).to_numpy()
    old, now = (contents(snapshot, some, snapshot.plan, rng) for some in (~new, new))
    return drift(old, now, rng=rng)


def _figures_dict(each: Figures) -> dict[str, Any]:
    return {
        "start": each.start.isoformat(), "requests": each.requests,
        "latency": {"p50": each.latency_ms[0], "p95": each.latency_ms[1]},
        "shown": each.all.shown, "clicked": each.all.clicked,
        "click_through": {rung: tally.rate for rung, tally in each.rungs.items()},
        "rungs": {rung: asdict(tally) for rung, tally in each.rungs.items()},
        "cold": asdict(each.cold), "cold_exposure": each.cold_share, "cold_click_through": each.cold.rate,
        "gini": each.gini, "coverage": each.coverage,
    }


def _estimate_dict(each: Estimate) -> dict[str, Any]:
    """Intervals as [mean, low, high]."""
    return {n: [*value.values()] if isinstance(value, dict) else value for n, value in asdict(each).items()}


def tables_of(report: Report) -> list[RenderableType]:
    """For the terminal: windows, click-through by rung, drift, and one paragraph for each estimate."""
    if not report.windows:
        return [f"Nothing was logged from {report.since:%Y-%m-%d %H:%M} on.", _drift_text(report.drift)]
    texts = [_drift_text(report.drift), *map(_estimate_text, report.estimates)]
    return [_windows_table(report), _rungs_table(report), *texts]


def _windows_table(report: Report) -> Table:
    table = Table(
        "start (UTC)", "requests", "p50 ms", "p95 ms", "shown", "click-through", "cold share",
        "cold click-through", "gini", "coverage", title=f"By the {report.window}",
    )
    for each in report.windows:
        table.add_row(
            f"{each.start:%Y-%m-%d %H:%M}", f"{each.requests:,}",
            *("-" if ms is None else f"{ms:.1f}" for ms in each.latency_ms), f"{each.all.shown:,}",
            _percent(each.all.rate), _percent(each.cold_share), _percent(each.cold.rate),
            f"{each.gini:.3f}", _percent(each.coverage),
        )
    return table


def _rungs_table(report: Report) -> Table:
    rungs = sorted({rung for each in report.windows for rung in each.rungs})
    table = Table("start (UTC)", *rungs, title="Click-through by rung")
    for each in report.windows:
        tallies = [each.rungs.get(rung, Tally(0, 0)) for rung in rungs]
        table.add_row(
            f"{each.start:%Y-%m-%d %H:%M}", *(f"{_percent(t.rate)} of {t.shown:,}" for t in tallies))
    return table


def _drift_text(drift: Drift | None) -> str:
    if drift is None:
        return "Drift: too few items were added, or were there before, to tell."
    said = "new items are unlike the catalogue" if drift.alarm else "none to be seen"
    return (
        f"Drift: {said} (MMD² {drift.mmd:.4f}, p {drift.p:.3f}, PSI {drift.psi:.2f};"
        f" {drift.incoming} items against {drift.reference})."
    )


def _estimate_text(each: Estimate) -> str:
    return "\n".join([
        f"Policy {each.policy}: click-through {each.snips} (SNIPS), {each.ips} (IPS);"
        f" {each.logged} was logged; as telling as {each.effective:,.0f} shoppers.",
        *(f"  Beware: {warning}." for warning in each.warnings),
    ])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
