"""The report on a shop's data: all findings, the worst first, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from rich.console import Group, RenderableType
from rich.table import Table

from mmrec.check.drift import check_drift
from mmrec.check.findings import SHOWN as SHOWN
from mmrec.check.findings import Finding, Severity
from mmrec.check.interactions import Acts, check_interactions, figures
from mmrec.check.items import check_items
from mmrec.check.misfits import check_fields
from mmrec.search.snapshot import Snapshot
from mmrec.store.interactions import Interactions

ROWS = 3  # of a finding in the table
IDS = 6  # of a row there


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found in a shop's catalogue and log.

    Attributes:
        findings: errors, which would mislead a training, then warnings, then notes; the largest first.
        figures: how many items, interactions and users there are, and how unequal the log is.
    """

    findings: tuple[Finding, ...]
    figures: Mapping[str, float]

    @property
    def misleading(self) -> bool:
        """Whether a training would be misled."""
        return any(one.severity == "error" for one in self.findings)

    def __getitem__(self, name: str) -> Finding | None:
        """The finding of a name, such as `same-item`; None if there is none."""
        return next((one for one in self.findings if one.name == name), None)

    def as_dict(self, rows: int = SHOWN) -> dict[str, Any]:
        """JSON-ready, with so many rows of each finding."""
        return {
            "misleading": self.misleading, "figures": dict(self.figures),
            "findings": [one.as_dict(rows) for one in self.findings],
        }


def check(snapshot: Snapshot, behaviour: Interactions, against: Snapshot | None = None) -> CheckReport:
    """Looks for what would mislead a training; nothing is written, and nothing encoded.

    Pictures are compared by their stored embeddings, and by their files where these are still there.

    Args:
        against: another catalogue, with which this one is compared in place of its older half.

    Raises:
        StoreMismatch: the other catalogue was embedded by other encoders.
    """
    acts, order = Acts.of(behaviour, snapshot), get_args(Severity)
    found = [
        *check_drift(snapshot, against), *check_items(snapshot), *check_fields(snapshot),
        *check_interactions(acts, snapshot),
    ]
    found.sort(key=lambda one: (order.index(one.severity), -one.count / max(1, one.total)))
    return CheckReport(tuple(found), {"items": len(snapshot), **figures(acts, snapshot)})


def tables_of(report: CheckReport, rows: int = ROWS) -> list[RenderableType]:
    """For the terminal: one line of figures, and the findings with their first rows."""
    told = report.figures
    line = f"{told['items']:,} items, {told['interactions']:,} interactions of {told['users']:,} users"
    if told["interactions"]:
        line += (
            f"; Gini {told['gini']:.2f}, {told['top_1_percent']:.0%} with the most popular 1% of items,"
            f" {told['never_chosen']:.0%} of items never chosen"
        )
    if not report.findings:
        return [line, "Nothing was found."]
    table = Table("", "found", "why it matters, what to do", show_lines=True)
    for one in report.findings:
        named = [_row(row.ids, row.detail) for row in one.rows[:rows]]
        more = [f"... and {len(one.rows) - rows:,} more"] if len(one.rows) > rows else []
        table.add_row(
            f"{one.severity}\n{one.name}", "\n".join([one.what, *named, *more]),
            Group(one.kind.why, one.kind.todo),
        )
    verdict = "A training would be misled: see the errors." if report.misleading else "A training may go on."
    return [line, table, verdict]


def _row(ids: tuple[str, ...], detail: str) -> str:
    shown = ", ".join(ids[:IDS]) + (f" and {len(ids) - IDS:,} more" if len(ids) > IDS else "")
    return "  " + ": ".join(filter(None, (shown, detail)))
