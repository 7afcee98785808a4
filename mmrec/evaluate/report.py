"""The table of a contest: its rows, for eyes, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmrec.evaluate.contest import Entry
from mmrec.evaluate.run import compare

if TYPE_CHECKING:
    from rich.table import Table

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
