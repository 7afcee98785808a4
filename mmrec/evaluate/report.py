"""The table of a contest: for eyes, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmrec.evaluate.contest import Entry
from mmrec.evaluate.run import compare

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("recall@20", "ndcg@20", "hit_rate@10", "mrr@20")
CERTAIN = 0.05  # a p-value above it: the best may be so by chance


def tables_of(entries: Sequence[Entry]) -> list[Table]:
    """One table for each setting."""
    return [_table(entries, setting) for setting in entries[0].results]


def _table(entries: Sequence[Entry], setting: str) -> Table:
    """One setting's table: means with 95% intervals, and whether a model is as good as the best.

    The best by ndcg@20 is marked `*`; one whose difference from it has p > .05 (paired over users), `=`.
    """
    from rich.table import Table

    table = Table("model", *COLUMNS, "coverage@20", "fit s", "chosen on validation", title=setting)
    best = max(entries, key=lambda entry: entry.results[setting].means["ndcg@20"].mean)
    for entry in entries:
        result = entry.results[setting]
        mark = "*" if entry is best else ""
        if entry is not best and compare(best.results[setting], result, "ndcg@20").p > CERTAIN:
            mark = "="
        table.add_row(
            f"{entry.model} {mark}".strip(), *(str(result.means[column]) for column in COLUMNS),
            f"{result.totals['coverage@20'].mean:.3f}", f"{entry.seconds:.1f}",
            ", ".join(f"{name} {value}" for name, value in entry.settings.items()),
        )
    return table


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
