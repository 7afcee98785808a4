"""Values that do not belong to their items, and values that are missing, as the other fields tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from mmrec.check.expected import Field, expected_fields
from mmrec.check.findings import Finding, Row, found
from mmrec.model.masked_fields import Embedding, Number
from mmrec.search.snapshot import Snapshot


def check_fields(snapshot: Snapshot) -> Iterator[Finding]:
    """Pictures, categories and numbers that the other fields of their items gainsay, the worst first."""
    rows: dict[str, list[tuple[float, Row]]] = defaultdict(list)
    for field in expected_fields(snapshot):
        for row in field.odd.tolist():
            kind, told = _told(field, row, snapshot)
            rows[kind].append((-float(field.misfit[row]), Row((snapshot.ids[row],), told)))
    for kind, some in rows.items():
        ordered = [row for _, row in sorted(some)]
        yield from found(kind, ordered, len(snapshot), len({row.ids for row in ordered}))


def _told(field: Field, row: int, snapshot: Snapshot) -> tuple[str, str]:
    """The kind of finding, and what was expected."""
    if isinstance(field.judge, Embedding):
        return "odd-pictures", f"{field.misfit[row]:.0%} of other pictures would fit it better"
    own = snapshot.facts[field.name][row].as_py()
    if isinstance(field.judge, Number):
        said = f"{field.name}: {own:g}, of items like it about {field.best[row]:.3g}"
        return "odd-for-its-like", said
    best, certainty = field.values[int(field.best[row])], min(field.certainty[row], 0.99)
    return "odd-categories", f"{field.name}: {own!r}, its words and picture say {best!r} ({certainty:.0%})"
