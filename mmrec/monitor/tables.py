"""A monitor's report for eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmrec.monitor.figures import Figures, Tally

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mmrec.monitor.drift import Drift
    from mmrec.monitor.offpolicy import Estimate
    from mmrec.monitor.report import Report

OVERALL = ("start (UTC)", "requests", "p50 ms", "p95 ms", "shown", "click-through", "cold share",
           "cold click-through", "gini", "coverage")


def tables_of(report: Report) -> list[RenderableType]:
    """Windows, click-through by rung, drift, estimates: those of which something is known."""
    if not report.windows:
        return [f"Nothing was logged from {report.since:%Y-%m-%d %H:%M} on.", _drift(report.drift)]
    return [_windows(report), _rungs(report), _drift(report.drift), *map(_estimate, report.estimates)]


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


def _drift(drift: Drift | None) -> str:
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
